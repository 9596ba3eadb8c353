package circuit

import (
	"sync"
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/credit"
)

// partialTimeout is how long the rest of a cell may take.
const partialTimeout = 5 * time.Second

var readBuffers = sync.Pool{New: func() any { return new([batchCells * cell.Size]byte) }}

// read takes cells from the guard until the circuit ends. It parks without a
// buffer, reads what there is, and handles whole cells in place.
func (c *Circuit) read() {
	var one [1]byte
	for {
		if _, err := c.conn.Peek(one[:]); err != nil {
			c.fail(err)
			return
		}
		buf := readBuffers.Get().(*[batchCells * cell.Size]byte)
		err := c.readBatch(buf[:])
		readBuffers.Put(buf)
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// readBatch reads until it ends at a cell boundary.
func (c *Circuit) readBatch(buf []byte) error {
	have, timed := 0, false
	for {
		n, err := c.conn.Read(buf[have:])
		have += n
		done := 0
		if have >= cell.Size {
			now := time.Now()
			c.now = now.Sub(c.born)
			c.hear(now)
			var bad error
			if done, bad = c.handleAll(buf[:have]); bad != nil {
				return bad
			}
		}
		have = copy(buf, buf[done:have])
		switch {
		case err != nil:
			return err
		case have == 0 && timed:
			return c.conn.SetReadDeadline(time.Time{})
		case have == 0:
			return nil
		case done > 0 || !timed:
			timed = true
			if err := c.conn.SetReadDeadline(time.Now().Add(partialTimeout)); err != nil {
				return err
			}
		}
	}
}

var errTrim = violation("trim")

// handleAll takes the cells at the beginning of b, with the zero bytes that
// follow them on a shaped link, and returns how many bytes that were.
func (c *Circuit) handleAll(b []byte) (done int, err error) {
	defer c.wakeUsers()
	for len(b)-done >= cell.Size {
		x := b[done:]
		trim := int(x[3]) // checked with the rest of the header
		if trim > cell.MaxTrim || trim > 0 && !c.guard.mayTrim() {
			return done, errTrim
		}
		if len(x) < cell.Size+trim {
			break
		}
		for _, z := range x[cell.Size : cell.Size+trim] {
			if z != 0 {
				return done, errTrim
			}
		}
		if err := c.handle(x[:cell.Size]); err != nil {
			return done, err
		}
		done += cell.Size + trim
	}
	return done, nil
}

// wakeUsers wakes the users of streams on which something came.
func (c *Circuit) wakeUsers() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range c.changed {
		s.changed = false
		s.wake()
		c.changed[i] = nil
	}
	c.changed = c.changed[:0]
}

// hear notes that cells came: the circuit and its guard are alive.
func (c *Circuit) hear(now time.Time) {
	c.guard.heard.Store(now.UnixNano())
	c.mu.Lock()
	c.heard, c.asked = now, time.Time{}
	c.mu.Unlock()
}

// handle takes one cell from the guard. Any error destroys the circuit: cells
// that are dropped silently would be a signal between relays (SPEC.md §3).
func (c *Circuit) handle(b []byte) error {
	h, err := cell.ParseHeader(b)
	if err != nil {
		return err
	}
	if h.Type != cell.Relay {
		return violation("cell type")
	}
	hop, payload, err := c.onion.OpenBackward(cell.Body(b))
	if err != nil {
		return err
	}
	m, err := cell.ParseMessage(payload)
	if err != nil {
		return err
	}
	switch m.Command {
	case cell.Extended:
		return c.extended(hop, m)
	case cell.ExtendFail:
		return c.extendFailed(hop, m.Data[0])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.Command.Credited() {
		if err := c.flows[hop].receive(c.onion.BackwardTag(hop)); err != nil {
			return err
		}
	}
	switch {
	case m.Command == cell.SendMe:
		if err := c.flows[hop].acknowledge(m.Data, c.now); err != nil {
			return err
		}
		c.wakeSendersLocked()
		return nil
	case m.Command == cell.Pong:
		return c.pongLocked(hop, m.Data)
	case m.Command == cell.EchoReply:
		if err := c.echoReplyLocked(hop, m.Data); err != nil {
			return err
		}
		c.consumeLocked(hop)
		return nil
	case m.Command == cell.EchoBusy:
		return c.echoBusyLocked(hop, m.Data)
	case m.Command.Mailbox(), m.Command == cell.Data, m.Command == cell.Connected,
		m.Command == cell.End, m.Command == cell.XOff, m.Command == cell.XOn:
		s := c.streams[m.Stream]
		if s == nil || s.hop != hop {
			return violation("message of a stream that the hop does not serve")
		}
		return s.receiveLocked(m)
	}
	return violation("command that no relay may send")
}

// consumeLocked counts a credited cell that was taken by its user, and sends
// the SENDME when one is due.
func (c *Circuit) consumeLocked(hop int) {
	var due [1]credit.Tag
	for _, tag := range c.flows[hop].recv.Consume(1, due[:0]) {
		data := dataPool.Get().(*[cell.DataSize]byte)
		n := copy(data[:], tag[:])
		c.enqueueLocked(outbound{hop: hop, data: data, m: cell.Message{Command: cell.SendMe, Data: data[:n]}})
	}
}
