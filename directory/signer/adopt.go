package signer

import (
	"context"
	"slices"

	"hearsay/directory"
)

// ahead is a snapshot that the node holds and this signer has not taken over yet.
type ahead struct {
	hash     [32]byte
	snapshot *directory.Snapshot
	warned   bool
}

// adopt goes over to the node's snapshot if it comes after this signer's, once the
// ledger and the state of the random values that its header names are here. It
// returns false while they are not: then this signer must not vote.
func (s *Signer) adopt(ctx context.Context) (bool, error) {
	v := s.cfg.Node.Views().Current()
	if v == nil || v.HeaderHash() == s.base.hash() {
		return true, nil
	}
	raw, leaves := s.cfg.Node.Newest()
	if raw == nil {
		return true, nil
	}
	if s.ahead.snapshot == nil || s.ahead.hash != v.HeaderHash() {
		snap, err := directory.ParseSnapshot(raw)
		if err != nil {
			return false, err // the node verified it
		}
		s.ahead = ahead{hash: snap.Hash(), snapshot: snap}
	}
	snap, h := s.ahead.snapshot, &s.ahead.snapshot.Header
	size, own := h.LogSize, s.base.log.Leaves(0)
	switch {
	case s.base.snapshot != nil && size < s.base.log.Size():
		return true, nil // the node is behind
	case uint64(len(leaves)) <= size || leaves[size] != directory.HeaderLeaf(s.ahead.hash):
		return false, nil // the node has gone on since
	case s.base.snapshot != nil && !slices.Equal(leaves[:len(own)], own):
		s.warn("the network's log denies the snapshots that this signer has seen; it signs no more", h.Epoch, directory.ErrLog)
		return false, nil
	}
	next := &base{snapshot: snap, files: h.FileVersion}
	var err error
	if next.log, err = directory.LogOf(leaves[:size+1]); err != nil {
		return false, err
	}
	if l := s.pending[s.ahead.hash]; l != nil {
		next.ledger, next.srv = l.draft.ledger, l.draft.srv
	} else if err := s.fetchState(ctx, next); err != nil || next.ledger == nil || next.srv == nil {
		s.warn("signer is behind and cannot go on without the ledger of the newest snapshot", h.Epoch, err)
		return false, nil
	}
	first := s.base.log.Size()
	if s.base.snapshot == nil {
		first = 0
	}
	if err := s.turn(next, first, false); err != nil {
		return false, err
	}
	s.ahead = ahead{}
	s.readyOnce.Do(func() { close(s.ready) })
	return true, nil
}

// fetchState fills in ledger and state of the random values, as far as they are
// here.
func (s *Signer) fetchState(ctx context.Context, b *base) (err error) {
	h := b.header()
	if own := s.base.ledger; own != nil && own.Hash() == h.LedgerHash {
		b.ledger = own // that of an emergency is the one before it
	} else if raw := s.fetch.get(ctx, h.LedgerHash); raw != nil {
		if b.ledger, err = directory.ParseLedger(raw); err != nil {
			return err
		}
	}
	if h.SRVHash == [32]byte{} {
		b.srv, err = directory.ResumeSRVState(h)
		return err
	}
	if raw := s.fetch.get(ctx, h.SRVHash); raw != nil {
		b.srv, err = s.cfg.Node.Chain().ParseSRVState(raw)
	}
	return err
}

// warn says once for each snapshot why it is not taken over.
func (s *Signer) warn(what string, epoch uint64, err error) {
	if !s.ahead.warned {
		s.ahead.warned = true
		s.log.Warn(what, logEpoch, epoch, logReason, err)
	}
}
