package path

import (
	"net/netip"

	"hearsay/directory"
)

// smallNetwork is the number of relays up to which diversity may be relaxed.
const smallNetwork = 20

// Lengths of the prefixes that two relays of a set do not share.
const (
	bitsIPv4 = 16
	bitsIPv6 = 32
)

// likeness says in what two relays are related, the least telling first: sets
// are relaxed in this order (SPEC.md §3.1).
type likeness int

const (
	unrelated likeness = iota
	sameAS
	samePrefix
	sameFamily
)

// kin are the relays of a set, by what another may share with them.
type kin struct {
	families map[uint16]bool
	prefixes map[netip.Prefix]bool
	ases     map[uint16]bool
}

func newKin(set []*directory.Relay) kin {
	k := kin{map[uint16]bool{}, map[netip.Prefix]bool{}, map[uint16]bool{}}
	for _, r := range set {
		k.add(r)
	}
	return k
}

func (k kin) add(r *directory.Relay) {
	if r.Family != 0 {
		k.families[r.Family] = true
	}
	if r.AS != 0 {
		k.ases[r.AS] = true
	}
	for _, a := range r.Addrs {
		k.prefixes[prefixOf(a)] = true
	}
}

// like returns the most telling thing that a relay shares with the set.
func (k kin) like(r *directory.Relay) likeness {
	if k.families[r.Family] {
		return sameFamily
	}
	for _, a := range r.Addrs {
		if k.prefixes[prefixOf(a)] {
			return samePrefix
		}
	}
	if k.ases[r.AS] {
		return sameAS
	}
	return unrelated
}

// prefixOf returns the IPv4 /16 or IPv6 /32 of an address.
func prefixOf(a netip.AddrPort) netip.Prefix {
	ip := a.Addr().Unmap()
	bits := bitsIPv4
	if ip.Is6() {
		bits = bitsIPv6
	}
	p, _ := ip.WithZone("").Prefix(bits) // an invalid address has a prefix of its own
	return p
}

// drawDiverse draws a relay that is not related to any of a set. Small and lab
// networks may have none; then the set is relaxed step by step. In others only
// the AS may be disregarded, for a relay that is needed.
func (s *Selector) drawDiverse(w wheel, k kin, needed bool, ok func(*directory.Relay) bool) *directory.Relay {
	most := unrelated
	switch {
	case s.lab || len(s.view.Relays()) <= smallNetwork:
		most = sameFamily
	case needed:
		most = sameAS
	}
	for allowed := unrelated; allowed <= most; allowed++ {
		if r := w.drawExact(s.rnd, func(r *directory.Relay) bool { return k.like(r) <= allowed && ok(r) }); r != nil {
			return r
		}
	}
	return nil
}
