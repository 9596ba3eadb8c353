package chat

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat/session"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// own returns the queues of ours that a contact has been given.
func (u *user) own(contact string) (queues [2]queueRecord, old []oldQueues) {
	u.t.Helper()
	err := u.look(context.Background(), func(t *turn) error {
		rec := &t.book.contacts[contact].rec
		queues, old = rec.Own, slices.Clone(rec.Old)
		return nil
	})
	if err != nil {
		u.t.Fatal(err)
	}
	return queues, old
}

// refresh gives users a new snapshot, without some relays.
func (w *fakeWorld) refresh(users []*user, without ...directory.RelayID) {
	for _, u := range users {
		u.views.Set(w.view(without...))
	}
}

// elapse lets time pass with fresh snapshots.
func (w *fakeWorld) elapse(d time.Duration, users []*user, without ...directory.RelayID) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		w.refresh(users, without...)
		<-time.After(min(5*time.Minute, time.Until(end)))
	}
}

// settleIn waits until both sides write to each other's own queues.
func settleIn(t *testing.T, alice, bob *user, b, a string) {
	t.Helper()
	eventually(t, 5*time.Minute, "queues in use", func() bool {
		x, _ := alice.own(b)
		y, _ := bob.own(a)
		return x[0].InUse && x[1].InUse && y[0].InUse && y[1].InUse
	})
}

// TestQueuesMove lets two contacts talk while their queues move, each after 24 to
// 72 minutes: nothing is lost or doubled, the two never share a relay, and
// the queues of before are deleted.
func TestQueuesMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 7)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		settleIn(t, alice, bob, b, a)
		var texts []string
		moves := [2]int{}
		var last [2]time.Time
		before, _ := bob.own(a)
		for began := time.Now(); time.Since(began) < 2*time.Hour; {
			texts = append(texts, fmt.Sprint(len(texts)))
			alice.say(b, texts[len(texts)-1])
			w.refresh([]*user{alice, bob})
			for range 20 {
				<-time.After(30 * time.Second)
				now, old := bob.own(a)
				if now[0].Relay == now[1].Relay {
					t.Fatal("both queues are at one relay")
				}
				if len(old) > 4 {
					t.Errorf("%d old queues are read", len(old))
				}
				for n := range now {
					if now[n].Seed == before[n].Seed {
						continue
					}
					if apart := time.Since(last[1-n]); apart < bob.timing().moveApart-10*time.Second {
						t.Errorf("the queues moved within %v", apart)
					}
					moves[n]++
					last[n] = time.Now()
				}
				before = now
			}
		}
		if moves[0] < 1 || moves[0] > 5 || moves[1] < 1 || moves[1] > 5 {
			t.Errorf("the queues moved %v times in five lives of the shortest kind", moves)
		}
		eventually(t, time.Minute, "all delivered", func() bool { return alice.settled(b, Delivered) })
		bob.checkReceived(a, texts)
		if n := w.count(mailbox.CmdDel); n < 4 {
			t.Errorf("%d queues were deleted", n)
		}
	})
}

// TestRelayGoneForGood kills the relay of one queue, with or without its leaving
// the snapshot, or takes its disk: the queue is elsewhere within a minute, and
// the contact writes there.
func TestRelayGoneForGood(t *testing.T) {
	for how, slots := range map[string][]int{"killed": {0, 1}, "unlisted": {0}, "disk lost": {1}} {
		for _, n := range slots {
			t.Run(fmt.Sprint(how, " ", n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newFakeWorld(t, 7)
					alice, bob := w.user(t), w.user(t)
					b, a := befriend(t, alice, bob)
					settleIn(t, alice, bob, b, a)
					<-time.After(time.Minute)
					before, _ := bob.own(a)
					dead := w.relay(before[n].Relay)
					texts := []string{"on its way"}
					alice.say(b, texts[0])
					w.stop(dead)
					switch how {
					case "unlisted":
						w.refresh([]*user{alice, bob}, dead.id)
					case "disk lost":
						dead.dir = t.TempDir()
						w.start(dead)
					}
					limit := time.Minute
					if n == 1 && how != "unlisted" {
						limit += 2 * time.Minute // until the next poll
					}
					eventually(t, limit, "moved", func() bool {
						now, _ := bob.own(a)
						return now[n].Made && now[n].Relay != dead.id && now[n].InUse
					})
					for i := range 5 {
						texts = append(texts, fmt.Sprint(i))
						alice.say(b, texts[i+1])
					}
					eventually(t, time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) })
					bob.checkReceived(a, texts)
					// The queue of before is kept for oldKeep, and nobody misses it: a queue of
					// alice's may have been there too, and moves within three polls.
					eventually(t, 3*bob.timing().pollMax, "well again", func() bool { return bob.Status().Health == Connected })
					if _, old := bob.own(a); len(old) == 0 {
						t.Error("the old queue is gone already")
					}
				})
			})
		}
	}
}

// TestNoPlaceCostsNoMove: while no relay is listed to which a queue could move, none
// of the moves that are allowed at once is used up. Else it would wait for hours
// when there are relays again.
func TestNoPlaceCostsNoMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 7)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		settleIn(t, alice, bob, b, a)
		before, _ := bob.own(a)
		var others []directory.RelayID
		for _, r := range w.relays {
			if r.id != before[1].Relay {
				others = append(others, r.id)
			}
		}
		w.refresh([]*user{bob}, others...)
		<-time.After(2 * queueBurst * bob.timing().maintain)
		if now, _ := bob.own(a); now[0].Seed != before[0].Seed {
			t.Fatal("moved to no relay")
		}
		w.refresh([]*user{bob}, before[0].Relay)
		// A look finds it unlisted; the next queue is made and told in seconds.
		eventually(t, bob.timing().maintain+20*time.Second, "moved", func() bool {
			now, _ := bob.own(a)
			return now[0].Seed != before[0].Seed && now[0].InUse
		})
	})
}

// TestRestartMovesNothing restarts a relay within the time that a restart may
// take.
func TestRestartMovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 7)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		settleIn(t, alice, bob, b, a)
		<-time.After(time.Minute)
		before, _ := bob.own(a)
		for n := range before {
			w.stop(w.relay(before[n].Relay))
			<-time.After(bob.timing().moveSpan - time.Second)
			w.start(w.relay(before[n].Relay))
			<-time.After(time.Minute)
		}
		if now, _ := bob.own(a); now[0].Seed != before[0].Seed || now[1].Seed != before[1].Seed {
			t.Error("a queue moved because its relay was restarted")
		}
	})
}

// TestOfflineMovesNothing takes the network away from one side: its queues are
// not at fault.
func TestOfflineMovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 7)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		settleIn(t, alice, bob, b, a)
		before, _ := bob.own(a)
		bob.net.cut(false)
		<-time.After(10 * time.Minute)
		bob.net.cut(true)
		<-time.After(10 * time.Second)
		if now, _ := bob.own(a); now[0].Seed != before[0].Seed || now[1].Seed != before[1].Seed {
			t.Error("a queue moved because there was no network")
		}
	})
}

// TestContactWalksQueues has a contact say, again and again, that it cannot
// write, to walk our queues over all relays and learn which one is our guard:
// it is believed once a day and slot.
func TestContactWalksQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 8)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		settleIn(t, alice, bob, b, a)
		seen := make(map[[32]byte]bool)
		day := bob.timing().day
		for began := time.Now(); time.Since(began) < day-time.Minute; {
			now, _ := bob.own(a)
			for n := range now {
				seen[now[n].Seed] = true
				bad := session.QBad{Slot: byte(n), Generation: now[n].Gen, Code: session.QBadUnwritable}
				err := alice.do(t.Context(), func(t *turn) error {
					return t.sealControl(t.book.contacts[b], session.FrameQBad, bad.Append(nil))
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			w.elapse(4*time.Minute, []*user{alice, bob})
		}
		// One move of each, and at most one planned.
		if len(seen) < 4 || len(seen) > 6 {
			t.Errorf("bob had %d queues within a day", len(seen))
		}
	})
}

// TestLyingMailboxGivesNothingOut has the relay of the first queue sign for
// blocks and never give them out, while the subscription stands: the other
// replica delivers, the message is not called delivered before, and the queue
// leaves that relay.
func TestLyingMailboxGivesNothingOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 7)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		settleIn(t, alice, bob, b, a)
		<-time.After(time.Minute)
		before, _ := bob.own(a)
		liar := before[0].Relay
		w.setDrop(func(toRelay bool, relay directory.RelayID, c mailbox.Command) bool {
			return !toRelay && relay == liar && c == mailbox.CmdMsg
		})
		var texts []string
		moved := false
		for range 20 {
			texts = append(texts, fmt.Sprint(len(texts)))
			id := alice.say(b, texts[len(texts)-1]).ID
			<-time.After(time.Second)
			if m := alice.message(b, id); !moved && m.State == Delivered && len(bob.texts(a, In)) < len(texts) {
				t.Error("called delivered without proof")
			}
			w.elapse(time.Minute, []*user{alice, bob})
			now, _ := bob.own(a)
			moved = moved || now[0].Relay != liar
		}
		if !moved {
			t.Error("the queue is still at the relay that gives nothing out")
		}
		eventually(t, 3*time.Minute, "all delivered", func() bool { return alice.settled(b, Delivered) })
		bob.checkReceived(a, texts)
		_ = bob.look(t.Context(), func(turn *turn) error {
			c := turn.book.contacts[a]
			for range 50 {
				if relay, ok := turn.drawNext(c, 0, turn.m.views.Current(), directory.RelayID{}); !ok || relay == liar {
					t.Error("a queue may be placed there again")
				}
			}
			return nil
		})
	})
}
