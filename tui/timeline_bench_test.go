package tui

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// benchApp brings up a conversation of n messages of several lines.
func benchApp(b *testing.B, n, w, h int) (*driver, *fakeChat) {
	b.Helper()
	f := newFake()
	history(f, n)
	for i := range f.messages["c_1"] {
		m := &f.messages["c_1"][i]
		m.Text += strings.Repeat(" and *so* on 家", i%17)
		if i%5 == 0 && i > 0 {
			m.Reply = f.messages["c_1"][i-1].ID
		}
	}
	for i := range 200 {
		f.contacts = append(f.contacts, chat.Contact{ID: fmt.Sprint("c_x", i), Name: fmt.Sprint("contact ", i), State: chat.ContactActive})
	}
	a, err := New(context.Background(), Config{Home: &fakeHome{state: readyHome, chat: f}, Now: func() time.Time { return testNow }})
	if err != nil {
		b.Fatal(err)
	}
	a.noWaiting = true
	d := &driver{nil, a}
	d.msg(tea.WindowSizeMsg{Width: w, Height: h})
	d.run(a.open())
	b.ReportAllocs()
	return d, f
}

func BenchmarkView200x60(b *testing.B) {
	d, _ := benchApp(b, 100000, 200, 60)
	for b.Loop() {
		d.a.View()
	}
}

// BenchmarkScroll100k scrolls by pages, over the whole of 100,000 messages; the
// time of reading, which is not in Update, is left out.
func BenchmarkScroll100k(b *testing.B) {
	d, _ := benchApp(b, 100000, 200, 60)
	keys := []string{"pgup", "pgup", "pgup", "pgdown"}
	i := 0
	for b.Loop() {
		_, cmd := d.a.Update(keyPress(keys[i%len(keys)]))
		d.a.View()
		b.StopTimer()
		d.run(cmd)
		if i++; d.a.shown().first {
			d.key("alt+end")
		}
		b.StartTimer()
	}
}

// BenchmarkResize100k makes the terminal one cell wider or narrower: all that is
// visible is laid out anew.
func BenchmarkResize100k(b *testing.B) {
	d, _ := benchApp(b, 100000, 200, 60)
	d.key("pgup")
	i := 0
	for b.Loop() {
		d.a.Update(tea.WindowSizeMsg{Width: 199 + i%2, Height: 60})
		d.a.View()
		i++
	}
}

// BenchmarkUpdate100k applies a batch of events: 32 messages and 32 states.
func BenchmarkUpdate100k(b *testing.B) {
	d, _ := benchApp(b, 100000, 200, 60)
	next := uint64(100001)
	for b.Loop() {
		var batch eventsMsg
		for range 32 {
			m := chat.Message{
				ID: fmt.Sprintf("m_1_%d", next), Contact: "c_1", Direction: chat.In, Text: "one more", Seq: next,
				Time: testNow, State: chat.Received,
			}
			state := chat.Message{ID: fmt.Sprintf("m_1_%d", next-32), Contact: "c_1", State: chat.Delivered}
			next++
			batch.events = append(batch.events, chat.Event{Type: chat.MessageReceived, Message: &m}, chat.Event{Type: chat.MessageStateChanged, Message: &state})
		}
		d.a.Update(batch)
	}
}
