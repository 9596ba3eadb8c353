package sybil

import (
	"slices"

	"hearsay/directory"
)

// Specification constants of base weights (SPEC.md §8.1), in 1/1024 B/s where
// they are rates.
const (
	mebibyte      = 1 << 30
	equalRate     = 1 * mebibyte // of every relay while fewer than three are measured
	minMeasured   = 3
	enoughKnown   = 20 // measured relays that are vouched for or old
	medianTimes   = 8
	unmeasuredAt  = 10 // hundredths
	quartileAt    = 75
	minRate       = mebibyte / 2 // bounds of the rate of a measurement
	maxRate       = 4 * mebibyte
	guardRate     = 2 * mebibyte
	rampStart     = 2 * day
	rampEnd       = 30 * day
	rampLowest    = unit * 2 / 100
	rampSecond    = unit * 5 / 100
	wfuZero       = unit / 2        // WFU at which the weight is nothing
	wfuSpan       = unit * 45 / 100 // above that it rises to the whole
	declaredShift = 20              // KiB/s to 1/1024 B/s
)

// bandwidth is what was measured of the whole network.
type bandwidth struct {
	measured   int
	equal      bool
	median     uint64
	unmeasured uint64 // of a relay that nobody measured
	guard      uint64 // least of a guard
}

// measureAll sums up measurements and gives each relay its base weight. What is
// usual is told by relays that are no strangers or old, if there are enough of
// them: a crowd of fast newcomers must not raise the bar for all guards.
func (d *docket) measureAll() {
	var list, all []uint64
	for _, r := range d.listed {
		if r.measured == 0 {
			continue
		}
		all = append(all, r.rate())
		if r.exempt() || uint64(r.h.Listed) >= d.span(cohortAge) {
			list = append(list, r.rate())
		}
	}
	if len(list) < enoughKnown {
		list = all
	}
	b := bandwidth{measured: len(all), equal: len(all) < minMeasured, median: equalRate, unmeasured: equalRate}
	if !b.equal {
		slices.Sort(list)
		b.median, b.unmeasured = rank(list, 50), rank(list, unmeasuredAt)
		b.guard = rank(list, quartileAt)
		if d.trusted {
			b.guard = b.median
		}
		rate := min(max(medianTimes*b.median, minRate), maxRate)
		b.guard = min(b.guard, guardRate, rate/2)
	}
	d.bandwidth = b
	for _, r := range d.listed {
		switch {
		case b.equal:
			r.bandwidth = equalRate
		case r.measured == 0:
			r.bandwidth = r.declared(b.unmeasured)
		default:
			r.bandwidth = r.rate()
		}
		r.wfu = share(uint64(r.h.WFUUp), uint64(r.h.WFUKnown))
		r.ramp, r.steady = unit, unit
		if !d.few() {
			r.ramp = d.rampOf(uint64(r.h.Listed))
			r.steady = min(unit, mulDiv(max(r.wfu, wfuZero)-wfuZero, unit, wfuSpan))
		}
		r.base = min(r.bandwidth, medianTimes*b.median) * r.ramp >> unitBits * r.steady >> unitBits
	}
}

// few tells whether so few relays are listed that every one of them is needed.
func (d *docket) few() bool { return len(d.listed) < smallNetwork }

// rate is the measured bandwidth, at most the declared one.
func (r *relay) rate() uint64 { return r.declared(r.measured) }

func (r *relay) declared(rate uint64) uint64 {
	if r.d.Declared == 0 || r.d.Declared > maxMeasured>>declaredShift {
		return rate
	}
	return min(rate, r.d.Declared<<declaredShift)
}

// rampOf is the part of its weight that a relay of an age has, in units.
func (d *docket) rampOf(age uint64) uint64 {
	start, end := d.threshold(rampStart), d.threshold(rampEnd)
	switch {
	case age < start:
		return rampLowest
	case age >= end:
		return unit
	}
	return max(rampSecond, mulDiv(age-start, unit, end-start))
}

// meanRun is the mean time between failures, the present run among them, in
// seconds.
func meanRun(h *directory.History) uint64 {
	n, sum := uint64(h.MTBFCount), uint64(h.MTBFSum)
	if h.Run > 0 {
		n++
		sum += uint64(h.Run)
	}
	if n == 0 {
		return 0
	}
	return sum / n
}
