package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hearsay/cmd/program"
	"hearsay/directory"
	"hearsay/relay"
)

func showCommand(logs *program.LogFlags) *cobra.Command {
	var f readFlags
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the network file, the newest snapshot and its relays",
		Long: `Fetch the network file and the newest snapshot from a bootstrap of the network,
verify them against the network's id, and show them: who founded it, who signs,
which relays are listed with which share of the traffic, and who has most of it.

The network is that of the home, whose directory may run meanwhile, or the one
that --network names; no home is needed then. Nothing is remembered: this command
tells the age of what it gets, but not whether somebody keeps newer things back.`,
		Example: `  hearsay-directory show --home hearsay-directory
  hearsay-directory show --network HEARSAY-NET:… --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.read(cmd, logs, func(ctx context.Context, r *relay.Reader, chain *directory.Chain) error {
				return show(ctx, cmd, r, chain, f.json)
			})
		},
	}
	f.add(cmd, time.Minute)
	return cmd
}

// picture is what show shows.
type picture struct {
	chain  *directory.Chain
	snap   *directory.Snapshot
	view   *directory.View
	survey directory.Survey
	signed []directory.FounderKey
	not    []directory.FounderKey
	seen   int // witnesses that signed
	all    int // witnesses that are listed
	now    time.Time

	evidence   []*directory.Evidence
	successors []*directory.Successor
}

func show(ctx context.Context, cmd *cobra.Command, r *relay.Reader, chain *directory.Chain, asJSON bool) error {
	s, v, err := r.Snapshot(ctx, 0)
	if err != nil {
		return err
	}
	p := &picture{chain: chain, snap: s, view: v, survey: s.Survey(), now: time.Now()}
	p.signed, p.not = s.Signers(chain)
	p.seen, p.all = countWitnesses(s)
	if p.evidence, p.successors, err = r.Notices(ctx); err != nil {
		return err
	}
	if asJSON {
		return p.printJSON(cmd.OutOrStdout())
	}
	p.print(cmd.OutOrStdout())
	p.warn(cmd.ErrOrStderr())
	return nil
}

// countWitnesses returns how many listed witnesses signed the head, and how many
// are listed.
func countWitnesses(s *directory.Snapshot) (seen, all int) {
	listed := make(map[directory.RelayID]bool)
	for i := range s.Entries {
		if s.Entries[i].Flags&directory.FlagWitness != 0 {
			listed[s.Entries[i].ID] = true
		}
	}
	h := s.Head
	h.KeepWitnesses(func(id directory.RelayID) bool { return listed[id] })
	return len(h.Witnesses()), len(listed)
}

// warn says on stderr what needs somebody's attention.
func (p *picture) warn(w io.Writer) {
	f := p.chain.Current()
	if f.Lab {
		program.Warn(w, name, "LAB NETWORK: no anonymity")
	}
	switch {
	case !p.now.Before(f.Expires):
		program.Warn(w, name, "the network file expired on %s, and with it the network", f.Expires.UTC().Format(time.DateOnly))
	case f.ExpiresSoon(p.now):
		program.Warn(w, name, "the network file expires on %s, and with it the network: its founders renew it by `founder amend`", f.Expires.UTC().Format(time.DateOnly))
	}
	for _, e := range p.evidence {
		program.Warn(w, name, "%s%s", e.Text(), answeredText(p.chain, e))
	}
	for _, s := range p.successors {
		program.Warn(w, name, "%s of %d founders say that another network takes the place of this one: %s", labels(s.By), len(f.Roots), s.Link())
	}
	if state := p.view.State(p.now); state > directory.Valid {
		program.Warn(w, name, "the snapshot is %s: nobody has signed a newer one for %v", state, p.age())
	}
}

// answeredText says whether founders have acted on evidence.
func answeredText(c *directory.Chain, e *directory.Evidence) string {
	if e.Severe() && c.Answered(e) {
		return "; the founders have taken the keys out of the network file"
	}
	return ""
}

func witnessText(seen, all int) string {
	if all == 0 {
		return "none is listed"
	}
	return fmt.Sprintf("%d of %d listed signed it", seen, all)
}

func (p *picture) age() time.Duration { return p.now.Sub(p.snap.Header.ValidAfter).Round(time.Second) }

func (p *picture) print(w io.Writer) {
	f, h := p.chain.Current(), &p.snap.Header
	printFile(w, p.chain.ID(), f, nil, changeRule(f))
	line := func(field, format string, args ...any) {
		fmt.Fprintf(w, "  %-11s %s\n", field, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(w, "\nIts link, for everyone who is to use it:\n\n  %s\n", p.chain.Link(nil))
	fmt.Fprintf(w, "\nSnapshot of %s UTC\n\n", h.ValidAfter.UTC().Format("2006-01-02 15:04:05"))
	line("epoch", "%d, %v old: %s; the next one %v after it", h.Epoch, p.age(), p.view.State(p.now), h.NextEpoch)
	line("signed by", "%d of %d: %s", len(p.signed), len(p.signed)+len(p.not), labels(p.signed))
	if len(p.not) > 0 {
		line("not by", "%s", labels(p.not))
	}
	if h.Flags&directory.HeaderEmergency != 0 {
		line("", "EMERGENCY: founders signed it in place of the signers")
	}
	line("witnesses", "%s", witnessText(p.seen, p.all))
	line("flags", "%s", cmpOr(strings.Join(h.Flags.Names(), " "), "none"))
	line("relays", "%d", h.N)
	line("weight", "guard %s, inner %s, mailbox %s", rateText(h.Totals[0]), rateText(h.Totals[1]), rateText(h.Totals[2]))
	if len(h.Recommended) > 0 {
		line("software", "recommended: %s", strings.Join(h.Recommended, ", "))
	}
	for _, r := range ruleList(p.snap.Tables.Rules) {
		line("kept out", "%d: %v", p.snap.Tables.Rules[r], directory.Rule(r))
	}
	p.printRelays(w)
	p.printGroups(w)
	fmt.Fprintf(w, "\nHealth\n\n")
	for _, m := range p.survey.Missing {
		fmt.Fprintf(w, "  missing: %s\n", m)
	}
	if len(p.survey.Missing) == 0 {
		fmt.Fprintf(w, "  nothing is missing\n")
	}
}

func (p *picture) printRelays(w io.Writer) {
	if len(p.snap.Entries) == 0 {
		return
	}
	fmt.Fprintf(w, "\nRelays, with their shares of the weight in per cent\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  id\tguard\tinner\tmailbox\taddress\tAS\tfamily\tflags\n")
	for i := range p.snap.Entries {
		e := &p.snap.Entries[i]
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\t%v\n", e.ID.String()[:12],
			p.share(e.Guard, 0), p.share(e.Inner, 1), p.share(e.Mailbox, 2),
			addressText(e), p.asText(e), p.familyText(e), e.Flags)
	}
	t.Flush()
}

func (p *picture) printGroups(w io.Writer) {
	if len(p.snap.Entries) == 0 {
		return
	}
	fmt.Fprintf(w, "\nWho has most, in per cent of the weight\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  largest\t\trelays\tguard\tinner\tmailbox\n")
	for _, g := range p.largest() {
		fmt.Fprintf(t, "  %s\t%s\t%d\t%s\t%s\t%s\n", g.kind, g.Name, g.Relays, perCent(g.Guard), perCent(g.Inner), perCent(g.Mailbox))
	}
	t.Flush()
}

// kindOfGroup is a group, and what it is one of.
type kindOfGroup struct {
	kind string
	directory.Group
}

func (p *picture) largest() []kindOfGroup {
	var list []kindOfGroup
	for _, k := range []struct {
		kind string
		of   []directory.Group
	}{{"operator", p.survey.Operators}, {"prefix", p.survey.Prefixes}, {"AS", p.survey.ASes}} {
		if len(k.of) > 0 {
			list = append(list, kindOfGroup{k.kind, k.of[0]})
		}
	}
	return list
}

func (p *picture) share(code byte, wheel int) string {
	total := p.snap.Header.Totals[wheel]
	if code == 0 || total == 0 {
		return "-"
	}
	return perCent((directory.Weight(code)*1000 + total/2) / total)
}

func (p *picture) asText(e *directory.Entry) string {
	if e.AS == 0 || int(e.AS) > len(p.snap.Tables.ASes) {
		return "-"
	}
	return fmt.Sprint(p.snap.Tables.ASes[e.AS-1])
}

func (p *picture) familyText(e *directory.Entry) string {
	if e.Family == 0 || int(e.Family) > len(p.snap.Tables.Families) {
		return "-"
	}
	return fmt.Sprintf("%x", p.snap.Tables.Families[e.Family-1][:4])
}

func addressText(e *directory.Entry) string {
	text := e.Addrs[0].String()
	if n := len(e.Addrs) - 1; n > 0 {
		text += fmt.Sprintf(" +%d", n)
	}
	return text
}

// perCent writes per mille.
func perCent(perMille uint64) string { return fmt.Sprintf("%d.%d", perMille/10, perMille%10) }

// rateText writes a weight, which counts 1/1024 B/s.
func rateText(w uint64) string {
	kib := w >> 20
	if kib >= 10<<10 {
		return fmt.Sprintf("%d MiB/s", kib>>10)
	}
	return fmt.Sprintf("%d KiB/s", kib)
}

func labels(keys []directory.FounderKey) string {
	var list []string
	for _, k := range keys {
		list = append(list, k.Label)
	}
	return cmpOr(strings.Join(list, ", "), "nobody")
}

func cmpOr(text, empty string) string {
	if text == "" {
		return empty
	}
	return text
}

func ruleList(m map[uint16]uint32) []uint16 {
	var list []uint16
	for r := range m {
		list = append(list, r)
	}
	slices.Sort(list)
	return list
}
