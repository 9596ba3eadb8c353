package sybil

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"hearsay/directory"
)

// lacks demands that judgement names what keeps the relay from joining.
func (w *world) lacks(a *actor, want error) {
	w.t.Helper()
	if got := w.out.Lacks[a.d.ID]; !errors.Is(got, want) {
		w.t.Errorf("%s lacks %v, want %v", a.d.Nick, got, want)
	}
}

// vouch lets the relay show vouches of the family keys of these names.
func (w *world) vouch(a *actor, until time.Time, families ...string) {
	w.t.Helper()
	var list []directory.Vouch
	for _, f := range families {
		list = append(list, directory.SignVouch(w.id, testKey(f), a.d.ID, until))
	}
	var err error
	a.d.Admission, err = directory.VouchAdmission(list...)
	check(w.t, err)
}

// family makes the relay one of the family key of that name.
func (w *world) family(a *actor, name string) {
	a.d.Families = append(a.d.Families, directory.SignFamily(w.id, testKey(name), a.d.ID, w.at.Add(365*24*time.Hour)))
}

// TestAttackTokenReplayedFromGossip: a reader of descriptors shows the token of
// another relay, which has uses left, as it stands there.
func TestAttackTokenReplayedFromGossip(t *testing.T) {
	w := newWorld(t, worldConfig{join: directory.JoinToken})
	guest, thief := w.add("guest", "9.9.1.1"), w.add("thief", "9.9.2.1")
	w.token(guest, 10, w.at.Add(time.Hour))
	thief.d.Admission = guest.d.Admission
	w.judge()
	w.rule(guest, 0)
	w.rule(thief, directory.RuleAdmission, "A6: its token is not valid, or its holder did not admit this relay; ask a founder for a token")
	w.lacks(thief, directory.ErrBadToken)
	if used := w.ledger.Parts().Tokens; len(used) != 1 || used[0].Used != 1 {
		t.Errorf("%+v", used)
	}
}

// TestAttackForgedTokenOfAListedStranger: stores do not look at what listed
// relays show, so a stranger who came by work could show anything then.
func TestAttackForgedTokenOfAListedStranger(t *testing.T) {
	c := open
	c.join |= directory.JoinToken | directory.JoinVouch
	w := newWorld(t, c)
	stranger, host := w.add("stranger", "9.9.1.1"), w.add("host", "9.8.1.1")
	w.family(host, "host's family")
	w.history(stranger, nil)
	w.history(host, nil)
	own, err := directory.IssueToken(w.id, testKey("stranger's own"), [32]byte{1}, w.at.Add(time.Hour), 10)
	check(t, err)
	stranger.d.Admission = own.Admission(w.id, stranger.d.ID)
	w.judge()
	w.rule(stranger, 0)
	w.flags(stranger, 0, directory.FlagVouched)
	w.vouch(stranger, w.at.Add(time.Hour), "host's family")
	stranger.d.Admission[100] ^= 1
	w.judge()
	w.flags(stranger, 0, directory.FlagVouched)
	w.vouch(stranger, w.at.Add(time.Hour), "host's family")
	w.judge()
	w.flags(stranger, directory.FlagVouched, 0)
}

// TestInviters: what an inviter brings in is one lineage; its tokens end with it.
func TestInviters(t *testing.T) {
	key, late := testKey("inviter"), testKey("late inviter")
	w := newWorld(t, worldConfig{join: directory.JoinToken, invites: []directory.Inviter{
		{Public: publicOf(key), Expires: testTime.Add(2 * time.Hour), Label: "club"},
		{Public: publicOf(late), Expires: testTime.Add(-time.Hour), Label: "late"},
	}})
	issue := func(a *actor, name string, seed byte) {
		t.Helper()
		i, err := directory.IssueToken(w.id, testKey(name), [32]byte{seed}, w.at.Add(20*24*time.Hour), 1)
		check(t, err)
		a.d.Admission = i.Admission(w.id, a.d.ID)
	}
	a, b, c, d, e := w.add("a", "9.1.1.1"), w.add("b", "9.2.1.1"), w.add("c", "9.3.1.1"), w.add("d", "9.4.1.1"), w.add("e", "9.5.1.1")
	issue(a, "inviter", 1)
	issue(b, "inviter", 2)
	issue(c, "late inviter", 3)
	issue(d, "nobody", 4)
	w.token(e, 1, w.at.Add(time.Hour))
	w.judge()
	for _, r := range []*actor{a, b} {
		w.rule(r, 0)
		w.flags(r, directory.FlagVouched, 0)
	}
	if la, lb, le := w.relay(a).h.Lineage, w.relay(b).h.Lineage, w.relay(e).h.Lineage; la == 0 || la != lb || le != 0 {
		t.Errorf("lineages %d, %d, and %d of a founder", la, lb, le)
	}
	for _, r := range []*actor{c, d} {
		w.rule(r, directory.RuleAdmission, "A6: who issued its token may not invite relays, or not any more")
		w.lacks(r, directory.ErrNoIssuer)
	}
	// The inviter's time ends: who is listed stays, nobody new comes.
	w.run(3 * time.Hour)
	f := w.add("f", "9.6.1.1")
	issue(f, "inviter", 5)
	w.judge()
	w.rule(a, 0)
	w.rule(f, directory.RuleAdmission)
	if w.relay(a).h.Lineage == 0 {
		t.Error("the lineage is forgotten")
	}
}

// TestSeedsBeginANetworkOfVouches: nobody is listed yet who could vouch.
func TestSeedsBeginANetworkOfVouches(t *testing.T) {
	w := newWorld(t, worldConfig{join: directory.JoinVouch, seeds: []string{"seed"}})
	seed, guest, stranger := w.add("seed", "9.9.1.1"), w.add("guest", "9.9.2.1"), w.add("stranger", "9.9.3.1")
	w.family(seed, "seed's family")
	w.vouch(guest, w.at.Add(24*time.Hour), "seed's family")
	w.judge()
	w.rule(seed, 0)
	w.flags(seed, directory.FlagVouched, 0)
	w.rule(guest, directory.RuleAdmission, "A6: none of those who vouch for it has a listed relay; ask an operator of listed relays for a vouch")
	w.lacks(guest, directory.ErrNoVoucher)
	w.rule(stranger, directory.RuleAdmission, "A6: it shows no admission")
	w.lacks(stranger, directory.ErrNoVouch)
	// In a young network half its age is enough for a voucher.
	w.run(time.Hour)
	w.judge()
	w.rule(guest, 0)
	w.flags(guest, directory.FlagVouched, 0)
}

// TestVouchers: who may vouch, how often, and what is said if it does not do.
func TestVouchers(t *testing.T) {
	w := newWorld(t, worldConfig{join: directory.JoinToken | directory.JoinVouch})
	w.old()
	old, young := w.add("old", "9.1.1.1"), w.add("young", "9.2.1.1")
	w.family(old, "old family")
	w.family(young, "young family")
	w.history(old, nil)
	w.history(young, func(h *directory.History) { h.Listed = 29 * 24 * 3600 })
	month := w.at.Add(30 * 24 * time.Hour)
	expired, stranger, newcomer, forged := w.add("expired", "9.3.1.1"), w.add("stranger", "9.4.1.1"), w.add("newcomer", "9.5.1.1"), w.add("forged", "9.6.1.1")
	w.vouch(expired, w.at, "old family")
	w.vouch(stranger, month, "unlisted family")
	w.vouch(newcomer, month, "young family", "unlisted family")
	w.vouch(forged, month, "old family")
	forged.d.Admission[130] ^= 1
	var guests []*actor
	for i := range 4 {
		g := w.add(fmt.Sprint("guest", i), fmt.Sprintf("9.7.%d.1", i))
		w.vouch(g, month, "old family", "unlisted family")
		guests = append(guests, g)
	}
	w.judge()
	hint := "ask a founder for a token, or an operator of listed relays for a vouch"
	w.rule(expired, directory.RuleAdmission, "A6: its vouch is not valid or has expired; "+hint)
	w.lacks(expired, directory.ErrBadVouch)
	w.rule(forged, directory.RuleAdmission, "A6: its vouch is not valid")
	w.rule(stranger, directory.RuleAdmission, "A6: none of those who vouch for it has a listed relay; "+hint)
	w.rule(newcomer, directory.RuleAdmission, "A6: those who vouch for it have no relay that is listed for 30 d 0 h; wait, or "+hint)
	w.lacks(newcomer, directory.ErrYoungVoucher)
	listed := 0
	for _, g := range guests {
		if w.listing(g) != nil {
			listed++
			w.flags(g, directory.FlagVouched, 0)
			continue
		}
		w.rule(g, directory.RuleAdmission, "A6: those who vouch for it have no vouch left (3 in 90 days); "+hint)
		w.lacks(g, directory.ErrVouchUsed)
	}
	if listed != directory.VouchesPerPeriod {
		t.Errorf("%d guests of one voucher", listed)
	}
}

// TestAttackVoucherChangesItsFamily: a voucher gives its one old relay another
// family key whenever its vouches are spent, and two at a time.
func TestAttackVoucherChangesItsFamily(t *testing.T) {
	w := newWorld(t, worldConfig{join: directory.JoinToken | directory.JoinVouch})
	w.old()
	old := w.add("old", "9.1.1.1")
	w.history(old, nil)
	month := w.at.Add(30 * 24 * time.Hour)
	listed := 0
	lineages := make(map[uint16]bool)
	for round := range 3 {
		first, second := fmt.Sprint("first ", round), fmt.Sprint("second ", round)
		old.d.Families = nil
		w.family(old, first)
		w.family(old, second)
		var guests []*actor
		for i := range 8 {
			g := w.add(fmt.Sprint("guest", round, i), fmt.Sprintf("9.%d.%d.1", 10+round, i))
			w.vouch(g, month, []string{first, second}[i%2])
			guests = append(guests, g)
		}
		w.judge()
		for _, g := range guests {
			if w.listing(g) != nil {
				listed++
				lineages[w.relay(g).h.Lineage] = true
				continue
			}
			w.lacks(g, directory.ErrVouchUsed)
		}
	}
	if listed != directory.VouchesPerPeriod || len(lineages) != 1 {
		t.Errorf("one relay brought in %d, in %d lineages", listed, len(lineages))
	}
}

// TestAttackVoucherCountsTwice: an operator lowers scores by two families of one
// relay.
func TestAttackVoucherCountsTwice(t *testing.T) {
	w := newWorld(t, worldConfig{join: directory.JoinToken | directory.JoinVouch})
	w.old()
	old, guest := w.add("old", "9.1.1.1"), w.add("guest", "9.2.1.1")
	w.history(old, nil)
	w.family(old, "first")
	w.family(old, "second")
	w.vouch(guest, w.at.Add(time.Hour), "first", "second")
	w.judge()
	w.says(guest, "H: -10 points", "1 vouch for it")
}

// TestAttackMadeUpVouchersLowerNoScore: a relay vouches for itself with family
// keys that are nobody's.
func TestAttackMadeUpVouchersLowerNoScore(t *testing.T) {
	w := newWorld(t, worldConfig{join: directory.JoinToken | directory.JoinVouch})
	w.old()
	var crowd []*actor
	for i := range 25 {
		a := w.add(fmt.Sprint("crowd", i), fmt.Sprintf("9.%d.1.1", i))
		w.history(a, func(h *directory.History) { h.State |= directory.StateVouched })
		crowd = append(crowd, a)
	}
	w.vouch(crowd[0], w.at.Add(time.Hour), "made up", "made up too")
	w.judge()
	for _, r := range w.relay(crowd[0]).terms {
		if r.quarters == scoreVouch || r.quarters == 2*scoreVouch {
			t.Errorf("%d quarter points: %s", r.quarters, r.what)
		}
	}
}

func TestWhatIsLacking(t *testing.T) {
	for _, tt := range []struct {
		join directory.Join
		want error
		says string
	}{
		{directory.JoinClosed, directory.ErrNotInFile, "ask the founders to add it"},
		{directory.JoinToken, directory.ErrNoToken, "ask a founder for a token"},
		{directory.JoinVouch, directory.ErrNoVouch, "ask an operator of listed relays for a vouch"},
		{directory.JoinOpen, directory.ErrNoWork, "it shows no proof of work"},
		{directory.JoinToken | directory.JoinOpen, directory.ErrNoWork, "let it work"},
	} {
		w := newWorld(t, worldConfig{join: tt.join})
		a := w.add("a", "9.9.1.1")
		w.judge()
		w.lacks(a, tt.want)
		w.says(a, "A6: ", tt.says)
	}
}
