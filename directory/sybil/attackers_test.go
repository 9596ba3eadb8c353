package sybil

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hearsay/directory"
)

// A column is a set of rules by which a network is weighed.
type column int

const (
	selfReported column = iota // by the bandwidth that relays declare
	torLike                    // by measured bandwidth
	fullRules                  // all rules but clusters and the un-vouched cap
	found                      // … and clusters; the same if the attacker's are none
	quarter                    // … and un-vouched relays at most 25 %
	tenth                      // … 10 %
	columns
)

var columnNames = [columns]string{"self-reported", "bandwidth alone", "rules A-E", "+ clusters", "+ un-vouched <= 25 %", "<= 10 %"}

// designed is the table that was computed when the rules were designed: per cent
// of circuits with hostile guard, mailbox relay, both. An empty cell was not.
var designed = map[string][columns][]float64{
	"A1": {nil, {45, 19, 0}, {0, .8, 0}, {0, .8, 0}, {0, .6, 0}, {0, .2, 0}},
	"A2": {nil, {10, 6.3, .35}, {5.4, 4.4, 0}, {2.0, 2.1, 0}, {1.6, 1.6, 0}, {.6, .6, 0}},
	"A3": {nil, {45, 33, 14.2}, {6.5, 5.6, .24}, {6.5, 5.6, .24}, {4.8, 4.1, .13}, {1.9, 1.6, .02}},
	"A4": {nil, {32, 23, 7.3}, {0, 5.7, 0}, {0, 5.7, 0}, {0, 4.2, 0}, {0, 1.7, 0}},
	"A5": {nil, {33, 23, 7.5}, {31, 27, 7.8}, {31, 27, 7.8}, {15, 14, 1.9}, {6.0, 5.6, .31}},
	"A6": {nil, {33, 23, 7.4}, {29, 26, 7.1}, {29, 26, 7.1}, {14, 14, 1.8}, {5.8, 5.5, .29}},
	"A7": {nil, {33, 23, 7.4}, {29, 26, 7.25}, {2.0, 2.1, .04}, {1.6, 1.6, .02}, {.7, .7, 0}},
	"A8": {{64, 52, 29}, {3.2, 2.0, .03}, {3.1, 2.5, 0}, {3.1, 2.5, 0}, {2.4, 1.9, 0}, {1.0, .8, 0}},
	"A9": {nil, {33, 23, 7.4}, {29, 26, 7.1}, {29, 26, 7.1}, {24, 22, 4.7}, {18, 17, 2.9}},
}

// row is what the simulation finds of one attacker.
type row struct {
	cells        [columns]figures
	noCohort     figures // rules A-E without the cap on cohorts
	listed, lost float64 // of the honest relays, and of their weight
	hostile      float64 // bandwidth, B/s
}

// simulate judges networks of honest relays that an attacker joined. In short it
// leaves out what no gate asks for.
func simulate(t testing.TB, b budget, honest, networks int, short bool) row {
	var r row
	add := func(c column, f figures) { r.cells[c].add(f) }
	for i := range networks {
		seed := uint64(100 + i)
		clusters := map[directory.Param]int64{directory.ParamConfigCluster: int64(1 - b.stealth)}
		with := func(p map[directory.Param]int64) map[directory.Param]int64 {
			for k, v := range clusters {
				p[k] = v
			}
			return p
		}
		m := newModel(t, seed, honest, b)
		m.judgeBy(with(unvouchedCap(1000)))
		add(found, m.shares())
		listed, lost := m.honestShare()
		r.listed, r.lost = r.listed+listed/float64(networks), r.lost+lost/float64(networks)
		r.hostile += m.hostile / float64(networks)
		m.judgeBy(with(unvouchedCap(250)))
		add(quarter, m.shares())
		if short {
			continue
		}
		m.judgeBy(with(unvouchedCap(100)))
		add(tenth, m.shares())
		add(selfReported, m.torLike(true))
		add(torLike, m.torLike(false))
		if b.stealth == 0 { // nothing shows that its relays are one
			hidden := b
			hidden.stealth = 1
			m = newModel(t, seed, honest, hidden)
		}
		m.judgeBy(unvouchedCap(1000))
		add(fullRules, m.shares())
		p := unvouchedCap(1000)
		p[directory.ParamCohortCap] = 1000
		m.judgeBy(p)
		r.noCohort.add(m.shares())
	}
	for c := range r.cells {
		r.cells[c] = r.cells[c].by(networks)
	}
	r.noCohort = r.noCohort.by(networks)
	return r
}

// gate holds what a change of rules must not worsen.
func gate(t *testing.T, name string, r row) {
	t.Helper()
	bound := func(what string, got, most float64) {
		if got > most {
			t.Errorf("%s: %s is %.3f %%, at most %.3f", name, what, got, most)
		}
	}
	switch name {
	case "A1", "A4":
		bound("hostile guards", r.cells[found].guard, 0)
	case "A3":
		bound("both hostile", r.cells[found].both, 0.5)
	case "A5":
		bound("both hostile with the un-vouched cap", r.cells[quarter].both, 2.5)
	}
	bound("honest relays not listed", 100-r.listed, 1)
}

// TestAttackersOfTheSimulation (SPEC.md §13) are the gates: in a normal run two
// networks of each attacker that has one. HEARSAY_SYBIL=20 makes 20 networks of
// each and prints the table.
func TestAttackersOfTheSimulation(t *testing.T) {
	networks, err := strconv.Atoi(os.Getenv("HEARSAY_SYBIL"))
	if err != nil {
		for _, b := range readBudgets(t) {
			if slices.Contains([]string{"A1", "A3", "A4", "A5"}, b.name) {
				gate(t, b.name, simulate(t, b, 1000, 2, true))
			}
		}
		return
	}
	t.Logf("%d networks of 1,000 honest relays. Per cent of circuits with a hostile guard / mailbox relay / both (both, if drawn independently)", networks)
	t.Log("[computed when the rules were designed; ! off by more than a fifth: SPEC.md §13.3]")
	for _, b := range readBudgets(t) {
		r := simulate(t, b, 1000, networks, false)
		gate(t, b.name, r)
		t.Log(b.name)
		for c, f := range r.cells {
			t.Logf("    %-20s %v%s", columnNames[c], f, beside(f, designed[b.name][c]))
		}
		t.Logf("    without the cap on cohorts %v", r.noCohort)
		t.Logf("    honest relays listed %.1f %%; weight that caps take from them %.1f %%", r.listed, r.lost)
		t.Logf("    users with a circuit of two hostile ends after 1, 6, 12 months: bandwidth alone %s, rules %s, un-vouched <= 25 %% %s",
			users(r.cells[torLike]), users(r.cells[found]), users(r.cells[quarter]))
		t.Logf("    cost: %d relay-months, %.0f core-hours of work, %.0f MiB/s, %d vouches", b.ids*b.days/30, b.work(), r.hostile/(1<<20), b.vouches)
	}
	t.Log("A5 in open mode is undefended: no rule tells patient, dispersed relays from honest ones. Only vouches and tokens do: compare bandwidth alone, rules, and un-vouched <= 25 %.")
	t.Log("100 honest relays: rules A-E with clusters, un-vouched <= 25 %")
	for _, b := range readBudgets(t) {
		r := simulate(t, b.scaled(100), 100, 2*networks, false)
		t.Logf("    %-8s %v; %v; honest relays listed %.1f %%", b.name, r.cells[found], r.cells[quarter], r.listed)
	}
}

// beside names the computed figures, and which are off by more than a fifth.
func beside(f figures, want []float64) string {
	if want == nil {
		return ""
	}
	var list []string
	for i, got := range []float64{f.guard, f.last, f.both} {
		mark := ""
		if math.Abs(got-want[i]) > max(want[i]/5, 0.1) {
			mark = "!"
		}
		list = append(list, fmt.Sprintf("%v%s", want[i], mark))
	}
	return " [" + strings.Join(list, "/") + "]"
}

func users(f figures) string {
	return fmt.Sprintf("%.1f / %.1f / %.1f %%", f.users[0], f.users[1], f.users[2])
}
