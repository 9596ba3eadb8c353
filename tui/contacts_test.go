package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// crowd gives a fake profile one contact of every kind, groups, strangers and
// notes.
func crowd(f *fakeChat) {
	at := func(back time.Duration) *time.Time { t := testNow.Add(-back); return &t }
	const day = 24 * time.Hour
	number := "28471 90312 55817 60021 77340 19284 03391 48820 71156 92003 61847 30975"
	f.contacts = []chat.Contact{
		{ID: "c_1", Name: "marta", State: chat.ContactActive, Verified: true, SafetyNumber: number, Latest: at(0), Settings: &chat.Conversation{Pinned: true}},
		{ID: "c_2", Name: "alice", State: chat.ContactActive, Verified: true, SafetyNumber: number, Latest: at(25 * time.Minute), Unread: 2},
		{ID: "c_3", Name: "press-desk", State: chat.ContactActive, SafetyNumber: number, Latest: at(3 * time.Hour), Unread: 1, Introduced: "marta"},
		{ID: "c_4", Name: "bob", State: chat.ContactChanged, SafetyNumber: number, Latest: at(day)},
		{ID: "c_5", Name: "dora", State: chat.ContactInvited, SafetyNumber: number},
		{ID: "c_11", Name: "the journal", State: chat.ContactInvited, Asked: "two relays took the request; its owner decides"},
		{ID: "c_6", Name: "the one whom we met at the station", State: chat.ContactActive, Verified: true, SafetyNumber: number, Latest: at(40 * day), Settings: &chat.Conversation{Muted: true}},
		{ID: "c_7", Name: "mallory", State: chat.ContactBlocked, SafetyNumber: number, Latest: at(400 * day), Settings: &chat.Conversation{Archived: true}},
		{ID: "c_8", Name: "zoe", State: chat.ContactInvited, Problem: "the invite was used before, perhaps not by you", Settings: &chat.Conversation{DisappearAfter: 7 * day}},
		{ID: chat.NotesID, Name: chat.NotesID, State: chat.ContactActive, Latest: at(2 * day)},
	}
	f.groups = []chat.Group{
		{ID: "g_1", Name: "printers", Members: []string{"c_1", "c_2"}, Pending: 1, State: chat.GroupActive, Admin: true, Latest: at(2 * day), Settings: &chat.Conversation{Draft: "not yet"}},
		{ID: "g_2", Name: "old crew", Members: []string{"c_1"}, State: chat.GroupLeft, Warning: "two rosters contradict each other"},
	}
	f.requests = []chat.Request{
		{ID: "r_1", Address: "a_1", Name: "Vera", Text: "We met at the fair.\nI have the photographs.", Time: testNow.Add(-time.Hour), Effort: 23},
		{ID: "r_2", Address: "a_1", Text: "", Time: testNow.Add(-2 * day), Effort: 24},
	}
	f.invites = []chat.Invite{
		{ID: "i_1", Link: f.invite.Link, Name: "carol", Expires: f.invite.Expires, State: "waiting"},
		{ID: "i_2", Link: f.invite.Link, Expires: testNow.Add(3 * time.Hour), State: "opened", Opened: 2},
	}
	f.addrs = []chat.Address{{ID: "a_1", Link: addressLink, Label: "press", Effort: 22, State: "published, and on 5 of 6 relays of the directory"}}
	f.address = chat.Address{ID: "a_2", Link: addressLink, Effort: 22, State: "published"}
}

// addressLink is a good link of an address, of some network.
const addressLink = "HEARSAY:AEBACAQDAQBQUEIYD4TC2NB3IJEVAV26MVWAKEA3EYYTYR2SLVUHG7UJSSP2UAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAFYQXG"

// TestGoldenContacts compares the columns alone: what stands beside them belongs to
// others.
func TestGoldenContacts(t *testing.T) {
	for _, size := range [][2]int{{100, 28}, {80, 24}, {60, 16}} {
		d, _ := withCrowd(t, size[0], size[1])
		column := func(name string) {
			t.Helper()
			l := d.a.layout()
			lines := d.a.drawContacts(l.left, l.rows)
			if l.info > 0 {
				lines = d.a.drawInfo(l.info, l.rows)
			}
			for i := range lines {
				lines[i] = strings.TrimRight(ansi.Strip(lines[i]), " ")
			}
			d.compare(fmt.Sprintf("%s-%dx%d", name, size[0], size[1]), strings.Join(lines, "\n")+"\n")
		}
		column("contacts")
		d.key("alt+f7")
		d.typeText("o")
		d.key("down")
		column("contacts-filter")
		d.key("esc")
		if size[0] >= wideWidth {
			d.key("alt+i")
			column("info")
			d.run(d.a.selectEntry("g_1"))
			column("info-group")
		}
	}
}

// TestRowsSayWhatMatters draws rows in columns of several widths: what is unread
// and a changed key are said before the time, and a long name never pushes them
// off.
func TestRowsSayWhatMatters(t *testing.T) {
	f := newFake()
	crowd(f)
	f.contacts = append(f.contacts, chat.Contact{ID: "c_10", Name: "gone", State: chat.ContactActive, Verified: true, Problem: "they removed you from their contacts"})
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
	for _, c := range []struct {
		id   string
		w    int
		want string
	}{
		{"c_1", 25, " marta ✓            14:05"},
		{"c_2", 20, " alice ✓    2  13:40"},
		{"c_3", 20, " press-desk ?      1"},
		{"c_3", 25, " press-desk ?    1  11:05"},
		{"c_4", 25, " bob ‼ key changed    Fri"},
		{"c_4", 20, " bob ‼ changed   Fri"},
		{"c_5", 20, " dora … invited     "},
		{"c_6", 25, " the one … ✓ muted 12 Oct"},
		{"c_7", 25, " mallory ! blocked   2025"},
		{"c_7", 20, " mallory ! blocked  "},
		{"c_11", 25, " the journal … asked     "},
		{"c_10", 25, " gone ! removed you      "},
		{"c_8", 25, " zoe ! invite failed     "},
		{"c_8", 16, " zoe ! failed   "},
		{"g_1", 25, " # printers (4)       Thu"},
		{"notes", 20, " notes           Thu"},
	} {
		got := ansi.Strip(d.a.entryLine(d.a.find(c.id), c.w, false))
		if got != c.want {
			t.Errorf("%s in %d: %q, want %q", c.id, c.w, got, c.want)
		}
		if n := ansi.StringWidth(got); n != c.w {
			t.Errorf("%s: %d cells, want %d", c.id, n, c.w)
		}
	}
	long := entry{name: strings.Repeat("x", 200), contact: &chat.Contact{State: chat.ContactChanged}, unread: 12}
	for w := 14; w < 60; w++ {
		if s := d.a.entryLine(&long, w, false); !strings.Contains(s, "‼") || !strings.Contains(s, "12") || ansi.StringWidth(s) != w {
			t.Errorf("in %d cells: %q", w, s)
		}
	}
}

// TestNameCannotClaimToBeVerified has a stranger choose a name that looks like
// what we say of verified contacts.
func TestNameCannotClaimToBeVerified(t *testing.T) {
	f := newFake()
	f.contacts[0] = chat.Contact{ID: "c_1", Name: "marta ✓✅ verified" + strings.Repeat(" ", 60) + "x\x1b[2J\u202e", State: chat.ContactActive}
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.has("? unverified")
	if s := d.screen(); strings.Contains(s, "✓ verified") {
		t.Errorf("the name says that it is verified:\n%s", s)
	}
	if got, want := plainName("✓✅\n"), "somebody"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	d.a.find("c_1").name = strings.Repeat("long ", 40)
	for _, w := range []int{100, 80, 58, 30} {
		d.msg(tea.WindowSizeMsg{Width: w, Height: 24})
		d.has("? unverified")
	}
}

func TestFilterFindsAndOpens(t *testing.T) {
	f := newFake()
	crowd(f)
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.key("alt+f7")
	d.typeText("ALIx")
	d.msg(tea.KeyPressMsg{Code: tea.KeyBackspace})
	d.has("/ ALI")
	if s := d.screen(); strings.Contains(s, "press-desk") {
		t.Errorf("the filter keeps others:\n%s", s)
	}
	d.key("enter")
	if d.a.current != "c_2" || d.a.contacts.filtering || d.a.composer.value() != "" {
		t.Errorf("shown is %s, still filtering %v, composer %q", d.a.current, d.a.contacts.filtering, d.a.composer.value())
	}
	d.has("press-desk")
	d.key("alt+f7")
	d.typeText("zzz")
	d.has("nobody of that name")
	d.key("enter")
	d.key("alt+f7", "esc")
	if d.a.contacts.filtering || d.a.current != "c_2" {
		t.Error("esc does not end the filter")
	}
}

// TestRequestsStandAboveContacts opens the strangers from the column and by key.
func TestRequestsStandAboveContacts(t *testing.T) {
	f := newFake()
	crowd(f)
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.has("requests (2)")
	d.key("alt+f7")
	for range 20 {
		d.key("up")
	}
	d.key("enter")
	d.has("Requests of strangers")
	d.key("esc", "alt+r")
	d.has("Requests of strangers")
}

// TestNotesAreThere finds the notes before anything was written to them.
func TestNotesAreThere(t *testing.T) {
	f := newFake()
	f.contacts = nil
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.has("no contacts yet")
	if d.a.current != "" {
		t.Error("an empty profile opens the notes in place of what to do first")
	}
	d.key("ctrl+n")
	d.has("notes only on this disk")
}

// TestFailedInviteIsNamed shows a contact whose invite somebody else used.
func TestFailedInviteIsNamed(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.run(d.a.selectEntry("c_3"))
	d.has("You may write at once")
	f.contacts[2].Problem = "the invite was used before, perhaps not by you"
	d.run(d.a.loadPeople())
	d.has("the invite was used before, perhaps not by you.")
	d.has("bob ! invite failed")
	if strings.Contains(d.screen(), "You may write at once") {
		t.Error("it still says that messages will be sent")
	}
}

// TestPeopleInASCII opens every screen of people with signs of ASCII alone.
func TestPeopleInASCII(t *testing.T) {
	for name, steps := range peopleScreens {
		f := newFake()
		crowd(f)
		prefs := DefaultPreferences()
		prefs.ASCII = true
		d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
		d.a.prefs = prefs
		d.a.theme = newTheme(prefs, true)
		d.a.forgetLayout()
		steps(d)
		box, _ := d.a.top().view(d.a, 100, 28)
		for _, l := range append(box, d.a.drawContacts(25, 20)...) {
			for _, r := range ansi.Strip(l) {
				if r >= 0x7f {
					t.Errorf("%s: %q in %q", name, r, ansi.Strip(l))
					break
				}
			}
		}
	}
}

// peopleScreens are the dialogs about people and how one gets there.
var peopleScreens = map[string]func(d *driver){
	"invite-made":     func(d *driver) { d.key("alt+n"); d.typeText("carol"); d.key("enter") },
	"invite-ask":      func(d *driver) { d.key("alt+n") },
	"invites":         func(d *driver) { d.run(d.a.openInvites()) },
	"address":         func(d *driver) { d.run(d.a.openInvites()); d.key("a"); d.typeText("press"); d.key("enter") },
	"address-ask":     func(d *driver) { d.run(d.a.openInvites()); d.key("a") },
	"accept-link":     func(d *driver) { d.run(d.a.openAccept("")) },
	"accept-address":  func(d *driver) { d.msg(tea.PasteMsg{Content: addressLink}); d.key("tab", "tab") },
	"requests":        func(d *driver) { d.key("alt+r") },
	"requests-accept": func(d *driver) { d.key("alt+r", "a") },
	"verify":          func(d *driver) { d.run(d.a.verifyCommand("press-desk")) },
	"verify-code":     func(d *driver) { d.run(d.a.verifyCommand("press-desk")); d.key("q") },
	"verify-changed":  func(d *driver) { d.run(d.a.verifyCommand("bob")) },
	"verify-typed":    func(d *driver) { d.run(d.a.verifyCommand("press-desk")); d.typeText("28471") },
	"verify-words": func(d *driver) {
		d.run(d.a.verifyCommand("press-desk"))
		d.key("w")
		d.run(d.a.wordsKnown("c_3", "acid banjo cobra delta"))
	},
	"verify-wait":   func(d *driver) { d.run(d.a.verifyCommand("press-desk")); d.key("w") },
	"verify-differ": func(d *driver) { d.run(d.a.verifyCommand("press-desk")); d.key("n") },
	"contact":       func(d *driver) { d.run(d.a.openContact("c_1")) },
	"contact-down": func(d *driver) {
		d.run(d.a.openContact("c_1"))
		for range 20 {
			d.key("down")
		}
	},
	"contact-group":  func(d *driver) { d.run(d.a.openContact("g_1")) },
	"contact-rename": func(d *driver) { d.run(d.a.openContact("c_1")); d.key("down", "enter") },
	"contact-remove": func(d *driver) { d.run(d.a.removeCommand("")) },
}

func TestGoldenPeople(t *testing.T) {
	for name, steps := range peopleScreens {
		boxes(t, name, crowd, steps)
	}
}

// TestPeopleFitEverywhere draws every screen of people at many sizes: lines fill
// the screen, and nothing breaks.
func TestPeopleFitEverywhere(t *testing.T) {
	for name, steps := range peopleScreens {
		d, _ := withCrowd(t, 80, 24)
		steps(d)
		for _, size := range [][2]int{{1, 1}, {29, 30}, {30, 8}, {31, 9}, {40, 10}, {59, 15}, {60, 16}, {99, 17}, {100, 20}, {200, 60}} {
			d.msg(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
			d.screen()
			if t.Failed() {
				t.Fatalf("%s at %v", name, size)
			}
		}
	}
}

// TestRowsAreDrawnAnewWhenTheyChange: what is kept of a row is never shown for
// another state of it.
func TestRowsAreDrawnAnewWhenTheyChange(t *testing.T) {
	d, f := withCrowd(t, 80, 24)
	d.has("press-desk ?      1")
	e := d.a.find("c_3")
	e.unread = 7
	d.has("press-desk ?      7")
	f.contacts[2].Verified = true
	d.run(d.a.loadPeople())
	d.has("press-desk ✓      1")
	for i := range 2 * drawnRows {
		d.a.find("c_3").unread = i + 1
		d.a.drawContacts(20, 20)
	}
	if n := len(d.a.contacts.drawn); n > drawnRows {
		t.Errorf("%d rows are kept", n)
	}
}

func BenchmarkContacts1000(b *testing.B) {
	f := newFake()
	for i := range 1000 {
		f.contacts = append(f.contacts, chat.Contact{ID: fmt.Sprint("c_", i+100), Name: fmt.Sprint("contact number ", i), State: chat.ContactActive, Unread: i % 3})
	}
	a, err := New(b.Context(), Config{Home: &fakeHome{state: readyHome, chat: f}, Now: func() time.Time { return testNow }})
	if err != nil {
		b.Fatal(err)
	}
	a.applyPeople(people{contacts: f.contacts}, nil)
	b.ReportAllocs()
	for b.Loop() {
		a.drawContacts(25, 55)
	}
}

// TestHostilePeople puts codes, wide and endless signs into all that others can
// name, on every screen of people.
func TestHostilePeople(t *testing.T) {
	evils := []string{
		"x\x1b]0;owned\x07\x1b[2J\rmarta: hi\u202e\u0085\u009b31m\u200b",
		strings.Repeat("家族", 100),
		"a" + strings.Repeat("\u0301", 1000),
		strings.Repeat("W", 2000),
		"👨‍👩‍👧🏳️‍🌈\ufeff\u2066",
		"",
	}
	for _, evil := range evils {
		for name, steps := range peopleScreens {
			f := newFake()
			crowd(f)
			for i := range f.contacts {
				if f.contacts[i].ID == "c_1" {
					f.contacts[i].Introduced, f.contacts[i].SafetyNumber = evil, evil
				}
				if f.contacts[i].ID == "c_8" {
					f.contacts[i].Problem, f.contacts[i].Name = evil, evil
				}
			}
			for i := range f.requests {
				f.requests[i].Name, f.requests[i].Text = evil, evil
			}
			f.groups[0].Name, f.groups[1].Warning, f.groups[1].State = evil, evil, evil
			f.addrs[0].Label, f.addrs[0].State, f.address.State = evil, evil, evil
			f.invites[0].Name = evil
			f.path.Relays, f.path.Mailbox = []string{evil, evil, evil}, evil
			f.status.Network = evil
			f.fail = map[string]error{"AcceptRequest": &chat.Error{Kind: chat.KindIO, Text: evil, Hint: evil}}
			d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
			steps(d)
			d.key("enter")
			for _, size := range [][2]int{{120, 40}, {30, 8}} {
				d.msg(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
				d.a.info = true
				lines, _ := d.a.draw()
				for _, l := range lines {
					if n := ansi.StringWidth(l); n != size[0] {
						t.Fatalf("%s at %v: a line of %d cells: %.200q", name, size, n, l)
					}
					for _, r := range ansi.Strip(l) {
						if r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x202e || r == 0x2066 {
							t.Fatalf("%s at %v: %q reached the screen", name, size, r)
						}
					}
				}
			}
		}
	}
}

// TestPeopleKeysCanBeBoundElsewhere: a key that was given away does nothing any
// more, and screens name the new one.
func TestPeopleKeysCanBeBoundElsewhere(t *testing.T) {
	f := newFake()
	crowd(f)
	prefs := DefaultPreferences()
	prefs.Keys = map[string][]string{"verify.match": {"m"}, "request.accept": {"ctrl+g"}, "invite.make": {"ctrl+g"}, "contact.down": {"ctrl+d"}, "accept.take": {"ctrl+g"}}
	a, err := New(t.Context(), Config{Home: &fakeHome{state: readyHome, chat: f}, Now: func() time.Time { return testNow }, Preferences: &prefs})
	if err != nil {
		t.Fatal(err)
	}
	a.noWaiting = true
	d := &driver{t, a}
	d.msg(tea.WindowSizeMsg{Width: 80, Height: 24})
	d.run(a.open())
	d.run(a.verifyCommand("press-desk"))
	d.has("[m] they match")
	d.key("y")
	if f.count("VerifyContact") > 0 {
		t.Error("the old key acts")
	}
	d.key("m")
	if f.count("VerifyContact") != 1 {
		t.Error("the new key does not act")
	}
	d.key("alt+r")
	d.has("[ctrl+g] accept")
	d.key("a", "ctrl+g")
	d.has("Accepting Vera")
	d.key("esc", "alt+n", "enter")
	if f.count("CreateInvite") > 0 {
		t.Error("the old key acts")
	}
	d.key("ctrl+g")
	if f.count("CreateInvite") != 1 {
		t.Error("the new key does not act")
	}
}

// TestClicksOpenRows clicks into the column; what is clicked is what is drawn
// there.
func TestClicksOpenRows(t *testing.T) {
	d, _ := withCrowd(t, 80, 24)
	click := func(text string) {
		t.Helper()
		for y, l := range strings.Split(d.screen(), "\n") {
			if strings.Contains(l, text) {
				d.msg(tea.MouseClickMsg{X: 5, Y: y, Button: tea.MouseLeft})
				return
			}
		}
		t.Fatalf("no %q on screen", text)
	}
	click("press-desk ?")
	if d.a.current != "c_3" {
		t.Errorf("%s is shown", d.a.current)
	}
	click("# printers")
	if d.a.current != "g_1" {
		t.Errorf("%s is shown", d.a.current)
	}
	click("requests (2)")
	d.has("Requests of strangers")
	d.key("esc")
	click("/ filter")
	if !d.a.contacts.filtering {
		t.Error("the filter is not typed")
	}
	d.msg(tea.MouseClickMsg{X: 5, Y: 18, Button: tea.MouseLeft})
	d.msg(tea.MouseClickMsg{X: 0, Y: 0, Button: tea.MouseLeft})
}

// TestOwnWordsCountAsRecent: who was written to last stands above the others.
func TestOwnWordsCountAsRecent(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.run(d.a.selectEntry("c_1"))
	d.typeText("hello")
	d.key("enter")
	if d.a.entries[0].id != "c_1" {
		t.Errorf("%s stands on top", d.a.entries[0].name)
	}
	d.has("▌marta ✓       14:05")
}

// TestFilterIsAnInput: the filter of the contacts takes pastes and the keys of
// editing, wherever people bound them, and what stands in the composer stays.
func TestFilterIsAnInput(t *testing.T) {
	prefs := DefaultPreferences()
	prefs.Keys = map[string][]string{"delete.back": {"alt+z"}, "kill.word": {"alt+x"}, "clear": {"alt+c"}, "message.why": {"v"}}
	d := driveWith(t, newFake(), prefs, 80, 24)
	d.typeText("a draft")
	d.key("alt+f7")
	d.msg(tea.PasteMsg{Content: "marx\n"})
	d.key("backspace", "alt+z", "alt+z")
	if got := d.a.contacts.filter; got != "mar" {
		t.Errorf("the filter is %q", got)
	}
	d.key("alt+x")
	if got := d.a.contacts.filter; got != "" {
		t.Errorf("the filter is %q after the key that cuts", got)
	}
	d.typeText("bo")
	d.key("alt+c")
	if got := d.a.contacts.filter; got != "" {
		t.Errorf("the filter is %q after the key that clears", got)
	}
	d.has("alt+c again quits")
	if got := d.a.composer.value(); got != "a draft" {
		t.Errorf("the composer holds %q", got)
	}
	// Nobody would see what goes to a filter that is not on the screen.
	d.msg(tea.WindowSizeMsg{Width: 50, Height: 20})
	d.typeText("!")
	if got := d.a.composer.value(); got != "a draft!" || d.a.contacts.filtering {
		t.Errorf("the composer holds %q, filtering %v", got, d.a.contacts.filtering)
	}
	d.a.openHelp("signs")
	d.has("failed: v says why")
}
