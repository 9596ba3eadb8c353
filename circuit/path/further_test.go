package path

import (
	"slices"
	"testing"
	"time"

	"hearsay/directory"
)

// established is a client that has used its first guard.
func established(seed uint64, list []directory.Relay) *Selector {
	s := selector(seed, list)
	s.GuardConfirmed(s.primaries[0].ID, t0)
	return s
}

// hunt lets an attacker cut off every guard for a time, except those it likes,
// and returns the guards that were dialed and those that were used.
func hunt(t *testing.T, s *Selector, during time.Duration, reaches func(directory.RelayID) bool) (dialed, used map[directory.RelayID]bool) {
	t.Helper()
	dialed, used = map[directory.RelayID]bool{}, map[directory.RelayID]bool{}
	for now := t0; now.Sub(t0) < during; now = now.Add(2 * time.Second) {
		if now.Sub(t0)%time.Hour == 0 {
			s.Update(s.view, directory.Fresh, now)
		}
		if r, at, ok := s.Retry(); ok && !now.Before(at) {
			dialed[r.ID] = true
			if reaches(r.ID) {
				s.GuardAnswers(r.ID)
			} else {
				s.GuardFailed(r.ID, now)
			}
		}
		p, err := s.Path(now, none)
		if err != nil {
			continue
		}
		dialed[p.Guard.ID] = true
		if !reaches(p.Guard.ID) {
			s.GuardFailed(p.Guard.ID, now)
		} else if use, _ := s.GuardConfirmed(p.Guard.ID, now); use {
			used[p.Guard.ID] = true
		}
	}
	return dialed, used
}

// TestFailingGuardsOfADay: whoever cuts a client off for a day sees it dial its
// three primaries and at most seven more, and never more than the sample.
func TestFailingGuardsOfADay(t *testing.T) {
	nobody := func(directory.RelayID) bool { return false }
	for _, n := range []int{5, 10, 40, 1000} {
		list := relays(n)
		s := established(1, list)
		before := len(s.state.Guards)
		dialed, _ := hunt(t, s, 10*time.Minute, nobody)
		if len(dialed) > primaries {
			t.Fatalf("N=%d: %d guards dialed in ten minutes", n, len(dialed))
		}
		s = established(1, list)
		dialed, _ = hunt(t, s, 24*time.Hour, nobody)
		if len(dialed) > min(before, primaries+7) {
			t.Fatalf("N=%d: %d guards dialed in a day", n, len(dialed))
		}
		if len(s.state.Guards) != before {
			t.Fatalf("N=%d: the sample grew", n)
		}
	}
}

// TestFlappingGuardsOfADay: letting the first guard through now and then, so
// that the wait begins anew, leads no further.
func TestFlappingGuardsOfADay(t *testing.T) {
	list := relays(1000)
	s := established(2, list)
	first := s.primaries[0].ID
	all := map[directory.RelayID]bool{}
	for range 12 {
		dialed, _ := hunt(t, s, 110*time.Minute, func(directory.RelayID) bool { return false })
		for id := range dialed {
			all[id] = true
		}
		hunt(t, s, 10*time.Minute, func(id directory.RelayID) bool { return id == first })
		s.Online() // the next round begins at t0 again
	}
	if len(all) > primaries+3 {
		t.Fatalf("%d guards dialed", len(all))
	}
}

// TestGuardBeyondPrimaries: when all primaries are cut off, another guard serves
// after ten minutes, once the primaries had their chance; when one of them is
// back it takes over, and circuits over the other may not be used.
func TestGuardBeyondPrimaries(t *testing.T) {
	s := established(3, relays(100))
	first, further := s.primaries[0], s.order[3]
	for _, g := range s.primaries {
		s.GuardFailed(g.ID, t0)
	}
	if g, _ := s.Guard(t0, none); g != nil {
		t.Fatal("a guard though all have just failed")
	}
	now := t0.Add(likelyDown)
	for _, g := range s.primaries { // still, a minute ago
		s.GuardFailed(g.ID, now.Add(-time.Minute))
	}
	if g, err := s.Guard(now, none); err != nil || g != further {
		t.Fatalf("%v %v", g, err)
	}
	use, ask := s.GuardConfirmed(further.ID, now)
	if use || ask.Before(now) || ask.Sub(now) > primaryChance {
		t.Fatalf("used before the primaries had their chance: %v", ask)
	}
	if !s.state.Guards[s.state.guard(further.ID)].Confirmed.IsZero() {
		t.Fatal("confirmed before it was used")
	}
	for range primaries { // they are dialed beside it, and fail again
		r, at, ok := s.Retry()
		if !ok || at.After(now) || !s.isPrimary(r.ID) {
			t.Fatalf("%v %v %v", r, at, ok)
		}
		now = now.Add(time.Second)
		s.GuardFailed(r.ID, now)
	}
	if use, _ := s.GuardConfirmed(further.ID, now); !use {
		t.Fatal("not used though the primaries failed again")
	}
	if g, err := s.Guard(now, none); err != nil || g != further {
		t.Fatal("another guard")
	}
	if len(s.Warnings()) != 0 && s.isPrimary(further.ID) {
		t.Log("it is the second primary now")
	}
	s.GuardAnswers(first.ID)
	if g, err := s.Guard(now, none); err != nil || g != first {
		t.Fatal("the first guard is back and not used")
	}
}

// TestGuardBeyondIsDropped: if a primary answers in its chance, the circuit over
// the other guard is closed and that guard stays unconfirmed.
func TestGuardBeyondIsDropped(t *testing.T) {
	s := established(3, relays(100))
	first, further := s.primaries[0], s.order[3]
	for _, g := range s.primaries {
		s.GuardFailed(g.ID, t0)
	}
	s.Guard(t0, none)
	now := t0.Add(likelyDown)
	s.GuardConfirmed(further.ID, now)
	s.GuardAnswers(first.ID)
	if use, ask := s.GuardConfirmed(further.ID, now.Add(time.Second)); use || !ask.IsZero() {
		t.Fatal("used though the first guard is back")
	}
	if s.isConfirmed(further.ID) {
		t.Fatal("confirmed")
	}
	// If the primaries say nothing at all, their chance ends.
	s = established(3, relays(100))
	for _, g := range s.primaries {
		s.GuardFailed(g.ID, t0)
	}
	s.Guard(t0, none)
	s.GuardConfirmed(further.ID, now)
	if use, _ := s.GuardConfirmed(further.ID, now.Add(primaryChance)); !use {
		t.Fatal("waits for primaries that say nothing")
	}
}

// TestGuardBeyondFails, too: then nobody is in use, and the next has its turn
// later.
func TestGuardBeyondFails(t *testing.T) {
	s := established(3, relays(100))
	further, next := s.order[3], s.order[4]
	for _, g := range s.primaries {
		s.GuardFailed(g.ID, t0)
	}
	s.Guard(t0, none)
	now := t0.Add(likelyDown)
	s.GuardConfirmed(further.ID, now)
	s.GuardFailed(further.ID, now)
	if _, _, ok := s.Retry(); ok {
		t.Fatal("a guard that failed counts as in use")
	}
	if g, err := s.Guard(now, none); err == nil && !s.isPrimary(g.ID) {
		t.Fatal("a guard beyond the primaries though its turn is not come")
	}
	if g, err := s.Guard(t0.Add(3*likelyDown), none); err != nil || g != further && g != next {
		t.Fatalf("%v %v", g, err)
	}
}

// TestConfirmedBeyondPrimaries is offered at once, and its failure does not delay
// the turn of one that was never met.
func TestConfirmedBeyondPrimaries(t *testing.T) {
	s := selector(3, relays(100))
	met, unmet := s.order[3], s.order[4]
	for i := range 4 {
		s.confirm(i, t0)
	}
	for _, g := range s.primaries {
		s.GuardFailed(g.ID, t0)
	}
	if g, err := s.Guard(t0, none); err != nil || g != met {
		t.Fatalf("%v %v", g, err)
	}
	s.GuardFailed(met.ID, t0)
	now := t0.Add(likelyDown - time.Second)
	if g, err := s.Guard(now, none); err == nil && !s.isPrimary(g.ID) {
		t.Fatal("too early")
	}
	for _, g := range s.order[:4] {
		s.GuardFailed(g.ID, now)
	}
	if g, err := s.Guard(t0.Add(likelyDown), none); err != nil || g != unmet {
		t.Fatalf("%v %v", g, err)
	}
}

// TestAnsweringGuardIsUnlisted: a guard beyond the primaries that served and is
// not listed any more is not in use.
func TestAnsweringGuardIsUnlisted(t *testing.T) {
	list := relays(100)
	s := established(3, list)
	further := s.order[3]
	for _, g := range s.primaries {
		s.GuardFailed(g.ID, t0)
	}
	s.Guard(t0, none)
	s.GuardConfirmed(further.ID, t0.Add(likelyDown))
	if !s.inUse() {
		t.Fatal("not in use")
	}
	update(s, slices.DeleteFunc(list, func(r directory.Relay) bool { return r.ID == further.ID }), t0.Add(likelyDown))
	if s.inUse() {
		t.Fatal("an unlisted guard is in use")
	}
}

// TestFirstStart: a client that never had a guard does not wait ten minutes for
// one that answers.
func TestFirstStart(t *testing.T) {
	list := relays(100)
	s := selector(3, list)
	bad := map[directory.RelayID]bool{}
	for _, g := range s.primaries {
		bad[g.ID] = true
	}
	_, used := hunt(t, s, time.Minute, func(id directory.RelayID) bool { return !bad[id] })
	if len(used) != 1 {
		t.Fatalf("%d guards used in the first minute", len(used))
	}
}

// TestOfflineTriesNobody: while this computer has no network, no guard is tried
// that was never met.
func TestOfflineTriesNobody(t *testing.T) {
	s := established(3, relays(1000))
	for now := t0; now.Sub(t0) < 6*time.Hour; now = now.Add(time.Second) {
		p, err := s.Path(now, none)
		if err != nil {
			continue
		}
		if !s.isPrimary(p.Guard.ID) {
			t.Fatalf("dialed a further guard after %v", now.Sub(t0))
		}
		s.LikelyOffline(now)
		s.GuardFailed(p.Guard.ID, now)
	}
}

// TestStaleMeetsNobody: a stale snapshot leads to no guard that was never met.
func TestStaleMeetsNobody(t *testing.T) {
	list := relays(100)
	s := established(3, list)
	s.Update(view(list), directory.Stale, t0)
	dialed := map[directory.RelayID]bool{}
	for now := t0; now.Sub(t0) < 3*time.Hour; now = now.Add(time.Second) {
		if p, err := s.Path(now, none); err == nil {
			dialed[p.Guard.ID] = true
			s.GuardFailed(p.Guard.ID, now)
		}
	}
	if len(dialed) != primaries {
		t.Fatalf("%d guards dialed", len(dialed))
	}
}
