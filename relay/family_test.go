package relay

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hearsay/directory"
)

// familyHome is the home of a relay that has run once, and its network.
func familyHome(t *testing.T) (dir string, network directory.NetworkID, id directory.RelayID) {
	t.Helper()
	founder := filepath.Join(t.TempDir(), "founder")
	listen := netip.MustParseAddrPort("127.0.0.1:4443")
	link, err := Found(founder, Founding{Name: "n", Listen: listen, Lab: true, Join: directory.JoinVouch})
	if err != nil {
		t.Fatal(err)
	}
	chain, err := FounderChain(founder)
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "relay")
	n, err := NewNode(NodeConfig{Home: dir, Link: link, Files: chain.Raw(1), Listen: netip.AddrPortFrom(listen.Addr(), 0)})
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
	id, err = HomeID(dir)
	if err != nil || id != n.ID() {
		t.Fatalf("%v: %v", id, err)
	}
	return dir, link.ID, id
}

func TestFamilies(t *testing.T) {
	dir, network, id := familyHome(t)
	key := filepath.Join(t.TempDir(), "family.key")
	pub, err := NewFamilyKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := FamilyKey(key); err != nil || got != pub {
		t.Errorf("%v: %v", got, err)
	}
	good, err := CertifyFamily(key, network, id, 30)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := CertifyFamily(key, network, directory.RelayID{1}, 30)
	if err != nil {
		t.Fatal(err)
	}
	both := [][]byte{good.Append(nil, id), foreign.Append(nil, directory.RelayID{1})}
	for what, add := range map[string]func(string, [][]byte) error{"added": AddFamilies, "checked": CheckFamilies} {
		if err := add(dir, both); !errors.Is(err, ErrOtherRelay) {
			t.Errorf("%s: %v", what, err)
		}
		if list, err := Families(dir); err != nil || len(list) != 0 {
			t.Errorf("%s: half of what was refused is in the home: %v, %v", what, list, err)
		}
	}
	if err := CheckFamilies(dir, both[:1]); err != nil {
		t.Error(err)
	}
	if list, err := Families(dir); err != nil || len(list) != 0 {
		t.Errorf("checking adds: %v, %v", list, err)
	}
	if _, err := AddFamily(dir, good.Append(nil, id)); err != nil {
		t.Fatal(err)
	}
	if _, err := AddFamily(dir, []byte(good.Text(id))); err != nil {
		t.Errorf("again, as text: %v", err)
	}
	if list, err := Families(dir); err != nil || len(list) != 1 || list[0] != good {
		t.Errorf("%v: %v", list, err)
	}
	h := &home{dir: dir}
	for after, want := range map[time.Duration]int{29 * day: 1, 31 * day: 0} {
		if list, err := h.goodFamilies(network, id, time.Now().Add(after)); err != nil || len(list) != want {
			t.Errorf("after %v: %d, %v", after, len(list), err)
		}
	}
	other, err := CertifyFamily(key, network, directory.RelayID{1}, 30)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := AddFamily(dir, other.Append(nil, directory.RelayID{1})); !errors.Is(err, ErrOtherRelay) {
		t.Errorf("of another relay: %v", err)
	}
	for _, days := range []int{0, 731} {
		if _, err := CertifyFamily(key, network, id, days); !errors.Is(err, ErrDays) {
			t.Errorf("%d days: %v", days, err)
		}
	}
	for _, days := range []int{0, 181} {
		if _, err := Vouch(key, network, id, days); !errors.Is(err, ErrDays) {
			t.Errorf("a vouch of %d days: %v", days, err)
		}
	}
	if v, err := Vouch(key, network, id, 180); err != nil || v.Verify(network, id, time.Now()) != nil || v.Voucher != pub {
		t.Errorf("%+v: %v", v, err)
	}
	if err := RemoveFamily(dir, [32]byte{1}); !errors.Is(err, ErrNoFamily) {
		t.Error(err)
	}
	// A damaged file is an error at the start, never silently no family.
	if err := os.WriteFile(filepath.Join(dir, fileFamilies), []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Families(dir); err == nil {
		t.Error("a damaged file is read")
	}
	if n, err := NewNode(NodeConfig{Home: dir, Listen: netip.MustParseAddrPort("127.0.0.1:0")}); err == nil {
		n.Close()
		t.Error("a relay starts with a damaged file of families")
	}
}

func TestKeysOfOperators(t *testing.T) {
	file := filepath.Join(t.TempDir(), "inviter.key")
	pub, err := NewInviterKey(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewFamilyKey(file); !errors.Is(err, ErrKeyExists) {
		t.Errorf("a key is replaced: %v", err)
	}
	if _, err := FamilyKey(file); !errors.Is(err, ErrWrongKey) {
		t.Errorf("an inviter's key as a family's: %v", err)
	}
	link := directory.NetworkLink{ID: directory.NetworkID{1}, Bootstraps: []directory.Bootstrap{{Addr: netip.MustParseAddrPort("127.0.0.1:1")}}}
	got, err := IssueTokenBy(file, link, 3, 7)
	if err != nil {
		t.Fatal(err)
	}
	i, err := directory.ParseInvitation(got.Token)
	rules := directory.Rules{Network: link.ID, Inviters: []directory.Inviter{{Public: pub, Expires: time.Now().Add(time.Hour)}}}
	d := directory.Descriptor{Admission: i.Admission(link.ID, directory.RelayID{2})}
	if p, ok := d.TokenProof(); err != nil || !ok || p.Token.MaxUses != 3 || p.Verify(rules, directory.RelayID{2}, time.Now()) != nil {
		t.Errorf("%+v: %v", p, err)
	}
	if _, err := IssueTokenBy(file, link, 3, 31); !errors.Is(err, ErrDays) {
		t.Error(err)
	}
	if _, err := IssueTokenBy(file, link, 11, 3); !errors.Is(err, directory.ErrBadToken) {
		t.Error(err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := IssueTokenBy(file, link, 1, 1); !errors.Is(err, ErrHomeOpen) {
		t.Errorf("a key that others may read: %v", err)
	}
	if err := os.WriteFile(file, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := IssueTokenBy(file, link, 1, 1); err == nil {
		t.Error("junk is a key")
	}
	if _, err := FamilyKey(file + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestGivenAdmission: a relay starts with a vouch that has expired, since it may
// be listed by it, but not with one that was never good.
func TestGivenAdmission(t *testing.T) {
	dir, network, id := familyHome(t)
	family := ed25519.NewKeyFromSeed(make([]byte, 32))
	start := func(v directory.Vouch) error {
		n, err := NewNode(NodeConfig{Home: dir, Listen: netip.MustParseAddrPort("127.0.0.1:0"), Vouches: []directory.Vouch{v}})
		if err == nil {
			n.Close()
		}
		return err
	}
	over := directory.SignVouch(network, family, id, time.Now().Add(-day))
	if err := start(over); err != nil {
		t.Errorf("expired: %v", err)
	}
	shown, err := (&home{dir: dir}).read(fileAdmission)
	if want, _ := directory.VouchAdmission(over); err != nil || !bytes.Equal(shown, want) {
		t.Errorf("%x: %v", shown, err)
	}
	for what, v := range map[string]directory.Vouch{
		"another network": directory.SignVouch(directory.NetworkID{1}, family, id, time.Now().Add(day)),
		"forged":          {Voucher: over.Voucher, Relay: id, Expires: over.Expires},
	} {
		if err := start(v); !errors.Is(err, directory.ErrBadVouch) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := start(directory.SignVouch(network, family, directory.RelayID{1}, time.Now().Add(day))); !errors.Is(err, ErrOtherRelay) {
		t.Errorf("another relay: %v", err)
	}
}
