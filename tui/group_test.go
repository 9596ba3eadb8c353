package tui

import (
	"errors"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// withGroups puts us into a group that we administer, one that marta does, and one
// that we left.
func withGroups(f *fakeChat) {
	f.contacts = append(f.contacts, chat.Contact{ID: "c_4", Name: "carla", State: chat.ContactChanged}, chat.Contact{ID: "c_5", Name: "anna von berg", State: chat.ContactActive, Introduced: "marta"})
	f.groups = []chat.Group{
		{ID: "g_1", Name: "printers", Members: []string{"c_1", "c_2"}, Pending: 1, State: chat.GroupActive, Admin: true},
		{
			ID: "g_2", Name: "harbour", Members: []string{"c_1", "c_3", "c_4"}, State: chat.GroupActive, Administrator: "c_1",
			Warning: "marta, who administers this group, told members different things about who is in it: bob has another list than you",
		},
		{ID: "g_3", Name: "old friends", Members: []string{"c_2"}, State: chat.GroupLeft},
	}
}

func groupDriver(t *testing.T) (*driver, *fakeChat) {
	t.Helper()
	f := newFake()
	withGroups(f)
	return drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28), f
}

// space is the key that marks.
func (d *driver) space() { d.msg(tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}) }

func TestGroupScreens(t *testing.T) {
	show := func(id string, steps func(d *driver)) func(d *driver) {
		return func(d *driver) {
			d.run(d.a.selectEntry(id))
			steps(d)
		}
	}
	goldens(t, "group", withGroups, show("g_1", func(d *driver) { d.run(d.a.groupCommand("")); d.key("down") }))
	goldens(t, "group-member", withGroups, show("g_2", func(d *driver) { d.run(d.a.groupCommand("")) }))
	goldens(t, "group-leave", withGroups, show("g_1", func(d *driver) { d.run(d.a.groupCommand("leave")) }))
	goldens(t, "group-new", withGroups, show("c_1", func(d *driver) {
		d.run(d.a.groupCommand("new"))
		d.typeText("night shift")
		d.key("enter", "down")
		d.space()
	}))
	goldens(t, "group-add", withGroups, show("g_1", func(d *driver) { d.run(d.a.groupCommand("add")); d.key("down", "down"); d.space() }))
	goldens(t, "groups", withGroups, show("c_1", func(d *driver) { d.run(d.a.groupCommand("list")); d.key("down") }))
}

// TestGroupIsMade names a group, marks contacts and makes it; who cannot join is
// refused in words, and a failure loses nothing.
func TestGroupIsMade(t *testing.T) {
	d, f := groupDriver(t)
	d.command("/group new")
	d.key("enter")
	d.has("a group needs a name")
	d.typeText("night shift")
	d.key("enter", "enter")
	d.has("mark somebody first")
	l := d.a.top().(*membersDialog)
	for i, e := range l.candidates(d.a) {
		if e.name == "carla" {
			l.mark.set(i, idsOf(l.candidates(d.a)))
		}
	}
	d.space()
	d.has("carla cannot join: their key changed; compare the")
	for i, e := range l.candidates(d.a) {
		if e.name == "anna von berg" || e.name == "marta" {
			l.mark.set(i, idsOf(l.candidates(d.a)))
			d.space()
		}
	}
	f.fail = map[string]error{"CreateGroup": &chat.Error{Kind: chat.KindLimit, Text: "there are too many groups", Hint: "leave one first"}}
	d.key("enter")
	d.has("there are too many groups (leave one first)")
	f.fail = nil
	d.key("enter")
	if !f.called("CreateGroup night shift [c_5 c_1]") && !f.called("CreateGroup night shift [c_1 c_5]") || d.a.top() != nil {
		t.Errorf("calls %q", f.calls)
	}
	// A space and a mark take each other away.
	d.command("/group new others")
	d.space()
	d.space()
	d.key("enter")
	d.has("mark somebody first")
	if d.key("r"); !d.a.top().(*membersDialog).naming {
		t.Error("the name cannot be changed any more")
	}
}

// TestGroupKeyOfWish makes no second group by a second try of the same wish, and
// does by another wish.
func TestGroupKeyOfWish(t *testing.T) {
	d, _ := groupDriver(t)
	d.command("/group new others")
	l := d.a.top().(*membersDialog)
	d.space()
	key := l.key
	if d.key("down"); l.key != key {
		t.Error("another key for the same wish")
	}
	if d.space(); l.key == key {
		t.Error("the same key for another wish")
	}
}

// TestGroupIsChanged runs what its administrator may do.
func TestGroupIsChanged(t *testing.T) {
	d, f := groupDriver(t)
	d.run(d.a.selectEntry("g_1"))
	d.command("/group add anna von berg")
	if !f.called("AddMember g_1 c_5") {
		t.Errorf("calls %q", f.calls)
	}
	d.command("/group add nobody at all")
	d.has("nobody is called nobody at all")
	d.command("/group remove alice")
	if d.key("n"); f.count("RemoveMember") != 0 {
		t.Error("removed without a yes")
	}
	d.command("/group remove alice")
	if d.key("y"); !f.called("RemoveMember g_1 c_2") {
		t.Errorf("calls %q", f.calls)
	}
	d.command("/group rename the printers")
	if !f.called("RenameGroup g_1 the printers") {
		t.Errorf("calls %q", f.calls)
	}
	d.command("/group")
	d.key("r")
	d.has("All members see the name.")
	d.key("enter")
	if !f.called("RenameGroup g_1 printers") {
		t.Errorf("calls %q", f.calls)
	}
	d.key("a", "down", "down")
	for range 2 {
		d.space()
	}
	d.key("esc")
	d.key("down", "x", "y")
	if f.count("RemoveMember") != 2 {
		t.Errorf("calls %q", f.calls)
	}
	f.fail = map[string]error{"RemoveMember": errors.New("the disk is full")}
	d.key("x", "y")
	d.has("the disk is full")
	d.key("l")
	d.has("the member who was there first does")
	d.key("y")
	if !f.called("LeaveGroup g_1") {
		t.Errorf("calls %q", f.calls)
	}
	d.key("enter")
	if e := d.a.selected(); e == nil || e.contact == nil || d.a.top() != nil {
		t.Error("the member is not on screen")
	}
}

// TestGroupAddStopsAtFailure tells who was not added, and takes those who were as
// members.
func TestGroupAddStopsAtFailure(t *testing.T) {
	d, f := groupDriver(t)
	d.run(d.a.selectEntry("g_1"))
	d.command("/group add")
	l := d.a.top().(*membersDialog)
	for i, e := range l.candidates(d.a) {
		if e.name == "bob" || e.name == "anna von berg" {
			l.mark.set(i, idsOf(l.candidates(d.a)))
			d.space()
		}
	}
	f.fail = map[string]error{"AddMember": &chat.Error{Kind: chat.KindRefused, Text: "this contact is blocked"}}
	d.key("enter")
	d.has("anna von berg: this contact is blocked")
	if f.count("AddMember") != 1 {
		t.Errorf("calls %q", f.calls)
	}
	f.fail["AddMember"] = &chat.Error{Kind: chat.KindExists, Text: "is a member already"}
	if d.key("enter"); f.count("AddMember") != 3 || d.a.top() != nil {
		t.Errorf("calls %q", f.calls)
	}
}

// TestGroupMemberMayNot tells a member whom to ask, and calls nothing.
func TestGroupMemberMayNot(t *testing.T) {
	d, f := groupDriver(t)
	d.run(d.a.selectEntry("g_2"))
	for _, line := range []string{"/group add alice", "/group remove bob", "/group rename x"} {
		d.a.notice = ""
		d.command(line)
		d.has("only marta can do that, who administers this group")
	}
	d.command("/group")
	for _, k := range []string{"a", "x", "r"} {
		d.key(k)
		d.has("only marta can do that, who administers this group")
		if _, open := d.a.top().(*groupDialog); !open {
			t.Errorf("%s opened something", k)
		}
	}
	d.has("warning: marta, who administers this group, told members")
	if f.count("AddMember")+f.count("RemoveMember")+f.count("RenameGroup") != 0 {
		t.Errorf("calls %q", f.calls)
	}
	d.key("esc")
	d.run(d.a.selectEntry("c_1"))
	for line, want := range map[string]string{
		"/group leave": "this is no group", "/group add bob": "this is no group", "/group explode": "/group does not know explode",
	} {
		d.a.notice = ""
		if d.command(line); !strings.Contains(d.a.notice, want) || d.a.top() != nil {
			t.Errorf("%s: %q", line, d.a.notice)
		}
	}
}

// TestGroupIsErased erases a group that we left, after asking.
func TestGroupIsErased(t *testing.T) {
	d, f := groupDriver(t)
	d.run(d.a.selectEntry("g_3"))
	d.command("/group")
	d.has("You left this group.")
	d.key("l")
	d.has("Nothing brings it back.")
	f.groups = f.groups[:2]
	d.key("y")
	if !f.called("LeaveGroup g_3") || d.a.top() != nil || d.a.find("g_3") != nil || d.a.current == "g_3" {
		t.Errorf("calls %q, on screen %s", f.calls, d.a.current)
	}
	// One that vanishes while its dialog is open says so, and breaks nothing.
	d.run(d.a.selectEntry("g_1"))
	d.command("/group")
	f.groups = nil
	d.run(d.a.loadPeople())
	d.has("not here any more")
	d.key("a", "x", "l", "enter", "esc")
}

// TestGroupHostile draws groups whose names and warnings a member chose, at many
// sizes.
func TestGroupHostile(t *testing.T) {
	d, f := groupDriver(t)
	evil := "a\x1b]0;own\x07\u202e\u200bb\rc " + strings.Repeat("\u6f22e\u0301\u0301\u0301", 60)
	f.groups[0].Name, f.groups[0].Warning, f.contacts[0].Name = evil, evil, evil
	d.run(d.a.loadPeople())
	open := []func(){
		func() { d.run(d.a.openGroup("g_1")) }, func() { d.run(d.a.openGroups()) }, func() { d.run(d.a.openNewGroup(evil)) },
		func() { d.run(d.a.openMembers(d.a.find("g_1"))) }, func() { d.a.askLeave(d.a.find("g_1")) },
	}
	for _, o := range open {
		o()
		for w := 30; w <= 120; w += 15 {
			for h := 8; h <= 40; h += 8 {
				d.msg(tea.WindowSizeMsg{Width: w, Height: h})
				box, _ := d.a.top().view(d.a, w, h)
				for _, l := range box {
					if n := ansi.StringWidth(l); n > w || len(box) > h {
						t.Fatalf("%d cells, %d lines on %dx%d: %q", n, len(box), w, h, l)
					}
					if strings.ContainsAny(ansi.Strip(l), "\x1b\x07\r\n\u202e\u200b") {
						t.Fatalf("control characters in %q", l)
					}
				}
			}
		}
		d.key("esc")
	}
}

// TestGroupAndFileASCII draws the dialogs of groups and files in ASCII alone.
func TestGroupAndFileASCII(t *testing.T) {
	d, f := groupDriver(t)
	withFiles(f)
	d.files()
	prefs := DefaultPreferences()
	prefs.ASCII = true
	d.a.prefs, d.a.theme = prefs, newTheme(prefs, true)
	open := map[string]func(){
		"group": func() { d.run(d.a.openGroup("g_2")) }, "groups": func() { d.run(d.a.openGroups()) }, "new": func() { d.run(d.a.openNewGroup("night shift")) },
		"add": func() { d.run(d.a.openMembers(d.a.find("g_1"))) }, "leave": func() { d.a.askLeave(d.a.find("g_1")) },
		"files": func() { d.run(d.a.openFiles()) }, "save": func() { d.run(d.a.saveCommand("")) }, "offer": func() { d.run(d.a.fileCommand("a long name of a plan.pdf")) },
		"stop": func() { d.run(d.a.stopFile(f.files[1])) },
	}
	for name, o := range open {
		o()
		for _, size := range sizes {
			box, _ := d.a.top().view(d.a, size[0], size[1])
			for _, l := range box {
				if plain := ansi.Strip(l); strings.ContainsFunc(plain, func(r rune) bool { return r > 126 || r < 32 }) {
					t.Errorf("%s at %dx%d: %q", name, size[0], size[1], plain)
				}
			}
		}
		d.key("esc")
	}
}
