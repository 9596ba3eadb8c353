package path

import (
	"fmt"

	"hearsay/directory"
)

// Specification constants of path bias (SPEC.md §6).
const (
	biasCircuits = 150 // circuits from which a guard is judged
	biasScale    = 300 // circuits at which both counts are halved
	biasWarn     = 70  // percent completed, below which people are warned
	biasWell     = 80  // percent completed, from which a warning may come again
	biasDisable  = 30  // percent completed, below which the guard is not used
)

// CircuitBegan notes that a circuit got past its first hop. Exactly one of
// CircuitWorked, CircuitFailed and CircuitVoid follows.
func (s *Selector) CircuitBegan(guard directory.RelayID) {
	if s.state.guard(guard) >= 0 {
		s.building[guard]++
	}
}

// CircuitWorked notes that such a circuit got its three hops, late or not.
func (s *Selector) CircuitWorked(guard directory.RelayID) {
	if g := s.ended(guard); g != nil {
		g.Worked++
		s.judge(g)
	}
}

// CircuitFailed notes that such a circuit ended, whatever the reason given,
// before it had three hops.
func (s *Selector) CircuitFailed(guard directory.RelayID) {
	if g := s.ended(guard); g != nil {
		g.Failed++
		s.judge(g)
	}
}

// CircuitVoid notes that such a circuit says nothing about its guard: this
// side stopped, or its own network changed.
func (s *Selector) CircuitVoid(guard directory.RelayID) { s.ended(guard) }

func (s *Selector) ended(guard directory.RelayID) *Guard {
	i := s.state.guard(guard)
	if s.building[guard] == 0 || i < 0 {
		return nil
	}
	if s.building[guard]--; s.building[guard] == 0 {
		delete(s.building, guard)
	}
	s.changedALittle()
	return &s.state.Guards[i]
}

// judge warns of a guard over which too few circuits are completed, and
// disables it if there is another (SPEC.md §6).
func (s *Selector) judge(g *Guard) {
	n := int(g.Worked) + int(g.Failed)
	percent := 100 * int(g.Worked) / n
	if n >= biasScale {
		g.Worked, g.Failed = g.Worked/2, g.Failed/2
	}
	if n < biasCircuits || g.Disabled {
		return
	}
	switch {
	case percent >= biasWell:
		delete(s.warned, g.ID)
	case percent >= biasWarn:
	case percent >= biasDisable:
		if s.warned[g.ID] == 0 {
			s.warned[g.ID] = biasWarn
			s.notice(Notice{Guard: g.ID, Text: fmt.Sprintf(
				"only %d %% of the circuits over a guard are completed: it, or a relay beside it, may choose which", percent)})
		}
	case s.otherGuard(g.ID):
		g.Disabled = true
		s.dirty = true
		s.arrange()
		s.notice(Notice{Guard: g.ID, Disabled: true, Text: fmt.Sprintf(
			"only %d %% of the circuits over a guard are completed: it is not used any more", percent)})
	case s.warned[g.ID] != biasDisable:
		s.warned[g.ID] = biasDisable
		s.notice(Notice{Guard: g.ID, Text: fmt.Sprintf(
			"only %d %% of the circuits over a guard are completed, and there is no other guard: it stays in use", percent)})
	}
}

// otherGuard tells whether a guard besides one could be used.
func (s *Selector) otherGuard(id directory.RelayID) bool {
	for _, r := range s.order {
		if r.ID != id {
			return true
		}
	}
	return false
}
