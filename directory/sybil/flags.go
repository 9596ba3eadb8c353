package sybil

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"hearsay/directory"
)

// Specification constants of flags (SPEC.md §10).
const (
	stableRun      = 5 * day
	mailboxRun     = 4 * day
	mailboxAge     = 7 * day
	enoughGuards   = 3
	enoughMailbox  = 4
	placementAll   = 6 // mailboxes up to which all have Placement
	placementAge   = 36 * time.Hour
	vouchedForCaps = 20
)

// setFlags gives the flags (SPEC.md §10).
func (d *docket) setFlags() {
	d.setStable()
	at := d.threshold(time.Duration(d.file.Param(directory.ParamGuardDays, len(d.listed))) * day)
	wfu := uint64(d.file.Param(directory.ParamGuardWFU, len(d.listed)))
	guards, mailboxes := 0, 0
	for _, r := range d.listed {
		d.setPlain(r)
		if d.mayGuard(r, at, wfu) {
			r.flags |= directory.FlagGuard
			guards++
		}
		if d.mayHold(r) {
			r.flags |= directory.FlagMailbox
			mailboxes++
		}
	}
	for _, r := range d.listed {
		if r.trusty() && guards < enoughGuards && r.d.Roles&directory.RoleGuard != 0 {
			r.flags |= directory.FlagGuard
		}
		if r.trusty() && mailboxes < enoughMailbox && r.d.Roles&directory.RoleMailbox != 0 {
			r.flags |= directory.FlagMailbox
		}
	}
	d.setPlacement()
	d.setWitnesses()
}

// ageless tells whether no age counts: the founders' hand is stronger.
func (d *docket) ageless() bool { return d.few() && d.trusted }

func (d *docket) setStable() {
	runs := make([]uint64, 0, len(d.listed))
	for _, r := range d.listed {
		r.mtbf = meanRun(&r.h)
		runs = append(runs, r.mtbf)
	}
	if len(runs) == 0 {
		return
	}
	slices.Sort(runs)
	least := min(rank(runs, 50), d.threshold(stableRun))
	for _, r := range d.listed {
		if r.mtbf >= least || d.ageless() {
			r.flags |= directory.FlagStable
		} else {
			r.wants = append(r.wants, limit{rule: "Stable", value: r.mtbf, bound: least})
		}
	}
}

// setPlain gives the flags that follow from one fact.
func (d *docket) setPlain(r *relay) {
	for _, f := range []struct {
		is   bool
		flag directory.Flags
	}{
		{r.d.Roles&directory.RoleCache != 0, directory.FlagCache},
		{r.vouched, directory.FlagVouched},
		{r.measured == 0, directory.FlagUnmeasured},
		{r.score >= scoreWatch || r.mark&directory.VoteWatch != 0, directory.FlagWatched},
		{r.score >= scoreMiddleOnly || r.mark&directory.VoteMiddleOnly != 0, directory.FlagMiddleOnly},
	} {
		if f.is {
			r.flags |= f.flag
		}
	}
}

// trusty tells whether neither score nor mark speaks against a relay.
func (r *relay) trusty() bool {
	return r.flags&(directory.FlagWatched|directory.FlagMiddleOnly) == 0
}

func (d *docket) mayGuard(r *relay, age, wfu uint64) bool {
	if r.d.Roles&directory.RoleGuard == 0 || !r.trusty() {
		return false
	}
	if d.ageless() {
		return true
	}
	ok := r.flags&directory.FlagStable != 0
	want := func(what string, value, bound uint64) {
		if value < bound {
			r.wants = append(r.wants, limit{rule: what, value: value, bound: bound})
			ok = false
		}
	}
	want("Guard age", uint64(r.h.Listed), age)
	want("Guard uptime", r.wfu*1000, wfu*unit)
	want("Guard bandwidth", r.bandwidth, d.bandwidth.guard)
	return ok
}

func (d *docket) mayHold(r *relay) bool {
	if r.d.Roles&directory.RoleMailbox == 0 || !r.trusty() {
		return false
	}
	if d.ageless() {
		return true
	}
	ok := r.flags&directory.FlagStable != 0
	for _, w := range []limit{
		{rule: "Mailbox run", value: uint64(r.h.Run), bound: d.threshold(mailboxRun)},
		{rule: "Mailbox age", value: uint64(r.h.Listed), bound: d.threshold(mailboxAge)},
	} {
		if w.value < w.bound {
			r.wants = append(r.wants, w)
			ok = false
		}
	}
	return ok
}

// setPlacement chooses the relays on which public addresses lie, once for each
// period (SPEC.md §10.2).
func (d *docket) setPlacement() {
	period := directory.PlacementPeriod(d.lab, d.in.ValidAfter)
	before, ok := d.ledger.At()
	frozen := ok && directory.PlacementPeriod(d.lab, before) == period
	if !frozen {
		for i := range d.rest {
			d.rest[i].State &^= directory.StatePlacement
		}
	}
	var boxes []*relay
	inSet := 0
	for _, r := range d.relays {
		if !frozen {
			r.h.State &^= directory.StatePlacement
		}
		if r.rule != 0 || r.d.Roles&directory.RoleMailbox == 0 {
			continue
		}
		if r.flags&directory.FlagMailbox != 0 {
			boxes = append(boxes, r)
		}
	}
	if !frozen {
		d.choosePlacement(boxes, period)
	}
	for _, r := range d.listed {
		if r.h.State&directory.StatePlacement != 0 && r.d.Roles&directory.RoleMailbox != 0 {
			r.flags |= directory.FlagPlacement
			inSet++
		}
	}
	if len(boxes) > placementAll && inSet >= directory.PlacementReplicas && !d.ageless() {
		return
	}
	for _, r := range boxes {
		r.h.State |= directory.StatePlacement
		r.flags |= directory.FlagPlacement
	}
}

// choosePlacement makes the set of a period that begins: mailboxes that were
// listed before anybody could know its random value, the oldest first.
func (d *docket) choosePlacement(boxes []*relay, period uint64) {
	start := uint64(directory.PlacementStart(d.lab, period).Unix())
	founded := uint64(d.in.Chain.Founded().Unix())
	ahead := d.span(placementAge)
	if start < founded+d.span(youngNetwork) {
		ahead = min(ahead, (start-min(start, founded))/2)
	}
	var set []*relay
	vouched := 0
	for _, r := range boxes {
		if r.h.FirstListed == 0 || uint64(r.h.FirstListed)+ahead >= start {
			continue
		}
		set = append(set, r)
		if r.vouched {
			vouched++
		}
	}
	slices.SortFunc(set, func(a, b *relay) int {
		return cmp.Or(cmp.Compare(a.h.FirstListed, b.h.FirstListed), bytes.Compare(a.key[:], b.key[:]))
	})
	most := len(set)
	if permille := int(d.file.Param(directory.ParamUnvouchedCap, len(d.listed))); vouched >= vouchedForCaps && permille < 1000 {
		most = vouched * permille / (1000 - permille)
	}
	for _, r := range set {
		if !r.vouched {
			if most == 0 {
				continue
			}
			most--
		}
		r.h.State |= directory.StatePlacement
	}
}

// setWitnesses names those who shall sign heads: of those who offer it the
// longest listed, of distinct AS and kin (SPEC.md §10.3).
func (d *docket) setWitnesses() {
	if d.lab || d.few() {
		return
	}
	var list []*relay
	for _, r := range d.listed {
		if r.d.Roles&directory.RoleWitness != 0 && r.trusty() && r.flags&directory.FlagStable != 0 {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *relay) int {
		return cmp.Or(cmp.Compare(b.h.Listed, a.h.Listed), cmp.Compare(a.h.FirstListed, b.h.FirstListed), bytes.Compare(a.key[:], b.key[:]))
	})
	most := int(d.file.Param(directory.ParamWitnessSet, len(d.listed)))
	var chosen []*relay
	for _, r := range list {
		if len(chosen) == most {
			break
		}
		if slices.ContainsFunc(chosen, func(c *relay) bool { return near(r, c) || r.kin != [32]byte{} && r.kin == c.kin }) {
			continue
		}
		r.flags |= directory.FlagWitness
		chosen = append(chosen, r)
	}
}
