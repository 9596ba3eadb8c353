package sybil

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"hearsay/directory"
)

// Specification constants of join bursts (SPEC.md §5).
const (
	burstDays   = 30 // days before the last that make the mean
	burstAS     = 9  // new relays in a day that no AS must explain
	burstAll    = 10
	burstShare  = 3 // percent of the network
	sigmasAS    = 4
	sigmasAll   = 6
	burstStop   = 14 * day
	burstWindow = day
	maxArrivals = 4 * maxListed
)

// arrivals are the addresses at which strangers came first in the last 31 days.
type arrivals struct {
	all   []directory.Arrival
	keys  map[[8]byte]bool
	today map[[8]byte]bool                  // of the last day
	nets  map[netip.Prefix]map[[8]byte]bool // within 30 days, by host and /24
}

func (d *docket) readArrivals() {
	d.arrivals = arrivals{keys: make(map[[8]byte]bool), today: make(map[[8]byte]bool), nets: make(map[netip.Prefix]map[[8]byte]bool)}
	for _, a := range d.ledger.Parts().Arrivals {
		if !a.Keep(d.lab, d.in.ValidAfter) {
			continue
		}
		d.arrivals.all = append(d.arrivals.all, a)
		d.arrivals.keys[a.Key] = true
		if uint64(a.Time)+d.span(cycleSpan) > d.now {
			d.arrivals.count(a.Key, addrOf(a))
		}
	}
}

// addrOf returns the host of an arrival, of an IPv6 /64 its first address.
func addrOf(a directory.Arrival) netip.Addr { return netip.AddrFrom16(a.Net).Unmap() }

func (a *arrivals) count(key [8]byte, at netip.Addr) {
	for _, l := range []level{levelHost, levelNet} {
		p := netOf(at, l)
		if a.nets[p] == nil {
			a.nets[p] = make(map[[8]byte]bool)
		}
		a.nets[p][key] = true
	}
}

// crowded tells at which network of a new relay too many came.
func (a *arrivals) crowded(r *relay) (limit, bool) {
	for _, c := range []struct {
		at   level
		most int
	}{{levelHost, cycleHost}, {levelNet, cycleNet}} {
		for _, p := range r.nets[c.at] {
			if n := len(a.nets[p]) + 1; n >= c.most {
				return limit{rule: "A5", group: p.String(), value: uint64(n), bound: uint64(c.most - 1)}, true
			}
		}
	}
	return limit{}, false
}

// add notes the first sight of a stranger.
func (a *arrivals) add(d *docket, r *relay) {
	key := [8]byte(r.key[:8])
	a.keys[key] = true
	fam := [8]byte{}
	if list := r.families(d); len(list) > 0 {
		fam = [8]byte(list[0][:8])
	}
	for _, p := range r.nets[levelHost] {
		a.all = append(a.all, directory.Arrival{Net: p.Addr().As16(), Key: key, Time: uint32(d.now), Family: fam})
		a.count(key, p.Addr())
	}
}

// after returns what the next ledger holds: the newest, if there are too many.
func (a *arrivals) after() []directory.Arrival {
	list := slices.Clone(a.all)
	slices.SortFunc(list, func(x, y directory.Arrival) int {
		return cmp.Or(cmp.Compare(y.Time, x.Time), bytes.Compare(x.Net[:], y.Net[:]), bytes.Compare(x.Key[:], y.Key[:]))
	})
	return list[:min(len(list), maxArrivals)]
}

// families returns the families of a relay whose certificates are valid.
func (r *relay) families(d *docket) [][32]byte {
	var list [][32]byte
	for _, f := range r.d.Families {
		if f.Expires.After(d.in.ValidAfter) {
			list = append(list, f.Key)
		}
	}
	return list
}

// days counts who came on each of the last 31 days; a family counts once.
type days [burstDays + 1]map[[9]byte]bool

func (t *days) add(day uint64, a *directory.Arrival) {
	who := [9]byte{}
	copy(who[1:], a.Key[:])
	if a.Family != [8]byte{} {
		who[0] = 1
		copy(who[1:], a.Family[:])
	}
	if t[day] == nil {
		t[day] = make(map[[9]byte]bool)
	}
	t[day][who] = true
}

// exceeds tells whether the last day's count is above least and above the mean
// of the 30 days before plus so many standard deviations.
func (t *days) exceeds(least, sigmas uint64) (count uint64, is bool) {
	count = uint64(len(t[0]))
	var sum, squares uint64
	for _, m := range t[1:] {
		n := uint64(len(m))
		sum += n
		squares += n * n
	}
	// count > sum/30 + sigmas·√(squares/30 − (sum/30)²), times 30 and squared.
	if count <= least || burstDays*count <= sum {
		return count, false
	}
	over := burstDays*count - sum
	return count, less(sigmas*sigmas, burstDays*squares-sum*sum, over, over)
}

// findBursts stops the clocks of relays that came in a burst (SPEC.md §5).
func (d *docket) findBursts() {
	for _, r := range d.listed {
		if r.approved {
			r.h.State |= directory.StateApproved
			if r.h.State&directory.StateStopped != 0 {
				r.h.State &^= directory.StateStopped
				r.h.HoldUntil = 0
			}
		}
	}
	var all days
	byAS := make(map[uint32]*days)
	for i := range d.arrivals.all {
		a := &d.arrivals.all[i]
		age := (d.now - min(uint64(a.Time), d.now)) / d.span(burstWindow)
		if age > burstDays {
			continue
		}
		if age == 0 {
			d.arrivals.today[a.Key] = true
		}
		all.add(age, a)
		as := d.asOf(addrOf(*a))
		if as == 0 {
			continue
		}
		if byAS[as] == nil {
			byAS[as] = new(days)
		}
		byAS[as].add(age, a)
	}
	n := uint64(d.lastN)
	total, burst := all.exceeds(max(burstAll, n*burstShare/100), sigmasAll)
	for _, r := range d.listed {
		if r.exempt() || r.h.State&(directory.StateApproved|directory.StateStopped) != 0 || !d.cameToday(r) {
			continue
		}
		if burst {
			d.stop(r, limit{rule: "E", group: "the whole network", value: total, bound: max(burstAll, n*burstShare/100)})
			continue
		}
		for _, as := range r.ases {
			if t := byAS[as]; t != nil {
				if count, is := t.exceeds(burstAS, sigmasAS); is {
					d.stop(r, limit{rule: "E", group: fmt.Sprintf("AS %d", as), value: count, bound: burstAS})
					break
				}
			}
		}
	}
	for _, r := range d.listed {
		if r.h.State&directory.StateStopped != 0 && !slices.ContainsFunc(r.warnings, func(l limit) bool { return l.rule == "E" }) {
			r.warnings = append(r.warnings, limit{rule: "E", until: uint64(r.h.HoldUntil)})
		}
	}
}

// cameToday tells whether the relay's first sight lies within a day.
func (d *docket) cameToday(r *relay) bool {
	return d.arrivals.today[[8]byte(r.key[:8])]
}

func (d *docket) stop(r *relay, l limit) {
	l.until = d.now + d.span(burstStop)
	r.h.State |= directory.StateStopped
	r.h.HoldUntil = uint32(l.until)
	r.warnings = append(r.warnings, l)
}
