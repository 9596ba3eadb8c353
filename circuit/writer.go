package circuit

import (
	"context"
	"sync"
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
)

// batchCells is the most cells of one write: nothing hides below the
// scheduler of the link for longer than that.
const batchCells = 32

// outbound is one relay message on its way to the writer.
type outbound struct {
	hop     int
	m       cell.Message
	data    *[cell.DataSize]byte // pooled memory under m.Data, or nil
	written chan struct{}        // capacity 1, gets a value once the cell was written; or nil
}

var (
	batches  = sync.Pool{New: func() any { return new([batchCells * cell.Size]byte) }}
	dataPool = sync.Pool{New: func() any { return new([cell.DataSize]byte) }}
)

// enqueueLocked hands a message to the writer. The caller holds c.mu and has
// taken the credit if the command needs it.
func (c *Circuit) enqueueLocked(o outbound) {
	if c.closed {
		return
	}
	c.out.push(o)
	c.wakeWriterLocked()
}

func (c *Circuit) wakeWriterLocked() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// send waits for credit at a hop, queues a message with a copy of data and,
// if wait is set, returns once its cell was handed to the link. Both functions
// may be nil and run under c.mu: ready tells whether the message may be sent
// now, where an error ends the waiting; queued runs when it is queued. If ctx
// ends while the cell waits for the link, it may still be sent.
func (c *Circuit) send(ctx context.Context, hop int, m cell.Message, wait bool, ready func() (bool, error), queued func()) error {
	for {
		c.mu.Lock()
		if c.closed {
			defer c.mu.Unlock()
			return c.closedErrorLocked()
		}
		ok := true
		if ready != nil {
			var err error
			if ok, err = ready(); err != nil {
				c.mu.Unlock()
				return err
			}
		}
		if ok && (!m.Command.Credited() || c.flows[hop].send.Take()) {
			break // with the lock held
		}
		c.awaited = true
		credit := c.credit
		c.mu.Unlock()
		select {
		case <-credit:
		case <-c.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	o := outbound{hop: hop, m: m}
	if len(m.Data) > 0 {
		o.data = dataPool.Get().(*[cell.DataSize]byte)
		o.m.Data = o.data[:copy(o.data[:], m.Data)]
	}
	if wait {
		// Kept by the circuit, not in a pool: a channel belongs to one bubble of
		// virtual time.
		if o.written, c.idle = c.idle, nil; o.written == nil {
			o.written = make(chan struct{}, 1)
		}
	}
	c.enqueueLocked(o)
	if queued != nil {
		queued()
	}
	c.mu.Unlock()
	if !wait {
		return nil
	}
	select {
	case <-o.written:
		c.mu.Lock()
		c.idle = o.written // elsewhere the writer may still send to it
		c.mu.Unlock()
		return nil
	case <-c.done:
		return c.closedError()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wakeSendersLocked lets all senders look at their credit again.
func (c *Circuit) wakeSendersLocked() {
	if !c.awaited {
		return
	}
	c.awaited = false
	close(c.credit)
	c.credit = make(chan struct{})
}

// write seals what waits, up to batchCells at once, and writes it. On a shaped
// link, where each cell waits for its tick, it takes one at a time: what is
// sealed can neither be overtaken nor taken back.
func (c *Circuit) write() {
	var list [batchCells]outbound
	for {
		shaped := c.guard.isShaped() && !c.rank.bulk
		most := batchCells
		if shaped {
			most = 1
		}
		n := c.takeOut(list[:most])
		if n == 0 {
			select {
			case <-c.wake:
				continue
			case <-c.done:
				return
			}
		}
		batch := batches.Get().(*[batchCells * cell.Size]byte)
		err := c.seal(batch[:], list[:n])
		if err == nil {
			_, err = c.conn.Write(batch[:n*cell.Size])
		}
		batches.Put(batch)
		if err != nil {
			c.fail(err)
			return
		}
		now := time.Now()
		c.guard.ranking.sent(c.rank, n, now)
		if shaped {
			c.mu.Lock()
			c.leftLocked(list[:n], now)
			c.mu.Unlock()
		}
		for i := range list[:n] {
			if list[i].written != nil {
				list[i].written <- struct{}{}
			}
			list[i] = outbound{}
		}
	}
}

// takeOut moves waiting messages into list.
func (c *Circuit) takeOut(list []outbound) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0
	}
	n := min(len(list), c.out.n)
	for i := range list[:n] {
		list[i] = c.out.pop()
	}
	if n > 0 && c.asked.IsZero() {
		for i := range list[:n] {
			if expectsAnswer(list[i].m.Command) {
				c.asked, c.probed = time.Now(), false
				break
			}
		}
	}
	return n
}

// leftLocked notes that messages left the shaper just now: the time they waited
// for a tick is no silence of others.
func (c *Circuit) leftLocked(list []outbound, now time.Time) {
	for i := range list {
		if expectsAnswer(list[i].m.Command) && !c.asked.IsZero() {
			c.asked = now
		}
		if list[i].m.Command.Mailbox() {
			c.spoke = now
		}
		if list[i].m.Command == cell.Ping {
			c.pingLeftLocked(list[i].hop, list[i].m.Data, now)
		}
	}
}

// mailboxAck is the mailbox command that has no reply (relay/mailbox/SPEC.md).
const mailboxAck cell.Command = 0x45

// expectsAnswer tells whether silence after a message is a sign of a dead
// circuit.
func expectsAnswer(cmd cell.Command) bool {
	switch cmd {
	case cell.SendMe, cell.Drop, cell.End, cell.XOff, cell.XOn, mailboxAck:
		return false
	}
	return true
}

// seal makes cells of the messages, one after the other in batch.
func (c *Circuit) seal(batch []byte, list []outbound) error {
	var tags [batchCells]onion.Tag
	if err := c.sealCells(batch, list, &tags); err != nil {
		return err
	}
	now := time.Since(c.born)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range list {
		o := &list[i]
		switch {
		case o.m.Command.Credited():
			c.flows[o.hop].send.Sealed(tags[i], now)
		case o.m.Command == cell.SendMe:
			c.flows[o.hop].recv.Acknowledged()
		}
	}
	return nil
}

func (c *Circuit) sealCells(batch []byte, list []outbound, tags *[batchCells]onion.Tag) error {
	c.sealing.Lock()
	defer c.sealing.Unlock()
	for i := range list {
		o := &list[i]
		b := batch[i*cell.Size : (i+1)*cell.Size]
		cell.Header{Type: cell.Relay}.Put(b)
		if err := c.onion.SealForward(cell.Body(b), o.hop, o.m); err != nil {
			return err
		}
		tags[i] = c.onion.ForwardTag(o.hop)
		if o.data != nil {
			dataPool.Put(o.data)
			o.data, o.m.Data = nil, nil
		}
	}
	return nil
}
