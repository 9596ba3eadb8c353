package chat

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// shownWithin is what performance asks of the slowest of a hundred texts where
// nothing is far away.
const shownWithin = 60 * time.Millisecond

// shown waits until the next text comes and returns how long that took.
func (u *user) shown(since time.Time) time.Duration {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		ev, err := u.sub.Next(ctx)
		if err != nil {
			u.t.Fatal("a text did not come")
		}
		if ev.Type == MessageReceived {
			return time.Since(since)
		}
	}
}

// TestFirstCopyIsPushed sends texts one after the other. The first copy of each
// goes to the queue that is pushed, so that none waits for its second copy; that
// one follows after a time that tells little.
func TestFirstCopyIsPushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		<-time.After(time.Minute)
		bob.events()
		var pushed, polled directory.RelayID
		_ = bob.look(t.Context(), func(t *turn) error {
			own := t.book.contacts[a].rec.Own
			pushed, polled = own[0].Relay, own[1].Relay
			return nil
		})
		sends := make(chan directory.RelayID, 1000)
		times := make(chan time.Time, 1000)
		w.setDrop(func(toRelay bool, relay directory.RelayID, c mailbox.Command) bool {
			if toRelay && c == mailbox.CmdSend && (relay == pushed || relay == polled) { // alice's queues are elsewhere
				sends <- relay
				times <- time.Now()
			}
			return false
		})
		wait := alice.timing().secondCopy
		var late, early int
		const texts = 60
		for i := range texts {
			start := time.Now()
			alice.say(b, fmt.Sprint(i))
			if took := bob.shown(start); took > shownWithin {
				t.Errorf("text %d was shown after %v", i, took)
			}
			first := <-times
			if relay := <-sends; relay != pushed {
				t.Errorf("the first copy of text %d did not go to the queue that is pushed", i)
			}
			<-time.After(2 * wait)
			if len(sends) == 0 {
				continue // bob's acknowledgement came first
			}
			second := (<-times).Sub(first)
			if relay := <-sends; relay == pushed || second > wait+shownWithin {
				t.Errorf("the second copy of text %d came after %v", i, second)
			}
			switch {
			case second > wait/2:
				late++
			default:
				early++
			}
			if len(sends) > 0 {
				t.Fatalf("text %d was sent %d times more", i, len(sends))
			}
		}
		// Acknowledgements spare some of those that wait for long, but leave four of
		// ten texts one that waits for more than half of the time; then 7 or fewer
		// of 60 have a chance of 10^-6.
		if late < 8 || early < 8 {
			t.Errorf("of the second copies of %d texts %d waited for the second half of the time and %d for the first", texts, late, early)
		}
	})
}

// TestSecondCopiesHaveTheirOwnSteps: those to one queue are due on common steps,
// and those to another contact, or to another queue of the same one, are not, so
// that relays cannot tell by them that one sender writes to both.
func TestSecondCopiesHaveTheirOwnSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		wait := alice.timing().secondCopy
		step := wait / secondSteps
		err := alice.look(t.Context(), func(turn *turn) error {
			bob := turn.book.contacts[b]
			carol := newContact("c_carol")
			carol.rec.Peer = bob.rec.Peer
			if err := carol.address(); err != nil {
				return err
			}
			seen := make(map[time.Duration]bool)
			var late, early int
			for range 3 {
				for _, c := range []*contact{bob, carol} {
					var phase time.Duration
					for i := range 50 {
						turn.now = turn.now.Add(7 * time.Millisecond)
						var o outgoing
						turn.spread(c, &o)
						second := o.due[1]
						if second.Before(turn.now) || second.Sub(turn.now) > wait {
							t.Errorf("a second copy is due after %v", second.Sub(turn.now))
						}
						switch waits := second.Sub(turn.now); {
						case waits > wait*3/4:
							late++
						case waits < wait/4:
							early++
						}
						p := second.Sub(second.Truncate(step))
						if i > 0 && p != phase {
							t.Errorf("the phases of two copies to one queue are %v and %v", phase, p)
						}
						phase = p
					}
					if seen[phase] {
						t.Error("two queues have one phase")
					}
					seen[phase] = true
				}
				if err := bob.address(); err != nil { // as for new queues
					return err
				}
				if err := carol.address(); err != nil {
					return err
				}
			}
			// Each of these quarters takes 70 of 300; 34 or fewer have a chance of
			// 10^-6.
			if late < 35 || early < 35 {
				t.Errorf("of 300 second copies %d are due in the last quarter of the time and %d in the first", late, early)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestClockHoldsUpNoSecondCopy: when a copy is due does not change if the wall
// clock is set.
func TestClockHoldsUpNoSecondCopy(t *testing.T) {
	var o outgoing
	(&turn{m: new(Messenger), now: time.Now()}).spread(newContact("c_bob"), &o)
	for slot, due := range o.due {
		if due == due.Round(0) {
			t.Errorf("the copy of slot %d is due by the wall clock alone", slot)
		}
	}
}

// TestUnansweredTextHoldsUpNone sends texts while the relay's answers are lost:
// each is on its way at once, not after the one before it was given up.
func TestUnansweredTextHoldsUpNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		<-time.After(time.Minute)
		alice.say(b, "warm")
		eventually(t, time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) })
		bob.events()
		w.setDrop(func(toRelay bool, _ directory.RelayID, c mailbox.Command) bool { return !toRelay && c == mailbox.CmdOK })
		texts := []string{"warm"}
		for i := range 4 {
			start := time.Now()
			texts = append(texts, fmt.Sprint(i))
			alice.say(b, texts[i+1])
			if took := bob.shown(start); took > shownWithin {
				t.Errorf("text %d was shown after %v", i, took)
			}
			<-time.After(alice.timing().hedge / 8)
		}
		list, _ := alice.Messages(t.Context(), b, 0, 10)
		for _, m := range list[1:] {
			if m.State != Queued {
				t.Errorf("%q is %v without a receipt", m.Text, m.State)
			}
		}
		w.setDrop(nil)
		eventually(t, time.Minute, "all delivered", func() bool { return alice.settled(b, Delivered) })
		bob.checkReceived(a, texts)
	})
}

// TestStandInKeepsOrder kills the relay of the queue that is pushed under a
// stream of texts: they go on over the other one, once each and in order.
func TestStandInKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 6)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		<-time.After(time.Minute)
		var pushed directory.RelayID
		_ = bob.look(t.Context(), func(t *turn) error { pushed = t.book.contacts[a].rec.Own[0].Relay; return nil })
		var texts []string
		for i := range 60 {
			texts = append(texts, fmt.Sprint(i))
			alice.say(b, texts[i])
			if i == 20 {
				w.stop(w.relay(pushed))
			}
			<-time.After(50 * time.Millisecond)
		}
		eventually(t, time.Minute, "all received", func() bool { return len(bob.texts(a, In)) == len(texts) })
		list, _ := bob.Messages(t.Context(), a, 0, 100)
		for i, m := range list {
			if m.Text != texts[i] || m.Late {
				t.Errorf("text %d is %q, late %v", i, m.Text, m.Late)
			}
		}
	})
}

// TestBrokenWayIsReplacedAtOnce breaks the circuit under a text that is on its
// way: the same text goes out over another one at once, and not after the time
// for an answer.
func TestBrokenWayIsReplacedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		w.lab = false
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		for i := range 4 {
			<-time.After(time.Minute)
			bob.events()
			lost := make(chan struct{}, 100)
			w.setDrop(func(toRelay bool, _ directory.RelayID, c mailbox.Command) bool {
				if toRelay && c == mailbox.CmdSend {
					lost <- struct{}{}
					return true
				}
				return false
			})
			start := time.Now()
			alice.say(b, fmt.Sprint(i))
			<-lost
			w.setDrop(nil)
			alice.net.mu.Lock()
			var ways []*fakeRoute
			for r := range alice.net.on {
				if r.info.Purpose == circuit.Send {
					ways = append(ways, r)
				}
			}
			alice.net.mu.Unlock()
			for _, r := range ways {
				r.Close()
			}
			if took := bob.shown(start); took > time.Second {
				t.Errorf("the text came after %v", took)
			}
		}
	})
}

// TestTwoBrokenWaysEndTheWait breaks both circuits under a text whose relay does
// not answer: the text goes out anew after the shortest rest, and not after the
// time for an answer over the second one.
func TestTwoBrokenWaysEndTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		w.lab = false
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		<-time.After(10 * time.Minute) // no circuit to send over is open
		w.setDrop(func(toRelay bool, _ directory.RelayID, c mailbox.Command) bool {
			return toRelay && c == mailbox.CmdSend
		})
		alice.say(b, "lost")
		var ways []*fakeRoute
		eventually(t, time.Minute, "a second circuit to one queue", func() bool {
			alice.net.mu.Lock()
			defer alice.net.mu.Unlock()
			ways = nil
			to := make(map[directory.RelayID]int)
			second := false
			for r := range alice.net.on {
				if r.info.Purpose == circuit.Send {
					ways = append(ways, r)
					to[r.relay.id]++
					second = second || to[r.relay.id] == 2
				}
			}
			return second
		})
		<-time.After(time.Second)
		sent := make(chan struct{}, 100)
		w.setDrop(func(toRelay bool, _ directory.RelayID, c mailbox.Command) bool {
			if toRelay && c == mailbox.CmdSend {
				sent <- struct{}{}
			}
			return false
		})
		for _, r := range ways {
			r.Close()
		}
		start := time.Now()
		<-sent
		if took := time.Since(start); took > alice.timing().retryMin+time.Second {
			t.Errorf("the text went out again after %v", took)
		}
	})
}
