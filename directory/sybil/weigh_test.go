package sybil

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"hearsay/directory"

	"pgregory.net/rapid"
)

const mib = 81 // weight code of 1 MiB/s

// grown is a network of 300 days with so many old relays, of which no two share
// a prefix.
func grown(t testing.TB, c worldConfig, n int) (*world, []*actor) {
	w := newWorld(t, c)
	w.old()
	list := w.spread("s", n)
	parts := directory.LedgerParts{}
	for _, a := range list {
		a.speed = mib
		w.ledger = nil
		w.history(a, nil)
		parts.Relays = append(parts.Relays, w.ledger.Parts().Relays[0])
	}
	w.ledger = directory.NewLedger(w.at.Add(-time.Hour), parts)
	return w, list
}

func TestLogarithm(t *testing.T) {
	for x, want := range map[uint64]uint64{1: 0, 2: unit, 3: 103872, 1 << 63: 63 * unit, 10: 217705, 1000: 653117} {
		if got := log2(x); got != want {
			t.Errorf("log2(%d) = %d, want %d", x, got, want)
		}
	}
	for x := uint64(2); x < 5000; x++ {
		if log2(x) < log2(x-1) {
			t.Fatalf("log2 falls at %d", x)
		}
	}
}

func TestWeightCodesRoundDown(t *testing.T) {
	for c := byte(1); c <= maxCode; c++ {
		w := directory.Weight(c)
		if codeOf(w) != c || codeOf(w+1) != c || c > 1 && codeOf(w-1) != c-1 {
			t.Fatalf("code %d", c)
		}
	}
	if codeOf(0) != 0 || codeOf(1) != 1 || codeOf(1<<63) != maxCode {
		t.Error("ends of the scale")
	}
}

// TestBaseWeight is rule B.
func TestBaseWeight(t *testing.T) {
	w, list := grown(t, open, 30)
	age := func(days float64) func(*directory.History) {
		return func(h *directory.History) { h.Listed = uint32(days*24*3600) - 3600 } // an hour is credited
	}
	w.ledger = nil
	a := list
	a[1].speed = mib + 4*4 // 16 MiB/s counts as 8 times the median
	a[2].speed = 0         // as the slowest tenth
	a[3].speed, a[4].speed, a[5].speed, a[6].speed = mib-8, mib-8, mib-8, mib-8
	a[11].d.Declared = 512 // KiB/s
	for i, x := range list {
		w.history(x, map[int]func(*directory.History){
			7: age(1), 8: age(2.5), 9: age(16), 10: func(h *directory.History) { h.WFUUp, h.WFUKnown = 3e9, 4e9 },
		}[i])
	}
	w.judge()
	mi := uint64(mebibyte)
	for i, want := range map[int]uint64{
		0: mi, 1: 8 * mi, 2: mi / 4, 3: mi / 4, 7: mi * rampLowest >> unitBits, 8: mi * rampSecond >> unitBits,
		9: mi / 2, 10: mi * (unit * 25 / 45) >> unitBits, 11: mi / 2,
	} {
		if got := w.relay(a[i]).base; got < want*999/1000 || got > want*1001/1000 {
			t.Errorf("relay %d: weight %d, want %d", i, got, want)
		}
	}
	w.says(a[9], "B: bandwidth 1024 KiB/s (measured), of which 50 % by age and 100 % by uptime")
	w.says(a[2], "B: bandwidth 256 KiB/s (not measured yet)")
	w.says(a[11], "B: bandwidth 512 KiB/s (declared)")
}

func TestFewMeasurementsMakeAllEqual(t *testing.T) {
	w, list := grown(t, open, 25)
	for i, a := range list {
		a.speed = 0
		if i < 2 {
			a.speed = 127
		}
	}
	w.judge()
	for _, a := range list {
		if l := w.listing(a); l.Inner != mib || l.Guard != mib || l.Mailbox != mib {
			t.Fatalf("weights %d %d %d", l.Guard, l.Inner, l.Mailbox)
		}
	}
	w.says(list[0], "B:", "as all, while 2 relays are measured")
	w.flags(list[5], directory.FlagUnmeasured, 0)
	w.flags(list[0], 0, directory.FlagUnmeasured)
}

// part returns the share of a wheel, in thousandths, that some relays have.
func (w *world) part(of wheel, in func(a *actor) bool) float64 {
	var sum, all uint64
	for _, a := range w.relays {
		if w.listing(a) == nil {
			continue
		}
		x := w.relay(a).weights[of]
		all += x
		if in(a) {
			sum += x
		}
	}
	return 1000 * float64(sum) / float64(all)
}

// TestCapsByGroup is rule C: each group is made far too heavy.
func TestCapsByGroup(t *testing.T) {
	type pick func(i int) bool
	first := func(n int) pick { return func(i int) bool { return i < n } }
	asTable := "0.0.0.0/0 1\n"
	for i := range 200 {
		for j := range 4 {
			asTable += fmt.Sprintf("%d.%d.0.0/16 %d\n", 20+j+30, i, 2+(i+200*j)%9)
		}
	}
	for name, tt := range map[string]struct {
		c     worldConfig
		heavy pick
		edit  func(w *world, a *actor, h *directory.History)
		cap   float64
		says  string
	}{
		"prefix": {open, first(8), func(_ *world, a *actor, _ *directory.History) { moveTo(a, 9, 9) }, 40, "C: inner wheel: 9.9.0.0/16 would have"},
		"family": {open, first(60), func(w *world, a *actor, _ *directory.History) {
			a.d.Families = []directory.Family{{Key: [32]byte{9}, Expires: w.at.Add(time.Hour)}}
		}, 80, "family 0900000000000000 would have"},
		"cohort": {open, first(60), func(w *world, _ *actor, h *directory.History) {
			h.FirstListed, h.Listed = uint32(w.at.Unix())-100*24*3600, 100*24*3600
		}, 50, "relays that came in the 7 days from"},
		"newcomers": {open, first(60), func(w *world, a *actor, h *directory.History) {
			age := 3 + uint32(a.d.ID[0])%25
			h.FirstListed, h.Listed = uint32(w.at.Unix())-age*24*3600, age*24*3600
		}, 150, "relays listed for less than 30 days would have"},
		"lineage":    {open, first(60), func(_ *world, _ *actor, h *directory.History) { h.Lineage = 3 }, 100, "lineage 3 would have"},
		"un-vouched": {open, first(170), func(_ *world, _ *actor, h *directory.History) { h.State &^= directory.StateVouched }, 250, "relays that nobody vouches for would have"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tt.c)
			w.old()
			var parts directory.LedgerParts
			heavy := make(map[*actor]bool)
			for i, a := range w.spread("s", 200) {
				a.speed = mib
				w.ledger = nil
				w.history(a, func(h *directory.History) {
					h.State |= directory.StateVouched
					if name == "cohort" || name == "newcomers" {
						h.State &^= directory.StateVouched
					}
					if tt.heavy(i) {
						a.speed = mib + 12
						tt.edit(w, a, h)
						heavy[a] = true
					}
				})
				parts.Relays = append(parts.Relays, w.ledger.Parts().Relays[0])
			}
			w.ledger = directory.NewLedger(w.at.Add(-time.Hour), parts)
			w.judge()
			in := func(a *actor) bool { return heavy[a] }
			if got := w.part(wheelInner, in); got > tt.cap*1.001 || got < tt.cap*0.99 {
				t.Errorf("share %.2f ‰, cap %.0f", got, tt.cap)
			}
			for a := range heavy {
				if w.listing(a) != nil {
					w.says(a, "C: inner wheel", tt.says, fmt.Sprintf("(cap %.0f ‰)", tt.cap))
					break
				}
			}
		})
	}
	t.Run("AS", func(t *testing.T) {
		c := open
		c.as = asTable
		w, list := grown(t, c, 200)
		for i, a := range list {
			if i < 60 {
				moveTo(a, byte(100+i), 1) // AS 1
				a.speed = mib + 8
			}
		}
		w.judge()
		if got := w.part(wheelInner, func(a *actor) bool { return w.relay(a).ases[0] == 1 }); got > 200.1 || got < 198 {
			t.Errorf("share of the AS %.1f ‰", got)
		}
		w.says(list[0], "AS 1 would have")
	})
}

// moveTo gives the relay an address in a /16.
func moveTo(a *actor, x, y byte) { a.d.Addrs = []netip.AddrPort{addr4(x, y, a.d.ID[0], a.d.ID[1])} }

// TestCapsConverge divides random weights in random ways.
func TestCapsConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(20, 300).Draw(t, "relays")
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		weights := make([]uint64, n)
		var total uint64
		for i := range weights {
			weights[i] = 1<<20 + rnd.Uint64N(1<<uint(21+rnd.IntN(14)))
			total += weights[i]
		}
		var groups []group
		for k := range kind(rapid.IntRange(1, 4).Draw(t, "kinds")) {
			count := rapid.IntRange(2, n).Draw(t, "groups")
			list := make([]*relay, n)
			of := make(map[*relay]string, n)
			for i := range list {
				list[i] = &relay{}
				of[list[i]] = fmt.Sprint(rnd.IntN(count))
			}
			groups = append(groups, partition(k, rapid.Uint64Range(20, 500).Draw(t, "cap"), list, func(r *relay) []string { return []string{of[r]} })...)
		}
		raw := append([]uint64(nil), weights...)
		if !applyCaps(weights, groups) {
			return // they contradict each other, and judgement drops a kind
		}
		total = 0
		for i, w := range weights {
			if w > raw[i] {
				t.Fatal("a cap adds weight")
			}
			total += w
		}
		if total == 0 {
			t.Fatal("nothing is left")
		}
	})
}

// TestOneWayOfGroupingConverges demands that the caps of one kind are met to
// 1e-4, always.
func TestOneWayOfGroupingConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(20, 300).Draw(t, "relays")
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		weights := make([]uint64, n)
		for i := range weights {
			weights[i] = 1<<20 + rnd.Uint64N(1<<uint(21+rnd.IntN(14)))
		}
		count := rapid.IntRange(4, n).Draw(t, "groups")
		list := make([]*relay, n)
		of := make(map[*relay]string, n)
		for i := range list {
			list[i] = &relay{}
			of[list[i]] = fmt.Sprint(min(rnd.IntN(count), rnd.IntN(count)))
		}
		groups := partition(kindAS, rapid.Uint64Range(5, 500).Draw(t, "cap"), list, func(r *relay) []string { return []string{of[r]} })
		if !applyCaps(weights, groups) {
			t.Fatal("the caps of one kind contradict each other")
		}
		var total uint64
		for _, w := range weights {
			total += w
		}
		for i := range groups {
			g := &groups[i]
			if s := g.sum(weights); s*g.den > total*g.num+total*g.num/5000+uint64(n)*g.den {
				t.Fatalf("group %s has %d of %d, cap %d/%d", g.name, s, total, g.num, g.den)
			}
		}
	})
}

// TestAttackMoreRelaysInAGroupGainNothing adds an attacker's relays to one
// group after the other: its share never passes the cap.
func TestAttackMoreRelaysInAGroupGainNothing(t *testing.T) {
	for _, n := range []int{1, 10, 50, 200, 400} {
		w := newWorld(t, open)
		w.old()
		var parts directory.LedgerParts
		bad := make(map[*actor]bool)
		list := append(w.spread("s", 300), w.spread("b", n)...)
		for i, a := range list {
			a.speed = mib
			w.ledger = nil
			w.history(a, func(h *directory.History) {
				if i >= 300 {
					bad[a] = true
					a.speed = mib + 12
					h.Listed = 40 * 24 * 3600
					h.FirstListed = uint32(w.at.Unix()) - 40*24*3600
				}
			})
			parts.Relays = append(parts.Relays, w.ledger.Parts().Relays[0])
		}
		w.ledger = directory.NewLedger(w.at.Add(-time.Hour), parts)
		w.judge()
		for of := range wheels {
			if got := w.part(of, func(a *actor) bool { return bad[a] }); got > 50.01 {
				t.Errorf("%d relays of one week have %.2f ‰ of the %s wheel", n, got, of)
			}
		}
	}
}

// TestCapsThatContradictGiveWay builds a network where all old relays are in
// one AS and all others are new: both caps together would leave nothing.
func TestCapsThatContradictGiveWay(t *testing.T) {
	c := open
	c.as = "0.0.0.0/0 1\n"
	for i := range 60 {
		c.as += fmt.Sprintf("%d.0.0.0/8 %d\n", 100+i, 2+i)
	}
	w, _ := grown(t, c, 40)
	p := w.ledger.Parts()
	for i := range 60 {
		a := w.add(fmt.Sprint("new", i), fmt.Sprintf("%d.1.1.1", 100+i))
		a.speed = mib
		w.ledger = nil
		w.history(a, func(h *directory.History) {
			h.Listed = uint32(i%25) * 24 * 3600
			h.FirstListed = uint32(w.at.Unix()) - h.Listed - 3600
		})
		p.Relays = append(p.Relays, w.ledger.Parts().Relays[0])
	}
	w.ledger = directory.NewLedger(w.at.Add(-time.Hour), p)
	w.judge()
	if len(w.out.d.caps[wheelInner]) != 1 || w.out.d.caps[wheelInner][0].gaveWay != kindAS {
		t.Fatalf("gave way: %v", w.out.d.caps)
	}
	if got := w.part(wheelInner, func(a *actor) bool { return a.d.Nick[0] == 'n' }); got > 150.1 || got < 100 {
		t.Errorf("newcomers have %.1f ‰", got)
	}
	w.says(w.relays[0], "inner wheel: the caps by AS contradict others")
}
