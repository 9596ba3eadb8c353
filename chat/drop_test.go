package chat

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// queueRelays returns the relays of all queues between two users.
func queueRelays(alice, bob *user, b, a string) []directory.RelayID {
	var ids []directory.RelayID
	x, _ := alice.own(b)
	y, _ := bob.own(a)
	for _, q := range append(x[:], y[:]...) {
		ids = append(ids, q.Relay)
	}
	return ids
}

// TestAllRelaysOfBothGone takes all relays of both sides' queues out of the
// network: they find each other within three days, and nothing is lost.
func TestAllRelaysOfBothGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 10)
		alice, bob := w.user(t), w.user(t)
		users := []*user{alice, bob}
		b, a := befriend(t, alice, bob)
		settleIn(t, alice, bob, b, a)
		<-time.After(time.Minute)
		gone := queueRelays(alice, bob, b, a)
		for _, id := range gone {
			w.stop(w.relay(id))
		}
		w.refresh(users, gone...)
		alice.say(b, "where are you?")
		bob.say(a, "where are you, alice?")
		day, began := alice.timing().day, time.Now()
		for time.Since(began) < 3*day && !(alice.settled(b, Delivered) && bob.settled(a, Delivered)) {
			w.elapse(time.Minute, users, gone...)
		}
		if !alice.settled(b, Delivered) || !bob.settled(a, Delivered) {
			t.Fatal("no contact within three days")
		}
		t.Logf("contact after %.1f days", time.Since(began).Hours()/day.Hours())
		bob.checkReceived(a, []string{"where are you?"})
		alice.checkReceived(b, []string{"where are you, alice?"})
		began = time.Now()
		alice.say(b, "found")
		eventually(t, time.Minute, "an ordinary delivery", func() bool { return alice.settled(b, Delivered) })
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("afterwards a text takes %v", took)
		}
	})
}

// TestSilenceIsCheap counts what reading the queues of last resort of a contact
// costs that is away for days: eight visits a day and a few more, and nothing is
// written while its queues take what is sent.
func TestSilenceIsCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 8)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		settleIn(t, alice, bob, b, a)
		<-time.After(time.Minute)
		bob.stop()
		alice.say(b, "for later")
		const days = 8
		day := alice.timing().day
		w.elapse(days*day, []*user{alice})
		visits := alice.net.visits("drop/")
		// From the second day on, every 18 to 22 hours.
		reads := float64(visits) / (2 * dropReads)
		if most := float64((days-dropSilence)*24)/18 + 1; reads > most || reads < (days-dropSilence-1)*24/22 {
			t.Errorf("%d visits in %d days, that is reading %.1f times", visits, days, reads)
		}
		if n := w.count(mailbox.CmdNew); n > 20 {
			t.Errorf("%d queues were made", n)
		}
		bob.start()
		eventually(t, 10*time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) })
		bob.checkReceived(a, []string{"for later"})
	})
}

// TestDropPlaces: both sides compute the same queues, those of two directions,
// days and secrets differ, and a relay more or less moves few of them.
func TestDropPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 12)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		type places map[string][]directory.RelayID
		of := func(u *user, contact string, write bool, view *directory.View) places {
			p := make(places)
			_ = u.look(t.Context(), func(t *turn) error {
				d := t.book.contacts[contact].session.Drops(t.now)[0]
				for day := range uint32(20) {
					q := dropAt(view, d, day, write, dropReads)
					p[fmt.Sprintf("%x", q.keys.Seed)] = q.relays
				}
				return nil
			})
			return p
		}
		view := w.view()
		wrote, read, other := of(alice, b, true, view), of(bob, a, false, view), of(alice, b, false, view)
		if len(wrote) != 20 || fmt.Sprint(wrote) != fmt.Sprint(read) {
			t.Error("what one side writes is not what the other reads")
		}
		for seed := range other {
			if wrote[seed] != nil {
				t.Error("both directions have one queue")
			}
		}
		// Two relays that came between writing and reading hide nothing.
		before := w.view(w.relays[0].id, w.relays[1].id)
		for seed, relays := range of(alice, b, true, before) {
			found := 0
			for _, id := range relays[:dropWrites] {
				for _, r := range read[seed] {
					if id == r {
						found++
					}
				}
			}
			if found != dropWrites {
				t.Errorf("%d of %d places are read when two relays came", found, dropWrites)
			}
		}
	})
}
