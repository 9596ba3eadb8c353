package path

import "slices"

// Specification constants of the state of version 1 (SPEC.md §8.1).
const (
	guardSize1 = 32 + 4 + 4 + 4
	maxGuards1 = 16
)

// parseState1 decodes the state that earlier programs kept: a list of guards in
// order of preference and the layer-2 set. Confirmed guards go first, since
// the user has met them; nothing is known of path bias and build times.
func parseState1(b []byte) (State, error) {
	var s State
	r := reader{rest: b[1:]}
	copy(s.Network[:], r.bytes(len(s.Network)))
	n := r.count(1, maxGuards1, guardSize1)
	for range n {
		g := Guard{ID: r.id(), Added: r.time(), Confirmed: r.time(), Unlisted: r.time()}
		if g.Added.IsZero() || s.guard(g.ID) >= 0 {
			return State{}, malformed("guard")
		}
		s.Guards = append(s.Guards, g)
	}
	n = r.count(1, maxLayer2, layer2Size)
	for range n {
		l := Layer2{ID: r.id(), Until: r.time()}
		if l.Until.IsZero() || s.hasLayer2(l.ID) {
			return State{}, malformed("layer-2 guard")
		}
		s.Layer2 = append(s.Layer2, l)
	}
	if r.short || len(r.rest) != 0 {
		return State{}, malformed("length")
	}
	slices.SortStableFunc(s.Guards, func(a, b Guard) int {
		return int(boolByte(a.Confirmed.IsZero())) - int(boolByte(b.Confirmed.IsZero()))
	})
	return s, nil
}
