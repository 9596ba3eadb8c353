package directory

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// signedDescriptor signs the descriptor of test relay i after a change.
func (n *network) signedDescriptor(i int, edit func(*Descriptor)) []byte {
	n.t.Helper()
	d := n.descriptor(i, testTime)
	edit(d)
	raw, err := d.Sign(n.id, testKey(nameOf(i)))
	check(n.t, err)
	return raw
}

// parse reads a changed descriptor of test relay i under the rules.
func (n *network) parse(rules Rules, i int, edit func(*Descriptor)) error {
	n.t.Helper()
	_, err := ParseDescriptor(rules, n.signedDescriptor(i, edit), testTime)
	return err
}

// TestAttackTokenReplayedFromGossip: whoever reads a descriptor cannot spend the
// uses that its token has left, by whatever part of the proof is copied.
func TestAttackTokenReplayedFromGossip(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	rules := n.chain.Rules()
	guest := n.descriptor(1, testTime)
	if err := n.parse(rules, 1, func(*Descriptor) {}); err != nil {
		t.Fatal(err)
	}
	shown := guest.Admission
	stolen, ok := guest.TokenProof()
	if !ok || stolen.Token.MaxUses < 2 {
		t.Fatal("the token of the test has one use only")
	}
	thief := RelayID(publicOf(testKey(nameOf(2))))
	own := testKey("thief's token key")
	mint, err := IssueToken(n.id, own, [32]byte{1}, testTime.Add(time.Hour), 2)
	check(t, err)
	for name, admission := range map[string][]byte{
		"whole field": shown,
		"own key":     slices.Concat(shown[:1+TokenSize], mint.Admission(n.id, thief)[1+TokenSize:]),
		"own signature under the token's key": slices.Concat(
			shown[:1+TokenSize+32], mint.Admission(n.id, thief)[1+TokenSize+32:]),
		"nonce of an own key":            slices.Concat(shown[:9], mint.Token.Nonce[:], shown[25:1+TokenSize], mint.Admission(n.id, thief)[1+TokenSize:]),
		"token alone, as it once was":    shown[:1+TokenSize],
		"own token under the issuer":     slices.Concat([]byte{2}, stolen.Token.Issuer[:], mint.Admission(n.id, thief)[9:]),
		"signature of another network":   slices.Concat(shown[:1+TokenSize+32], mint.Admission(NetworkID{1}, thief)[1+TokenSize+32:]),
		"with a byte behind it":          append(bytes.Clone(shown), 0),
		"of a key that anybody signs by": slices.Concat(shown[:1+TokenSize], make([]byte, 96)),
	} {
		err := n.parse(rules, 2, func(d *Descriptor) { d.Admission = admission })
		if !errors.Is(err, ErrNotAdmitted) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The holder of the secret key brings in whom it wants.
	if err := n.parse(rules, 2, func(*Descriptor) {}); err != nil {
		t.Errorf("its holder: %v", err)
	}
}

func TestClosedNetwork(t *testing.T) {
	f := testFile(false, JoinClosed)
	f.Relays = []RelayID{RelayID(publicOf(testKey(nameOf(1))))}
	n := foundNetwork(t, f)
	rules := n.chain.Rules()
	if err := n.parse(rules, 1, func(*Descriptor) {}); err != nil {
		t.Errorf("named: %v", err)
	}
	rules.Listed = func(RelayID) bool { return true } // taken out of the file later
	if err := n.parse(rules, 2, func(*Descriptor) {}); !errors.Is(err, ErrNotInFile) || !errors.Is(err, ErrNotAdmitted) {
		t.Errorf("not named: %v", err)
	}
}

// TestSeedsNeedNoProof: the network file names them, so a network of vouches has
// somebody to begin with.
func TestSeedsNeedNoProof(t *testing.T) {
	f := testFile(false, JoinVouch)
	f.Seeds = []RelayID{RelayID(publicOf(testKey(nameOf(1))))}
	n := foundNetwork(t, f)
	if err := n.parse(n.chain.Rules(), 1, func(*Descriptor) {}); err != nil {
		t.Error(err)
	}
	if err := n.parse(n.chain.Rules(), 2, func(*Descriptor) {}); !errors.Is(err, ErrNoVouch) {
		t.Error(err)
	}
}

func TestInviters(t *testing.T) {
	key := testKey("inviter")
	f := testFile(false, JoinToken)
	f.Inviters = []Inviter{{Public: publicOf(key), Expires: testTime.Add(time.Hour), Label: "club"}}
	n := foundNetwork(t, f)
	id := RelayID(publicOf(testKey(nameOf(1))))
	tok, err := IssueToken(n.id, key, [32]byte{1}, testTime.Add(20*24*time.Hour), 1)
	check(t, err)
	raw := n.signedDescriptor(1, func(d *Descriptor) { d.Admission = tok.Admission(n.id, id) })
	rules := n.chain.Rules()
	if _, err := ParseDescriptor(rules, raw, testTime); err != nil {
		t.Errorf("inviter: %v", err)
	}
	if i, ok := rules.Inviter(tok.Token); !ok || i.Label != "club" {
		t.Errorf("%v", i)
	}
	if _, ok := rules.Inviter(n.token(1).Token); ok {
		t.Error("a founder is taken for an inviter")
	}
	if _, err := ParseDescriptor(rules, raw, testTime.Add(time.Hour)); !errors.Is(err, ErrNoIssuer) {
		t.Errorf("after the inviter's time: %v", err)
	}
	// Revoked by the next version of the file.
	next := n.chain.Next(testTime)
	check(t, next.RemoveInviter("club"))
	if err := next.RemoveInviter("club"); !errors.Is(err, ErrUnknownInviter) {
		t.Error(err)
	}
	draft, err := DraftAmendment(n.chain, next)
	check(t, err)
	check(t, draft.Sign(n.root))
	chain, err := draft.Assemble(testTime)
	check(t, err)
	if _, err := ParseDescriptor(chain.Rules(), raw, testTime); !errors.Is(err, ErrNoIssuer) {
		t.Errorf("revoked: %v", err)
	}
	if len(n.chain.Current().Inviters) != 1 {
		t.Error("the change reached the version before")
	}
	// A listed relay stays, whoever invited it.
	gone := chain.Rules()
	gone.Listed = func(RelayID) bool { return true }
	if _, err := ParseDescriptor(gone, raw, testTime); err != nil {
		t.Errorf("listed: %v", err)
	}
	for name, edit := range map[string]func(f *NetworkFile){
		"key of a root":      func(f *NetworkFile) { f.Inviters[0].Public = publicOf(testKey("root")) },
		"key of small order": func(f *NetworkFile) { f.Inviters[0].Public = [32]byte{1} },
		"key twice": func(f *NetworkFile) {
			f.Inviters = append(f.Inviters, Inviter{Public: publicOf(key), Expires: testTime, Label: "b"})
		},
		"name twice": func(f *NetworkFile) {
			f.Inviters = append(f.Inviters, Inviter{Public: publicOf(testKey("b")), Expires: testTime, Label: "club"})
		},
		"no name":    func(f *NetworkFile) { f.Inviters[0].Label = "" },
		"year 10000": func(f *NetworkFile) { f.Inviters[0].Expires = time.Unix(maxUnix+1, 0) },
		"too many": func(f *NetworkFile) {
			for i := range 64 {
				f.Inviters = append(f.Inviters, Inviter{Public: publicOf(testKey(nameOf(i))), Expires: testTime, Label: nameOf(i)})
			}
		},
	} {
		f := n.chain.Next(testTime)
		edit(&f)
		if _, _, err := Found(f, n.root); !errors.Is(err, ErrBadNetworkFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	again := n.chain.Next(testTime)
	again.AddInviter(Inviter{Public: publicOf(key), Expires: testTime.Add(time.Minute), Label: "renamed"})
	if len(again.Inviters) != 1 || again.Inviters[0].Label != "renamed" || n.chain.Current().Inviters[0].Label != "club" {
		t.Errorf("%v", again.Inviters)
	}
}

func TestVouches(t *testing.T) {
	n := newNetwork(t, false, JoinVouch)
	id := RelayID(publicOf(testKey(nameOf(1))))
	family := testKey("family")
	good := SignVouch(n.id, family, id, testTime.Add(MaxVouchLife))
	second := SignVouch(n.id, testKey("other family"), id, testTime.Add(time.Hour))
	rules := n.chain.Rules()
	rules.Voucher = func(k [32]byte) bool { return k == publicOf(family) }
	admission := func(vs ...Vouch) []byte {
		t.Helper()
		b, err := VouchAdmission(vs...)
		check(t, err)
		return b
	}
	both := admission(good, second)
	swapped := slices.Concat(both[:1], both[1+VouchSize:], both[1:1+VouchSize])
	forged := good
	forged.Signature[5] ^= 1
	long := SignVouch(n.id, family, id, testTime.Add(MaxVouchLife+11*time.Minute))
	for _, tt := range []struct {
		name      string
		admission []byte
		err       error
	}{
		{"one", admission(good), nil},
		{"two, of which one is listed", both, nil},
		{"twice the same", admission(good, good), nil},
		{"none", nil, ErrNoVouch},
		{"a stranger's", admission(second), ErrNoVoucher},
		{"of another relay", admission(SignVouch(n.id, family, RelayID{1}, testTime.Add(time.Hour))), ErrBadVouch},
		{"of another network", admission(SignVouch(NetworkID{1}, family, id, testTime.Add(time.Hour))), ErrBadVouch},
		{"expired", admission(SignVouch(n.id, family, id, testTime)), ErrBadVouch},
		{"for more than 180 days", admission(long), ErrBadVouch},
		{"forged", admission(forged), ErrBadVouch},
		{"one good, one forged", admission(forged, second), ErrBadVouch},
		{"out of order", swapped, ErrBadVouch},
		{"cut short", both[:200], ErrBadVouch},
		{"a token", append([]byte{2}, both[1:]...), ErrNoVouch},
	} {
		err := n.parse(rules, 1, func(d *Descriptor) { d.Admission = tt.admission })
		if !errors.Is(err, tt.err) || tt.err != nil && !errors.Is(err, ErrNotAdmitted) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := VouchAdmission(good, second, SignVouch(n.id, testKey("x"), id, testTime)); !errors.Is(err, ErrBadVouch) {
		t.Errorf("three: %v", err)
	}
	text := " " + strings.ToLower(good.Text()[:40]) + "\n" + good.Text()[40:]
	if v, err := ParseVouchText([]byte(text)); err != nil || v != good {
		t.Errorf("%v %v", v, err)
	}
	if _, err := ParseVouchText([]byte(good.Text()[:100])); !errors.Is(err, ErrBadVouch) {
		t.Error(err)
	}
	eachFlip(good.Append(nil), func(b []byte, at int) {
		if v, err := ParseVouch(b); err == nil && v.Verify(n.id, id, testTime) == nil {
			t.Errorf("bit %d", at)
		}
	})
}

func TestFamilyText(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	id := RelayID(publicOf(testKey(nameOf(1))))
	f := SignFamily(n.id, testKey("family"), id, testTime.Add(time.Hour))
	got, relay, err := ParseFamily(n.id, []byte(strings.ToLower(f.Text(id))+"\n"))
	if err != nil || got != f || relay != id {
		t.Fatalf("%v %v %v", got, relay, err)
	}
	if _, _, err := ParseFamily(NetworkID{1}, f.Append(nil, id)); !errors.Is(err, ErrBadFamily) {
		t.Error(err)
	}
	eachFlip(f.Append(nil, id), func(b []byte, at int) {
		if _, _, err := ParseFamily(n.id, b); err == nil {
			t.Errorf("bit %d", at)
		}
	})
	v := SignVouch(n.id, testKey("family"), id, testTime.Add(time.Hour))
	if _, _, err := ParseFamily(n.id, v.Append(nil)); !errors.Is(err, ErrBadFamily) {
		t.Errorf("a vouch read as a certificate: %v", err)
	}
}

func TestWork(t *testing.T) {
	f := testFile(false, JoinOpen)
	f.Params = map[Param]int64{ParamPoWBits: 2}
	n := foundNetwork(t, f)
	id := RelayID(publicOf(testKey(nameOf(1))))
	now, last := WorkWindow{Number: 4166, Value: [32]byte{1}}, WorkWindow{Number: 4165, Value: [32]byte{2}}
	tries := uint64(0)
	solve := func(w WorkWindow, id RelayID) *PoW {
		t.Helper()
		p, err := SolveWork(w, WorkSalt(n.id, id, w), 2, [8]byte{7}, func(n uint64) error { tries = n; return nil })
		check(t, err)
		return &p
	}
	good := solve(now, id)
	if len(good.Nonce) != 16 || good.Window != 4166 {
		t.Fatalf("%+v", good)
	}
	rules := n.chain.Rules()
	rules.Windows = []WorkWindow{now, last}
	easy := &PoW{Window: 4166}
	for b := byte(0); ; b++ {
		easy.Nonce = []byte{b}
		if WorkBits(WorkSalt(n.id, id, now), easy.Nonce) < 2 {
			break
		}
	}
	for _, tt := range []struct {
		name string
		work *PoW
		err  error
	}{
		{"this window", good, nil},
		{"the last window", solve(last, id), nil},
		{"none", nil, ErrNoWork},
		{"too easy", easy, ErrBadWork},
		{"another number of the window", &PoW{Window: 4167, Nonce: good.Nonce}, ErrOldWork},
		{"two windows ago", &PoW{Window: 4164, Nonce: good.Nonce}, ErrOldWork},
	} {
		err := n.parse(rules, 1, func(d *Descriptor) { d.PoW = tt.work })
		if !errors.Is(err, tt.err) || tt.err != nil && !errors.Is(err, ErrNotAdmitted) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if err := n.parse(n.chain.Rules(), 1, func(d *Descriptor) { d.PoW = good }); !errors.Is(err, ErrOldWork) {
		t.Errorf("without a snapshot: %v", err)
	}
	// The same nonce for another relay, network or value is another try.
	salts := map[[32]byte]bool{}
	for _, s := range [][32]byte{
		WorkSalt(n.id, id, now), WorkSalt(n.id, RelayID{1}, now), WorkSalt(NetworkID{1}, id, now), WorkSalt(n.id, id, last),
		WorkSalt(n.id, id, WorkWindow{Number: now.Number, Value: last.Value}),
	} {
		salts[s] = true
	}
	if len(salts) != 5 {
		t.Error("two works share a salt")
	}
	enough := errors.New("enough")
	_, err := SolveWork(now, WorkSalt(n.id, id, now), 64, [8]byte{}, func(n uint64) error {
		if tries = n; n == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || tries != 2 {
		t.Errorf("given up: %v after %d tries", err, tries)
	}
	// An empty or long nonce is no proof at all.
	for _, nonce := range [][]byte{nil, make([]byte, 17)} {
		d := n.descriptor(1, testTime)
		d.PoW = &PoW{Window: 1, Nonce: nonce}
		if _, err := d.Sign(n.id, testKey(nameOf(1))); !errors.Is(err, ErrBadDescriptor) {
			t.Errorf("nonce of %d bytes: %v", len(nonce), err)
		}
	}
}

// TestWorkIsAskedForLast: what is refused without it costs no try.
func TestWorkIsAskedForLast(t *testing.T) {
	f := testFile(false, JoinOpen|JoinToken)
	f.Seeds = []RelayID{RelayID(publicOf(testKey(nameOf(3))))}
	n := foundNetwork(t, f)
	rules := n.chain.Rules()
	rules.Windows = []WorkWindow{{Number: 9}}
	asked := 0
	rules.CheckWork = func(*Descriptor, [32]byte, int) error { asked++; return nil }
	work := func(d *Descriptor) { d.PoW, d.Admission = &PoW{Window: 9, Nonce: []byte{1}}, nil }
	if err := n.parse(rules, 1, work); err != nil || asked != 1 {
		t.Errorf("%v, asked %d times", err, asked)
	}
	raw := n.signedDescriptor(1, work)
	raw[len(raw)-1] ^= 1
	if _, err := ParseDescriptor(rules, raw, testTime); err == nil {
		t.Error("a bad signature passes")
	}
	for name, i := range map[string]int{"token beside work": 1, "seed": 3} {
		err := n.parse(rules, i, func(d *Descriptor) { d.PoW = &PoW{Window: 9, Nonce: []byte{1}} })
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	rules.Listed = func(RelayID) bool { return true }
	if err := n.parse(rules, 2, work); err != nil {
		t.Error(err)
	}
	if asked != 1 {
		t.Errorf("work was looked at %d times", asked)
	}
	// Nor beside a bad token: who shows one does not come by work.
	rules.Listed = nil
	err := n.parse(rules, 1, func(d *Descriptor) {
		work(d)
		d.Admission = n.token(1).Admission(n.id, RelayID{9})
	})
	if !errors.Is(err, ErrBadToken) || asked != 1 {
		t.Errorf("%v, asked %d times", err, asked)
	}
}

// TestWorkWindows: on each day the newest snapshot holds the values of the
// present and of the last window, which nobody knew before they began.
func TestWorkWindows(t *testing.T) {
	n := newNetwork(t, false, JoinOpen)
	for day := range int64(11) {
		at := testTime.Add(time.Duration(day) * 24 * time.Hour)
		v := &View{validAfter: at, srvs: srvsAt(n.chain, at)}
		list := v.WorkWindows()
		if len(list) != 2 || list[0].Number != uint32(at.Unix()/86400/5) || list[1].Number != list[0].Number-1 {
			t.Fatalf("day %d: %+v", day, list)
		}
		for _, w := range list {
			if want := firstSRV(n.id, uint64(w.Number)*5-1); w.Value != want {
				t.Errorf("day %d, window %d: another value", day, w.Number)
			}
		}
	}
}

// TestDescriptorOfAllProofsFits: every way to join fits into a descriptor that
// says all else that a relay's program says, at a change of onion keys too.
func TestDescriptorOfAllProofsFits(t *testing.T) {
	n := newNetwork(t, false, JoinToken|JoinVouch|JoinOpen)
	d := fullDescriptor(n)
	d.SNI, d.Contact = "", strings.Repeat("c", maxContact)
	d.Families = append(d.Families, SignFamily(n.id, testKey("second family"), d.ID, testTime.Add(time.Hour)))
	d.PoW = &PoW{Window: 1 << 31, Nonce: make([]byte, 16)}
	for _, admission := range [][]byte{
		n.token(10).Admission(n.id, d.ID),
		must2(t, SignVouch(n.id, testKey("a"), d.ID, testTime), SignVouch(n.id, testKey("b"), d.ID, testTime)),
	} {
		d.Admission = admission
		raw, err := d.Sign(n.id, testKey(nameOf(1)))
		t.Logf("admission %d B, descriptor %d B", len(admission), len(raw))
		if err != nil {
			t.Error(err)
		}
	}
}

func must2(t *testing.T, v ...Vouch) []byte {
	b, err := VouchAdmission(v...)
	check(t, err)
	return b
}
