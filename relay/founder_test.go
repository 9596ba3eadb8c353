package relay

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hearsay/directory"
)

// labFounders are three founders of a lab network with new homes.
func labFounders(t *testing.T) []Founder {
	t.Helper()
	dir := t.TempDir()
	var list []Founder
	for i, name := range []string{"anna", "ben", "carl"} {
		list = append(list, Founder{
			Home: filepath.Join(dir, name), Label: name, Lab: true,
			Listen: netip.MustParseAddrPort(fmt.Sprintf("127.0.0.1:%d", 4441+i)),
		})
	}
	return list
}

func foundLab(t *testing.T) ([]Founder, directory.NetworkLink) {
	t.Helper()
	list := labFounders(t)
	l, err := FoundTogether(Founding{Name: "lab", Join: directory.JoinToken, Lab: true}, list)
	if err != nil {
		t.Fatal(err)
	}
	return list, l
}

func amendment(t *testing.T, home string, edit func(*directory.NetworkFile)) *directory.Draft {
	t.Helper()
	c, err := FounderChain(home)
	if err != nil {
		t.Fatal(err)
	}
	f := c.Next(time.Now())
	edit(&f)
	d, err := directory.DraftAmendment(c, f)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestFoundTogether(t *testing.T) {
	list, l := foundLab(t)
	for _, o := range list {
		c, err := FounderChain(o.Home)
		if err != nil {
			t.Fatal(err)
		}
		if c.ID() != l.ID || len(c.Current().Roots) != 3 || len(c.Current().Signers) != 3 || len(c.Current().Bootstraps) != 3 {
			t.Errorf("%s: %+v", o.Label, c.Current())
		}
		if _, err := IssueToken(o.Home, 1, 1); err != nil {
			t.Errorf("%s makes no token: %v", o.Label, err)
		}
	}
	if _, err := MakeCard(list[0]); !errors.Is(err, ErrFounded) {
		t.Errorf("a second card in a home: %v", err)
	}
}

// TestSecondDraftOfAVersion is how a network would split: one founder signs two
// changes under one number.
func TestSecondDraftOfAVersion(t *testing.T) {
	list, _ := foundLab(t)
	a := amendment(t, list[0].Home, func(f *directory.NetworkFile) { f.Name = "a" })
	b := amendment(t, list[0].Home, func(f *directory.NetworkFile) { f.Name = "b" })
	for _, o := range list[:2] {
		if err := SignDraft(o.Home, a, nil, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range list[:2] {
		if err := SignDraft(o.Home, b, nil, false); !errors.Is(err, ErrSignedOther) {
			t.Errorf("%s: %v", o.Label, err)
		}
	}
	if err := SignDraft(list[0].Home, a, nil, false); err != nil {
		t.Errorf("the same draft again: %v", err)
	}
	if err := SignDraft(list[0].Home, b, nil, true); err != nil {
		t.Errorf("after the first was given up: %v", err)
	}
	if err := SignDraft(list[0].Home, a, nil, false); !errors.Is(err, ErrSignedOther) {
		t.Errorf("the first again: %v", err)
	}
	if _, err := InstallDraft(list[2].Home, b); !errors.Is(err, directory.ErrThreshold) {
		t.Errorf("one signature: %v", err)
	}
	if c, err := InstallDraft(list[2].Home, a); err != nil || c.Current().Name != "a" {
		t.Errorf("two signatures: %v", err)
	}
	if _, err := InstallDraft(list[2].Home, a); err != nil {
		t.Errorf("what is in force, again: %v", err)
	}
	if err := SignDraft(list[2].Home, a, nil, false); !errors.Is(err, ErrInForce) {
		t.Errorf("sign what is in force: %v", err)
	}
	if err := SignDraft(list[2].Home, b, nil, false); !errors.Is(err, directory.ErrRollback) {
		t.Errorf("sign another version of that number: %v", err)
	}
}

// TestHomeThatIsBehind takes the versions it lacks from the draft.
func TestHomeThatIsBehind(t *testing.T) {
	list, _ := foundLab(t)
	for v, home := range []int{0, 0} {
		d := amendment(t, list[home].Home, func(f *directory.NetworkFile) { f.Name = fmt.Sprint("name ", v) })
		for _, o := range list[:2] {
			if err := SignDraft(o.Home, d, nil, false); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := InstallDraft(list[0].Home, d); err != nil {
			t.Fatal(err)
		}
		if v == 1 {
			if c, err := InstallDraft(list[2].Home, d); err != nil || c.Current().Version != 3 {
				t.Errorf("from version 1 to 3: %v", err)
			}
		}
	}
}

func TestForeignDrafts(t *testing.T) {
	list, _ := foundLab(t)
	others, _ := foundLab(t)
	d := amendment(t, others[0].Home, func(f *directory.NetworkFile) { f.Name = "x" })
	if err := SignDraft(list[0].Home, d, nil, false); !errors.Is(err, directory.ErrOtherNetwork) {
		t.Errorf("a draft of another network: %v", err)
	}
	if err := SignDraft(t.TempDir(), d, nil, false); !errors.Is(err, ErrNoCard) {
		t.Errorf("a home without keys: %v", err)
	}
	newcomer := labFounders(t)[0]
	raw, err := MakeCard(newcomer)
	if err != nil {
		t.Fatal(err)
	}
	if err := SignDraft(newcomer.Home, d, nil, false); !errors.Is(err, ErrNotMine) {
		t.Errorf("a founder who is not in it: %v", err)
	}
	card, err := directory.ParseCard(raw)
	if err != nil {
		t.Fatal(err)
	}
	// A founding that changed what the card said.
	for name, edit := range map[string]func(*directory.NetworkFile){
		"another signer":    func(f *directory.NetworkFile) { f.Signers[0].Public[0] ^= 1 },
		"another name":      func(f *directory.NetworkFile) { f.Roots[0].Label = "hanna" },
		"another bootstrap": func(f *directory.NetworkFile) { f.Bootstraps[0].ID[0] ^= 1 },
		"nothing changed":   func(*directory.NetworkFile) {},
	} {
		f := NewNetworkFile("n", directory.JoinToken, true, time.Now())
		if err := f.AddFounder(card); err != nil {
			t.Fatal(err)
		}
		edit(&f)
		d, err := directory.DraftFounding(f)
		if err != nil {
			t.Fatal(err)
		}
		want := ErrNotMine
		if name == "nothing changed" {
			want = nil
		}
		if err := CheckDraft(newcomer.Home, d, time.Now()); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

func TestNewcomerSignsAnAmendment(t *testing.T) {
	list, _ := foundLab(t)
	dora := Founder{Home: filepath.Join(t.TempDir(), "dora"), Label: "dora", Lab: true}
	raw, err := MakeCard(dora)
	if err != nil {
		t.Fatal(err)
	}
	card, err := directory.ParseCard(raw)
	if err != nil {
		t.Fatal(err)
	}
	d := amendment(t, list[0].Home, func(f *directory.NetworkFile) {
		if err := f.AddFounder(card); err != nil {
			t.Fatal(err)
		}
	})
	for _, home := range []string{list[0].Home, list[1].Home, dora.Home} {
		if err := SignDraft(home, d, nil, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, home := range []string{list[0].Home, dora.Home} {
		if c, err := InstallDraft(home, d); err != nil || len(c.Current().Roots) != 4 {
			t.Fatal(err)
		}
	}
}

// TestDirectoryOfAFounder opens the homes of a signer who only dials out, and of
// a founder who holds a cold key.
func TestDirectoryOfAFounder(t *testing.T) {
	founders := labFounders(t)
	founders[1].Listen = netip.AddrPort{}
	if _, err := FoundTogether(Founding{Name: "lab", Join: directory.JoinToken, Lab: true}, founders); err != nil {
		t.Fatal(err)
	}
	d := amendment(t, founders[0].Home, func(f *directory.NetworkFile) {
		if err := errors.Join(f.RemoveSigner("carl"), f.RemoveSigner("anna")); err != nil {
			t.Fatal(err)
		}
		f.Bootstraps = f.Bootstraps[:1]
	})
	for _, o := range founders[:2] {
		if err := SignDraft(o.Home, d, nil, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range founders {
		if _, err := InstallDraft(o.Home, d); err != nil {
			t.Fatal(err)
		}
	}
	// Ben signs and dials out; nothing is left of Carl but his root key.
	n, err := NewDirectoryNode(DirectoryConfig{Home: founders[1].Home})
	if err != nil {
		t.Fatal(err)
	}
	if n.Addr().Port() == 0 {
		t.Error("no socket")
	}
	n.Close()
	if _, err := NewDirectoryNode(DirectoryConfig{Home: founders[2].Home}); !errors.Is(err, ErrNoDirectory) {
		t.Errorf("a cold key: %v", err)
	}
}

func TestRootKeyInWords(t *testing.T) {
	list, _ := foundLab(t)
	home := list[0].Home
	seed, err := RootSeed(home, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := RestoreRoot(home, seed, nil); !errors.Is(err, ErrHasRoot) {
		t.Errorf("over a key that is there: %v", err)
	}
	if err := os.Remove(filepath.Join(home, fileRoot)); err != nil {
		t.Fatal(err)
	}
	if _, err := RootSeed(home, nil); !errors.Is(err, ErrNoRoot) {
		t.Errorf("no key: %v", err)
	}
	if err := RestoreRoot(home, [32]byte{1}, nil); !errors.Is(err, directory.ErrNotRoot) {
		t.Errorf("a stranger's key: %v", err)
	}
	if err := RestoreRoot(home, seed, []byte("new words")); err != nil {
		t.Fatal(err)
	}
	if !RootSealed(home) {
		t.Error("the key is not sealed")
	}
	if _, err := RootSeed(home, nil); !errors.Is(err, ErrPassphrase) {
		t.Errorf("without passphrase: %v", err)
	}
	if _, err := RootSeed(home, []byte("old words")); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("with another: %v", err)
	}
	if got, err := RootSeed(home, []byte("new words")); err != nil || got != seed {
		t.Errorf("with the right one: %v", err)
	}
	if err := RestoreRoot(t.TempDir(), seed, nil); err == nil {
		t.Error("into a home without network")
	}
}

func TestRotateOnline(t *testing.T) {
	list, link := foundLab(t)
	dir := list[0].Home
	first, err := RotateOnline(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := RotateOnline(dir)
	if err != nil {
		t.Fatal(err)
	}
	if second.Seq <= first.Seq || second.Online == first.Online || second.Signer != first.Signer || !second.Covers(time.Now()) {
		t.Errorf("%+v after %+v", second, first)
	}
	h := &home{dir: dir}
	if pub, err := h.onlineKey(fileOnline); err != nil || pub != second.Online {
		t.Errorf("another key is in use: %v", err)
	}
	raw, err := h.read(fileCertificate)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := directory.ParseCertificate(link.ID, raw); err != nil || c != second {
		t.Errorf("stored certificate: %v", err)
	}
	held, err := openHome(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := RotateOnline(dir); !errors.Is(err, ErrHomeInUse) {
		t.Errorf("while the node runs: %v", err)
	}
	held.close()
	if _, err := RotateOnline(t.TempDir()); !errors.Is(err, ErrIdentityOffline) {
		t.Errorf("an empty dir: %v", err)
	}
}

// TestRotateWithIdentityOffline moves signer.key to another computer.
func TestRotateWithIdentityOffline(t *testing.T) {
	list, _ := foundLab(t)
	dir, away := list[0].Home, filepath.Join(t.TempDir(), "away")
	h, err := openHome(away)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	b, err := os.ReadFile(filepath.Join(dir, fileNetwork))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.write(fileNetwork, b), os.Rename(filepath.Join(dir, fileSigner), h.path(fileSigner))); err != nil {
		t.Fatal(err)
	}
	if _, err := RotateOnline(dir); !errors.Is(err, ErrIdentityOffline) {
		t.Fatalf("here: %v", err)
	}
	pub, err := NextOnline(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := NextOnline(dir); err != nil || again != pub {
		t.Errorf("asked twice: %v", err)
	}
	raw, err := Certify(away, pub)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := InstallCertificate(list[1].Home, raw); !errors.Is(err, ErrNotSigner) {
		t.Errorf("in another founder's dir: %v", err)
	}
	if _, err := InstallCertificate(dir, append(bytes.Clone(raw), 0)); err == nil {
		t.Error("a damaged certificate")
	}
	c, err := InstallCertificate(dir, raw)
	if err != nil || c.Online != pub {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, fileNextOnline)); err == nil {
		t.Error("the next key is still waiting")
	}
	// Renewal of the key that is in use now.
	if raw, err = Certify(away, pub); err != nil {
		t.Fatal(err)
	}
	if _, err := InstallCertificate(dir, raw); err != nil {
		t.Errorf("renewed: %v", err)
	}
	if _, err := Certify(dir, pub); !errors.Is(err, ErrIdentityOffline) {
		t.Errorf("certified here: %v", err)
	}
	id, cert, err := (&home{dir: dir}).signerKeys()
	if err != nil || id != nil || !bytes.Equal(cert, raw) {
		t.Errorf("what a node would use: %v", err)
	}
}

func TestSuccessorOfAHome(t *testing.T) {
	list, _ := foundLab(t)
	_, next := foundLab(t)
	s, err := SignSuccessor(list[0].Home, next, nil, nil)
	if err != nil || len(s.By) != 1 {
		t.Fatal(err)
	}
	s, err = SignSuccessor(list[2].Home, directory.NetworkLink{}, []byte(s.Text()), nil)
	if err != nil || len(s.By) != 2 || s.Link().String() != next.String() {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(filepath.Join(list[2].Home, fileSuccessor))
	if err != nil || !bytes.Equal(kept, s.Bytes()) {
		t.Errorf("what its directory node publishes: %v", err)
	}
	others, _ := foundLab(t)
	if _, err := SignSuccessor(others[0].Home, directory.NetworkLink{}, s.Bytes(), nil); !errors.Is(err, directory.ErrBadSuccessor) {
		t.Errorf("a stranger adds his name: %v", err)
	}
}

func TestCardNeedsAPassphraseOutsideOfLabs(t *testing.T) {
	f := Founder{Home: filepath.Join(t.TempDir(), "h"), Label: "anna"}
	if _, err := MakeCard(f); !errors.Is(err, ErrPassphrase) {
		t.Errorf("%v", err)
	}
	f.Passphrase = []byte("p")
	for _, addr := range []string{"127.0.0.1:4443", "10.0.0.1:4443", "8.8.4.4:0"} {
		f.Listen = netip.MustParseAddrPort(addr)
		if _, err := MakeCard(f); !errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if _, err := os.Stat(f.Home); err == nil {
		t.Error("a home was made")
	}
}
