package relay

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"hearsay/directory"
)

// backupWork is the work factor of backups in these tests.
const backupWork = 4

var backupPass = []byte("of the backup")

// testHomes founds a network and returns the homes of its founder and of a relay
// that has run once.
func testHomes(t *testing.T) (founder, node string) {
	t.Helper()
	dir := t.TempDir()
	founder, node = filepath.Join(dir, "founder"), filepath.Join(dir, "relay")
	loopback := netip.MustParseAddrPort("127.0.0.1:4443")
	link, err := Found(founder, Founding{Name: "harbour", Listen: loopback, Lab: true, Join: directory.JoinToken})
	if err != nil {
		t.Fatal(err)
	}
	chain, err := FounderChain(founder)
	if err != nil {
		t.Fatal(err)
	}
	n, err := NewNode(NodeConfig{Home: node, Link: link, Files: chain.Raw(1), Listen: netip.AddrPortFrom(loopback.Addr(), 0)})
	if err != nil {
		t.Fatal(err)
	}
	n.Close()
	return founder, node
}

// TestBackupOfRelay restores a relay: who it is and its network come back, and
// nothing that must die with the old one.
func TestBackupOfRelay(t *testing.T) {
	_, node := testHomes(t)
	family := filepath.Join(t.TempDir(), "family.key")
	if _, err := NewFamilyKey(family); err != nil {
		t.Fatal(err)
	}
	id, err := HomeID(node)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := FounderChain(node)
	if err != nil {
		t.Fatal(err)
	}
	f, err := CertifyFamily(family, chain.ID(), id, 30)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := AddFamily(node, f.Append(nil, id)); err != nil {
		t.Fatal(err)
	}
	h, err := openHome(node) // in use
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	file := filepath.Join(t.TempDir(), "keys.age")
	made, err := backup(node, RelayHome, file, backupPass, backupWork)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{fileFamilies, fileIdentity, fileNetwork}; !slices.Equal(made.Holds(), want) {
		t.Errorf("the backup holds %v, want %v", made.Holds(), want)
	}
	if st, err := os.Stat(file); err != nil || othersMayRead(st) {
		t.Errorf("the backup may be read by others: %v, %v", st.Mode(), err)
	}
	if _, err := backup(node, RelayHome, file, backupPass, backupWork); !errors.Is(err, ErrKeyExists) {
		t.Errorf("a second backup of that name: %v", err)
	}

	to := filepath.Join(t.TempDir(), "new")
	b, err := Restore(to, RelayHome, file, backupPass)
	if err != nil {
		t.Fatal(err)
	}
	if b.ID() != id || b.String() != "backup of a home (redacted)" || time.Since(b.Made) > time.Hour {
		t.Errorf("restored %v of %v, made %v", b.ID(), id, b.Made)
	}
	if err := CheckHome(to); err != nil {
		t.Error(err)
	}
	if got, err := HomeID(to); err != nil || got != id {
		t.Errorf("the restored home is of %v, %v", got, err)
	}
	if list, err := Families(to); err != nil || len(list) != 1 || list[0].Key != f.Key {
		t.Errorf("families %v, %v", list, err)
	}
	n, err := NewNode(NodeConfig{Home: to, Listen: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if n.ID() != id || n.Network().Name != "harbour" {
		t.Errorf("the restored node is %v of %q", n.ID(), n.Network().Name)
	}
	old, err := filepath.Glob(filepath.Join(node, onionPrefix+"*"))
	if err != nil || len(old) == 0 {
		t.Fatalf("onion keys %v, %v", old, err)
	}
	before, err := os.ReadFile(old[0])
	if err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(filepath.Join(to, filepath.Base(old[0]))); err == nil && bytes.Equal(before, after) {
		t.Error("an onion key came back: what was recorded could be opened later")
	}
	if left, err := filepath.Glob(to + "?*"); err != nil || len(left) != 0 {
		t.Errorf("left beside the home: %v, %v", left, err)
	}
}

// TestBackupOfFounder restores what makes somebody a founder: root and signer keys
// and the memory of what they signed, but no online key.
func TestBackupOfFounder(t *testing.T) {
	founder, node := testHomes(t)
	file := filepath.Join(t.TempDir(), "keys.age")
	made, err := backup(founder, DirectoryHome, file, backupPass, backupWork)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{fileCard, fileIdentity, fileNetwork, fileRoot, fileSigned, fileSigner}; !slices.Equal(made.Holds(), want) {
		t.Errorf("the backup holds %v, want %v", made.Holds(), want)
	}
	to := filepath.Join(t.TempDir(), "new")
	if _, err := Restore(to, RelayHome, file, backupPass); !errors.Is(err, ErrBackupKind) {
		t.Errorf("a founder's backup became a relay's home: %v", err)
	}
	if _, err := Restore(to, DirectoryHome, file, backupPass); err != nil {
		t.Fatal(err)
	}
	for _, name := range made.Holds() {
		a, err := os.ReadFile(filepath.Join(founder, name))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(to, name)); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s is not what it was: %v", name, err)
		}
	}
	if _, err := IssueToken(to, 1, 1); err != nil {
		t.Errorf("the restored founder issues no token: %v", err)
	}
	if _, err := openDirectory(t, to); !errors.Is(err, ErrHistoryLost) { // on any port: its own may be taken
		t.Errorf("the only signer runs without what it signed: %v", err)
	}
	for _, c := range []struct {
		home string
		kind HomeKind
	}{{founder, RelayHome}, {node, DirectoryHome}} {
		if _, err := backup(c.home, c.kind, file+".other", backupPass, backupWork); !errors.Is(err, ErrBackupKind) {
			t.Errorf("kind %d of %s: %v", c.kind, c.home, err)
		}
	}
	if _, err := os.Stat(file + ".other"); err == nil {
		t.Error("a refused backup left a file")
	}
}

// TestRestoreReplacesNothing leaves every home that is there as it is, and none
// after a failure.
func TestRestoreReplacesNothing(t *testing.T) {
	founder, node := testHomes(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "keys.age")
	if _, err := backup(node, RelayHome, file, backupPass, backupWork); err != nil {
		t.Fatal(err)
	}
	for _, home := range []string{node, founder} {
		if _, err := Restore(home, RelayHome, file, backupPass); !errors.Is(err, ErrHomeExists) {
			t.Errorf("over a home: %v", err)
		}
	}
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(empty, RelayHome, file, []byte("another")); !errors.Is(err, ErrBackupPassphrase) {
		t.Errorf("another passphrase: %v", err)
	}
	if _, err := Restore(empty, RelayHome, file, nil); !errors.Is(err, ErrBackupPassphrase) {
		t.Errorf("no passphrase: %v", err)
	}
	if _, err := backup(node, RelayHome, file+".2", nil, backupWork); !errors.Is(err, ErrBackupPassphrase) {
		t.Errorf("a backup without a passphrase: %v", err)
	}
	if _, err := backup(empty, RelayHome, file+".2", backupPass, backupWork); !errors.Is(err, ErrNoNetwork) {
		t.Errorf("a backup of nothing: %v", err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"short":   whole[:len(whole)-1],
		"long":    append(bytes.Clone(whole), 0),
		"changed": append(bytes.Clone(whole[:len(whole)-1]), whole[len(whole)-1]^1),
		"text":    []byte("no backup"),
		"nothing": {},
	} {
		at := filepath.Join(dir, name)
		if err := os.WriteFile(at, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(filepath.Join(dir, "none"), RelayHome, at, backupPass); !errors.Is(err, ErrBackup) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("a failed restore left a home")
	}
	if _, err := Restore(empty, RelayHome, file, backupPass); err != nil {
		t.Errorf("into an empty directory: %v", err)
	}
	if err := CheckHome(empty); err != nil {
		t.Error(err)
	}
}

// TestRestoreIntoAVolume fills an empty private directory, which stays the same one: a
// volume cannot be replaced, and one of a service has that service's owner. A restore
// that was interrupted there is no home, and no new keys are made in it.
func TestRestoreIntoAVolume(t *testing.T) {
	_, node := testHomes(t)
	dir := t.TempDir()
	file, volume := filepath.Join(dir, "keys.age"), filepath.Join(dir, "volume")
	want, err := backup(node, RelayHome, file, backupPass, backupWork)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(volume, 0o700); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(volume)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(volume, restoring), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(volume, RelayHome, file, backupPass); !errors.Is(err, ErrRestoring) {
		t.Errorf("restoring over an interrupted one: %v", err)
	}
	if n, err := NewNode(NodeConfig{Home: volume, Listen: netip.MustParseAddrPort("127.0.0.1:0")}); !errors.Is(err, ErrRestoring) {
		if err == nil {
			n.Close()
		}
		t.Errorf("running in an interrupted one: %v", err)
	}
	if list, err := os.ReadDir(volume); err != nil || len(list) != 1 {
		t.Errorf("%v: %v", list, err)
	}
	if err := os.Remove(filepath.Join(volume, restoring)); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(volume, RelayHome, file, backupPass); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(volume)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the directory is another one: %v", err)
	}
	if id, err := HomeID(volume); err != nil || id != want.ID() {
		t.Errorf("%v: %v", id, err)
	}
	if list, err := os.ReadDir(volume); err != nil || len(list) != len(want.Holds()) {
		t.Errorf("%v: %v", list, err)
	}
}

// TestBackupPlanted opens backups that somebody made to do harm: names that lead out
// of the home or are not of it, keys of another kind, and a work factor that would
// keep the computer busy for hours.
func TestBackupPlanted(t *testing.T) {
	identity := keyFile{kind: keyIdentity, from: time.Unix(1_900_000_000, 0)}.append(nil)
	signer := keyFile{kind: keySigner, from: time.Unix(1_900_000_000, 0)}.append(nil)
	ok := func(list ...backupFile) []byte {
		return (&HomeBackup{Kind: RelayHome, Made: time.Unix(1_900_000_000, 0), list: list}).append(nil)
	}
	good := ok(backupFile{fileIdentity, identity})
	if b, err := parseBackup(good); err != nil || !bytes.Equal(b.append(nil), good) {
		t.Fatalf("a good one: %v", err)
	}
	tooLong := binary.BigEndian.AppendUint32(bytes.Clone(good[:len(good)-len(identity)-4]), 1<<31)
	for name, bad := range map[string][]byte{
		"path":              ok(backupFile{"../../.ssh/authorized_keys", nil}, backupFile{fileIdentity, identity}),
		"unknown name":      ok(backupFile{fileIdentity, identity}, backupFile{"relay.toml", nil}),
		"name of the other": ok(backupFile{fileIdentity, identity}, backupFile{fileSigner, signer}),
		"longest name":      ok(backupFile{strings.Repeat("x", 255), nil}, backupFile{fileIdentity, identity}),
		"twice":             ok(backupFile{fileIdentity, identity}, backupFile{fileIdentity, identity}),
		"falling":           ok(backupFile{fileIdentity, identity}, backupFile{fileAdmission, nil}),
		"no identity":       ok(backupFile{fileFamilies, nil}),
		"nothing":           ok(),
		"another key":       ok(backupFile{fileIdentity, signer}),
		"network":           ok(backupFile{fileIdentity, identity}, backupFile{fileNetwork, make([]byte, 40)}),
		"trailing":          append(bytes.Clone(good), 0),
		"length":            tooLong,
		"kind":              append([]byte(labelBackup), append([]byte{3}, good[len(labelBackup)+1:]...)...),
		"label":             append([]byte("hearsay/2 home backup"), good[len(labelBackup):]...),
	} {
		if _, err := parseBackup(bad); !errors.Is(err, ErrBackup) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range good {
		if _, err := parseBackup(good[:n]); !errors.Is(err, ErrBackup) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	// The work factor stands in the clear: age reads it before it works.
	to, err := age.NewScryptRecipient("x")
	if err != nil {
		t.Fatal(err)
	}
	to.SetWorkFactor(2)
	var sealed bytes.Buffer
	if err := (&HomeBackup{Kind: RelayHome, list: []backupFile{{fileIdentity, identity}}}).seal(&sealed, to); err != nil {
		t.Fatal(err)
	}
	line, rest, _ := bytes.Cut(sealed.Bytes()[len("age-encryption.org/v1\n"):], []byte("\n"))
	heavy := append([]byte("age-encryption.org/v1\n"), append(line[:len(line)-1:len(line)-1], '2', '5', '\n')...)
	start := time.Now()
	if _, err := openBackup(bytes.NewReader(append(heavy, rest...)), []byte("x")); err == nil || time.Since(start) > 30*time.Second {
		t.Errorf("a planted work factor: %v after %v", err, time.Since(start))
	}
}

// TestBackupGolden fixes the bytes that a backup seals.
func TestBackupGolden(t *testing.T) {
	identity := keyFile{kind: keyIdentity, from: time.Unix(1_900_000_000, 0)}
	for i := range identity.secret {
		identity.secret[i] = byte(i)
	}
	b := &HomeBackup{Kind: RelayHome, Made: time.Unix(1_900_000_001, 0), list: []backupFile{{fileFamilies, nil}, {fileIdentity, identity.append(nil)}}}
	got := hex.EncodeToString(b.append(nil)) + "\n"
	name := filepath.Join("testdata", "backup.golden")
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
		t.Errorf("a backup is\n%swant\n%s", got, want)
	}
}

// FuzzParseBackup opens anything: what is accepted encodes to the same bytes.
func FuzzParseBackup(f *testing.F) {
	identity := keyFile{kind: keyIdentity, from: time.Unix(1_900_000_000, 0)}.append(nil)
	for _, list := range [][]backupFile{{{fileIdentity, identity}}, {{fileFamilies, nil}, {fileIdentity, identity}}, {{"../x", nil}}, {{strings.Repeat("x", 255), identity}}} {
		f.Add((&HomeBackup{Kind: RelayHome, Made: time.Unix(1_900_000_000, 0), list: list}).append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseBackup(b)
		if err == nil && !bytes.Equal(h.append(nil), b) {
			t.Error("it encodes to other bytes")
		}
	})
}
