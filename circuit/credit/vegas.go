package credit

import "time"

// Specification constants of the window (SPEC.md §3). All are cells unless
// said.
const (
	slowStep  = 16  // growth per SENDME in slow start
	slowUntil = 96  // queue that ends slow start
	growBelow = 64  // queue below which the window grows
	cutAbove  = 128 // queue above which it shrinks
	dropAbove = 192 // queue above which it falls to what the path holds and dropTo
	dropTo    = 160
	change    = 32 // growth or loss, once per window

	// On a fast path the queues that count above hold for less time than hosts
	// need to hand cells on in batches. There, all of them grow to what the path
	// delivers in settle, but at most by mostSettle.
	settle     = 6 * time.Millisecond
	mostSettle = 4

	minAge     = 5 * time.Second  // age at which the smallest round trip is measured anew
	probeTrips = 2                // round trips that measure it
	longest    = 30 * time.Second // round trips above it count as it
)

// vegas finds the window from round trips alone: what exceeds the smallest one
// was spent in queues (SPEC.md §3).
type vegas struct {
	window int
	max    int
	slow   bool // slow start
	full   int  // SENDMEs for which the window still counts as used up

	left  int           // SENDMEs until the window may change
	round time.Duration // smallest round trip since it might, 0 if none
	last  time.Duration // the last one, 0 if none

	min   time.Duration // smallest round trip, 0 if none
	minAt time.Duration // when it was last seen, about

	// While the smallest round trip is measured anew, the window is so small
	// that this sender has no queue. Marks after probeFrom count.
	probing   bool
	probeFrom uint64
	probeMin  time.Duration // 0 if none
	probeLeft int           // round trips to go
	before    int           // the window to return to
}

func newVegas(initial, maximum int) vegas {
	return vegas{window: initial, max: maximum, slow: true, left: initial / Step}
}

// filled notes that all of the window is in use. A window that was not used up
// says nothing about what the path holds, and does not grow.
func (v *vegas) filled() { v.full = v.window/Step + 1 }

// acknowledged takes the SENDME of a mark, which was sealed rtt ago, when
// sealed marks were sealed in all.
func (v *vegas) acknowledged(mark, sealed uint64, rtt, now time.Duration) {
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
	if v.min == 0 || rtt < v.min {
		v.min, v.minAt = rtt, now
	}
	if rtt <= v.min+v.min/8 {
		v.minAt = now
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
	case v.queue(both) >= v.scaled(slowUntil, both):
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
		switch q := v.queue(trip); {
		case q > v.scaled(dropAbove, trip):
			v.window = max(Min, min(v.window, v.holds(trip)+v.scaled(dropTo, trip)))
		case q > v.scaled(cutAbove, trip):
			v.window = max(Min, v.window-change)
		case q < v.scaled(growBelow, trip) && v.full > 0:
			v.window = min(v.window+change, v.max)
		}
	}
	age := now - v.minAt
	if age >= 0 && age <= minAge { // a clock that was set back makes it negative
		return
	}
	if v.window <= growBelow { // never too large, whatever the round trips
		return
	}
	if v.full == 0 { // nothing of ours waits in queues
		v.renew(trip, now)
		return
	}
	v.probing, v.probeFrom, v.probeMin, v.probeLeft = true, sealed, 0, probeTrips
	v.before = v.window
	v.window = min(v.window, max(Min, v.holds(trip)*7/8/Step*Step))
}

// probed takes a round trip of the small window.
func (v *vegas) probed(rtt, now time.Duration) {
	if rtt > 0 && (v.probeMin == 0 || rtt < v.probeMin) {
		v.probeMin = rtt
	}
	if v.probeLeft--; v.probeLeft > 0 {
		return
	}
	v.probing, v.window = false, v.before
	v.renew(v.probeMin, now)
	v.begin()
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
}

// scaled returns a queue on a path that delivers the window in trip.
func (v *vegas) scaled(queue int, trip time.Duration) int {
	if trip <= 0 {
		return queue
	}
	delivers := int(int64(v.window) * int64(settle) / int64(trip)) // in settle
	return queue * min(max(delivers, growBelow), mostSettle*growBelow) / growBelow
}

// queue returns how many cells of the window waited in queues if a round trip
// took trip.
func (v *vegas) queue(trip time.Duration) int {
	return v.window - v.holds(trip)
}

// holds returns how many cells of the window were on the way without waiting.
func (v *vegas) holds(trip time.Duration) int {
	if trip <= v.min {
		return v.window
	}
	return int(int64(v.window) * int64(v.min) / int64(trip))
}
