package relay

import (
	"context"
	"errors"
	"os"
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/link"
	"hearsay/directory"
)

// takeExtend takes a fragment of EXTEND and starts the extension after the
// last one (SPEC.md §3.3).
func (c *circuit) takeExtend(m cell.Message) error {
	if state(c.state.Load()) != stateLeaf || c.extended {
		return errProtocol
	}
	if c.extend == nil {
		c.extend = &cell.MessageAssembler{Command: cell.Extend}
	}
	data, whole, err := c.extend.Add(m)
	if err != nil {
		return err
	}
	if !whole {
		c.extendSince.Store(c.sw.clock.now())
		return nil
	}
	c.extendSince.Store(0)
	c.extended = true
	if !c.become(stateLeaf, stateExtending) {
		return errGone
	}
	next, create := directory.RelayID(data[:32]), data[32:]
	c.extend = nil // it held the message
	c.wg.Go(func() { c.extendTo(next, create) })
	return nil
}

// extendTo opens the next hop. It has a goroutine of its own, since dialing
// takes time and the client may ping meanwhile.
func (c *circuit) extendTo(id directory.RelayID, create []byte) {
	created, code := c.connect(id, create)
	if code != 0 {
		if c.become(stateExtending, stateLeaf) {
			c.sw.counts.notExtended.Add(1)
			c.reply(cell.Message{Command: cell.ExtendFail, Data: []byte{code}})
		}
		return
	}
	if t := c.sw.cfg.Trace; t != nil {
		t.Extended(c.num, id)
	}
	if !c.become(stateExtending, stateOpen) {
		return // close has reset the stream
	}
	c.attach()
	c.sw.counts.extended.Add(1)
	for _, m := range cell.SplitExtended(created) {
		if c.reply(m) != nil {
			return
		}
	}
	select {
	case c.replies <- nil:
	case <-c.done:
	}
}

// connect reaches the next hop and gets its CREATED message. Only a relay of
// the own verified view is dialed, never this one nor the predecessor: a
// client must not make relays scan hosts or run circuits in a ring.
func (c *circuit) connect(id directory.RelayID, create []byte) ([]byte, byte) {
	if c.slot == cell.Slots-1 || id == c.sw.cfg.ID || c.predecessor(id) || c.sw.refusing() {
		return nil, cell.FailRefused
	}
	view := c.sw.cfg.Views.Current()
	if view == nil {
		return nil, cell.FailUnknown
	}
	r, ok := view.Relay(id)
	if !ok {
		return nil, cell.FailUnknown
	}
	if c.sw.backoff.refuses(id, time.Now()) {
		return nil, cell.FailUnreachable
	}
	next, code := c.sw.open(lifetime(c.done), r)
	if code != 0 {
		return nil, code
	}
	next.SetPriority(urgencyFirst, true)
	c.mu.Lock()
	c.next, c.nextRelay = next, id
	c.mu.Unlock()
	if state(c.state.Load()) == stateClosed {
		reset(next)
		return nil, cell.FailRefused
	}
	created, err := c.shake(next, create)
	if err == nil {
		return created, 0
	}
	c.mu.Lock()
	c.next = nil
	c.mu.Unlock()
	reset(next)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, cell.FailTimeout
	}
	return nil, cell.FailRefused
}

// shake sends CREATE on a new stream and waits for CREATED.
func (c *circuit) shake(next stream, create []byte) ([]byte, error) {
	buf := batches.Get().(*batch)
	cell.PutFragments(buf[:cell.Size], buf[cell.Size:2*cell.Size], cell.Create, create)
	err := c.write(next, &c.upSince, buf[:2*cell.Size], ToNextHop)
	batches.Put(buf)
	if err != nil {
		return nil, err
	}
	if err := next.SetReadDeadline(time.Now().Add(createdTimeout)); err != nil {
		return nil, err
	}
	r := cellReader{s: next, clock: &c.sw.clock}
	asm := cell.Assembler{Type: cell.Created}
	var created []byte
	for created == nil {
		buf, cells, err := r.next()
		if err != nil {
			return nil, err
		}
		for ; len(cells) > 0 && err == nil; cells = cells[cell.Size:] {
			if created != nil {
				err = errProtocol
				break
			}
			if t := c.sw.cfg.Trace; t != nil {
				t.Cell(c.num, FromNextHop, cells[:cell.Size])
			}
			var msg []byte
			var whole bool
			if msg, whole, err = asm.Add(cells[:cell.Size]); whole {
				created = msg
			}
		}
		batches.Put(buf)
		if err != nil {
			return nil, err
		}
	}
	if r.have > 0 {
		return nil, errProtocol
	}
	return created, next.SetReadDeadline(time.Time{})
}

// openLink opens a circuit stream on the link to a listed relay.
func (sw *Switch) openLink(ctx context.Context, r *directory.Relay) (stream, byte) {
	t := link.Target{ID: r.ID, LinkKey: r.LinkKey, Addrs: r.Addrs}
	dialed := false
	dial := func(ctx context.Context, t link.Target) (*link.Link, error) {
		dialed = false
		l, err := sw.cfg.Dial(ctx, t)
		dialed = err == nil
		return l, err
	}
	_, s, err := openStream(ctx, dial, t, link.KindCircuit)
	switch {
	case err == nil:
		return s, 0
	case dialed:
		return nil, cell.FailRefused
	}
	return nil, cell.FailUnreachable
}
