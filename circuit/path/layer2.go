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
	var first *directory.Relay
	if list := s.primary(); len(list) > 0 {
		first = list[0]
	}
	before := len(s.state.Layer2)
	s.state.Layer2 = slices.DeleteFunc(s.state.Layer2, func(l Layer2) bool {
		_, listed := s.view.Relay(l.ID)
		return !listed || now.After(l.Until)
	})
	s.dirty = s.dirty || len(s.state.Layer2) != before
	want := min(layer2Count, len(s.view.Relays())-1)
	have := 0
	for _, l := range s.state.Layer2 {
		if first == nil || l.ID != first.ID {
			have++
		}
	}
	for ; have < want && len(s.state.Layer2) < maxLayer2; have++ {
		apart := s.layer2Relays()
		if first != nil {
			apart = append(apart, first)
		}
		r := s.drawDiverse(s.innerWheel, apart, func(r *directory.Relay) bool {
			return !s.state.hasLayer2(r.ID) && (first == nil || r.ID != first.ID)
		})
		if r == nil {
			return
		}
		age := max(s.layer2Age(), s.layer2Age())
		s.state.Layer2 = append(s.state.Layer2, Layer2{ID: r.ID, Until: now.Add(age).Truncate(time.Second)})
		s.dirty = true
	}
}

func (s *Selector) layer2Age() time.Duration {
	return layer2MinAge + time.Duration(s.rnd.Int64N(int64(layer2MaxAge-layer2MinAge)+1))
}

func (s *Selector) layer2Relays() []*directory.Relay {
	var out []*directory.Relay
	for _, l := range s.state.Layer2 {
		if r, ok := s.view.Relay(l.ID); ok {
			out = append(out, r)
		}
	}
	return out
}
