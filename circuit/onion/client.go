package onion

import (
	"errors"

	"hearsay/circuit/cell"
)

// Client is the client's side of a circuit: up to four layers. One goroutine
// may seal and another one open, while no hop is being added.
type Client struct {
	layers [cell.Slots]*Layer
	n      int
}

// ErrHop is returned for a hop that the circuit does not have.
var ErrHop = errors.New("onion: no such hop")

// Add puts the layer of the next hop on the circuit. Its slot must be the
// number of hops so far, else ErrHop.
func (c *Client) Add(l *Layer) error {
	if c.n == cell.Slots || l.slot != c.n {
		return ErrHop
	}
	c.layers[c.n] = l
	c.n++
	return nil
}

// Hops returns the number of hops.
func (c *Client) Hops() int { return c.n }

// SealForward fills body (cell.BodySize bytes) with message m for a hop and
// adds the layers of all hops up to it (SPEC.md §3.1). It returns ErrHop or an
// error of cell.Message.Put; the state is unchanged then.
func (c *Client) SealForward(body []byte, hop int, m cell.Message) error {
	if hop < 0 || hop >= c.n {
		return ErrHop
	}
	body = body[:cell.BodySize]
	// The innermost flag lies at offset hop: each further layer puts one flag
	// in front and one tag behind, so that the outermost fills the body exactly.
	p := cell.PayloadSize(hop)
	if err := m.Put(body[hop+1 : hop+1+p]); err != nil {
		return err
	}
	flag := byte(flagOwn)
	for i := hop; i >= 0; i-- {
		body[i] = flag
		c.layers[i].forward.seal(body[i:], 1+cell.PayloadSize(i))
		flag = flagRelayed
	}
	return nil
}

// OpenBackward removes layers from the body of a cell that came from the
// guard, in place, until one says that the message is its own. It returns that
// hop and the payload, which aliases body. On ErrLayer the circuit must be
// destroyed.
func (c *Client) OpenBackward(body []byte) (hop int, payload []byte, err error) {
	cur := body[:cell.BodySize]
	for i := range c.n {
		if err := c.layers[i].backward.open(cur[:cell.CipherSize(i)]); err != nil {
			return 0, nil, err
		}
		p := cell.PayloadSize(i)
		switch cur[0] {
		case flagOwn:
			return i, cur[1 : 1+p : 1+p], nil
		case flagRelayed:
			cur = cur[1 : 1+p]
		default:
			return 0, nil, ErrLayer
		}
	}
	return 0, nil, ErrLayer // relayed beyond the last hop
}

// ForwardTag returns the tag of the hop's own layer on the last cell sealed
// through it.
func (c *Client) ForwardTag(hop int) Tag { return c.layers[hop].forward.tag }

// BackwardTag returns the tag of the hop's own layer on the last cell opened.
func (c *Client) BackwardTag(hop int) Tag { return c.layers[hop].backward.tag }

// Erase overwrites all keys; the client must not be used again.
func (c *Client) Erase() {
	for i := range c.n {
		c.layers[i].Erase()
	}
}
