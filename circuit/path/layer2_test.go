package path

import (
	"slices"
	"testing"
	"time"

	"hearsay/directory"
)

// TestLayer2Lifetimes: one to twelve days, the longer of two draws.
func TestLayer2Lifetimes(t *testing.T) {
	list := relays(40)
	var sum time.Duration
	n := 0
	for seed := range uint64(400) {
		s := selector(seed, list)
		if len(s.state.Layer2) != layer2Count {
			t.Fatalf("%d layer-2 guards", len(s.state.Layer2))
		}
		for _, l := range s.state.Layer2 {
			age := l.Until.Sub(t0)
			if age < layer2MinAge-time.Second || age > layer2MaxAge {
				t.Fatalf("age %v", age)
			}
			sum += age
			n++
		}
		s.Update(view(list), directory.Fresh, t0.Add(13*day))
		for _, l := range s.state.Layer2 {
			if l.Until.Before(t0.Add(13 * day)) {
				t.Fatal("kept beyond its time")
			}
		}
	}
	// The mean of the larger of two uniform draws is two thirds up.
	if mean := sum / time.Duration(n); mean < 8*day || mean > 9*day {
		t.Fatalf("mean age %v", mean)
	}
}

// TestLayer2Rotation: in a year a client meets about 4 · 365 / 8.3 layer-2
// guards, whatever fails.
func TestLayer2Rotation(t *testing.T) {
	v := view(relays(100))
	draws, seeds := 0, 20
	for seed := range uint64(seeds) {
		s := New(testNetwork, false, newRand(seed))
		drawn := map[Layer2]bool{}
		for now := t0; now.Sub(t0) < 365*day; now = now.Add(6 * time.Hour) {
			s.Update(v, directory.Fresh, now)
			for _, l := range s.state.Layer2 {
				drawn[l] = true
			}
			for _, r := range s.layer2 {
				s.Failed(r.ID, now)
			}
		}
		draws += len(drawn)
	}
	if mean := float64(draws) / float64(seeds); mean < 160 || mean > 185 {
		t.Fatalf("%v layer-2 guards in a year", mean)
	}
}

// TestLayer2OutlivesRestarts: redrawing at each start would meet the whole
// network in days.
func TestLayer2OutlivesRestarts(t *testing.T) {
	list := relays(100)
	s := selector(1, list)
	want := slices.Clone(s.state.Layer2)
	for i := range 20 {
		s = restart(t, s, list, t0.Add(time.Duration(i)*time.Hour))
		if !slices.EqualFunc(s.state.Layer2, want, func(a, b Layer2) bool { return a.ID == b.ID && a.Until.Equal(b.Until) }) {
			t.Fatal("a restart drew layer-2 guards")
		}
	}
}

// TestLayer2GuardBecomesGuard: where the first guard is in the set, another is
// drawn, so that four serve.
func TestLayer2GuardBecomesGuard(t *testing.T) {
	list := relays(20)
	for seed := range uint64(50) {
		s := selector(seed, list)
		for i, r := range s.order {
			if i == 0 || !s.state.hasLayer2(r.ID) {
				continue
			}
			s.confirm(i, t0)
			update(s, list, t0)
			if s.primaries[0].ID != r.ID || len(s.layer2) != 5 {
				t.Fatalf("seed %d: %d layer-2 guards", seed, len(s.layer2))
			}
			break
		}
	}
}
