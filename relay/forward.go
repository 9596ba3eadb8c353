package relay

import (
	"errors"
	"os"
	"time"

	"golang.org/x/time/rate"

	"hearsay/circuit/cell"
	"hearsay/circuit/credit"
)

// forward reads the client side until the circuit ends, or until it is called
// away from an idle one and returns errPark.
func (c *circuit) forward() error {
	for {
		buf, cells, err := c.in.next()
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				return err
			}
			// Only the janitor sets a deadline here.
			c.upPark.wanted.Store(false)
			c.upPark.awake.Store(false)
			if err := c.prev.SetReadDeadline(time.Time{}); err != nil {
				return err
			}
			return errPark
		}
		n := len(cells)
		c.peer.load.cells.Add(uint64(n / cell.Size))
		err = c.forwardBatch(cells)
		batches.Put(buf)
		if err != nil {
			return err
		}
		if c.tx.created != 0 { // what came needed the keys of CREATED
			c.tx.answered(c.sw.since())
		}
		if c.paced {
			all := c.sw.up.Load()
			if (c.upLimit != nil || all != nil) && !pace(n, !c.upBusy.Load(), c.done, c.upLimit, c.peer.up, all) {
				return errGone
			}
		}
	}
}

// forwardBatch opens the layer on each cell in place; those for a hop further
// on move together at the beginning of the batch and leave in one write.
func (c *circuit) forwardBatch(cells []byte) error {
	on := 0
	for i := 0; i < len(cells); i += cell.Size {
		x := cells[i : i+cell.Size]
		if t := c.sw.cfg.Trace; t != nil {
			t.Cell(c.num, FromClientSide, x)
		}
		if h, err := cell.ParseHeader(x); err != nil || h.Type != cell.Relay {
			return errProtocol
		}
		payload, mine, err := c.layer.OpenForward(cell.Body(x))
		if err != nil {
			return err
		}
		if mine {
			if err := c.command(payload); err != nil {
				return err
			}
			continue
		}
		if state(c.state.Load()) != stateOpen {
			return errProtocol
		}
		if on != i {
			copy(cells[on:], x)
		}
		on += cell.Size
	}
	if on == 0 {
		c.active.Store(c.sw.clock.now())
		return nil
	}
	c.mu.Lock()
	next := c.next
	c.mu.Unlock()
	return c.write(next, &c.upSince, cells[:on], ToNextHop)
}

// command takes one message for this hop (SPEC.md §3). m.Data is valid during
// the call only.
func (c *circuit) command(payload []byte) error {
	m, err := cell.ParseMessage(payload)
	if err != nil {
		return err
	}
	if t := c.sw.cfg.Trace; t != nil {
		t.Message(c.num, FromClientSide, m)
	}
	switch state(c.state.Load()) {
	case stateLeaf, stateOpen:
	case stateExtending:
		if m.Command != cell.SendMe && m.Command != cell.Ping && m.Command != cell.Drop {
			return errProtocol
		}
	default:
		return errProtocol
	}
	if m.Command.Credited() {
		if err := c.rx.receive(c.layer.ForwardTag()); err != nil {
			return err
		}
	}
	switch {
	case m.Command == cell.SendMe:
		return c.tx.sendMe(m.Data, c.sw.since())
	case m.Command == cell.Ping:
		if !c.allow(&c.pings, pingRate, pingBurst) {
			return errTooMuch
		}
		return c.reply(cell.Message{Command: cell.Pong, Data: m.Data})
	case m.Command == cell.Drop:
		if !c.allow(&c.drops, dropRate, dropBurst) {
			return errTooMuch
		}
		return nil
	case m.Command == cell.Extend:
		return c.takeExtend(m)
	case m.Command == cell.Echo:
		return c.takeEcho(m)
	case m.Command == cell.Begin:
		return c.begin(m)
	case m.Command == cell.Data, m.Command == cell.End, m.Command == cell.XOff, m.Command == cell.XOn, m.Command.Mailbox():
		return c.streamMessage(m)
	}
	return errProtocol // a command that only relays send
}

// allow takes a token of a limiter, which is made when it is first needed.
func (c *circuit) allow(l **rate.Limiter, r rate.Limit, burst int) bool {
	if c.sw.cfg.InsecureNoRateLimits {
		return true
	}
	if *l == nil {
		*l = rate.NewLimiter(r, burst)
	}
	return (*l).Allow()
}

// consumed notes that n credited cells are used up, and acknowledges. It may be
// called by several consumers at once.
func (c *circuit) consumed(n int) error {
	return c.rx.consume(n, func(tag *credit.Tag) error {
		return c.reply(cell.Message{Command: cell.SendMe, Data: tag[:]})
	})
}
