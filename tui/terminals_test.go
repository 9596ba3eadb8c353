package tui

import (
	"strings"
	"testing"

	"hearsay/chat"
)

// TestOtherTerminalWrites: what is sent, or offered, at another terminal of the same
// profile comes on this screen too, once, with its state. Events tell the number of a
// message alone, and of a file not even that.
func TestOtherTerminalWrites(t *testing.T) {
	f := newFake()
	d := onMarta(t, f)
	f.messages["c_1"] = append(f.messages["c_1"],
		chat.Message{ID: "m_20", Contact: "c_1", Direction: chat.Out, Text: "from the other desk", Seq: 20, Time: testNow, State: chat.Queued})
	state := func(s chat.MessageState) chat.Event {
		return chat.Event{Type: chat.MessageStateChanged, Message: &chat.Message{ID: "m_20", Contact: "c_1", Direction: chat.Out, Seq: 20, State: s}}
	}
	reading := d.hold(eventsMsg{events: []chat.Event{state(chat.Queued)}})
	d.msg(eventsMsg{events: []chat.Event{state(chat.Delivered)}}) // while it is read
	d.run(reading)
	d.msg(eventsMsg{events: []chat.Event{state(chat.Delivered)}})
	if s := d.screen(); strings.Count(s, "from the other desk") != 1 || !strings.Contains(s, "from the other desk") {
		t.Errorf("not on the screen once:\n%s", s)
	}
	if m := d.a.shown().messages; m[len(m)-1].State != chat.Delivered {
		t.Errorf("state %s", m[len(m)-1].State)
	}

	f.messages["c_1"] = append(f.messages["c_1"], chat.Message{
		ID: "m_21", Contact: "c_1", Direction: chat.Out, Kind: chat.KindMessageFile, Text: "plan.pdf", Seq: 21, Time: testNow, State: chat.Queued,
		File: &chat.File{ID: "f_9", Contact: "c_1", Direction: chat.Out, Name: "plan.pdf", Size: 4096, State: chat.FileSending},
	})
	progress := chat.Event{Type: chat.FileProgress, File: &chat.File{ID: "f_9", Contact: "c_1", State: chat.FileSending, Done: 1024}}
	d.msg(eventsMsg{events: []chat.Event{progress}})
	d.has("plan.pdf")
	d.msg(eventsMsg{events: []chat.Event{progress}})
	if n := strings.Count(d.screen(), "plan.pdf"); n != 1 {
		t.Errorf("%d times on the screen", n)
	}

	// One that is not in sight is read when it is opened next.
	d.run(d.a.selectEntry("c_2"))
	f.messages["c_1"] = append(f.messages["c_1"],
		chat.Message{ID: "m_22", Contact: "c_1", Direction: chat.Out, Text: "and good night", Seq: 22, Time: testNow, State: chat.Queued})
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.MessageStateChanged, Message: &chat.Message{ID: "m_22", Contact: "c_1", Direction: chat.Out, Seq: 22, State: chat.Queued}}}})
	d.run(d.a.selectEntry("c_1"))
	d.has("and good night")
}

// TestUnknownFilesAreAskedForOnce: progress of a file whose offer is nowhere does not
// make the history be read again and again.
func TestUnknownFilesAreAskedForOnce(t *testing.T) {
	f := newFake()
	d := onMarta(t, f)
	for n := range 50 {
		d.msg(eventsMsg{events: []chat.Event{{Type: chat.FileProgress, File: &chat.File{ID: "f_x", Contact: "c_1", State: chat.FileSending, Done: int64(n)}}}})
	}
	if n := f.count("Messages"); n > 1 {
		t.Errorf("read %d times", n)
	}
}

// TestPlainStateOfUnknownText: the plain mode names a message of another terminal in
// words, and one that it knows by its text.
func TestPlainStateOfUnknownText(t *testing.T) {
	onPlain(t, nil, plainTerminal, func(r *plainRun, f *plainFake) {
		state := func(id string) chat.Event {
			return chat.Event{Type: chat.MessageStateChanged, Message: &chat.Message{ID: id, Contact: "c_1", Direction: chat.Out, State: chat.Delivered}}
		}
		if s := r.publish(f, state("m_elsewhere")); !strings.Contains(s, "you to marta: delivered, a message that was not written here\n") {
			t.Errorf("output %q", s)
		}
		r.line("/to marta")
		r.line("/history")
		if s := r.publish(f, state("m_4")); !strings.Contains(s, `you to marta: delivered: "is the street lamp on?"`) {
			t.Errorf("output %q", s)
		}
	})
}

// TestRemovedElsewhereWhileWriting: who writes to a contact that another terminal
// removes does not go on writing to the next one in the list.
func TestRemovedElsewhereWhileWriting(t *testing.T) {
	f := newFake()
	d := onMarta(t, f)
	d.typeText("this is for you al")
	f.contacts = f.contacts[1:]
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.ContactRemoved, Contact: &chat.Contact{ID: "c_1"}}}})
	d.has("marta was removed")
	d.typeText("one")
	d.key("enter")
	if d.a.current != chat.NotesID || f.called("Send c_2") || f.called("Send c_3") {
		t.Errorf("at %s, sent %q", d.a.current, f.sent())
	}
}

// TestRemovedElsewhereBeforeTheEvent: as before, when the lists come before the
// event that tells of it.
func TestRemovedElsewhereBeforeTheEvent(t *testing.T) {
	f := newFake()
	d := onMarta(t, f)
	d.typeText("this is for you al")
	f.contacts = f.contacts[1:]
	d.run(d.a.loadPeople())
	d.has("marta was removed")
	d.typeText("one")
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.ContactRemoved, Contact: &chat.Contact{ID: "c_1"}}}})
	d.key("enter")
	if d.a.current != chat.NotesID || f.called("Send c_2") || f.called("Send c_3") {
		t.Errorf("at %s, sent %q", d.a.current, f.sent())
	}
}
