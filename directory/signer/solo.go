package signer

import (
	"fmt"
	"time"

	"hearsay/directory"
	"hearsay/directory/gossip"
)

// sign makes the snapshot of the epoch that begins at the given time for a network
// with one signer: vote, judge, sign, persist, and only then release.
func (s *Signer) sign(at time.Time) error {
	now := time.Now()
	chain := s.cfg.Node.Chain().InForce(at)
	if err := s.renew(chain.ID(), now); err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	length := directory.EpochUnit(s.lab)
	if h := s.previous(chain, now); h != nil {
		if directory.EpochNumber(s.lab, at) <= h.Epoch {
			return errTwice
		}
		length = h.NextEpoch
	}
	records := s.cfg.Node.Store().Records()
	pending, proofs := pendingList(s.pending)
	b := ballot{
		chain: chain, epoch: directory.EpochNumber(s.lab, at), at: at,
		seen: s.watcher.candidates(records, now, length), pending: pending, proofs: proofs,
	}
	m, err := s.cast(b)
	if err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	// What was signed while there were others, and never completed, is given up.
	abandoned := decide([]*directory.Vote{m.Vote}, func(uint64) jury { return jury{k: 1} }).abandoned
	d, err := s.base.compute(source{
		chain: chain, at: at, votes: []*directory.SignerMessage{m}, records: records, abandoned: abandoned, as: s.cfg.AS,
	})
	if err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	if err := d.snapshot.Sign(s.pages.certificate, s.cfg.Online); err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	return s.finish(d, true)
}

// cast signs a vote.
func (s *Signer) cast(b ballot) (*directory.SignerMessage, error) {
	v := s.vote(b)
	raw, err := v.Sign(b.chain.ID(), s.cfg.Online)
	if err != nil {
		return nil, err
	}
	return s.seal(raw)
}

// seal puts the certificate before a document, so that everybody can verify it
// alone.
func (s *Signer) seal(raw []byte) (*directory.SignerMessage, error) {
	return s.cfg.Node.Chain().ParseSignerMessage(directory.SealSignerMessage(s.pages.certificate, raw), time.Now())
}

// finish persists a complete snapshot, and what it was made from, and releases it.
func (s *Signer) finish(d *draft, solo bool) error {
	epoch := d.snapshot.Header.Epoch
	next, first, err := s.base.next(s.cfg.Node.Chain(), d)
	if err != nil {
		return fmt.Errorf("signer: epoch %d: %w", epoch, err)
	}
	s.keep(epoch, d.docs)
	if err := s.turn(next, first, solo); err != nil {
		return fmt.Errorf("signer: epoch %d: %w", epoch, err)
	}
	if s.testOnlyCrash != nil {
		if err := s.testOnlyCrash(kindSnapshot); err != nil {
			return err
		}
	}
	if err := s.release(); err != nil {
		return err
	}
	for _, f := range d.faults {
		s.log.Warn("a signer broke a rule of the shared random values", logEpoch, epoch, logReason, f.String())
	}
	if d.judgement != nil {
		s.tell(d.judgement)
	}
	return nil
}

// turn persists a complete snapshot and makes it the one to go on from.
func (s *Signer) turn(next *base, first uint64, solo bool) error {
	raw, err := next.snapshot.Encode()
	if err != nil {
		return err
	}
	err = s.book.write(entry{
		snapshot: next.snapshot, raw: raw, ledger: next.ledger, srv: next.srv, solo: solo,
		first: first, leaves: next.log.Leaves(first), files: next.files,
		certificate: s.pages.certificate, reached: s.watcher.successes(),
	})
	if err != nil {
		return err
	}
	s.base = next
	clear(s.pending)
	s.fetch.forget()
	s.mu.Lock()
	s.ledger = next.ledger
	s.mu.Unlock()
	s.stand(solo)
	return nil
}

// keep gives others what snapshots are computed from. That it fails stops nothing:
// the snapshot is as good without.
func (s *Signer) keep(epoch uint64, docs []gossip.Document) {
	if len(docs) == 0 {
		return
	}
	if err := s.cfg.Library.Keep(epoch, docs); err != nil {
		s.log.Error("documents of a snapshot not kept", logEpoch, epoch, logReason, err)
	}
}

// release hands the newest snapshot, which is on disk, to the node, unless the node
// has it or a later one.
func (s *Signer) release() error {
	h := s.base.header()
	if !s.inNodesLog() {
		raw, err := s.base.snapshot.Encode()
		if err != nil {
			return fmt.Errorf("signer: %w", err)
		}
		// The node may complete the very same at this moment, from other signers'.
		if err := s.cfg.Node.AddSnapshot(raw, s.base.log); err == nil {
			s.log.Info("snapshot released", logEpoch, h.Epoch, logListed, int(h.N))
		} else if !s.inNodesLog() {
			s.log.Error("own snapshot refused by the node", logEpoch, h.Epoch, logReason, err)
			return nil
		}
	}
	s.readyOnce.Do(func() { close(s.ready) })
	return nil
}

// inNodesLog tells whether the node's log holds the newest snapshot.
func (s *Signer) inNodesLog() bool {
	place := s.base.header().LogSize
	_, leaves := s.cfg.Node.Newest()
	return uint64(len(leaves)) > place && leaves[place] == directory.HeaderLeaf(s.base.hash())
}
