package tui

import (
	"fmt"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

func TestGoldenScreens(t *testing.T) {
	for _, size := range [][2]int{{100, 28}, {80, 24}, {58, 20}, {30, 8}} {
		name := func(s string) string { return fmt.Sprintf("%s-%dx%d", s, size[0], size[1]) }
		d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, size[0], size[1])
		d.golden(name("conversation"))
		d.key("f1")
		d.golden(name("help"))
		d.key("esc", "alt+n")
		d.typeText("carol")
		d.golden(name("invite-name"))
		d.key("enter")
		d.golden(name("invite"))
		d.key("esc")
		d.msg(tea.PasteMsg{Content: "HEARSAY:AEAQ"})
		d.golden(name("accept"))

		d = drive(t, &fakeHome{chat: newFake()}, size[0], size[1])
		d.golden(name("first-1"))
		d.key("enter")
		d.typeText("correct horse battery")
		d.golden(name("first-2"))
		d.key("enter")
		d.typeText("correct horse battery")
		d.key("enter")
		d.golden(name("first-3"))
		d.typeText("HEARSAY-NET:AEBQ")
		d.key("enter")
		d.golden(name("first-3-starting"))
		d.key("esc")
		d.golden(name("first-4"))
	}
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

func TestFirstRunOpensWithWhatWasTyped(t *testing.T) {
	h := &fakeHome{chat: newFake()}
	d := drive(t, h, 80, 24)
	d.key("enter")
	d.key("enter")
	d.has("type a passphrase")
	d.typeText("secret")
	d.key("enter")
	d.typeText("other")
	d.key("enter")
	d.has("the two differ")
	d.typeText("secret")
	d.key("enter")
	h.err = &chat.Error{Kind: chat.KindRefused, Text: "that is no network link", Hint: "it starts with HEARSAY-NET:"}
	d.typeText("junk")
	d.key("enter")
	d.has("that is no network link (it starts with HEARSAY-NET:)")
	h.err = nil
	for range 4 {
		d.msg(tea.KeyPressMsg{Code: tea.KeyBackspace})
	}
	d.typeText("HEARSAY-NET:X")
	d.key("enter")
	if h.pass != "secret" || h.link != "HEARSAY-NET:X" {
		t.Errorf("opened with %q and %q", h.pass, h.link)
	}
	d.has("snapshot")
	d.key("esc", "s")
	d.has("marta")
	if strings.Contains(fmt.Sprintf("%+v", d.a.first.passphrase.Value()+d.a.first.again.Value()), "secret") {
		t.Error("the passphrase stays in the input")
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
	m := chat.Message{ID: "m_1001", Contact: "c_1", State: chat.Stored, Copies: &chat.Copies{Have: 2, Want: 2}}
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
	d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, 80, 24)
	d.a.Update(eventsMsg{events: []chat.Event{{Type: chat.MessageStateChanged, Message: &chat.Message{ID: "m_1001", Contact: "c_1", State: chat.Delivered}}}})
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

func TestInviteQR(t *testing.T) {
	rows := qrRows("HEARSAY:" + strings.Repeat("A", 117))
	if len(rows) != 21 || ansi.StringWidth(rows[0]) != 41 {
		t.Errorf("%d rows of %d cells, want 21 of 41", len(rows), ansi.StringWidth(rows[0]))
	}
}
