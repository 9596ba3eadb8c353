package relay

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// workers answers CREATE messages: a public-key operation of some hundred
// microseconds, which must not be done on the goroutine of whoever asks for
// it. Each link has a queue, served in turn, so that one link's flood delays
// only itself.
type workers struct {
	n    int
	work chan struct{} // one token per queued job; workers wait on it

	mu     sync.Mutex
	turn   []*peer // links with queued jobs, in order of their turn
	queued int
	cost   time.Duration // moving average of one handshake
}

type job struct {
	queued time.Time
	run    func(late bool)
}

// maxQueued bounds the queue whatever the handshakes cost.
const maxQueued = 8192

func newWorkers() *workers {
	return &workers{
		n:    max(1, runtime.GOMAXPROCS(0)-1),
		work: make(chan struct{}, maxQueued), // never full: submit counts
		cost: handshakeCost,
	}
}

// submit queues a job of a link; it reports false if the job would wait too
// long. run is called once, on a worker, with late set if it did wait too
// long after all.
func (w *workers) submit(p *peer, run func(late bool)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queued == maxQueued || w.cost*time.Duration(w.queued)/time.Duration(w.n) > handshakeMaxDelay {
		return false
	}
	if len(p.jobs) == 0 {
		w.turn = append(w.turn, p)
	}
	p.jobs = append(p.jobs, job{queued: time.Now(), run: run})
	w.queued++
	w.work <- struct{}{}
	return true
}

// run serves the queue until ctx ends.
func (w *workers) run(ctx context.Context) {
	var wg sync.WaitGroup
	for range w.n {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-w.work:
				}
				w.one()
			}
		})
	}
	wg.Wait()
}

func (w *workers) one() {
	w.mu.Lock()
	p := w.turn[0]
	w.turn = w.turn[1:]
	j := p.jobs[0]
	p.jobs = p.jobs[1:]
	if len(p.jobs) > 0 {
		w.turn = append(w.turn, p)
	}
	w.queued--
	w.mu.Unlock()

	start := time.Now()
	late := start.Sub(j.queued) > handshakeMaxAge
	j.run(late)
	if late {
		return
	}
	took := time.Since(start)
	w.mu.Lock()
	w.cost += (took - w.cost) / 16
	w.mu.Unlock()
}
