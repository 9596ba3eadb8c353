package relay

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"hearsay/circuit/cell"
)

// hesitant is a stream whose second Peek returns late: who called it was held
// up by the scheduler.
type hesitant struct {
	*memStream
	peeks  atomic.Int32
	peeked chan struct{}
	goOn   chan struct{}
}

func (s *hesitant) Peek(b []byte) (int, error) {
	n, err := s.memStream.Peek(b)
	if s.peeks.Add(1) == 2 {
		close(s.peeked)
		<-s.goOn
	}
	return n, err
}

// TestRingWaitsWithoutItsLock lets the owner of a direction take a cell, and be
// busy again, between the moment at which the goroutine that reads ahead sees
// the cell and that at which it reads. It must not wait for another one under
// the ring's lock: the janitor takes that, and would watch over nobody any more.
func TestRingWaitsWithoutItsLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := memPipe()
		s := &hesitant{memStream: near, peeked: make(chan struct{}), goOn: make(chan struct{})}
		var k clock
		var wg sync.WaitGroup
		r := &cellReader{s: s, clock: &k}
		take := func() {
			t.Helper()
			buf, cells, err := r.next()
			if err != nil || len(cells) != cell.Size {
				t.Fatalf("%d bytes and %v, want one cell", len(cells), err)
			}
			batches.Put(buf)
		}
		far.Write(make([]byte, cell.Size))
		take()
		k.tick.Add(1)
		if !r.help(k.now(), &wg) {
			t.Fatal("nobody reads ahead behind a busy owner")
		}
		far.Write(make([]byte, cell.Size))
		<-s.peeked
		take()
		close(s.goOn)
		synctest.Wait()
		if !r.ring.mu.TryLock() {
			t.Error("the lock of the ring is held for as long as nothing comes")
		} else {
			r.ring.mu.Unlock()
		}
		far.Write(make([]byte, cell.Size)) // read ahead, as the owner is busy
		synctest.Wait()
		if buf, n, _ := r.ring.idle(k.now()); n != cell.Size {
			t.Errorf("%d bytes were read ahead, want one cell", n)
		} else {
			batches.Put(buf)
		}
		near.CancelRead(0)
		wg.Wait()
	})
}

// TestRingOutlivesACall calls the owner to its replies between the moment at
// which the goroutine that reads ahead sees a cell and that at which it reads:
// the stream has not ended, and the cell is read ahead.
func TestRingOutlivesACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := memPipe()
		s := &hesitant{memStream: near, peeked: make(chan struct{}), goOn: make(chan struct{})}
		var k clock
		var wg sync.WaitGroup
		r := &cellReader{s: s, clock: &k}
		far.Write(make([]byte, cell.Size))
		buf, _, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		batches.Put(buf)
		k.tick.Add(1)
		r.help(k.now(), &wg)
		far.Write(make([]byte, cell.Size))
		<-s.peeked
		s.SetReadDeadline(past)
		close(s.goOn)
		synctest.Wait()
		if r.ring.hasEnded() {
			t.Error("the call is taken for the end of the stream")
		}
		if buf, n, _ := r.ring.idle(k.now()); n != cell.Size {
			t.Errorf("%d bytes were read ahead, want one cell", n)
		} else {
			batches.Put(buf)
		}
		near.CancelRead(0)
		wg.Wait()
	})
}

// TestRingBehindBlockedReplies blocks the write of this hop's own replies: what
// the next hop sends is read ahead, and a cell of it that has begun is not late,
// since nobody reads the rest.
func TestRingBehindBlockedReplies(t *testing.T) {
	bubble(t, 2, func(_ int, cfg *SwitchConfig) { cfg.InsecureNoRateLimits = true }, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[:2]...); err != nil {
			t.Fatal(err)
		}
		circ := m.only(0)
		h := circ.next.(*memStream).r
		begun := make([]byte, cell.Size)
		cell.Header{Type: cell.Relay}.Put(begun)
		send := func(b []byte) {
			h.mu.Lock()
			h.buf = append(h.buf, b...)
			h.notifyLocked()
			h.mu.Unlock()
		}
		send(begun[:100])
		synctest.Wait()
		c.s.(*memStream).r.limit = 0 // the client's window
		c.send(0, cell.Message{Command: cell.Ping, Data: []byte{15: 0}})
		advance(2 * partialTimeout)
		m.expectCircuits(1, 1)

		send(begun[100:])
		send(make([]byte, batchCells*cell.Size))
		advance(2 * janitorEvery)
		h.mu.Lock()
		left := len(h.buf)
		h.mu.Unlock()
		if left != cell.Size {
			t.Errorf("%d bytes wait behind a ring, want the one cell that does not fit", left)
		}
		advance(stallClient + stallRelay)
		m.expectCircuits(0, 0)
		if n := m.sw[0].Counters().Ended[EndStalled]; n != 1 {
			t.Errorf("%d circuits counted as stalled", n)
		}
		reset(c.s)
	})
}

// TestReplyBehindReplies queues a reply while another one is being written: the
// call to it must not be lost to whoever reads ahead.
func TestReplyBehindReplies(t *testing.T) {
	bubble(t, 2, func(_ int, cfg *SwitchConfig) { cfg.InsecureNoRateLimits = true }, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[:2]...); err != nil {
			t.Fatal(err)
		}
		window := c.s.(*memStream).r
		setWindow := func(n int) {
			window.mu.Lock()
			window.limit = n
			window.notifyLocked()
			window.mu.Unlock()
		}
		setWindow(0)
		for i := range 2 {
			c.send(0, cell.Message{Command: cell.Ping, Data: []byte{byte(i), 15: 0}})
			advance(3 * janitorEvery)
		}
		setWindow(128 << 10)
		advance(janitorEvery)
		window.mu.Lock()
		n := len(window.buf) / cell.Size
		window.mu.Unlock()
		if n != 2 {
			t.Errorf("%d answers came, want 2", n)
		}
		reset(c.s)
	})
}
