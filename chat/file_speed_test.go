package chat_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"hearsay/chat"
	"hearsay/relay/lab"
)

// TestFileOverQUIC sends a file through six real relays on loopback, with all
// limits, while links are shaped and the user chose a burst. HEARSAY_FILES is the
// size in megabytes; then the rate has to be 3 MB/s.
func TestFileOverQUIC(t *testing.T) {
	size, cover := 600_000, "off"
	if mb, err := strconv.Atoi(os.Getenv("HEARSAY_FILES")); err == nil {
		size = mb * 1_000_000
	}
	if c := os.Getenv("HEARSAY_FILES_COVER"); c != "" {
		cover = c
	}
	dir := t.TempDir()
	n, err := lab.Start(t.Context(), lab.Config{Dir: filepath.Join(dir, "network"), Relays: 6, Lab: true})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	alice, bob := start(t, n, filepath.Join(dir, "alice")), start(t, n, filepath.Join(dir, "bob"))
	defer alice.stop()
	defer bob.stop()
	for _, p := range []*person{alice, bob} { // an invite waits for less
		p.until("a network", 3*time.Minute, func() bool { return p.Status().Ready })
	}
	inv, err := alice.CreateInvite(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bob.AcceptInvite(t.Context(), inv.Link, "alice"); err != nil {
		t.Fatal(err)
	}
	var contact string
	alice.until("contacts on both sides", 3*time.Minute, func() bool {
		as, _ := alice.Contacts(t.Context())
		bs, _ := bob.Contacts(t.Context())
		if len(as) == 1 {
			contact = as[0].ID
		}
		return len(as) == 1 && len(bs) == 1 && bs[0].State == chat.ContactActive
	})
	for _, p := range []*person{alice, bob} {
		if err := p.SetCover(t.Context(), cover); err != nil {
			t.Fatal(err)
		}
	}
	if cover != "off" {
		<-time.After(30 * time.Second) // a link takes no order for a burst right after one for a profile
	}
	want := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(want)
	path := filepath.Join(dir, "film")
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	events := bob.Subscribe()
	defer events.Close()
	began := time.Now()
	if _, err := alice.SendFile(t.Context(), contact, path, chat.SendFileOptions{Burst: true}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var fetching time.Time
	for {
		ev, err := events.Next(ctx)
		if err != nil {
			t.Fatalf("%v: %+v", err, bob.Status())
		}
		if ev.Type != chat.FileProgress {
			continue
		}
		f := ev.File
		t.Logf("%6.2f s  %s %d of %d %s", time.Since(began).Seconds(), f.State, f.Done, f.Size, f.Detail)
		if f.State == chat.FileOffered {
			fetching = time.Now()
			if err := bob.FetchFile(t.Context(), f.ID, true); err != nil {
				t.Fatal(err)
			}
		}
		if f.State == chat.FileFailed {
			t.Fatal(f.Detail)
		}
		if f.State != chat.FileComplete {
			continue
		}
		took, since := time.Since(began).Seconds(), time.Since(fetching).Seconds()
		rate := float64(size) / 1e6 / took
		t.Logf("%d bytes from the sender's disk to a checked file at the other side in %.1f s: %.2f MB/s (%.2f MB/s from the offer on)", size, took, rate, float64(size)/1e6/since)
		if size >= 50_000_000 && rate < 3 {
			t.Errorf("%.2f MB/s, want 3", rate)
		}
		target := filepath.Join(dir, "saved")
		if err := bob.SaveFile(t.Context(), f.ID, target); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("another file was saved: %d bytes, %v", len(got), err)
		}
		return
	}
}
