package path

import (
	"testing"

	"hearsay/directory"
)

// TestOwnRelayIsNoHop: a client that lends a relay never takes it as guard,
// layer-2 guard or middle, in networks of all sizes, however heavy it is, over
// years; as a destination it serves like any other, so that a contact who names it
// learns nothing.
func TestOwnRelayIsNoHop(t *testing.T) {
	for _, n := range []int{5, 6, 8, 20, 60} {
		list := relays(n)
		own := list[n-1].ID
		list[n-1].Guard, list[n-1].Inner = 1<<40, 1<<40
		for seed := range uint64(6) {
			s := New(testNetwork, false, newRand(seed))
			s.Exclude(own)
			now := t0
			for range 40 { // layer-2 guards and samples age
				update(s, list, now)
				for i := range 60 {
					x := none
					if i%3 == 0 {
						x = own
					} else if i%3 == 1 {
						x = list[i%(n-1)].ID
					}
					p, err := s.Path(now, x)
					if err != nil {
						t.Fatalf("N=%d: %v", n, err)
					}
					checkPath(t, s, p, x)
					if p.Has(own) {
						t.Fatalf("N=%d: the own relay is on %v", n, p)
					}
				}
				now = now.Add(9 * day)
			}
			if s.state.guard(own) >= 0 || s.state.hasLayer2(own) {
				t.Fatalf("N=%d: the own relay is remembered", n)
			}
		}
	}
}

// TestOwnRelayCountsForNothing: four relays of which one is the own one are three.
func TestOwnRelayCountsForNothing(t *testing.T) {
	list := relays(4)
	s := New(testNetwork, false, newRand(1))
	s.Exclude(list[0].ID)
	update(s, list, t0)
	if _, err := s.Path(t0, none); err == nil {
		t.Error("a circuit over three relays and the own one")
	}
	s = New(testNetwork, false, newRand(1))
	s.Exclude(directory.RelayID{9}) // not listed, or not yet
	update(s, list, t0)
	if _, err := s.Path(t0, none); err != nil {
		t.Error(err)
	}
}

// TestOwnRelayLeavesTheState: a guard that turns out to be the own relay, as from a
// home of a relay that was moved beside the client, does not serve any more.
func TestOwnRelayLeavesTheState(t *testing.T) {
	list := relays(12)
	before := selector(3, list)
	p, err := before.Path(t0, none)
	if err != nil {
		t.Fatal(err)
	}
	before.GuardConfirmed(p.Guard.ID, t0)
	st, _ := before.State()
	for _, own := range []directory.RelayID{p.Guard.ID, p.Layer2.ID} {
		s := New(testNetwork, false, newRand(4))
		if err := s.Restore(st); err != nil {
			t.Fatal(err)
		}
		s.Exclude(own)
		update(s, list, t0)
		for range 300 {
			p, err := s.Path(t0, none)
			if err != nil {
				t.Fatal(err)
			}
			if p.Has(own) {
				t.Fatalf("the own relay is on %v", p)
			}
		}
	}
}
