package sybil

import (
	"fmt"
	"testing"
	"time"

	"hearsay/directory"
)

const daySeconds = 24 * 3600

// TestFlagsOfAGrownNetwork is rule D: each relay lacks one thing.
func TestFlagsOfAGrownNetwork(t *testing.T) {
	w, list := grown(t, open, 40)
	w.ledger = nil
	edits := map[int]struct {
		edit  func(a *actor, h *directory.History)
		lacks directory.Flags
		says  []string
	}{
		1: {func(_ *actor, h *directory.History) { h.Run, h.MTBFCount, h.MTBFSum = 4*daySeconds, 1, 0 }, directory.FlagStable | directory.FlagGuard | directory.FlagMailbox, []string{"D: no Stable: mean run 2 d", "needs 5 d"}},
		2: {func(_ *actor, h *directory.History) { h.Listed = 29 * daySeconds }, directory.FlagGuard, []string{"D: no Guard: listed for 29 d 1 h (needs 30 d"}},
		3: {func(_ *actor, h *directory.History) { h.WFUUp, h.WFUKnown = 9485e5, 1000e6 }, directory.FlagGuard, []string{"D: no Guard: uptime 948 ‰ (needs 950)"}},
		4: {func(a *actor, _ *directory.History) { a.speed = mib - 4 }, directory.FlagGuard, []string{"D: no Guard: bandwidth 512 KiB/s (needs 1024)"}},
		5: {func(_ *actor, h *directory.History) { h.Listed = 6 * daySeconds }, directory.FlagGuard | directory.FlagMailbox, []string{"D: no Mailbox: listed for 6 d"}},
		6: {func(_ *actor, h *directory.History) {
			h.Run, h.MTBFCount, h.MTBFSum = 3*daySeconds, 1, 1e8
		}, directory.FlagMailbox, []string{"D: no Mailbox: running for 3 d"}},
		7: {func(a *actor, _ *directory.History) { a.d.Roles = directory.RoleInner }, directory.FlagGuard | directory.FlagMailbox, nil},
	}
	for i, a := range list {
		e := edits[i]
		w.history(a, func(h *directory.History) {
			if e.edit != nil {
				e.edit(a, h)
			}
		})
	}
	w.judge()
	all := directory.FlagStable | directory.FlagGuard | directory.FlagMailbox
	w.flags(list[0], all, 0)
	for i, e := range edits {
		w.flags(list[i], all&^e.lacks, e.lacks)
		w.says(list[i], e.says...)
	}
	if l := w.listing(list[7]); l.Guard != 0 || l.Mailbox != 0 || l.Inner == 0 {
		t.Error("weights without the role")
	}
}

func TestYoungNetworkHalvesAges(t *testing.T) {
	w := newWorld(t, open)
	w.at = testTime.Add(20 * day)
	list := w.spread("s", 30)
	for i, a := range list {
		a.speed = mib
		w.history(a, func(h *directory.History) {
			h.Run = 20 * daySeconds
			h.Listed = 11 * daySeconds
			if i == 0 {
				h.Listed = 9 * daySeconds
			}
		})
	}
	w.judge()
	w.flags(list[1], directory.FlagGuard|directory.FlagMailbox, 0)
	w.flags(list[0], directory.FlagMailbox, directory.FlagGuard)
	w.says(list[0], "no Guard: listed for 9 d 1 h (needs 10 d")
	if r := w.relay(list[1]); r.ramp != unit {
		t.Errorf("ramp %d", r.ramp)
	}
	for _, a := range list {
		for _, r := range Explain(w.in, w.out, a.d.ID) {
			if r.Rule == "C" {
				t.Fatalf("a cap by age acts in a young network: %s", r)
			}
		}
	}
}

// TestSmallNetworks are the rules for networks of fewer than 20 relays.
func TestSmallNetworks(t *testing.T) {
	w := newWorld(t, worldConfig{join: directory.JoinToken})
	var list []*actor
	for i := range 19 {
		a := w.add(fmt.Sprint("s", i), fmt.Sprintf("9.9.9.9:%d", 4000+i))
		w.token(a, 1, w.at.Add(day))
		list = append(list, a)
	}
	w.judge()
	for _, a := range list {
		w.flags(a, directory.FlagGuard|directory.FlagStable|directory.FlagMailbox|directory.FlagPlacement|directory.FlagVouched, directory.FlagWitness|directory.FlagWatched)
		if l := w.listing(a); l.Guard != mib || l.Inner != mib || l.Mailbox != mib {
			t.Fatalf("weights %v", l)
		}
	}
	if w.out.Epoch != time.Minute {
		t.Errorf("epoch %v", w.out.Epoch)
	}
	warned := 0
	for _, a := range list {
		for _, r := range Explain(w.in, w.out, a.d.ID) {
			if r.Rule == "A1" && r.Effect == "warning" {
				warned++
			}
		}
	}
	if warned != 17 {
		t.Errorf("%d relays are warned", warned)
	}
	// In an open one the rules of addresses hold.
	w = newWorld(t, open)
	for i := range 5 {
		list[i] = w.add(fmt.Sprint("s", i), fmt.Sprintf("9.9.9.9:%d", 4000+i))
	}
	w.judge()
	if len(w.out.Listed) != 2 {
		t.Fatalf("%d listed", len(w.out.Listed))
	}
	// The twentieth relay ends the peace.
	w = newWorld(t, worldConfig{join: directory.JoinToken})
	for i := range 20 {
		a := w.add(fmt.Sprint("s", i), fmt.Sprintf("9.9.9.9:%d", 4000+i))
		w.token(a, 1, w.at.Add(day))
	}
	if w.judge(); len(w.out.Listed) != 2 {
		t.Fatalf("%d listed", len(w.out.Listed))
	}
}

func TestLabKnowsNoPrefixes(t *testing.T) {
	w := newWorld(t, worldConfig{join: directory.JoinOpen, lab: true})
	for i := range 60 {
		w.add(fmt.Sprint("s", i), fmt.Sprintf("127.0.0.1:%d", 4000+i))
	}
	w.judge()
	if len(w.out.Listed) != 60 {
		t.Fatalf("%d listed", len(w.out.Listed))
	}
	w.run(5 * time.Minute)
	for _, a := range w.relays {
		w.flags(a, directory.FlagGuard|directory.FlagMailbox|directory.FlagVouched, directory.FlagWitness)
		if l := w.listing(a); l.Inner != mib {
			t.Fatalf("weight %d", l.Inner)
		}
	}
}

func TestFewGuardsMakeAllGuards(t *testing.T) {
	w, list := grown(t, open, 25)
	for i, a := range list {
		if i >= 2 {
			a.d.Roles = directory.RoleInner
		}
		if i >= 2 && i < 5 {
			a.d.Roles = directory.RoleInner | directory.RoleGuard | directory.RoleMailbox
		}
	}
	w.ledger = nil
	for i, a := range list {
		w.history(a, func(h *directory.History) {
			if i >= 2 {
				h.Listed = 1
			}
		})
	}
	list[4].flags, list[4].reason, list[4].until = directory.VoteWatch, "odd", uint16(w.at.Unix()/daySeconds+5)
	w.judge()
	w.flags(list[2], directory.FlagGuard|directory.FlagMailbox, 0)
	w.flags(list[4], directory.FlagWatched, directory.FlagGuard|directory.FlagMailbox)
	w.says(list[4], "mark: most signers mark it (watch)", "odd")
	w.flags(list[5], 0, directory.FlagGuard)
}

// TestAttackNewcomersAimAtAKnownValue lets relays join when the random value
// of a period is known: they get no placement in it.
func TestAttackNewcomersAimAtAKnownValue(t *testing.T) {
	w, list := grown(t, open, 30)
	start := directory.PlacementStart(false, directory.PlacementPeriod(false, w.at))
	w.at = start.Add(-20 * time.Hour)
	late := w.add("late", "9.9.9.9")
	old := w.ledger.Parts()
	w.ledger = nil
	w.history(late, func(h *directory.History) { h.FirstListed = uint32(start.Add(-35 * time.Hour).Unix()) })
	w.ledger = directory.NewLedger(w.at.Add(-time.Hour), directory.LedgerParts{Relays: append(old.Relays, w.ledger.Parts().Relays...)})
	w.run(28 * time.Hour)
	w.flags(list[0], directory.FlagPlacement, 0)
	w.flags(late, directory.FlagMailbox, directory.FlagPlacement)
	w.says(late, "D: no Placement: the set was fixed when the period began")
	// The set is frozen: who goes keeps its place, who comes waits.
	list[1].up = false
	w.judge()
	list[1].up = true
	w.judge()
	w.judge()
	if l := w.listing(list[1]); l == nil || l.Flags&directory.FlagPlacement == 0 {
		t.Error("a restart costs the placement of the period")
	}
	w.run(24 * time.Hour)
	w.flags(late, directory.FlagPlacement, 0)
}

func TestPlacementOfStrangersIsLimited(t *testing.T) {
	w := newWorld(t, open)
	w.old()
	var parts directory.LedgerParts
	list := w.spread("s", 90)
	for i, a := range list {
		w.ledger = nil
		w.history(a, func(h *directory.History) {
			h.FirstListed += uint32(i)
			if i%3 == 0 {
				h.State |= directory.StateVouched
			}
		})
		parts.Relays = append(parts.Relays, w.ledger.Parts().Relays[0])
	}
	w.ledger = directory.NewLedger(w.at.Add(-48*time.Hour), parts)
	w.judge()
	hand, strangers, lastStranger := 0, 0, 0
	for i, a := range list {
		if w.listing(a).Flags&directory.FlagPlacement == 0 {
			continue
		}
		if i%3 == 0 {
			hand++
		} else {
			strangers++
			lastStranger = i
		}
	}
	if hand != 30 || strangers != 10 || lastStranger > 15 {
		t.Errorf("%d vouched and %d others, the last at place %d", hand, strangers, lastStranger)
	}
}

func TestWitnesses(t *testing.T) {
	c := open
	c.as = "20.0.0.0/8 1\n0.0.0.0/0 2\n"
	w, list := grown(t, c, 25)
	for _, a := range list {
		a.d.Roles |= directory.RoleWitness
	}
	w.judge()
	n := 0
	for _, a := range list {
		if w.listing(a).Flags&directory.FlagWitness != 0 {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d witnesses in one AS", n)
	}
	w, list = grown(t, open, 40)
	w.ledger = nil
	for i, a := range list {
		a.d.Roles |= directory.RoleWitness
		a.d.Families = []directory.Family{{Key: [32]byte{byte(i / 2), 1}, Expires: w.at.Add(1e4 * time.Hour)}}
		w.history(a, func(h *directory.History) { h.Listed += uint32(i * 3600) })
	}
	w.judge()
	n = 0
	for i, a := range list {
		if is := w.listing(a).Flags&directory.FlagWitness != 0; is {
			n++
			if i < 26 || i%2 == 0 {
				t.Errorf("relay %d witnesses", i)
			}
		}
	}
	if n != 7 {
		t.Errorf("%d witnesses", n)
	}
}

func TestEmptyNetwork(t *testing.T) {
	w := newWorld(t, open)
	if w.judge(); len(w.out.Listed) != 0 || w.out.Epoch != time.Minute {
		t.Fatal(w.out)
	}
}
