package sybil

import (
	"fmt"
	"testing"
	"time"

	"hearsay/directory"
)

// burst adds n new relays of one AS, of which no two share a /24.
func burst(w *world, n int, family bool) []*actor {
	var list []*actor
	for i := range n {
		a := w.add(fmt.Sprint("burst", i), fmt.Sprintf("9.%d.%d.1", i%4, i))
		if family {
			a.d.Families = []directory.Family{{Key: [32]byte{5}, Expires: w.at.Add(1e4 * time.Hour)}}
		}
		list = append(list, a)
	}
	return list
}

// slowEpochs is an open network with the longest epochs.
func slowEpochs() worldConfig {
	c := open
	c.params = map[directory.Param]int64{directory.ParamPoWBits: 0, directory.ParamEpoch: 10800}
	return c
}

// TestAttackBurstOfOneAS is rule E.
func TestAttackBurstOfOneAS(t *testing.T) {
	c := slowEpochs()
	c.as = "9.0.0.0/8 64500\n"
	for _, tt := range []struct {
		n       int
		family  bool
		stopped bool
	}{{9, false, false}, {10, false, true}, {10, true, false}} {
		w, _ := grown(t, c, 400) // globally 12 a day are usual
		w.judge()
		list := burst(w, tt.n, tt.family)
		w.judge()
		for _, a := range list {
			h, _ := w.ledger.Relay(directory.GossipKey(w.id, a.d.ID))
			if is := h.State&directory.StateStopped != 0; is != tt.stopped {
				t.Fatalf("%d relays, family %v: stopped %v", tt.n, tt.family, is)
			}
		}
		if !tt.stopped {
			continue
		}
		w.rule(list[0], 0, "E: 10 new relays within a day in AS 64500 (max 9 or what is usual); no age credit until", "ask the signers to approve it")
		w.says(list[0], "H: 15 points: it came in a burst")
		list[1].flags = directory.VoteApprove
		w.run(13 * day)
		age := func(a *actor) uint32 {
			h, _ := w.ledger.Relay(directory.GossipKey(w.id, a.d.ID))
			return h.Listed
		}
		if age(list[0]) != 0 || age(list[1]) < 12*daySeconds {
			t.Errorf("ages %d and, approved, %d", age(list[0]), age(list[1]))
		}
		w.says(list[0], "E: it came in a burst of new relays; no age credit until")
		w.run(2 * day)
		if age(list[0]) == 0 || age(list[0]) > 2*daySeconds {
			t.Errorf("after the stop: %d", age(list[0]))
		}
	}
}

func TestUsualGrowthIsNoBurst(t *testing.T) {
	c := open
	c.as = "9.0.0.0/8 64500\n"
	for _, usual := range []int{0, 4, 10} {
		w, _ := grown(t, c, 400)
		var arrivals []directory.Arrival
		for i := range 30 * usual { // so many a day, for a month
			arrivals = append(arrivals, directory.Arrival{
				Net: addr4(9, 100+byte(i%50), byte(i), 1).Addr().As16(), Key: [8]byte{byte(i), byte(i >> 8), 1},
				Time: uint32(w.at.Unix()) - daySeconds*uint32(1+i%30) - 3600,
			})
		}
		w.ledger = directory.NewLedger(w.at.Add(-time.Hour), directory.LedgerParts{Relays: w.ledger.Parts().Relays, Arrivals: arrivals})
		list := burst(w, 10, false)
		w.judge()
		h, _ := w.ledger.Relay(directory.GossipKey(w.id, list[0].d.ID))
		if (h.State&directory.StateStopped != 0) != (usual < 10) {
			t.Errorf("ten new relays where %d a day are usual: state %d", usual, h.State)
		}
	}
}

// TestAttackBurstOverManyASes is rule E for the whole network.
func TestAttackBurstOverManyASes(t *testing.T) {
	w, _ := grown(t, open, 100)
	w.judge()
	list := w.spread("burst", 11)
	w.judge()
	w.rule(list[0], 0, "E: 11 new relays within a day in the whole network (max 10")
	// Who comes by somebody's hand is no burst.
	c := open
	c.join |= directory.JoinToken
	w, _ = grown(t, c, 100)
	w.judge()
	for _, a := range w.spread("guest", 30) {
		w.token(a, 1, w.at.Add(day))
	}
	w.judge()
	if n := len(w.ledger.Parts().Arrivals); n != 0 {
		t.Errorf("%d guests are noted as strangers", n)
	}
}

func ups(h *directory.History, hours ...int) {
	for _, x := range hours {
		h.Ups[x/8] |= 1 << (x % 8)
	}
}

// TestAttackOrchestratedRestarts is rule F by uptime: relays of different
// places that restart in the same hours.
func TestAttackOrchestratedRestarts(t *testing.T) {
	make := func(edit func(i int, a *actor, h *directory.History)) (*world, []*actor) {
		w := newWorld(t, open)
		w.old()
		list := w.spread("s", 60)
		for i, a := range list {
			a.speed = mib
			w.history(a, func(h *directory.History) {
				ups(h, (i*37)%700, (i*91+5)%700, (i*53+17)%700, (i*71+29)%700) // each its own
				if i < 6 {
					h.Ups = [90]byte{}
					ups(h, 100, 203, 309, 411, 500+10*i)
				}
				if edit != nil {
					edit(i, a, h)
				}
			})
		}
		w.judge()
		return w, list
	}
	w, list := make(nil)
	for i, a := range list {
		if got := w.relay(a).uptime; (got != 0) != (i < 6) {
			t.Fatalf("relay %d is in cluster %d", i, got)
		}
		if kin := w.listing(a).Kin; (kin != [32]byte{}) != (i < 6) || i < 6 && kin != w.listing(list[0]).Kin {
			t.Fatalf("kin of relay %d: %x", i, kin)
		}
	}
	w.says(list[0], "F: it behaves like 5 other relays without a common family (uptime); if one operator runs them, give them one family certificate")
	w.says(list[0], "H: 25 points")
	if got := w.part(wheelInner, func(a *actor) bool { return w.relay(a).uptime != 0 }); got > 28 { // 1.5 / 55 groups
		t.Errorf("the cluster has %.1f ‰", got)
	}
	// A family clears it, three common hours are chance, one /16 fails together.
	w, list = make(func(i int, a *actor, _ *directory.History) {
		if i < 6 {
			a.d.Families = []directory.Family{{Key: [32]byte{5}, Expires: w.at.Add(1e4 * time.Hour)}}
		}
	})
	if r := w.relay(list[0]); r.uptime != 0 || r.kin != [32]byte{5} {
		t.Errorf("a family is cluster %d, kin %x", r.uptime, r.kin[:4])
	}
	w, list = make(func(i int, _ *actor, h *directory.History) {
		if i < 6 {
			h.Ups[411/8] = 0
			ups(h, 600+i)
		}
	})
	if w.relay(list[0]).uptime != 0 {
		t.Error("three common hours make a cluster")
	}
	w, list = make(func(i int, a *actor, _ *directory.History) {
		if i < 6 {
			moveTo(a, 9, 9)
		}
	})
	if w.relay(list[0]).uptime != 0 {
		t.Error("relays of one /16 fail together by nature")
	}
}

// TestAttackFamiliesHideNoCluster lets each relay of a cluster declare a family
// of its own: a path takes one of them all the same.
func TestAttackFamiliesHideNoCluster(t *testing.T) {
	w := newWorld(t, open)
	w.old()
	list := w.spread("s", 40)
	for i, a := range list {
		a.d.Families = []directory.Family{{Key: [32]byte{byte(i + 1)}, Expires: w.at.Add(1e4 * time.Hour)}}
		if i == 5 {
			a.d.Families[0].Key = [32]byte{1} // of the same family as relay 0, in no cluster
		}
		w.history(a, func(h *directory.History) {
			if i < 4 {
				ups(h, 100, 203, 309, 411)
			}
		})
	}
	w.judge()
	kin := w.listing(list[0]).Kin
	for i, a := range list {
		if (w.listing(a).Kin == kin) != (i < 4 || i == 5) {
			t.Errorf("relay %d: kin %x", i, w.listing(a).Kin[:4])
		}
	}
}

func TestConfigurationClusters(t *testing.T) {
	make := func(edit func(i int, a *actor, h *directory.History)) (*world, []*actor) {
		c := open
		c.params = map[directory.Param]int64{directory.ParamPoWBits: 0, directory.ParamConfigCluster: 1}
		w := newWorld(t, c)
		w.old()
		list := w.spread("s", 300)
		for i, a := range list {
			a.d.Nick = fmt.Sprintf("%c%c%c", 'a'+i%26, 'a'+i/26, 'x')
			a.d.Declared = uint64(5000 + i)
			if i < 5 {
				a.d.Nick, a.d.Declared = fmt.Sprintf("Node-%d", i), 7777
				a.d.Contact = "same@example"
			}
			w.history(a, func(h *directory.History) {
				h.FirstListed += uint32(i) * daySeconds / 2
				if edit != nil {
					edit(i, a, h)
				}
			})
		}
		w.judge()
		return w, list
	}
	// log2(300/5) = 5.9 bits each for nick, rate and contact: 17.7.
	w, list := make(nil)
	if w.relay(list[0]).config == 0 || w.relay(list[20]).config != 0 {
		t.Errorf("clusters %d and %d", w.relay(list[0]).config, w.relay(list[20]).config)
	}
	w.says(list[0], "F: it behaves like 4 other relays", "(configuration)")
	w.says(list[0], "H: 20 points: its settings agree")
	w, list = make(func(i int, _ *actor, h *directory.History) {
		if i < 5 {
			h.FirstListed += uint32(i) * 5 * daySeconds
		}
	})
	if w.relay(list[0]).config != 0 {
		t.Error("17.7 bits make a cluster of relays that came apart")
	}
	w, list = make(func(i int, a *actor, h *directory.History) {
		if i < 5 {
			h.FirstListed += uint32(i) * 5 * daySeconds
			a.d.Addrs[0] = addr4(20, byte(i), 1, 7)
			a.d.Addrs = append(a.d.Addrs[:1:1], a.d.Addrs[0])
			a.d.Addrs = a.d.Addrs[:1]
			a.d.Software = "strange 1"
		}
	})
	if w.relay(list[0]).config == 0 {
		t.Error("23 bits make no cluster")
	}
}

func TestScoreTerms(t *testing.T) {
	c := open
	c.signers = 3
	w, list := grown(t, c, 60)
	w.soft = []string{"hearsay 0.10", "hearsay 0.7", "hearsay 0.8", "hearsay 0.9"}
	for _, a := range list {
		a.d.Software = "hearsay 0.10"
	}
	list[0].d.Software = "hearsay 0.7"
	list[1].d.Software = "mine"
	list[2].d.Declared = 4097
	list[3].fail = 70
	list[4].flags = directory.VoteConflict
	list[5].vote = func(i int, v *directory.RelayVote) {
		if i == 0 {
			v.Reached = 0
		}
	}
	for i := range 4 {
		list[10+i].d.Addrs[0] = addr4(9, 9, 9, byte(i))
	}
	list[14].d.Addrs[0] = addr4(9, 9, 10, 1)
	list[15].d.Families = []directory.Family{{Key: [32]byte{5}, Expires: w.at.Add(1e4 * time.Hour)}}
	fresh := w.add("fresh", "9.8.1.1")
	w.judge()
	for i, want := range map[int]struct {
		quarters int
		says     string
	}{
		0:  {3 * 4, "H: 3 points: its software is 3 releases behind"},
		1:  {15 * 4, "H: 15 points: unknown software"},
		2:  {5 * 4, "H: 5 points: it declares more than four times"},
		3:  {5 * 4, "H: 5 points: 70 % of requests to its mailbox failed"},
		4:  {50 * 4, "H: 50 points: it signed two descriptors"},
		5:  {4 * 4, "H: 4 points: 1 of 3 signers do not reach it"},
		10: {12*4 + 4, "H: 12 points: 4 relays in 9.9.9.0/24"},
		14: {4, "H: 1 points: 5 relays in 9.9.0.0/16"},
		15: {0, "H: -5 points: it declares a family"},
	} {
		if got := w.relay(list[i]).score; got != want.quarters {
			t.Errorf("relay %d: %d quarters, want %d", i, got, want.quarters)
		}
		w.says(list[i], want.says)
	}
	if got := w.relay(fresh).score; got != 15*4+16 { // unknown software too
		t.Errorf("a new relay: %d", got)
	}
	w.flags(list[4], directory.FlagWatched|directory.FlagMiddleOnly, directory.FlagGuard|directory.FlagMailbox)
	if l := w.listing(list[4]); l.Guard != 0 || l.Mailbox != 0 || l.Inner == 0 {
		t.Error("it serves where it must not")
	}
	// Two on one host, of one /24.
	a, b := w.add("a", "9.7.1.1:1"), w.add("b", "9.7.1.1:2")
	w.judge()
	w.says(a, "H: 5 points: 2 relays in 9.7.1.1/32")
	w.says(b, "H: 4 points: 2 relays in 9.7.1.0/24")
	// 75 points end the listing for seven days.
	list[4].d.Software, list[4].fail = "mine", 100
	w.judge()
	w.rule(list[4], directory.RuleScore, "H: score 75 (unlisted from 75), until")
	list[4].d.Software, list[4].fail, list[4].flags = "hearsay 0.10", 0, 0
	w.run(6 * day)
	w.rule(list[4], directory.RuleScore, "H: score 75")
	w.run(25 * time.Hour)
	w.rule(list[4], 0)
	w.flags(list[4], 0, directory.FlagWatched)
}

func TestReleasesAreNumbers(t *testing.T) {
	for i, list := 0, []string{"hearsay", "hearsay 0.9", "hearsay 0.9.1", "hearsay 0.10", "hearsay 1.0", "other 0.1"}; i < len(list); i++ {
		for j := range list {
			if got := compareReleases(list[i], list[j]); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%q and %q: %d", list[i], list[j], got)
			}
		}
	}
}

func TestRingProximity(t *testing.T) {
	w, list := grown(t, open, 32)
	near := list[0].d.ID
	near[15] ^= 1
	list[1].d.ID, list[1].record.ID = near, near
	w.judge()
	// 249 - 2·5 - 128, twice.
	w.says(list[0], "G: its id is closer to another's than chance explains (222)")
	for _, r := range Explain(w.in, w.out, list[5].d.ID) {
		if r.Rule == "G" {
			t.Error(r)
		}
	}
}
