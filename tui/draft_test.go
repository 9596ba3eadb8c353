package tui

import (
	"testing"
	"time"

	"hearsay/chat"
)

// TestDraftSurvivesAnEarlyEvent: a message, or a state, that comes before the lists
// are read does not take the place of the draft on the disk.
func TestDraftSurvivesAnEarlyEvent(t *testing.T) {
	f := newFake()
	f.contacts[0].Settings = &chat.Conversation{Draft: "half a thought"}
	d := &driver{t: t}
	a, err := New(t.Context(), Config{Home: &fakeHome{state: readyHome, chat: f}, Now: func() time.Time { return testNow }})
	if err != nil {
		t.Fatal(err)
	}
	a.noWaiting, d.a = true, a
	a.width, a.height = 100, 28
	lists := d.hold(openedMsg{chat: f})
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.MessageStateChanged, Message: &chat.Message{ID: "m_7", Contact: "c_1", Direction: chat.Out, State: chat.Delivered}}}})
	d.run(lists)
	d.run(d.a.selectEntry("c_1"))
	if v := d.a.composer.value(); v != "half a thought" {
		t.Errorf("the composer holds %q", v)
	}
	d.msg(refreshMsg{})
	if f.contacts[0].Settings.Draft != "half a thought" {
		t.Errorf("the draft on the disk is %q", f.contacts[0].Settings.Draft)
	}
	// What was sent does not come back from a list that was read before.
	d.key("enter")
	stale := *f.contacts[0].Settings
	stale.Draft = "half a thought"
	f.contacts[0].Settings = &stale
	d.run(d.a.loadPeople())
	if v := d.a.composer.value(); v != "" || a.conversations["c_1"].draft != "" {
		t.Errorf("sent text came back: %q, %q", v, a.conversations["c_1"].draft)
	}
}
