package chat

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// TestRetry has a copy that waits for its relay tried at once, and counts the
// failures before on.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		<-time.After(time.Minute)
		bob.stop()
		var relay directory.RelayID
		slots := func(see func(s *slot)) {
			alice.must(alice.look(t.Context(), func(t *turn) error { see(&t.book.contacts[b].slots[1]); return nil }))
		}
		slots(func(s *slot) { relay = s.addr.Relay })
		down := w.relay(relay)
		w.stop(down)
		m := alice.say(b, "try again")
		rested := func(least time.Duration) func() bool {
			return func() (ok bool) {
				slots(func(s *slot) { ok = time.Until(s.rests) > least })
				return ok
			}
		}
		eventually(t, time.Minute, "a long rest", rested(2*time.Second))
		fails := 0
		slots(func(s *slot) { fails = s.fails })
		alice.must(alice.Retry(t.Context(), m.ID)) // in vain: the relay is still down
		eventually(t, time.Second, "another failure", func() (ok bool) {
			slots(func(s *slot) { ok = s.fails == fails+1 })
			return ok
		})
		eventually(t, time.Minute, "a long rest again", rested(2*time.Second))
		w.start(down)
		if got := alice.message(b, m.ID).Copies.Have; got != 1 {
			t.Fatalf("%d copies", got)
		}
		alice.must(alice.Retry(t.Context(), m.ID))
		eventually(t, time.Second, "stored twice", func() bool { return alice.message(b, m.ID).Copies.Have == 2 })
		if err := alice.Retry(t.Context(), m.ID); KindOf(err) != KindRefused {
			t.Errorf("all copies are stored: %v", err)
		}
	})
}

// TestRetryKeepsCopiesApart: a copy that never left keeps the moment that was
// drawn for it, however often its user asks, or two relays would see two blocks
// come together.
func TestRetryKeepsCopiesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		<-time.After(time.Minute)
		bob.stop()
		m := alice.say(b, "one after the other")
		var before, after [2]time.Time
		due := func(at *[2]time.Time) {
			alice.must(alice.look(t.Context(), func(t *turn) error {
				for _, o := range t.book.contacts[b].out {
					*at = o.due
				}
				return nil
			}))
		}
		due(&before)
		for range 3 {
			if err := alice.Retry(t.Context(), m.ID); KindOf(err) != KindRefused {
				t.Errorf("nothing failed, and yet: %v", err)
			}
		}
		if due(&after); before != after {
			t.Errorf("copies were to leave at %v, now at %v", before, after)
		}
	})
}

// TestRetryRefused says why nothing can be tried.
func TestRetryRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		m := alice.say(b, "arrives")
		eventually(t, time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) })
		note, err := alice.Send(context.Background(), NotesID, "to myself")
		alice.must(err)
		refuse := func(u *user, id, kind, text string) {
			t.Helper()
			if err := u.Retry(t.Context(), id); KindOf(err) != kind || err.Error() != text {
				t.Errorf("%v, want %s %q", err, kind, text)
			}
		}
		refuse(alice, m.ID, KindRefused, "this message is delivered")
		refuse(alice, note.ID, KindRefused, "a note stays on this machine")
		refuse(alice, "m_nothing_1", KindNotFound, "there is no such message")
		refuse(bob, bob.lastIn(a), KindRefused, "this message was written to you")
		bob.stop()
		kept := alice.say(b, "to a blocked contact")
		alice.must(alice.BlockContact(t.Context(), b))
		refuse(alice, kept.ID, KindRefused, "this message has failed for good")
		inv, err := alice.CreateInvite(t.Context(), "")
		alice.must(err)
		carol := w.user(t)
		alice.stop()
		c, err := carol.AcceptInvite(t.Context(), inv.Link, "alice")
		carol.must(err)
		early := carol.say(c.ID, "are you there?")
		<-time.After(time.Minute)
		if err := carol.Retry(t.Context(), early.ID); KindOf(err) != KindRefused {
			t.Errorf("to a contact who did not answer: %v", err)
		}
	})
}

// lastIn returns the id of the last message that was received.
func (u *user) lastIn(contact string) (id string) {
	u.t.Helper()
	list, err := u.Messages(context.Background(), contact, 0, 1000)
	u.must(err)
	for _, m := range list {
		if m.Direction == In {
			id = m.ID
		}
	}
	return id
}
