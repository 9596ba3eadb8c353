package path

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func seconds(f float64) time.Duration { return time.Duration(f * float64(time.Second)) }

func pareto(rnd *rand.Rand, xm, alpha float64) time.Duration {
	return seconds(xm / math.Pow(1-rnd.Float64(), 1/alpha))
}

// learn fills the history of the profile off with draws, without asking for the
// timeout after each.
func learn(s *Selector, n int, draw func() time.Duration) {
	for range n {
		s.times[0].add(uint16(draw() / buildBin))
	}
}

// TestInitialTimeouts: ten seconds and four ticks per hop, before anything is
// known.
func TestInitialTimeouts(t *testing.T) {
	s := New(testNetwork, false, newRand(1))
	for profile, tick := range []time.Duration{0, 5 * time.Second, 2 * time.Second, time.Second} {
		for hops := 1; hops <= 4; hops++ {
			give, closeAt := s.BuildTimeout(byte(profile), hops)
			if want := 10*time.Second + time.Duration(4*hops)*tick; give != want || closeAt != 2*want {
				t.Errorf("profile %d, %d hops: %v, %v", profile, hops, give, closeAt)
			}
		}
	}
	// Out of range counts as something in range.
	s.BuildTimeout(255, -1)
	s.BuildTook(255, 99, -time.Hour)
	s.BuildTimedOut(255, 3)
	s.BuildAbandoned(255, 3)
}

// TestParetoEstimate compares the quantiles with those of known distributions.
func TestParetoEstimate(t *testing.T) {
	for _, c := range []struct{ xm, alpha float64 }{{2, 1.5}, {1.5, 3}, {3, 6}, {5, 2}} {
		for seed := range uint64(5) {
			rnd := newRand(seed)
			s := New(testNetwork, false, newRand(1))
			learn(s, buildSamples, func() time.Duration { return min(pareto(rnd, c.xm, c.alpha), longestBuild*buildBin) })
			give, closeAt := s.BuildTimeout(0, 3)
			want := min(seconds(c.xm/math.Pow(1-giveQuantile, 1/c.alpha)), 40*time.Second)
			if ratio := give.Seconds() / want.Seconds(); ratio < 0.85 || ratio > 1.2 {
				t.Errorf("xm %v, alpha %v: give %v, want about %v", c.xm, c.alpha, give, want)
			}
			if closeAt < give || closeAt < buildInitial || closeAt > 8*buildInitial {
				t.Errorf("xm %v, alpha %v: close %v", c.xm, c.alpha, closeAt)
			}
			// What counts: a fifth of all builds takes longer.
			longer := 0
			for range 10_000 {
				if pareto(rnd, c.xm, c.alpha) > give {
					longer++
				}
			}
			if give < 40*time.Second && (longer < 1200 || longer > 2800) {
				t.Errorf("xm %v, alpha %v: %d of 10000 builds time out", c.xm, c.alpha, longer)
			}
		}
	}
}

// TestOtherDistributions: builds are not really Pareto. Of the sum of six link
// times and of builds that wait for ticks, still most complete in time.
func TestOtherDistributions(t *testing.T) {
	for name, draw := range map[string]func(*rand.Rand) time.Duration{
		"six exponential links": func(rnd *rand.Rand) time.Duration {
			sum := 0.5
			for range 6 {
				sum += 0.25 * rnd.ExpFloat64()
			}
			return seconds(sum)
		},
		"log-normal": func(rnd *rand.Rand) time.Duration { return seconds(2 * math.Exp(0.5*rnd.NormFloat64())) },
		"uniform":    func(rnd *rand.Rand) time.Duration { return seconds(2 + 2*rnd.Float64()) },
		"ticks of 2 s": func(rnd *rand.Rand) time.Duration {
			return time.Duration(3*(2+rnd.IntN(3)))*2*time.Second + seconds(0.05*rnd.ExpFloat64())
		},
		"constant": func(*rand.Rand) time.Duration { return 3 * time.Second },
	} {
		rnd := newRand(4)
		s := New(testNetwork, false, newRand(1))
		learn(s, buildSamples, func() time.Duration { return draw(rnd) })
		give, _ := s.BuildTimeout(0, 3)
		complete := 0
		for range 10_000 {
			if draw(rnd) <= give+buildBin {
				complete++
			}
		}
		if complete < 6500 {
			t.Errorf("%s: %d of 10000 complete within %v", name, complete, give)
		}
	}
}

// TestEarlyTimeouts: defaults below 20 samples, at least ten seconds below 100,
// at least one from then on.
func TestEarlyTimeouts(t *testing.T) {
	s := New(testNetwork, false, newRand(1))
	for i := 1; i <= 150; i++ {
		s.BuildTook(3, 3, 40*time.Millisecond)
		give, closeAt := s.BuildTimeout(3, 3)
		want := 22 * time.Second
		switch {
		case i >= buildLearned:
			want = buildFloor
		case i >= buildEarly:
			want = earlyFloor
		}
		if give != want || closeAt < 22*time.Second {
			t.Fatalf("%d samples: %v, %v", i, give, closeAt)
		}
	}
}

// TestTimeoutsOfOtherLengths: a hop at depth n crosses n links.
func TestTimeoutsOfOtherLengths(t *testing.T) {
	s := New(testNetwork, false, newRand(1))
	for range buildLearned {
		s.BuildTook(0, 3, 6*time.Second+5*time.Millisecond)
		s.BuildTook(0, 2, time.Hour) // teaches nothing
	}
	for hops, want := range map[int]time.Duration{1: 1, 2: 3, 3: 6, 4: 10} {
		give, closeAt := s.BuildTimeout(0, hops)
		if (give - want*time.Second).Abs() > 20*time.Millisecond {
			t.Errorf("%d hops: %v", hops, give)
		}
		if closeAt < give {
			t.Errorf("%d hops: closed after %v", hops, closeAt)
		}
	}
}

// TestProfilesLearnApart: one history each.
func TestProfilesLearnApart(t *testing.T) {
	s := New(testNetwork, false, newRand(1))
	for range buildLearned {
		s.BuildTook(2, 3, 20*time.Second)
	}
	if give, _ := s.BuildTimeout(2, 3); (give - 20*time.Second).Abs() > 20*time.Millisecond {
		t.Errorf("learned %v", give)
	}
	for _, profile := range []byte{0, 1, 3} {
		fresh := New(testNetwork, false, newRand(1))
		want, _ := fresh.BuildTimeout(profile, 3)
		if give, _ := s.BuildTimeout(profile, 3); give != want {
			t.Errorf("profile %d learned of another: %v", profile, give)
		}
	}
}

// TestTimeoutReset: 18 timeouts among the last 20 drop the history; where the
// first timeout was too short, too, it doubles, at most twice.
func TestTimeoutReset(t *testing.T) {
	s := New(testNetwork, false, newRand(1))
	for range 500 {
		s.BuildTook(0, 3, 1500*time.Millisecond)
	}
	for range 17 {
		s.BuildTimedOut(0, 3)
	}
	for range 3 {
		s.BuildTook(0, 3, 1500*time.Millisecond)
	}
	if give, _ := s.BuildTimeout(0, 3); give > 2*time.Second {
		t.Fatalf("17 of 20 dropped the history: %v", give)
	}
	for range 18 {
		s.BuildTimedOut(0, 3)
	}
	if give, _ := s.BuildTimeout(0, 3); give != 10*time.Second {
		t.Fatalf("18 of 20 kept the history: %v", give)
	}
	for _, want := range []time.Duration{20, 40, 40, 40} {
		for range 20 {
			s.BuildTimedOut(0, 3)
		}
		if give, _ := s.BuildTimeout(0, 3); give != want*time.Second {
			t.Fatalf("%v, want %v s", give, want)
		}
	}
	// Builds that come late all the same are learned from, and what was doubled
	// is forgotten.
	for range buildLearned {
		s.BuildTook(0, 3, 45*time.Second)
	}
	if give, _ := s.BuildTimeout(0, 3); give != 40*time.Second {
		t.Fatalf("%v: never above four times the first", give)
	}
	if s.times[0].doubled != 0 {
		t.Fatal("still doubled")
	}
}

// TestLateBuildsAreTimeouts: a build that completes after its time was counted
// as a timeout already, and is no success besides: twenty of them are a changed
// network, from which the late ones are learned.
func TestLateBuildsAreTimeouts(t *testing.T) {
	s := New(testNetwork, false, newRand(1))
	for range 300 {
		s.BuildTook(0, 3, 2*time.Second)
	}
	for range 100 {
		if give, _ := s.BuildTimeout(0, 3); give < 30*time.Second {
			s.BuildTimedOut(0, 3)
		}
		s.BuildTook(0, 3, 30*time.Second)
	}
	if shortest := slices.Min(s.times[0].bins); shortest != 3000 {
		t.Fatalf("builds of %d0 ms remembered of a network that has changed", shortest)
	}
	if give, _ := s.BuildTimeout(0, 3); give < 30*time.Second || give > 31*time.Second {
		t.Fatalf("%v though all builds take 30 s now", give)
	}
}

// TestXm is the weighted mean of the ten fullest bins.
func TestXm(t *testing.T) {
	var bins []uint16
	for i := range uint16(12) { // 110, 120, ..., 220 ms; the first two hold one build, the others two
		for range 1 + min(1, i/2) {
			bins = append(bins, 11+i)
		}
	}
	if got := mode(bins); math.Abs(got-0.180) > 1e-9 { // (135 + 225) / 2 ms
		t.Fatalf("%v", got)
	}
	if got := mode([]uint16{7}); math.Abs(got-0.075) > 1e-9 {
		t.Fatalf("one build: %v", got)
	}
}

// TestAbandonedBuilds raise the estimate.
func TestAbandonedBuilds(t *testing.T) {
	estimate := func(lost int) time.Duration {
		rnd := newRand(2)
		s := New(testNetwork, false, newRand(1))
		for i := range 900 {
			s.BuildTook(0, 3, pareto(rnd, 2, 3))
			if i < lost {
				s.BuildAbandoned(0, 3)
			}
		}
		give, _ := s.BuildTimeout(0, 3)
		return give
	}
	if a, b := estimate(0), estimate(90); a >= b {
		t.Fatalf("%v without, %v with abandoned builds", a, b)
	}
	// Nothing but abandoned builds gives no estimate.
	s := New(testNetwork, false, newRand(1))
	for range 200 {
		s.BuildAbandoned(0, 3)
	}
	if give, _ := s.BuildTimeout(0, 3); give != 10*time.Second {
		t.Fatalf("%v", give)
	}
}

// TestHostileBuildTimes: relays that answer very late cannot raise the timeouts
// without end, and the history is bounded.
func TestHostileBuildTimes(t *testing.T) {
	s := New(testNetwork, false, newRand(1))
	for i := range 3000 {
		d := time.Second
		if i%2 == 0 {
			d = 1000 * time.Hour
		}
		s.BuildTook(0, 3, d)
	}
	give, closeAt := s.BuildTimeout(0, 4)
	if give > 40*time.Second || closeAt > 80*time.Second {
		t.Fatalf("%v, %v", give, closeAt)
	}
	if len(s.times[0].bins) != buildSamples {
		t.Fatalf("%d samples", len(s.times[0].bins))
	}
}

// TestHistoryIsARing: the oldest goes first.
func TestHistoryIsARing(t *testing.T) {
	var b buildTimes
	for i := range 2500 {
		b.add(uint16(i))
	}
	if slices.Min(b.bins) != 1500 || slices.Max(b.bins) != 2499 {
		t.Fatalf("from %d to %d", slices.Min(b.bins), slices.Max(b.bins))
	}
}
