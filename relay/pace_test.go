package relay

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"hearsay/circuit/cell"
)

const batchBytes = batchCells * cell.Size

// paced runs circuits that send batches of n bytes over one limit as fast as it
// lets them, until ctx ends, and returns what each has sent.
func paced(ctx context.Context, wg *sync.WaitGroup, l *rate.Limiter, circuits, n int, quiet bool) []atomic.Int64 {
	sent := make([]atomic.Int64, circuits)
	for i := range sent {
		wg.Go(func() {
			for pace(n, quiet, ctx.Done(), nil, l) {
				sent[i].Add(int64(n))
			}
		})
	}
	return sent
}

// TestCircuitsTakeTurnsAtALimit: each gets as much as any other, and a quiet one
// is not held back by all of them.
func TestCircuitsTakeTurnsAtALimit(t *testing.T) {
	const bandwidth, circuits, length = 10 << 20, 200, time.Minute
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), length)
		defer cancel()
		var wg sync.WaitGroup
		l := rate.NewLimiter(bandwidth, bandwidth)
		l.ReserveN(time.Now(), bandwidth) // the burst is for who comes first
		sent := paced(ctx, &wg, l, circuits, batchBytes, false)
		var longest time.Duration
		for ctx.Err() == nil {
			<-time.After(time.Second)
			start := time.Now()
			if !pace(cell.Size, true, nil, nil, l) {
				t.Error("a quiet circuit was turned away")
			}
			longest = max(longest, time.Since(start))
		}
		wg.Wait()
		if longest > 0 {
			t.Errorf("a quiet circuit waited for %v", longest)
		}
		least, most, all := sent[0].Load(), int64(0), int64(0)
		for i := range sent {
			n := sent[i].Load()
			least, most, all = min(least, n), max(most, n), all+n
		}
		if most-least > batchBytes {
			t.Errorf("one sent %d bytes, another %d", most, least)
		}
		if limit := int64(bandwidth * length.Seconds()); all > limit || all < limit*99/100 {
			t.Errorf("%d bytes in all, want %d", all, limit)
		}
	})
}

// TestQuietCircuitsKeepToTheLimit: even if there are so many that they alone
// exceed it.
func TestQuietCircuitsKeepToTheLimit(t *testing.T) {
	const bandwidth, length = 1 << 20, time.Minute
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), length)
		defer cancel()
		var wg sync.WaitGroup
		sent := paced(ctx, &wg, rate.NewLimiter(bandwidth, bandwidth), 100, cell.Size, true)
		wg.Wait()
		all := int64(0)
		for i := range sent {
			all += sent[i].Load()
		}
		if most := int64(bandwidth * (length + time.Second + passBelow).Seconds()); all > most+100*cell.Size {
			t.Errorf("%d bytes, at most %d", all, most)
		}
	})
}

// TestQuietCircuitsHaveALimitOfTheirOwn: that one they never pass.
func TestQuietCircuitsHaveALimitOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := rate.NewLimiter(cell.Size, cell.Size)
		start := time.Now()
		for range 11 {
			pace(cell.Size, true, nil, own)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v, want 10 s", took)
		}
	})
}

// TestBusyCircuitsAreKnown: the average of a direction says who waits.
func TestBusyCircuitsAreKnown(t *testing.T) {
	bubble(t, 1, nil, func(t *testing.T, m *memNet) {
		c := m.client()
		if err := c.build(m.relays[0]); err != nil {
			t.Fatal(err)
		}
		defer reset(c.s)
		k := m.sw[0].all(nil)[0]
		if k.upBusy.Load() || k.downBusy.Load() {
			t.Error("a new circuit is busy")
		}
		for range 4 {
			for range cell.CreditStep {
				c.send(0, cell.Message{Command: cell.Echo, Data: make([]byte, cell.DataSize)})
			}
			for range cell.CreditStep {
				if _, _, err := c.recv(); err != nil {
					t.Fatal(err)
				}
			}
			advance(50 * time.Millisecond)
		}
		advance(janitorEvery)
		if !k.downBusy.Load() {
			t.Errorf("one that sent %d cells is not busy", 4*cell.CreditStep)
		}
		advance(5 * averageHalf)
		if k.downBusy.Load() {
			t.Error("one that sends nothing for minutes is busy")
		}
	})
}
