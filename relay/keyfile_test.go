package relay

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"

	"hearsay/directory"
)

var update = flag.Bool("update", false, "write the golden files anew")

func testHome(t *testing.T) *home {
	t.Helper()
	h, err := openHome(filepath.Join(t.TempDir(), "home"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	return h
}

// TestKeyFileGolden fixes the bytes of a key file, and what is refused.
func TestKeyFileGolden(t *testing.T) {
	k := keyFile{kind: keyOnion, from: time.Unix(1_900_000_000, 0)}
	for i := range k.secret {
		k.secret[i] = byte(i)
	}
	got := hex.EncodeToString(k.append(nil)) + "\n"
	name := filepath.Join("testdata", "onion.key.golden")
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("key file is\n%swant\n%s", got, want)
	}
	b := k.append(nil)
	for name, bad := range map[string][]byte{
		"short":         b[:len(b)-1],
		"long":          append(bytes.Clone(b), 0),
		"version":       append([]byte{2}, b[1:]...),
		"kind":          append([]byte{1, byte(keyLink)}, b[2:]...),
		"reserved byte": append(append(bytes.Clone(b[:7]), 1), b[8:]...),
		"time":          append(append(bytes.Clone(b[:8]), 1), b[9:]...),
	} {
		if _, err := parseKeyFile(bad, keyOnion); !errors.Is(err, errKeyFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := k.String(); strings.Contains(s, "00") {
		t.Errorf("a key file prints as %q", s)
	}
}

// TestKeyRotation lives through a year of hours: handshakes with every key
// that a client may still have are accepted, and none that is over.
func TestKeyRotation(t *testing.T) {
	h := testHome(t)
	start := time.Unix(1_900_000_000, 0)
	k, err := loadKeys(h, start)
	if err != nil {
		t.Fatal(err)
	}
	type use struct {
		epoch uint32
		until time.Time
	}
	var usable []use // what clients hold
	links := map[[32]byte]time.Time{}
	for now := start; now.Before(start.Add(100 * day)); now = now.Add(6 * time.Hour) {
		if _, _, err := k.rotate(now); err != nil {
			t.Fatal(err)
		}
		pub := k.published(now)
		if len(pub) == 0 || len(pub) > 2 || uint32(now.Unix()) < pub[0].NotBefore {
			t.Fatalf("after %v: published %v", now.Sub(start), pub)
		}
		if len(pub) == 2 && pub[1].NotBefore <= uint32(now.Unix()) {
			t.Fatalf("after %v: two current keys", now.Sub(start))
		}
		if len(usable) == 0 || usable[len(usable)-1].epoch != pub[0].NotBefore {
			usable = append(usable, use{epoch: pub[0].NotBefore})
		}
		usable[len(usable)-1].until = now.Add(onionAccepted) // a snapshot of now lasts so long
		accepted := map[uint32]bool{}
		for _, a := range k.accepted() {
			accepted[a.NotBefore()] = true
		}
		for _, u := range usable {
			if now.Before(u.until) && !accepted[u.epoch] {
				t.Fatalf("after %v: a client's key is refused", now.Sub(start))
			}
			if now.After(u.until.Add(12*time.Hour)) && accepted[u.epoch] {
				t.Fatalf("after %v: an old key is accepted", now.Sub(start))
			}
		}
		made, ok := links[k.link.secret]
		if !ok {
			made = now
			links[k.link.secret] = now
		}
		if now.Sub(made) > 30*day {
			t.Fatal("a link key is used for more than 30 days")
		}
	}
	// The files say the same as the memory.
	again, err := loadKeys(h, start)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.loadOnion(); err != nil {
		t.Fatal(err)
	}
	if again.id() != k.id() || again.link.secret != k.link.secret || len(again.onion) != len(k.onion) {
		t.Error("a restart loads other keys")
	}
	for i := range k.onion {
		if again.onion[i].key.Public() != k.onion[i].key.Public() {
			t.Error("a restart loads other onion keys")
		}
	}
}

// TestKeysOnAFullDisk: keys that cannot be stored are not used, and are made when there
// is space again; a crash in the middle of writing one leaves nothing of it.
func TestKeysOnAFullDisk(t *testing.T) {
	h := testHome(t)
	start := time.Unix(1_900_000_000, 0)
	k, err := loadKeys(h, start)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.rotate(start); err != nil {
		t.Fatal(err)
	}
	dir, link, now := h.dir, k.link, start.Add(26*day)
	h.dir = filepath.Join(dir, "full")
	for range 2 {
		if _, linkKey, err := k.rotate(now); err == nil || linkKey || k.link != link || len(k.onion) != 1 {
			t.Fatalf("error %v, link key %v, %d onion keys", err, linkKey, len(k.onion))
		}
	}
	h.dir = dir
	if descriptor, linkKey, err := k.rotate(now); err != nil || !descriptor || !linkKey || k.link == link || len(k.onion) != 2 {
		t.Errorf("with space again: error %v, descriptor %v, link key %v, %d onion keys", err, descriptor, linkKey, len(k.onion))
	}
	left := h.path(unfinished + "1234")
	if err := os.WriteFile(left, k.link.append(nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadKeys(h, now); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the key that a crash left is there: %v", err)
	}
}

// TestRelayOnAFullDisk: a relay whose disk is full when keys and descriptor are due
// goes on, and stays in the directory by a descriptor that it cannot keep.
func TestRelayOnAFullDisk(t *testing.T) {
	_, dir := testHomes(t)
	n, err := NewNode(NodeConfig{Home: dir, Listen: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	old, err := n.described(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	n.home.dir = filepath.Join(dir, "full")
	n.renew(time.Now().Add(time.Hour))
	n.home.dir = dir
	made, err := n.described(time.Now().Add(time.Hour))
	if err != nil || made.Seq <= old.Seq || made.LinkKey != old.LinkKey {
		t.Errorf("descriptor %d after %d: %v", made.Seq, old.Seq, err)
	}
}

// TestKeyRotationAfterAbsence starts a relay that was off for a month.
func TestKeyRotationAfterAbsence(t *testing.T) {
	h := testHome(t)
	start := time.Unix(1_900_000_000, 0)
	k, err := loadKeys(h, start)
	if err != nil {
		t.Fatal(err)
	}
	k.rotate(start)
	now := start.Add(30 * day)
	if _, _, err := k.rotate(now); err != nil {
		t.Fatal(err)
	}
	if pub := k.published(now); len(pub) != 1 || pub[0].NotBefore != uint32(now.Unix()) {
		t.Errorf("published %v", pub)
	}
}

func TestHomeBelongsToOneProcess(t *testing.T) {
	h := testHome(t)
	if _, err := openHome(h.dir); !errors.Is(err, ErrHomeInUse) {
		t.Errorf("second opening: %v", err)
	}
	h.close()
	h.close()
	again, err := openHome(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	again.close()
}

func TestHomeRefusesOpenModes(t *testing.T) {
	h := testHome(t)
	if _, err := h.key("a.key", keyLink, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Stat(h.path("a.key")); st.Mode().Perm() != 0o600 {
		t.Errorf("key file has mode %v", st.Mode())
	}
	os.Chmod(h.path("a.key"), 0o640)
	if _, err := h.key("a.key", keyLink, time.Unix(1, 0)); !errors.Is(err, ErrHomeOpen) {
		t.Errorf("key for others to read: %v", err)
	}
	h.close()
	os.Chmod(h.dir, 0o750)
	if _, err := openHome(h.dir); !errors.Is(err, ErrHomeOpen) {
		t.Errorf("home for others to read: %v", err)
	}
	os.Chmod(h.dir, 0o700)
}

// TestRootWritesForTheService: a command that root runs on the home of a service, as
// with a unit of systemd, leaves no file there that the service cannot read. For
// anybody but root it says that writing still works.
func TestRootWritesForTheService(t *testing.T) {
	h := testHome(t)
	if os.Geteuid() == 0 {
		if err := os.Chown(h.dir, 65532, 65533); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.write(fileIdentity, []byte("x")); err != nil {
		t.Fatal(err)
	}
	dir, err1 := os.Stat(h.dir)
	file, err2 := os.Stat(h.path(fileIdentity))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	owner := func(st os.FileInfo) string { // windows has none
		sys := reflect.Indirect(reflect.ValueOf(st.Sys()))
		if !sys.FieldByName("Uid").IsValid() {
			return ""
		}
		return fmt.Sprint(sys.FieldByName("Uid"), sys.FieldByName("Gid"))
	}
	if owner(file) != owner(dir) || file.Mode().Perm()&0o077 != 0 && owner(dir) != "" {
		t.Errorf("the file is of %s with mode %v, the home of %s", owner(file), file.Mode(), owner(dir))
	}
}

func TestDamagedKeyIsRefused(t *testing.T) {
	h := testHome(t)
	if _, err := loadKeys(h, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := h.write(fileIdentity, []byte("short")); err != nil {
		t.Fatal(err)
	}
	if _, err := loadKeys(h, time.Unix(1, 0)); !errors.Is(err, errKeyFile) {
		t.Errorf("damaged identity: %v", err) // never a new one in silence
	}
}

// TestSealedRootOpens opens the file by hand with the passphrase.
func TestSealedRootOpens(t *testing.T) {
	k := keyFile{kind: keyRoot, from: time.Unix(9, 0)}
	k.secret[3] = 7
	b := sealRoot(k, []byte("correct horse"))
	open := func(pass string) ([]byte, error) {
		key := argon2.IDKey([]byte(pass), b[16:32], 3, 256<<10, 4, 32)
		aead, err := chacha20poly1305.NewX(key)
		if err != nil {
			t.Fatal(err)
		}
		return aead.Open(nil, b[32:56], b[56:], append([]byte(labelRoot), b[:16]...))
	}
	if got, err := open("correct horse"); err != nil || !bytes.Equal(got, k.secret[:]) {
		t.Errorf("%x, %v", got, err)
	}
	if _, err := open("wrong"); err == nil {
		t.Error("another passphrase opens it")
	}
	if _, err := parseKeyFile(b, keyRoot); err == nil {
		t.Error("a sealed key reads as a plain one")
	}
}

func TestFounding(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	f := Founding{Name: "n", Listen: netip.MustParseAddrPort("127.0.0.1:4443"), Join: directory.JoinToken, Lab: true}
	l, err := Found(dir, f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := directory.ParseNetworkLink(l.String()); err != nil {
		t.Error(err)
	}
	if _, err := Found(dir, f); !errors.Is(err, ErrFounded) {
		t.Errorf("founded twice: %v", err)
	}
	withToken, err := IssueToken(dir, 3, 7)
	if err != nil || withToken.ID != l.ID || len(withToken.Token) != directory.InvitationSize {
		t.Errorf("token: %v", err)
	}
	if _, err := IssueToken(dir, 11, 7); err == nil {
		t.Error("a token for 11 uses")
	}
	f.Lab = false
	f.Listen = netip.MustParseAddrPort("198.18.0.1:1")
	f.Passphrase = []byte("p")
	if _, err := Found(filepath.Join(t.TempDir(), "h"), f); !errors.Is(err, ErrAddress) {
		t.Errorf("benchmarking address: %v", err)
	}
	f.Passphrase = nil
	if _, err := Found(filepath.Join(t.TempDir(), "h"), f); !errors.Is(err, ErrPassphrase) {
		t.Errorf("no passphrase: %v", err)
	}
}
