package tui

import (
	"fmt"
	"testing"
	"time"

	"hearsay/chat"
)

// arrives lets a message come that puts its contact on top of the list.
func arrives(d *driver, contact string) {
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.MessageReceived, Message: &chat.Message{
		ID: "m_900", Contact: contact, Direction: chat.In, Text: "now", Seq: 900, Time: testNow.Add(time.Minute), State: chat.Received,
	}}}})
}

// TestSwitcherTakesWhatIsMarked: a message that puts others on top of the list
// between two keys does not change whom enter goes to. Texts would go there.
func TestSwitcherTakesWhatIsMarked(t *testing.T) {
	f := newFake()
	for i := range 3 {
		f.contacts = append(f.contacts, chat.Contact{ID: fmt.Sprintf("c_1%d", i), Name: fmt.Sprintf("an%d", i), State: chat.ContactActive})
	}
	d := onMarta(t, f)
	d.key("ctrl+k")
	d.typeText("an")
	d.key("down")
	d.screen()
	s := d.a.top().(*switcherDialog)
	want := s.found(d.a)[1]
	for _, id := range []string{"c_10", "c_11", "c_12"} {
		if id != want {
			arrives(d, id)
		}
	}
	d.key("enter")
	if d.a.current != want {
		t.Errorf("at %s, want %s", d.a.current, want)
	}
}

// TestFilterTakesWhatIsMarked: as for the switcher.
func TestFilterTakesWhatIsMarked(t *testing.T) {
	d := onMarta(t, newFake())
	d.run(d.a.openFilter())
	d.key("down")
	d.screen()
	r := d.a.columnRows()[d.a.contacts.mark.at]
	want := r.entry.id
	for _, id := range []string{"c_2", "c_3"} {
		if id != want {
			arrives(d, id)
		}
	}
	d.a.requests = 3 // a row above all others
	d.screen()
	d.key("enter")
	if d.a.current != want || len(d.a.dialogs) > 0 {
		t.Errorf("at %s, want %s", d.a.current, want)
	}
}

// TestMembersMarksWhatIsMarked: nobody is put into a group because a message of
// theirs moved them under the mark.
func TestMembersMarksWhatIsMarked(t *testing.T) {
	d := onMarta(t, newFake())
	d.run(d.a.openNewGroup("printers"))
	d.screen()
	m := d.a.top().(*membersDialog)
	want := m.candidates(d.a)[0].id
	arrives(d, map[bool]string{true: "c_2", false: "c_1"}[want == "c_1"])
	if m.candidates(d.a)[0].id == want {
		t.Fatal("the order is as before")
	}
	d.key("space")
	if !m.marked[want] || len(m.marked) != 1 {
		t.Errorf("marked %v, want %s", m.marked, want)
	}
}

// TestPaletteTakesWhatIsMarked: as for the switcher: /group add asks no more.
func TestPaletteTakesWhatIsMarked(t *testing.T) {
	f := newFake()
	for i := range 3 {
		f.contacts = append(f.contacts, chat.Contact{ID: fmt.Sprintf("c_1%d", i), Name: fmt.Sprintf("an%d", i), State: chat.ContactActive})
	}
	d := onMarta(t, f)
	d.typeText("/verify an")
	d.key("down")
	d.screen()
	want := d.a.suggestions()[1].text
	for _, id := range []string{"c_10", "c_11", "c_12"} {
		if "/verify "+d.a.find(id).name != want {
			arrives(d, id)
		}
	}
	d.key("tab")
	if v := d.a.composer.value(); v != want {
		t.Errorf("%q, want %q", v, want)
	}
}
