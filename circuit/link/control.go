package link

import (
	"errors"

	"hearsay/circuit/cell"
)

// Why a control stream ends a link. A peer never learns it.
var (
	errControlOrder = errors.New("link: cell out of order on the control stream")
	errControlTrim  = errors.New("link: trim on an unshaped link")
	errControlShape = errors.New("link: shaping is not spoken")
	errControlType  = errors.New("link: circuit cell on the control stream")
)

// control is the state of one direction of a control stream: what the peer has
// sent so far. The zero value is the start. It does no I/O.
type control struct {
	hello  bool // LINK_HELLO seen
	goAway bool // GOAWAY seen
}

// take judges the next cell (cell.Size bytes). It returns the hello if the cell
// is the LINK_HELLO, which must come first and once. Any error ends the link
// (SPEC.md §4.1).
func (s *control) take(c []byte) (*cell.Hello, error) {
	if len(c) != cell.Size {
		return nil, cell.ErrFormat
	}
	h, err := cell.ParseHeader(c)
	if err != nil {
		return nil, err
	}
	if h.Trim != 0 {
		return nil, errControlTrim
	}
	if s.hello == (h.Type == cell.LinkHello) {
		return nil, errControlOrder
	}
	switch h.Type {
	case cell.LinkHello:
		hello, err := cell.ParseHello(cell.Body(c))
		if err != nil {
			return nil, err
		}
		s.hello = true
		return &hello, nil
	case cell.Pad:
		return nil, nil
	case cell.GoAway:
		if s.goAway {
			return nil, errControlOrder
		}
		s.goAway = true
		return nil, nil
	case cell.Shape:
		return nil, errControlShape
	default:
		return nil, errControlType
	}
}

// helloCell encodes a LINK_HELLO as a whole cell.
func helloCell(h cell.Hello) []byte {
	c := make([]byte, cell.Size)
	cell.Header{Type: cell.LinkHello}.Put(c)
	h.Put(cell.Body(c))
	return c
}

// goAwayCell encodes a GOAWAY as a whole cell.
func goAwayCell() []byte {
	c := make([]byte, cell.Size)
	cell.Header{Type: cell.GoAway}.Put(c)
	return c
}
