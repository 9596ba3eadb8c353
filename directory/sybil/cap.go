package sybil

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"

	"hearsay/directory"
)

// Specification constants of caps (SPEC.md §8.2).
const (
	maxRounds     = 200
	tolerance     = 10_000    // a share may be one part of this above its cap
	minGroups     = 4         // groups from which a cap acts
	cohortLength  = 7 * day   // a join cohort
	cohortAge     = 180 * day // up to which a relay belongs to one
	newcomerAge   = 30 * day
	collapseShift = 20 // caps that leave less than 2^-20 of a wheel contradict each other
)

// wheel is a position in circuits for which relays are drawn by weight.
type wheel int

const (
	wheelGuard wheel = iota
	wheelInner
	wheelMailbox
	wheels
)

func (w wheel) String() string { return [wheels]string{"guard", "inner", "mailbox"}[w] }

// kind is a way to divide relays into groups. Caps are applied in this order.
type kind int

const (
	kindAS kind = iota
	kindBlock
	kindFamily
	kindCohort
	kindNewcomer
	kindCluster
	kindLineage
	kindUnvouched
	kinds
)

func (k kind) String() string {
	return [kinds]string{"AS", "prefix", "family", "cohort", "newcomers", "cluster", "lineage", "un-vouched"}[k]
}

// yields is the order in which kinds give way if caps contradict each other:
// those that move least in the simulation first.
var yields = [kinds]kind{kindAS, kindLineage, kindBlock, kindFamily, kindCluster, kindNewcomer, kindCohort, kindUnvouched}

// group is a set of relays of one wheel that together have at most the share
// num/den.
type group struct {
	kind     kind
	name     string
	members  []int
	num, den uint64
	before   uint64 // share before all caps, in units
	scaled   bool
}

// capNote says that caps of a kind gave way on a wheel.
type capNote struct{ gaveWay kind }

// weigh computes the weights of the three wheels.
func (d *docket) weigh() {
	for w := range wheels {
		var list []*relay
		var weights []uint64
		for _, r := range d.listed {
			if r.on(w) {
				list = append(list, r)
				weights = append(weights, r.base)
			}
		}
		if !d.few() {
			d.capWheel(w, list, weights)
		}
		for i, r := range list {
			r.weights[w] = weights[i]
		}
	}
}

// on tells whether the relay serves in a position.
func (r *relay) on(w wheel) bool {
	switch w {
	case wheelGuard:
		return r.flags&directory.FlagGuard != 0
	case wheelMailbox:
		return r.flags&directory.FlagMailbox != 0
	}
	return r.d.Roles&directory.RoleInner != 0
}

// capWheel lowers weights until no group has more than its cap.
func (d *docket) capWheel(w wheel, list []*relay, weights []uint64) {
	groups := d.groups(list)
	raw := slices.Clone(weights)
	for drop := 0; !applyCaps(weights, groups) && drop < len(yields); drop++ {
		d.caps[w] = append(d.caps[w], capNote{yields[drop]})
		groups = slices.DeleteFunc(groups, func(g group) bool { return g.kind == yields[drop] })
		copy(weights, raw)
	}
	for _, g := range groups {
		if !g.scaled {
			continue
		}
		for _, i := range g.members {
			list[i].wants = append(list[i].wants, limit{
				rule: "C " + g.kind.String() + " " + w.String(), group: g.name,
				value: g.before * 1000 >> unitBits, bound: g.num * 1000 / g.den,
			})
		}
	}
}

// applyCaps scales groups down in rounds. It reports false if the caps
// contradict each other: then hardly anything is left of the wheel.
func applyCaps(weights []uint64, groups []group) bool {
	total := uint64(0)
	for _, w := range weights {
		total += w
	}
	least := total >> collapseShift
	for i := range groups {
		g := &groups[i]
		g.scaled = false
		g.before = share(g.sum(weights), total)
	}
	for range maxRounds {
		changed := false
		for i := range groups {
			g := &groups[i]
			sum := g.sum(weights)
			if sum == total || !less(g.num*(tolerance+1), total, g.den*tolerance, sum) {
				continue
			}
			target := mulDiv(g.num, total-sum, g.den-g.num)
			for _, m := range g.members {
				weights[m] = mulDiv(weights[m], target, sum)
			}
			total = total - sum + g.sum(weights)
			g.scaled, changed = true, true
		}
		if !changed {
			return true
		}
		if total < least {
			return false
		}
	}
	return true
}

func (g *group) sum(weights []uint64) uint64 {
	sum := uint64(0)
	for _, m := range g.members {
		sum += weights[m]
	}
	return sum
}

// groups divides the relays of a wheel in all ways for which there is a cap.
func (d *docket) groups(list []*relay) []group {
	n := len(d.listed)
	permille := func(p directory.Param) uint64 { return uint64(d.file.Param(p, n)) }
	var all []group
	if d.as != nil {
		all = append(all, partition(kindAS, permille(directory.ParamASCap), list, func(r *relay) []string {
			return names(r.ases, func(as uint32) string { return fmt.Sprintf("AS %d", as) })
		})...)
	}
	all = append(all, partition(kindBlock, permille(directory.ParamPrefixCap), list, func(r *relay) []string {
		return names(r.nets[levelBlock], netip.Prefix.String)
	})...)
	all = append(all, partition(kindFamily, permille(directory.ParamFamilyCap), list, func(r *relay) []string {
		return names(r.families(d), func(f [32]byte) string { return "family " + hex.EncodeToString(f[:8]) })
	})...)
	if !d.young() {
		all = append(all, partition(kindCohort, permille(directory.ParamCohortCap), list, d.cohort)...)
		all = append(all, part(kindNewcomer, permille(directory.ParamNewcomerCap), "relays listed for less than 30 days", list, d.newcomer)...)
	}
	all = append(all, partition(kindCluster, permille(directory.ParamClusterCap), list, func(r *relay) []string {
		return names(d.clusters(r), clusterName.String)
	})...)
	all = append(all, partition(kindLineage, permille(directory.ParamLineageCap), list, func(r *relay) []string {
		if r.h.Lineage == 0 {
			return nil
		}
		return []string{fmt.Sprintf("lineage %d", r.h.Lineage)}
	})...)
	vouched := 0
	for _, r := range d.listed {
		if r.vouched {
			vouched++
		}
	}
	if vouched >= vouchedForCaps {
		all = append(all, part(kindUnvouched, permille(directory.ParamUnvouchedCap), "relays that nobody vouches for", list, func(r *relay) bool { return !r.vouched })...)
	}
	return all
}

func (c clusterName) String() string {
	if c.config {
		return fmt.Sprintf("configuration cluster %d", c.number)
	}
	return fmt.Sprintf("uptime cluster %d", c.number)
}

// cohort names the week in which a young relay came.
func (d *docket) cohort(r *relay) []string {
	if r.exempt() || uint64(r.h.Listed) >= d.span(cohortAge) {
		return nil
	}
	week := d.span(cohortLength)
	return []string{fmt.Sprintf("relays that came in the 7 days from %s", stamp(d.firstSeen(r)/week*week))}
}

func (d *docket) newcomer(r *relay) bool {
	return !r.exempt() && uint64(r.h.Listed) < d.span(newcomerAge)
}

func names[T any](list []T, name func(T) string) []string {
	var out []string
	for _, v := range list {
		out = append(out, name(v))
	}
	return out
}

// partition makes the groups of a kind, in the order of their names. A relay
// without a group is one by itself. The cap is at least one and a half times
// what each would have if all were equal: no lower one could be met.
func partition(k kind, permille uint64, list []*relay, of func(*relay) []string) []group {
	members := make(map[string][]int)
	count := uint64(0)
	for i, r := range list {
		keys := of(r)
		if len(keys) == 0 {
			count++
		}
		for _, key := range keys {
			members[key] = append(members[key], i)
		}
	}
	var out []group
	for name, m := range members {
		out = append(out, group{kind: k, name: name, members: m})
	}
	count += uint64(len(out))
	num, den := permille, uint64(1000)
	if 2*permille*count < 3000 {
		num, den = 3, 2*count
	}
	if count < minGroups || num >= den || num == 0 {
		return nil
	}
	slices.SortFunc(out, func(a, b group) int { return cmp.Compare(a.name, b.name) })
	for i := range out {
		out[i].num, out[i].den = num, den
	}
	return out
}

// part makes the one group of a kind that has two sides.
func part(k kind, permille uint64, name string, list []*relay, in func(*relay) bool) []group {
	g := group{kind: k, name: name, num: permille, den: 1000}
	for i, r := range list {
		if in(r) {
			g.members = append(g.members, i)
		}
	}
	if len(g.members) == 0 || permille == 0 || permille >= 1000 {
		return nil
	}
	return []group{g}
}
