package directory

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Specification constants of placement (SPEC.md §23).
const (
	// PlacementReplicas is on how many relays a record lies.
	PlacementReplicas = 6
	// PlacementReads is how many of them a reader asks at first.
	PlacementReads   = 3
	placementRanks   = 2 * PlacementReplicas
	placementPeriods = 9 // that a record lives
	placementLen     = srvRoundLen
	placementMargin  = time.Hour // before a period begins its records are in place
	repairFrom       = 4 * time.Hour
	repairUntil      = 8 * time.Hour
)

// ErrNoRandomValue is returned for a period whose shared random value the view
// does not hold.
var ErrNoRandomValue = errors.New("directory: the snapshot does not hold the random value of that period")

// PlacementPeriod returns the number of the period that t is in. Periods last a
// day and begin at 12:00 UTC. The time is a snapshot's, never the clock's, so
// that all who hold the same snapshot look in the same places.
func PlacementPeriod(lab bool, t time.Time) uint64 {
	return srvRound(lab, t.Add(-Scale(lab, srvHalf)))
}

// PlacementStart returns when a period begins.
func PlacementStart(lab bool, period uint64) time.Time {
	return PlacementKnown(lab, period).Add(Scale(lab, srvHalf))
}

// PlacementKnown returns when the random value of a period is known: that is the
// value of the round before, which ends half a day before the period begins.
func PlacementKnown(lab bool, period uint64) time.Time {
	return time.Unix(int64(min(period, maxUnix)*uint64(Scale(lab, placementLen)/time.Second)), 0)
}

// PublishWindow returns from when until when the record of a period is first
// published, at a time that the owner draws uniformly from what is left of it.
func PublishWindow(lab bool, period uint64) (from, until time.Time) {
	return PlacementKnown(lab, period), PlacementStart(lab, period).Add(-Scale(lab, placementMargin))
}

// RepairInterval returns how long after publishing or repairing the owner looks
// again whether all six relays hold the record: r, in [0, 1), draws from 4 to 8
// hours.
func RepairInterval(lab bool, r float64) time.Duration {
	return Scale(lab, repairFrom+time.Duration(r*float64(repairUntil-repairFrom)))
}

// RevisionAt returns the revision that an owner gives to a record of a period at
// the time now, if that is above the last one used: the seconds since the
// period's random value was known. A count that ran on over periods would link
// them.
func RevisionAt(lab bool, period uint64, now time.Time) uint64 {
	return uint64(max(now.Sub(PlacementKnown(lab, period))/time.Second, 0)) + 1
}

// SRV returns the shared random value of a round, if the snapshot holds it.
func (v *View) SRV(round uint64) ([32]byte, bool) {
	for i := range v.srvs {
		if v.srvs[i].Round == round {
			return v.srvs[i].Value, true
		}
	}
	return [32]byte{}, false
}

// Periods returns the periods in which a reader looks for a record, the present
// one first and then back as far as records live and the snapshot knows. An
// owner that was away for a week is found so.
func (v *View) Periods() []uint64 {
	now := PlacementPeriod(v.lab, v.validAfter)
	var list []uint64
	for p := now; p > 0 && now-p < placementPeriods; p-- {
		if _, ok := v.SRV(p - 1); !ok {
			break
		}
		list = append(list, p)
	}
	return list
}

// Placement returns the relays that hold the record of a blinded key in a
// period, best first: the first six hold it, the next six held it before others
// came, or will. There are fewer if fewer relays have the flag Placement. All who
// hold the same snapshot get the same list (SPEC.md §23.2).
func (v *View) Placement(period uint64, key BlindedKey) ([]RelayID, error) {
	srv, ok := v.SRV(period - 1)
	if !ok {
		return nil, fmt.Errorf("%w: period %d", ErrNoRandomValue, period)
	}
	return placeOn(v.relays, srv, period, key), nil
}

// ReadingOrder returns the ranks in the order in which a reader asks them: three
// random ones of the first six, the rest of these, then the others. intn returns
// a random number in [0, n).
func ReadingOrder(ranks []RelayID, intn func(n int) int) []RelayID {
	list := slices.Clone(ranks)
	first := list[:min(len(list), PlacementReplicas)]
	for i := len(first) - 1; i > 0; i-- {
		j := intn(i + 1)
		first[i], first[j] = first[j], first[i]
	}
	return list
}

// placed is a relay and its distance from the record.
type placed struct {
	high  uint64 // first bytes of score
	relay int32
}

// placeOn ranks the relays that have the flag Placement.
func placeOn(relays []Relay, srv [32]byte, period uint64, key BlindedKey) []RelayID {
	text := append([]byte(labelPlacement), 0)
	text = append(text, srv[:]...)
	text = binary.BigEndian.AppendUint64(text, period)
	text = append(text, key[:]...)
	at := len(text)
	text = append(text, make([]byte, 32)...)
	score := func(i int32) [32]byte {
		copy(text[at:], relays[i].ID[:])
		return sha256.Sum256(text)
	}
	queue := make([]placed, 0, len(relays))
	for i := range relays {
		if relays[i].Flags&FlagPlacement != 0 {
			s := score(int32(i))
			queue = append(queue, placed{binary.BigEndian.Uint64(s[:]), int32(i)})
		}
	}
	h := placementHeap{queue: queue, score: score}
	h.init()
	c := chooser{relays: relays, next: h.pop}
	ids := make([]RelayID, 0, placementRanks)
	for range placementRanks / PlacementReplicas {
		for _, i := range c.choose(PlacementReplicas) {
			ids = append(ids, relays[i].ID)
		}
	}
	return ids
}

// placementHeap yields relays by falling score without sorting those that nobody
// asks for.
type placementHeap struct {
	queue []placed
	score func(i int32) [32]byte
}

// above tells whether a comes before b. Only equal first bytes, which hardly
// occur, cost two more hashes.
func (h *placementHeap) above(a, b placed) bool {
	if a.high != b.high {
		return a.high > b.high
	}
	x, y := h.score(a.relay), h.score(b.relay)
	return bytes.Compare(x[:], y[:]) > 0
}

func (h *placementHeap) init() {
	for i := len(h.queue)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

func (h *placementHeap) pop() (int32, bool) {
	n := len(h.queue) - 1
	if n < 0 {
		return 0, false
	}
	top := h.queue[0]
	h.queue[0] = h.queue[n]
	h.queue = h.queue[:n]
	h.down(0)
	return top.relay, true
}

func (h *placementHeap) down(i int) {
	q := h.queue
	for {
		child := 2*i + 1
		if child >= len(q) {
			return
		}
		if r := child + 1; r < len(q) && h.above(q[r], q[child]) {
			child = r
		}
		if !h.above(q[child], q[i]) {
			return
		}
		q[i], q[child] = q[child], q[i]
		i = child
	}
}

// chooser takes relays in their order, greedily of distinct groups.
type chooser struct {
	relays []Relay
	next   func() (int32, bool)
	seen   []int32 // taken from next and not chosen, in order
}

// choose returns up to n relays. It demands that no two share an AS, a prefix or
// a family; while fewer than n can be had, it goes over the rest again and lets
// go of these demands, one after another, in that order.
func (c *chooser) choose(n int) []int32 {
	var chosen []int32
	var groups groupSet
	for relaxed := range numGroups + 1 {
		rest := c.seen
		c.seen = nil
		for len(chosen) < n {
			var i int32
			if len(rest) > 0 {
				i, rest = rest[0], rest[1:]
			} else {
				var ok bool
				if i, ok = c.next(); !ok {
					break
				}
			}
			if groups.clash(&c.relays[i], relaxed) {
				c.seen = append(c.seen, i)
				continue
			}
			groups.add(&c.relays[i])
			chosen = append(chosen, i)
		}
		c.seen = append(c.seen, rest...)
		if len(chosen) == n {
			break
		}
	}
	return chosen
}

// numGroups is how many demands choose can let go of: AS, prefix, family
// (SPEC.md §23.2).
const numGroups = 3

// groupSet holds the groups of the relays chosen so far: at most six.
type groupSet struct {
	ases, families []uint16
	prefixes       []netip.Prefix
}

func (g *groupSet) clash(r *Relay, relaxed int) bool {
	return relaxed < 1 && slices.Contains(g.ases, r.AS) ||
		relaxed < 2 && slices.ContainsFunc(r.Addrs, func(a netip.AddrPort) bool { return slices.Contains(g.prefixes, netPrefix(a.Addr())) }) ||
		relaxed < 3 && slices.Contains(g.families, r.Family)
}

func (g *groupSet) add(r *Relay) {
	if r.AS != 0 {
		g.ases = append(g.ases, r.AS)
	}
	if r.Family != 0 {
		g.families = append(g.families, r.Family)
	}
	for _, a := range r.Addrs {
		g.prefixes = append(g.prefixes, netPrefix(a.Addr()))
	}
}

// netPrefix returns the /16 of an IPv4 and the /32 of an IPv6 address.
func netPrefix(a netip.Addr) netip.Prefix {
	n := 32
	if a.Is4() {
		n = 16
	}
	p, _ := a.Prefix(n) // fails only for zones and other lengths
	return p
}
