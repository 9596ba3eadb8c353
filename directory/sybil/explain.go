package sybil

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hearsay/directory"
)

// Reason is one thing that judgement holds for or against a relay. Times are
// Unix seconds, 0 where there is none.
type Reason struct {
	Rule    string       `json:"rule"`   // such as A2; SPEC.md §11
	Effect  string       `json:"effect"` // what follows: listed, not listed, warning, age, flag, weight, score, note
	Text    string       `json:"text"`   // the whole reason in words
	Value   uint64       `json:"value,omitempty"`
	Bound   uint64       `json:"threshold,omitempty"`
	Unit    string       `json:"unit,omitempty"`  // of both
	Group   string       `json:"group,omitempty"` // a prefix, an AS, a family; never a name
	Signers []SignerVote `json:"signers,omitempty"`
	Since   int64        `json:"since,omitempty"`
	Until   int64        `json:"until,omitempty"`  // when it ends by itself
	Clears  string       `json:"clears,omitempty"` // what the operator can do
	Next    int64        `json:"next"`             // next evaluation
}

// SignerVote is what one signer said of the relay.
type SignerVote struct {
	Signer    string   `json:"signer"`            // label in the network file
	Said      bool     `json:"said"`              // it voted on the relay at all
	Reached   int      `json:"reached,omitempty"` // addresses
	Tried     int      `json:"tried,omitempty"`
	Bandwidth uint64   `json:"kib_s,omitempty"` // 0: not measured
	Marks     []string `json:"marks,omitempty"`
	Reason    string   `json:"reason,omitempty"` // of a mark
}

// String returns the rule and its text, as programs print it.
func (r Reason) String() string { return r.Rule + ": " + r.Text }

// ruleNames are the names of the rules by which relays are not listed.
var ruleNames = map[directory.Rule]string{
	directory.RuleNotRunning: "running", directory.RuleLeft: "descriptor", directory.RuleAdmission: "A6",
	directory.RuleOnionKey: "onion key", directory.RuleDuplicate: "duplicate", directory.RuleFull: "full",
	directory.RuleProtocol: "protocol", directory.RuleHost: "A1", directory.RuleNet: "A2", directory.RuleBlock: "A3",
	directory.RuleCycling: "A5", directory.RuleScore: "H", directory.RuleExcluded: "mark",
}

// Explain says why a relay stands as it does: first whether it is listed, then
// everything that bears on it, in the order of SPEC.md §11. The output must be
// that of the input; the zero Output is computed.
func Explain(in Input, out Output, id directory.RelayID) []Reason {
	if out.d == nil {
		out = Judge(in)
	}
	d := out.d
	next := in.ValidAfter.Add(d.epoch).Unix()
	i := slices.IndexFunc(d.relays, func(r *relay) bool { return r.record.ID == id })
	if i < 0 {
		return []Reason{{
			Rule: "descriptor", Effect: "not listed", Next: next,
			Text:   "no signer's vote names a descriptor of this relay; see that it runs, is admitted, and reaches a bootstrap",
			Clears: "see that it runs, is admitted, and reaches a bootstrap",
		}}
	}
	r := d.relays[i]
	list := []Reason{d.explainListing(r)}
	for _, l := range r.warnings {
		list = append(list, d.explainWarning(l))
	}
	list = append(list, d.explainMark(r)...)
	if r.rule == 0 || r.rule == directory.RuleScore {
		list = append(list, d.explainScore(r)...)
	}
	if r.rule == 0 {
		list = append(list, d.explainFlags(r)...)
		list = append(list, d.explainWeight(r)...)
	}
	for i := range list {
		list[i].Next = next
		if list[i].Clears != "" {
			list[i].Text += "; " + list[i].Clears
		}
	}
	return list
}

// explainListing says whether and why the relay is listed.
func (d *docket) explainListing(r *relay) Reason {
	e := Reason{Rule: "listed", Effect: "listed", Signers: d.votesOn(r), Since: int64(r.h.FirstListed)}
	if r.rule == 0 {
		e.Text = fmt.Sprintf("%s; age %s, uptime %s, mean run %s", said(e.Signers), span(uint64(r.h.Listed)), percent(r.wfu), span(r.mtbf))
		return e
	}
	l := r.refused
	e.Rule, e.Effect, e.Since = ruleNames[r.rule], "not listed", int64(r.h.LastListed)
	e.Value, e.Bound, e.Group, e.Until = l.value, l.bound, l.group, int64(l.until)
	switch r.rule {
	case directory.RuleHost, directory.RuleNet, directory.RuleBlock:
		e.Unit = "relays"
		e.Text = fmt.Sprintf("%s relay in %s (max %d); age credit paused", ordinal(l.value), l.group, l.bound)
		e.Clears = "free a slot or use another prefix"
	case directory.RuleCycling:
		e.Unit = "new relays in 30 days"
		e.Text = fmt.Sprintf("held until %s: too many new relays at its address", stamp(l.until))
		if l.group != "" {
			e.Text = fmt.Sprintf("%s new relay in %s within 30 days (max %d); held until %s", ordinal(l.value), l.group, l.bound, stamp(l.until))
		}
		e.Clears = "keep the identity and wait; a new one waits again"
	case directory.RuleScore:
		e.Unit = "points"
		e.Text = fmt.Sprintf("score %d (unlisted from %d), until %s", l.value, l.bound, stamp(l.until))
		e.Clears = "remove what the score names, then wait for the end"
	case directory.RuleExcluded:
		e.Text = fmt.Sprintf("most signers exclude it until %s: %s", stamp(l.until), r.markText)
		e.Clears = "speak to the signers"
	case directory.RuleNotRunning:
		e.Text = "no address was reached: " + said(e.Signers)
		e.Clears = "open its UDP port and see that it runs"
	case directory.RuleLeft:
		e.Text = "it has left, or its descriptor has expired"
		e.Clears = "start it again"
	case directory.RuleAdmission:
		e.Text, e.Clears = d.explainAdmission(r)
	case directory.RuleOnionKey:
		e.Text = "none of its onion keys is valid yet"
		e.Clears = "set its clock"
	case directory.RuleProtocol:
		e.Value, e.Bound, e.Unit = uint64(slices.Max(append([]uint16{0}, r.d.Protocols...))), uint64(d.file.MinProtocol), "protocol"
		e.Text = fmt.Sprintf("it speaks protocol %d at most, the network asks for %d", e.Value, e.Bound)
		e.Clears = "update its software"
	default:
		e.Text = r.rule.String()
		e.Clears = "use keys and addresses of its own"
	}
	return e
}

// explainAdmission says what the relay lacks, and what its operator can do.
func (d *docket) explainAdmission(r *relay) (text, clears string) {
	why := d.whyNot(r)
	hand := d.askFor()
	switch {
	case errors.Is(why, directory.ErrNotInFile):
		return "the network is closed and its file does not name the relay", "ask the founders to add it to the network file"
	case why == errExpiredToken:
		return "its token has expired", hand
	case errors.Is(why, directory.ErrTokenUsed):
		t := r.proof.Token
		return fmt.Sprintf("its token has no use left (%d of %d)", d.tokenUse(t).Used, t.MaxUses), hand
	case errors.Is(why, directory.ErrNoIssuer):
		return "who issued its token may not invite relays, or not any more", hand
	case errors.Is(why, directory.ErrBadToken):
		return "its token is not valid, or its holder did not admit this relay", hand
	case errors.Is(why, directory.ErrVouchUsed):
		return fmt.Sprintf("those who vouch for it have no vouch left (%d in 90 days)", directory.VouchesPerPeriod), hand
	case errors.Is(why, directory.ErrYoungVoucher):
		return fmt.Sprintf("those who vouch for it have no relay that is listed for %s", span(d.threshold(vouchAge))), "wait, or " + hand
	case errors.Is(why, directory.ErrNoVoucher):
		return "none of those who vouch for it has a listed relay", hand
	case errors.Is(why, directory.ErrBadVouch):
		return "its vouch is not valid or has expired", hand
	case errors.Is(why, directory.ErrNoWork):
		return "it shows no proof of work", "start it again, and let it work"
	}
	return "it shows no admission that this network takes", hand
}

// askFor says whom an operator can ask for a way in.
func (d *docket) askFor() string {
	switch d.file.Join & (directory.JoinToken | directory.JoinVouch) {
	case directory.JoinToken:
		return "ask a founder for a token"
	case directory.JoinVouch:
		return "ask an operator of listed relays for a vouch"
	}
	return "ask a founder for a token, or an operator of listed relays for a vouch"
}

func (d *docket) explainWarning(l limit) Reason {
	e := Reason{Rule: l.rule, Effect: "warning", Value: l.value, Bound: l.bound, Unit: "relays", Group: l.group, Until: int64(l.until)}
	switch {
	case l.rule != "E":
		e.Text = fmt.Sprintf("%s relay in %s (max %d once the network has %d relays)", ordinal(l.value), l.group, l.bound, smallNetwork)
		e.Clears = "spread relays over more prefixes before then"
		return e
	case l.value == 0:
		e.Text, e.Unit = fmt.Sprintf("it came in a burst of new relays; no age credit until %s", stamp(l.until)), ""
	default:
		e.Text = fmt.Sprintf("%d new relays within a day in %s (max %d or what is usual); no age credit until %s", l.value, l.group, l.bound, stamp(l.until))
	}
	e.Effect, e.Clears = "age", "wait, or ask the signers to approve it"
	return e
}

func (d *docket) explainMark(r *relay) []Reason {
	if r.mark == 0 || r.rule == directory.RuleExcluded {
		return nil
	}
	return []Reason{{
		Rule: "mark", Effect: "flag", Signers: d.votesOn(r), Until: int64(r.markUntil),
		Text:   fmt.Sprintf("most signers mark it (%s) until %s: %s", strings.Join(marksOf(r.mark), ", "), stamp(r.markUntil), r.markText),
		Clears: "speak to the signers",
	}}
}

func (d *docket) explainScore(r *relay) []Reason {
	var list []Reason
	for _, t := range r.terms {
		list = append(list, Reason{Rule: "H", Effect: "score", Text: fmt.Sprintf("%s points: %s", points(t.quarters), t.what)})
	}
	if len(list) > 0 && r.rule == 0 {
		e := Reason{Rule: "H", Effect: "score", Value: uint64(r.score / 4), Bound: scoreWatch / 4, Unit: "points"}
		e.Text = fmt.Sprintf("score %s in all (watched from 30, middle only from 50, unlisted from 75)", points(r.score))
		list = append(list, e)
	}
	for _, c := range []struct {
		number int
		what   string
	}{{r.uptime, "uptime"}, {r.config, "configuration"}} {
		if c.number == 0 {
			continue
		}
		n := 0
		for _, o := range d.listed {
			if c.what == "uptime" && o.uptime == c.number || c.what != "uptime" && o.config == c.number {
				n++
			}
		}
		list = append(list, Reason{
			Rule: "F", Effect: "score", Value: uint64(n), Bound: minCluster, Unit: "relays", Group: fmt.Sprintf("%s cluster %d", c.what, c.number),
			Text:   fmt.Sprintf("it behaves like %d other relays without a common family (%s)", max(n-1, 0), c.what),
			Clears: "if one operator runs them, give them one family certificate",
		})
	}
	if p := d.proximity(r); p > 0 {
		list = append(list, Reason{Rule: "G", Effect: "note", Value: uint64(p), Text: fmt.Sprintf("its id is closer to another's than chance explains (%d); noted only", p)})
	}
	return list
}

// explainFlags names the flags that the relay offers and lacks, and what for.
func (d *docket) explainFlags(r *relay) []Reason {
	var list []Reason
	for _, l := range r.wants {
		e := Reason{Rule: "D", Effect: "flag", Value: l.value, Bound: l.bound}
		switch l.rule {
		case "Stable":
			e.Unit, e.Text, e.Clears = "seconds", fmt.Sprintf("no Stable: mean run %s (needs %s)", span(l.value), span(l.bound)), "fewer restarts"
		case "Guard age", "Mailbox age":
			e.Unit, e.Text, e.Clears = "seconds", fmt.Sprintf("no %s: listed for %s (needs %s)", strings.Fields(l.rule)[0], span(l.value), span(l.bound)), "stay up"
		case "Mailbox run":
			e.Unit, e.Text, e.Clears = "seconds", fmt.Sprintf("no Mailbox: running for %s (needs %s)", span(l.value), span(l.bound)), "stay up"
		case "Guard uptime":
			e.Value, e.Bound, e.Unit = l.value>>unitBits, l.bound>>unitBits, "per mille"
			e.Text, e.Clears = fmt.Sprintf("no Guard: uptime %d ‰ (needs %d)", e.Value, e.Bound), "stay up"
		case "Guard bandwidth":
			e.Value, e.Bound, e.Unit = l.value>>declaredShift, l.bound>>declaredShift, "KiB/s"
			e.Text, e.Clears = fmt.Sprintf("no Guard: bandwidth %d KiB/s (needs %d)", e.Value, e.Bound), "a faster line"
		default:
			continue
		}
		flag := map[string]directory.Flags{"Stable": directory.FlagStable, "Guard": directory.FlagGuard, "Mailbox": directory.FlagMailbox}[strings.Fields(l.rule)[0]]
		if r.flags&flag == 0 {
			list = append(list, e)
		}
	}
	if !r.trusty() {
		list = append(list, Reason{
			Rule: "D", Effect: "flag", Value: uint64(r.score / 4), Bound: scoreWatch / 4, Unit: "points",
			Text: "no Guard and no Mailbox: it is watched", Clears: "see the score and marks above",
		})
	}
	if r.flags&directory.FlagMailbox != 0 && r.flags&directory.FlagPlacement == 0 {
		list = append(list, Reason{
			Rule: "D", Effect: "flag", Text: "no Placement: the set was fixed when the period began",
			Until: directory.PlacementStart(d.lab, directory.PlacementPeriod(d.lab, d.in.ValidAfter)+1).Unix(),
		})
	}
	return list
}

func (d *docket) explainWeight(r *relay) []Reason {
	e := Reason{Rule: "B", Effect: "weight", Value: r.bandwidth >> declaredShift, Unit: "KiB/s"}
	how := "measured"
	switch {
	case d.bandwidth.equal:
		how = fmt.Sprintf("as all, while %d relays are measured", d.bandwidth.measured)
	case r.measured == 0:
		how = "not measured yet"
	case r.rate() < r.measured:
		how = "declared"
	}
	e.Text = fmt.Sprintf("bandwidth %d KiB/s (%s), of which %s by age and %s by uptime count", e.Value, how, percent(r.ramp), percent(r.steady))
	list := []Reason{e}
	for _, l := range r.wants {
		f := strings.Fields(l.rule)
		if f[0] != "C" {
			continue
		}
		list = append(list, Reason{
			Rule: "C", Effect: "weight", Group: l.group, Value: l.value, Bound: l.bound, Unit: "per mille",
			Text: fmt.Sprintf("%s wheel: %s would have %d ‰ (cap %d ‰), so each gets less", f[len(f)-1], l.group, l.value, l.bound),
		})
	}
	for w := range wheels {
		for _, c := range d.caps[w] {
			list = append(list, Reason{Rule: "C", Effect: "note", Text: fmt.Sprintf("%s wheel: the caps by %s contradict others and do not act", w, c.gaveWay)})
		}
	}
	return list
}

// votesOn returns what each signer said, in the order of their keys.
func (d *docket) votesOn(r *relay) []SignerVote {
	var list []SignerVote
	for i, v := range d.votes {
		s := SignerVote{Signer: d.labelOf(v.Signer)}
		if rv := r.votes[i]; rv != nil {
			s.Said, s.Reached, s.Tried = true, ones(rv.Reached), ones(rv.Tried)
			s.Bandwidth = directory.Weight(rv.Bandwidth) >> declaredShift
			mark, why := v.Mark(rv, d.in.ValidAfter)
			s.Marks, s.Reason = marksOf(mark|rv.Flags&(directory.VoteConflict|directory.VoteApprove)), why
		}
		list = append(list, s)
	}
	return list
}

func (d *docket) labelOf(key [32]byte) string {
	for _, s := range d.file.Signers {
		if s.Public == key {
			return s.Label
		}
	}
	return "unknown signer"
}

func ones(b byte) int {
	n := 0
	for ; b != 0; b &= b - 1 {
		n++
	}
	return n
}

func marksOf(f directory.VoteFlags) []string {
	var list []string
	for _, m := range []struct {
		flag directory.VoteFlags
		name string
	}{
		{directory.VoteConflict, "conflict"},
		{directory.VoteWatch, "watch"},
		{directory.VoteMiddleOnly, "middle only"},
		{directory.VoteExclude, "exclude"},
		{directory.VoteApprove, "approve"},
	} {
		if f&m.flag != 0 {
			list = append(list, m.name)
		}
	}
	return list
}

// said sums up who reached the relay.
func said(list []SignerVote) string {
	n := 0
	for _, s := range list {
		if s.Reached > 0 {
			n++
		}
	}
	return fmt.Sprintf("%d of %d signers reach it", n, len(list))
}

func ordinal(n uint64) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, suffix)
}

func stamp(t uint64) string { return time.Unix(int64(t), 0).UTC().Format("2006-01-02 15:04 UTC") }

// span writes seconds in the two largest units.
func span(s uint64) string {
	switch {
	case s >= 86400:
		return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
	case s >= 3600:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	case s >= 60:
		return fmt.Sprintf("%d min", s/60)
	}
	return fmt.Sprintf("%d s", s)
}

func percent(u uint64) string { return fmt.Sprintf("%d %%", u*100>>unitBits) }

// points writes quarters of a point.
func points(q int) string {
	sign := ""
	if q < 0 {
		sign, q = "-", -q
	}
	return sign + fmt.Sprint(q/4) + [4]string{"", ".25", ".5", ".75"}[q%4]
}
