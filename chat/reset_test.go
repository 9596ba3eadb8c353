package chat

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat/session"
)

// change runs an operation on a contact.
func (u *user) change(contact string, run func(t *turn, c *contact) error) {
	u.t.Helper()
	err := u.do(context.Background(), func(t *turn) error {
		c := t.book.contacts[contact]
		t.touch(c)
		return run(t, c)
	})
	if err != nil {
		u.t.Fatal(err)
	}
}

// watch looks at a contact.
func (u *user) watch(contact string, run func(t *turn, c *contact) error) {
	u.t.Helper()
	err := u.look(context.Background(), func(t *turn) error { return run(t, t.book.contacts[contact]) })
	if err != nil {
		u.t.Fatal(err)
	}
}

// written returns the texts that people wrote, without notices.
func (u *user) written(id, direction string) (texts []string) {
	u.t.Helper()
	u.watch(id, func(t *turn, c *contact) error {
		return t.tx.History(c.id).Up(0, func(_ uint64, raw []byte) (bool, error) {
			var rec messageRecord
			err := decode(raw, &rec)
			if rec.Kind == kindText && rec.Out == (direction == Out) {
				texts = append(texts, rec.Text)
			}
			return true, err
		})
	})
	return texts
}

// notices returns what the program said in a conversation.
func (u *user) notices(id string) (texts []string) {
	u.t.Helper()
	u.watch(id, func(t *turn, c *contact) error {
		return t.tx.History(c.id).Up(0, func(_ uint64, raw []byte) (bool, error) {
			var rec messageRecord
			err := decode(raw, &rec)
			if rec.Kind == kindNotice {
				texts = append(texts, rec.Text)
			}
			return true, err
		})
	})
	return texts
}

// onceEach waits until all of the texts came, and checks that none came twice.
func (u *user) onceEach(contact string, want []string) {
	u.t.Helper()
	eventually(u.t, 5*time.Minute, fmt.Sprintf("%d texts received", len(want)), func() bool { return len(u.written(contact, In)) >= len(want) })
	<-time.After(time.Minute)
	got := u.written(contact, In)
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		u.t.Fatalf("received %q, want %q", got, want)
	}
}

func (u *user) hasResetKey(id string) (has bool) {
	u.watch(id, func(_ *turn, c *contact) error { has = c.rec.Reset != nil && c.rec.Reset.Peer; return nil })
	return has
}

// withKeys makes two users contacts who have each other's reset keys.
func withKeys(t *testing.T, w *fakeWorld) (alice, bob *user, b, a string) {
	t.Helper()
	alice, bob = w.user(t), w.user(t)
	b, a = befriend(t, alice, bob)
	eventually(t, time.Minute, "reset keys exchanged", func() bool { return alice.hasResetKey(b) && bob.hasResetKey(a) })
	<-time.After(30 * time.Second)
	return alice, bob, b, a
}

// pour sends texts without waiting for the disk after each.
func (u *user) pour(contact string, texts []string) {
	u.t.Helper()
	var waits []func() (Message, error)
	for _, text := range texts {
		waits = append(waits, u.StartSend(context.Background(), contact, text, SendOptions{}))
	}
	for _, wait := range waits {
		if _, err := wait(); err != nil {
			u.t.Fatal(err)
		}
	}
}

// TestResetWithHundredUnacked has 100 texts of each side on their way when one
// side, or both at once, begin anew: all arrive, once.
func TestResetWithHundredUnacked(t *testing.T) {
	for _, who := range []string{"one side", "both at once"} {
		t.Run(who, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newFakeWorld(t, 5)
				alice, bob, b, a := withKeys(t, w)
				number := alice.contact(b).SafetyNumber
				alice.net.cut(false)
				bob.net.cut(false)
				fromAlice, fromBob := numbered("alice", 100), numbered("bob", 100)
				alice.pour(b, fromAlice)
				bob.pour(a, fromBob)
				again := func(t *turn, c *contact) error { return t.reset(c) }
				alice.change(b, again)
				if who != "one side" {
					bob.change(a, again)
				}
				alice.net.cut(true)
				bob.net.cut(true)
				bob.onceEach(a, fromAlice)
				alice.onceEach(b, fromBob)
				eventually(t, 5*time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) && bob.settled(a, Delivered) })
				for u, id := range map[*user]string{alice: b, bob: a} {
					u.change(id, func(_ *turn, c *contact) error {
						if c.session.ResetPending() || c.out[resetSeq] != nil || c.session.SyncDue() {
							t.Error("the reset is not over")
						}
						return nil
					})
				}
				if alice.contact(b).SafetyNumber != number || len(alice.notices(b))+len(bob.notices(a)) != 0 {
					t.Error("a reset changes nothing for people")
				}
			})
		})
	}
}

// TestStateRollback sets one profile back to an older copy, which then sends
// before it hears anything. No seq is used twice: all that is written from then
// on arrives once, both sides are told, and the contact is to be verified again.
func TestStateRollback(t *testing.T) {
	for _, first := range []string{"the old profile", "the contact"} {
		t.Run(first+" sends first", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newFakeWorld(t, 5)
				alice, bob, b, a := withKeys(t, w)
				if err := bob.VerifyContact(t.Context(), a, bob.contact(a).SafetyNumber); err != nil || !bob.contact(a).Verified {
					t.Fatal(err)
				}
				alice.stop()
				old := filepath.Join(t.TempDir(), "old")
				if err := copyHome(alice.home, old); err != nil {
					t.Fatal(err)
				}
				alice.start()
				var before []string
				for round := range 3 {
					some := numbered(fmt.Sprint("before ", round), 3)
					before = append(before, some...)
					alice.sayAll(b, some)
					bob.sayAll(a, some)
					eventually(t, time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) && bob.settled(a, Delivered) })
				}
				alice.stop()
				alice.home = old
				alice.start()
				after, back := numbered("after", 5), numbered("back", 5)
				if first == "the contact" {
					bob.sayAll(a, back)
					<-time.After(30 * time.Second)
				}
				alice.sayAll(b, after)
				if first != "the contact" {
					<-time.After(30 * time.Second)
					bob.sayAll(a, back)
				}
				bob.onceEach(a, append(before, after...))
				eventually(t, 10*time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) && bob.settled(a, Delivered) })
				// Copies of older texts may still lie in its second queue.
				got := alice.written(b, In)
				for _, text := range append(before, back...) {
					n := len(slices.DeleteFunc(slices.Clone(got), func(s string) bool { return s != text }))
					if n > 1 || n == 0 && strings.HasPrefix(text, "back") {
						t.Errorf("%q came %d times", text, n)
					}
				}
				if bob.contact(a).Verified || !slices.Contains(bob.notices(a), noticeDoubt) {
					t.Errorf("bob was told %q", bob.notices(a))
				}
				if !slices.Contains(alice.notices(b), noticeSetBack) {
					t.Errorf("alice was told %q", alice.notices(b))
				}
				for u, id := range map[*user]string{alice: b, bob: a} {
					u.watch(id, func(_ *turn, c *contact) error {
						if cumulative, _ := c.session.Received(); uint32(cumulative) > 150 {
							t.Errorf("%d frames for a few texts: exchanges chase each other", uint32(cumulative))
						}
						if c.rec.Move != nil && len(c.rec.Move.Avoid) > 0 {
							t.Error("relays are blamed for what a reset lost")
						}
						return nil
					})
				}
			})
		})
	}
}

// TestOldAcksForNewSeqs sets a profile back without any sign of it, and leaves it
// alone with acknowledgements of what it sent before, whose seqs it uses again:
// what they seem to prove delivered arrives nevertheless, once.
func TestOldAcksForNewSeqs(t *testing.T) {
	for _, count := range []int{2, 12} { // fewer and more than the seqs that were acknowledged
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newFakeWorld(t, 5)
				alice, bob, b, a := withKeys(t, w)
				// Bob hears the texts on both sides of the copy at once, and answers
				// all of them in a chain that the copy can read too.
				bob.net.cut(false)
				alice.say(b, "on its way")
				eventually(t, time.Minute, "stored", func() bool { return alice.settled(b, Stored) })
				alice.stop()
				old := filepath.Join(t.TempDir(), "old")
				if err := copyHome(alice.home, old); err != nil {
					t.Fatal(err)
				}
				alice.start()
				before := numbered("before", 4)
				alice.sayAll(b, before)
				eventually(t, time.Minute, "stored", func() bool { return alice.settled(b, Stored) })
				bob.net.cut(true)
				eventually(t, time.Minute, "received", func() bool { return len(bob.written(a, In)) == 5 })
				bob.say(a, "answer")
				eventually(t, time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) })
				alice.stop()
				bob.net.cut(false)
				alice.home = old
				alice.start()
				after := numbered("after", count)
				alice.sayAll(b, after)
				<-time.After(2 * timingOf(true).pollMax) // the copies in the second queue are read
				bob.net.cut(true)
				bob.say(a, "still there")
				<-time.After(time.Minute)
				more := numbered("more", 4)
				alice.sayAll(b, more)
				bob.onceEach(a, slices.Concat([]string{"on its way"}, before, after, more))
				eventually(t, 10*time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) && bob.settled(a, Delivered) })
			})
		})
	}
}

// TestRestoreTwice puts a contact back to what a backup holds of it, twice: the
// contact is reached again, nothing is taken for a repeat, no window is stuck.
func TestRestoreTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob, b, a := withKeys(t, w)
		var backup []byte
		alice.change(b, func(_ *turn, c *contact) error { backup = c.session.Backup(); return nil })
		var all []string
		for round := range 2 {
			some := numbered(fmt.Sprint("round ", round), 4)
			all = append(all, some...)
			alice.sayAll(b, some)
			bob.sayAll(a, numbered(fmt.Sprint("lost ", round), 4))
			eventually(t, time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) && bob.settled(a, Delivered) })
			alice.change(b, func(t *turn, c *contact) error {
				for _, seq := range slices.Clone(c.order) {
					if err := t.dropOutgoing(c, seq); err != nil {
						return err
					}
				}
				own, _ := c.session.Device()
				s, err := session.RestoreState(backup, session.NextDevice(own, t.now))
				if err != nil {
					return err
				}
				c.session, c.ack = s, nil
				t.planReset(c, t.now.Add(5*time.Second))
				return nil
			})
			<-time.After(time.Minute)
		}
		some := numbered("at last", 4)
		alice.sayAll(b, some)
		bob.say(a, "welcome back")
		bob.onceEach(a, append(all, some...))
		eventually(t, 5*time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) && bob.settled(a, Delivered) })
		if !slices.Contains(alice.written(b, In), "welcome back") {
			t.Error("a window is stuck")
		}
	})
}

// TestResetsAreLimited: three resets of a contact are taken in a day, and a
// malformed one changes nothing.
func TestResetsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob, b, a := withKeys(t, w)
		taken := func() (n int) {
			bob.watch(a, func(_ *turn, c *contact) error { n = len(c.resets().Taken); return nil })
			return n
		}
		for n := range 5 {
			alice.change(b, func(t *turn, c *contact) error { return t.reset(c) })
			<-time.After(time.Minute)
			if taken() != min(n+1, takenLimit) {
				t.Fatalf("%d of %d resets were taken", taken(), n+1)
			}
		}
		// The newest of those above the limit is taken the next day.
		bob.sayAll(a, numbered("still", 4))
		eventually(t, time.Hour, "delivered", func() bool { return bob.settled(a, Delivered) })
		bob.change(a, func(t *turn, c *contact) error {
			before := string(c.session.Append(nil))
			for _, b := range must(session.SplitReset(make([]byte, session.ContainerSize))) {
				if err := t.takeReset(c, b); err != nil {
					return err
				}
			}
			if string(c.session.Append(nil)) != before {
				u := "a forged reset changed the session"
				bob.t.Error(u)
			}
			return nil
		})
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestResetKeysRotate: a new key every 30 days, old ones for 90.
func TestResetKeysRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, _, b, _ := withKeys(t, w)
		start := time.Now()
		for _, at := range []struct{ day, keys int }{{29, 1}, {31, 2}, {61, 3}, {92, 3}, {200, 1}} {
			alice.change(b, func(t *turn, c *contact) error {
				t.now = start.Add(time.Duration(at.day) * t.m.timing().day)
				if err := t.tickReset(c); err != nil {
					return err
				}
				row, err := t.resetRow(c)
				if len(row.Own) != at.keys {
					alice.t.Errorf("day %d: %d keys, want %d", at.day, len(row.Own), at.keys)
				}
				return err
			})
		}
		alice.change(b, func(_ *turn, c *contact) error {
			told := 0
			for _, o := range c.out {
				if session.FrameType(o.rec.Type) == session.FrameResetKey {
					told++
				}
			}
			if told != 2*4 {
				alice.t.Errorf("%d frames tell of four new keys", told)
			}
			return nil
		})
	})
}

// TestVerifyByNumber: the number marks a contact as verified, nothing else does.
func TestVerifyByNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob, b, a := withKeys(t, w)
		number := alice.contact(b).SafetyNumber
		wrong := "1" + number[1:]
		if wrong == number {
			wrong = "2" + number[1:]
		}
		for _, n := range []string{wrong, "", number[:70], number + "0"} {
			if err := alice.VerifyContact(t.Context(), b, n); errorKind(err) != KindRefused || alice.contact(b).Verified {
				t.Errorf("%q: %v", n, err)
			}
		}
		if err := alice.VerifyContact(t.Context(), b, strings.ReplaceAll(number, " ", "")); err != nil || !alice.contact(b).Verified {
			t.Fatal(err)
		}
		alice.crash()
		if !alice.contact(b).Verified || bob.contact(a).Verified {
			t.Error("verified is one side's knowledge, and is kept")
		}
		alice.change(b, func(t *turn, c *contact) error { return t.reset(c) })
		<-time.After(time.Minute)
		if !alice.contact(b).Verified {
			t.Error("a reset took it back")
		}
	})
}

func errorKind(err error) string {
	if e, ok := err.(*Error); ok {
		return e.Kind
	}
	return ""
}

func (u *user) words() (words string) {
	for _, ev := range u.events() {
		if ev.Type == ContactWords {
			words = ev.Words
		}
	}
	return words
}

// TestCompareWords: both sides get the same words, also if both begin; three
// times a day.
func TestCompareWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob, b, a := withKeys(t, w)
		var last string
		for n := range wordTries {
			if err := alice.CompareWords(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if n == 1 {
				if err := bob.CompareWords(t.Context(), a); err != nil {
					t.Fatal(err)
				}
			}
			<-time.After(30 * time.Second)
			x, y := alice.words(), bob.words()
			if x == "" || x != y || x == last {
				t.Fatalf("round %d: %q and %q", n, x, y)
			}
			last = x
		}
		if err := alice.CompareWords(t.Context(), b); errorKind(err) != KindRefused {
			t.Errorf("a fourth try: %v", err)
		}
		if err := alice.VerifyWords(t.Context(), b, "other words than those"); errorKind(err) != KindRefused {
			t.Error(err)
		}
		if err := alice.VerifyWords(t.Context(), b, strings.ToUpper(last)); err != nil || !alice.contact(b).Verified {
			t.Error(err)
		}
		if err := alice.VerifyWords(t.Context(), b, last); errorKind(err) != KindRefused {
			t.Errorf("the same words again: %v", err)
		}
	})
}

// TestKeySwappedBetweenCompareAndMark: words and number hold for the keys that
// were compared. If another key comes in between, marking is refused, nothing is
// sent, and the conversation says so until the new key was compared.
func TestKeySwappedBetweenCompareAndMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob, b, a := withKeys(t, w)
		number := bob.contact(a).SafetyNumber
		if err := alice.CompareWords(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		<-time.After(30 * time.Second)
		words := bob.words()
		alice.change(b, func(t *turn, c *contact) error { return t.rotateIdentity(c) })
		<-time.After(30 * time.Second)
		if bob.state(a) != ContactChanged || !slices.Equal(bob.notices(a), []string{noticeChanged}) {
			t.Fatalf("state %v, told %q", bob.state(a), bob.notices(a))
		}
		if err := bob.VerifyWords(t.Context(), a, words); errorKind(err) != KindRefused {
			t.Errorf("words of before: %v", err)
		}
		if err := bob.VerifyContact(t.Context(), a, number); errorKind(err) != KindRefused {
			t.Errorf("number of before: %v", err)
		}
		if _, err := bob.Send(t.Context(), a, "secret"); errorKind(err) != KindRefused {
			t.Errorf("sent to a changed key: %v", err)
		}
		alice.say(b, "it is me")
		<-time.After(30 * time.Second)
		if bob.state(a) != ContactChanged {
			t.Error("a text made the contact active")
		}
		now := bob.contact(a).SafetyNumber
		if now == number || now != alice.contact(b).SafetyNumber {
			t.Error("safety numbers")
		}
		if err := bob.VerifyContact(t.Context(), a, now); err != nil || bob.state(a) != ContactActive {
			t.Fatal(err)
		}
		bob.say(a, "hello again")
		eventually(t, time.Minute, "delivered", func() bool { return bob.settled(a, Delivered) })
	})
}

// TestExpectedRotationIsSilent: the one that follows an address, once.
func TestExpectedRotationIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob, b, a := withKeys(t, w)
		bob.change(a, func(t *turn, c *contact) error { t.expectRotation(c); return nil })
		for n, want := range []ContactState{ContactActive, ContactChanged} {
			alice.change(b, func(t *turn, c *contact) error { return t.rotateIdentity(c) })
			<-time.After(30 * time.Second)
			if bob.state(a) != want || bob.contact(a).SafetyNumber != alice.contact(b).SafetyNumber {
				t.Errorf("rotation %d: state %v", n, bob.state(a))
			}
		}
	})
}
