package sybil

import (
	"bytes"
	"cmp"
	"math"
	"net/netip"
	"slices"

	"hearsay/directory"
)

// Specification constants of listing (SPEC.md §3.2).
const (
	maxPerHost   = 2
	maxPerNet    = 4
	minPerBlock  = 8 // and at least
	blockPercent = 2 // of the relays listed before
	cycleHost    = 3 // new ids at one host within 30 days
	cycleNet     = 6 // in one /24
	cycleSpan    = 30 * day
	cycleHold    = 14 * day
)

// list decides which relays the snapshot lists.
func (d *docket) list() {
	d.readVouchers()
	d.readArrivals()
	var queue []*relay
	for _, r := range d.relays {
		if r.rule = d.alone(r); r.rule == 0 {
			queue = append(queue, r)
		}
	}
	d.small = d.countAdmitted(queue) < smallNetwork
	s := slots{
		prefixes: make(map[[16]byte]bool), links: make(map[[32]byte]bool),
		addrs: make(map[netip.AddrPort]bool), nets: make(map[netip.Prefix]int),
	}
	// Who loses its last token or vouch to another comes again as a stranger.
	for len(queue) > 0 {
		slices.SortFunc(queue, listingOrder)
		var again []*relay
		for _, r := range queue {
			hand := r.vouched
			if r.rule = d.take(r, &s); r.rule == 0 && hand && !r.vouched {
				again = append(again, r)
				continue
			}
			if r.rule == 0 {
				d.enter(r, &s)
			}
		}
		queue = again
	}
	slices.SortFunc(d.listed, func(a, b *relay) int { return bytes.Compare(a.d.ID[:], b.d.ID[:]) })
}

// countAdmitted returns how many relays may join, and notes who claims to come
// by somebody's hand. A token counts as often as it has uses left: a token that
// leaked must not make a small network look large.
func (d *docket) countAdmitted(queue []*relay) int {
	n := 0
	claims := make(map[[16]byte]int)
	for _, r := range queue {
		ok := d.admit(r)
		if t := r.proof.Token; ok && r.vouched && t != nil && !d.remembered(r) {
			claims[t.Nonce]++
			ok = claims[t.Nonce] <= t.MaxUses-int(d.tokenUse(t).Used)
		}
		if ok {
			n++
		}
		r.vouched = d.claimsHand(r)
	}
	return n
}

// alone applies the rules that concern one relay by itself.
func (d *docket) alone(r *relay) directory.Rule {
	if r.d == nil || !d.in.ValidAfter.Before(r.d.Expires()) {
		return directory.RuleLeft
	}
	if !r.running || len(r.addrs) == 0 {
		return directory.RuleNotRunning
	}
	var ok bool
	if r.onion, ok = r.d.OnionKeyAt(d.in.ValidAfter); !ok {
		return directory.RuleOnionKey
	}
	if slices.Max(append([]uint16{0}, r.d.Protocols...)) < d.file.MinProtocol {
		return directory.RuleProtocol
	}
	r.proof = d.proofOf(r)
	if r.mark&directory.VoteExclude != 0 {
		r.refused = limit{until: r.markUntil}
		return directory.RuleExcluded
	}
	if r.h.State&directory.StateScored != 0 {
		r.score = 4 * int(r.h.Score)
		r.refused = limit{value: uint64(r.h.Score), bound: scoreUnlist / 4, until: uint64(r.h.HoldUntil)}
		return directory.RuleScore
	}
	if r.h.State&directory.StateHeld != 0 {
		r.refused = limit{until: uint64(r.h.HoldUntil)}
		return directory.RuleCycling
	}
	return 0
}

// listingOrder decides who takes a slot: seeds, then relays that come by
// somebody's hand, then those listed earliest; never by bandwidth, or a fast
// newcomer displaces an old relay.
func listingOrder(a, b *relay) int {
	return cmp.Or(
		compareBool(b.seed, a.seed),
		compareBool(b.vouched, a.vouched),
		cmp.Compare(firstListed(a), firstListed(b)),
		bytes.Compare(a.key[:], b.key[:]),
	)
}

func firstListed(r *relay) uint32 {
	if r.h.FirstListed == 0 {
		return math.MaxUint32
	}
	return r.h.FirstListed
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// slots are what the relays that are listed so far have taken.
type slots struct {
	prefixes map[[16]byte]bool
	links    map[[32]byte]bool
	addrs    map[netip.AddrPort]bool
	nets     map[netip.Prefix]int
}

// take applies the rules that compare a relay with those listed before it.
func (d *docket) take(r *relay, s *slots) directory.Rule {
	hand := r.vouched
	switch {
	case len(d.listed) == maxListed:
		return directory.RuleFull
	case s.prefixes[r.d.ID.Prefix()] || s.links[r.d.LinkKey] ||
		slices.ContainsFunc(r.addrs, func(a netip.AddrPort) bool { return s.addrs[a] }):
		return directory.RuleDuplicate
	case !d.admit(r):
		return directory.RuleAdmission
	case hand && !r.vouched:
		return 0 // it has to stand behind the others
	}
	if rule, l := d.full(r, s); rule != 0 {
		if d.lab {
			return 0
		}
		if !d.small || !d.trusted {
			r.refused = l
			return rule
		}
		r.warnings = append(r.warnings, l)
	}
	return d.cycles(r)
}

// full tells which network of the relay has no slot left (A1 to A3).
func (d *docket) full(r *relay, s *slots) (directory.Rule, limit) {
	most := [levels]int{maxPerHost, maxPerNet, max(minPerBlock, d.lastN*blockPercent/100)}
	rules := [levels]directory.Rule{directory.RuleHost, directory.RuleNet, directory.RuleBlock}
	for l := range levels {
		for _, p := range r.nets[l] {
			if n := s.nets[p]; n >= most[l] {
				return rules[l], limit{rule: ruleNames[rules[l]], group: p.String(), value: uint64(n + 1), bound: uint64(most[l])}
			}
		}
	}
	return 0, limit{}
}

// exempt tells whether the rules against crowds of strangers leave the relay in
// peace.
func (r *relay) exempt() bool { return r.seed || r.vouched }

// cycles holds a new relay where too many new ones came lately (A5).
func (d *docket) cycles(r *relay) directory.Rule {
	if r.known || r.exempt() || d.arrivals.keys[[8]byte(r.key[:8])] {
		return 0
	}
	l, held := d.arrivals.crowded(r)
	d.arrivals.add(d, r)
	if !held {
		return 0
	}
	l.until = d.now + d.span(cycleHold)
	r.refused = l
	r.h.State |= directory.StateHeld
	r.h.HoldUntil = uint32(l.until)
	return directory.RuleCycling
}

// enter lists the relay.
func (d *docket) enter(r *relay, s *slots) {
	d.join(r)
	s.prefixes[r.d.ID.Prefix()] = true
	s.links[r.d.LinkKey] = true
	for _, a := range r.addrs {
		s.addrs[a] = true
	}
	for l := range levels {
		for _, p := range r.nets[l] {
			s.nets[p]++
		}
	}
	d.listed = append(d.listed, r)
}
