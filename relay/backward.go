package relay

import (
	"errors"
	"os"
	"sync"
	"time"

	"hearsay/circuit/cell"
)

// localCell is a message of this hop, with the bytes of its data.
type localCell struct {
	m    cell.Message
	data [cell.DataSize]byte
}

var localCells = sync.Pool{New: func() any { return new(localCell) }}

// newLocal copies a message into a pooled localCell.
func newLocal(m cell.Message) *localCell {
	l := localCells.Get().(*localCell)
	n := copy(l.data[:], m.Data)
	l.m = m
	l.m.Data = l.data[:n]
	return l
}

// reply queues a message for the client; it copies the data. It waits while
// batchCells replies are queued, and fails when the circuit is gone. Credit,
// where the command needs it, was taken before.
func (c *circuit) reply(m cell.Message) error {
	l := newLocal(m)
	select {
	case c.replies <- l:
	case <-c.done:
		localCells.Put(l)
		return errGone
	}
	// The backward goroutine waits for the queue itself, or for the next hop's
	// stream, from which an expired deadline calls it away.
	c.mu.Lock()
	out := c.out
	c.mu.Unlock()
	if out != nil {
		return out.s.SetReadDeadline(past)
	}
	return nil
}

// backward is the goroutine that seals and sends to the client.
func (c *circuit) backward() {
	if err := c.backwardLeaf(); err != nil {
		c.end(why(err))
		c.mu.Lock()
		out := c.out
		c.mu.Unlock()
		if out != nil {
			out.ring.shut()
		}
		c.wg.Done()
		return
	}
	c.resumeBackward()
}

// attach lets what the next hop sends be read ahead, although the backward
// goroutine has not come to it: what it has to write before may be blocked. The
// goroutine of the extension calls it.
func (c *circuit) attach() {
	c.mu.Lock()
	out := &cellReader{s: c.next, clock: &c.sw.clock}
	out.ring.busySince(c.sw.clock.now())
	c.out = out
	c.mu.Unlock()
	if state(c.state.Load()) == stateClosed { // perhaps the backward goroutine saw none
		out.ring.shut()
	}
}

// backwardLeaf sends own replies until there is a next hop.
func (c *circuit) backwardLeaf() error {
	for {
		select {
		case l := <-c.replies:
			if l == nil {
				c.attached = true
			} else if err := c.sendReplies(l); err != nil {
				return err
			}
		case <-c.done:
			return errGone
		}
		if c.attached {
			return nil
		}
	}
}

// backwardOpen takes turns between own replies and cells of the next hop. It
// returns errPark when it is called away from an idle circuit.
func (c *circuit) backwardOpen() error {
	out := c.out
	for {
		out.ready() // before the look at the replies, see ring
		select {
		case l := <-c.replies:
			out.ring.busySince(c.sw.clock.now())
			if err := c.sendReplies(l); err != nil {
				return err
			}
			out.ready()
			if len(c.replies) > 0 { // whoever read ahead may have cleared the call
				out.s.SetReadDeadline(past)
			}
		default:
		}
		buf, cells, err := out.next()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			// A reply is waiting. Whoever queues one after this resets the
			// deadline after queueing, so that none is overlooked.
			called := c.downPark.answer(err)
			if err := out.s.SetReadDeadline(time.Time{}); err != nil {
				return err
			}
			if called && len(c.replies) == 0 {
				c.downPark.awake.Store(false)
				return errPark
			}
			continue
		case err != nil:
			return err
		}
		err = c.backwardBatch(cells)
		batches.Put(buf)
		if err != nil {
			return err
		}
	}
}

// backwardBatch seals the cells of the next hop in place and sends them.
func (c *circuit) backwardBatch(cells []byte) error {
	for i := 0; i < len(cells); i += cell.Size {
		x := cells[i : i+cell.Size]
		if t := c.sw.cfg.Trace; t != nil {
			t.Cell(c.num, FromNextHop, x)
		}
		if h, err := cell.ParseHeader(x); err != nil || h.Type != cell.Relay {
			return errProtocol
		}
		c.layer.SealBackward(cell.Body(x))
	}
	return c.sendBack(cells)
}

// sendReplies seals and sends first and what else is queued, at most
// batchCells messages.
func (c *circuit) sendReplies(first *localCell) error {
	buf := batches.Get().(*batch)
	defer batches.Put(buf)
	n := 0
	now := c.sw.since()
	for l := first; l != nil; {
		x := buf[n : n+cell.Size]
		cell.Header{Type: cell.Relay}.Put(x)
		if t := c.sw.cfg.Trace; t != nil {
			t.Message(c.num, ToClientSide, l.m)
		}
		cmd := l.m.Command
		err := c.layer.SealBackwardOwn(cell.Body(x), l.m)
		localCells.Put(l)
		if err != nil {
			return err
		}
		switch {
		case cmd.Credited():
			c.tx.sealed(c.layer.BackwardTag(), now)
		case cmd == cell.SendMe:
			c.rx.acknowledged()
		}
		if n += cell.Size; n == len(buf) {
			break
		}
		select {
		case l = <-c.replies:
			c.attached = c.attached || l == nil
		default:
			l = nil
		}
	}
	return c.sendBack(buf[:n])
}

func (c *circuit) sendBack(cells []byte) error {
	if c.paced {
		all := c.sw.down.Load()
		if (c.downLimit != nil || all != nil) && !pace(len(cells), !c.downBusy.Load(), c.done, c.downLimit, c.peer.down, all) {
			return errGone
		}
	}
	return c.write(c.prev, &c.downSince, cells, ToClientSide)
}
