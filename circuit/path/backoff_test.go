package path

import (
	"testing"
	"time"
)

// TestBackoff is between nothing and ten minutes, and ends with a success.
func TestBackoff(t *testing.T) {
	for _, divide := range []time.Duration{1, labDivide} {
		s := New(testNetwork, divide > 1, newRand(2))
		id := relayID(1)
		longest := time.Duration(0)
		now := t0
		for range 1000 {
			s.Failed(id, now) // as soon as it may be tried again
			wait := s.Until(id).Sub(now)
			now = s.Until(id)
			if wait < backoffMin/divide || wait > backoffMax/divide {
				t.Fatalf("wait %v", wait)
			}
			longest = max(longest, wait)
		}
		if longest < 9*time.Minute/divide {
			t.Fatalf("longest %v", longest)
		}
		s.Answers(id)
		if !s.Until(id).IsZero() {
			t.Fatal("still waiting")
		}
		s.Failed(id, t0)
		if wait := s.Until(id).Sub(t0); wait > 2*time.Second/divide {
			t.Fatalf("first wait %v", wait)
		}
	}
}

// TestFailuresTogetherCountOnce lets one relay of five die under many circuits
// at once: each failure blames it and the honest relay before it, and the
// network must not be out of reach for longer than one failure costs.
func TestFailuresTogetherCountOnce(t *testing.T) {
	list := relays(5)
	s := selector(3, list)
	g, err := s.Guard(t0, none)
	if err != nil {
		t.Fatal(err)
	}
	for range 16 {
		for _, r := range list {
			if r.ID != g.ID {
				s.Failed(r.ID, t0)
			}
		}
	}
	if _, err := s.Path(t0, none); err == nil {
		t.Fatal("relays that have just failed are used")
	}
	if _, err := s.Path(t0.Add(2*time.Second), none); err != nil {
		t.Errorf("no path two seconds after failures that came together: %v", err)
	}
}

// TestBackedOffRelaysAreAvoided while others serve.
func TestBackedOffRelaysAreAvoided(t *testing.T) {
	s := selector(4, relays(12))
	bad := relayID(3)
	for range 12 {
		s.Failed(bad, t0)
	}
	for range 2000 {
		p, err := s.Path(t0, none)
		if err != nil {
			t.Fatal(err)
		}
		if p.Layer2.ID == bad || p.Middle.ID == bad {
			t.Fatal("used a relay that has just failed")
		}
	}
}
