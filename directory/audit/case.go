package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"hearsay/directory"
	"hearsay/directory/sybil"
)

// Errors that callers decide on.
var (
	// ErrASTable is returned when the network file names an AS table and the one
	// given is not it.
	ErrASTable = errors.New("audit: this network judges by an AS table, which must be given")
	// ErrEmergency is returned for a snapshot that founders signed without votes.
	ErrEmergency = errors.New("audit: founders signed this snapshot in an emergency, without votes")
)

// Source gives what is published. gossip.Reader is one.
type Source interface {
	// Snapshot returns the verified snapshot of an epoch, 0 for the newest.
	Snapshot(ctx context.Context, epoch uint64) (*directory.Snapshot, *directory.View, error)
	// Head returns the head whose header has the hash, its signatures verified.
	Head(ctx context.Context, hash [32]byte) (*directory.Head, error)
	// Document returns what the hash names, not verified otherwise.
	Document(ctx context.Context, hash [32]byte) ([]byte, error)
	// Records returns records by the first halves of their hashes, nil for those
	// that are not to be had.
	Records(ctx context.Context, halves [][16]byte) ([][]byte, error)
	// Leaves returns the first leaf hashes of the log.
	Leaves(ctx context.Context, size uint64) ([][32]byte, error)
}

// Case is a published snapshot with everything that it was made of.
type Case struct {
	Head     *directory.Head
	Previous *directory.Head // nil: it is the first
	Input    sybil.Input
	// SRV is the state of the shared random values after Previous; nil: it could
	// not be had.
	SRV *directory.SRVState
	// Missing are records that votes name and nobody gave, or that do not verify.
	Missing []string
}

// Gather fetches what the snapshot of a verified head was made of, and verifies
// it: each vote by its signer's certificate, the ledger by the header before,
// each record by its own signature.
func Gather(ctx context.Context, src Source, chain *directory.Chain, head *directory.Head, as *sybil.ASTable) (*Case, error) {
	h := &head.Header
	if h.Flags&directory.HeaderEmergency != 0 {
		return nil, ErrEmergency
	}
	chain, err := upTo(chain, h.FileVersion)
	if err != nil {
		return nil, err
	}
	if table := chain.Current().ASTable; table != [32]byte{} && (as == nil || as.Hash() != table) {
		return nil, fmt.Errorf("%w: its SHA-256 is %x", ErrASTable, table)
	}
	c := &Case{Head: head, Input: sybil.Input{Chain: chain, ValidAfter: h.ValidAfter, AS: as}}
	for _, hash := range h.Votes {
		v, err := vote(ctx, src, chain, head, hash)
		if err != nil {
			return nil, fmt.Errorf("vote %x: %w", hash[:6], err)
		}
		c.Input.Votes = append(c.Input.Votes, v)
	}
	if err := c.findLedger(ctx, src); err != nil {
		return nil, err
	}
	return c, c.findRecords(ctx, src)
}

// upTo returns the chain as it was when the version was the newest.
func upTo(chain *directory.Chain, version uint64) (*directory.Chain, error) {
	if version == chain.Current().Version {
		return chain, nil
	}
	if version > chain.Current().Version {
		return nil, directory.ErrFileBehind
	}
	return directory.VerifyHistory(chain.ID(), chain.Raw(1)[:version])
}

// vote fetches a counted vote.
func vote(ctx context.Context, src Source, chain *directory.Chain, head *directory.Head, hash [32]byte) (*directory.Vote, error) {
	raw, err := src.Document(ctx, hash)
	if err != nil {
		return nil, err
	}
	m, err := chain.ParseSignerMessage(raw, head.Header.ValidAfter)
	if err != nil {
		return nil, err
	}
	if m.Vote == nil || m.Vote.Hash() != hash {
		return nil, directory.ErrWrongType
	}
	return m.Vote, nil
}

// findLedger fetches the header before, which votes name, and its ledger.
func (c *Case) findLedger(ctx context.Context, src Source) error {
	previous := Before(c.Input.Votes)
	if previous == [32]byte{} {
		return nil // the network's first snapshot
	}
	var err error
	if c.Previous, err = src.Head(ctx, previous); err != nil {
		return fmt.Errorf("the snapshot before: %w", err)
	}
	if c.Previous.Hash() != previous || c.Previous.Header.Epoch >= c.Head.Header.Epoch {
		return fmt.Errorf("the snapshot before: %w", directory.ErrBadHeader)
	}
	c.Input.Ledger, err = ledger(ctx, src, c.Previous.Header.LedgerHash)
	if err != nil {
		return fmt.Errorf("the ledger of the snapshot before: %w", err)
	}
	return c.findSRV(ctx, src)
}

// findSRV fetches the state of the shared random values that the header before
// names. Without it much can be compared all the same.
func (c *Case) findSRV(ctx context.Context, src Source) (err error) {
	h := &c.Previous.Header
	if h.SRVHash == [32]byte{} {
		c.SRV, err = directory.ResumeSRVState(h)
		return err
	}
	raw, err := src.Document(ctx, h.SRVHash)
	if err != nil {
		return ctx.Err()
	}
	if c.SRV, err = c.Input.Chain.ParseSRVState(raw); err != nil {
		return fmt.Errorf("the state of the shared random values: %w", err)
	}
	return nil
}

// Before returns the hash of the header that most of the votes follow, zero if
// they follow none.
func Before(votes []*directory.Vote) (hash [32]byte) {
	count := make(map[[32]byte]int)
	for _, v := range votes {
		count[v.Previous]++
		if count[v.Previous] > count[hash] || len(count) == 1 {
			hash = v.Previous
		}
	}
	return hash
}

func ledger(ctx context.Context, src Source, hash [32]byte) (*directory.Ledger, error) {
	raw, err := src.Document(ctx, hash)
	if err != nil {
		return nil, err
	}
	return directory.ParseLedger(raw)
}

// findRecords fetches the records that votes name.
func (c *Case) findRecords(ctx context.Context, src Source) error {
	var halves [][16]byte
	seen := make(map[[16]byte]bool)
	for _, v := range c.Input.Votes {
		for i := range v.Relays {
			if h := v.Relays[i].Descriptor; !seen[h] {
				seen[h] = true
				halves = append(halves, h)
			}
		}
	}
	raws, err := src.Records(ctx, halves)
	if err != nil {
		return fmt.Errorf("records: %w", err)
	}
	rules := c.Input.Chain.Rules()
	// Stores asked for admission when the relay came; whether it still stands is
	// for judgement to say.
	rules.Listed = func(directory.RelayID) bool { return true }
	for i, raw := range raws {
		if raw == nil {
			c.Missing = append(c.Missing, fmt.Sprintf("record %x: not to be had", halves[i][:6]))
			continue
		}
		r, err := record(rules, raw, c.Head.Header.ValidAfter)
		if err != nil {
			c.Missing = append(c.Missing, fmt.Sprintf("record %x: %v", halves[i][:6], err))
			continue
		}
		c.Input.Records = append(c.Input.Records, r)
	}
	return nil
}

// record verifies a record that signers held at the time of a vote, some minutes
// before the snapshot: it may have expired since, and clocks differ.
func record(rules directory.Rules, raw []byte, at time.Time) (r *directory.Record, err error) {
	for _, shift := range []time.Duration{0, -time.Hour, -3 * time.Hour, time.Hour} {
		if r, err = directory.ParseRecord(rules, raw, at.Add(shift)); err == nil || !errors.Is(err, directory.ErrExpired) && !errors.Is(err, directory.ErrFuture) {
			return r, err
		}
	}
	return nil, err
}

// auditInput is what an audit of the case's snapshot takes.
func (c *Case) auditInput(s *directory.Snapshot) sybil.AuditInput {
	in := sybil.AuditInput{Input: c.Input, Snapshot: s, SRV: c.SRV}
	if c.Previous != nil {
		in.Previous = &c.Previous.Header
	}
	return in
}

// Find returns the relays of the case whose id begins with the text, or whose
// nick is it.
func (c *Case) Find(text string) []*directory.Record {
	var byID, byNick []*directory.Record
	seen := make(map[directory.RelayID]bool)
	for _, r := range c.Input.Records {
		if text == "" || seen[r.ID] {
			continue
		}
		seen[r.ID] = true
		switch {
		case strings.HasPrefix(r.ID.String(), text):
			byID = append(byID, r)
		case r.Descriptor != nil && r.Descriptor.Nick == text:
			byNick = append(byNick, r)
		}
	}
	if len(byID) > 0 {
		return byID
	}
	return byNick
}
