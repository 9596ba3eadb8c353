package path

import (
	"math/rand/v2"
	"time"

	"hearsay/directory"
)

// Specification constants of the back-off (SPEC.md §5).
const (
	backoffMin = time.Second
	backoffMax = 10 * time.Minute
)

// backoff remembers which relays failed and until when they are left alone.
// Its size is bounded by the relays of the view.
type backoff map[directory.RelayID]fault

type fault struct {
	failures int
	until    time.Time
}

// fail notes a failure: the longest wait doubles from one second to ten
// minutes, and the wait is drawn uniformly below it, so that many clients do
// not come back at once. Attempts that began before the wait and end during it
// say nothing new: many circuits fail together when one relay dies, and would
// otherwise keep the relays before it away for minutes.
func (b backoff) fail(rnd *rand.Rand, id directory.RelayID, now time.Time, divide time.Duration) {
	f := b[id]
	if now.Before(f.until) {
		return
	}
	f.failures = min(f.failures+1, 16)
	longest := min(backoffMax, backoffMin<<f.failures)
	wait := backoffMin + time.Duration(rnd.Int64N(int64(longest-backoffMin)+1))
	f.until = now.Add(wait / divide)
	b[id] = f
}

// until returns when the relay may be tried again; the zero time means now.
func (b backoff) until(id directory.RelayID) time.Time { return b[id].until }

func (b backoff) waits(id directory.RelayID, now time.Time) bool { return now.Before(b[id].until) }
