package chat

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/circuit"
)

func TestRenameContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		if err := alice.RenameContact(t.Context(), b, " Robert\u202e "); err != nil || alice.contact(b).Name != "Robert" {
			t.Errorf("%v, name %q", err, alice.contact(b).Name)
		}
		if _, err := alice.CreateInvite(t.Context(), "Eve"); err != nil {
			t.Fatal(err)
		}
		for name, kind := range map[string]string{"EVE": KindExists, "": KindRefused, strings.Repeat("x", 65): KindTooLarge} {
			if err := alice.RenameContact(t.Context(), b, name); KindOf(err) != kind {
				t.Errorf("%q: %v", name, err)
			}
		}
		if err := alice.RenameContact(t.Context(), "c_none", "x"); KindOf(err) != KindNotFound {
			t.Error(err)
		}
	})
}

// TestBlockedContactLearnsNothing blocks a contact: what it sends is dropped and
// leaves the relays, nothing goes out to it, and after unblocking both write as
// before.
func TestBlockedContactLearnsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		bob.say(a, "first")
		eventually(t, time.Minute, "settled", func() bool { return bob.settled(a, Delivered) })
		bob.net.cut(false)
		id := alice.say(b, "on its way").ID
		eventually(t, time.Minute, "stored", func() bool { return alice.settled(b, Stored) })
		if err := alice.BlockContact(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if m := alice.message(b, id); m.State != Failed {
			t.Errorf("a message to who was blocked is %s", m.State)
		}
		if _, err := alice.Send(t.Context(), b, "more"); KindOf(err) != KindRefused {
			t.Errorf("sending to who is blocked: %v", err)
		}
		alice.events()
		<-time.After(time.Minute)
		bob.net.cut(true)
		dropped := bob.say(a, "dropped").ID
		<-time.After(10 * time.Minute)
		if m := bob.message(a, dropped); m.State != Stored {
			t.Errorf("bob sees %s: alice answered, or the block stays at the relay", m.State)
		}
		_ = alice.look(t.Context(), func(tt *turn) error {
			c := tt.book.contacts[b]
			for slot := range c.slots {
				if todo := tt.due(c, slot, nil); len(todo.jobs) > 0 {
					t.Errorf("%d blocks for who is blocked", len(todo.jobs))
				}
			}
			return nil
		})
		for _, r := range w.relays { // nothing waits for alice: she acknowledged it to the relay
			if n := waitingBlocks(t, alice, b, r); n > 0 {
				t.Errorf("%d blocks stay at a relay", n)
			}
		}
		if got := alice.texts(b, In); !slices.Equal(got, []string{"first"}) {
			t.Errorf("alice sees %q", got)
		}
		for _, ev := range alice.events() {
			if ev.Type == MessageReceived {
				t.Errorf("event of %q", ev.Message.Text)
			}
		}
		alice.crash()
		if alice.state(b) != ContactBlocked {
			t.Error("not blocked any more after a crash")
		}
		if err := alice.UnblockContact(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		bob.say(a, "again")
		alice.say(b, "hello again")
		eventually(t, 2*time.Minute, "both arrive", func() bool {
			return slices.Contains(alice.texts(b, In), "again") && slices.Contains(bob.texts(a, In), "hello again")
		})
		if slices.Contains(alice.texts(b, In), "dropped") {
			t.Error("what was dropped came back")
		}
	})
}

// waitingBlocks counts what lies in a user's own queues for a contact at a relay.
func waitingBlocks(t *testing.T, u *user, contact string, r *fakeRelay) (n int) {
	t.Helper()
	var queues []queueRecord
	_ = u.look(t.Context(), func(t *turn) error { queues = append(queues, t.book.contacts[contact].rec.Own[:]...); return nil })
	for i, q := range queues {
		if q.Relay != r.id {
			continue
		}
		p, err := u.openPost(t.Context(), circuit.Request{Purpose: circuit.Subscribe, Destination: q.Relay, Isolation: fmt.Sprint("test/", i)})
		if err != nil {
			t.Fatal(err)
		}
		view, _, err := p.Poll(t.Context(), q.owner(), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		n += int(view.Next - view.Lowest)
		p.Close()
	}
	return n
}

// TestRemoveContact removes a contact while its relays cannot be reached: it is
// gone from the disk at once, over restarts the farewell arrives and the queues
// are deleted, and the other side says so.
func TestRemoveContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		alice.say(b, "secret")
		bob.say(a, "answer")
		eventually(t, time.Minute, "settled", func() bool { return alice.settled(b, Delivered) && bob.settled(a, Delivered) })
		<-time.After(time.Minute)
		var queues []queueRecord
		_ = alice.look(t.Context(), func(t *turn) error { queues = append(queues, t.book.contacts[b].rec.Own[:]...); return nil })
		alice.net.cut(false)
		if err := alice.RemoveContact(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if list := must(alice.Contacts(t.Context())); len(list) != 0 {
			t.Errorf("contacts %v", list)
		}
		if _, err := alice.Messages(t.Context(), b, 0, 10); KindOf(err) != KindNotFound {
			t.Errorf("history: %v", err)
		}
		if err := alice.RemoveContact(t.Context(), b); KindOf(err) != KindNotFound {
			t.Errorf("twice: %v", err)
		}
		_ = alice.look(t.Context(), func(tt *turn) error {
			if last, err := tt.tx.History(b).Last(); last != 0 || err != nil {
				t.Errorf("history up to %d, %v", last, err)
			}
			for _, name := range []string{bucketOutbox, bucketWaiting, bucketSeen} {
				if last, err := tt.tx.Sequence(name + b).Last(); last != 0 || err != nil {
					t.Errorf("%s up to %d, %v", name, last, err)
				}
			}
			if raw, err := tt.tx.Bucket(bucketSession).Get(b); raw != nil || err != nil {
				t.Error("the keys are still there")
			}
			return nil
		})
		pending := bob.say(a, "are you there?").ID
		<-time.After(5 * time.Minute)
		alice.crash()
		eventually(t, 30*time.Minute, "bob is told", func() bool {
			for _, m := range must(bob.Messages(t.Context(), a, 0, 100)) {
				if m.Kind == KindMessageNotice && strings.Contains(m.Text, "removed you") {
					return true
				}
			}
			return false
		})
		if m := bob.message(a, pending); m.State != Failed {
			t.Errorf("bob's message is %s", m.State)
		}
		if list := must(bob.Contacts(t.Context())); list[0].Problem == "" {
			t.Error("bob's list says nothing of it")
		}
		if _, err := bob.Send(t.Context(), a, "hello?"); KindOf(err) != KindRefused {
			t.Errorf("bob writes on: %v", err)
		}
		eventually(t, 3*time.Hour, "nothing is left to be done", func() bool {
			left := 0
			_ = alice.look(t.Context(), func(t *turn) error { left = len(t.book.farewells) + len(t.book.trash); return nil })
			return left == 0
		})
		if err := bob.RemoveContact(t.Context(), a); err != nil || len(must(bob.Contacts(t.Context()))) != 0 {
			t.Errorf("bob removes: %v", err)
		}
	})
}

// TestFarewellIsGivenUp removes a contact whose relays are gone for good: that
// ends after a day.
func TestFarewellIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		<-time.After(time.Minute)
		bob.stop()
		for _, r := range w.relays {
			w.stop(r)
		}
		if err := alice.RemoveContact(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		eventually(t, 3*time.Hour, "given up", func() bool { // lab: a tenth of a day
			left := 1
			_ = alice.look(t.Context(), func(t *turn) error { left = len(t.book.farewells); return nil })
			return left == 0
		})
	})
}

// TestRemoveFailedInvite removes the contact of an invite that did not work.
func TestRemoveFailedInvite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob, eve := w.user(t), w.user(t), w.user(t)
		inv, err := alice.CreateInvite(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range []*user{eve, bob} {
			if _, err := u.AcceptInvite(t.Context(), inv.Link, "alice"); err != nil {
				t.Fatal(err)
			}
			<-time.After(30 * time.Second)
		}
		if bob.contact(bob.only()).Problem == "" {
			t.Fatal("the invite worked twice")
		}
		if err := bob.BlockContact(t.Context(), bob.only()); KindOf(err) != KindRefused {
			t.Errorf("block: %v", err)
		}
		if err := bob.RemoveContact(t.Context(), bob.only()); err != nil || len(must(bob.Contacts(t.Context()))) != 0 {
			t.Errorf("remove: %v", err)
		}
		if _, err := bob.AcceptInvite(t.Context(), inv.Link, "alice"); err != nil {
			t.Errorf("the name is not free again: %v", err)
		}
	})
}
