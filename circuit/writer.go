package circuit

import (
	"context"
	"sync"
	"time"

	"hearsay/circuit/cell"
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
	c.out = append(c.out, o)
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
		if ok && (!m.Command.Credited() || c.flows[hop].take()) {
			break // with the lock held
		}
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
		o.written = make(chan struct{}, 1)
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
		return nil
	case <-c.done:
		return c.closedError()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wakeSendersLocked lets all senders look at their credit again.
func (c *Circuit) wakeSendersLocked() {
	close(c.credit)
	c.credit = make(chan struct{})
}

// write seals what waits, up to batchCells at once, and writes it.
func (c *Circuit) write() {
	var list [batchCells]outbound
	for {
		n := c.takeOut(list[:])
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
	n := copy(list, c.out)
	rest := copy(c.out, c.out[n:])
	clear(c.out[rest:])
	c.out = c.out[:rest]
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

// expectsAnswer tells whether silence after a message is a sign of a dead
// circuit.
func expectsAnswer(cmd cell.Command) bool {
	switch cmd {
	case cell.SendMe, cell.Drop, cell.End, cell.XOff, cell.XOn:
		return false
	}
	return true
}

// seal makes cells of the messages, one after the other in batch.
func (c *Circuit) seal(batch []byte, list []outbound) error {
	c.sealing.Lock()
	defer c.sealing.Unlock()
	for i := range list {
		o := &list[i]
		b := batch[i*cell.Size : (i+1)*cell.Size]
		cell.Header{Type: cell.Relay}.Put(b)
		if err := c.onion.SealForward(cell.Body(b), o.hop, o.m); err != nil {
			return err
		}
		if o.data != nil {
			dataPool.Put(o.data)
			o.data, o.m.Data = nil, nil
		}
		switch {
		case o.m.Command.Credited():
			c.mu.Lock()
			c.flows[o.hop].sealedOne(c.onion.ForwardTag(o.hop))
			c.mu.Unlock()
		case o.m.Command == cell.SendMe:
			c.mu.Lock()
			c.flows[o.hop].acknowledged()
			c.mu.Unlock()
		}
	}
	return nil
}
