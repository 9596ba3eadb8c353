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

// driveWith is drive with the choices of a person.
func driveWith(t *testing.T, f *fakeChat, p Preferences, w, h int) *driver {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	a, err := New(ctx, Config{Home: &fakeHome{state: readyHome, chat: f}, Now: func() time.Time { return testNow }, Preferences: &p})
	if err != nil {
		t.Fatal(err)
	}
	a.noWaiting = true
	d := &driver{t, a}
	d.msg(tea.WindowSizeMsg{Width: w, Height: h})
	d.run(a.open())
	return d
}

// TestHelpOfADialogComesFirst: F1 says the keys of what is on top.
func TestHelpOfADialogComesFirst(t *testing.T) {
	d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, 80, 24)
	d.key("ctrl+k", "f1")
	s := d.screen()
	if !strings.Contains(s, "Help · switch") || !strings.Contains(s, "go there") || strings.Index(s, "go there") > strings.Index(s, "draw the screen again") {
		t.Errorf("screen:\n%s", s)
	}
	d.key("f1")
	if _, open := d.a.top().(*switcherDialog); !open {
		t.Error("F1 again does not go back to the dialog")
	}
	d.key("esc")
	d.typeText("/re")
	d.key("f1")
	if s := d.screen(); strings.Index(s, "run it, or write") > strings.Index(s, "new line") {
		t.Errorf("the keys of the palette are not first:\n%s", s)
	}
}

// TestHelpInTheFirstRun: each step says its keys, and the question for a passphrase
// says nothing.
func TestHelpInTheFirstRun(t *testing.T) {
	d := drive(t, &fakeHome{chat: newFake()}, 80, 24)
	d.key("f1")
	d.has("Help · first run: welcome")
	d.key("esc", "enter", "f1")
	d.has("Help · fields to fill in")
	d = drive(t, &fakeHome{state: HomeState{Exists: true, Encrypted: true, HasNetwork: true}, chat: newFake()}, 80, 24)
	d.key("f1")
	if len(d.a.dialogs) > 0 {
		t.Error("the lock screen shows something else")
	}
}

// TestHelpTopics answers each topic that /help takes, and says which there is.
func TestHelpTopics(t *testing.T) {
	d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, 80, 24)
	for _, topic := range d.a.helpTopics() {
		d.a.openHelp(topic)
		if len(d.a.dialogs) != 1 {
			t.Fatalf("no help on %q", topic)
		}
		d.screen()
		d.key("esc")
	}
	for _, c := range commandTable() {
		d.a.openHelp(c.name)
		d.has(c.does)
		d.key("esc")
	}
	d.typeText("/help serch")
	d.key("enter")
	d.has("no help on serch; did you mean search?")
}

// TestHelpShowsAllOfIt scrolls through the help at every size: each key, command
// and sign of it comes on the screen.
func TestHelpShowsAllOfIt(t *testing.T) {
	for _, size := range sizes {
		d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, size[0], size[1])
		d.key("f1")
		h := d.a.top().(*helpDialog)
		all := ""
		for range 100 {
			all += d.screen()
			if h.scroll == h.most {
				break
			}
			d.key("pgdown")
		}
		flat := strings.Join(strings.Fields(strings.NewReplacer("│", " ", "\n", " ").Replace(all)), " ")
		for _, m := range append(h.here, modeMessage) {
			for _, p := range d.a.helpMode(m, false).pairs {
				if !strings.Contains(flat, p[0]) || !strings.Contains(flat, p[1]) {
					t.Errorf("%v: %q is not shown", size, p)
				}
			}
		}
		for _, p := range d.a.helpSigns().pairs {
			if !strings.Contains(flat, p[1]) {
				t.Errorf("%v: %q is not explained", size, p)
			}
		}
	}
}

// TestEveryKeyOfTheHelpActs presses each key that works on the conversation screen:
// it must change the screen, what is kept of it, or ask the profile for something.
func TestEveryKeyOfTheHelpActs(t *testing.T) {
	here := map[mode]bool{modeEverywhere: true, modeMoving: true, modePanels: true, modeComposer: true, modeMessage: true, modePalette: true}
	for _, g := range keyTable() {
		if !here[g.mode] {
			continue
		}
		for _, b := range g.bindings {
			for _, key := range b.keys {
				d := atRest(t, b.act)
				before := d.state()
				_, cmd := d.a.Update(keyPress(key))
				if b.act == "redraw" || b.act == "message.copy" {
					if cmd == nil {
						t.Errorf("%s (%s) does nothing", key, b.act)
					}
					continue
				}
				d.run(cmd)
				if d.state() == before {
					t.Errorf("%s (%s: %s) changes nothing", key, b.act, b.does)
				}
			}
		}
	}
}

// state is all that a key may change.
func (d *driver) state() string {
	lines, cur := d.a.draw()
	at := ""
	if cur != nil {
		at = fmt.Sprint(cur.X, cur.Y)
	}
	f := d.a.home.(*fakeHome).chat
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(lines, "\n") + at + fmt.Sprint(len(f.calls))
}

// atRest brings up a screen on which a key of an action has something to act on.
func atRest(t *testing.T, act action) *driver {
	f := newFake()
	withLatest(f)
	for i := range 60 {
		f.messages["c_1"] = append(f.messages["c_1"], chat.Message{ID: fmt.Sprint("x", i), Contact: "c_1", Direction: chat.In, Text: "t", Seq: uint64(100 + i), Time: testNow, State: chat.Received})
	}
	f.contacts[1].Unread = 1
	f.messages["c_1"][67].Reply = "m_2" // what enter on it goes to
	for i := range 9 {
		f.contacts = append(f.contacts, chat.Contact{ID: fmt.Sprint("c_x", i), Name: fmt.Sprint("x", i), State: chat.ContactActive})
	}
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.run(d.a.selectEntry("c_1"))
	d.screen()
	switch {
	case strings.HasPrefix(string(act), "message."):
		d.key("up")
		for _, m := range d.a.shown().messages {
			switch {
			case act == "message.retry" && m.State == chat.Failed,
				act == "message.edit" && m.State == chat.Delivered,
				act == "message.open" && m.Reply != "":
				d.a.shown().selected = m.ID
			}
		}
	case strings.HasPrefix(string(act), "palette."):
		d.typeText("/")
	case act == "palette" || act == "cursor.up":
	case act == "complete":
		d.typeText("/re")
		d.key("esc")
	case act == "close":
		d.key("f1")
	case act == "scroll.on" || act == "scroll.last":
		d.key("pgup")
	case act == "contact.number":
		d.run(d.a.selectEntry("c_x8"))
	case act == "contact.last":
		d.run(d.a.selectEntry("c_2"))
	case act == "yank":
		d.typeText("text")
		d.key("ctrl+u")
	default:
		d.typeText("a text of some more words")
		d.key("ctrl+j")
		d.typeText("and more words")
		d.key("left", "left", "up")
		d.screen()
	}
	return d
}
