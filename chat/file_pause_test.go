package chat

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// TestFilePaused pauses a file on each side in the middle and restarts that side:
// nothing moves until its user goes on, and then nothing proven goes again.
func TestFilePaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 7)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		var s sends
		s.watch(w)
		want := content(560_000)
		sent, err := alice.SendFile(t.Context(), b, writeContent(t, "plan", want), SendFileOptions{})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "half is at relays", func() bool { return alice.file(sent.ID).Done > 300_000 })
		if err := alice.PauseFile(t.Context(), sent.ID); err != nil {
			t.Fatal(err)
		}
		alice.crash()
		<-time.After(10 * time.Second)
		f := alice.file(sent.ID)
		if !f.Paused || f.State != FileSending || f.Done < 200_000 || f.Done >= f.Size {
			t.Fatalf("paused, it is %+v", f)
		}
		next := func(want string) {
			t.Helper()
			if w, err := alice.Why(t.Context(), alice.offerMessage(b)); err != nil || !strings.HasPrefix(w.Next, want) {
				t.Errorf("what comes next: %q, %v", w.Next, err)
			}
		}
		next("you paused this file")
		offer := bob.offered(a)
		if err := bob.PauseFile(t.Context(), offer.ID); KindOf(err) != KindRefused {
			t.Errorf("paused what nobody fetches: %v", err)
		}
		if err := bob.FetchFile(t.Context(), offer.ID, false); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "fetched what is there", func() bool { return bob.file(offer.ID).Done > 100_000 })
		if err := bob.PauseFile(t.Context(), offer.ID); err != nil {
			t.Fatal(err)
		}
		bob.crash()
		<-time.After(10 * time.Second)
		blocks, _, _ := s.counts()
		<-time.After(3 * time.Minute)
		if now, _, _ := s.counts(); now != blocks || alice.file(sent.ID).Done != f.Done {
			t.Errorf("%d blocks were stored of a file that is paused", now-blocks)
		}
		if err := alice.PauseFile(t.Context(), sent.ID); err != nil {
			t.Errorf("paused twice: %v", err)
		}
		w.mu.Lock()
		w.delivered = 0
		w.mu.Unlock()
		held := bob.file(offer.ID)
		if err := alice.FetchFile(t.Context(), sent.ID, false); err != nil {
			t.Fatal(err)
		}
		eventually(t, 2*time.Minute, "stored", func() bool { return alice.file(sent.ID).State == FileStored && alice.file(sent.ID).Detail == "" })
		<-time.After(5 * time.Minute)
		next("relays hold all of the file")
		if blocks, again, other := s.counts(); blocks != 2*576 || again > 400 || other != 0 {
			t.Errorf("%d blocks were stored, %d of them again, %d otherwise", blocks, again, other)
		}
		if f := bob.file(offer.ID); !f.Paused || f.State != FileFetching || f.Done != held.Done || w.blocksDelivered() != 0 {
			t.Errorf("paused, it is %+v, and %d blocks came", f, w.blocksDelivered())
		}
		if err := alice.PauseFile(t.Context(), sent.ID); KindOf(err) != KindRefused {
			t.Errorf("paused when all was stored: %v", err)
		}
		if err := alice.FetchFile(t.Context(), sent.ID, false); KindOf(err) != KindRefused {
			t.Errorf("went on with what was not paused: %v", err)
		}
		target := filepath.Join(t.TempDir(), "saved")
		if err := bob.SaveFile(t.Context(), offer.ID, target); err != nil { // saving goes on with it
			t.Fatal(err)
		}
		eventually(t, 5*time.Minute, "saved", func() bool { return bob.file(offer.ID).Path == target })
		if got, _ := os.ReadFile(target); !bytes.Equal(got, want) {
			t.Error("another file was saved")
		}
		eventually(t, time.Minute, "complete at the sender", func() bool { return alice.file(sent.ID).State == FileComplete })
		for _, u := range []*user{alice, bob} {
			for _, err := range []error{u.PauseFile(t.Context(), sent.ID), u.PauseFile(t.Context(), offer.ID), u.PauseFile(t.Context(), "f_none")} {
				if KindOf(err) != KindRefused && KindOf(err) != KindNotFound {
					t.Errorf("paused after its end: %v", err)
				}
			}
		}
	})
}

// TestFilePausedBeforeOffer pauses a file that has no relays yet: not even its
// offer goes out.
func TestFilePausedBeforeOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 6)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		alice.leave()
		if err := alice.do(t.Context(), func(t *turn) error { t.m.views = &directory.Views{}; return nil }); err != nil {
			t.Fatal(err)
		}
		sent, err := alice.SendFile(t.Context(), b, writeContent(t, "plan", content(50_000)), SendFileOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := alice.PauseFile(t.Context(), sent.ID); err != nil {
			t.Fatal(err)
		}
		alice.stop()
		alice.start()
		<-time.After(time.Minute)
		if list, _ := bob.Files(t.Context(), a); len(list) != 0 || alice.file(sent.ID).Done != 0 {
			t.Errorf("%+v went out", list)
		}
		if err := alice.FetchFile(t.Context(), sent.ID, false); err != nil {
			t.Fatal(err)
		}
		bob.offered(a)
	})
}

// TestFileCost holds the figures that people are shown against those of the spec.
func TestFileCost(t *testing.T) {
	padded := FilePadded(1 << 20)
	if padded != 1152*1008 || FilePadded(0) != 1008 || FilePadded(-1) != 1008 {
		t.Errorf("1 MiB takes %d bytes, nothing %d", padded, FilePadded(0))
	}
	for cover, want := range map[string]time.Duration{"off": 0, "none": 0, "saver": 5760 * time.Second, "normal": 2304 * time.Second, "fast": 1152 * time.Second} {
		if got := FileTime(cover, padded); got != want {
			t.Errorf("%s: %v, want %v", cover, got, want)
		}
	}
	if MayBurst(slowAlways) || !MayBurst(slowAlways+1) {
		t.Error("another size may leave the slots")
	}
}
