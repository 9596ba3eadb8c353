package anonymity

import (
	"fmt"
	"io"
	"sync"
	"time"

	"hearsay/circuit/link"
)

// Result is what many worlds of one profile showed. It is safe for concurrent
// use until Report.
type Result struct {
	Profile link.Profile

	arena *Arena
	mu    sync.Mutex

	worlds, pairs, clients int
	messages               int
	length                 time.Duration
	bytes                  float64
	cellsUp, cellsDown     int
	ways, waits, ends      []float64
	clientLinks, whole     []Sample
	network                time.Duration // what a way takes without any queue
	relayLinks             []Sample
	padding, data          []int32
	talking, idle          []float64
}

// NewResult makes an empty result. The draw of decoys depends on the seed.
func NewResult(p link.Profile, seed uint64) *Result {
	return &Result{Profile: p, arena: NewArena(seed)}
}

// gapSample bounds how many gaps of one world go into the comparison of send
// times, so that no single one decides.
const gapSample = 4000

// Add takes the record of a world and keeps only what it needs of it.
func (r *Result) Add(w *Record) {
	r.arena.Add(w)
	clientLinks, whole := w.ClientLinks()
	relayLinks := w.RelayLinks()
	padding, data := w.CellSizes()
	talking, idle := w.SendGaps()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.worlds++
	r.pairs += w.Config.Pairs
	r.messages += w.Messages
	r.length, r.network = w.Config.Length, 4*w.Config.Latency
	r.whole = append(r.whole, whole...)
	for i := range 2 * w.Config.Pairs {
		r.clients++
		r.bytes += float64(w.Links[i].Bytes())
		r.cellsUp += len(w.Insiders[i].Up)
		r.cellsDown += len(w.Insiders[i].Down)
	}
	r.ways, r.waits, r.ends = append(r.ways, w.Ways...), append(r.waits, w.Waits...), append(r.ends, w.Ends...)
	r.clientLinks, r.relayLinks = append(r.clientLinks, clientLinks...), append(r.relayLinks, relayLinks...)
	r.padding, r.data = append(r.padding, padding...), append(r.data, data...)
	r.talking = append(r.talking, talking[:min(len(talking), gapSample)]...)
	r.idle = append(r.idle, idle[:min(len(idle), gapSample)]...)
}

// Figures are the results of one profile.
type Figures struct {
	Profile           link.Profile
	Pairs             int
	Scores            []*Scores
	Best              *Scores // the attack of an outsider with the highest AUC
	MostFound         *Scores // and the one with the highest true-positive rate
	MBPerDay          float64
	DelayP50          float64 // seconds of one way that a block waits
	DelayP95          float64
	WaitP50, WaitP95  float64 // from writing to the mailbox relay
	EndP50, EndP95    float64 // from writing to reading
	TalkOrIdle        float64 // balanced accuracies
	ClientTalkOrIdle  float64 // by all links of a client
	GuardOrMiddle     float64
	PaddingOrData     float64
	KSDistance, KSP   float64
	CellsUp           float64 // an hour and client
	CellsDown         float64
	MessagesAnHour    float64 // of one client
	TalkIdleSamples   [2]int
	RelayLinkSamples  int
	PaddingDataCounts [2]int
}

// Figures works the results out.
func (r *Result) Figures() *Figures { return r.figures(r.arena.Scores()) }

// SoFar works out what the worlds up to now show, so that a run that is broken
// off is worth something. The newest pairs still wait for their decoys.
func (r *Result) SoFar() *Figures { return r.figures(r.arena.SoFar()) }

func (r *Result) figures(scores []*Scores) *Figures {
	r.mu.Lock()
	defer r.mu.Unlock()
	hours := float64(r.clients) * r.length.Hours()
	f := &Figures{
		Profile: r.Profile, Pairs: r.pairs, Scores: scores,
		MBPerDay: r.bytes / hours * 24 / 1e6,
		DelayP50: Quantile(r.ways, 0.5) - r.network.Seconds(), DelayP95: Quantile(r.ways, 0.95) - r.network.Seconds(),
		WaitP50: Quantile(r.waits, 0.5), WaitP95: Quantile(r.waits, 0.95),
		EndP50: Quantile(r.ends, 0.5), EndP95: Quantile(r.ends, 0.95),
		TalkOrIdle: Classify(r.clientLinks), ClientTalkOrIdle: Classify(r.whole), GuardOrMiddle: Classify(r.relayLinks),
		PaddingOrData: SizeClassifier(r.padding, r.data),
		CellsUp:       float64(r.cellsUp) / hours, CellsDown: float64(r.cellsDown) / hours,
		MessagesAnHour:    float64(r.messages) / hours,
		RelayLinkSamples:  len(r.relayLinks),
		PaddingDataCounts: [2]int{len(r.padding), len(r.data)},
	}
	for _, s := range r.clientLinks {
		f.TalkIdleSamples[class(!s.Positive)]++
	}
	f.KSDistance, f.KSP = KS(r.talking, r.idle)
	for _, s := range scores {
		if s.Insider {
			continue
		}
		if f.Best == nil || s.AUC() > f.Best.AUC() {
			f.Best = s
		}
		if f.MostFound == nil || s.TPR() > f.MostFound.TPR() {
			f.MostFound = s
		}
	}
	return f
}

// WriteProgress prints one line about a run that goes on.
func WriteProgress(w io.Writer, f *Figures) {
	n := len(f.Best.True)
	fmt.Fprintf(w, "%v: %d pairs seen, %d compared: AUC %.3f ± %.3f (%s), %d found (%s); talks or idles %.3f, by all links %.3f (%d, %d)\n",
		f.Profile, f.Pairs, n, f.Best.AUC(), AUCBound(f.Best.AUC(), n, 1.96), f.Best.Name, f.MostFound.Found(), f.MostFound.Name,
		f.TalkOrIdle, f.ClientTalkOrIdle, f.TalkIdleSamples[0], f.TalkIdleSamples[1])
}

// WriteTable prints one line for each profile, and then each attack.
func WriteTable(w io.Writer, all []*Figures) {
	fmt.Fprintf(w, "\n%-8s %6s  %-24s %-30s %8s %16s %16s %16s\n", "profile", "pairs", "best attack: AUC ± 95 %", "TPR at FPR 1e-3 (95 %)", "MB/day", "added p50/p95 s", "stored p50/p95 s", "read p50/p95 s")
	for _, f := range all {
		n := len(f.Best.True)
		found := f.MostFound.Found()
		low, high := ProportionBounds(found, n, 0.025)
		fmt.Fprintf(w, "%-8s %6d  %.3f ± %.3f            %.4f (%.4f to %.4f)      %8.1f %8.2f %7.2f %8.2f %7.2f %8.2f %7.2f\n",
			f.Profile, f.Pairs, f.Best.AUC(), AUCBound(f.Best.AUC(), n, 1.96), f.MostFound.TPR(), low, high, f.MBPerDay,
			f.DelayP50, f.DelayP95, f.WaitP50, f.WaitP95, f.EndP50, f.EndP95)
	}
	fmt.Fprintln(w, "\nadded: one way between a client and a mailbox relay, beyond what the network takes; stored: from writing a message\nto the mailbox relay, circuits being built included; read: to the other side.")
	fmt.Fprintf(w, "\n%-40s", "attack (AUC, TPR at FPR 1e-3)")
	for _, f := range all {
		fmt.Fprintf(w, " %14s", f.Profile)
	}
	fmt.Fprintln(w)
	for i, s := range all[0].Scores {
		name := s.Name
		if s.Insider {
			name += " *"
		}
		fmt.Fprintf(w, "%-40s", name)
		for _, f := range all {
			fmt.Fprintf(w, "  %.3f  %.4f", f.Scores[i].AUC(), f.Scores[i].TPR())
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "* two relays of the circuits together: cover does not hide from them, these rows only show that the traces are real")
	row := func(name string, value func(f *Figures) string) {
		fmt.Fprintf(w, "%-40s", name)
		for _, f := range all {
			fmt.Fprintf(w, " %14s", value(f))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	row("client link: talks or idles", func(f *Figures) string { return fmt.Sprintf("%.3f", f.TalkOrIdle) })
	row("client, all its links: talks or idles", func(f *Figures) string { return fmt.Sprintf("%.3f", f.ClientTalkOrIdle) })
	row("  links that talk, that idle", func(f *Figures) string { return fmt.Sprintf("%d, %d", f.TalkIdleSamples[0], f.TalkIdleSamples[1]) })
	row("relay link: guard's or inner", func(f *Figures) string { return fmt.Sprintf("%.3f", f.GuardOrMiddle) })
	row("  links", func(f *Figures) string { return fmt.Sprint(f.RelayLinkSamples) })
	row("packet size: padding or data", func(f *Figures) string { return fmt.Sprintf("%.3f", f.PaddingOrData) })
	row("  packets", func(f *Figures) string {
		return fmt.Sprintf("%dk, %dk", f.PaddingDataCounts[0]/1000, f.PaddingDataCounts[1]/1000)
	})
	row("send times with and without data: KS p", func(f *Figures) string { return fmt.Sprintf("%.3f", f.KSP) })
	row("  distance", func(f *Figures) string { return fmt.Sprintf("%.4f", f.KSDistance) })
	row("circuit cells up, down an hour", func(f *Figures) string { return fmt.Sprintf("%.0f, %.0f", f.CellsUp, f.CellsDown) })
	row("messages of one side an hour", func(f *Figures) string { return fmt.Sprintf("%.0f", f.MessagesAnHour) })
}

// WriteDiscovery prints what a hostile mailbox relay needs to find a guard.
func WriteDiscovery(w io.Writer, all []Discovery) {
	fmt.Fprintf(w, "\n%8s %10s %6s %6s %6s %6s %12s   %s\n", "relays", "estimate", "p10", "p50", "p90", "runs", "not found", "circuits until a hostile mailbox relay knows the guard")
	for _, d := range all {
		fmt.Fprintf(w, "%8d %10d %6.0f %6.0f %6.0f %6d %12d   (if the guard could be the middle: no elimination, but in %.1f %% of circuits one relay sees client and mailbox relay)\n",
			d.Relays, d.Estimate, d.P10, d.P50, d.P90, d.Runs, d.Unfinished, 100*d.GuardAsMiddle)
	}
}
