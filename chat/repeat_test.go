package chat

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// swallow has relays lose SENDs or their answers, and counts the SENDs.
func (w *fakeWorld) swallow(relays ...directory.RelayID) (sends func() int) {
	n := 0
	w.setDrop(func(toRelay bool, relay directory.RelayID, c mailbox.Command) bool {
		for _, id := range relays {
			if id == relay && toRelay && c == mailbox.CmdSend {
				n++
				return true
			}
		}
		return false
	})
	return func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return n
	}
}

// TestForcedRepeats has relays swallow a text, to provoke repeats at moments
// that show who sends them: they get six at most, each over two circuits, and
// the second replica delivers.
func TestForcedRepeats(t *testing.T) {
	for _, both := range []bool{false, true} {
		t.Run(fmt.Sprint("both ", both), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newFakeWorld(t, 7)
				alice, bob := w.user(t), w.user(t)
				b, a := befriend(t, alice, bob)
				settleIn(t, alice, bob, b, a)
				<-time.After(time.Minute)
				queues, _ := bob.own(a)
				bob.stop()
				relays := []directory.RelayID{queues[0].Relay}
				if both {
					relays = append(relays, queues[1].Relay)
				}
				sends := w.swallow(relays...)
				id := alice.say(b, "swallowed").ID
				<-time.After(alice.timing().repeatLate[2] * 5 / 4)
				frames := 0
				_ = alice.look(t.Context(), func(turn *turn) error {
					c := turn.book.contacts[b]
					frames = len(c.out)
					for _, o := range c.out {
						for slot, tried := range o.rec.Tried {
							if tried != nil && tried.Times > 1+repeatLimit {
								t.Errorf("a frame left %d times for queue %d", tried.Times, slot)
							}
						}
					}
					return nil
				})
				// Each goes over a second circuit as well, as nobody answers. When
				// nothing can be written to, queues of last resort take a few.
				most := len(relays) * 2 * (1 + repeatLimit) * frames
				if n := sends(); n == 0 || !both && n > most {
					t.Errorf("%d SENDs of %d frames were swallowed, want at most %d", n, frames, most)
				}
				want := Stored
				if both {
					want = Queued
				}
				if m := alice.message(b, id); m.State != want {
					t.Errorf("the text is %v", m.State)
				}
				if both {
					return
				}
				bob.start()
				eventually(t, 10*time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) })
				bob.checkReceived(a, []string{"swallowed"})
			})
		})
	}
}

// TestForcedAcknowledgements: neither does a relay get pure acknowledgements
// without end.
func TestForcedAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 7)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		settleIn(t, alice, bob, b, a)
		<-time.After(time.Minute)
		queues, _ := alice.own(b)
		sends := w.swallow(queues[0].Relay, queues[1].Relay)
		alice.say(b, "acknowledge this")
		<-time.After(20 * time.Minute)
		frames := 0 // of bob's, which go to both queues
		_ = bob.look(t.Context(), func(t *turn) error { frames = len(t.book.contacts[a].out); return nil })
		if n, most := sends(), 2*(1+repeatLimit)*(2+2*frames); n == 0 || n > most {
			t.Errorf("%d acknowledgements and frames were swallowed, want at most %d", n, most)
		}
	})
}

// TestLateAcknowledgement loses all that the contact sends until a text that it
// has counts as failed here: then it is delivered after all.
func TestLateAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mute atomic.Bool
		w := newFakeWorld(t, 7)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		settleIn(t, alice, bob, b, a)
		<-time.After(time.Minute)
		w.setDrop(func(toRelay bool, _ directory.RelayID, c mailbox.Command) bool {
			return toRelay && c == mailbox.CmdSend && mute.Load()
		})
		id := alice.say(b, "did it come?").ID
		bob.checkReceived(a, []string{"did it come?"})
		mute.Store(true) // before bob's acknowledgement
		bob.stop()
		alice.stop()
		<-time.After(alice.timing().expire + time.Minute)
		alice.start()
		eventually(t, time.Minute, "given up", func() bool { return alice.message(b, id).State == Failed })
		alice.crash() // the proof may come in another run
		w.setDrop(nil)
		bob.start()
		w.refresh([]*user{alice, bob})
		bob.say(a, "yes")
		eventually(t, 10*time.Minute, "delivered after all", func() bool { return alice.message(b, id).State == Delivered })
		if left := alice.gaveUp(b); left != 0 {
			t.Errorf("%d given-up frames are remembered for nothing", left)
		}
	})
}

func (u *user) gaveUp(contact string) (n int) {
	_ = u.look(u.t.Context(), func(t *turn) error {
		n = len(t.book.contacts[contact].gaveUp)
		return nil
	})
	return n
}

// TestMonthOffline keeps one side offline for 30 days, while the other gave up a
// hundred texts: the next one is delivered, and the hundred are shown as lost.
func TestMonthOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 7)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		settleIn(t, alice, bob, b, a)
		<-time.After(time.Minute)
		bob.stop()
		err := alice.do(t.Context(), func(t *turn) error {
			for _, text := range numbered("lost", 100) {
				if _, err := t.sendText(b, text, SendOptions{}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		day := alice.timing().day
		for range 15 {
			w.elapse(2*day, []*user{alice})
		}
		if !alice.settled(b, Failed) {
			t.Error("not all texts failed")
		}
		alice.crash()
		bob.start()
		bob.events()
		w.refresh([]*user{alice, bob})
		id := alice.say(b, "the next one").ID
		eventually(t, 30*time.Minute, "delivered", func() bool { return alice.message(b, id).State == Delivered })
		bob.checkReceived(a, []string{"the next one"})
		lost := 0 // frames of the messenger's own included
		for _, ev := range bob.events() {
			var n int
			if _, err := fmt.Sscanf(ev.Detail, "alice: %d parts of messages will never arrive", &n); err == nil {
				lost += n
			}
		}
		if lost < 100 || lost > 120 {
			t.Errorf("%d parts of messages are told to be lost, want 100 and a few", lost)
		}
		eventually(t, 10*time.Minute, "given-up frames are forgotten", func() bool { return alice.gaveUp(b) == 0 })
	})
}

// TestLateCopyOfGroup: a copy of a text to a group that was given up, although its
// member has it, counts once the proof comes, and with the last one the text is
// delivered after all. Copies that were never proven do not count.
func TestLateCopyOfGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newCircle(t, 7, 3)
		alice, bob, carol := k.users[0], k.users[1], k.users[2]
		id := k.group(10 * time.Minute)
		<-time.After(time.Minute)
		carol.stop()
		k.w.setDrop(nil)
		number := alice.say(id, "to all").ID
		eventually(t, time.Minute, "received", func() bool { return len(bob.groupTexts(id)) == 1 })
		k.w.setDrop(func(toRelay bool, _ directory.RelayID, c mailbox.Command) bool {
			return toRelay && c == mailbox.CmdSend
		})
		bob.stop()
		alice.stop()
		k.w.setDrop(nil)
		<-time.After(alice.timing().expire + time.Minute)
		alice.start()
		eventually(t, time.Minute, "given up", func() bool { return alice.message(id, number).State == Failed })
		alice.crash()
		bob.start()
		k.w.refresh([]*user{alice, bob})
		bob.say(k.at[1][0], "here")
		eventually(t, 10*time.Minute, "bob's copy counts", func() bool { return alice.message(id, number).Delivered.Have == 1 })
		m := alice.message(id, number)
		if m.State != Failed || *m.Delivered != (Copies{1, 2}) {
			t.Errorf("with one proof of two the text is %v %v", m.State, m.Delivered)
		}
		_ = alice.do(t.Context(), func(turn *turn) error { // as the proof of carol's frame does
			c := turn.book.contacts[k.at[0][2]]
			_, n, _ := parseMessageID(number)
			for range 2 { // and a second one does nothing
				if err := turn.takeLateCopy(c, id, n); err != nil {
					return err
				}
			}
			return nil
		})
		if m = alice.message(id, number); m.State != Delivered || *m.Delivered != (Copies{2, 2}) {
			t.Errorf("with both proofs the text is %v %v", m.State, m.Delivered)
		}
	})
}

// TestQuotaReleasedByAck: the queues of a contact that does not read rest for
// hours when they are full, but only until its next acknowledgement.
func TestQuotaReleasedByAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 7)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		settleIn(t, alice, bob, b, a)
		<-time.After(time.Minute)
		fill := func() {
			_ = alice.do(t.Context(), func(t *turn) error {
				c := t.book.contacts[b]
				for i := range c.slots {
					c.rest(i, t.now.Add(6*time.Hour), "mailbox relay refused SEND: QUOTA", true)
				}
				return nil
			})
		}
		fill()
		alice.say(b, "no room")
		<-time.After(10 * time.Minute)
		if len(bob.texts(a, In)) != 0 {
			t.Fatal("sent although the queues are full")
		}
		_ = alice.do(t.Context(), func(t *turn) error {
			c := t.book.contacts[b]
			c.slots[0].rests = time.Time{}
			t.touch(c)
			return nil
		})
		eventually(t, time.Minute, "one text sent", func() bool { return len(bob.texts(a, In)) == 1 })
		fill()
		alice.say(b, "no room again")
		eventually(t, time.Minute, "released", func() bool { return len(bob.texts(a, In)) == 2 })
	})
}
