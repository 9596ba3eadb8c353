package directory

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Candidate is a record and the addresses at which a test says that the relay
// answered.
type Candidate struct {
	Record  *Record
	Reached []netip.AddrPort
}

// JudgeInput is what a test makes a snapshot of.
type JudgeInput struct {
	Chain      *Chain
	Ledger     *Ledger
	ValidAfter time.Time
	Candidates []Candidate
}

// Judge lists whatever was reached, with all flags and equal weights: tests of
// documents need snapshots without judgement, which has a package of its own.
func Judge(in JudgeInput) Judgement {
	out := Judgement{Unlisted: make(map[RelayID]Rule)}
	l := in.Ledger
	if l == nil {
		l = &Ledger{}
	}
	lab := in.Chain.Current().Lab
	step := l.Step(lab, in.ValidAfter, time.Minute)
	var parts LedgerParts
	for _, c := range in.Candidates {
		d := c.Record.Descriptor
		if d == nil || len(c.Reached) == 0 {
			out.Unlisted[c.Record.ID] = RuleNotRunning
			continue
		}
		onion, _ := d.OnionKeyAt(in.ValidAfter)
		item := Listing{
			Descriptor: d, Onion: onion, Guard: 81, Inner: 81, Mailbox: 81,
			Flags: FlagStable | FlagGuard | FlagMailbox | FlagPlacement | FlagUnmeasured | FlagCache | FlagVouched,
		}
		for _, a := range d.Addrs {
			if slices.Contains(c.Reached, a) {
				item.Addrs = append(item.Addrs, a)
			}
		}
		slices.SortStableFunc(item.Addrs, func(a, b netip.AddrPort) int {
			return cmp.Compare(a.Addr().BitLen(), b.Addr().BitLen())
		})
		for i := range d.Families {
			if d.Families[i].Expires.After(in.ValidAfter) {
				item.Kin = d.Families[i].Key
			}
		}
		out.Listed = append(out.Listed, item)
		h, ok := l.Relay(GossipKey(in.Chain.id, d.ID))
		if !ok {
			h = History{Key: GossipKey(in.Chain.id, d.ID)}
		}
		step.Run(&h, true)
		step.Age(&h)
		step.List(&h, true)
		parts.Relays = append(parts.Relays, h)
	}
	slices.SortFunc(out.Listed, func(a, b Listing) int { return bytes.Compare(a.Descriptor.ID[:], b.Descriptor.ID[:]) })
	out.Epoch = nextEpochLength(in.Chain, in.ValidAfter, len(out.Listed))
	out.Ledger = NewLedger(in.ValidAfter, parts)
	return out
}
