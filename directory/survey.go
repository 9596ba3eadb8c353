package directory

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// Specification constants of what a network must have to be of use (SPEC.md §32).
const (
	relaysOfPath   = 4 // three hops and the mailbox relay
	relaysOfCopies = 5 // and a second mailbox relay outside of the circuit
)

// Group is a set of relays that one party may control or watch, with its share of
// the weight on each wheel in per mille.
type Group struct {
	Name                  string
	Relays                int
	Guard, Inner, Mailbox uint64
}

// Largest returns the highest of the three shares.
func (g *Group) Largest() uint64 { return max(g.Guard, g.Inner, g.Mailbox) }

// Survey is what people should know of a snapshot as a whole.
type Survey struct {
	// Operators, Prefixes and ASes are the groups by family or cluster (a relay
	// without one is a group by itself), IPv4 /16 or IPv6 /32, and AS; the largest
	// first. ASes is empty if none is known.
	Operators, Prefixes, ASes []Group
	// Missing says in words what the network lacks for private messages, nothing
	// if it lacks nothing.
	Missing []string
}

// Survey sums a verified snapshot up.
func (s *Snapshot) Survey() Survey {
	operators, prefixes, ases := make(map[string]*weights), make(map[string]*weights), make(map[string]*weights)
	for i := range s.Entries {
		e := &s.Entries[i]
		operator := "relay " + e.ID.String()[:8]
		if e.Family > 0 && int(e.Family) <= len(s.Tables.Families) {
			operator = fmt.Sprintf("family %x", s.Tables.Families[e.Family-1][:4])
		}
		add(operators, operator, e)
		var seen []netip.Prefix
		for _, a := range e.Addrs {
			if p := wideNet(a.Addr()); !slices.Contains(seen, p) {
				seen = append(seen, p)
				add(prefixes, p.String(), e)
			}
		}
		if e.AS > 0 && int(e.AS) <= len(s.Tables.ASes) {
			add(ases, fmt.Sprintf("AS%d", s.Tables.ASes[e.AS-1]), e)
		}
	}
	totals := s.Header.Totals
	v := Survey{Operators: groups(operators, totals), Prefixes: groups(prefixes, totals), ASes: groups(ases, totals)}
	v.Missing = s.missing(&v)
	return v
}

type weights struct {
	relays int
	sums   [3]uint64
}

func add(m map[string]*weights, name string, e *Entry) {
	w := m[name]
	if w == nil {
		w = &weights{}
		m[name] = w
	}
	w.relays++
	w.sums[0] += Weight(e.Guard)
	w.sums[1] += Weight(e.Inner)
	w.sums[2] += Weight(e.Mailbox)
}

func groups(m map[string]*weights, totals [3]uint64) []Group {
	var list []Group
	for name, w := range m {
		list = append(list, Group{
			Name: name, Relays: w.relays, Guard: perMille(w.sums[0], totals[0]),
			Inner: perMille(w.sums[1], totals[1]), Mailbox: perMille(w.sums[2], totals[2]),
		})
	}
	slices.SortFunc(list, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Largest(), a.Largest()), cmp.Compare(b.Relays, a.Relays), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// perMille rounds to the nearest; sums are below 2^54.
func perMille(part, whole uint64) uint64 {
	if whole == 0 {
		return 0
	}
	return (part*1000 + whole/2) / whole
}

// wideNet returns the IPv4 /16 or IPv6 /32 of an address.
func wideNet(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is4() {
		bits = 16
	}
	p, _ := a.Prefix(bits) // fails for no address that has so many bits
	return p
}

// missing names what the listed relays do not give together.
func (s *Snapshot) missing(v *Survey) []string {
	var list []string
	n := len(s.Entries)
	switch {
	case n < relaysOfPath:
		list = append(list, fmt.Sprintf("%d relays are listed; a circuit and its mailbox relay take %d", n, relaysOfPath))
	case n < relaysOfCopies:
		list = append(list, fmt.Sprintf("%d relays are listed; for a second copy of messages outside of the circuit it takes %d", n, relaysOfCopies))
	}
	for _, f := range []struct {
		flag Flags
		what string
	}{{FlagGuard, "circuits cannot begin"}, {FlagMailbox, "messages cannot wait"}} {
		if !slices.ContainsFunc(s.Entries, func(e Entry) bool { return e.Flags&f.flag != 0 }) {
			list = append(list, fmt.Sprintf("no relay has the flag %s: %s", f.flag, f.what))
		}
	}
	for _, g := range []struct {
		of   []Group
		what string
	}{{v.Operators, "operator"}, {v.Prefixes, "prefix"}, {v.ASes, "AS"}} {
		if n > 1 && len(g.of) == 1 {
			list = append(list, fmt.Sprintf("all relays are in one %s: it sees both ends of every circuit", g.what))
		}
	}
	return list
}

// Signers returns whose signatures a verified head bears, and who of those that
// might have signed did not: signers of its version of the network file, or, in an
// emergency, roots.
func (h *Head) Signers(c *Chain) (signed, not []FounderKey) {
	f, ok := c.Version(h.Header.FileVersion)
	if !ok {
		return nil, nil
	}
	keys, by := f.Signers, h.signers(f)
	if h.Header.Flags&HeaderEmergency != 0 {
		keys = f.Roots
	}
	for _, k := range keys {
		if listsKey(by, k.Public) {
			signed = append(signed, k)
		} else {
			not = append(not, k)
		}
	}
	return signed, not
}
