package relay

import (
	"context"
	"math/bits"
	"runtime"
	"sync"
	"time"
)

// workers answers CREATE messages: a public-key operation of some hundred
// microseconds, which must not be done on the goroutine of whoever asks for
// it.
//
// Links take turns, and who asked for little lately comes first: the n-th
// CREATE of a link waits for no more than the first 2n of any other, so that a
// flood over many links delays those who make it, and nobody who builds a
// circuit now and then. A link that is new comes later, or a flood would take
// new ones all the time. And so that a flood leaves time for all else that the
// relay does, a worker pauses after a job of the later classes as long as that
// took; meanwhile it serves the earlier ones (SPEC.md §4.3).
type workers struct {
	n int
	// soon and late hold one token per queued job of the classes before and from
	// lateTurn on; workers wait on them.
	soon, late chan struct{}

	mu    sync.Mutex
	turns [turns][]job  // by how much their links asked for, served in this order
	cost  time.Duration // moving average of one handshake
}

type job struct {
	p      *peer
	queued time.Time
	run    func(late bool)
}

const (
	// turns is the number of classes: 0, 1, 2–3, 4–7 ... 64 and more CREATEs
	// lately, and newTurns more behind them.
	turns = 8 + newTurns
	// newTurns is how much later links come that asked for the first time less
	// than newLink ago.
	newTurns = 3
	newLink  = 30 * time.Second
	// lateTurn is the first class whose jobs have half of a worker's time at
	// most: those of links that are new or asked for four or more lately.
	lateTurn = newTurns
	// handshakeMost is how long a job counts at most, however long the process
	// was stopped in it.
	handshakeMost = 20 * time.Millisecond
	// maxQueued bounds a class and those before it, whatever handshakes cost.
	maxQueued = 8192
	// createMemory is the time in which half of what a link asked for is
	// forgotten.
	createMemory = 4 * time.Second
	// relayShare is how much more a relay's link may ask for than a client's
	// before it counts as asking for much.
	relayShare = relayCreateRate / clientCreateRate
)

func newWorkers() *workers {
	return &workers{
		n:    max(1, runtime.GOMAXPROCS(0)-1),
		soon: make(chan struct{}, turns*maxQueued), // never full: submit counts
		late: make(chan struct{}, turns*maxQueued),
		cost: handshakeCost,
	}
}

// submit queues a job of a link; it reports false if the job would wait too
// long. run is called once, on a worker, with late set if it did wait too
// long after all.
func (w *workers) submit(p *peer, run func(late bool)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	turn := p.asksLocked(now)
	ahead, times := 0, 0 // jobs, and how many times the cost of one they take
	for i, jobs := range w.turns[:turn+1] {
		ahead += len(jobs)
		times += len(jobs)
		if i >= lateTurn {
			times += len(jobs)
		}
	}
	if ahead >= maxQueued || w.cost*time.Duration(times)/time.Duration(w.n) > handshakeMaxDelay {
		return false
	}
	w.turns[turn] = append(w.turns[turn], job{p: p, queued: now, run: run})
	if turn < lateTurn {
		w.soon <- struct{}{}
	} else {
		w.late <- struct{}{}
	}
	return true
}

// asksLocked counts one more CREATE of the link and returns its turn.
func (p *peer) asksLocked(now time.Time) int {
	if p.askedFirst.IsZero() {
		p.askedFirst, p.askedAt = now, now
	}
	if halves := int(now.Sub(p.askedAt) / createMemory); halves > 0 {
		p.asked >>= min(halves, 31)
		p.askedAt = p.askedAt.Add(time.Duration(halves) * createMemory)
	}
	n := p.asked
	p.asked++
	switch {
	case p.relay:
		return min(bits.Len(uint(n/relayShare)), turns-1)
	case now.Sub(p.askedFirst) < newLink:
		return min(bits.Len(uint(n))+newTurns, turns-1)
	}
	return min(bits.Len(uint(n)), turns-newTurns-1)
}

// run serves the queue until ctx ends.
func (w *workers) run(ctx context.Context) {
	var wg sync.WaitGroup
	for range w.n {
		wg.Go(func() { w.work(ctx) })
	}
	wg.Wait()
}

// work is one worker.
func (w *workers) work(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	late := (<-chan struct{})(nil) // w.late but in a pause
	for {
		select {
		case <-w.soon:
			w.serve(w.next(0, lateTurn))
			runtime.Gosched()
			continue
		default:
		}
		select {
		case <-ctx.Done():
			return
		case <-w.soon:
			w.serve(w.next(0, lateTurn))
		case <-late:
			late = nil
			pause.Reset(w.serve(w.next(lateTurn, turns)))
		case <-pause.C:
			late = w.late
		}
		// Who waits for this answer, and all who came meanwhile, are to go on
		// before the next job: it keeps a processor for long.
		runtime.Gosched()
	}
}

// serve does a job and returns how long that took.
func (w *workers) serve(j job) time.Duration {
	start := time.Now()
	late := start.Sub(j.queued) > handshakeMaxAge
	j.run(late)
	if late {
		return 0
	}
	took := min(time.Since(start), handshakeMost)
	w.mu.Lock()
	w.cost += (took - w.cost) / 16
	w.mu.Unlock()
	return took
}

// next takes the first job of the classes from and up to, not including, to.
// There is one.
func (w *workers) next(from, to int) job {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := from; i < to; i++ {
		if jobs := w.turns[i]; len(jobs) > 0 {
			j := jobs[0]
			jobs[0] = job{}
			if w.turns[i] = jobs[1:]; len(jobs) == 1 {
				w.turns[i] = nil
			}
			return j
		}
	}
	panic("relay: a token without a job")
}
