package session

// step is what a state knows about being in step with the peer since it was
// made or parsed. It is not stored: a stored state may be an old copy.
type step struct {
	numbered bool // frames got seqs
	turned   bool // a sending chain began
	proven   bool // a chain of the peer followed on one that began here: no other copy is in use
}

// InDoubt reports that frames got seqs since the state was parsed, and that the
// peer has not shown since that it knows this copy of the state and no later
// one. If the state is an old copy, acknowledgements of these frames may mean
// others, which had their seqs before: the caller keeps the messages until the
// doubt ends, and seals them anew if it turns out to be right (SPEC.md §7.9).
func (s *State) InDoubt() bool { return s.step.numbered && !s.step.proven }
