package path

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"hearsay/directory"
)

// TestGuardFailsOver uses the next primary and comes back.
func TestGuardFailsOver(t *testing.T) {
	s := selector(3, relays(30))
	first, second := s.primaries[0], s.primaries[1]
	s.GuardFailed(first.ID, t0)
	if p, err := s.Path(t0, none); err != nil || p.Guard != second {
		t.Fatalf("%v %v", p.Guard, err)
	}
	r, at, ok := s.Retry()
	if !ok || r != first || at.Sub(t0) != retryGuard {
		t.Fatalf("retry %v %v %v", r, at, ok)
	}
	// For x the first two primaries are the most that may serve.
	if _, err := s.Path(t0, second.ID); err == nil {
		t.Fatal("x made the client use a third guard")
	}
	s.GuardAnswers(first.ID)
	if p, err := s.Path(t0, none); err != nil || p.Guard != first {
		t.Fatalf("%v %v", p.Guard, err)
	}
	// After six hours of failure it is tried less often.
	s.GuardFailed(first.ID, t0)
	late := t0.Add(7 * time.Hour)
	s.GuardFailed(first.ID, late)
	if _, at, _ := s.Retry(); at.Sub(late) != retryGuardLate {
		t.Fatalf("retry after %v", at.Sub(late))
	}
}

// TestOffline: if no primary answers, all are offered again soon, and the first
// that answers clears the others.
func TestOffline(t *testing.T) {
	s := selector(3, relays(30))
	list := slices.Clone(s.primaries)
	for _, g := range list {
		s.GuardFailed(g.ID, t0)
	}
	var e *Error
	if _, err := s.Path(t0, none); !errors.As(err, &e) || e.Retry.Before(t0) || e.Retry.Sub(t0) > retryOfflineMax {
		t.Fatalf("%+v", e)
	}
	if _, err := s.Path(t0.Add(retryOfflineMax), none); err != nil {
		t.Fatal(err)
	}
	s.GuardAnswers(list[2].ID)
	if p, err := s.Path(t0, none); err != nil || p.Guard != list[0] {
		t.Fatalf("%v %v", p.Guard, err)
	}
}

// TestFailuresDrawNoNewRelays: whoever makes relays fail must not make the
// client sample more of them.
func TestFailuresDrawNoNewRelays(t *testing.T) {
	list := relays(60)
	s := selector(8, list)
	before, _ := s.State()
	now := t0
	for i := range 200 {
		now = now.Add(time.Minute)
		if p, err := s.Path(now, none); err == nil {
			s.Failed(p.Layer2.ID, now)
			s.Failed(p.Middle.ID, now)
			if i%3 == 0 {
				s.GuardFailed(p.Guard.ID, now)
			}
		}
		s.Update(view(list), directory.Fresh, now)
	}
	after, _ := s.State()
	if !reflect.DeepEqual(before.Guards, after.Guards) || !reflect.DeepEqual(before.Layer2, after.Layer2) {
		t.Fatal("failures changed guards or layer-2 guards")
	}
}

// TestFailuresTogetherAreOne: many circuits report one failure of a guard.
func TestFailuresTogetherAreOne(t *testing.T) {
	s := selector(3, relays(30))
	g := s.primaries[0].ID
	for i := range 20 {
		s.GuardFailed(g, t0.Add(time.Duration(i)*time.Millisecond))
	}
	if n := s.down[g].failures; n != 1 {
		t.Fatalf("%d failures", n)
	}
}

// TestStrangersAreNoGuards: what is said of relays outside the sample leaves no
// trace, so that memory is bounded.
func TestStrangersAreNoGuards(t *testing.T) {
	s := selector(3, relays(30))
	for i := range 1000 {
		id := relayID(1000 + i)
		s.GuardFailed(id, t0)
		s.Failed(id, t0)
		s.CircuitBegan(id)
		s.CircuitFailed(id)
		if use, _ := s.GuardConfirmed(id, t0); use {
			t.Fatal("a circuit over a stranger may be used")
		}
	}
	if len(s.down)+len(s.backoff)+len(s.building)+len(s.answered) != 0 {
		t.Fatal("strangers are remembered")
	}
}

// TestSecondGuardIsDestination: with the first guard down, the second in use and
// named as mailbox relay, no third guard serves; the first is tried again
// within a minute and not after ten, and the error says so.
func TestSecondGuardIsDestination(t *testing.T) {
	list := relays(30)
	for seed := range uint64(20) {
		s := selector(seed, list)
		first, second, third := s.primaries[0], s.primaries[1], s.primaries[2]
		s.GuardConfirmed(first.ID, t0)
		s.GuardFailed(first.ID, t0)
		if _, at, ok := s.Retry(); !ok || at.Sub(t0) != retryGuard {
			t.Fatalf("retry at %v", at)
		}
		now := t0
		for range 50 { // the guard stays down
			var e *Error
			if _, err := s.Path(now, second.ID); !errors.As(err, &e) {
				t.Fatalf("a third guard: %v", err)
			}
			r, at, ok := s.Retry()
			if !ok || r != first || at.After(now.Add(retryWantedMax)) || !e.Retry.Equal(at) || e.Why == "" {
				t.Fatalf("retry %v, %+v", at.Sub(now), e)
			}
			now = at.Add(2 * time.Second) // until the dial has failed
			s.GuardFailed(first.ID, now)
			if now.Sub(t0) >= retryLateAfter {
				t.Fatal("50 retries took hours")
			}
		}
		// For other destinations nothing changed, and nobody hurries.
		if p, err := s.Path(now, none); err != nil || p.Guard != second {
			t.Fatal(err)
		}
		if _, at, _ := s.Retry(); at.Sub(now) != retryGuard {
			t.Fatalf("retry after %v", at.Sub(now))
		}
		// It waits no longer than six hours.
		now = t0.Add(retryLateAfter)
		if p, err := s.Path(now, second.ID); err != nil || p.Guard != third {
			t.Fatalf("after six hours: %v", err)
		}
		// The guard answers: it serves at once.
		s.GuardAnswers(first.ID)
		if p, err := s.Path(now, second.ID); err != nil || p.Guard != first {
			t.Fatal(err)
		}
	}
}

// TestThirdGuardIsDestination: two primaries have been down for hours and the
// third, in use, is the destination: the guard after it serves, one that stale
// snapshots do not lead to. If it fails, too, it is the one that is waited for.
func TestThirdGuardIsDestination(t *testing.T) {
	list := relays(100)
	s := selector(4, list)
	for i := range primaries {
		s.confirm(i, t0)
	}
	third, fourth := s.primaries[2], s.order[3]
	s.GuardFailed(s.primaries[0].ID, t0)
	s.GuardFailed(s.primaries[1].ID, t0)
	now := t0.Add(retryLateAfter)
	s.GuardFailed(s.primaries[0].ID, now)
	s.GuardFailed(s.primaries[1].ID, now)
	s.Update(s.view, directory.Stale, now)
	if _, err := s.Path(now, third.ID); err == nil {
		t.Fatal("a stale snapshot led to a guard that was never met")
	}
	s.Update(s.view, directory.Fresh, now)
	now = now.Add(2 * time.Second)
	s.GuardFailed(s.primaries[0].ID, now) // it was waited for and tried
	if p, err := s.Path(now, third.ID); err != nil || p.Guard != fourth {
		t.Fatal(err)
	}
	s.GuardFailed(fourth.ID, now)
	var e *Error
	if _, err := s.Path(now, third.ID); !errors.As(err, &e) {
		t.Fatal("used though it has just failed")
	}
	r, at, ok := s.Retry()
	if !ok || r != fourth || !at.Equal(e.Retry) || at.Sub(now) > retryWantedMax {
		t.Fatalf("%v %v %v", r, at, ok)
	}
	s.GuardAnswers(fourth.ID)
	if p, err := s.Path(at, third.ID); err != nil || p.Guard != fourth {
		t.Fatal(err)
	}
	if use, _ := s.GuardConfirmed(fourth.ID, at); !use {
		t.Fatal("a circuit over it may not be used")
	}
	// Others go on over the third.
	if p, err := s.Path(at, none); err != nil || p.Guard != third {
		t.Fatal(err)
	}
}

// TestOfflineDestination: while nobody is up, a guard that is the destination
// does not make the other be tried before its time.
func TestOfflineDestination(t *testing.T) {
	for seed := range uint64(50) {
		s := selector(seed, relays(30))
		first, second := s.primaries[0], s.primaries[1]
		for _, g := range s.primaries {
			s.GuardFailed(g.ID, t0)
		}
		s.GuardFailed(second.ID, t0.Add(20*time.Second))
		due := s.down[second.ID].offline
		var e *Error
		if _, err := s.Path(due.Add(-1), first.ID); !errors.As(err, &e) || !e.Retry.Equal(due) {
			t.Fatalf("%+v", e)
		}
		if p, err := s.Path(due, first.ID); err != nil || p.Guard != second {
			t.Fatal(err)
		}
	}
}

// TestThirdGuardInUse: with the first two down the third serves everyone, and a
// destination that is one of the first two changes nothing.
func TestThirdGuardInUse(t *testing.T) {
	s := selector(4, relays(30))
	first, second, third := s.primaries[0], s.primaries[1], s.primaries[2]
	s.GuardFailed(first.ID, t0)
	s.GuardFailed(second.ID, t0)
	for _, x := range []directory.RelayID{none, first.ID, second.ID} {
		if p, err := s.Path(t0, x); err != nil || p.Guard != third {
			t.Fatal(err)
		}
	}
	if _, err := s.Path(t0, third.ID); err == nil {
		t.Fatal("a fourth guard")
	}
	if _, at, ok := s.Retry(); !ok || at.Sub(t0) > retryWantedMax {
		t.Fatal("nobody hurries")
	}
}

// TestHostileDestinationWalk: a contact walks its mailbox over all relays while
// guards fail now and then for less than six hours. It meets the guard in use
// and one more, and no other.
func TestHostileDestinationWalk(t *testing.T) {
	for _, n := range []int{5, 10, 40, 200} {
		for seed := range uint64(10) {
			list := relays(n)
			s := selector(seed, list)
			met := map[directory.RelayID]bool{}
			now := t0
			for round := range 20 {
				for _, r := range list {
					now = now.Add(10 * time.Second)
					p, err := s.Path(now, r.ID)
					if err != nil {
						continue
					}
					checkPath(t, s, p, r.ID)
					met[p.Guard.ID] = true
					s.GuardConfirmed(p.Guard.ID, now)
				}
				switch first := s.primaries[0].ID; round % 3 {
				case 0:
					s.GuardFailed(first, now)
				case 1:
					s.GuardAnswers(first)
				}
			}
			if len(met) != 2 {
				t.Fatalf("N=%d: %d guards met", n, len(met))
			}
		}
	}
}

// TestOnline: a change of the client's own network forgives all guards.
func TestOnline(t *testing.T) {
	s := selector(3, relays(30))
	first := s.primaries[0]
	for _, g := range s.primaries {
		s.GuardFailed(g.ID, t0)
	}
	s.Online()
	if p, err := s.Path(t0, none); err != nil || p.Guard != first {
		t.Fatal(err)
	}
}
