package signer

import (
	"crypto/sha256"
	"fmt"
	"time"

	"hearsay/directory"
	"hearsay/directory/gossip"
	"hearsay/directory/sybil"
)

// base is what a snapshot is built on: the newest complete one and what belongs
// to it.
type base struct {
	snapshot *directory.Snapshot // nil: there is none yet
	ledger   *directory.Ledger
	srv      *directory.SRVState // nil: none was kept
	log      *directory.Log      // the newest header included
	files    uint64              // versions of the network file in the log
}

func (b *base) header() *directory.Header {
	if b.snapshot == nil {
		return nil
	}
	return &b.snapshot.Header
}

// hash is the newest header's, zero if there is none.
func (b *base) hash() [32]byte {
	if b.snapshot == nil {
		return [32]byte{}
	}
	return b.snapshot.Hash()
}

// draft is a snapshot that this signer has computed, or signed before a restart,
// and what it goes on from once it is complete.
type draft struct {
	snapshot  *directory.Snapshot
	ledger    *directory.Ledger
	srv       *directory.SRVState
	judgement *directory.Judgement // nil: read back from disk
	faults    []directory.SRVFault
	docs      []gossip.Document // what computes it again
	votes     [][32]byte        // hashes of those counted
}

// source is what a snapshot is computed from.
type source struct {
	chain     *directory.Chain // up to the version in force
	at        time.Time
	votes     []*directory.SignerMessage
	records   []*directory.Record
	abandoned [][32]byte
	as        *sybil.ASTable
}

// compute makes the snapshot that follows on a base. Whoever has the same base and
// source comes to the same header, byte by byte.
func (b *base) compute(in source) (*draft, error) {
	f := in.chain.Current()
	votes := make([]*directory.Vote, 0, len(in.votes))
	d := &draft{}
	for _, m := range in.votes {
		votes = append(votes, m.Vote)
		d.votes = append(d.votes, m.Vote.Hash())
		d.docs = append(d.docs, gossip.Document{Hash: m.Vote.Hash(), Raw: m.Raw()})
	}
	for _, r := range in.records {
		d.docs = append(d.docs, gossip.Document{Hash: r.Hash, Raw: r.Raw})
	}
	j := sybil.Judge(sybil.Input{
		Chain: in.chain, Ledger: b.ledger, ValidAfter: in.at, Votes: votes, Records: in.records, AS: in.as,
	}).Judgement
	srv := b.srv
	if srv == nil {
		srv = in.chain.NewSRVState(in.at)
	}
	var err error
	if d.srv, d.faults, err = srv.Next(f, in.at, votes); err != nil {
		return nil, err
	}
	state := d.srv.Append(nil)
	j.SRVs, j.SRVHash, j.Abandoned = d.srv.Values(), sha256.Sum256(state), in.abandoned
	d.ledger, d.judgement = j.Ledger, &j
	log, err := b.extendLog(in.chain, f.Version)
	if err != nil {
		return nil, err
	}
	if d.snapshot, err = directory.NewSnapshot(in.chain, log, in.at, j); err != nil {
		return nil, err
	}
	ledger := j.Ledger.Append(nil)
	d.docs = append(d.docs, gossip.Document{Hash: j.SRVHash, Raw: state}, gossip.Document{Hash: sha256.Sum256(ledger), Raw: ledger})
	return d, nil
}

// extendLog returns a copy of the log with the versions of the network file that
// it lacks, up to the given one. A copy, since a failed write must not leave leaves
// behind that no header has.
func (b *base) extendLog(chain *directory.Chain, version uint64) (*directory.Log, error) {
	log, err := directory.LogOf(b.log.Leaves(0))
	if err != nil {
		return nil, err
	}
	for v := b.files + 1; v <= version; v++ {
		h, ok := chain.Hash(v)
		if !ok {
			return nil, directory.ErrFileBehind
		}
		if err := log.AddFile(h); err != nil {
			return nil, err
		}
	}
	return log, nil
}

// next returns the base that the complete draft makes, and the index of the first
// leaf that is new in its log.
func (b *base) next(chain *directory.Chain, d *draft) (*base, uint64, error) {
	h := &d.snapshot.Header
	log, err := b.extendLog(chain, h.FileVersion)
	if err != nil {
		return nil, 0, err
	}
	if root, err := log.Root(h.LogSize); err != nil || root != h.LogRoot || log.Size() != h.LogSize {
		return nil, 0, fmt.Errorf("%w: the header does not follow on the newest one", directory.ErrLog)
	}
	if err := log.AddHeader(d.snapshot.Hash()); err != nil {
		return nil, 0, err
	}
	first := b.log.Size()
	if b.snapshot == nil {
		first = 0 // version 1 of the network file is not on disk yet
	}
	return &base{snapshot: d.snapshot, ledger: d.ledger, srv: d.srv, log: log, files: h.FileVersion}, first, nil
}

// parseDraft reads back what sign has written.
func parseDraft(chain *directory.Chain, g signed) (*draft, error) {
	d := &draft{}
	var err error
	if d.snapshot, err = directory.ParseSnapshot(g.snapshot); err != nil {
		return nil, err
	}
	if d.ledger, err = directory.ParseLedger(g.ledger); err != nil {
		return nil, err
	}
	if d.srv, err = chain.ParseSRVState(g.srv); err != nil {
		return nil, err
	}
	d.votes = d.snapshot.Header.Votes
	return d, nil
}
