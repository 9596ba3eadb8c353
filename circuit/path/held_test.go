package path

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hearsay/directory"
)

// TestHeldDrawsNoGuards: while a warning stands against the directory, no relay
// becomes a guard that was none, however long and whatever the snapshots list; the
// guards there are serve on, and layer-2 guards are replaced.
func TestHeldDrawsNoGuards(t *testing.T) {
	list := relays(60)
	s := selector(8, list)
	guards := ids(s.state.Guards)
	layer2 := slices.Clone(s.state.Layer2)
	s.HoldGuards(true)
	kept := slices.DeleteFunc(slices.Clone(list), func(r directory.Relay) bool {
		return slices.Contains(guards[len(guards)/2:], r.ID) // half of them vanish
	})
	now := t0
	for range 30 {
		now = now.Add(24 * time.Hour)
		s.Update(view(kept), directory.Fresh, now)
	}
	if got := ids(s.state.Guards); !slices.Equal(got, guards) {
		t.Errorf("guards changed from %v to %v", guards, got)
	}
	if _, err := s.Path(now, none); err != nil {
		t.Error(err)
	}
	if slices.Equal(layer2, s.state.Layer2) {
		t.Error("layer-2 guards were never replaced")
	}
	s.HoldGuards(false)
	s.Update(view(kept), directory.Fresh, now)
	if got := ids(s.state.Guards); slices.Equal(got, guards) {
		t.Error("no guards were drawn after the warning")
	}
}

// TestHeldMeetsNobody: guards of the sample that never carried a circuit are like
// new ones.
func TestHeldMeetsNobody(t *testing.T) {
	s := selector(3, relays(60))
	for _, g := range s.primaries {
		s.GuardFailed(g.ID, t0)
	}
	s.HoldGuards(true)
	for now := t0; now.Before(t0.Add(48 * time.Hour)); now = now.Add(5 * time.Minute) {
		if p, err := s.Path(now, none); err == nil && !s.isPrimary(p.Guard.ID) {
			t.Fatalf("a guard that was never met, after %v", now.Sub(t0))
		}
	}
}

// TestHeldFromTheStart: a client without guards gets none, and is told why.
func TestHeldFromTheStart(t *testing.T) {
	s := New(testNetwork, false, newRand(4))
	s.HoldGuards(true)
	s.Update(view(relays(30)), directory.Fresh, t0)
	_, err := s.Path(t0, none)
	if err == nil || !strings.Contains(err.Error(), "a warning stands against the network's directory") {
		t.Error(err)
	}
}

func ids(list []Guard) []directory.RelayID {
	var out []directory.RelayID
	for _, g := range list {
		out = append(out, g.ID)
	}
	return out
}
