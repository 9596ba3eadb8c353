package chat

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat/session"
)

// TestFileRefused asks for what cannot be: nothing of it leaves a trace.
func TestFileRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		large := writeContent(t, "large", nil)
		if err := os.Truncate(large, defaultFileLimit+1); err != nil {
			t.Fatal(err)
		}
		small := writeContent(t, "small", []byte("x"))
		for _, c := range []struct{ contact, path, kind string }{
			{b, large, KindTooLarge},
			{b, filepath.Join(t.TempDir(), "none"), KindNotFound},
			{b, t.TempDir(), KindRefused},
			{b, os.DevNull, KindRefused},
			{"c_nobody", small, KindNotFound},
		} {
			if _, err := alice.SendFile(t.Context(), c.contact, c.path, SendFileOptions{}); KindOf(err) != c.kind {
				t.Errorf("%s: %v, want %s", filepath.Base(c.path), err, c.kind)
			}
		}
		for name, err := range map[string]error{
			"fetch": alice.FetchFile(t.Context(), "f_none", false), "save": alice.SaveFile(t.Context(), "f_none", small), "cancel": alice.CancelFile(t.Context(), "f_none"),
		} {
			if KindOf(err) != KindNotFound {
				t.Errorf("%s of no file: %v", name, err)
			}
		}
		if list, _ := alice.Files(t.Context(), ""); len(list) != 0 || len(alice.spooled()) != 0 {
			t.Errorf("files %+v, spooled %q", list, alice.spooled())
		}
	})
}

// fullDisk is a file that takes no more than so many bytes.
type fullDisk struct {
	spoolFile
	left *int
}

func (f fullDisk) Write(b []byte) (int, error) {
	return f.count(len(b), func() (int, error) { return f.spoolFile.Write(b) })
}

func (f fullDisk) WriteAt(b []byte, at int64) (int, error) {
	return f.count(len(b), func() (int, error) { return f.spoolFile.WriteAt(b, at) })
}

func (f fullDisk) count(n int, write func() (int, error)) (int, error) {
	if *f.left -= n; *f.left < 0 {
		return 0, &os.PathError{Op: "write", Path: "spool", Err: syscall.ENOSPC}
	}
	return write()
}

// fill has the spools of a user end in a full disk after so many bytes.
func (u *user) fill(bytes int) {
	open := newSpools(u.home).open
	u.transfers.spools.open = func(path string, flag int) (spoolFile, error) {
		f, err := open(path, flag)
		if err != nil {
			return nil, err
		}
		return fullDisk{f, &bytes}, nil
	}
}

// TestFileDiskFull fills the sender's disk, which is told at once, and the
// receiver's, which goes on when there is space.
func TestFileDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		path := writeContent(t, "plan", content(100_000))
		alice.fill(50_000)
		if _, err := alice.SendFile(t.Context(), b, path, SendFileOptions{}); KindOf(err) != KindIO || err.Error() != "the disk is full" {
			t.Errorf("on a full disk: %v", err)
		}
		if n := alice.spooled(); len(n) != 0 {
			t.Errorf("left in the spool: %q", n)
		}
		alice.fill(1 << 20)
		if _, err := alice.SendFile(t.Context(), b, path, SendFileOptions{}); err != nil {
			t.Fatal(err)
		}
		offer := bob.offered(a)
		bob.fill(50_000)
		if err := bob.FetchFile(t.Context(), offer.ID, false); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "told", func() bool { return bob.file(offer.ID).Detail == "the disk is full" })
		bob.stop()
		bob.start()
		eventually(t, 5*time.Minute, "fetched", func() bool { return bob.file(offer.ID).State == FileComplete })
	})
}

// TestFileSaveNeverOverwrites saves where something is, and where names are taken.
func TestFileSaveNeverOverwrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		want := content(2000)
		if _, err := alice.SendFile(t.Context(), b, writeContent(t, "plan.pdf", want), SendFileOptions{}); err != nil {
			t.Fatal(err)
		}
		offer := bob.offered(a)
		if err := bob.FetchFile(t.Context(), offer.ID, false); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "fetched", func() bool { return bob.file(offer.ID).State == FileComplete })
		dir := t.TempDir()
		taken, dangling := filepath.Join(dir, "plan.pdf"), filepath.Join(dir, "link")
		if err := os.WriteFile(taken, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(dir, "elsewhere"), dangling); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{taken, dangling} {
			if err := bob.SaveFile(t.Context(), offer.ID, path); KindOf(err) != KindExists {
				t.Errorf("saved over %s: %v", filepath.Base(path), err)
			}
		}
		if err := bob.SaveFile(t.Context(), offer.ID, dir); err != nil {
			t.Fatal(err)
		}
		saved := bob.file(offer.ID)
		got, err := os.ReadFile(saved.Path)
		if err != nil || !bytes.Equal(got, want) || saved.Path != filepath.Join(dir, "plan (2).pdf") || saved.Detail != "" {
			t.Errorf("saved %+v, %v", saved, err)
		}
		if st, err := os.Stat(saved.Path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("saved with mode %v, %v", st.Mode(), err)
		}
		if mine, _ := os.ReadFile(taken); string(mine) != "mine" {
			t.Error("a file was overwritten")
		}
		list, _ := os.ReadDir(dir)
		if len(list) != 3 {
			t.Errorf("%d files in the directory", len(list))
		}
	})
}

// TestFileCancelled ends transfers from either side: both spools are erased, and
// the other side is told.
func TestFileCancelled(t *testing.T) {
	for name, cancel := range map[string]func(alice, bob *user, sent, offer string) error{
		"by the sender":   func(alice, _ *user, sent, _ string) error { return alice.CancelFile(context.Background(), sent) },
		"by the receiver": func(_, bob *user, _, offer string) error { return bob.CancelFile(context.Background(), offer) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newFakeWorld(t, 5)
				alice, bob := w.user(t), w.user(t)
				b, a := befriend(t, alice, bob)
				sent, err := alice.SendFile(t.Context(), b, writeContent(t, "plan", content(150_000)), SendFileOptions{})
				if err != nil {
					t.Fatal(err)
				}
				offer := bob.offered(a)
				if err := bob.FetchFile(t.Context(), offer.ID, false); err != nil {
					t.Fatal(err)
				}
				<-time.After(300 * time.Millisecond)
				if err := cancel(alice, bob, sent.ID, offer.ID); err != nil {
					t.Fatal(err)
				}
				eventually(t, time.Minute, "ended on both sides", func() bool {
					return alice.file(sent.ID).State == FileFailed && bob.file(offer.ID).State == FileFailed
				})
				eventually(t, time.Minute, "spools erased", func() bool { return len(alice.spooled())+len(bob.spooled()) == 0 })
				if m := alice.message(b, alice.offerMessage(b)); m.State != Failed {
					t.Errorf("the offer is %s", m.State)
				}
				if err := bob.FetchFile(t.Context(), offer.ID, false); KindOf(err) != KindRefused {
					t.Errorf("fetched after the end: %v", err)
				}
			})
		})
	}
}

// TestFileOtherThanOffered has a contact offer one file and store another: it is
// never called complete, and nothing of it is left.
func TestFileOtherThanOffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		f := &file{id: newID("f_"), wake: make(chan struct{}, 1)}
		f.rec = fileRecord{Contact: b, Out: true, State: FileSending, Key: [32]byte{1}}
		if err := alice.spoolFrom(f, writeContent(t, "plan", content(5000))); err != nil {
			t.Fatal(err)
		}
		f.rec.Hash[0] ^= 1
		if err := alice.do(t.Context(), func(t *turn) error { return t.sendFile(f) }); err != nil {
			t.Fatal(err)
		}
		offer := bob.offered(a)
		if err := bob.SaveFile(t.Context(), offer.ID, filepath.Join(t.TempDir(), "saved")); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "refused", func() bool { return bob.file(offer.ID).State == FileFailed })
		if s := bob.file(offer.ID); s.Path != "" || s.Detail != "it is not the file that was offered" {
			t.Errorf("%+v", s)
		}
		eventually(t, time.Minute, "spools erased", func() bool { return len(bob.spooled()) == 0 })
	})
}

// TestFileControlHostile gives a receiver and a sender what a contact should not
// say: nothing changes.
func TestFileControlHostile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		sent, err := alice.SendFile(t.Context(), b, writeContent(t, "plan", content(5000)), SendFileOptions{})
		if err != nil {
			t.Fatal(err)
		}
		offer := bob.offered(a)
		eventually(t, time.Minute, "stored", func() bool { return alice.file(sent.ID).State == FileStored && alice.file(sent.ID).Detail == "" })
		say := func(u *user, contact string, ctl session.FileControl) {
			content, err := ctl.Append(nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = u.do(t.Context(), func(t *turn) error {
				return t.takeFileControl(t.book.contacts[contact], session.Message{Type: session.FrameFileCtl, Content: content})
			})
		}
		var id [16]byte
		_ = alice.look(t.Context(), func(t *turn) error { id = t.book.files[sent.ID].rec.Msg; return nil })
		var places []session.FilePlace
		for i := range byte(session.MaxFilePlaces) {
			places = append(places, session.FilePlace{Count: 1, Copy: 2 + i, Relay: [16]byte{i + 1}})
		}
		say(bob, a, session.FileControl{Op: session.FileDone, File: id})                                          // of the receiver alone
		say(bob, a, session.FileControl{Op: session.FileWant, File: id, Ranges: []session.FileRange{{Count: 1}}}) // likewise
		say(alice, b, session.FileControl{Op: session.FileMoved, File: id, Places: places})                       // of the sender alone
		say(alice, b, session.FileControl{Op: session.FileDone, File: [16]byte{1}})                               // of no file
		for range 40 {                                                                                            // walks us over relays
			say(bob, a, session.FileControl{Op: session.FileMoved, File: id, Places: places})
		}
		for range 20 { // has all of it stored anew, for ever
			say(alice, b, session.FileControl{Op: session.FileWant, File: id, Ranges: []session.FileRange{{Count: 512}, {Segment: 1 << 31, Count: 1}}})
			eventually(t, time.Minute, "stored anew", func() bool {
				owed := 1
				_ = alice.look(t.Context(), func(t *turn) error { owed = len(t.book.files[sent.ID].owed()); return nil })
				return owed == 0
			})
		}
		_ = alice.look(t.Context(), func(tt *turn) error {
			if n := len(tt.book.files[sent.ID].rec.Places); n != againFactor {
				t.Errorf("stored %d times anew, want %d", n, againFactor)
			}
			return nil
		})
		_ = bob.look(t.Context(), func(tt *turn) error {
			relays := make(map[[16]byte]bool)
			f := tt.book.files[offer.ID]
			for _, p := range f.rec.Places {
				relays[p.Relay] = true
			}
			if len(relays) > maxFurther || len(f.rec.Places) > maxPlaces || f.rec.State != FileOffered {
				t.Errorf("%d places at %d relays, state %s", len(f.rec.Places), len(relays), f.rec.State)
			}
			return nil
		})
		if s := alice.file(sent.ID); s.State == FileComplete || s.State == FileFailed {
			t.Errorf("the sender's file is %s", s.State)
		}
	})
}

// TestSpoolSealed checks that neither content nor name of a file is readable in
// the home, that a block does not open in another's place, and that spools without
// a row go at the next start.
func TestSpoolSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		alice.net.cut(false)
		secret := bytes.Repeat([]byte("meet at the pier. "), 500)
		sent, err := alice.SendFile(t.Context(), b, writeContent(t, "pierplan.txt", secret), SendFileOptions{})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(alice.home, spoolDir, sent.ID)
		raw, err := os.ReadFile(path)
		if err != nil || len(raw) != spoolUnit*((len(secret)+1007)/1008) {
			t.Fatalf("%d bytes, %v", len(raw), err)
		}
		for _, word := range []string{"pier", "meet"} {
			if bytes.Contains(raw, []byte(word)) || strings.Contains(path, word) {
				t.Errorf("%q is readable", word)
			}
		}
		var key [32]byte
		_ = alice.look(t.Context(), func(t *turn) error { key = t.book.files[sent.ID].rec.Key; return nil })
		swapped := append(append(append([]byte{}, raw[spoolUnit:2*spoolUnit]...), raw[:spoolUnit]...), raw[2*spoolUnit:]...)
		other := filepath.Join(alice.home, spoolDir, "f_other")
		if err := os.WriteFile(other, swapped, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := alice.transfers.spools.reopen("f_other", key, uint64(len(secret)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.get(0); !errors.Is(err, errSpoolDamaged) {
			t.Errorf("a block opens in another's place: %v", err)
		}
		if plain, err := p.get(2); err != nil || !bytes.Equal(plain, secret[2*1008:3*1008]) {
			t.Errorf("a block does not open in its place: %v", err)
		}
		_ = p.Close()
		alice.stop()
		alice.start()
		if names := alice.spooled(); len(names) != 1 || names[0] != sent.ID {
			t.Errorf("spooled after a start: %q", names)
		}
		if f := alice.file(sent.ID); f.State != FileSending {
			t.Errorf("state %s", f.State)
		}
	})
}
