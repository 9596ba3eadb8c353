package sybil

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"

	"hearsay/directory"
)

// Specification constants of merging (SPEC.md §2).
const (
	minMeasurements = 3       // fewer only if fewer signers vote
	maxMarkDays     = 90      // a mark ends so many days ahead at the latest
	maxMeasured     = 1 << 36 // 64 MiB/s: nothing measures more
	maxRecommended  = 16
	secondsOfDay    = 24 * 3600
)

// level is one of the networks of an address that rules count in.
type level int

const (
	levelHost  level = iota // IPv4 /32, IPv6 /64
	levelNet                // /24, /48
	levelBlock              // /16, /32
	levels
)

// netOf returns the network of an address at a level.
func netOf(a netip.Addr, at level) netip.Prefix {
	bits := [levels]int{32, 24, 16}
	if a.Is6() {
		bits = [levels]int{64, 48, 32}
	}
	p, _ := a.Prefix(bits[at]) // the length fits the family
	return p
}

// merge makes one relay of what all votes say of it.
func (d *docket) merge() {
	byKey := make(map[[8]byte][]*directory.Record, len(d.in.Records))
	for _, r := range d.in.Records {
		key := directory.GossipKey(d.in.Chain.ID(), r.ID)
		byKey[[8]byte(key[:8])] = append(byKey[[8]byte(key[:8])], r)
	}
	for _, list := range byKey {
		slices.SortFunc(list, func(a, b *directory.Record) int {
			return cmp.Or(cmp.Compare(b.Seq, a.Seq), bytes.Compare(b.Hash[:], a.Hash[:]))
		})
	}
	index := make(map[[8]byte]*relay)
	for i, v := range d.votes {
		for j := range v.Relays {
			rv := &v.Relays[j]
			r := index[rv.Key]
			if r == nil {
				if len(byKey[rv.Key]) == 0 {
					continue // nobody has its descriptor
				}
				r = &relay{votes: make([]*directory.RelayVote, len(d.votes))}
				index[rv.Key] = r
			}
			r.votes[i] = rv
		}
	}
	for key, r := range index {
		if d.mergeOne(r, byKey[key]) {
			d.relays = append(d.relays, r)
		}
	}
	slices.SortFunc(d.relays, func(a, b *relay) int { return bytes.Compare(a.key[:], b.key[:]) })
}

// mergeOne chooses the descriptor and sums up the votes. It reports false if no
// vote names a record that is here.
func (d *docket) mergeOne(r *relay, records []*directory.Record) bool {
	most := 0
	for _, rec := range records { // the newest first
		n := 0
		for _, v := range r.votes {
			if v != nil && v.Descriptor == [16]byte(rec.Hash[:16]) {
				n++
			}
		}
		if n > most {
			most, r.record = n, rec
		}
	}
	if r.record == nil {
		return false
	}
	r.d = r.record.Descriptor
	r.key = directory.GossipKey(d.in.Chain.ID(), r.record.ID)
	r.seed = slices.Contains(d.file.Seeds, r.record.ID)
	reached, conflicts, approvals := 0, 0, 0
	var speeds, failures []uint64
	for _, v := range r.votes {
		if v == nil {
			continue
		}
		if v.Reached != 0 {
			reached++
		}
		if v.Flags&directory.VoteConflict != 0 {
			conflicts++
		}
		if v.Flags&directory.VoteApprove != 0 {
			approvals++
		}
		if v.Bandwidth != 0 {
			speeds = append(speeds, min(directory.Weight(v.Bandwidth), maxMeasured))
		}
		if v.Failures != directory.UnknownFailures {
			failures = append(failures, uint64(v.Failures))
		}
	}
	r.running = d.majority(reached)
	r.conflict = d.majority(conflicts)
	r.approved = approvals >= directory.SignThreshold(len(d.file.Signers))
	r.measured, _ = d.lowMedian(speeds)
	r.failures = -1
	if f, ok := d.lowMedian(failures); ok {
		r.failures = int(f)
	}
	d.mergeMarks(r)
	if r.d != nil {
		d.mergeAddrs(r, records)
	}
	return true
}

func (d *docket) majority(n int) bool { return 2*n > len(d.votes) }

// lowMedian returns the lower of the middle values, if enough signers give one.
func (d *docket) lowMedian(list []uint64) (uint64, bool) {
	if len(list) == 0 || len(list) < min(minMeasurements, len(d.votes)) {
		return 0, false
	}
	slices.Sort(list)
	return list[(len(list)-1)/2], true
}

// mergeMarks keeps each mark that more than half of the votes bear, with the
// reason of the first of them and the earliest end.
func (d *docket) mergeMarks(r *relay) {
	for _, m := range []directory.VoteFlags{directory.VoteExclude, directory.VoteMiddleOnly, directory.VoteWatch} {
		n, text, until := 0, "", uint64(0)
		for i, v := range r.votes {
			if v == nil || uint64(v.Until) > d.now/secondsOfDay+maxMarkDays+1 {
				continue
			}
			mark, why := d.votes[i].Mark(v, d.in.ValidAfter)
			if mark&m == 0 {
				continue
			}
			if end := uint64(v.Until) * secondsOfDay; n == 0 || end < until {
				until = end
			}
			if n == 0 {
				text = why
			}
			n++
		}
		if !d.majority(n) {
			continue
		}
		if r.mark == 0 {
			r.markText, r.markUntil = text, until
		}
		r.mark |= m
	}
}

// mergeAddrs keeps the addresses that more than half of those reached who
// tried. Votes number the addresses of the descriptor that they name.
func (d *docket) mergeAddrs(r *relay, records []*directory.Record) {
	for _, a := range r.d.Addrs {
		tried, reached := 0, 0
		for _, v := range r.votes {
			if v == nil {
				continue
			}
			i := slices.IndexFunc(records, func(rec *directory.Record) bool { return v.Descriptor == [16]byte(rec.Hash[:16]) })
			if i < 0 || records[i].Descriptor == nil {
				continue
			}
			at := slices.Index(records[i].Descriptor.Addrs, a)
			if at < 0 || v.Tried>>at&1 == 0 {
				continue
			}
			tried++
			if v.Reached>>at&1 != 0 {
				reached++
			}
		}
		if 2*reached > tried {
			r.addrs = append(r.addrs, a)
		}
	}
	slices.SortStableFunc(r.addrs, func(a, b netip.AddrPort) int {
		return cmp.Compare(a.Addr().BitLen(), b.Addr().BitLen())
	})
	for _, a := range r.addrs {
		for l := range levels {
			if n := netOf(a.Addr(), l); !slices.Contains(r.nets[l], n) {
				r.nets[l] = append(r.nets[l], n)
			}
		}
		if as := d.asOf(a.Addr()); !slices.Contains(r.ases, as) {
			r.ases = append(r.ases, as)
		}
	}
}

// asOf returns the AS of an address, 0 if it is unknown.
func (d *docket) asOf(a netip.Addr) uint32 {
	if d.as == nil {
		return 0
	}
	return d.as.Lookup(a)
}

// recommended returns the software that more than half of the votes recommend,
// rising, at most 16.
func (d *docket) recommended() []string {
	count := make(map[string]int)
	for _, v := range d.votes {
		for _, s := range v.Recommended {
			count[s]++
		}
	}
	var list []string
	for s, n := range count {
		if d.majority(n) {
			list = append(list, s)
		}
	}
	slices.Sort(list)
	return list[:min(len(list), maxRecommended)]
}
