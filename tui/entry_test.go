package tui

import (
	"testing"

	"hearsay/chat"
)

// holdLists asks for the lists and returns the answer without delivering it: it
// tells of now, and may come after what happens next.
func (d *driver) holdLists() (deliver func()) {
	d.t.Helper()
	msg := d.a.loadPeople()()
	return func() { d.msg(msg) }
}

// TestOldListsTakeNobodyAway: lists that were read before a group was made, and
// come after it is on the screen, do not lead to somebody else: what is being typed
// would go to them.
func TestOldListsTakeNobodyAway(t *testing.T) {
	f := newFake()
	d := onMarta(t, f)
	deliver := d.holdLists()
	f.groups = append(f.groups, chat.Group{ID: "g_1", Name: "printers", State: chat.GroupActive, Members: []string{"c_1"}})
	d.a.wanted = "g_1"
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.GroupChanged, Group: &f.groups[0]}}})
	deliver()
	d.typeText("the key?")
	d.key("enter")
	if !f.called("Send g_1 the key?") || f.called("Send c_") {
		t.Errorf("calls %q", f.calls)
	}
}

// TestOldListsTakeNothingBack: as for groups, when a contact was verified.
func TestOldListsTakeNothingBack(t *testing.T) {
	f := newFake()
	d := onMarta(t, f)
	d.run(d.a.selectEntry("c_2"))
	deliver := d.holdLists()
	f.contacts[1].Verified = true
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.ContactStateChanged, Contact: &f.contacts[1]}}})
	deliver()
	d.has("alice ✓ verified")
}

// TestOldListsLeaveUnread: what came while the lists were read stays unread.
func TestOldListsLeaveUnread(t *testing.T) {
	f := newFake()
	d := onMarta(t, f)
	deliver := d.holdLists()
	in := chat.Message{ID: "m_50", Contact: "c_2", Direction: chat.In, Text: "psst", Seq: 1, Time: testNow, State: chat.Received}
	f.messages["c_2"], f.contacts[1].Unread = []chat.Message{in}, 1
	d.event(chat.MessageReceived, in)
	deliver()
	if n := d.a.find("c_2").unread; n != 1 {
		t.Errorf("%d unread", n)
	}
	d.key("alt+a")
	d.has("psst")
}

// TestListsAfterLocking: lists that were on their way when the profile was locked
// are not waited for after that.
func TestListsAfterLocking(t *testing.T) {
	f := sealed()
	d := onMarta(t, f)
	deliver := d.holdLists()
	d.key("f9")
	deliver()
	d.typeText("right")
	d.key("enter")
	d.has("pick up after six")
}
