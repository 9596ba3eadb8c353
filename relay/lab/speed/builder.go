package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/link"
	"hearsay/circuit/onion"
	"hearsay/directory"
)

// linkCircuits is how many circuits a builder opens on one link: a relay takes
// up 30 streams of a client at once, and three a second after that.
const linkCircuits = 30

// builder builds circuits by hand: a pool paces its builds, which would be all
// that is measured.
type builder struct {
	view   *directory.View
	listen func() (net.PacketConn, error)
	kept   []*link.Endpoint
}

// builderNode is the role of a client that only builds.
func builderNode() operations {
	b := &builder{listen: listen}
	return operations{
		"start": operation(func(a openArgs) (any, error) {
			_, views, stop, err := startClient(a.Link)
			if err != nil {
				return nil, err
			}
			defer stop()
			if err := awaitView(views, 1); err != nil {
				return nil, err
			}
			b.view = views.Current()
			return nil, nil
		}),
		"build": operation(b.build),
		"keep":  operation(b.keep),

		"handshakes": operation(handshakes),
	}
}

// buildArgs says what to build. The relays are those of the path.
type buildArgs struct {
	Path  []directory.RelayID
	Count int
}

// relays looks the relays of a path up.
func (b *builder) relays(path []directory.RelayID) ([]*directory.Relay, error) {
	var rs []*directory.Relay
	for _, id := range path {
		r, ok := b.view.Relay(id)
		if !ok {
			return nil, fmt.Errorf("relay %s is not listed", id)
		}
		rs = append(rs, r)
	}
	return rs, nil
}

// dial makes a link of its own to the first relay.
func (b *builder) dial(g *directory.Relay) (*link.Endpoint, *link.Link, error) {
	e, err := link.New(link.Config{Role: link.RoleClient, Network: b.view.Network(), Lab: true, ListenPacket: b.listen})
	if err != nil {
		return nil, nil, err
	}
	l, err := e.Link(context.Background(), link.Target{ID: g.ID, LinkKey: g.LinkKey, Addrs: g.Addrs})
	if err != nil {
		e.Close()
		return nil, nil, err
	}
	return e, l, nil
}

// build builds circuits one after the other, closes each, and tells how long a
// build took from the first cell to the last.
func (b *builder) build(a buildArgs) (any, error) {
	rs, err := b.relays(a.Path)
	if err != nil {
		return nil, err
	}
	var took []time.Duration
	for len(took) < a.Count {
		e, l, err := b.dial(rs[0])
		if err != nil {
			return nil, err
		}
		for range min(linkCircuits, a.Count-len(took)) {
			start := time.Now()
			c, err := b.circuit(l, rs)
			if err != nil {
				e.Close()
				return nil, err
			}
			took = append(took, time.Since(start))
			c.close()
		}
		e.Close()
	}
	return quantilesOf(took), nil
}

// keepArgs says what to keep open.
type keepArgs struct {
	Guard directory.RelayID
	Next  []directory.RelayID // second hops, in turn
	Links int
	Each  int // circuits on each link
}

// keep builds two-hop circuits over links of their own and leaves them idle.
// Several links are filled at once.
func (b *builder) keep(a keepArgs) (any, error) {
	next, err := b.relays(a.Next)
	if err != nil {
		return nil, err
	}
	guard, err := b.relays([]directory.RelayID{a.Guard})
	if err != nil {
		return nil, err
	}
	const atOnce = 4
	var mu sync.Mutex
	var errs []error
	work := make(chan int)
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for n := range work {
				e, err := b.fill(guard[0], next, n, a.Each)
				mu.Lock()
				b.kept = append(b.kept, e)
				if err != nil {
					errs = append(errs, err)
				}
				mu.Unlock()
			}
		})
	}
	for n := range a.Links {
		work <- n
	}
	close(work)
	wg.Wait()
	return nil, errors.Join(errs...)
}

// fill opens idle circuits on one new link.
func (b *builder) fill(guard *directory.Relay, next []*directory.Relay, n, count int) (*link.Endpoint, error) {
	e, l, err := b.dial(guard)
	if err != nil {
		return e, err
	}
	for i := range count {
		to := next[(n*count+i)%len(next)]
		if _, err := b.circuit(l, []*directory.Relay{guard, to}); err != nil {
			return e, err
		}
	}
	return e, nil
}

// handshakes answers so many CREATE messages as a relay does, and returns the
// CPU time of one.
func handshakes(count int) (any, error) {
	var private, network, identity [32]byte
	rand.Read(private[:])
	key, err := onion.NewOnionKey(private, 1)
	if err != nil {
		return nil, err
	}
	creates := make([][]byte, count)
	for i := range creates {
		_, creates[i], err = onion.NewClientHandshake(rand.Reader, onion.Params{
			Network: network, Identity: identity, OnionKey: key.Public(), OnionEpoch: key.NotBefore(),
			Options: cell.Options{HasSlot: true, HasCredit: true, Initial: cell.CreditInitial, Max: cell.CreditMax},
		})
		if err != nil {
			return nil, err
		}
	}
	before, err := cpuTime()
	if err != nil {
		return nil, err
	}
	for _, c := range creates {
		l, _, _, err := onion.Respond(rand.Reader, network, identity, []onion.OnionKey{key}, c, func(o cell.Options) cell.Options {
			o.HasSlot = false
			return o
		})
		if err != nil {
			return nil, err
		}
		l.Erase()
	}
	after, err := cpuTime()
	return (after - before) / time.Duration(count), err
}

// handCircuit is a circuit built by hand.
type handCircuit struct {
	s     *link.Stream
	onion onion.Client
	in    [cell.Size]byte
}

func (b *builder) circuit(l *link.Link, rs []*directory.Relay) (*handCircuit, error) {
	s, err := l.Open(context.Background(), link.KindCircuit)
	if err != nil {
		return nil, err
	}
	c := &handCircuit{s: s}
	for i, r := range rs {
		if err := c.add(b.view.Network(), r, i); err != nil {
			c.close()
			return nil, fmt.Errorf("hop %d: %w", i, err)
		}
	}
	return c, nil
}

func (c *handCircuit) close() {
	c.s.CancelWrite(0)
	c.s.CancelRead(0)
}

func (c *handCircuit) add(network directory.NetworkID, r *directory.Relay, i int) error {
	h, create, err := onion.NewClientHandshake(rand.Reader, onion.Params{
		Network: network, Identity: r.ID, OnionKey: r.OnionKey, OnionEpoch: r.OnionEpoch,
		Options: cell.Options{HasSlot: true, Slot: i, HasCredit: true, Initial: cell.CreditInitial, Max: cell.CreditMax},
	})
	if err != nil {
		return err
	}
	created, err := c.shake(i, r.ID, create)
	if err != nil {
		return err
	}
	l, _, err := h.Finish(created)
	if err != nil {
		return err
	}
	return c.onion.Add(l)
}

// shake exchanges CREATE or EXTEND for the answer to it.
func (c *handCircuit) shake(hop int, id directory.RelayID, create []byte) ([]byte, error) {
	out := make([]byte, 2*cell.Size)
	if hop == 0 {
		cell.PutFragments(out[:cell.Size], out[cell.Size:], cell.Create, create)
	} else {
		for i, m := range cell.SplitExtend(id, create) {
			if err := c.seal(out[i*cell.Size:(i+1)*cell.Size], hop-1, m); err != nil {
				return nil, err
			}
		}
	}
	if _, err := c.s.Write(out); err != nil {
		return nil, err
	}
	first, more := cell.Assembler{Type: cell.Created}, cell.MessageAssembler{Command: cell.Extended}
	for {
		if hop == 0 {
			if _, err := io.ReadFull(c.s, c.in[:]); err != nil {
				return nil, err
			}
			msg, done, err := first.Add(c.in[:])
			if err != nil || done {
				return slices.Clone(msg), err
			}
			continue
		}
		m, err := c.receive()
		if err != nil {
			return nil, err
		}
		msg, done, err := more.Add(m)
		if err != nil || done {
			return slices.Clone(msg), err
		}
	}
}

// seal makes the cell of a message to a hop.
func (c *handCircuit) seal(x []byte, hop int, m cell.Message) error {
	cell.Header{Type: cell.Relay}.Put(x)
	return c.onion.SealForward(cell.Body(x), hop, m)
}

// receive returns the next message of any hop; its data is valid until the
// next call.
func (c *handCircuit) receive() (cell.Message, error) {
	if _, err := io.ReadFull(c.s, c.in[:]); err != nil {
		return cell.Message{}, err
	}
	_, payload, err := c.onion.OpenBackward(cell.Body(c.in[:]))
	if err != nil {
		return cell.Message{}, err
	}
	return cell.ParseMessage(payload)
}
