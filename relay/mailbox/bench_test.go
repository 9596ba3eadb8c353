package mailbox

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkSend measures SENDs that are synced to a real disk before their OK,
// with all cryptography of the relay: every writer is a circuit of its own that
// keeps depth SENDs in flight into its own queue, whose owner acknowledges. The
// clients' MACs are part of it.
func BenchmarkSend(b *testing.B) {
	for _, w := range []struct{ writers, depth int }{{1, 1}, {64, 1}, {256, 1}, {64, 8}, {256, 4}} {
		for _, rates := range []bool{false, true} {
			if rates && w.writers*w.depth != 64 {
				continue
			}
			name := fmt.Sprintf("writers=%d/depth=%d/rates=%v", w.writers, w.depth, rates)
			b.Run(name, func(b *testing.B) { benchmarkSend(b, w.writers, w.depth, rates) })
		}
	}
}

func benchmarkSend(b *testing.B, writers, depth int, rates bool) {
	s := prepareServer(b, true)
	s.cfg.TestOnlyNoRates = !rates
	s.sync = true
	s.start()
	defer s.shutdown()
	peers, queues := make([]*peer, writers), make([]*queue, writers)
	for i := range peers {
		peers[i] = s.peer()
		defer peers[i].session.Close()
		queues[i] = peers[i].create(KindChat)
		peers[i].subscribe(queues[i], 0, 0, false)
	}
	var mu sync.Mutex
	var took []time.Duration
	todo := make(chan struct{}, b.N)
	for range b.N {
		todo <- struct{}{}
	}
	close(todo)
	b.ResetTimer()
	start := time.Now()
	var wg sync.WaitGroup
	for i, p := range peers {
		wg.Go(func() {
			q := queues[i]
			var at []time.Time
			var mine []time.Duration
			n := 0
			collect := func() {
				p.want(CmdOK)
				mine = append(mine, time.Since(at[0]))
				at = at[1:]
			}
			for range todo {
				if len(at) == depth {
					collect()
				}
				at = append(at, time.Now())
				p.must(CmdSend, p.sendCommand(q, n))
				if n++; n%64 == 0 {
					p.ack(q, uint64(n-depth))
				}
			}
			for len(at) > 0 {
				collect()
			}
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "SEND/s")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*50/100].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkRestart opens a store with 100 000 blocks.
func BenchmarkRestart(b *testing.B) {
	s := startFast(b)
	p := s.peer()
	s.cfg.TestOnlyNoRates = true
	for left := 100_000; left > 0; left -= 500 {
		s.fillQueue(b, 500)
	}
	p.session.Close()
	for b.Loop() {
		s.shutdown()
		s.start()
	}
	if n := s.Stats().Blocks; n != 100_000 {
		b.Errorf("%d blocks", n)
	}
	s.shutdown()
}
