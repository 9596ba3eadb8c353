package chat

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat/store"
)

// sealedUser is a user whose home has a passphrase.
func (w *fakeWorld) sealedUser(t *testing.T, passphrase string) *user {
	u := &user{t: t, w: w, home: filepath.Join(t.TempDir(), "home"), passphrase: []byte(passphrase)}
	u.start()
	t.Cleanup(func() { u.stop() })
	return u
}

// TestLockedProfileReadsOn locks a profile: it knows nothing, sends nothing, and
// yet takes what comes, over a loss of the network and a crash.
func TestLockedProfileReadsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.sealedUser(t, "right"), w.user(t)
		b, a := befriend(t, alice, bob)
		alice.say(b, "before")
		eventually(t, time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) })
		<-time.After(time.Minute)
		alice.events()
		alice.net.cut(false) // it needs no network
		if err := alice.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := alice.Lock(t.Context()); err != nil {
			t.Errorf("locked twice: %v", err)
		}
		alice.net.cut(true)
		for what, run := range map[string]func() error{
			"send":              func() error { _, err := alice.Send(t.Context(), b, "hello"); return err },
			"list messages":     func() error { _, err := alice.Messages(t.Context(), b, 0, 0); return err },
			"list contacts":     func() error { _, err := alice.Contacts(t.Context()); return err },
			"invite":            func() error { _, err := alice.CreateInvite(t.Context(), ""); return err },
			"change passphrase": func() error { return alice.ChangePassphrase(t.Context(), []byte("right"), []byte("new")) },
		} {
			if err := run(); KindOf(err) != KindLocked {
				t.Errorf("%s: %v", what, err)
			}
		}
		if s := alice.Status(); !s.Locked {
			t.Error("the status does not say locked")
		}
		err := alice.alone(t.Context(), func() error {
			for _, c := range alice.book.contacts {
				if c.session != nil || c.rec.Name != "" || len(c.out)+len(c.waiting)+len(c.parked)+len(c.held) > 0 {
					t.Error("a locked book knows a contact")
				}
			}
			return alice.store.View(func(tx *store.Tx) error {
				_, err := tx.History(b).Last()
				if _, e := tx.History(b).Get(1); !errors.Is(e, store.ErrLocked) {
					t.Errorf("history: %v", e)
				}
				return err
			})
		})
		if err != nil {
			t.Error(err)
		}
		synctest.Wait()
		alice.mu.Lock()
		if len(alice.inboxes) == 0 {
			t.Error("nothing is read")
		}
		alice.mu.Unlock()
		texts := numbered("while locked", 7)
		bob.sayAll(a, texts[:3])
		acks := func() (seq uint64) {
			_ = alice.reading().look(t.Context(), func(tn *turn) error {
				for _, c := range tn.book.contacts {
					seq = c.rec.Own[0].Acked
				}
				return nil
			})
			return seq
		}
		before := acks()
		eventually(t, time.Minute, "taken", func() bool { return acks() >= before+3 })
		if bob.settled(a, Delivered) {
			t.Error("delivered without a proof")
		}
		alice.crash() // and opened again: what came is there
		<-time.After(time.Second)
		alice.checkReceived(b, texts[:3])
		if err := alice.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		alice.net.cut(false)
		bob.sayAll(a, texts[3:])
		<-time.After(time.Minute)
		alice.net.cut(true)
		eventually(t, 5*time.Minute, "taken", func() bool { return acks() >= before+7 })
		if err := alice.Unlock(t.Context(), []byte("wrong")); !errors.Is(err, ErrPassphrase) || KindOf(err) != KindRefused {
			t.Errorf("wrong passphrase: %v", err)
		}
		if err := alice.Unlock(t.Context(), []byte("right")); err != nil {
			t.Fatal(err)
		}
		if got := alice.texts(b, In); len(got) != 7 {
			t.Errorf("after unlocking: %q", got)
		}
		alice.checkReceived(b, texts)
		alice.say(b, "after")
		eventually(t, 5*time.Minute, "all delivered", func() bool { return alice.settled(b, Delivered) && bob.settled(a, Delivered) })
		bob.checkReceived(a, []string{"before", "after"})
		var told []EventType
		for _, ev := range alice.events() {
			if ev.Type == ProfileLocked || ev.Type == ProfileUnlocked {
				told = append(told, ev.Type)
			}
		}
		if len(told) != 2 || told[0] != ProfileLocked || told[1] != ProfileUnlocked {
			t.Errorf("events %v", told) // of this run
		}
	})
}

// TestLockedOnAFullDisk lets what comes while locked not be written: the relay
// keeps it.
func TestLockedOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.sealedUser(t, "right"), w.user(t)
		b, a := befriend(t, alice, bob)
		<-time.After(time.Minute)
		if err := alice.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		full := errors.New("no space left on device")
		var q *queueRecord
		before := uint64(0)
		err := alice.reading().do(t.Context(), func(tn *turn) error {
			for _, c := range tn.book.contacts {
				q = &c.rec.Own[0]
			}
			before = q.Acked
			if err := tn.boxBlocks(inboxKey{owner: b}, 0, q, []mailboxMessage{{Seq: before + 9}}); err != nil {
				t.Error(err)
			}
			return full
		})
		if KindOf(err) != KindIO {
			t.Errorf("error %v", err)
		}
		if err := alice.reading().look(t.Context(), func(*turn) error {
			if q.Acked != before {
				t.Errorf("seq %d counts as taken, %d is", q.Acked, before)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		bob.say(a, "kept")
		<-time.After(time.Minute)
		if err := alice.Unlock(t.Context(), []byte("right")); err != nil {
			t.Fatal(err)
		}
		alice.checkReceived(b, []string{"kept"})
	})
}

// TestFloodOfALockedProfile: who writes without end to a profile that nobody looks
// at does not fill its disk; what does not fit stays at the relay and comes after
// unlocking.
func TestFloodOfALockedProfile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.sealedUser(t, "right"), w.user(t)
		b, a := befriend(t, alice, bob)
		<-time.After(time.Minute)
		if err := alice.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		var taken uint64
		if err := alice.reading().look(t.Context(), func(tn *turn) error {
			tn.book.boxSize = maxBox - 100 // a flood of weeks
			for _, c := range tn.book.contacts {
				taken = c.rec.Own[0].Acked
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		bob.say(a, "one too many")
		<-time.After(10 * time.Minute)
		if err := alice.reading().look(t.Context(), func(tn *turn) error {
			for _, c := range tn.book.contacts {
				if got := c.rec.Own[0].Acked; got != taken {
					t.Errorf("seq %d counts as taken, %d is", got, taken)
				}
			}
			if tn.book.boxSize > maxBox {
				t.Errorf("%d bytes are in the box", tn.book.boxSize)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if !bob.settled(a, Stored) {
			t.Error("what no relay handed over is not shown as stored")
		}
		if err := alice.Unlock(t.Context(), []byte("right")); err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Minute, "what stayed at the relay", func() bool { return len(alice.texts(b, In)) == 1 })
		alice.checkReceived(b, []string{"one too many"})
	})
}

func TestProfileWithoutPassphraseCannotBeLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice := newFakeWorld(t, 3).user(t)
		if err := alice.Lock(t.Context()); KindOf(err) != KindRefused {
			t.Errorf("lock: %v", err)
		}
		if _, err := alice.Contacts(t.Context()); err != nil {
			t.Errorf("after a refusal: %v", err)
		}
	})
}

// TestWipedProfile wipes a running profile: keys and files are gone at once, Run
// ends, and nothing works any more.
func TestWipedProfile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice := w.user(t)
		if err := os.MkdirAll(filepath.Join(alice.home, "spool", "x"), 0o700); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := alice.Wipe(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("it waited %s", took)
		}
		if _, err := os.Lstat(alice.home); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the home is still there: %v", err)
		}
		if _, err := alice.Send(context.Background(), "c_x", "hello"); err == nil {
			t.Error("a wiped profile sends")
		}
		if err := alice.Wipe(t.Context()); err != nil {
			t.Errorf("wiped twice: %v", err)
		}
	})
}

// TestWipeLeavesWhatIsNotOurs wipes a home without opening it, among files of
// others and homes of other profiles.
func TestWipeLeavesWhatIsNotOurs(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	other := filepath.Join(home, "profiles", "work")
	for _, dir := range []string{home, other} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		s, err := store.Create(store.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(home, "letter.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Wipe(home); err != nil {
		t.Fatal(err)
	}
	if exists, _, err := store.Exists(home); exists || err != nil {
		t.Errorf("the profile is still there: %v", err)
	}
	if exists, _, err := store.Exists(other); !exists || err != nil {
		t.Errorf("another profile is gone: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(home, "letter.txt")); err != nil || !bytes.Equal(b, []byte("mine")) {
		t.Errorf("a file of the person: %q, %v", b, err)
	}
	if err := Wipe(home); KindOf(err) != KindNotFound {
		t.Errorf("wiped again: %v", err)
	}
}
