package directory

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

var founderNames = []string{"anna", "ben", "carl", "dora", "emil"}

// communityFile is version 1 of a network of n founders; the first listens.
func communityFile(t testing.TB, n int) NetworkFile {
	t.Helper()
	f := NetworkFile{Name: "harbour", Salt: [16]byte{4}, Created: testTime, Expires: testTime.Add(maxFileLife), Join: JoinToken, MinProtocol: 1}
	for i, name := range founderNames[:n] {
		addr := ""
		if i == 0 {
			addr = "8.8.4.4:4443"
		}
		check(t, f.AddFounder(parsedCard(t, name, false, addr)))
	}
	return f
}

// signAll signs with the root keys of the founders and returns the draft as it
// comes back from them.
func signAll(t testing.TB, d *Draft, names ...string) *Draft {
	t.Helper()
	for _, n := range names {
		check(t, d.Sign(testKey("root "+n)))
		b, err := d.Bytes()
		check(t, err)
		d, err = ParseDraft(b)
		check(t, err)
	}
	return d
}

// community founds a network of n founders.
func community(t testing.TB, n int) *Chain {
	t.Helper()
	d, err := DraftFounding(communityFile(t, n))
	check(t, err)
	c, err := signAll(t, d, founderNames[:n]...).Assemble(testTime)
	check(t, err)
	return c
}

func draftOf(t testing.TB, c *Chain, edit func(*NetworkFile)) *Draft {
	t.Helper()
	f := c.Next(testTime.Add(time.Hour))
	edit(&f)
	d, err := DraftAmendment(c, f)
	check(t, err)
	return d
}

func TestFoundingNeedsEveryFounder(t *testing.T) {
	d, err := DraftFounding(communityFile(t, 3))
	check(t, err)
	for i, name := range founderNames[:3] {
		if old, drafted := d.Lacking(); old != 0 || drafted != 3-i {
			t.Errorf("%d signatures: %d and %d lacking", i, old, drafted)
		}
		if _, err := d.Assemble(testTime); !errors.Is(err, ErrThreshold) {
			t.Errorf("%d signatures: %v", i, err)
		}
		d = signAll(t, d, name)
	}
	c, err := d.Assemble(testTime)
	check(t, err)
	if c.ID() != d.Network() || len(c.Current().Signers) != 3 || c.Current().Roots[1].Label != "ben" {
		t.Errorf("%+v", c.Current())
	}
	if own, _ := c.Hash(1); own != d.Hash() {
		t.Error("another body")
	}
	for _, r := range d.Roots() {
		if !r.Signed || r.Old || !r.New {
			t.Errorf("%+v", r)
		}
	}
}

// TestCopiesOfADraftMerge signs copies side by side, as founders do who get
// the draft by mail.
func TestCopiesOfADraftMerge(t *testing.T) {
	d, err := DraftFounding(communityFile(t, 3))
	check(t, err)
	raw, err := d.Bytes()
	check(t, err)
	var copies []*Draft
	for _, name := range founderNames[:3] {
		own, err := ParseDraft(raw)
		check(t, err)
		copies = append(copies, signAll(t, own, name))
	}
	check(t, copies[2].Merge(copies[0]))
	check(t, copies[2].Merge(copies[0]))
	check(t, copies[2].Merge(copies[1]))
	if _, err := copies[2].Assemble(testTime); err != nil {
		t.Fatal(err)
	}
}

// TestDifferentDraftsForDifferentFounders is the attack of an assembler who
// shows each founder another file: the words differ, and neither is complete.
func TestDifferentDraftsForDifferentFounders(t *testing.T) {
	honest := communityFile(t, 3)
	edits := map[string]func(*NetworkFile){
		"another salt":      func(f *NetworkFile) { f.Salt[15]++ },
		"another signer":    func(f *NetworkFile) { f.Signers[2].Public = publicOf(testKey("signer mallory")) },
		"another bootstrap": func(f *NetworkFile) { f.Bootstraps[0].ID[0]++ },
		"a parameter":       func(f *NetworkFile) { f.Params = map[Param]int64{ParamPoWBits: 0} },
		"open":              func(f *NetworkFile) { f.Join = JoinOpen },
		"a second later":    func(f *NetworkFile) { f.Expires = f.Expires.Add(-time.Second) },
		"another name":      func(f *NetworkFile) { f.Name = "Harbour" },
	}
	a, err := DraftFounding(honest)
	check(t, err)
	a = signAll(t, a, "anna", "ben")
	for name, edit := range edits {
		f := communityFile(t, 3)
		edit(&f)
		b, err := DraftFounding(f)
		check(t, err)
		if slices.Equal(a.Words(), b.Words()) {
			t.Errorf("%s: the same words", name)
		}
		same := 0
		for i := range a.Words() {
			if a.Words()[i] == b.Words()[i] {
				same++
			}
		}
		if same > 3 {
			t.Errorf("%s: %d words of ten are the same", name, same)
		}
		b = signAll(t, b, "carl")
		if err := a.Merge(b); !errors.Is(err, ErrOtherDraft) {
			t.Errorf("%s: %v", name, err)
		}
		// Signatures of one do not fit the other.
		b.doc.Signatures = a.doc.Signatures
		raw, err := b.Bytes()
		check(t, err)
		if _, err := ParseDraft(raw); !errors.Is(err, ErrDraftChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(a.Words()) != 10 {
		t.Errorf("%d words", len(a.Words()))
	}
}

func TestStrangersDoNotSign(t *testing.T) {
	d, err := DraftFounding(communityFile(t, 3))
	check(t, err)
	for _, key := range []string{"root dora", "signer anna"} {
		if err := d.Sign(testKey(key)); !errors.Is(err, ErrNotRoot) {
			t.Errorf("%s: %v", key, err)
		}
	}
	d.doc.add(signBody(labelNetwork, NetworkID{}, d.doc.Body, testKey("stranger")))
	raw, err := d.Bytes()
	check(t, err)
	if _, err := ParseDraft(raw); !errors.Is(err, ErrDraftChanged) {
		t.Errorf("a stranger's signature: %v", err)
	}
}

// TestAmendments changes a network of three step by step.
func TestAmendments(t *testing.T) {
	c := community(t, 3)
	steps := []struct {
		name   string
		edit   func(*NetworkFile)
		few    []string
		enough []string
		want   []Change
	}{
		{
			"join and parameters",
			func(f *NetworkFile) {
				f.Join = JoinToken | JoinVouch
				f.Params = map[Param]int64{ParamEpoch: 1800}
			},
			[]string{"carl"},
			[]string{"anna", "carl"},
			[]Change{{"join", "token", "token+vouch"}, {"param epoch", "default", "1800"}},
		},
		{
			"a founder more",
			func(f *NetworkFile) { check(t, f.AddFounder(parsedCard(t, "dora", false, "8.8.4.9:4443"))) },
			// Two of the three of old, but of the four of now three must sign.
			[]string{"anna", "ben"},
			[]string{"anna", "ben", "dora"},
			[]Change{
				{"root", "", "dora " + keyID(publicOf(testKey("root dora"))).String()},
				{"signatures for a change", "2 of 3", "3 of 4"},
				{"signer", "", "dora " + keyID(publicOf(testKey("signer dora"))).String()},
				{"signatures for a snapshot", "2 of 3", "3 of 4"},
				{"bootstrap", "", Bootstrap{RelayID(publicOf(testKey("bootstrap dora"))).Prefix(), netip.MustParseAddrPort("8.8.4.9:4443")}.String()},
			},
		},
		{
			"one is lost, three are left",
			func(f *NetworkFile) { check(t, f.RemoveFounder("carl")) },
			[]string{"anna", "dora"},
			[]string{"anna", "ben", "dora"},
			[]Change{
				{"root", "carl " + keyID(publicOf(testKey("root carl"))).String(), ""},
				{"signatures for a change", "3 of 4", "2 of 3"},
				{"signer", "carl " + keyID(publicOf(testKey("signer carl"))).String(), ""},
				{"signatures for a snapshot", "3 of 4", "2 of 3"},
			},
		},
		{
			"expiry, name, lists",
			func(f *NetworkFile) {
				f.Name, f.Expires = "quay", f.Created.Add(maxFileLife)
				f.Seeds, f.ASTable, f.MinProtocol = []RelayID{{1}}, [32]byte{2}, 2
			},
			[]string{"ben"},
			[]string{"ben", "dora"},
			[]Change{
				{"name", "harbour", "quay"},
				{"expires", "2029-01-14 08:00:00", "2029-01-14 09:00:00"},
				{"AS table", "", "02" + strings.Repeat("00", 31)},
				{"seed", "", RelayID{1}.String()},
				{"lowest protocol", "1", "2"},
			},
		},
	}
	for i, s := range steps {
		d := draftOf(t, c, s.edit)
		if got := Changes(d.Previous().Current(), d.File()); !slices.Equal(got, s.want) {
			t.Errorf("%s: changes %q, want %q", s.name, got, s.want)
		}
		part := signAll(t, draftOf(t, c, s.edit), s.few...)
		if _, err := part.Assemble(testTime.Add(time.Hour)); !errors.Is(err, ErrThreshold) {
			t.Errorf("%s by %v: %v", s.name, s.few, err)
		}
		d = signAll(t, d, s.enough...)
		next, err := d.Assemble(testTime.Add(time.Hour))
		if err != nil {
			t.Fatalf("%s by %v: %v", s.name, s.enough, err)
		}
		if next.Current().Version != uint64(i+2) || next.ID() != c.ID() {
			t.Errorf("%s: version %d", s.name, next.Current().Version)
		}
		// A reader who has only version 1 takes all of it.
		if _, err := VerifyChain(c.ID(), next.Raw(1), testTime.Add(time.Hour)); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
		c = next
	}
}

// TestTooFewFoundersLeft: one of three cannot change the network; the two that
// are lost cannot be taken out.
func TestTooFewFoundersLeft(t *testing.T) {
	c := community(t, 3)
	d := draftOf(t, c, func(f *NetworkFile) {
		check(t, f.RemoveFounder("ben"))
		check(t, f.RemoveFounder("carl"))
	})
	d = signAll(t, d, "anna")
	if _, err := d.Assemble(testTime.Add(time.Hour)); !errors.Is(err, ErrThreshold) {
		t.Fatal(err)
	}
	if old, drafted := d.Lacking(); old != 1 || drafted != 0 {
		t.Errorf("%d and %d lacking", old, drafted)
	}
}

func TestAmendmentRules(t *testing.T) {
	c := community(t, 3)
	for name, tt := range map[string]struct {
		edit func(*NetworkFile)
		err  error
	}{
		"nothing":                      {func(*NetworkFile) {}, ErrNothing},
		"lab":                          {func(f *NetworkFile) { f.Lab = true }, ErrBadNetworkFile},
		"salt":                         {func(f *NetworkFile) { f.Salt[0]++ }, ErrBadNetworkFile},
		"an earlier date":              {func(f *NetworkFile) { f.Created = testTime.Add(-time.Second) }, ErrBadNetworkFile},
		"epoch floor":                  {func(f *NetworkFile) { f.EpochFloorReset = 7 }, ErrBadNetworkFile},
		"epoch floor, other order":     {func(f *NetworkFile) { f.EpochFloorReset = 7; slices.Reverse(f.Signers) }, ErrBadNetworkFile},
		"epoch floor, other label":     {func(f *NetworkFile) { f.EpochFloorReset = 7; f.Signers[0].Label = "x" }, ErrBadNetworkFile},
		"no founder":                   {func(f *NetworkFile) { f.Roots = nil }, ErrBadNetworkFile},
		"two bootstraps, one address":  {func(f *NetworkFile) { f.Bootstraps = append(f.Bootstraps, f.Bootstraps[0]) }, ErrBadNetworkFile},
		"epoch floor, one signer less": {func(f *NetworkFile) { f.EpochFloorReset = 7; check(t, f.RemoveSigner("carl")) }, nil},
		"epoch floor, another signer": {func(f *NetworkFile) {
			f.EpochFloorReset = 7
			f.Signers[0].Public = publicOf(testKey("signer x"))
		}, nil},
	} {
		f := c.Next(testTime.Add(time.Hour))
		tt.edit(&f)
		if _, err := DraftAmendment(c, f); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", name, err, tt.err)
		}
	}
	if c.Current().Signers[0].Label != "anna" || c.Current().Bootstraps[0].Addr.Port() != 4443 {
		t.Error("an amendment changed the chain")
	}
	reset := draftOf(t, c, func(f *NetworkFile) { f.EpochFloorReset = 7; check(t, f.RemoveSigner("carl")) })
	c, err := signAll(t, reset, "anna", "ben").Assemble(testTime.Add(time.Hour))
	check(t, err)
	if f := c.Next(testTime); f.EpochFloorReset != 0 || f.Created != c.Current().Created {
		t.Error("the next version repeats the reset, or is older")
	}
	if got := Changes(community(t, 3).Current(), c.Current()); got[len(got)-1] != (Change{"epoch floor", "", "7"}) {
		t.Errorf("changes %q", got)
	}
}

func TestDraftTimes(t *testing.T) {
	founding, err := DraftFounding(communityFile(t, 1))
	check(t, err)
	amendment := draftOf(t, community(t, 1), func(f *NetworkFile) { f.Name = "quay" })
	short := draftOf(t, community(t, 1), func(f *NetworkFile) { f.Expires = f.Created.Add(time.Hour) })
	made := testTime.Add(time.Hour) // of the amendments
	for name, tt := range map[string]struct {
		d   *Draft
		now time.Time
		err error
	}{
		"at once":                   {founding, testTime, nil},
		"a slow clock":              {founding, testTime.Add(-9 * time.Minute), nil},
		"a founding of the future":  {founding, testTime.Add(-11 * time.Minute), ErrDraftExpired},
		"after 30 days":             {founding, testTime.Add(DraftLife), nil},
		"after 31 days":             {founding, testTime.Add(31 * 24 * time.Hour), ErrDraftExpired},
		"a change in 30 days":       {amendment, made.Add(-DraftLife), nil},
		"a change in 31 days":       {amendment, made.Add(-31 * 24 * time.Hour), ErrDraftExpired},
		"a file that is over":       {short, made.Add(time.Hour), ErrExpired},
		"a file that is about over": {short, made.Add(time.Hour - time.Second), nil},
	} {
		if err := tt.d.CheckTime(tt.now); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", name, err, tt.err)
		}
		if tt.err != nil {
			if _, err := signAll(t, tt.d, "anna").Assemble(tt.now); !errors.Is(err, tt.err) {
				t.Errorf("%s: assembled: %v", name, err)
			}
		}
	}
	if f := founding.File(); f.ExpiresSoon(f.Expires.Add(-FileWarning)) || !f.ExpiresSoon(f.Expires.Add(-FileWarning+1)) {
		t.Error("the warning comes at another time")
	}
}

// TestExpiredNetworkIsRenewed: founders who come too late can still sign.
func TestExpiredNetworkIsRenewed(t *testing.T) {
	c := community(t, 3)
	late := c.Current().Expires.Add(time.Hour)
	if _, err := VerifyChain(c.ID(), c.Raw(1), late); !errors.Is(err, ErrExpired) {
		t.Fatal(err)
	}
	c, err := VerifyHistory(c.ID(), c.Raw(1))
	check(t, err)
	f := c.Next(late)
	f.Expires = f.Created.Add(maxFileLife)
	d, err := DraftAmendment(c, f)
	check(t, err)
	if _, err = signAll(t, d, "anna", "ben").Assemble(late); err != nil {
		t.Fatal(err)
	}
}

func TestDraftOfAnotherNetwork(t *testing.T) {
	c := community(t, 3)
	f := communityFile(t, 3)
	f.Salt[0] = 99
	other, err := DraftFounding(f)
	check(t, err)
	oc, err := signAll(t, other, "anna", "ben", "carl").Assemble(testTime)
	check(t, err)
	rename := func(f *NetworkFile) { f.Name = "quay" }
	a, b := draftOf(t, c, rename), draftOf(t, oc, rename)
	if err := a.Merge(b); !errors.Is(err, ErrOtherDraft) {
		t.Errorf("merged: %v", err)
	}
	// The same founders, and their signatures of the other network.
	b = signAll(t, b, "anna", "ben")
	a.doc.Signatures = b.doc.Signatures
	raw, err := a.Bytes()
	check(t, err)
	if _, err := ParseDraft(raw); !errors.Is(err, ErrDraftChanged) {
		t.Errorf("signatures of another network: %v", err)
	}
	// The body of one with the versions of the other.
	raw, err = encode(&draftFile{Type: draftType, Versions: c.Raw(1), Body: b.doc.Body, Signatures: b.doc.Signatures})
	check(t, err)
	if _, err := ParseDraft(raw); !errors.Is(err, ErrBadDraft) {
		t.Errorf("versions of another network: %v", err)
	}
}

func TestAnyFlippedBitOfADraftFails(t *testing.T) {
	founding, err := DraftFounding(communityFile(t, 2))
	check(t, err)
	for name, d := range map[string]*Draft{
		"founding":  signAll(t, founding, "anna"),
		"amendment": signAll(t, draftOf(t, community(t, 2), func(f *NetworkFile) { f.Name = "quay" }), "anna"),
	} {
		raw, err := d.Bytes()
		check(t, err)
		eachFlip(raw, func(b []byte, at int) {
			if got, err := ParseDraft(b); err == nil && got.Hash() == d.Hash() && len(got.doc.Signatures) == 1 {
				t.Errorf("%s: bit %d", name, at)
			} else if err == nil && len(got.doc.Signatures) > 0 {
				t.Errorf("%s: bit %d changes a signed draft", name, at)
			}
		})
	}
}

func TestMalformedDrafts(t *testing.T) {
	founding, err := DraftFounding(communityFile(t, 2))
	check(t, err)
	c := community(t, 2)
	second := draftOf(t, c, func(f *NetworkFile) { f.Name = "quay" })
	third, err := signAll(t, second, "anna", "ben").Assemble(testTime.Add(time.Hour))
	check(t, err)
	signed := signAll(t, founding, "anna", "ben").doc.Signatures
	slices.Reverse(signed)
	for name, f := range map[string]draftFile{
		"another type":              {Type: "network", Body: founding.doc.Body},
		"no body":                   {Type: draftType},
		"versions before version 1": {Type: draftType, Body: founding.doc.Body, Versions: c.Raw(1)},
		"no versions before 2":      {Type: draftType, Body: second.doc.Body},
		"noise before 2":            {Type: draftType, Body: second.doc.Body, Versions: [][]byte{{1}}},
		"a version twice":           {Type: draftType, Body: second.doc.Body, Versions: third.Raw(1)},
		"19 signatures":             {Type: draftType, Body: founding.doc.Body, Signatures: make([]signature, 19)},
		"signatures out of order":   {Type: draftType, Body: founding.doc.Body, Signatures: signed},
	} {
		raw, err := encode(&f)
		check(t, err)
		if _, err := ParseDraft(raw); !errors.Is(err, ErrBadDraft) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseDraft(make([]byte, maxDraft+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a large file: %v", err)
	}
	bad := communityFile(t, 1)
	bad.Join = 0
	if _, err := DraftFounding(bad); !errors.Is(err, ErrBadNetworkFile) {
		t.Errorf("a founding without join mode: %v", err)
	}
}

func TestFounderLists(t *testing.T) {
	f := communityFile(t, 3)
	if err := f.AddFounder(parsedCard(t, "anna", false, "")); !errors.Is(err, ErrFounderTwice) {
		t.Errorf("the same card: %v", err)
	}
	twin, err := Card{Label: "anna"}.Sign(testKey("root twin"), testKey("signer twin"))
	check(t, err)
	c, err := ParseCard(twin)
	check(t, err)
	if err := f.AddFounder(c); !errors.Is(err, ErrFounderTwice) {
		t.Errorf("the same name: %v", err)
	}
	if err := f.AddFounder(parsedCard(t, "dora", true, "")); !errors.Is(err, ErrLabCard) {
		t.Errorf("a card for labs: %v", err)
	}
	check(t, f.AddRoot(parsedCard(t, "dora", false, "8.8.4.9:4443")))
	if len(f.Roots) != 4 || len(f.Signers) != 3 || len(f.Bootstraps) != 1 {
		t.Errorf("a cold key: %d roots, %d signers, %d bootstraps", len(f.Roots), len(f.Signers), len(f.Bootstraps))
	}
	check(t, f.AddSigner(parsedCard(t, "dora", false, "8.8.4.9:4443")))
	if len(f.Signers) != 4 || len(f.Bootstraps) != 2 {
		t.Errorf("and its signer: %d signers, %d bootstraps", len(f.Signers), len(f.Bootstraps))
	}
	if err := f.RemoveFounder("emil"); !errors.Is(err, ErrUnknownFounder) {
		t.Errorf("a stranger: %v", err)
	}
	check(t, f.RemoveRoot(f.Roots[0].ID().String()))
	if f.Roots[0].Label != "ben" {
		t.Errorf("removed by key: %v", f.Roots)
	}
	check(t, f.RemoveFounder("anna")) // the signer is left
	f.Signers[0].Label, f.Signers[1].Label = "x", "x"
	if err := f.RemoveSigner("x"); !errors.Is(err, ErrUnknownFounder) || len(f.Signers) != 3 {
		t.Errorf("two of one name: %v", err)
	}
}

func TestParamNames(t *testing.T) {
	if len(paramNames) != len(paramRules) {
		t.Fatalf("%d names, %d rules", len(paramNames), len(paramRules))
	}
	for _, name := range ParamNames() {
		p, err := ParseParam(name)
		if err != nil || p.String() != name {
			t.Errorf("%q: %v %v", name, p, err)
		}
	}
	if _, err := ParseParam(""); err == nil {
		t.Error("no name")
	}
	if got := fmt.Sprint(Param(0), Param(200)); got != "0 200" {
		t.Errorf("unknown: %q", got)
	}
}

func TestSuccessor(t *testing.T) {
	c := community(t, 5)
	next := community(t, 2)
	link := next.Link(nil)
	s, err := c.SignSuccessor(link, testTime, testKey("root anna"))
	check(t, err)
	s, err = c.Cosign(s, testKey("root carl"))
	check(t, err)
	for name, b := range map[string][]byte{"binary": s.Bytes(), "text": []byte(s.Text())} {
		got, err := c.ParseSuccessor(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.Link().String() != link.String() || !got.Made.Equal(testTime) || len(got.By) != 2 || got.By[0].Label != "anna" || got.By[1].Label != "carl" {
			t.Errorf("%s: %+v", name, got)
		}
		if !bytes.Equal(got.Bytes(), s.Bytes()) {
			t.Errorf("%s: other bytes", name)
		}
	}
	eachFlip(s.Bytes(), func(b []byte, at int) {
		if _, err := c.ParseSuccessor(b); err == nil {
			t.Errorf("bit %d", at)
		}
	})
	f := communityFile(t, 5)
	f.Salt[3]++
	twin, err := DraftFounding(f)
	check(t, err)
	tc, err := signAll(t, twin, founderNames...).Assemble(testTime)
	check(t, err)
	if _, err := tc.ParseSuccessor(s.Bytes()); !errors.Is(err, ErrBadSuccessor) {
		t.Errorf("in a network of the same founders: %v", err)
	}
	for name, sign := range map[string]func() error{
		"a stranger": func() error { _, err := c.SignSuccessor(link, testTime, testKey("stranger")); return err },
		"a signer":   func() error { _, err := c.Cosign(s, testKey("signer anna")); return err },
		"nobody":     func() error { _, err := c.SignSuccessor(link, testTime); return err },
		"itself":     func() error { _, err := c.SignSuccessor(c.Link(nil), testTime, testKey("root anna")); return err },
		"no address": func() error {
			_, err := c.SignSuccessor(NetworkLink{ID: next.ID()}, testTime, testKey("root anna"))
			return err
		},
		"a far time": func() error {
			_, err := c.SignSuccessor(link, time.Unix(maxUnix+1, 0), testKey("root anna"))
			return err
		},
		"bad address": func() error {
			l := link
			l.Bootstraps = []Bootstrap{{Addr: netip.MustParseAddrPort("0.0.0.0:1")}}
			_, err := c.SignSuccessor(l, testTime, testKey("root anna"))
			return err
		},
		"17 addresses": func() error {
			l := link
			l.Bootstraps = make([]Bootstrap, 17)
			for i := range l.Bootstraps {
				l.Bootstraps[i] = Bootstrap{Addr: testAddr(i, false)}
			}
			_, err := c.SignSuccessor(l, testTime, testKey("root anna"))
			return err
		},
	} {
		if err := sign(); !errors.Is(err, ErrBadSuccessor) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string]string{"nothing": "", "mistyped": "HEARSAY-SUCCESSOR:1", "another document": string(c.Raw(1)[0])} {
		if _, err := c.ParseSuccessor([]byte(b)); !errors.Is(err, ErrBadSuccessor) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCertificateText(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	for name, b := range map[string][]byte{"binary": n.cert, "text": []byte("\n" + strings.ToLower(CertificateText(n.cert)))} {
		raw, err := CertificateBytes(b)
		if err != nil || !bytes.Equal(raw, n.cert) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := CertificateBytes([]byte(CertificateText(n.cert)[:60] + "1")); !errors.Is(err, ErrBadCertificate) {
		t.Errorf("mistyped: %v", err)
	}
}

// TestMalformedNetworkBodies changes what the encoder never writes.
func TestMalformedNetworkBodies(t *testing.T) {
	good := func() networkBody {
		f := communityFile(t, 2)
		f.Version = 1
		raw, err := f.encode()
		check(t, err)
		var b networkBody
		check(t, decode(raw, maxNetworkFile, &b))
		return b
	}
	for name, edit := range map[string]func(*networkBody){
		"a newer format":      func(b *networkBody) { b.Format = 2 },
		"a far date":          func(b *networkBody) { b.Expires = maxUnix + 1 },
		"unknown join mode":   func(b *networkBody) { b.Join = 16 },
		"large extension":     func(b *networkBody) { b.Ext = extensions{1: make([]byte, maxExtensions)} },
		"another algorithm":   func(b *networkBody) { b.Roots[0].Alg = 2 },
		"signer of another":   func(b *networkBody) { b.Signers[0].Alg = 0 },
		"ten roots":           func(b *networkBody) { b.Roots = make([]founderEntry, 10) },
		"17 bootstraps":       func(b *networkBody) { b.Bootstraps = make([]bootstrapEntry, 17) },
		"address of 5 bytes":  func(b *networkBody) { b.Bootstraps[0].Addr = make([]byte, 5) },
		"parameter 0":         func(b *networkBody) { b.Params = map[uint64]int64{0: 1} },
		"parameter 99":        func(b *networkBody) { b.Params = map[uint64]int64{99: 1} },
		"short predecessor":   func(b *networkBody) { b.Previous = make([]byte, 31) },
		"AS table of zeros":   func(b *networkBody) { b.ASTable = make([]byte, 32) },
		"empty member lists":  func(b *networkBody) { b.Members = &memberLists{} },
		"lower k_root":        func(b *networkBody) { b.KRoot = 1 },
		"higher k_sign":       func(b *networkBody) { b.KSign++ },
		"a label with escape": func(b *networkBody) { b.Roots[0].Label = "\x1b" },
	} {
		b := good()
		edit(&b)
		raw, err := encode(&b)
		check(t, err)
		if _, err := parseNetworkBody(raw); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
