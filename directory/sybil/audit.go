package sybil

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"hearsay/directory"
)

// AuditInput is a published snapshot, and what it should have been made of. All
// documents are verified: signatures, and that their hashes are those named.
type AuditInput struct {
	// Input is what judgement uses: the chain up to the version that the header
	// names, the ledger after the snapshot before, the votes that the header
	// names, and the records that these name. ValidAfter is taken from the header.
	Input
	// Snapshot is what signers published. If it has no entries although its header
	// counts some, only the header is compared, and relays are named by After.
	Snapshot *directory.Snapshot
	// Previous is the header of the snapshot before; nil: this is the first.
	Previous *directory.Header
	// After is the ledger that the header names; nil: it could not be had.
	After *directory.Ledger
	// SRV is the state of the shared random values after the snapshot before, whose
	// hash its header holds; nil: it could not be had.
	SRV *directory.SRVState
}

// Audited is what an audit found.
type Audited struct {
	Differences []Difference         // empty: the snapshot is what votes and rules make
	Faults      []directory.SRVFault // signers that broke the rules of shared random values
	Unchecked   []string             // what could not be compared, and why
	SRV         *directory.SRVState  // after this snapshot; nil: not known
	Output      Output               // what votes and rules make
}

// Difference is one thing in which a snapshot is not what its votes and the rules
// make it. Signers that sign such a snapshot have agreed on it, or run another
// program.
type Difference struct {
	Relay     string `json:"relay,omitempty"` // its id, or its key in the ledger; empty: the whole snapshot
	Field     string `json:"field"`
	Published string `json:"published"`
	Computed  string `json:"computed"`
}

// String says the difference in words.
func (d Difference) String() string {
	who := "snapshot"
	if d.Relay != "" {
		who = "relay " + d.Relay
	}
	return fmt.Sprintf("%s: %s: published %s, computed %s", who, d.Field, d.Published, d.Computed)
}

// Audit judges again and names every difference between the result and what was
// published (SPEC.md §14). It is pure, like Judge.
func Audit(in AuditInput) (Audited, error) {
	h := &in.Snapshot.Header
	in.Input.ValidAfter = h.ValidAfter
	var a Audited
	if h.Flags&directory.HeaderEmergency != 0 {
		a.Unchecked = append(a.Unchecked, "founders signed it in an emergency: it has no votes")
		return a, nil
	}
	a.Output = Judge(in.Input)
	j := a.Output.Judgement
	j.Abandoned = h.Abandoned
	if err := a.srvs(in, &j); err != nil {
		return a, fmt.Errorf("audit: %w", err)
	}
	s, err := computed(in.Input, j)
	if err != nil {
		return a, fmt.Errorf("audit: %w", err)
	}
	a.headers(h, &s.Header)
	switch {
	case h.EntriesRoot == s.Header.EntriesRoot && h.TablesHash == s.Header.TablesHash:
	case len(in.Snapshot.Entries) == 0 && h.N > 0:
		a.differ("", "entries", short(h.EntriesRoot), short(s.Header.EntriesRoot))
		a.Unchecked = append(a.Unchecked, "its entries could not be had: of relays only the ledger is compared")
	default:
		a.entries(in.Snapshot, s, j.Unlisted)
		a.rules(&in.Snapshot.Tables, &s.Tables)
		if len(a.Differences) == 0 {
			a.differ("", "tables", short(h.TablesHash), short(s.Header.TablesHash))
		}
	}
	if h.LedgerHash != s.Header.LedgerHash {
		a.ledgers(in, j.Ledger)
	}
	return a, nil
}

// computed makes the snapshot of a judgement. What its header says of the log is
// of no meaning here.
func computed(in Input, j directory.Judgement) (*directory.Snapshot, error) {
	log, err := directory.NewLog(in.Chain)
	if err != nil {
		return nil, err
	}
	for v := uint64(2); v <= in.Chain.Current().Version; v++ {
		hash, _ := in.Chain.Hash(v)
		if err := log.AddFile(hash); err != nil {
			return nil, err
		}
	}
	return directory.NewSnapshot(in.Chain, log, in.ValidAfter, j)
}

func (a *Audited) differ(relay, field, published, computed string) {
	if published != computed {
		a.Differences = append(a.Differences, Difference{relay, field, published, computed})
	}
}

// srvs computes the shared random values as far as they follow from what is
// known, and the state after the snapshot.
func (a *Audited) srvs(in AuditInput, j *directory.Judgement) error {
	h, file := &in.Snapshot.Header, in.Chain.Current()
	state := in.SRV
	if in.Previous == nil {
		state = in.Chain.NewSRVState(h.ValidAfter)
	}
	if state != nil {
		next, faults, err := state.Next(file, h.ValidAfter, in.Votes)
		if err != nil {
			return err
		}
		a.SRV, a.Faults = next, faults
		j.SRVs = next.Values()
		if h.SRVHash != [32]byte{} { // headers may leave it out
			j.SRVHash = sha256.Sum256(next.Append(nil))
		}
		return nil
	}
	j.SRVHash = h.SRVHash
	if h.SRVHash != [32]byte{} {
		a.Unchecked = append(a.Unchecked, "the state of the shared random values: that of the snapshot before is not at hand")
	}
	// Shares are not known, but values that were known then stay.
	j.SRVs = slices.Clone(h.SRVs)
	begins := true
	for i, v := range j.SRVs {
		for _, old := range in.Previous.SRVs {
			if old.Round == v.Round {
				j.SRVs[i] = old
				begins = begins && i < len(j.SRVs)-1
			}
		}
	}
	if !begins {
		return nil
	}
	a.Unchecked = append(a.Unchecked, "the newest shared random value: votes of the round before are not at hand")
	state, err := directory.ResumeSRVState(h)
	if err != nil {
		return err
	}
	a.SRV, a.Faults, err = state.Next(file, h.ValidAfter, in.Votes)
	return err
}

// headers compares what headers say but for entries, tables and ledger.
func (a *Audited) headers(h, c *directory.Header) {
	a.differ("", "fresh until", stampOf(h.FreshUntil), stampOf(c.FreshUntil))
	a.differ("", "valid until", stampOf(h.ValidUntil), stampOf(c.ValidUntil))
	a.differ("", "epoch length", h.NextEpoch.String(), c.NextEpoch.String())
	a.differ("", "version of the network file", fmt.Sprint(h.FileVersion), fmt.Sprint(c.FileVersion))
	a.differ("", "flags", fmt.Sprint(h.Flags.Names()), fmt.Sprint(c.Flags.Names()))
	a.differ("", "number of relays", fmt.Sprint(h.N), fmt.Sprint(c.N))
	for i, wheel := range []string{"guard", "inner", "mailbox"} {
		a.differ("", "total weight, "+wheel+" wheel", fmt.Sprint(h.Totals[i]), fmt.Sprint(c.Totals[i]))
	}
	a.differ("", "state of the shared random values", short(h.SRVHash), short(c.SRVHash))
	a.differ("", "counted votes", shorts(h.Votes), shorts(c.Votes))
	a.differ("", "recommended software", joined(h.Recommended), joined(c.Recommended))
	for i := range c.SRVs {
		if i >= len(h.SRVs) || h.SRVs[i] != c.SRVs[i] {
			published := "none"
			if i < len(h.SRVs) {
				published = short(h.SRVs[i].Value)
			}
			a.differ("", fmt.Sprintf("shared random value of round %d", c.SRVs[i].Round), published, short(c.SRVs[i].Value))
		}
	}
}

// entries compares relay by relay.
func (a *Audited) entries(p, c *directory.Snapshot, unlisted map[directory.RelayID]directory.Rule) {
	i, k := 0, 0
	for i < len(p.Entries) || k < len(c.Entries) {
		order := 0
		switch {
		case i == len(p.Entries):
			order = 1
		case k == len(c.Entries):
			order = -1
		default:
			order = bytes.Compare(p.Entries[i].ID[:], c.Entries[k].ID[:])
		}
		switch {
		case order < 0:
			why := "not listed: no counted vote names it"
			if rule, ok := unlisted[p.Entries[i].ID]; ok {
				why = "not listed: " + rule.String()
			}
			a.differ(p.Entries[i].ID.String(), "listing", "listed", why)
			i++
		case order > 0:
			a.differ(c.Entries[k].ID.String(), "listing", "not listed", "listed")
			k++
		default:
			a.entry(&p.Entries[i], &p.Tables, &c.Entries[k], &c.Tables)
			i++
			k++
		}
	}
}

func (a *Audited) entry(p *directory.Entry, pt *directory.Tables, c *directory.Entry, ct *directory.Tables) {
	id := p.ID.String()
	a.differ(id, "flags", p.Flags.String(), c.Flags.String())
	a.differ(id, "guard weight", weightOf(p.Guard), weightOf(c.Guard))
	a.differ(id, "inner weight", weightOf(p.Inner), weightOf(c.Inner))
	a.differ(id, "mailbox weight", weightOf(p.Mailbox), weightOf(c.Mailbox))
	a.differ(id, "onion key", short(p.OnionKey), short(c.OnionKey))
	a.differ(id, "onion key's beginning", fmt.Sprint(p.OnionEpoch), fmt.Sprint(c.OnionEpoch))
	a.differ(id, "link key", short(p.LinkKey), short(c.LinkKey))
	a.differ(id, "addresses", fmt.Sprint(p.Addrs), fmt.Sprint(c.Addrs))
	a.differ(id, "family", tableKey(pt.Families, int(p.Family)), tableKey(ct.Families, int(c.Family)))
	a.differ(id, "AS", tableText(pt.ASes, int(p.AS)), tableText(ct.ASes, int(c.AS)))
	a.differ(id, "software", tableText(pt.Software, int(p.Software)), tableText(ct.Software, int(c.Software)))
	a.differ(id, "protocols", tableText(pt.Protocols, int(p.Protocol)), tableText(ct.Protocols, int(c.Protocol)))
}

// rules compares how many relays each rule kept out.
func (a *Audited) rules(p, c *directory.Tables) {
	var all []uint16
	for r := range p.Rules {
		all = append(all, r)
	}
	for r := range c.Rules {
		all = append(all, r)
	}
	slices.Sort(all)
	for _, r := range slices.Compact(all) {
		a.differ("", fmt.Sprintf("relays kept out by rule %d (%v)", r, directory.Rule(r)), fmt.Sprint(p.Rules[r]), fmt.Sprint(c.Rules[r]))
	}
}

// ledgers compares the histories of relays, and the rest as a whole.
func (a *Audited) ledgers(in AuditInput, c *directory.Ledger) {
	h := &in.Snapshot.Header
	a.differ("", "ledger", short(h.LedgerHash), short(c.Hash()))
	if in.After == nil || in.After.Hash() != h.LedgerHash {
		a.Unchecked = append(a.Unchecked, "what differs in the ledger: it could not be had")
		return
	}
	names := make(map[[16]byte]string)
	for _, r := range in.Records {
		names[directory.GossipKey(in.Chain.ID(), r.ID)] = r.ID.String()
	}
	p, own := in.After.Parts(), c.Parts()
	union := slices.Concat(p.Relays, own.Relays)
	slices.SortFunc(union, func(x, y directory.History) int { return bytes.Compare(x.Key[:], y.Key[:]) })
	union = slices.CompactFunc(union, func(x, y directory.History) bool { return x.Key == y.Key })
	for _, u := range union {
		x, known := in.After.Relay(u.Key)
		y, wanted := c.Relay(u.Key)
		name := cmp.Or(names[u.Key], fmt.Sprintf("with key %x", u.Key))
		switch {
		case known != wanted:
			a.differ(name, "ledger", presence(known), presence(wanted))
		case x != y:
			a.history(name, &x, &y)
		}
	}
	if !slices.Equal(p.Tokens, own.Tokens) {
		a.differ("", "ledger: uses of tokens", "another list", "as relays came")
	}
	if !slices.Equal(p.Vouchers, own.Vouchers) {
		a.differ("", "ledger: vouchers", "another list", "as relays came")
	}
	if !slices.Equal(p.Arrivals, own.Arrivals) {
		a.differ("", "ledger: arrivals", "another list", "as relays came")
	}
}

func (a *Audited) history(name string, x, y *directory.History) {
	for _, f := range []struct {
		what string
		x, y uint32
	}{
		{"first listed", x.FirstListed, y.FirstListed},
		{"last listed", x.LastListed, y.LastListed},
		{"age", x.Listed, y.Listed},
		{"time running", x.WFUUp, y.WFUUp},
		{"time observed", x.WFUKnown, y.WFUKnown},
		{"present run", x.Run, y.Run},
		{"ended runs", x.MTBFSum, y.MTBFSum},
		{"number of ended runs", uint32(x.MTBFCount), uint32(y.MTBFCount)},
		{"hold", x.HoldUntil, y.HoldUntil},
		{"lineage", uint32(x.Lineage), uint32(y.Lineage)},
		{"state", uint32(x.State), uint32(y.State)},
		{"score", uint32(x.Score), uint32(y.Score)},
	} {
		a.differ(name, "ledger: "+f.what, fmt.Sprint(f.x), fmt.Sprint(f.y))
	}
	if x.Ups != y.Ups {
		a.differ(name, "ledger: hours in which it began to run", "other ones", "as votes say")
	}
}

func presence(there bool) string {
	if there {
		return "known"
	}
	return "unknown"
}

func weightOf(code byte) string {
	return fmt.Sprintf("%d KiB/s (code %d)", directory.Weight(code)>>declaredShift, code)
}

func stampOf(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func short(h [32]byte) string { return fmt.Sprintf("%x…", h[:6]) }

func shorts(list [][32]byte) string {
	texts := make([]string, len(list))
	for i, h := range list {
		texts[i] = short(h)
	}
	return strings.Join(texts, " ")
}

func joined(texts []string) string {
	if len(texts) == 0 {
		return "none"
	}
	return strings.Join(texts, ", ")
}

func tableKey(table [][32]byte, i int) string {
	if i < 1 || i > len(table) {
		return "none"
	}
	return short(table[i-1])
}

func tableText[T any](table []T, i int) string {
	if i < 1 || i > len(table) {
		return "none"
	}
	return fmt.Sprint(table[i-1])
}
