package chat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat/store"
)

// readSince reads the durable events behind a number that are there now.
func (u *user) readSince(since uint64) (list []Event) {
	u.t.Helper()
	sub, err := u.SubscribeSince(context.Background(), since)
	if err != nil {
		u.t.Fatal(err)
	}
	defer sub.Close()
	for sub.cursor < sub.floor || len(sub.replayed) > 0 {
		ev, err := sub.Next(context.Background())
		if err != nil {
			u.t.Fatal(err)
		}
		list = append(list, ev)
		if sub.cursor >= sub.floor && len(sub.replayed) == 0 {
			break
		}
	}
	return list
}

// TestBotSurvivesCrashes is a program that stores the number of each event after
// its work, as the README says, while it and the messenger are killed again and
// again: it sees each message once or more often, never none, in order, and its
// answers under the message's id as key are made once.
func TestBotSurvivesCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		since := bob.feed.Last()
		var texts, seen []string
		for round := range 6 {
			some := numbered(fmt.Sprint("round ", round), 5)
			texts = append(texts, some...)
			alice.sayAll(b, some)
			<-time.After(time.Duration(round) * 300 * time.Millisecond)
			if round%2 == 0 {
				bob.crash()
			}
			// The bot reads for a while and dies before it stored the last number.
			sub, err := bob.SubscribeSince(t.Context(), since)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			last := since
			for {
				ev, err := sub.Next(ctx)
				if err != nil {
					break
				}
				if ev.Seq <= last || ev.Type == Resync {
					t.Fatalf("%s %d after %d", ev.Type, ev.Seq, last)
				}
				since, last = last, ev.Seq
				if ev.Type != MessageReceived {
					continue
				}
				if !slices.Contains(seen, ev.Message.Text) {
					seen = append(seen, ev.Message.Text)
				}
				if _, err := bob.StartSend(t.Context(), ev.Message.Contact, ev.Message.Text, SendOptions{Key: ev.Message.ID})(); err != nil {
					t.Fatal(err)
				}
			}
			cancel()
			sub.Close()
			bob.crash()
		}
		for _, ev := range bob.readSince(since) {
			if ev.Type == MessageReceived && !slices.Contains(seen, ev.Message.Text) {
				seen = append(seen, ev.Message.Text)
				if _, err := bob.StartSend(t.Context(), a, ev.Message.Text, SendOptions{Key: ev.Message.ID})(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !slices.Equal(seen, texts) {
			t.Errorf("the bot saw %q, want %q", seen, texts)
		}
		eventually(t, 2*time.Minute, "answered", func() bool { return bob.settled(a, Delivered) })
		alice.checkReceived(b, texts)
	})
}

// TestReplayEqualsLive reads again what one reader heard: the same durable
// events under the same numbers, from any of them on, over a crash.
func TestReplayEqualsLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		since := alice.feed.Last()
		b, a := befriend(t, alice, bob)
		alice.sayAll(b, numbered("text", 30))
		bob.sayAll(a, numbered("answer", 30))
		eventually(t, time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) && bob.settled(a, Delivered) })
		var live []Event
		for _, ev := range alice.events() {
			if ev.durable() {
				live = append(live, ev)
			}
		}
		for _, crashed := range []bool{false, true} {
			if crashed {
				alice.crash()
			}
			again := alice.readSince(since)
			if len(live) < 100 || len(again) != len(live) {
				t.Fatalf("%d events live, %d read again", len(live), len(again))
			}
			for i, ev := range again {
				if got, want := telling(ev), telling(live[i]); got != want {
					t.Fatalf("event %d: %s\nwas %s", i, got, want)
				}
			}
		}
		middle := len(live) / 2
		if rest := alice.readSince(live[middle].Seq); len(rest) != len(live)-middle-1 || rest[0].Seq != live[middle+1].Seq {
			t.Errorf("%d events behind the middle, want %d", len(rest), len(live)-middle-1)
		}
	})
}

// telling says in words what an event tells a program, but for states that
// contacts and messages have now.
func telling(ev Event) string {
	s := fmt.Sprint(ev.Seq, " ", ev.Type, " ", ev.Detail, " ", ev.Invite)
	if c := ev.Contact; c != nil {
		s += " " + c.ID + " " + c.Name + " " + string(c.State)
		if ev.Type == InviteUsed || ev.Type == ContactAdded {
			s = fmt.Sprint(ev.Seq, " ", ev.Type, " ", ev.Invite, " ", c.ID, " ", c.Name)
		}
	}
	if m := ev.Message; m != nil {
		s += fmt.Sprint(" ", m.ID, " ", m.Contact, " ", m.Direction, " ", m.Text, " ", m.Seq, " ", m.State)
		if m.Copies != nil {
			s += fmt.Sprint(" ", *m.Copies)
		}
	}
	return s
}

// TestEventRowsHoldNoTexts: events name messages, so that what is deleted does
// not go on lying in their rows, nor is told again.
func TestEventRowsHoldNoTexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		since := bob.feed.Last()
		b, a := befriend(t, alice, bob)
		alice.sayAll(b, []string{"the secret text", "another"})
		eventually(t, time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) })
		bob.checkReceived(a, []string{"the secret text", "another"})
		err := bob.look(t.Context(), func(tn *turn) error {
			return tn.tx.Sequence(bucketEvents).Up(0, func(_ uint64, raw []byte) (bool, error) {
				for _, text := range []string{"secret", "another", "alice"} { // too long to stand in a random id by chance
					if bytes.Contains(raw, []byte(text)) {
						t.Errorf("%q lies in a row of events", text)
					}
				}
				return true, nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		list, err := bob.Messages(t.Context(), a, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := bob.do(t.Context(), func(tn *turn) error { return tn.tx.History(a).Delete(list[0].Seq) }); err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, ev := range bob.readSince(since) {
			if ev.Type == MessageReceived {
				told = append(told, ev.Message.Text)
			}
		}
		if !slices.Equal(told, []string{"another"}) {
			t.Errorf("told again: %q", told)
		}
	})
}

// TestEventsAreForgotten keeps 30 days and 65,536 events; who asks for older
// ones hears it first, and so does who asks for a number of the future, as a bot
// does after its home was set back.
func TestEventsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 2)
		u := w.user(t)
		first := u.feed.Last()
		many := func(n int) {
			t.Helper()
			if err := u.do(t.Context(), func(tn *turn) error {
				for range n {
					tn.publish(Event{Type: ContactRemoved, Contact: &Contact{ID: "c_gone"}})
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		many(1)
		if list := u.readSince(first); len(list) != 1 || list[0].Type != ContactRemoved {
			t.Fatalf("events %v", list)
		}
		for range 16 {
			many(eventLimit / 16)
		}
		list := u.readSince(first)
		if len(list) != eventLimit+1 || list[0].Type != Resync || list[0].Oldest != list[0].Seq+1 || list[0].Seq >= list[1].Seq {
			t.Fatalf("%d events, the first ones %v %v", len(list), list[0], list[1])
		}
		u.crash()
		last := u.feed.Last()
		for range eventLimit/eventForget + 1 { // what the keeper does once an hour at least
			if err := u.do(t.Context(), func(tn *turn) error {
				tn.now = tn.now.Add(eventKeep)
				return tn.forgetEvents()
			}); err != nil {
				t.Fatal(err)
			}
		}
		if err := u.look(t.Context(), func(tn *turn) error {
			if n, err := tn.tx.Sequence(bucketEvents).Last(); n != 0 || err != nil {
				t.Errorf("row %d is left after 30 days, error %v", n, err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if list := u.readSince(list[100].Seq); len(list) != 1 || list[0].Type != Resync || list[0].Seq > last {
			t.Errorf("events %v", list)
		}
		if list := u.readSince(last + 1<<40); len(list) != 1 || list[0].Type != Resync || list[0].Seq != u.feed.Last() {
			t.Errorf("events %v", list)
		}
	})
}

// TestVolatileEventsWait: what no transaction reports neither overtakes one that
// has taken numbers nor falls between its numbers, also if it fails.
func TestVolatileEventsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 2)
		u := w.user(t)
		<-time.After(time.Minute)
		u.events()
		start := u.feed.Last()
		full := errors.New("no space left on device")
		for _, fails := range []error{nil, full} {
			_ = u.do(t.Context(), func(tn *turn) error {
				tn.publish(Event{Type: ContactRemoved, Contact: &Contact{ID: "c_gone"}})
				if err := tn.logEvents(); err != nil { // numbers are taken
					return err
				}
				u.feed.Publish(Event{Type: NetworkReady})
				tn.events = nil
				return fails
			})
		}
		list := u.events()
		last := start
		for _, ev := range list {
			if ev.Seq <= last {
				t.Errorf("%s has number %d after %d", ev.Type, ev.Seq, last)
			}
			last = ev.Seq
		}
		if n := len(list); n < 2 || list[n-1].Type != NetworkReady {
			t.Errorf("events %v", list)
		}
	})
}

// TestNumbersBeforeTheFirstWrite kills a messenger that told nothing but
// volatile events: their numbers are not given out again.
func TestNumbersBeforeTheFirstWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 2)
		u := w.user(t)
		u.feed.Publish(Event{Type: NetworkReady})
		last := u.feed.Last()
		u.crash()
		if u.feed.Last() < last {
			t.Errorf("numbers go on from %d, %d was told", u.feed.Last(), last)
		}
		synctest.Wait() // for the first turns, which reserve numbers
		u.feed.mu.Lock()
		u.feed.ceiling = u.feed.seq + 1
		u.feed.mu.Unlock()
		u.events()
		u.feed.Publish(Event{Type: NetworkReady})
		u.feed.Publish(Event{Type: CircuitClosed})
		if list := u.events(); len(list) != 1 {
			t.Errorf("numbers that are not reserved were told: %v", list)
		}
		if err := u.do(t.Context(), func(*turn) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if list := u.events(); len(list) == 0 || list[0].Type != CircuitClosed {
			t.Errorf("events %v", list)
		}
	})
}

// TestReaderBehindReadsTheDisk: a reader who reads nothing for a long time gets
// every durable event all the same.
func TestReaderBehindReadsTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 2)
		u := w.user(t)
		<-time.After(time.Minute)
		u.events()
		say := func(n int) {
			t.Helper()
			for range n {
				if err := u.do(t.Context(), func(tn *turn) error {
					for range 100 {
						tn.publish(Event{Type: ContactRemoved, Contact: &Contact{ID: "c_gone"}})
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}
		}
		say(durableLimit/100 + 10)
		last, n := uint64(0), 0
		for range 50 {
			ev, err := u.sub.Next(t.Context())
			if err != nil || ev.Seq <= last {
				t.Fatalf("event %d after %d, error %v", ev.Seq, last, err)
			}
			last, n = ev.Seq, n+1
		}
		say(durableLimit/100 + 10) // falls behind again while it reads
		for n < 2*(durableLimit/100+10)*100 {
			ev, err := u.sub.Next(t.Context())
			if err != nil || ev.Seq <= last || ev.Type != ContactRemoved {
				t.Fatalf("%s %d after %d, error %v", ev.Type, ev.Seq, last, err)
			}
			last, n = ev.Seq, n+1
		}
		if list := u.events(); len(list) != 0 {
			t.Errorf("more events: %v", list)
		}
	})
}

// TestKeys: the same key and text are one message, over crashes and for 30 days;
// other parameters under the same key are refused; a refused send leaves the key
// free.
func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		send := func(contact, text, key string) (Message, error) {
			return alice.StartSend(t.Context(), contact, text, SendOptions{Key: key})()
		}
		if _, err := send("c_nobody", "hello", "k"); KindOf(err) != KindNotFound {
			t.Fatalf("error %v", err)
		}
		first, err := send(b, "hello", "k")
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			again, err := send(b, "hello", "k")
			if err != nil || again.ID != first.ID || again.Text != "hello" {
				t.Fatalf("message %+v, error %v", again, err)
			}
			alice.crash()
		}
		for _, other := range [][2]string{{b, "hallo"}, {"c_nobody", "hello"}} {
			if _, err := send(other[0], other[1], "k"); KindOf(err) != KindKeyConflict {
				t.Errorf("error %v", err)
			}
		}
		if _, err := send(b, "hello", string(make([]byte, maxKey+1))); KindOf(err) != KindTooLarge {
			t.Errorf("error %v", err)
		}
		// Two at once, in one transaction.
		waits := []func() (Message, error){
			alice.StartSend(t.Context(), b, "twice", SendOptions{Key: "l"}), alice.StartSend(t.Context(), b, "twice", SendOptions{Key: "l"}),
		}
		x, errX := waits[0]()
		y, errY := waits[1]()
		if errX != nil || errY != nil || x.ID != y.ID {
			t.Errorf("messages %v and %v, errors %v and %v", x.ID, y.ID, errX, errY)
		}
		later := func(after time.Duration, text, key string) (id string) {
			t.Helper()
			if err := alice.do(t.Context(), func(tn *turn) (err error) {
				tn.now = tn.now.Add(after)
				if err := tn.forgetKeys(); err != nil {
					return err
				}
				id, err = tn.once(key, callText("message.send", b, text, ""), func() (string, error) { return "new", nil })
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return id
		}
		if id := later(keyKeep-time.Hour, "hello", "k"); id != first.ID {
			t.Errorf("after almost 30 days: message %v", id)
		}
		if id := later(keyKeep, "another", "k"); id != "new" {
			t.Errorf("after 30 days: message %v", id)
		}
		later(2*keyKeep+2*keyEpoch, "last", "m")
		if err := alice.look(t.Context(), func(tn *turn) error {
			if len(tn.book.keyEpochs) != 1 {
				t.Errorf("keys of %v are left", tn.book.keyEpochs)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) })
		bob.checkReceived(a, []string{"hello", "twice"})
	})
}

// TestKeyAndMessageAreOneTransaction lets the disk fail between the two: neither
// is there afterwards.
func TestKeyAndMessageAreOneTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 5)
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		err := alice.do(t.Context(), func(tn *turn) error {
			if _, err := tn.sendOnce(b, "never written", SendOptions{Key: "k"}); err != nil {
				return err
			}
			return errors.New("no space left on device")
		})
		if KindOf(err) != KindIO {
			t.Fatalf("error %v", err)
		}
		if _, err := alice.StartSend(t.Context(), b, "written", SendOptions{Key: "k"})(); err != nil {
			t.Error(err)
		}
		if got := alice.texts(b, Out); !slices.Equal(got, []string{"written"}) {
			t.Errorf("texts %q", got)
		}
	})
}

// TestHomeOfBeforeEvents opens a home of a version that kept no events: who
// resumes from a number of that time hears that there is a gap.
func TestHomeOfBeforeEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 2)
		u := w.user(t)
		old := u.feed.Last()
		u.stop()
		st, err := store.Open(store.Config{Dir: u.home})
		if err != nil {
			t.Fatal(err)
		}
		err = st.Update(func(tx *store.Tx) error { return tx.Bucket(bucketMeta).Delete(metaForgotten) })
		if err = errors.Join(err, st.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(u.home, "store.db")); err != nil {
			t.Fatal(err)
		}
		u.start()
		if list := u.readSince(old); len(list) != 1 || list[0].Type != Resync {
			t.Errorf("events %v", list)
		}
	})
}
