package chat

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat/session"
	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// TestFailedTransactionLeavesNothing lets the disk fail after a message was
// enqueued in memory, and after one was found delivered: what was not written
// did not happen, and what did happen is told later.
func TestFailedTransactionLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		full := errors.New("no space left on device")
		err := alice.do(t.Context(), func(tn *turn) error {
			if _, err := tn.sendText(b, "never written", SendOptions{}); err != nil {
				return err
			}
			return full
		})
		if KindOf(err) != KindIO {
			t.Fatalf("error %v", err)
		}
		<-time.After(2 * time.Minute) // ticks and snapshots look at every contact
		m := alice.say(b, "written")
		eventually(t, time.Minute, "delivered", func() bool { return alice.message(b, m.ID).State == Delivered })
		bob.checkReceived(a, []string{"written"})

		// A message whose last turn failed still gets its state.
		w.setDrop(func(toRelay bool, _ directory.RelayID, c mailbox.Command) bool {
			return !toRelay && c == mailbox.CmdMsg
		})
		m = alice.say(b, "acknowledged in a turn that fails")
		eventually(t, time.Minute, "stored", func() bool { return alice.message(b, m.ID).State == Stored })
		err = alice.do(t.Context(), func(tn *turn) error {
			if err := tn.finalize(tn.book.contacts[b], m.Seq, finalDelivered, ""); err != nil {
				return err
			}
			return full
		})
		if KindOf(err) != KindIO {
			t.Fatalf("error %v", err)
		}
		if s := alice.message(b, m.ID).State; s == Delivered {
			t.Error("delivered without a proof")
		}
		w.setDrop(nil)
		bob.net.cut(false)
		bob.net.cut(true)
		eventually(t, 5*time.Minute, "delivered", func() bool { return alice.message(b, m.ID).State == Delivered })
	})
}

// TestContactWalksItsQueue is a contact that names one queue after the other,
// to have us build circuits to every relay: only so many are followed.
func TestContactWalksItsQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 8)
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		<-time.After(time.Minute)
		name := func(n int) {
			t.Helper()
			err := alice.do(t.Context(), func(tn *turn) error {
				c := tn.book.contacts[b]
				var add session.QAdd
				add.Slot, add.Generation = 0, c.rec.Peer[0].Gen+c.rec.Peer[0].NextGen+uint32(n)+1
				add.Addr = c.slots[1].addr
				return tn.takeQueue(c, add.Append(nil))
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		followed := func() (gen uint32) {
			t.Helper()
			if err := alice.look(t.Context(), func(tn *turn) error { gen = tn.book.contacts[b].rec.Peer[0].Gen; return nil }); err != nil {
				t.Fatal(err)
			}
			return gen
		}
		changes, last := 0, followed()
		for n := range 20 {
			name(n)
			if g := followed(); g != last {
				changes, last = changes+1, g
			}
		}
		if changes > queueBurst {
			t.Errorf("%d queues followed at once, at most %d", changes, queueBurst)
		}
		<-time.After(timingOf(true).queueFollow + time.Minute)
		if followed() == last {
			t.Error("the newest queue is not followed later")
		}
	})
}

// TestLeftMailboxServesOneQueue: a mailbox that was left open for a queue is not
// used for the one that the contact names next, even at the same relay.
func TestLeftMailboxServesOneQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 8)
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		<-time.After(time.Minute)
		isolation := outIsolation(b, 0)
		var at session.QAddr
		if err := alice.look(t.Context(), func(tn *turn) error { at = tn.book.contacts[b].slots[0].addr; return nil }); err != nil {
			t.Fatal(err)
		}
		p, err := alice.openPost(t.Context(), circuit.Request{Purpose: circuit.Send, Destination: at.Relay, Isolation: isolation})
		if err != nil {
			t.Fatal(err)
		}
		alice.left.leave(isolation, p, time.Minute)
		err = alice.do(t.Context(), func(tn *turn) error {
			c := tn.book.contacts[b]
			add := session.QAdd{Slot: 0, Generation: c.rec.Peer[0].Gen + 1, Addr: c.slots[0].addr}
			return tn.takeQueue(c, add.Append(nil))
		})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case <-p.Done():
		default:
			t.Error("the mailbox of the old queue is still open")
		}
	})
}

// TestRepeatedBlockIsAcknowledgedAgain repeats a block whose acknowledgement was
// lost; a relay that pushes it again and again gets no answer to each.
func TestRepeatedBlockIsAcknowledgedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		<-time.After(time.Minute)
		m := alice.say(b, "once")
		var inner []byte
		err := alice.look(t.Context(), func(tn *turn) error {
			for _, o := range tn.book.contacts[b].out {
				if o.rec.Number == m.Seq {
					inner = o.rec.Inner
				}
			}
			return nil
		})
		if err != nil || inner == nil {
			t.Fatal("no frame in the outbox", err)
		}
		eventually(t, time.Minute, "delivered", func() bool { return alice.message(b, m.ID).State == Delivered })
		<-time.After(10 * time.Minute)
		again := func() int {
			before := w.count(mailbox.CmdSend)
			err := bob.do(t.Context(), func(tn *turn) error {
				c := tn.book.contacts[a]
				tn.touch(c)
				err := tn.takeInner(c, inner)
				tn.oweAck(c)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(20 * time.Second)
			return w.count(mailbox.CmdSend) - before
		}
		if n := again(); n != 1 {
			t.Errorf("%d answers to a repeated block, want 1", n)
		}
		for range 2 {
			if n := again(); n != 0 {
				t.Errorf("%d answers to a block pushed again at once, want none", n)
			}
		}
		bob.checkReceived(a, []string{"once"})
	})
}
