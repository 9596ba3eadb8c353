package directory

import (
	"errors"
	"fmt"
	"slices"
)

// ErrBlamed is returned for a head that too few signers vouch for who are not
// proven to have signed two histories.
var ErrBlamed = errors.New("directory: signed by founders who were caught signing two different histories")

// Answered tells whether the founders have acted on evidence against signers: no
// culprit is a signer, or a founder, in the newest version of the network file any
// more. Evidence against a relay asks nothing of them.
func (c *Chain) Answered(e *Evidence) bool { return !e.blames(c.Current()) }

// blames tells whether a culprit may sign by a version of the network file.
func (e *Evidence) blames(f *NetworkFile) bool {
	return slices.ContainsFunc(e.culprits, func(k FounderKey) bool { return hasKey(f.Signers, k.Public) || hasKey(f.Roots, k.Public) })
}

// Trusted checks a head, which VerifySigned has verified, against severe evidence
// that is held: as many signers as the threshold must have signed it whom none of
// it blames. Evidence that was answered does not count. It wraps ErrBlamed.
func (c *Chain) Trusted(h *Head, held []*Evidence) error {
	file, ok := c.Version(h.Header.FileVersion)
	if !ok {
		return ErrFileBehind
	}
	good, bad := 0, 0
	for _, k := range h.signers(file) {
		if slices.ContainsFunc(held, func(e *Evidence) bool { return e.Severe() && !c.Answered(e) && hasKey(e.culprits, k.Public) }) {
			bad++
		} else {
			good++
		}
	}
	need := SignThreshold(len(file.Signers))
	if h.Header.Emergency() {
		need = RootThreshold(len(file.Roots))
	}
	if bad > 0 && good < need {
		return fmt.Errorf("snapshot refused: signers: %w: only %d of the %d needed are others", ErrBlamed, good, need)
	}
	return nil
}

// Heads returns the k-signed heads that evidence of two histories is made of, nil
// for other evidence. They are verified.
func (e *Evidence) Heads() []*Head { return e.heads }

// Fork returns the states from which a reader may go on after severe evidence,
// once the founders have answered it: that after either header, of which the
// newer history will hold one. The epoch and the certificates are those of the
// reader's own state, so that nothing older is accepted. It returns nil for other
// evidence, for that which is not answered, and for readers that have seen a
// snapshot since it was: those are past it.
func (c *Chain) Fork(e *Evidence, own State) []State {
	file, ok := c.Version(own.FileVersion)
	if past := ok && !e.blames(file); past || !e.Severe() || !c.Answered(e) {
		return nil
	}
	var list []State
	for _, h := range e.heads {
		s := own
		s.Header, s.LogSize, s.LogRoot = h.Hash(), h.Header.LogSize, h.Header.LogRoot
		list = append(list, s)
	}
	return list
}

// StepOver returns the state of a reader whose last snapshot was given up by its
// signers before it was complete: other is the verified head that took its place
// in the log, and says so. The bool is false if it does not.
func (s State) StepOver(other *Head) (State, bool) {
	h := &other.Header
	if s.Epoch == 0 || h.LogSize != s.LogSize || h.LogRoot != s.LogRoot || h.Epoch <= s.Epoch || !slices.Contains(h.Abandoned, s.Header) {
		return State{}, false
	}
	s.Header = other.Hash()
	return s, true
}
