package path

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"hearsay/directory"
)

// TestGuardKeptAcrossRestart: state out, state in, same guards, same set.
func TestGuardKeptAcrossRestart(t *testing.T) {
	list := relays(40)
	s := selector(5, list)
	s.GuardConfirmed(s.primaries[0].ID, t0)
	st, changed := s.State()
	if !changed {
		t.Fatal("nothing to keep")
	}
	if _, changed := s.State(); changed {
		t.Fatal("kept and still changed")
	}
	raw := st.Append(nil)
	parsed, err := ParseState(raw)
	if err != nil {
		t.Fatal(err)
	}
	again := New(testNetwork, false, newRand(6))
	if err := again.Restore(parsed); err != nil {
		t.Fatal(err)
	}
	again.Update(view(list), directory.Fresh, t0.Add(time.Hour))
	if after, changed := again.State(); changed || !reflect.DeepEqual(after.Append(nil), raw) {
		t.Fatal("a restart changed the guards")
	}
	other := New(directory.NetworkID{9}, false, newRand(6))
	if err := other.Restore(parsed); !errors.Is(err, ErrState) {
		t.Fatalf("another network: %v", err)
	}
}

// TestGuardLifetimes replaces guards by age and by absence, and only then.
func TestGuardLifetimes(t *testing.T) {
	list := relays(40)
	s := selector(5, list)
	first := s.primaries[0].ID
	s.GuardConfirmed(first, t0)
	s.Update(view(list), directory.Fresh, t0.Add(50*day))
	if s.primaries[0].ID != first {
		t.Fatal("replaced too early")
	}
	s.Update(view(list), directory.Fresh, t0.Add(107*day))
	if s.primaries[0].ID != first {
		t.Fatal("replaced too early")
	}
	s.Update(view(list), directory.Fresh, t0.Add(121*day))
	if i := s.state.guard(first); i >= 0 && s.state.Guards[i].Added.Before(t0) { // it may be drawn again
		t.Fatal("a guard lasts 120 days")
	}
	if n := len(s.primaries); n != 3 {
		t.Fatalf("%d primaries", n)
	}

	// One that was confirmed late lasts 60 days from then.
	s = selector(5, list)
	first = s.primaries[0].ID
	s.GuardConfirmed(first, t0.Add(100*day))
	s.Update(view(list), directory.Fresh, t0.Add(150*day))
	if s.primaries[0].ID != first {
		t.Fatal("a confirmed guard lasts 60 days at least")
	}
	s.Update(view(list), directory.Fresh, t0.Add(161*day))
	if i := s.state.guard(first); i >= 0 && s.state.Guards[i].Added.Before(t0) {
		t.Fatal("a confirmed guard lasts 60 days")
	}

	s = selector(5, list)
	first = s.primaries[0].ID
	var without []directory.Relay
	for _, r := range list {
		if r.ID != first {
			without = append(without, r)
		}
	}
	s.Update(view(without), directory.Fresh, t0.Add(day))
	if s.primaries[0].ID == first || s.state.guard(first) < 0 {
		t.Fatal("an unlisted guard is not used but remembered")
	}
	s.Update(view(list), directory.Fresh, t0.Add(2*day))
	if s.primaries[0].ID != first {
		t.Fatal("listed again, it is the first again")
	}
	s.Update(view(without), directory.Fresh, t0.Add(3*day))
	s.Update(view(without), directory.Fresh, t0.Add(24*day))
	if s.state.guard(first) >= 0 {
		t.Fatal("forgotten after 20 days without listing")
	}
}

// TestGuardsNeedTheFlag: eligibility is the snapshot's alone.
func TestGuardsNeedTheFlag(t *testing.T) {
	list := relays(10)
	for i := range list {
		if i > 1 {
			list[i].Flags = directory.FlagStable
		}
	}
	list[1].Flags |= directory.FlagMiddleOnly
	s := selector(1, list)
	if p := s.primaries; len(p) != 1 || p[0].ID != list[0].ID {
		t.Fatalf("%d primaries", len(p))
	}
	if _, err := s.Path(t0, list[0].ID); err == nil {
		t.Fatal("the only guard served a circuit to itself")
	}
}

// TestSampleSize: a fifth of the guards, 5 to 60, filled up to 20 usable.
func TestSampleSize(t *testing.T) {
	for guards, want := range map[int]int{4: 4, 5: 5, 20: 5, 40: 8, 100: 20, 250: 20, 1000: 20} {
		if got := len(selector(1, relays(guards)).state.Guards); got != want {
			t.Errorf("%d guards: sample of %d, want %d", guards, got, want)
		}
	}
	// Guards that go away are replaced until the sample is full, and then only
	// as far as two usable ones are left.
	list := relays(1000)
	s := selector(1, list)
	gone := map[directory.RelayID]bool{}
	for i := range 12 {
		for _, g := range s.state.Guards {
			gone[g.ID] = true
		}
		list = slices.DeleteFunc(list, func(r directory.Relay) bool { return gone[r.ID] })
		update(s, list, t0.Add(time.Duration(i)*time.Hour))
		want := 20
		if i >= 2 {
			want = sampleNeed
		}
		if len(s.order) != want || len(s.state.Guards) > maxGuards {
			t.Fatalf("round %d: %d usable of %d", i, len(s.order), len(s.state.Guards))
		}
	}
}

// TestConfirmedOrder: confirmed guards come first, in the order of confirmation,
// and the order survives a restart.
func TestConfirmedOrder(t *testing.T) {
	list := relays(100)
	s := selector(7, list)
	drawn := slices.Clone(s.order)
	for _, i := range []int{2, 0, 1} {
		if use, _ := s.GuardConfirmed(drawn[i].ID, t0); !use {
			t.Fatal("a primary may not be used")
		}
	}
	want := []*directory.Relay{drawn[2], drawn[0], drawn[1], drawn[3], drawn[4]}
	if !slices.Equal(s.order[:5], want) {
		t.Fatal("another order")
	}
	again := restart(t, s, list, t0)
	for i := range want {
		if again.order[i].ID != want[i].ID {
			t.Fatal("another order after a restart")
		}
	}
}

// restart carries the state over to another selector, through bytes.
func restart(t testing.TB, s *Selector, list []directory.Relay, now time.Time) *Selector {
	t.Helper()
	s.Settle()
	st, _ := s.State()
	parsed, err := ParseState(st.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	again := New(testNetwork, s.lab, newRand(99))
	if err := again.Restore(parsed); err != nil {
		t.Fatal(err)
	}
	again.Update(view(list), directory.Fresh, now)
	return again
}

// TestStoredDatesAreRandomised: a tenth of each lifetime, into the past.
func TestStoredDatesAreRandomised(t *testing.T) {
	list := relays(100)
	var added, confirmed, unlisted []time.Duration
	for seed := range uint64(300) {
		s := selector(seed, list)
		g := s.primaries[0].ID
		s.GuardConfirmed(g, t0)
		update(s, slices.DeleteFunc(slices.Clone(list), func(r directory.Relay) bool { return r.ID == g }), t0)
		kept := s.state.Guards[s.state.guard(g)]
		added = append(added, t0.Sub(kept.Added))
		confirmed = append(confirmed, t0.Sub(kept.Confirmed))
		unlisted = append(unlisted, t0.Sub(kept.Unlisted))
	}
	for name, c := range map[string]struct {
		back []time.Duration
		most time.Duration
	}{"added": {added, 12 * day}, "confirmed": {confirmed, 6 * day}, "unlisted": {unlisted, 2 * day}} {
		sum := time.Duration(0)
		for _, d := range c.back {
			if d < 0 || d > c.most+time.Second {
				t.Fatalf("%s: %v back", name, d)
			}
			sum += d
		}
		// Uniform: the mean is half of it; six standard deviations of 300.
		if mean := sum / time.Duration(len(c.back)); (mean - c.most/2).Abs() > c.most/10 {
			t.Errorf("%s: mean %v", name, mean)
		}
	}
}

// TestSlowClock: a clock that is behind the snapshot does not date guards, which
// would be over when the clock is put right.
func TestSlowClock(t *testing.T) {
	list := relays(40)
	s := New(testNetwork, false, newRand(1))
	wrong := time.Unix(3600, 0)
	update(s, list, wrong)
	sampled := slices.Clone(s.order)
	update(s, list, t0.Add(time.Hour))
	if !slices.EqualFunc(s.order, sampled, func(a, b *directory.Relay) bool { return a.ID == b.ID }) {
		t.Fatal("guards drawn by a wrong clock were dropped")
	}
	first := s.primaries[0].ID
	s.GuardConfirmed(first, wrong)
	update(s, list, t0.Add(time.Hour))
	if g := s.state.Guards[0]; g.ID != first || g.Confirmed.Before(t0.Add(-6*day-time.Second)) {
		t.Fatal("a guard was confirmed in the past")
	}
}

// TestGuardRotation: over a year, a client whose guards never fail and are
// always listed meets a new first guard every 60 to 120 days, and no more.
func TestGuardRotation(t *testing.T) {
	v := view(relays(200))
	total, seeds := 0, 40
	for seed := range uint64(seeds) {
		s := New(testNetwork, false, newRand(seed))
		met := map[directory.RelayID]bool{}
		for d := range 365 {
			now := t0.Add(time.Duration(d) * day)
			s.Update(v, directory.Fresh, now)
			p, err := s.Path(now, none)
			if err != nil {
				t.Fatal(err)
			}
			met[p.Guard.ID] = true
			s.GuardConfirmed(p.Guard.ID, now)
		}
		total += len(met)
	}
	// A sampled guard is as old as the first when it follows, so it may serve
	// for its 60 days only: between 120 and 60 days each, 4 to 6 in a year.
	if mean := float64(total) / float64(seeds); mean < 3 || mean > 6.5 {
		t.Fatalf("%v guards in a year", mean)
	}
}
