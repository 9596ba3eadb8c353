package path

import (
	"strconv"

	"hearsay/directory"
)

// Group says by what relays are put together when shares are counted.
type Group int

// The groups: an operator is a declared family, or a relay alone; a prefix is an
// IPv4 /16 or IPv6 /32, of the first address.
const (
	ByOperator Group = iota
	ByPrefix
	ByAS
)

// Share is what a group of relays sees of a network's circuits. Shares are
// between 0 and 1.
type Share struct {
	Name   string // of the group, for people; empty if there is none
	Relays int
	Guard  float64 // of guards
	Last   float64 // of last hops
	Both   float64 // of circuits whose guard and last hop are in the group
}

// LargestShare returns the group that has guard and last hop of most circuits of
// a network, over all its clients. A client keeps its guard: see OneOperator for
// its own circuits.
func LargestShare(view *directory.View, by Group) Share {
	guards := newWheel(view, eligibleGuard, func(r *directory.Relay) uint64 { return r.Guard })
	inner := newWheel(view, reachable, func(r *directory.Relay) uint64 { return r.Inner })
	groups := map[string]*Share{}
	group := func(r *directory.Relay) *Share {
		name := groupName(r, by)
		if groups[name] == nil {
			groups[name] = &Share{Name: name}
		}
		return groups[name]
	}
	last := map[*directory.Relay]float64{}
	for i, r := range inner.relays {
		last[r] = inner.share(i)
		s := group(r)
		s.Relays++
		s.Last += last[r]
	}
	for i, r := range guards.relays {
		s := group(r)
		if _, counted := last[r]; !counted {
			s.Relays++
		}
		s.Guard += guards.share(i)
	}
	// The guard itself is never the last hop, so what is left is drawn from
	// the others.
	for i, r := range guards.relays {
		if s := group(r); last[r] < 1 {
			s.Both += guards.share(i) * (s.Last - last[r]) / (1 - last[r])
		}
	}
	var largest Share
	for _, s := range groups {
		if s.Both > largest.Both || s.Both == largest.Both && (s.Guard+s.Last > largest.Guard+largest.Last ||
			s.Guard+s.Last == largest.Guard+largest.Last && s.Name < largest.Name) {
			largest = *s
		}
	}
	return largest
}

// groupName names the group of a relay; relays that name none stand alone.
func groupName(r *directory.Relay, by Group) string {
	switch {
	case by == ByOperator && r.Family != 0:
		return "family " + strconv.Itoa(int(r.Family))
	case by == ByPrefix:
		return prefixOf(r.Addrs[0]).String()
	case by == ByAS && r.AS != 0:
		return "AS " + strconv.Itoa(int(r.AS))
	}
	return "relay " + r.ID.String()[:8]
}

// OneOperator returns the share of this client's circuits whose guard and last
// hop belong to one declared family, with the guard and the layer-2 guards of
// now. It is 0 while there is no guard or it declares no family.
func (s *Selector) OneOperator() float64 {
	if len(s.primaries) == 0 || s.primaries[0].Family == 0 {
		return 0
	}
	g := s.primaries[0]
	sum, sets := 0.0, 0
	for _, l := range s.layer2 {
		if l == g {
			continue
		}
		family, all := 0.0, 0.0
		for i, r := range s.innerWheel.relays {
			if r == g || r == l {
				continue
			}
			all += s.innerWheel.share(i)
			if r.Family == g.Family {
				family += s.innerWheel.share(i)
			}
		}
		if all > 0 {
			sum += family / all
			sets++
		}
	}
	if sets == 0 {
		return 0
	}
	return sum / float64(sets)
}
