package path

import (
	"testing"

	"hearsay/directory"
)

// bias reports circuits over a guard, worked in every hundred of them.
func bias(s *Selector, guard directory.RelayID, circuits, worked int) {
	for i := range circuits {
		s.CircuitBegan(guard)
		if i*worked/100 != (i+1)*worked/100 {
			s.CircuitWorked(guard)
		} else {
			s.CircuitFailed(guard)
		}
	}
}

// TestPathBias warns below 70 % and disables below 30 %, from 150 circuits on.
func TestPathBias(t *testing.T) {
	for _, c := range []struct {
		circuits, worked int
		notices          int
		disabled         bool
	}{
		{149, 0, 0, false},
		{150, 0, 1, true},
		{150, 29, 1, true},
		{150, 32, 1, false},
		{150, 69, 1, false},
		{150, 72, 0, false},
		{1000, 100, 0, false},
		{1000, 60, 1, false},
	} {
		s := selector(1, relays(40))
		g := s.primaries[0]
		bias(s, g.ID, c.circuits, c.worked)
		list := s.Notices()
		if len(list) != c.notices {
			t.Errorf("%d circuits, %d %%: notices %v", c.circuits, c.worked, list)
		}
		for _, n := range list {
			if n.Guard != g.ID || n.Disabled != c.disabled || n.Text == "" {
				t.Errorf("%d circuits, %d %%: %+v", c.circuits, c.worked, n)
			}
		}
		p, err := s.Path(t0, none)
		if err != nil || (p.Guard == g) == c.disabled {
			t.Errorf("%d circuits, %d %%: disabled guard used: %v", c.circuits, c.worked, err)
		}
		if len(s.Notices()) != 0 {
			t.Error("notices are told twice")
		}
	}
}

// TestPathBiasWarnsAgain after the guard had recovered, and not before.
func TestPathBiasWarnsAgain(t *testing.T) {
	s := selector(1, relays(40))
	g := s.primaries[0].ID
	for round := range 3 {
		bias(s, g, 600, 50)
		if n := len(s.Notices()); n != 1 {
			t.Fatalf("round %d: %d notices", round, n)
		}
		bias(s, g, 1500, 100)
	}
}

// TestPathBiasForgets: counts are halved at 300 circuits, so what was long ago
// weighs little, and the counts stay small.
func TestPathBiasForgets(t *testing.T) {
	s := selector(1, relays(40))
	g := s.primaries[0].ID
	bias(s, g, 100_000, 100)
	at := s.state.Guards[s.state.guard(g)]
	if n := int(at.Worked) + int(at.Failed); n >= biasScale || n < biasScale/2-1 {
		t.Fatalf("%d circuits counted", n)
	}
	bias(s, g, 600, 0)
	if at := s.state.Guards[s.state.guard(g)]; !at.Disabled {
		t.Fatal("a guard that turned bad after years is not noticed")
	}
}

// TestPathBiasCountsWhatBegan: outcomes without a beginning count for nothing,
// and neither does what the client itself ended.
func TestPathBiasCountsWhatBegan(t *testing.T) {
	s := selector(1, relays(40))
	g := s.primaries[0].ID
	for range 1000 {
		s.CircuitFailed(g)
	}
	for range 1000 {
		s.CircuitBegan(g)
		s.CircuitVoid(g)
		s.CircuitFailed(g)
	}
	if at := s.state.Guards[s.state.guard(g)]; at.Failed != 0 || len(s.Notices()) != 0 {
		t.Fatalf("%d failures counted", at.Failed)
	}
}

// TestPathBiasKeepsTheLast: guard after guard is disabled, but the last one that
// can be used stays in use, and that is said.
func TestPathBiasKeepsTheLast(t *testing.T) {
	list := relays(5)
	s := selector(1, list)
	n := len(s.order)
	for i := range n {
		g := s.primaries[0]
		bias(s, g.ID, 200, 5)
		told := s.Notices()
		if len(told) == 0 {
			t.Fatal("nothing was said")
		}
		if last := told[len(told)-1]; last.Guard != g.ID || last.Disabled != (i < n-1) {
			t.Fatalf("guard %d of %d: %+v", i+1, n, last)
		}
		update(s, list, t0)
	}
	if len(s.order) != 1 || len(s.Warnings()) == 0 {
		t.Fatalf("%d guards left, warnings %q", len(s.order), s.Warnings())
	}
	if _, err := s.Path(t0, none); err != nil {
		t.Fatal(err)
	}
	// If that one is not listed any more, the reason is told.
	for i := range list {
		if list[i].ID == s.order[0].ID {
			list[i].Flags = 0
		}
	}
	s.Update(view(list), directory.Stale, t0)
	_, err := s.Path(t0, none)
	if e := new(Error); !asError(err, &e) || e.Why == "" {
		t.Fatalf("%v", err)
	}
}

// TestHostileHopsDisableNobody: one hostile layer-2 guard of four, or a middle
// with all the weight that the clip allows, cannot take a guard away.
func TestHostileHopsDisableNobody(t *testing.T) {
	list := relays(40)
	for seed := range uint64(20) {
		s := selector(seed, list)
		l2 := s.layer2[0].ID
		middle := list[39].ID
		for range 5000 {
			p, err := s.Path(t0, none)
			if err != nil {
				t.Fatal(err)
			}
			s.CircuitBegan(p.Guard.ID)
			if p.Layer2.ID == l2 || p.Middle.ID == middle {
				s.CircuitFailed(p.Guard.ID)
			} else {
				s.CircuitWorked(p.Guard.ID)
			}
		}
		for _, n := range s.Notices() {
			if n.Disabled {
				t.Fatal("the guard was disabled for what others did")
			}
		}
	}
}
