package tui

import (
	"fmt"
	"testing"
	"time"

	"hearsay/chat"
)

// history fills a conversation with n messages, one a minute, whose text says which
// one it is.
func history(f *fakeChat, n int) {
	ms := make([]chat.Message, n)
	for i := range ms {
		ms[i] = chat.Message{
			ID: fmt.Sprintf("m_1_%d", i+1), Contact: "c_1", Direction: chat.In, Text: fmt.Sprintf("line %d", i+1),
			Seq: uint64(i + 1), Time: testNow.Add(time.Duration(i-n) * time.Minute), State: chat.Received,
		}
		if i%7 == 3 {
			ms[i].Direction, ms[i].State = chat.Out, chat.Delivered
		}
	}
	f.messages["c_1"] = ms
	latest := testNow
	f.contacts[0].Settings, f.contacts[0].Latest = &chat.Conversation{Displayed: uint64(n)}, &latest
}

// story is a conversation with everything that a timeline shows.
func story(f *fakeChat) {
	at := func(day, h, m int) time.Time { return time.Date(2026, 11, day, h, m, 0, 0, time.UTC) }
	in := func(n int, when time.Time, text string) chat.Message {
		return chat.Message{ID: fmt.Sprintf("m_1_%d", n), Contact: "c_1", Direction: chat.In, Text: text, Seq: uint64(n), Time: when, State: chat.Received}
	}
	out := func(n int, when time.Time, text string, s chat.MessageState) chat.Message {
		m := in(n, when, text)
		m.Direction, m.State = chat.Out, s
		return m
	}
	ms := []chat.Message{
		out(1, at(20, 9, 12), "an early one", chat.Failed),
		in(2, at(20, 13, 58), "the print run is done"),
		out(3, at(20, 13, 58), "how many copies?", chat.Delivered),
		in(4, at(20, 13, 59), "four *hundred*, two boxes"),
		in(5, at(20, 14, 1), "see https://example.org/a_b_c for the map"),
		in(6, at(20, 15, 0), "marta has a new phone"),
		in(7, at(21, 14, 1), "pick up after six"),
		in(8, at(21, 14, 1), "the back door, not the shop"),
		out(9, at(21, 14, 3), "thanks, on my way", chat.Stored),
		out(10, at(21, 14, 5), "is the street lamp on?", chat.Queued),
	}
	ms[3].Reply = "m_1_3"
	ms[3].Reactions = []chat.Reaction{{From: "me", Emoji: "👍"}}
	ms[4].Edited = true
	ms[5].Kind = chat.KindMessageNotice
	ms[6].Late = true
	expires := at(28, 14, 3)
	ms[8].Copies, ms[8].Expires = &chat.Copies{Have: 2, Want: 2}, &expires
	f.messages["c_1"] = ms
	f.contacts[0].Unread = 2
	f.contacts[0].Settings = &chat.Conversation{Displayed: 6}
	f.why = chat.Why{History: []chat.HistoryEntry{{State: chat.Failed, Detail: "no ack in 21 days"}}}
}

func TestGoldenTimeline(t *testing.T) {
	goldens(t, "timeline", story, func(d *driver) { d.key("alt+end") })
	goldens(t, "timeline-selected", story, func(d *driver) { d.key("alt+end", "up", "k", "k") })
	goldens(t, "timeline-back", func(f *fakeChat) { history(f, 400) }, func(d *driver) { d.key("pgup", "pgup") })
	goldens(t, "delete", story, func(d *driver) { d.key("alt+end", "up", "d") })
	goldens(t, "react", story, func(d *driver) { d.key("alt+end", "up", "+", "down") })
	goldens(t, "search", story, func(d *driver) {
		d.key("alt+/")
		d.typeText("the")
		d.key("down")
	})
}
