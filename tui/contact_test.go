package tui

import (
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

func withCrowd(t *testing.T, w, h int) (*driver, *fakeChat) {
	t.Helper()
	f := newFake()
	crowd(f)
	return drive(t, &fakeHome{state: readyHome, chat: f}, w, h), f
}

// TestContactCommands runs the commands on the contact on screen.
func TestContactCommands(t *testing.T) {
	d, f := withCrowd(t, 100, 28)
	f.contacts[0].Settings = nil
	d.run(d.a.loadPeople())
	d.run(d.a.selectEntry("c_1"))
	run := func(line string) {
		d.typeText(line)
		d.key("enter")
	}
	run("/mute")
	d.has("marta is muted: no notifications")
	run("/pin")
	run("/archive")
	if s := d.a.find("c_1").settings; !s.Muted || !s.Pinned || !s.Archived {
		t.Errorf("settings %+v", s)
	}
	run("/archive")
	run("/mute")
	run("/pin")
	if s := d.a.find("c_1").settings; s.Muted || s.Pinned || s.Archived {
		t.Errorf("settings %+v", s)
	}
	run("/disappear 7")
	d.has("on both sides")
	if s := d.a.find("c_1").settings; s.DisappearAfter != 7*24*time.Hour {
		t.Errorf("settings %+v", s)
	}
	run("/disappear 3")
	d.has("after 1, 7 or 28 days")
	run("/disappear off")
	if s := d.a.find("c_1").settings; s.DisappearAfter != 0 {
		t.Errorf("settings %+v", s)
	}
	run("/rename Marta of the press")
	run("/export /somewhere/out.jsonl")
	d.has("8 messages with marta are in /somewhere/out.jsonl, in the clear")
	run("/block")
	if f.count("BlockContact") > 0 {
		t.Error("blocked without a question")
	}
	d.key("y")
	run("/block mallory")
	run("/remove press-desk")
	if f.count("RemoveContact") > 0 {
		t.Error("removed without a question")
	}
	d.key("y")
	for _, want := range []string{"RenameContact c_1 Marta of the press", "BlockContact c_1", "UnblockContact c_7", "RemoveContact c_3"} {
		if !f.called(want) {
			t.Errorf("no call %q in %q", want, f.calls)
		}
	}
	for line, want := range map[string]string{
		"/remove printers": "a group is left by", "/block notes": "the notes cannot be blocked", "/mute nobody": "nobody is called nobody",
	} {
		run(line)
		d.has(want)
	}
	if len(f.sent()) > 0 {
		t.Errorf("sent %q", f.sent())
	}
}

// TestEveryActOfTheDialog opens each row of the dialog for a contact in every
// state, a group and the notes.
func TestEveryActOfTheDialog(t *testing.T) {
	for _, id := range []string{"c_1", "c_3", "c_4", "c_5", "c_7", "c_8", "g_1", "notes"} {
		d, _ := withCrowd(t, 80, 24)
		n := len((&contactDialog{id: id}).acts(d.a, d.a.find(id)))
		for i := range n {
			d, f := withCrowd(t, 80, 24)
			d.run(d.a.openContact(id))
			name := (&contactDialog{id: id}).acts(d.a, d.a.find(id))[i].name
			for range i {
				d.key("j")
			}
			before, calls := d.screen(), len(f.calls)
			d.key("enter")
			if d.screen() == before && len(f.calls) == calls {
				t.Errorf("%s: %q does nothing", id, name)
			}
		}
	}
}

// TestContactDialogShowsWhatFailed has the profile refuse.
func TestContactDialogShowsWhatFailed(t *testing.T) {
	d, f := withCrowd(t, 80, 24)
	f.fail = map[string]error{
		"SetConversation": &chat.Error{Kind: chat.KindIO, Text: "the disk is full"},
		"RenameContact":   &chat.Error{Kind: chat.KindExists, Text: "there is a contact or an invite of that name"},
	}
	d.run(d.a.openContact("c_1"))
	d.key("j", "j", "enter")
	d.has("the disk is full")
	d.key("k", "enter")
	d.has("Rename marta")
	d.typeText("x")
	d.key("enter")
	d.has("there is a contact or an invite of that name")
	d.key("esc", "esc")
	if d.a.top() != nil {
		t.Error("esc does not close the dialogs")
	}
}

// TestRemovedElsewhere removes a contact from another terminal while its dialog is
// open.
func TestRemovedElsewhere(t *testing.T) {
	d, f := withCrowd(t, 80, 24)
	d.run(d.a.openContact("c_1"))
	gone := f.contacts[0]
	f.contacts = f.contacts[1:]
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.ContactRemoved, Contact: &gone}}})
	d.key("j", "enter")
	d.screen()
	d.run(d.a.openVerify(&entry{id: "c_gone", contact: &chat.Contact{ID: "c_gone", SafetyNumber: crowdNumber}}))
	d.key("y", "n")
	d.has("The contact is gone")
	if f.count("VerifyContact")+f.count("BlockContact") > 0 {
		t.Errorf("calls %q", f.calls)
	}
}

// TestExportCompletesFiles completes the path, and never writes before enter.
func TestExportCompletesFiles(t *testing.T) {
	d, f := withCrowd(t, 80, 24)
	d.a.cfg.Complete = func(prefix string) []string {
		if prefix == "/h" {
			return []string{"/home/a.json", "/home/ö.json"}
		}
		return nil
	}
	d.run(d.a.selectEntry("c_1"))
	d.typeText("/export")
	d.key("enter")
	d.typeText("/h")
	d.key("tab")
	d.has("file: /home/")
	d.has("/home/a.json")
	d.typeText("new.jsonl")
	if f.count("Export") > 0 {
		t.Fatal("written before enter")
	}
	d.a.cfg.LocalFile = func(path string) (LocalFile, error) { return LocalFile{Path: "/absolute" + path}, nil }
	d.key("enter")
	if !f.called("Export c_1 /absolute/home/new.jsonl") {
		t.Errorf("calls %q", f.calls)
	}
}

// TestInfoColumnAndPanel shows what is known of a conversation beside it, or above
// it where there is no room.
func TestInfoColumnAndPanel(t *testing.T) {
	d, _ := withCrowd(t, 80, 24)
	d.run(d.a.selectEntry("c_1"))
	d.key("alt+i")
	d.has("28471 90312")
	d.key("alt+i", "esc")
	if d.a.top() != nil {
		t.Error("the panel stays")
	}
	d.msg(tea.WindowSizeMsg{Width: 120, Height: 40})
	d.key("alt+l", "alt+i") // without borders there is no column
	d.has("28471 90312")
	d.key("esc", "alt+l")
	lines := strings.Join(d.a.drawInfo(30, 30), "\n")
	for _, want := range []string{"verified: you compared", "28471 90312 55817", "then the mailbox relay fern", "kept until somebody"} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %q in\n%s", want, lines)
		}
	}
	for _, w := range []int{1, 2, 5, 30} {
		for _, l := range d.a.drawInfo(w, 10) {
			if n := fit(l, w); n != l {
				t.Errorf("a line of the column does not fill %d cells: %q", w, l)
			}
		}
	}
}
