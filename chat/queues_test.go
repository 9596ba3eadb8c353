package chat

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/relay/mailbox"
)

// TestProfileOpenElsewhere runs one profile twice, from a copy: each is told that
// it is open elsewhere, by which relay, and the two do not take each other's
// subscriptions without end.
func TestProfileOpenElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 7)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		settleIn(t, alice, bob, b, a)
		<-time.After(time.Minute)
		bob.stop()
		twin := w.user(t)
		twin.stop()
		twin.home = twin.home + "-copy"
		if err := copyHome(bob.home, twin.home); err != nil {
			t.Fatal(err)
		}
		bob.start()
		<-time.After(10 * time.Second)
		bob.events()
		before := w.count(mailbox.CmdSub)
		twin.start()
		const minutes = 10
		<-time.After(minutes * time.Minute)
		told := 0
		for _, ev := range append(bob.events(), twin.events()...) {
			if ev.Type == ErrorEvent && strings.HasPrefix(ev.Detail, "this profile is open elsewhere, says the relay ") {
				told++
			}
		}
		if told == 0 || told > 2*(minutes+1) {
			t.Errorf("it was said %d times in %d minutes", told, minutes)
		}
		// Beside polls of the second queues, and alice's.
		if n := w.count(mailbox.CmdSub) - before; n > 12*minutes {
			t.Errorf("%d SUBs in %d minutes", n, minutes)
		}
		alice.say(b, "who is it?")
		eventually(t, 3*time.Minute, "received by one of them", func() bool {
			return len(bob.texts(a, In))+len(twin.texts(a, In)) > 0
		})
	})
}

// TestInviteQueuesAreDeleted: the relays of an invite that expired, and of one
// that was used and left, are asked to delete its queues.
func TestInviteQueuesAreDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 7)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		settleIn(t, alice, bob, b, a)
		if _, err := alice.CreateInvite(t.Context(), "nobody"); err != nil {
			t.Fatal(err)
		}
		if n := w.count(mailbox.CmdDel); n != 0 {
			t.Fatalf("%d queues were deleted early", n)
		}
		w.elapse(2*alice.timing().oldKeep, []*user{alice, bob})
		if n := w.count(mailbox.CmdDel); n != 2 || alice.net.visits("del/") < n {
			t.Fatalf("%d queues of the used invite were deleted, over %d circuits of their own", n, alice.net.visits("del/"))
		}
		alice.leave() // what is to be deleted is on the disk
		<-time.After(inviteLife / 60)
		alice.crash()
		w.elapse(20*time.Minute, []*user{alice, bob})
		if n := w.count(mailbox.CmdDel); n < 4 {
			t.Errorf("%d queues were deleted, want the four of two invites", n)
		}
	})
}

// TestOldQueueIsNotDeletedUnread: a program that did not run while an old queue
// was to be read empty does that before it has the queue deleted.
func TestOldQueueIsNotDeletedUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 7)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		settleIn(t, alice, bob, b, a)
		<-time.After(time.Minute)
		alice.stop()
		<-time.After(2 * alice.timing().oldKeep)
		alice.start()
		alice.net.cut(false)
		w.refresh([]*user{alice, bob})
		<-time.After(time.Minute)
		if _, old := alice.own(b); len(old) != 1 || old[0].Left == 0 {
			t.Fatalf("the queues of the invite were given up unread: %d left", len(old))
		}
		alice.net.cut(true)
		eventually(t, time.Hour, "read and deleted", func() bool { _, old := alice.own(b); return len(old) == 0 })
	})
}

// TestAnswerWithoutRoom: an answer to a new queue that found no room in the window
// is given later, or the contact would read its old queue, and move no other, for
// ever.
func TestAnswerWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 7)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		settleIn(t, alice, bob, b, a)
		alice.change(b, func(_ *turn, c *contact) error { c.rec.Own[0].InUse = false; return nil })
		bob.change(a, func(_ *turn, c *contact) error { c.rec.Peer[0].Untold = true; return nil })
		eventually(t, time.Minute, "answered", func() bool { q, _ := alice.own(b); return q[0].InUse })
	})
}

// TestMovedQueueHasItsOwnCircuits: no two queues share a name of circuits, or
// their relays could be told to serve one client.
func TestMovedQueueHasItsOwnCircuits(t *testing.T) {
	a, b := newQueue([32]byte{1}), newQueue([32]byte{1})
	if inIsolation("c_x", &a) == inIsolation("c_x", &b) || inIsolation("c_x", &a) == inIsolation("c_y", &a) {
		t.Error("two queues share circuits")
	}
}
