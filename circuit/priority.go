package circuit

import (
	"math"
	"slices"
	"sync"
	"time"
)

// Specification constants of priorities (SPEC.md §5.3). Lower urgencies go
// first.
const (
	urgencyFirst = 1  // of the first cells of a circuit
	firstCells   = 32 // that count as such: it is being built, or answers
	urgencyQuiet = 2  // of the circuit that sends least
	urgencyBulk  = 6  // of the one that sends most
	rateHalfLife = 30 * time.Second
	rankEvery    = 250 * time.Millisecond
)

// ranking orders the circuits of one link by what they sent of late, so that
// an interactive one does not wait behind a bulk one. QUIC decides late which
// stream a packet takes from; this tells it in which order. It is safe for
// concurrent use.
type ranking struct {
	mu   sync.Mutex
	list []*rank
	last time.Time
}

// rank is one circuit in a ranking, whose mu guards it.
type rank struct {
	set     func(urgency int8, incremental bool)
	bulk    bool
	total   int
	recent  float64 // cells, each counted half as much after rateHalfLife
	at      time.Time
	urgency int8
}

// add puts a circuit into the ranking; set tells QUIC.
func (r *ranking) add(k *rank) {
	k.urgency = urgencyFirst
	if k.bulk {
		k.urgency = urgencyBulk
	}
	k.set(k.urgency, true)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, k)
}

func (r *ranking) remove(k *rank) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.list, k); i >= 0 {
		r.list = slices.Delete(r.list, i, i+1)
	}
}

// sent counts n cells of a circuit, and ranks all of them now and then.
func (r *ranking) sent(k *rank, n int, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k.total += n
	k.decay(now)
	k.recent += float64(n)
	// QUIC forgets a new order slowly if it comes with each write.
	if now.Sub(r.last) >= rankEvery {
		r.last = now
		r.rankLocked(now)
	}
}

func (k *rank) decay(now time.Time) {
	if d := now.Sub(k.at); d > 0 {
		k.recent *= math.Exp2(-d.Seconds() / rateHalfLife.Seconds())
		k.at = now
	}
}

// rankLocked gives each circuit the urgency of its quantile.
func (r *ranking) rankLocked(now time.Time) {
	for _, k := range r.list {
		k.decay(now)
	}
	slices.SortStableFunc(r.list, func(a, b *rank) int {
		switch {
		case a.recent < b.recent:
			return -1
		case a.recent > b.recent:
			return 1
		}
		return 0
	})
	for i, k := range r.list {
		u := int8(urgencyQuiet)
		switch {
		case k.bulk:
			u = urgencyBulk
		case k.total < firstCells:
			u = urgencyFirst
		case len(r.list) > 1:
			u += int8(i * (urgencyBulk - urgencyQuiet) / (len(r.list) - 1))
		}
		if u != k.urgency {
			k.urgency = u
			k.set(u, true)
		}
	}
}
