package path

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Specification constants of build timeouts (SPEC.md §7).
const (
	profiles       = 4    // cover profiles, each with a history of its own
	buildSamples   = 1000 // kept of each
	buildBin       = 10 * time.Millisecond
	buildModes     = 10               // fullest bins that give Xm
	buildLearned   = 100              // samples from which the estimate stands alone
	buildEarly     = 20               // samples from which it serves, above a floor
	earlyFloor     = 10 * time.Second // while fewer than buildLearned
	buildFloor     = 1 * time.Second  // from then on
	buildInitial   = 10 * time.Second // plus ticks
	ticksPerHop    = 4                //
	giveQuantile   = 0.80             // of builds that will be waited for
	closeQuantile  = 0.99             // of builds that will be measured
	recentBuilds   = 20               // outcomes looked at for a changed network
	recentTimeouts = 18               // of them, timeouts after which the history is dropped
	maxDoublings   = 2                // of the initial timeout
	abandoned      = math.MaxUint16   // the bin of builds that never ended
	longestBuild   = abandoned - 1    // the last bin of builds that did
	threeHops      = 3 * (3 + 1) / 2  // hop extensions that a build of three hops crosses
)

// ticks are the times between two cells of the profiles off, saver, normal and
// fast. Off has none: nothing waits for a tick there.
var ticks = [profiles]time.Duration{0, 5 * time.Second, 2 * time.Second, time.Second}

// buildTimes is the history of one profile. Times are counted in bins, so that
// a restart changes no estimate.
type buildTimes struct {
	bins    []uint16 // a ring of at most buildSamples
	next    int      // where the ring goes on when it is full
	doubled int      // how often the initial timeout was doubled

	recent  [recentBuilds]bool // the last outcomes; true is a timeout
	recents int                // outcomes ever put there since the last reset

	fresh       bool // give and closing hold for bins
	give, close time.Duration
}

// BuildTimeout returns how long to wait for a circuit of 1 to 4 hops before
// another is begun in its place, and after what time, counted from the same
// start, it is closed: in between it may still complete, which must be told to
// BuildTook so that the estimate learns of slow builds too.
func (s *Selector) BuildTimeout(profile byte, hops int) (give, closeAt time.Duration) {
	p := int(profile) % profiles
	hops = min(max(hops, 1), 4)
	b := &s.times[p]
	initial := (buildInitial + ticksPerHop*time.Duration(hops)*ticks[p]) << b.doubled
	if len(b.bins) < buildEarly || !b.estimate() {
		return initial, 2 * initial
	}
	floor := earlyFloor
	if len(b.bins) >= buildLearned {
		floor = buildFloor
	}
	// A hop at depth n costs n links there and back (SPEC.md §7.2).
	scale := func(d time.Duration) time.Duration { return d * time.Duration(hops*(hops+1)/2) / threeHops }
	give = min(max(scale(b.give), floor), 4*initial)
	closeAt = min(max(scale(b.close), initial, give), 8*initial)
	return give, closeAt
}

// BuildTook notes that a circuit was completed after d. Only builds of three
// hops teach anything; others are ignored.
func (s *Selector) BuildTook(profile byte, hops int, d time.Duration) {
	if hops != 3 {
		return
	}
	b := &s.times[int(profile)%profiles]
	give, _ := s.BuildTimeout(profile, hops)
	b.add(uint16(min(max(d, 0)/buildBin, longestBuild)))
	if d <= give { // a later one was counted by BuildTimedOut
		b.note(false)
	}
	s.changedALittle()
}

// BuildTimedOut notes that a circuit was not complete when the first of the two
// times of BuildTimeout had passed. If nearly all of the last builds end so, the
// network has changed and the history is dropped.
func (s *Selector) BuildTimedOut(profile byte, hops int) {
	if hops != 3 {
		return
	}
	b := &s.times[int(profile)%profiles]
	b.note(true)
	if b.recents < recentBuilds {
		return
	}
	timeouts := 0
	for _, out := range b.recent {
		if out {
			timeouts++
		}
	}
	if timeouts < recentTimeouts {
		return
	}
	// Where even the initial time was too short, it is doubled.
	give, _ := s.BuildTimeout(profile, 3)
	doubled := b.doubled
	if initial := (buildInitial + ticksPerHop*3*ticks[int(profile)%profiles]) << doubled; give >= initial {
		doubled = min(doubled+1, maxDoublings)
	}
	*b = buildTimes{doubled: doubled}
	s.dirty = true
}

// BuildAbandoned notes that a circuit was closed incomplete when the second of
// the two times of BuildTimeout had passed.
func (s *Selector) BuildAbandoned(profile byte, hops int) {
	if hops != 3 {
		return
	}
	s.times[int(profile)%profiles].add(abandoned)
	s.changedALittle()
}

func (b *buildTimes) add(bin uint16) {
	b.fresh = false
	if len(b.bins) < buildSamples {
		b.bins = append(b.bins, bin)
	} else {
		b.bins[b.next] = bin
		b.next = (b.next + 1) % buildSamples
	}
	if len(b.bins) >= buildLearned {
		b.doubled = 0
	}
}

func (b *buildTimes) note(timeout bool) {
	b.recent[b.recents%recentBuilds] = timeout
	b.recents++
	if b.recents == 2*recentBuilds {
		b.recents = recentBuilds
	}
}

// estimate fits a Pareto distribution to the history and takes its quantiles
// (SPEC.md §7.1). It returns false if no build ended.
func (b *buildTimes) estimate() bool {
	if b.fresh {
		return b.give > 0
	}
	b.fresh, b.give, b.close = true, 0, 0
	sorted := slices.Clone(b.bins)
	slices.Sort(sorted)
	n := len(sorted)
	ended := n
	for ended > 0 && sorted[ended-1] == abandoned {
		ended--
	}
	if ended == 0 {
		return false
	}
	longest := middle(sorted[ended-1])
	xm := mode(sorted[:ended])
	// The likelihood estimate of the exponent; what lies below Xm counts as Xm
	// and what never ended as the longest time.
	sum := float64(n-ended) * math.Log(max(longest, xm)/xm)
	for _, bin := range sorted[:ended] {
		sum += math.Log(max(middle(bin), xm) / xm)
	}
	quantile := func(q float64) float64 { return xm * math.Pow(1-q, -sum/float64(n)) }
	b.give = time.Duration(min(quantile(giveQuantile), longest) * float64(time.Second))
	b.close = time.Duration(min(quantile(closeQuantile), 2*longest) * float64(time.Second))
	return true
}

// middle returns the middle of a bin in seconds.
func middle(bin uint16) float64 { return (float64(bin) + 0.5) * buildBin.Seconds() }

// mode returns the mean of the fullest bins, weighted by what they hold, in
// seconds: the Xm of the distribution. sorted is not empty.
func mode(sorted []uint16) float64 {
	type bin struct {
		at    uint16
		count int
	}
	var bins []bin
	for i, at := range sorted {
		if i > 0 && sorted[i-1] == at {
			bins[len(bins)-1].count++
		} else {
			bins = append(bins, bin{at, 1})
		}
	}
	slices.SortStableFunc(bins, func(a, b bin) int { return b.count - a.count })
	sum, count := 0.0, 0
	for _, m := range bins[:min(buildModes, len(bins))] {
		sum += middle(m.at) * float64(m.count)
		count += m.count
	}
	return sum / float64(count)
}

// history returns what is kept of the times.
func (b *buildTimes) history() Times {
	t := Times{Doubled: uint8(b.doubled)}
	sorted := slices.Clone(b.bins)
	slices.Sort(sorted)
	for i, at := range sorted {
		if i > 0 && sorted[i-1] == at {
			t.Bins[len(t.Bins)-1].Count++
		} else {
			t.Bins = append(t.Bins, Bin{at, 1})
		}
	}
	return t
}

// restore takes what was kept. Its order is lost; it is shuffled, so that the
// history forgets short and long builds alike.
func (b *buildTimes) restore(t Times, rnd *rand.Rand) {
	*b = buildTimes{doubled: int(t.Doubled)}
	for _, bin := range t.Bins {
		for range bin.Count {
			b.bins = append(b.bins, bin.At)
		}
	}
	rnd.Shuffle(len(b.bins), func(i, j int) { b.bins[i], b.bins[j] = b.bins[j], b.bins[i] })
}
