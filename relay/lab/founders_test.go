package lab

import (
	"context"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"hearsay/directory"
	"hearsay/relay"
)

// TestFounderHomesRun runs the directory of a network that takes up a cold key,
// replaces the online key of its signer, and moves the identity key away.
func TestFounderHomesRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := NewSimNet(SimConfig{})
		defer sim.Close()
		addr := sim.Address()
		dir := filepath.Join(t.TempDir(), "anna")
		link, err := relay.Found(dir, relay.Founding{Name: "harbour", Label: "anna", Listen: addr, Lab: true, Join: directory.JoinOpen})
		if err != nil {
			t.Fatal(err)
		}
		first := runDirectory(t, sim, dir)
		before := signerCertificate(t, dir, link.ID)

		addColdKey(t, dir)
		forgetVersion(t, sim, dir)
		rotated, err := relay.RotateOnline(dir)
		if err != nil {
			t.Fatal(err)
		}
		second := runDirectory(t, sim, dir)
		if second.Epoch() <= first.Epoch() {
			t.Errorf("epoch %d after %d", second.Epoch(), first.Epoch())
		}
		if got := signerCertificate(t, dir, link.ID); got != rotated || got.Seq <= before.Seq || got.Online == before.Online {
			t.Errorf("it signs by %+v, rotated to %+v from %+v", got, rotated, before)
		}

		if err := os.Remove(filepath.Join(dir, "signer.key")); err != nil {
			t.Fatal(err)
		}
		third := runDirectory(t, sim, dir)
		if third.Epoch() <= second.Epoch() {
			t.Errorf("without the identity key: epoch %d after %d", third.Epoch(), second.Epoch())
		}
		if got := signerCertificate(t, dir, link.ID); got != rotated {
			t.Errorf("without the identity key it signs by %+v", got)
		}
	})
}

// runDirectory runs a directory for three epochs and returns its last view.
func runDirectory(t *testing.T, sim *SimNet, dir string) *directory.View {
	t.Helper()
	chain, err := relay.FounderChain(dir)
	if err != nil {
		t.Fatal(err)
	}
	return runDirectoryAt(t, sim, dir, chain.Current().Version)
}

// runDirectoryAt expects it to serve a version of the network file.
func runDirectoryAt(t *testing.T, sim *SimNet, dir string, version uint64) *directory.View {
	t.Helper()
	chain, err := relay.FounderChain(dir)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := sim.Listen(chain.Current().Bootstraps[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := relay.NewDirectoryNode(relay.DirectoryConfig{
		Home: dir, Conn: conn,
		ListenPacket: func() (net.PacketConn, error) { return sim.Listen(sim.Address()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := n.Network().Version; got != version {
		t.Errorf("it serves version %d of the file, not %d", got, version)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	<-n.Ready()
	time.Sleep(35 * time.Second)
	view := n.Views().Current()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return view
}

func addColdKey(t *testing.T, dir string) {
	t.Helper()
	cold := filepath.Join(t.TempDir(), "cold")
	raw, err := relay.MakeCard(relay.Founder{Home: cold, Label: "cold", Lab: true})
	if err != nil {
		t.Fatal(err)
	}
	card, err := directory.ParseCard(raw)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := relay.FounderChain(dir)
	if err != nil {
		t.Fatal(err)
	}
	f := chain.Next(time.Now())
	if err := f.AddRoot(card); err != nil {
		t.Fatal(err)
	}
	d, err := directory.DraftAmendment(chain, f)
	if err != nil {
		t.Fatal(err)
	}
	for _, home := range []string{dir, cold} {
		if err := relay.SignDraft(home, d, nil, false); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := relay.InstallDraft(dir, d); err != nil || c.Current().Version != 2 {
		t.Fatal(err)
	}
}

// forgetVersion runs the directory with version 2, puts version 1 back as if the
// second had come by gossip, and expects the home to remember it.
func forgetVersion(t *testing.T, sim *SimNet, dir string) {
	t.Helper()
	chain, err := relay.FounderChain(dir)
	if err != nil {
		t.Fatal(err)
	}
	runDirectory(t, sim, dir)
	// The id, and the first document with its length.
	first, id := chain.Raw(1)[0], chain.ID()
	old := append(binary.BigEndian.AppendUint32(id[:], uint32(len(first))), first...)
	if err := os.WriteFile(filepath.Join(dir, "network"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := relay.FounderChain(dir); err != nil || c.Current().Version != 1 {
		t.Fatal(err)
	}
	runDirectoryAt(t, sim, dir, 2)
	if c, err := relay.FounderChain(dir); err != nil || c.Current().Version != 2 {
		t.Errorf("the home did not take up version 2: %v", err)
	}
}

// signerCertificate reads what the signer's newest snapshot was signed by.
func signerCertificate(t *testing.T, dir string, network directory.NetworkID) (c directory.Certificate) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "signer", "signer.db"), 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		c, err = directory.ParseCertificate(network, tx.Bucket([]byte("meta")).Get([]byte("certificate")))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
