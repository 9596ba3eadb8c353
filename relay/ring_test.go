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
		if buf, n := r.ring.idle(); n != cell.Size {
			t.Errorf("%d bytes were read ahead, want one cell", n)
		} else {
			batches.Put(buf)
		}
		near.CancelRead(0)
		wg.Wait()
	})
}
