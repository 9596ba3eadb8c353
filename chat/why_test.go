package chat

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// details joins a ledger in words.
func details(w Why) string {
	var lines []string
	for _, e := range w.History {
		lines = append(lines, string(e.State)+": "+e.Detail)
	}
	return strings.Join(lines, "\n")
}

// TestWhy follows messages on their way: relays by name, expiry, tries that
// failed, what comes next, over a crash.
func TestWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		<-time.After(time.Minute)
		bob.stop()
		var relays []directory.RelayID
		alice.must(alice.look(t.Context(), func(t *turn) error {
			for _, s := range t.book.contacts[b].slots {
				relays = append(relays, s.addr.Relay)
			}
			return nil
		}))
		var ids []directory.RelayID
		for i := range alice.views.Current().Relays() {
			ids = append(ids, alice.views.Current().Relays()[i].ID)
		}
		names := directory.RelayNames(ids)
		down := w.relay(relays[1])
		w.stop(down)
		sent := alice.say(b, "what became of this?")
		long := alice.say(b, strings.Repeat("many frames ", 500))
		<-time.After(20 * time.Second)
		why, err := alice.Why(t.Context(), sent.ID)
		alice.must(err)
		text := details(why)
		for _, want := range []string{
			"queued: on this machine only",
			"stored: " + names[relays[0]] + " signed for it and keeps it until ",
			"stored: " + names[relays[1]] + ": ",
			" times; next try at ",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		if why.NextTry == nil || time.Until(*why.NextTry).Abs() > 10*time.Second || why.Next == "" {
			t.Errorf("next try %v (%s), it is %v", why.NextTry, why.Next, time.Now())
		}
		if left := time.Until(*why.Expires); left < 7*time.Hour || left > 9*time.Hour { // 21 days, of a lab
			t.Errorf("expires in %v", left)
		}
		if n := strings.Count(text, names[relays[1]]+": "); n > 3 {
			t.Errorf("%d entries for one relay that is down", n)
		}
		w.start(down)
		eventually(t, time.Minute, "stored twice", func() bool { return alice.message(b, long.ID).Copies.Have == 2 })
		alice.crash()
		for _, id := range []string{sent.ID, long.ID} {
			why, _ = alice.Why(t.Context(), id)
			if n := strings.Count(details(why), "signed for it"); n != 2 {
				t.Errorf("%d relays signed, want 2:\n%s", n, details(why))
			}
		}
		if why.NextTry != nil || why.Next != "waits until the contact reads it and acknowledges" {
			t.Errorf("next try %v (%s)", why.NextTry, why.Next)
		}
		bob.start()
		eventually(t, time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) })
		for _, id := range []string{sent.ID, long.ID} {
			why, _ = alice.Why(t.Context(), id)
			last := why.History[len(why.History)-1]
			if last.State != Delivered || last.Detail != "acknowledged by the contact" || why.Expires != nil || why.NextTry != nil {
				t.Errorf("%+v\n%s", why, details(why))
			}
			if n := strings.Count(details(why), "signed for it"); n != 2 {
				t.Errorf("%d relays signed, want 2:\n%s", n, details(why))
			}
			if !slices.IsSortedFunc(why.History, func(x, y HistoryEntry) int { return x.Time.Truncate(time.Second).Compare(y.Time.Truncate(time.Second)) }) {
				t.Errorf("out of order:\n%s", details(why))
			}
		}
		why, err = bob.Why(t.Context(), bob.theirs(a, "what became of this?").ID)
		if err != nil || details(why) != "received: received" {
			t.Errorf("at bob %q, error %v", details(why), err)
		}
		for _, id := range []string{"", "m_", "m_x_1", sent.ID + "0", "m_notes_1", strings.Replace(sent.ID, "_1", "_01", 1), strings.TrimPrefix(sent.ID, "m_")} {
			if _, err := alice.Why(t.Context(), id); KindOf(err) != KindNotFound {
				t.Errorf("%q: %v", id, err)
			}
		}
	})
}

// TestWhyFailed reads the end of a message that nobody acknowledged, and of a
// relay that left the network.
func TestWhyFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		<-time.After(time.Minute)
		bob.stop()
		id := alice.say(b, "too late").ID
		eventually(t, time.Minute, "stored twice", func() bool { return alice.message(b, id).Copies.Have == 2 })
		var first directory.RelayID
		alice.must(alice.look(t.Context(), func(t *turn) error { first = t.book.contacts[b].slots[0].addr.Relay; return nil }))
		alice.leave()
		v := w.view(first)
		alice.must(alice.do(t.Context(), func(t *turn) error {
			t.m.views = &directory.Views{}
			t.m.views.Set(v)
			t.touch(t.book.contacts[b])
			return nil
		}))
		why, _ := alice.Why(t.Context(), id)
		if !strings.Contains(details(why), " does not count any more: it is not listed any more") {
			t.Errorf("the lost relay is not told:\n%s", details(why))
		}
		w.pass(alice.timing().expire+time.Minute, alice)
		eventually(t, time.Minute, "failed", func() bool { return alice.message(b, id).State == Failed })
		why, _ = alice.Why(t.Context(), id)
		if text := details(why); !strings.HasSuffix(text, "failed: no acknowledgement in time") || why.Next != "" {
			t.Errorf("%s\nnext: %s", text, why.Next)
		}
	})
}

// TestLogBounded fills a ledger: equal tries are counted, and it never outgrows
// its limit.
func TestLogBounded(t *testing.T) {
	var log []logRecord
	for i := range 500 {
		log = appendLog(log, logRecord{At: int64(i), What: logTry, Relay: uint64(i % 2), Text: strings.Repeat("x", 1000)})
	}
	if len(log) != 2 || log[0].Times != 250 || log[1].At != 499 || len(log[0].Text) != maxLogText {
		t.Errorf("%d entries, first %+v", len(log), log[0])
	}
	log = append([]logRecord{{What: logStored}}, log...)
	for i := range 500 {
		log = appendLog(log, logRecord{At: int64(i), What: logTry, Relay: uint64(i)})
	}
	if len(log) != maxLog || log[0].What != logStored {
		t.Errorf("%d entries, first %+v", len(log), log[0])
	}
}
