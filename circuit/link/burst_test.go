package link

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"hearsay/circuit/cell"
)

func TestBurstIsForBulkCircuitsAlone(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		c, a, l := w.shapedLink(Normal, cellEcho)
		message := w.circuit(l)
		pass(warmFor)
		bulk := func() (*Stream, error) {
			s, err := l.Open(w.ctx(time.Minute), KindCircuit)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.SetBulk(); err != nil {
				return nil, err
			}
			return s, nil
		}
		if _, err := bulk(); !errors.Is(err, errNoBurst) {
			t.Fatalf("bulk without a burst: %v", err)
		}
		const burst = time.Minute
		if err := c.Burst(w.ctx(time.Minute), a.id, burst); err != nil {
			t.Fatal(err)
		}
		granted := time.Now()
		s, err := bulk()
		if err != nil {
			t.Fatal(err)
		}
		// A thousand cells and their echoes, in a few round trips.
		first := numbered(0)
		cell.Header{Type: cell.Create, Fragment: cell.FirstOfTwo}.Put(first)
		go func() {
			_, _ = s.Write(first)
			for i := range 1000 {
				if _, err := s.Write(numbered(i)); err != nil {
					return
				}
			}
		}()
		// The message circuit keeps to its ticks meanwhile.
		var ticked atomic.Int32
		go func() {
			for {
				if _, err := message.Write(numbered(1)); err != nil {
					return
				}
				ticked.Add(1)
			}
		}()
		b := make([]byte, cell.Size)
		for i := range 1001 {
			if err := readTrimmed(s, b); err != nil {
				t.Fatalf("after %d cells: %v", i, err)
			}
		}
		if d := time.Since(granted); d > 10*time.Second {
			t.Errorf("the burst took %v", d)
		}
		ticked.Store(0)
		from := time.Now()
		pass(20 * Normal.Tick())
		if n := ticked.Load(); n < 19 || n > 21 {
			t.Errorf("%d cells of the message circuit in 20 ticks", n)
		}
		// The end of the burst is that of the bulk circuit.
		if _, err := s.Read(b); err == nil {
			t.Fatal("the bulk circuit goes on")
		}
		if d := time.Since(granted); d < burst-3*Normal.Tick() || d > burst+3*Normal.Tick() {
			t.Errorf("the bulk circuit ended after %v", d)
		}
		if _, err := s.Write(numbered(1)); err == nil {
			t.Error("the bulk circuit takes cells after its end")
		}
		if _, err := bulk(); !errors.Is(err, errNoBurst) {
			t.Errorf("bulk after the burst: %v", err)
		}
		if !l.Shaped() || time.Since(from) < 0 {
			t.Error("the link is not shaped any more")
		}
	})
}

func TestBurstOfAnUnshapedLinkIsNothing(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		c, a, l := w.shapedLink(Off, cellEcho)
		s := w.circuit(l)
		if err := c.Burst(w.ctx(time.Second), a.id, time.Hour); err != nil {
			t.Error(err)
		}
		if err := s.SetBulk(); err != nil {
			t.Error(err)
		}
		l.Close()
		<-l.Done()
		if err := c.Burst(w.ctx(time.Second), a.id, time.Hour); err == nil {
			t.Error("a burst without a link")
		}
	})
}

// A circuit that began in a tick of a burst is none of its bulk ones.
func TestCircuitsOfTicksAreNotBulk(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		v := w.watchLink("3.0.0.1")
		c, a, l := w.shapedLink(Normal, func(_ context.Context, _ *Link, s *Stream) {
			go func() { _, _ = io.Copy(io.Discard, s) }()
			for {
				if _, err := s.Write(numbered(1)); err != nil {
					return
				}
			}
		})
		w.circuit(l)
		if err := c.Burst(w.ctx(time.Minute), a.id, 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		w.circuit(l)
		pass(warmFor)
		from := v.now()
		pass(20 * Normal.Tick())
		up, down := v.between(from, v.now())
		if u, d := len(withCells(up)), len(withCells(down)); u != 20 || d != 20 {
			t.Errorf("%d and %d cells in 20 ticks", u, d)
		}
	})
}

// TestBurstForgetsItsCircuits opens and resets bulk circuits for as long as a
// burst runs, which a client can make longer again and again.
func TestBurstForgetsItsCircuits(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		c, a, l := w.shapedLink(Normal, cellEcho)
		w.circuit(l) // or the link ends as unused
		pass(warmFor)
		if err := c.Burst(w.ctx(time.Minute), a.id, 5*time.Minute); err != nil {
			t.Fatal(err)
		}
		first := numbered(0)
		cell.Header{Type: cell.Create, Fragment: cell.FirstOfTwo}.Put(first)
		b := make([]byte, cell.Size)
		for range 100 {
			s, err := l.Open(w.ctx(time.Minute), KindCircuit)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.SetBulk(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write(first); err != nil {
				t.Fatal(err)
			}
			if err := readTrimmed(s, b); err != nil {
				t.Fatal(err)
			}
			reset(s)
			pass(time.Second)
		}
		for _, n := range []*node{c, a} {
			for _, h := range n.shapers() {
				h.mu.Lock()
				if len(h.bulks) > 2 {
					t.Errorf("%d bulk circuits are held after their end", len(h.bulks))
				}
				h.mu.Unlock()
			}
		}
	})
}
