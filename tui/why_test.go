package tui

import (
	"strings"
	"testing"
	"time"

	"hearsay/chat"
)

var lampWhy = func() chat.Why {
	at := func(h, m, s int) time.Time { return time.Date(2026, 11, 21, h, m, s, 0, time.UTC) }
	next, until := at(14, 6, 0), at(14, 4, 0).AddDate(0, 0, 21)
	return chat.Why{
		History: []chat.HistoryEntry{
			{Time: at(14, 4, 2), State: chat.Queued, Detail: "on this machine only"},
			{Time: at(14, 4, 4), State: chat.Stored, Detail: "fern signed for it and keeps it until 2026-12-12 14:00 UTC"},
			{Time: at(14, 4, 19), State: chat.Stored, Detail: "dune: the mailbox relay does not answer, 2 times; next try at 2026-11-21 14:06 UTC"},
		},
		NextTry: &next, Expires: &until, Next: "a copy goes to a relay as soon as one can be reached",
	}
}()

func TestWhyScreen(t *testing.T) {
	boxes(t, "why", func(f *fakeChat) { f.why = lampWhy }, func(d *driver) { d.run(d.a.openWhy("m_4", "is the street lamp on?")) })
	boxes(t, "why-edited", func(f *fakeChat) {
		f.why = chat.Why{
			History: []chat.HistoryEntry{
				{Time: testNow.AddDate(-1, 0, 0), State: chat.Received, Detail: "received"},
				{Time: testNow.Add(-25 * time.Hour), State: chat.Received, Detail: "edited"},
				{Time: testNow, State: chat.Delivered, Detail: "acknowledged by the contact"},
			},
			Earlier: []chat.Earlier{{Time: testNow.AddDate(-1, 0, 0), Text: "the first text\nin two lines"}},
		}
	}, func(d *driver) { d.run(d.a.openWhy("m_2", "the second text")) })
}

// TestWhyRetry tries again from the panel, says what came of it, and follows the
// message.
func TestWhyRetry(t *testing.T) {
	f := newFake()
	f.why = lampWhy
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.run(d.a.selectEntry("c_1"))
	f.calls = nil // the timeline says why a message failed, too
	d.run(d.a.openWhyLast())
	if !f.called("Why m_8") {
		t.Errorf("the last message of ours is not asked about: %q", f.calls)
	}
	d.key("r")
	d.has("tried again now")
	if !f.called("Retry m_8") || f.count("Why") != 2 {
		t.Errorf("calls %q", f.calls)
	}
	f.fail = map[string]error{"Retry": &chat.Error{Kind: chat.KindRefused, Text: "this message has failed for good", Hint: "write it again"}}
	d.key("r")
	d.has("not tried: this message has failed for good")
	before := f.count("Why")
	d.msg(eventsMsg{events: []chat.Event{
		{Type: chat.MessageStateChanged, Message: &chat.Message{ID: "m_7", Contact: "c_1", State: chat.Stored}},
		{Type: chat.MessageStateChanged, Message: &chat.Message{ID: "m_8", Contact: "c_1", State: chat.Failed}},
	}})
	if n := f.count("Why") - before; n != 1 {
		t.Errorf("read %d times for one change", n)
	}
	d.key("esc")
	d.run(d.a.retry("m_8"))
	d.has("not tried: this message has failed for good")
	f.fail = nil
	d.run(d.a.retry("m_4"))
	d.has("tried again now; w shows what comes of it")
	f.messages = map[string][]chat.Message{}
	d.run(d.a.openWhyLast())
	d.has("you wrote nothing here lately")
}

// TestWhyIsAllReachable: on the smallest screen everything can be scrolled to.
func TestWhyIsAllReachable(t *testing.T) {
	f := newFake()
	f.why = lampWhy
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 30, 8)
	d.run(d.a.openWhy("m_4", "is the street lamp on?"))
	var seen strings.Builder
	for range 40 {
		seen.WriteString(d.box())
		d.key("j")
	}
	for _, word := range []string{"on this machine only", "fern signed", "dune:", "Next try:", "14:06:00", "Relays keep it"} {
		if !strings.Contains(seen.String(), word) {
			t.Errorf("%q never comes on the screen", word)
		}
	}
}
