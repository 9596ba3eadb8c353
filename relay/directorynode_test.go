package relay

import (
	"crypto/sha256"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hearsay/directory"
)

// withFile returns a home of a lab network whose file was changed before it was
// signed.
func withFile(t *testing.T, change func(f *directory.NetworkFile)) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "anna")
	raw, err := MakeCard(Founder{Home: dir, Label: "anna", Lab: true, Listen: netip.MustParseAddrPort("127.0.0.1:47001")})
	if err != nil {
		t.Fatal(err)
	}
	card, err := directory.ParseCard(raw)
	if err != nil {
		t.Fatal(err)
	}
	f := NewNetworkFile("harbour", directory.JoinOpen, true, time.Now())
	if err := f.AddFounder(card); err != nil {
		t.Fatal(err)
	}
	change(&f)
	d, err := directory.DraftFounding(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := SignDraft(dir, d, nil, false); err != nil {
		t.Fatal(err)
	}
	if _, err := InstallDraft(dir, d); err != nil {
		t.Fatal(err)
	}
	return dir
}

// open makes a directory node on any port, without running it.
func openDirectory(t *testing.T, dir string) (*DirectoryNode, error) {
	t.Helper()
	conn, err := listenAny()
	if err != nil {
		t.Fatal(err)
	}
	n, err := NewDirectoryNode(DirectoryConfig{Home: dir, Conn: conn})
	if err == nil {
		t.Cleanup(n.Close)
	}
	conn.Close()
	return n, err
}

// TestSignerWithoutItsASTable does not start: with another table than the others
// have it could only disturb them.
func TestSignerWithoutItsASTable(t *testing.T) {
	table := []byte("192.0.2.0/24 64500\n")
	dir := withFile(t, func(f *directory.NetworkFile) { f.ASTable = sha256.Sum256(table) })
	if _, err := openDirectory(t, dir); !errors.Is(err, ErrASTable) {
		t.Errorf("without the table: %v", err)
	}
	path := filepath.Join(dir, fileASTable)
	if err := os.WriteFile(path, append(table, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openDirectory(t, dir); !errors.Is(err, ErrASTable) {
		t.Errorf("with another table: %v", err)
	}
	if err := os.WriteFile(path, table, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := openDirectory(t, dir); err != nil || n.signer == nil {
		t.Errorf("with the table: %v", err)
	}
}

// TestBootstrapWithoutSignerOnlyServes: a home that the network file names as
// bootstrap, and not as signer, runs without a signer and a prober.
func TestBootstrapWithoutSignerOnlyServes(t *testing.T) {
	other := filepath.Join(t.TempDir(), "bo")
	raw, err := MakeCard(Founder{Home: other, Label: "bo", Lab: true, Listen: netip.MustParseAddrPort("127.0.0.1:47002")})
	if err != nil {
		t.Fatal(err)
	}
	card, err := directory.ParseCard(raw)
	if err != nil {
		t.Fatal(err)
	}
	dir := withFile(t, func(f *directory.NetworkFile) {
		f.Bootstraps = append(f.Bootstraps, *card.Bootstrap)
	})
	if n, err := openDirectory(t, dir); err != nil || n.signer == nil {
		t.Errorf("the signer's home: %v", err)
	}
	h, err := openHome(other)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := FounderChain(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.saveNetwork(chain.ID(), chain.Raw(1)); err != nil {
		t.Fatal(err)
	}
	h.close()
	n, err := openDirectory(t, other)
	if err != nil || n.signer != nil || n.prober != nil {
		t.Errorf("the bootstrap's home: %v", err)
	}
}
