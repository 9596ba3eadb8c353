package signer

import (
	"time"

	"hearsay/directory"
)

// Standing is what a signer has done, for its operator.
type Standing struct {
	Epoch  uint64 // of the snapshot that it goes on from, 0 none
	Signed bool   // it has signed that snapshot
	Voted  bool   // its vote counted in that snapshot; a signer that is alone always votes

	// Of the snapshots that began to count since the start and that it went on from:
	// how many it has signed, and how many it has not.
	SignedSince, MissedSince uint64

	CertificateEnds time.Time // of the online key
	Renews          bool      // it makes the next certificate itself
	SilentUntil     time.Time // zero: it may sign; else its state was lost, and until then it does not
}

// Standing returns what the signer has done. It is safe for concurrent use.
func (s *Signer) Standing() Standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.standing
}

// stand enters the snapshot that the signer goes on from. What cannot be read of the
// own messages counts as neither signed nor voted. made tells that this signer has just
// made it alone: the first of a network counts from before the start.
func (s *Signer) stand(made bool) {
	h := s.base.header()
	if h == nil {
		return
	}
	hash, ok, err := s.book.signedHead(h.Epoch)
	signed := err == nil && ok && hash == s.base.hash()
	voted := signed && len(h.Votes) <= 1 || s.votedIn(h) // one vote alone is that of a signer that is alone
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.standing
	c.Epoch, c.Signed, c.Voted = h.Epoch, signed, voted
	if !s.cfg.Restored.IsZero() {
		c.SilentUntil = s.silent(time.Now())
	}
	switch {
	case !made && h.ValidAfter.Before(s.opened):
	case signed:
		c.SignedSince++
	default:
		c.MissedSince++
	}
}

// votedIn tells whether a vote of this signer is among those that a header counts.
func (s *Signer) votedIn(h *directory.Header) bool {
	raws, _, err := s.book.said(h.Epoch)
	if err != nil {
		return false
	}
	for _, raw := range raws {
		m, err := s.cfg.Node.Chain().ParseSignerMessage(raw, h.ValidAfter)
		if err != nil || m.Vote == nil {
			continue
		}
		own := m.Vote.Hash()
		for _, v := range h.Votes {
			if v == own {
				return true
			}
		}
	}
	return false
}

// certified enters the certificate in use.
func (s *Signer) certified(c directory.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.standing.CertificateEnds, s.standing.Renews = c.NotAfter, s.cfg.Identity != nil
}
