package path

import (
	"slices"
	"time"

	"hearsay/directory"
)

// Specification constants of the layer-2 set (SPEC.md §3).
const (
	layer2Count  = 4
	layer2MinAge = 1 * day
	layer2MaxAge = 12 * day
)

// keepLayer2 replaces layer-2 guards whose time is over or that are no longer
// listed, so that min(4, N−1) are there besides the first guard. A guard that
// fails changes nothing here: failures must not make us draw more relays.
func (s *Selector) keepLayer2(now time.Time) {
	if !s.mayDraw() {
		return
	}
	before := len(s.state.Layer2)
	s.state.Layer2 = slices.DeleteFunc(s.state.Layer2, func(l Layer2) bool {
		r, listed := s.view.Relay(l.ID)
		return !listed || !s.mayServe(r) || now.After(l.Until)
	})
	s.dirty = s.dirty || len(s.state.Layer2) != before
	s.arrange()
	kin := newKin(s.layer2)
	var first directory.RelayID
	if len(s.primaries) > 0 {
		first = s.primaries[0].ID
		kin.add(s.primaries[0])
	}
	have := 0
	for _, l := range s.state.Layer2 {
		if l.ID != first {
			have++
		}
	}
	want := min(layer2Count, s.reachable-1)
	for ; have < want && len(s.state.Layer2) < maxLayer2; have++ {
		r := s.drawDiverse(s.innerWheel, kin, true, func(r *directory.Relay) bool {
			return r.ID != first && !s.state.hasLayer2(r.ID)
		})
		if r == nil {
			return
		}
		age := max(s.layer2Age(), s.layer2Age())
		s.state.Layer2 = append(s.state.Layer2, Layer2{ID: r.ID, Until: now.Add(age).Truncate(time.Second)})
		kin.add(r)
		s.dirty = true
	}
}

func (s *Selector) layer2Age() time.Duration {
	return layer2MinAge + time.Duration(s.rnd.Int64N(int64(layer2MaxAge-layer2MinAge)+1))
}

// Layer2 returns the layer-2 guards that paths may use now.
func (s *Selector) Layer2() []directory.RelayID {
	ids := make([]directory.RelayID, len(s.layer2))
	for i, r := range s.layer2 {
		ids[i] = r.ID
	}
	return ids
}
