package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"hearsay/directory"
	"hearsay/directory/sybil"
)

// Report is what was found about one snapshot.
type Report struct {
	Head        *directory.Head
	Differences []sybil.Difference
	Faults      []directory.SRVFault
	Unchecked   []string
}

// OK tells whether everything of the snapshot was computed again and is as it
// should be. Faults of signers do not change that: the snapshot counts them as the
// rules say.
func (r *Report) OK() bool { return len(r.Differences) == 0 && len(r.Unchecked) == 0 }

// Walk audits the newest snapshot and those before it, at most last of them and
// none of an epoch below from. It calls each with the reports, the oldest first,
// and ends where a snapshot before is not to be had, which gone then says. All
// headers are compared with the log of the newest.
func Walk(ctx context.Context, src Source, chain *directory.Chain, as *sybil.ASTable, last int, from uint64, each func(*Report) error) (gone, err error) {
	newest, _, err := src.Snapshot(ctx, 0)
	if err != nil {
		return nil, err
	}
	heads, gone, err := headsBefore(ctx, src, chain, newest, last, from)
	if err != nil {
		return nil, err
	}
	leaves, err := src.Leaves(ctx, newest.Header.LogSize)
	if err != nil {
		return gone, fmt.Errorf("log: %w", err)
	}
	w := walk{src: src, chain: chain, as: as, newest: newest}
	if w.log, err = directory.LogOf(leaves); err != nil {
		return gone, fmt.Errorf("log: %w", err)
	}
	for _, h := range heads {
		r, err := w.report(ctx, h)
		if err != nil {
			return gone, err
		}
		if err := each(r); err != nil {
			return gone, err
		}
	}
	return gone, nil
}

// headsBefore follows the votes back, and returns heads, the oldest first.
func headsBefore(ctx context.Context, src Source, chain *directory.Chain, newest *directory.Snapshot, last int, from uint64) (heads []*directory.Head, gone, err error) {
	head := &newest.Head
	for len(heads) < last && head.Header.Epoch >= from {
		heads = append(heads, head)
		if len(heads) == last {
			break
		}
		if len(head.Header.Votes) == 0 {
			gone = fmt.Errorf("before epoch %d: %w", head.Header.Epoch, ErrEmergency) // which names no header before it
			break
		}
		was, err := upTo(chain, head.Header.FileVersion)
		if err != nil {
			return nil, nil, err
		}
		v, err := vote(ctx, src, was, head, head.Header.Votes[0])
		if err == nil && v.Previous == [32]byte{} {
			break
		}
		if err == nil {
			head, err = src.Head(ctx, v.Previous)
		}
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if err != nil {
			gone = fmt.Errorf("before epoch %d: %w", heads[len(heads)-1].Header.Epoch, err)
			break
		}
		if head.Header.Epoch >= heads[len(heads)-1].Header.Epoch {
			return nil, nil, directory.ErrBadHeader
		}
	}
	slices.Reverse(heads)
	return heads, gone, nil
}

// walk goes from one snapshot to the next.
type walk struct {
	src    Source
	chain  *directory.Chain
	as     *sybil.ASTable
	newest *directory.Snapshot
	log    *directory.Log
}

// report audits one snapshot. It fails if ctx ends or input is missing that only
// the caller can give; what nobody gives is unchecked.
func (w *walk) report(ctx context.Context, head *directory.Head) (*Report, error) {
	r := &Report{Head: head}
	c, err := Gather(ctx, w.src, w.chain, head, w.as)
	switch {
	case errors.Is(err, ErrASTable) || ctx.Err() != nil:
		return nil, err
	case err != nil:
		r.Unchecked = append(r.Unchecked, err.Error())
		w.place(r, nil)
		return r, nil
	}
	w.place(r, c.Previous)
	r.Unchecked = append(r.Unchecked, c.Missing...)
	in := c.auditInput(&directory.Snapshot{Head: *head})
	found, err := sybil.Audit(in)
	if err != nil {
		return nil, err
	}
	if len(found.Differences) > 0 {
		if found, err = w.closer(ctx, in); err != nil {
			return nil, err
		}
	}
	r.Differences = append(r.Differences, found.Differences...)
	r.Faults = found.Faults
	r.Unchecked = append(r.Unchecked, found.Unchecked...)
	return r, nil
}

// closer audits again, with the entries and the ledger that signers published, so
// that relays are named.
func (w *walk) closer(ctx context.Context, in sybil.AuditInput) (sybil.Audited, error) {
	if hash := in.Snapshot.Hash(); hash == w.newest.Hash() {
		in.Snapshot = w.newest
	} else if s, _, err := w.src.Snapshot(ctx, in.Snapshot.Header.Epoch); err == nil && s.Hash() == hash {
		in.Snapshot = s
	}
	if l, err := ledger(ctx, w.src, in.Snapshot.Header.LedgerHash); err == nil {
		in.After = l
	}
	return sybil.Audit(in)
}

// place compares a header with the log: it stands where it says, its root covers
// what was before it, and between it and the one before are versions of the
// network file only.
func (w *walk) place(r *Report, previous *directory.Head) {
	h := &r.Head.Header
	differ := func(published, computed string) {
		r.Differences = append(r.Differences, sybil.Difference{Field: "log", Published: published, Computed: computed})
	}
	leaves := w.log.Leaves(0)
	root, err := w.log.Root(h.LogSize)
	if err != nil {
		differ(fmt.Sprintf("%d leaves before it", h.LogSize), fmt.Sprintf("%d leaves in the newest log", len(leaves)))
		return
	}
	if root != h.LogRoot {
		differ(fmt.Sprintf("root %x…", h.LogRoot[:6]), fmt.Sprintf("root %x… over the leaves of the newest log", root[:6]))
	}
	if h.LogSize < uint64(len(leaves)) && leaves[h.LogSize] != directory.HeaderLeaf(r.Head.Hash()) {
		differ(fmt.Sprintf("it is leaf %d", h.LogSize), "another leaf stands there")
	}
	if previous == nil {
		return
	}
	files := make(map[[32]byte]bool)
	for v := uint64(1); v <= w.chain.Current().Version; v++ {
		hash, _ := w.chain.Hash(v)
		files[directory.FileLeaf(hash)] = true
	}
	for i := previous.Header.LogSize + 1; i < h.LogSize; i++ {
		if !files[leaves[i]] {
			differ("votes that follow the snapshot before", fmt.Sprintf("leaf %d, which is none of the network file, lies between", i))
		}
	}
}
