package credit

import (
	"math"
	"time"
)

// Specification constants of the window (SPEC.md §3). All are cells unless
// said.
const (
	slowStep = 16 // growth per SENDME in slow start
	change   = 32 // growth or loss, once per window

	// A queue below which the window grows is what the path holds, but within
	// leastGrow and mostGrow; or if that is more, what the path delivers in
	// settle, but at most mostSettle. The other thresholds are multiples of it,
	// in halves.
	leastGrow  = 16
	mostGrow   = 64
	settle     = 4 * time.Millisecond
	mostSettle = 256
	slowUntil  = 3 // ends slow start
	cutAbove   = 4 // the window shrinks
	dropTo     = 5 // it falls to what the path holds and this
	dropAbove  = 6 // if the queue is above this

	minAge     = 5 * time.Second  // age at which the smallest round trip is measured anew
	probeTrips = 2                // round trips that measure it
	baseGrow   = 4                // base grows by this part of it
	longest    = 30 * time.Second // round trips above it count as it
)

// vegas finds the window from round trips alone: what exceeds the smallest one
// was spent in queues (SPEC.md §3).
type vegas struct {
	window int
	max    int
	full   int // SENDMEs for which the window still counts as used up

	left  int           // SENDMEs until the window may change
	round time.Duration // smallest round trip since it might, 0 if none
	last  time.Duration // the last one, 0 if none

	min   time.Duration // smallest round trip, 0 if none
	minAt time.Duration // when it was last seen, about
	base  time.Duration // like min, but grows slowly if min is measured anew

	// While the smallest round trip is measured anew, the window is so small
	// that this sender has no queue. Marks after probeFrom count.
	probeFrom uint64
	probeMin  time.Duration // 0 if none
	probeLeft int           // round trips to go
	before    int           // the window to return to

	fixed     bool // the window never changes
	slow      bool // slow start
	probing   bool // the smallest round trip is measured anew
	returning bool // the window is on its way to before
}

func newVegas(initial, maximum int) vegas {
	return vegas{window: initial, max: maximum, fixed: initial == maximum, slow: true, left: initial / Step}
}

// filled notes that all of the window is in use. A window that was not used up
// says nothing about what the path holds, and does not grow.
func (v *vegas) filled() { v.full = v.window/Step + 1 }

// acknowledged takes the SENDME of a mark, which was sealed rtt ago, when
// sealed marks were sealed in all.
func (v *vegas) acknowledged(mark, sealed uint64, rtt, now time.Duration) {
	if v.fixed {
		return
	}
	rtt = min(rtt, longest)
	if rtt > 0 { // else the clock stood still or was set back
		v.measure(rtt, now)
	}
	if v.probing {
		if mark > v.probeFrom {
			v.probed(rtt, now)
		}
		return
	}
	if v.returning {
		v.back()
		return
	}
	if v.slow && rtt > 0 {
		v.slowStart(rtt)
	}
	v.full = max(0, v.full-1)
	if v.left--; v.left > 0 {
		return
	}
	if v.round > 0 {
		v.adapt(sealed, now)
	}
	v.begin()
}

// begin starts a round: the window changes when as many SENDMEs came as it
// holds.
func (v *vegas) begin() { v.left, v.round = max(1, v.window/Step), 0 }

// measure keeps the smallest round trips. One near the smallest shows that it
// is still true.
func (v *vegas) measure(rtt, now time.Duration) {
	if v.round == 0 || rtt < v.round {
		v.round = rtt
	}
	v.atMost(rtt, now)
	if rtt <= v.min+v.min/8 {
		v.minAt = now
	}
}

// atMost takes a time at now that no round trip without queues exceeds.
func (v *vegas) atMost(trip, now time.Duration) {
	if trip <= 0 {
		return
	}
	if v.min == 0 || trip < v.min {
		v.min, v.minAt = trip, now
	}
	if v.base == 0 || trip < v.base {
		v.base = trip
	}
}

// slowStart grows with each SENDME. The smaller of two round trips counts, so
// that one late SENDME does not end it.
func (v *vegas) slowStart(rtt time.Duration) {
	both := rtt
	if v.last > 0 {
		both = min(rtt, v.last)
	}
	v.last = rtt
	switch {
	case v.queue(both) >= v.grow(both)*slowUntil/2:
		v.slow = false
		v.begin()
	case v.full > 0:
		v.window = min(v.window+slowStep, v.max)
	}
}

// adapt changes the window once per window, and sees to the age of the
// smallest round trip.
func (v *vegas) adapt(sealed uint64, now time.Duration) {
	trip := v.round
	if !v.slow {
		switch q, g := v.queue(trip), v.grow(trip); {
		case q > g*dropAbove/2:
			v.window = max(Min, min(v.window, v.holds(trip)+g*dropTo/2))
		case q > g*cutAbove/2:
			v.window = max(Min, v.window-change)
		case q < g && v.full > 0:
			v.window = min(v.window+change, v.max)
		}
	}
	age := now - v.minAt
	if age >= 0 && age <= minAge { // a clock that was set back makes it negative
		return
	}
	if v.queue(trip) < v.grow(trip) { // too large or not, it holds nothing down
		return
	}
	if v.full == 0 { // nothing of ours waits in queues
		v.renew(trip, now)
		return
	}
	v.probing, v.probeFrom, v.probeMin, v.probeLeft = true, sealed, 0, probeTrips
	v.before = v.window
	most, least := v.holds(trip)*7/8, v.holds(trip)/4
	v.window = min(v.window, max(Min, min(max(v.part(v.base, trip), least), most)/Step*Step))
}

// probed takes a round trip of the small window.
func (v *vegas) probed(rtt, now time.Duration) {
	if rtt > 0 && (v.probeMin == 0 || rtt < v.probeMin) {
		v.probeMin = rtt
	}
	if v.probeLeft--; v.probeLeft > 0 {
		return
	}
	v.probing, v.returning = false, true
	v.renew(v.probeMin, now)
	v.back()
}

// back lets the window return, at most twice as large with each round trip: all
// at once would be a burst.
func (v *vegas) back() {
	v.window = min(v.window+slowStep, v.before)
	if v.window == v.before {
		v.returning = false
		v.begin()
	}
}

// renew replaces the smallest round trip. If the old one was far too small, it
// held the window down for no reason.
func (v *vegas) renew(trip, now time.Duration) {
	v.minAt = now
	if trip == 0 {
		return
	}
	if trip > 2*v.min {
		v.slow, v.last = true, 0
	}
	v.min = trip
	v.base = min(trip, v.base+v.base/baseGrow)
}

// grow returns the queue below which the window grows, if a round trip took
// trip.
func (v *vegas) grow(trip time.Duration) int {
	g := min(max(v.part(v.base, trip), leastGrow), mostGrow)
	if trip <= 0 {
		return g
	}
	delivers := float64(v.window) * float64(settle) / float64(trip)
	return max(g, min(int(math.Sqrt(mostGrow*delivers)), mostSettle))
}

// queue returns how many cells of the window waited in queues if a round trip
// took trip.
func (v *vegas) queue(trip time.Duration) int {
	return v.window - v.holds(trip)
}

// holds returns how many cells of the window were on the way without waiting.
func (v *vegas) holds(trip time.Duration) int { return v.part(v.min, trip) }

// part returns the part of the window that is on the way for short, out of trip.
func (v *vegas) part(short, trip time.Duration) int {
	if trip <= short {
		return v.window
	}
	return int(int64(v.window) * int64(short) / int64(trip))
}
