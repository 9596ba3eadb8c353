package relay

import (
	"time"

	"golang.org/x/time/rate"
)

// passBelow is how far a limit may be behind for quiet circuits to pass it.
const passBelow = 5 * time.Second

// pace waits until n bytes fit the circuit's own limit and those that it shares
// with others, nil ones being none; it reports false if done was closed first.
//
// It is called once per batch, so that circuits take turns at a shared limit,
// batch by batch. A quiet one does not stand in that line: its bytes count, and
// whoever comes next waits for them too, unless the limit is behind by so much
// that quiet circuits alone may have used it up (SPEC.md §4.1).
func pace(n int, quiet bool, done <-chan struct{}, own *rate.Limiter, shared ...*rate.Limiter) bool {
	now := time.Now()
	wait := behind(own, n, now)
	for _, l := range shared {
		if d := behind(l, n, now); !quiet || d >= passBelow {
			wait = max(wait, d)
		}
	}
	if wait == 0 {
		return true
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-done:
		return false
	}
}

// behind takes n bytes from a limit and returns how long until it has them.
func behind(l *rate.Limiter, n int, now time.Time) time.Duration {
	if l == nil {
		return 0
	}
	return l.ReserveN(now, n).DelayFrom(now)
}
