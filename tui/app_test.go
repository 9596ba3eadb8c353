package tui

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// withLatest makes marta the first contact, as the one who wrote last.
func withLatest(f *fakeChat) {
	at := testNow
	f.contacts[0].Latest = &at
}

// TestGoldenScreens draws the conversation screen and what lies over it.
func TestGoldenScreens(t *testing.T) {
	goldens(t, "conversation", withLatest, func(d *driver) {})
	goldens(t, "composer", withLatest, func(d *driver) {
		d.typeText("see you at the usual")
		d.key("ctrl+j")
		d.typeText("place, the one with the green door")
	})
	goldens(t, "composer-long", withLatest, func(d *driver) {
		d.typeText(strings.Repeat("many words that fill rows ", 40))
	})
	goldens(t, "reply", withLatest, func(d *driver) {
		d.a.startReply(&d.a.shown().messages[1])
		d.typeText("which shop?")
	})
	goldens(t, "locked", func(f *fakeChat) {
		withLatest(f)
		f.contacts[0].State = chat.ContactChanged
	}, func(d *driver) { d.typeText("x") })
	goldens(t, "help", withLatest, func(d *driver) { d.key("f1") })
	goldens(t, "help-signs", withLatest, func(d *driver) { d.a.openHelp("signs") })
	goldens(t, "palette", withLatest, func(d *driver) { d.typeText("/re") })
	goldens(t, "palette-names", withLatest, func(d *driver) { d.typeText("/verify ") })
	goldens(t, "switcher", withLatest, func(d *driver) { d.key("ctrl+k") })
	goldens(t, "history", withLatest, func(d *driver) {
		d.key("ctrl+r")
		d.typeText("o")
	})
	goldens(t, "paste", withLatest, func(d *driver) {
		d.msg(tea.PasteMsg{Content: "one\r\ntwo\rthree\nfour\x1b[2J\nfive\n"})
	})
	goldens(t, "hidden", withLatest, func(d *driver) { d.key("f7") })
	goldens(t, "bare", withLatest, func(d *driver) { d.key("alt+l") })
	goldens(t, "nobody", func(f *fakeChat) { f.contacts = nil }, func(d *driver) {})
}

// TestErrorsAreForPeople checks that no error shows the name of a package.
func TestErrorsAreForPeople(t *testing.T) {
	err := fmt.Errorf("open: %w", &chat.Error{Kind: chat.KindRefused, Text: "the link is not good: directory: mistyped\x1b[31m", Hint: "copy it again"})
	if got, want := errorText(err), "open: the link is not good: mistyped[31m (copy it again)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestLinksFromSeveralLines pastes links as they are copied from a screen: in
// several lines, within a box.
func TestLinksFromSeveralLines(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.msg(tea.PasteMsg{Content: "HEARSAY:AEAQ │\n│ 4KQ7\r\n2MZP │"})
	d.has("HEARSAY:AEAQ4KQ72MZP")
	if got, want := networkText(" HEARSAY-NET:AE\nBQ "), "HEARSAY-NET:AEBQ"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := networkText(" my file\n"), "my file"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestUsedInviteIsNotOfferedAgain checks what the dialog says once somebody
// came by the invite.
func TestUsedInviteIsNotOfferedAgain(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.key("alt+n", "enter")
	d.has("it stays")
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.InviteUsed, Invite: f.invite.ID}}})
	d.has("used: your contact is here")
	if strings.Contains(d.screen(), "it stays") || strings.Contains(d.screen(), "[c] copy") {
		t.Error("a used invite is offered again")
	}
}

func TestSendAndStates(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.typeText("see you")
	d.key("ctrl+j")
	d.typeText("there")
	d.key("enter")
	if len(f.sent()) != 1 || f.sent()[0] != "see you\nthere" {
		t.Fatalf("sent %q", f.sent())
	}
	d.has("· queued")
	// The event of a state has no text and no time.
	list := d.a.shown().messages
	m := chat.Message{ID: list[len(list)-1].ID, Contact: d.a.current, State: chat.Stored, Copies: &chat.Copies{Have: 2, Want: 2}}
	d.a.Update(eventsMsg{events: []chat.Event{{Type: chat.MessageStateChanged, Message: &m}}})
	d.has("» stored 2/2")
	m.State = chat.Delivered
	d.a.Update(eventsMsg{events: []chat.Event{{Type: chat.MessageStateChanged, Message: &m}}})
	d.has("✓ delivered")
	if n := strings.Count(d.screen(), "see you"); n != 1 {
		t.Errorf("the message stands %d times", n)
	}
}

// TestStateBeforeAnswer lets the event of a state come before the answer to
// sending.
func TestStateBeforeAnswer(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	id := fmt.Sprint("m_", len(f.calls)+1+1000) // what the fake gives to the next one
	d.a.Update(eventsMsg{events: []chat.Event{{Type: chat.MessageStateChanged, Message: &chat.Message{ID: id, Contact: d.a.current, State: chat.Delivered}}}})
	d.typeText("quick")
	d.key("enter")
	if s := d.screen(); !strings.Contains(s, "quick") || strings.Contains(strings.Split(s, "quick")[1][:60], "queued") {
		t.Errorf("the older state stands on screen:\n%s", s)
	}
}

// TestNothingTypedIsLost keeps the text when chat refuses it.
func TestNothingTypedIsLost(t *testing.T) {
	f := newFake()
	f.fail = map[string]error{"Send": &chat.Error{Kind: chat.KindIO, Text: "the disk is full"}}
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.typeText("precious")
	d.key("enter")
	d.has("the disk is full")
	if d.a.composer.value() != "precious" {
		t.Errorf("the composer holds %q", d.a.composer.value())
	}
	d.key("ctrl+n")
	if d.a.composer.value() != "" {
		t.Error("the draft followed to another contact")
	}
	d.key("ctrl+p")
	if d.a.composer.value() != "precious" {
		t.Error("the draft is gone")
	}
}

func TestCommandsAreNeverSent(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.typeText("/nonsense x")
	d.key("enter")
	d.has("no command /nonsense")
	d.key("ctrl+c")
	d.typeText("//path")
	d.key("enter")
	if len(f.sent()) != 1 || f.sent()[0] != "/path" {
		t.Errorf("sent %q", f.sent())
	}
	d.typeText("/accept HEARSAY:X dora")
	d.key("enter", "enter")
	if f.contacts[len(f.contacts)-1].Name != "dora" {
		t.Errorf("contacts %+v", f.contacts)
	}
	d.has("dora … invited")
}

func TestConsentIsAskedForAndGiven(t *testing.T) {
	f := newFake()
	f.status.Outlook.NeedsConsent = true
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
	d.has("/consent uses it all the same")
	d.typeText("/consent")
	d.key("enter")
	d.has("the old snapshot is used")
	d.typeText("/consent")
	d.key("enter")
	d.has("nothing waits for your consent")
	if f.count("Consent") != 1 || len(f.sent()) > 0 {
		t.Errorf("%d consents, sent %q", f.count("Consent"), f.sent())
	}
}

func TestQuitNeedsTwo(t *testing.T) {
	d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, 80, 24)
	d.typeText("half a line")
	if _, cmd := d.a.Update(keyPress("ctrl+c")); cmd != nil {
		t.Error("the first ctrl+c quits")
	}
	if d.a.composer.value() != "" {
		t.Error("the first ctrl+c does not clear the input")
	}
	d.has("ctrl+c again quits")
	_, cmd := d.a.Update(keyPress("ctrl+c"))
	if cmd == nil {
		t.Fatal("the second ctrl+c does not quit")
	}
	if _, ok := cmd().(tea.QuitMsg); !ok {
		t.Error("the second ctrl+c does not quit")
	}
}

// TestCoverIsChosenAndShown runs /cover with each kind of argument.
func TestCoverIsChosenAndShown(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
	d.has("cover off")
	d.typeText("/cover normal")
	d.key("enter")
	d.has("cover is normal from now on, about 111 MB a day")
	d.has("cover normal")
	d.typeText("/cover off")
	d.key("enter")
	d.has("cover off")
	d.typeText("/cover")
	d.key("enter")
	d.has("cover is off; in MB a day: off 32, saver 44, normal 111, fast 222")
	d.key("ctrl+c")
	f.fail = map[string]error{"SetCover": errors.New("no disk")}
	d.typeText("/cover fast")
	d.key("enter")
	d.has("cover off")
	d.key("ctrl+c")
	d.typeText("/cover loud")
	d.key("enter")
	d.has("no cover profile is called loud")
	if f.status.Cover != "off" || len(f.sent()) > 0 {
		t.Errorf("cover %s, sent %q", f.status.Cover, f.sent())
	}
}

func TestInviteQR(t *testing.T) {
	rows := qrRows("HEARSAY:" + strings.Repeat("A", 117))
	if len(rows) != 21 || ansi.StringWidth(rows[0]) != 41 {
		t.Errorf("%d rows of %d cells, want 21 of 41", len(rows), ansi.StringWidth(rows[0]))
	}
}
