package sybil

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"hearsay/directory"
)

// Specification constants of the score, in quarters of a point (SPEC.md §7).
const (
	scoreSameHost   = 5 * 4
	scoreSameNet    = 4 * 4
	scoreSameBlock  = 1
	blockFrom       = 4
	scoreNew        = 4 * 4
	newAge          = 2 * day
	scoreUnreached  = 4 * 4
	scoreBehind     = 1 * 4
	releasesBehind  = 3
	scoreUnknown    = 15 * 4
	scoreDeclared   = 5 * 4
	declaredTimes   = 4
	failuresFrom    = 40
	scoreBurst      = 15 * 4
	scoreConfig     = 20 * 4
	scoreUptime     = 25 * 4
	scoreConflict   = 50 * 4
	scoreVouch      = -10 * 4
	maxVouches      = 2
	scoreFamily     = -5 * 4
	scoreWatch      = 30 * 4
	scoreMiddleOnly = 50 * 4
	scoreUnlist     = 75 * 4
	scoreHold       = 7 * day
)

// term is one part of a score.
type term struct {
	quarters int
	what     string
}

// scoreAll adds up what speaks against each listed relay.
func (d *docket) scoreAll() {
	var count [levels]map[string]int
	for l := range count {
		count[l] = make(map[string]int)
		for _, r := range d.listed {
			for _, p := range r.nets[l] {
				count[l][p.String()]++
			}
		}
	}
	known := d.recommended()
	for _, r := range d.listed {
		if !d.lab && (!d.small || !d.trusted) {
			d.scorePlace(r, count)
		}
		d.scoreConduct(r)
		d.scoreSettings(r, known)
		sum := 0
		for _, t := range r.terms {
			sum += t.quarters
		}
		r.score = max(sum, 0)
	}
}

func (r *relay) charge(quarters int, format string, args ...any) {
	if quarters != 0 {
		r.terms = append(r.terms, term{quarters, fmt.Sprintf(format, args...)})
	}
}

// scorePlace counts neighbours and bursts.
func (d *docket) scorePlace(r *relay, count [levels]map[string]int) {
	for l, per := range [levels]int{scoreSameHost, scoreSameNet, scoreSameBlock} {
		most, where := 0, ""
		for _, p := range r.nets[l] {
			if n := count[l][p.String()]; n > most {
				most, where = n, p.String()
			}
		}
		if level(l) == levelBlock && most < blockFrom {
			continue
		}
		r.charge(per*(most-1), "%d relays in %s", most, where)
	}
	if r.h.State&directory.StateStopped != 0 {
		r.charge(scoreBurst, "it came in a burst of new relays")
	}
}

// scoreConduct counts what signers saw.
func (d *docket) scoreConduct(r *relay) {
	if age, span := uint64(r.h.Listed), d.span(newAge); !d.small && age < span {
		r.charge(int((scoreNew*(span-age)+span-1)/span), "listed for less than 48 hours")
	}
	tried, missed := 0, 0
	for _, v := range r.votes {
		if v != nil && v.Tried != 0 {
			tried++
			if v.Reached == 0 {
				missed++
			}
		}
	}
	if missed > 0 && 3*missed >= len(d.votes) {
		r.charge(scoreUnreached, "%d of %d signers do not reach it", missed, tried)
	}
	if r.failures > failuresFrom {
		r.charge((r.failures-failuresFrom)*4/6, "%d %% of requests to its mailbox failed", r.failures)
	}
	if r.conflict {
		r.charge(scoreConflict, "it signed two descriptors with one number")
	}
	if r.uptime != 0 {
		r.charge(scoreUptime, "it starts in the same hours as others elsewhere")
	}
	if r.config != 0 {
		r.charge(scoreConfig, "its settings agree with those of others")
	}
}

// scoreSettings counts what the descriptor says.
func (d *docket) scoreSettings(r *relay, known []string) {
	if len(known) > 0 {
		newer := 0
		for _, s := range known {
			if compareReleases(s, r.d.Software) > 0 {
				newer++
			}
		}
		if !slices.Contains(known, r.d.Software) {
			r.charge(scoreUnknown, "unknown software")
		} else if newer >= releasesBehind {
			r.charge(scoreBehind*newer, "its software is %d releases behind", newer)
		}
	}
	if r.measured > 0 && r.d.Declared > 0 && r.d.Declared > declaredTimes*r.measured>>20 {
		r.charge(scoreDeclared, "it declares more than four times what was measured")
	}
	by := make(map[*relay]bool) // relays of age whose families vouch: anybody can make up others
	for _, key := range r.proof.Vouchers {
		if old := d.vouchers.old[key]; old != nil {
			by[old] = true
		}
	}
	vouches := len(by)
	if n := min(vouches, maxVouches); n > 0 && r.h.State&directory.StateVouched != 0 {
		r.charge(scoreVouch*n, "%d vouch for it", vouches)
	}
	if len(r.families(d)) > 0 {
		r.charge(scoreFamily, "it declares a family")
	}
}

// compareReleases orders software by the numbers in it: hearsay 0.9 comes
// before hearsay 0.10.
func compareReleases(a, b string) int {
	for a != "" && b != "" {
		na, nb := digits(a), digits(b)
		if na > 0 && nb > 0 {
			x, _ := strconv.ParseUint(a[:na], 10, 64) // at most 24 digits; too many compare as the highest
			y, _ := strconv.ParseUint(b[:nb], 10, 64)
			if x != y {
				return map[bool]int{true: -1, false: 1}[x < y]
			}
			a, b = a[na:], b[nb:]
			continue
		}
		if a[0] != b[0] {
			return strings.Compare(a, b)
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// dropScored takes out what scores too high, for seven days.
func (d *docket) dropScored() {
	keep := d.listed[:0:0]
	for _, r := range d.listed {
		if r.score < scoreUnlist {
			keep = append(keep, r)
			continue
		}
		until := d.now + d.span(scoreHold)
		r.rule = directory.RuleScore
		r.refused = limit{value: uint64(r.score / 4), bound: scoreUnlist / 4, until: until}
		r.h.State = r.h.State&^directory.StateStopped | directory.StateScored
		r.h.HoldUntil = uint32(until)
	}
	d.listed = keep
}

// proximity tells how much closer the relay's nearest neighbour by id is than
// chance explains (SPEC.md §7.2). The neighbours of a sorted list are nearest.
func (d *docket) proximity(r *relay) int {
	i := slices.Index(d.listed, r)
	if i < 0 || len(d.listed) < 2 {
		return 0
	}
	nearest := 256
	for _, j := range []int{i - 1, i + 1} {
		if j < 0 || j == len(d.listed) {
			continue
		}
		same := 0
		for k := range r.d.ID {
			x := r.d.ID[k] ^ d.listed[j].d.ID[k]
			if x != 0 {
				same += bits.LeadingZeros8(x)
				break
			}
			same += 8
		}
		nearest = min(nearest, 255-same)
	}
	usual := 249 - 2*int(log2(uint64(len(d.listed)))>>unitBits)
	return 2 * max(0, usual-nearest)
}
