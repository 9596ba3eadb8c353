package sybil

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	"hearsay/directory"
)

// Specification constants of clusters (SPEC.md §6).
const (
	minCluster    = 3
	minCommonUps  = 4
	linkUptime    = unit / 2
	linkConfig    = 18 * unit
	linkConfigNew = 12 * unit
	burstOfJoins  = 3 * day
)

// groups joins what is linked (union by lowest index).
type groups []int

func newGroups(n int) groups {
	g := make(groups, n)
	for i := range g {
		g[i] = i
	}
	return g
}

func (g groups) find(i int) int {
	for g[i] != i {
		g[i] = g[g[i]]
		i = g[i]
	}
	return i
}

func (g groups) link(i, j int) {
	a, b := g.find(i), g.find(j)
	g[max(a, b)] = min(a, b)
}

// numbers numbers the groups of at least the given size from 1, in the order of
// their first members; the others are 0.
func (g groups) numbers(least int) []int {
	size := make([]int, len(g))
	for i := range g {
		size[g.find(i)]++
	}
	out := make([]int, len(g))
	next := 0
	for i := range g {
		switch root := g.find(i); {
		case size[root] < least:
		case root == i:
			next++
			out[i] = next
		default:
			out[i] = out[root]
		}
	}
	return out
}

// findClusters looks for relays that one hand seems to run (SPEC.md §6), and
// names the kin of each relay.
func (d *docket) findClusters() {
	if len(d.listed) >= smallNetwork {
		d.uptimeClusters()
		d.configClusters()
	}
	d.nameKin()
}

// sameFamily tells whether two relays declare a family in common.
func (d *docket) sameFamily(a, b *relay) bool {
	if len(a.d.Families) == 0 || len(b.d.Families) == 0 {
		return false
	}
	other := b.families(d)
	return slices.ContainsFunc(a.families(d), func(f [32]byte) bool { return slices.Contains(other, f) })
}

// near tells whether two relays share an AS, or, where that is unknown, a /16:
// they fail together by nature.
func near(a, b *relay) bool {
	for _, as := range a.ases {
		if as != 0 && slices.Contains(b.ases, as) {
			return true
		}
	}
	if a.ases[0] != 0 && b.ases[0] != 0 {
		return false
	}
	return slices.ContainsFunc(a.nets[levelBlock], func(p netip.Prefix) bool { return slices.Contains(b.nets[levelBlock], p) })
}

const hours = 720

// starts are the hours of the last 30 days in which a relay began to run.
type starts [12]uint64

func startsOf(h *directory.History) starts {
	var s starts
	var b [96]byte
	copy(b[:], h.Ups[:])
	for i := range s {
		s[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return s
}

func (s *starts) common(t *starts) int {
	n := 0
	for i := range s {
		n += bits.OnesCount64(s[i] & t[i])
	}
	return n
}

// sum adds up the rarity of the hours in s&t, or in s|t.
func (s *starts) sum(t *starts, rarity *[hours]uint64, both bool) uint64 {
	var sum uint64
	for i := range s {
		w := s[i] | t[i]
		if both {
			w = s[i] & t[i]
		}
		for ; w != 0; w &= w - 1 {
			sum += rarity[64*i+bits.TrailingZeros64(w)]
		}
	}
	return sum
}

// uptimeClusters links relays that began to run in the same rare hours.
func (d *docket) uptimeClusters() {
	ups := make([]starts, len(d.listed))
	var count [hours]uint64
	var often []int // relays that began often enough
	for i, r := range d.listed {
		ups[i] = startsOf(&r.h)
		n := 0
		for h := range count {
			if ups[i][h/64]>>(h%64)&1 != 0 {
				count[h]++
				n++
			}
		}
		if n >= minCommonUps {
			often = append(often, i)
		}
	}
	var rarity [hours]uint64
	all := log2(uint64(len(d.listed)))
	for h, n := range count {
		if n > 0 {
			rarity[h] = all - log2(n)
		}
	}
	g := newGroups(len(d.listed))
	for k, i := range often {
		for _, j := range often[k+1:] {
			if ups[i].common(&ups[j]) < minCommonUps {
				continue
			}
			both, either := ups[i].sum(&ups[j], &rarity, true), ups[i].sum(&ups[j], &rarity, false)
			if both == 0 || both*unit < linkUptime*either || near(d.listed[i], d.listed[j]) || d.sameFamily(d.listed[i], d.listed[j]) {
				continue
			}
			g.link(i, j)
		}
	}
	for i, n := range g.numbers(minCluster) {
		d.listed[i].uptime = n
	}
}

// traits are the settings in which two relays may agree.
const traits = 6

// configClusters links relays whose settings agree more than chance explains.
func (d *docket) configClusters() {
	values := make([][traits]string, len(d.listed))
	var count [traits]map[string]uint64
	for t := range count {
		count[t] = make(map[string]uint64)
	}
	for i, r := range d.listed {
		values[i] = traitsOf(r)
		for t, v := range values[i] {
			if v != "" {
				count[t][v]++
			}
		}
	}
	// A trait that nobody shares links nobody; numbers compare faster than texts.
	type profile struct {
		relay  int
		number [traits]uint32
		rarity [traits]uint64
	}
	var list []profile
	all := log2(uint64(len(d.listed)))
	var number [traits]map[string]uint32
	for t := range number {
		number[t] = make(map[string]uint32)
	}
	for i := range values {
		p := profile{relay: i}
		var sum uint64
		for t, v := range values[i] {
			if n := count[t][v]; n > 1 {
				if number[t][v] == 0 {
					number[t][v] = uint32(len(number[t]) + 1)
				}
				p.number[t], p.rarity[t] = number[t][v], all-log2(n)
				sum += p.rarity[t]
			}
		}
		if sum >= linkConfigNew {
			list = append(list, p)
		}
	}
	g := newGroups(len(d.listed))
	for k := range list {
		p := &list[k]
		for m := k + 1; m < len(list); m++ {
			q := &list[m]
			var sum uint64
			for t := range traits {
				if p.number[t] == q.number[t] {
					sum += p.rarity[t]
				}
			}
			if sum < linkConfigNew {
				continue
			}
			a, b := d.listed[p.relay], d.listed[q.relay]
			if (sum >= linkConfig || d.joinedTogether(a, b)) && !d.sameFamily(a, b) {
				g.link(p.relay, q.relay)
			}
		}
	}
	for i, n := range g.numbers(minCluster) {
		d.listed[i].config = n
	}
}

// traitsOf returns version, ports, roles, declared bandwidth, contact and
// skeleton of the nick; what is not set is empty and agrees with nothing.
func traitsOf(r *relay) [traits]string {
	var ports, declared []byte
	for _, a := range r.d.Addrs {
		ports = binary.BigEndian.AppendUint16(ports, a.Port())
	}
	if r.d.Declared != 0 {
		declared = binary.BigEndian.AppendUint64(nil, r.d.Declared)
	}
	return [traits]string{r.d.Software, string(ports), string([]byte{byte(r.d.Roles)}), string(declared), r.d.Contact, skeleton(r.d.Nick)}
}

// skeleton is a nick without digits, signs and case: relay01 and Relay-2 agree.
func skeleton(nick string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z':
			return c
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		}
		return -1
	}, nick)
}

func (d *docket) joinedTogether(a, b *relay) bool {
	x, y := d.firstSeen(a), d.firstSeen(b)
	return max(x, y)-min(x, y) <= d.span(burstOfJoins)
}

// firstSeen is when the relay was listed first; now, if it never was.
func (d *docket) firstSeen(r *relay) uint64 {
	if r.h.FirstListed == 0 {
		return d.now
	}
	return uint64(r.h.FirstListed)
}

// clusters names the clusters of the relay that count in weights and paths.
func (d *docket) clusters(r *relay) []clusterName {
	var list []clusterName
	if r.uptime != 0 {
		list = append(list, clusterName{false, r.uptime})
	}
	if r.config != 0 && d.file.Param(directory.ParamConfigCluster, len(d.listed)) == 1 {
		list = append(list, clusterName{true, r.config})
	}
	return list
}

// clusterName names a cluster within one judgement.
type clusterName struct {
	config bool
	number int
}

// nameKin gives one key to relays that a path must not combine: those of one
// family or cluster, directly or through others (SPEC.md §6.3).
func (d *docket) nameKin() {
	g := newGroups(len(d.listed))
	byFamily := make(map[[32]byte]int)
	byCluster := make(map[clusterName]int)
	clustered := make(map[int]bool)
	for i, r := range d.listed {
		for _, f := range r.families(d) {
			if j, ok := byFamily[f]; ok {
				g.link(i, j)
			} else {
				byFamily[f] = i
			}
		}
		for _, c := range d.clusters(r) {
			if j, ok := byCluster[c]; ok {
				g.link(i, j)
			} else {
				byCluster[c] = i
			}
		}
	}
	names := make(map[int][][32]byte)
	for i, r := range d.listed {
		root := g.find(i)
		names[root] = append(names[root], r.families(d)...)
		if len(d.clusters(r)) > 0 {
			clustered[root] = true
		}
	}
	for i, r := range d.listed {
		root := g.find(i)
		list := names[root]
		switch {
		case clustered[root]:
			id, lowest := d.in.Chain.ID(), d.listed[root].d.ID
			b := append([]byte(labelCluster), 0)
			b = append(b, id[:]...)
			r.kin = sha256.Sum256(append(b, lowest[:]...))
		case len(list) > 0:
			r.kin = slices.MinFunc(list, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
		}
	}
}
