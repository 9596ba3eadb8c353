package sybil

import (
	"fmt"
	"testing"
	"time"

	"hearsay/directory"
)

func TestAddressesAreShared(t *testing.T) {
	w := newWorld(t, open)
	var host, net, six []*actor
	for i := range 3 {
		host = append(host, w.add(fmt.Sprint("host", i), fmt.Sprintf("9.9.9.9:%d", 4000+i)))
	}
	for i := range 5 {
		net = append(net, w.add(fmt.Sprint("net", i), fmt.Sprintf("203.0.113.%d", i+1)))
	}
	for i := range 3 {
		six = append(six, w.add(fmt.Sprint("six", i), fmt.Sprintf("[2a00:1:1:1::%d]:4000", i+1)))
	}
	w.judge()
	refused := func(list []*actor, rule directory.Rule, want string) {
		t.Helper()
		n := 0
		for _, a := range list {
			if w.out.Unlisted[a.d.ID] == rule {
				n++
				w.rule(a, rule, want)
			}
		}
		if n != 1 {
			t.Errorf("%v keeps out %d", rule, n)
		}
	}
	refused(host, directory.RuleHost, "A1: 3rd relay in 9.9.9.9/32 (max 2)")
	refused(net, directory.RuleNet, "A2: 5th relay in 203.0.113.0/24 (max 4); age credit paused; free a slot or use another prefix")
	refused(six, directory.RuleHost, "A1: 3rd relay in 2a00:1:1:1::/64 (max 2)")
}

func TestNetworksAreShared(t *testing.T) {
	w := newWorld(t, open)
	var block []*actor
	for i := range 9 {
		block = append(block, w.add(fmt.Sprint("block", i), fmt.Sprintf("9.9.%d.1", i)))
	}
	for i := range 5 {
		w.add(fmt.Sprint("six", i), fmt.Sprintf("[2a00:1:1:%d::1]:4000", i))
	}
	w.judge()
	var out *actor
	for _, a := range block {
		if w.listing(a) == nil {
			out = a
		}
	}
	if out == nil || len(w.out.Listed) != 12 {
		t.Fatalf("%d listed, %v", len(w.out.Listed), w.out.Unlisted)
	}
	w.rule(out, directory.RuleBlock, "A3: 9th relay in 9.9.0.0/16 (max 8)")
	// Two per cent of a large network may be in one /16.
	w = newWorld(t, open)
	w.old()
	for _, a := range w.spread("s", 600) {
		w.history(a, nil)
	}
	for i := range 13 {
		w.add(fmt.Sprint("block", i), fmt.Sprintf("9.9.%d.1", i))
	}
	w.judge()
	if len(w.out.Listed) != 612 {
		t.Fatalf("%d listed", len(w.out.Listed))
	}
}

// TestNoASLimitsListing is rule A4, which there is not.
func TestNoASLimitsListing(t *testing.T) {
	c := open
	c.as = "0.0.0.0/0 64500\n"
	w := newWorld(t, c)
	w.spread("a", 40)
	if w.judge(); len(w.out.Listed) != 40 {
		t.Fatalf("%d listed", len(w.out.Listed))
	}
}

func TestWhoTakesASlot(t *testing.T) {
	c := open
	c.join |= directory.JoinToken
	c.seeds = []string{"seed"}
	w := newWorld(t, c)
	w.old()
	fast := w.add("fast", "9.9.9.9:1")
	fast.speed = 127
	old := w.add("old", "9.9.9.9:2")
	w.history(old, nil)
	older := w.add("older", "9.9.9.9:3")
	w.history(older, func(h *directory.History) { h.FirstListed -= 5 })
	guest := w.add("guest", "9.9.9.9:4")
	w.token(guest, 1, w.at.Add(time.Hour))
	seed := w.add("seed", "9.9.9.9:5")
	order := []*actor{seed, guest, older, old, fast}
	for i := range order {
		w.out = Judge(w.input())
		w.in = w.input()
		for j, a := range order[i:] {
			if (j < 2) != (w.listing(a) != nil) {
				t.Fatalf("without %d relays: %s is at place %d", i, a.d.Nick, j)
			}
		}
		order[i].up = false // the next moves up
	}
}

// TestAttackIdsCycleOnOneAddress is rule A5.
func TestAttackIdsCycleOnOneAddress(t *testing.T) {
	w := newWorld(t, open)
	w.old()
	for _, a := range w.spread("s", 25) {
		w.history(a, nil)
	}
	w.judge()
	var last *actor
	for i := range 3 {
		if last != nil {
			last.up = false
		}
		last = w.add(fmt.Sprint("cycle", i), fmt.Sprintf("9.9.9.9:%d", 4000+i))
		w.judge()
	}
	w.rule(last, directory.RuleCycling, "A5: 3rd new relay in 9.9.9.9/32 within 30 days (max 2); held until", "keep the identity and wait")
	w.run(13 * 24 * time.Hour)
	w.rule(last, directory.RuleCycling, "A5: held until")
	if h, _ := w.ledger.Relay(directory.GossipKey(w.id, last.d.ID)); h.Listed != 0 {
		t.Error("a held relay grows older")
	}
	w.run(25 * time.Hour)
	w.rule(last, 0)
	// In one /24 the sixth is held.
	for i := range 6 {
		last = w.add(fmt.Sprint("net", i), fmt.Sprintf("9.9.8.%d", i))
		w.judge()
		last.up = i == 5
		if i < 5 {
			w.rule(last, 0)
		}
	}
	w.rule(last, directory.RuleCycling, "A5: 6th new relay in 9.9.8.0/24")
}

func TestAdmission(t *testing.T) {
	w := newWorld(t, worldConfig{join: directory.JoinToken})
	a, b, c, none := w.add("a", "9.9.1.1"), w.add("b", "9.9.2.1"), w.add("c", "9.9.3.1"), w.add("none", "9.9.4.1")
	b.d.Admission = w.token(a, 1, w.at.Add(time.Hour)).Admission(w.id, b.d.ID)
	w.token(c, 1, w.at)
	w.judge()
	if (w.listing(a) == nil) == (w.listing(b) == nil) {
		t.Fatal("a token of one use admits not one")
	}
	in, out := a, b
	if w.listing(a) == nil {
		in, out = b, a
	}
	w.rule(out, directory.RuleAdmission, "A6: its token has no use left (1 of 1)")
	w.rule(c, directory.RuleAdmission, "A6: its token has expired")
	w.rule(none, directory.RuleAdmission, "A6: it shows no admission")
	w.flags(in, directory.FlagVouched, 0)
	// Admission outlives the token for 30 days without listing.
	in.up = false
	w.run(time.Hour)
	w.at = w.at.Add(29 * 24 * time.Hour)
	in.up = true
	w.judge()
	w.rule(in, 0)
	in.up = false
	w.judge()
	w.at = w.at.Add(31 * 24 * time.Hour)
	w.judge()
	in.up = true
	w.judge()
	w.rule(in, directory.RuleAdmission)
}

func TestAdmissionToAClosedNetwork(t *testing.T) {
	w := newWorld(t, worldConfig{join: directory.JoinClosed, members: []string{"a"}})
	a, b := w.add("a", "9.9.1.1"), w.add("b", "9.9.2.1")
	w.judge()
	w.rule(a, 0)
	w.rule(b, directory.RuleAdmission, "A6: the network is closed")
}

func TestAdmissionByWork(t *testing.T) {
	w := newWorld(t, worldConfig{join: directory.JoinOpen})
	a, b := w.add("a", "9.9.1.1"), w.add("b", "9.9.2.1")
	a.d.PoW = &directory.PoW{}
	w.judge()
	w.rule(a, 0)
	w.flags(a, 0, directory.FlagVouched)
	w.rule(b, directory.RuleAdmission)
}

// TestAttackTokenInPlaceOfWork: stores look at the token, which is good, and not at
// the work beside it, which nobody did; but the token has no use left. Vouches of an
// operator who may not vouch do the same.
func TestAttackTokenInPlaceOfWork(t *testing.T) {
	w := newWorld(t, worldConfig{join: directory.JoinToken | directory.JoinVouch | directory.JoinOpen})
	w.old()
	guest, young := w.add("guest", "9.9.1.1"), w.add("young", "9.8.1.1")
	token := w.token(guest, 1, w.at.Add(time.Hour))
	w.history(young, func(h *directory.History) { h.Listed = 3600 })
	w.family(young, "young family")
	w.judge()
	w.rule(guest, 0)
	second, third, worker := w.add("second", "9.9.2.1"), w.add("third", "9.9.3.1"), w.add("worker", "9.9.4.1")
	for _, a := range []*actor{second, third, worker} {
		a.d.PoW = &directory.PoW{Window: 1, Nonce: []byte{1}}
	}
	second.d.Admission = token.Admission(w.id, second.d.ID)
	w.vouch(third, w.at.Add(time.Hour), "young family")
	w.judge()
	w.rule(worker, 0)
	w.rule(second, directory.RuleAdmission, "A6: its token has no use left")
	w.rule(third, directory.RuleAdmission, "A6: those who vouch for it have no relay that is listed for 30 d 0 h")
	w.at = w.at.Add(2 * time.Hour)
	w.judge()
	w.rule(second, directory.RuleAdmission, "A6: its token has expired")
	w.rule(third, directory.RuleAdmission, "A6: its vouch is not valid or has expired")
}

// TestAttackStolenTokenGivesNoHand copies a used token: relays in a network
// that is open too are listed, but as strangers, and take no one's slot.
func TestAttackStolenTokenGivesNoHand(t *testing.T) {
	c := open
	c.join |= directory.JoinToken
	w := newWorld(t, c)
	guest := w.add("guest", "9.9.1.1")
	w.token(guest, 1, w.at.Add(time.Hour))
	w.judge()
	w.flags(guest, directory.FlagVouched, 0)
	thief := w.add("thief", "9.9.2.1")
	thief.d.Admission = guest.d.Admission
	w.judge()
	w.flags(thief, 0, directory.FlagVouched)
	w.judge()
	w.flags(thief, 0, directory.FlagVouched)
	w.flags(guest, directory.FlagVouched, 0)
	// A real token makes a listed stranger a guest.
	w.token(thief, 1, w.at.Add(time.Hour))
	w.judge()
	w.flags(thief, directory.FlagVouched, 0)
}

func TestVouches(t *testing.T) {
	w := newWorld(t, worldConfig{join: directory.JoinToken | directory.JoinVouch})
	w.old()
	family := [32]byte{7}
	w.proof = func(d *directory.Descriptor) Proof {
		var p Proof
		if d.Contact == "vouched" {
			p.Vouchers = [][32]byte{{8}, family}
		}
		return p
	}
	host := w.add("host", "9.1.1.1")
	host.d.Families = []directory.Family{{Key: family, Expires: w.at.Add(1e4 * time.Hour)}}
	w.history(host, func(h *directory.History) { h.State |= directory.StateVouched })
	for _, a := range w.spread("s", 25) {
		w.history(a, nil)
	}
	var guests []*actor
	for i := range 4 {
		g := w.add(fmt.Sprint("guest", i), fmt.Sprintf("9.2.%d.1", i))
		g.d.Contact = "vouched"
		guests = append(guests, g)
	}
	w.judge()
	listed := 0
	for _, g := range guests {
		if w.listing(g) != nil {
			listed++
			if r := w.relay(g); r.h.Lineage != 1 {
				t.Errorf("lineage %d", r.h.Lineage)
			}
			w.says(g, "H: -10 points", "1 vouch for it")
		} else {
			w.rule(g, directory.RuleAdmission, "A6: those who vouch for it have no vouch left (3 in 90 days)")
		}
	}
	if listed != directory.VouchesPerPeriod {
		t.Fatalf("%d vouches of one voucher", listed)
	}
	again, err := directory.ParseLedger(w.ledger.Append(nil))
	check(t, err)
	if v := again.Parts().Vouchers; len(v) != 1 || v[0].Left(false, w.at) != 0 || v[0].Left(false, w.at.Add(91*24*time.Hour)) != 3 {
		t.Fatalf("%+v", v)
	}
	// A voucher that is listed for 29 days cannot vouch.
	w.ledger = nil
	w.history(host, func(h *directory.History) { h.State |= directory.StateVouched; h.Listed = 29 * 24 * 3600 })
	w.judge()
	w.rule(guests[0], directory.RuleAdmission)
}

func TestRulesOfOneRelay(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(a *actor)
		rule directory.Rule
		says string
	}{
		"fine":             {func(*actor) {}, 0, "listed: 1 of 1 signers reach it"},
		"not reached":      {func(a *actor) { a.up = false }, directory.RuleNotRunning, "running: no address was reached: 0 of 1 signers"},
		"expired":          {func(a *actor) { a.d.Life = time.Second }, directory.RuleLeft, "descriptor: it has left"},
		"future onion key": {func(a *actor) { a.d.OnionKeys[0].NotBefore = 1 << 31 }, directory.RuleOnionKey, "onion key: none"},
		"old software":     {func(a *actor) { a.d.Protocols = []uint16{0} }, directory.RuleProtocol, "protocol: it speaks protocol 0 at most, the network asks for 1"},
	} {
		w := newWorld(t, open)
		a := w.add("a", "9.9.9.9")
		tt.edit(a)
		w.at = w.at.Add(time.Hour)
		w.judge()
		t.Log(name)
		w.rule(a, tt.rule, tt.says)
	}
	w := newWorld(t, open)
	a, b := w.add("a", "9.9.9.9"), w.add("b", "9.9.9.9")
	w.judge()
	if len(w.out.Listed) != 1 {
		t.Fatal("one address twice")
	}
	for _, x := range []*actor{a, b} {
		if w.listing(x) == nil {
			w.rule(x, directory.RuleDuplicate, "duplicate: an older relay")
		}
	}
	a.record.Descriptor = nil
	w.judge()
	if w.out.Unlisted[a.record.ID] != directory.RuleLeft {
		t.Error("a relay that left is listed")
	}
	if r := Explain(w.in, w.out, idOf("nobody")); len(r) != 1 || r[0].Effect != "not listed" {
		t.Errorf("%v", r)
	}
	for r := range ruleNames {
		if r.String() == "unknown rule" {
			t.Errorf("rule %d has no words", r)
		}
	}
}

// TestAttackLeakedTokenMakesNoLargeNetwork runs 30 relays on a used-up token in
// a network of five neighbours on one address: the rules for large networks
// would cost the neighbours their places.
func TestAttackLeakedTokenMakesNoLargeNetwork(t *testing.T) {
	w := newWorld(t, worldConfig{join: directory.JoinToken})
	var home []*actor
	for i := range 5 {
		a := w.add(fmt.Sprint("home", i), fmt.Sprintf("9.9.9.9:%d", 4000+i))
		w.token(a, 1, w.at.Add(time.Hour))
		home = append(home, a)
	}
	w.judge()
	guest := w.add("guest", "9.8.1.1")
	invitation := w.token(guest, 2, w.at.Add(time.Hour))
	for _, a := range w.spread("thief", 30) {
		a.d.Admission = invitation.Admission(w.id, a.d.ID)
	}
	w.judge()
	for _, a := range home {
		w.rule(a, 0)
	}
	if len(w.out.Listed) != 7 {
		t.Errorf("%d listed", len(w.out.Listed))
	}
}
