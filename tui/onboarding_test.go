package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// TestGoldenFirstRun draws every pane of the first run at every size.
func TestGoldenFirstRun(t *testing.T) {
	for _, size := range sizes {
		name := func(s string) string { return fmt.Sprintf("%s-%dx%d", s, size[0], size[1]) }
		d := drive(t, &fakeHome{chat: newFake()}, size[0], size[1])
		d.golden(name("first-1"))
		d.key("r")
		d.typeText("old.hearsay")
		d.golden(name("first-restore"))
		d.key("esc", "enter")
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

// TestFirstRunOpensWithWhatWasTyped goes through the four steps with mistakes.
func TestFirstRunOpensWithWhatWasTyped(t *testing.T) {
	h := &fakeHome{chat: newFake()}
	d := drive(t, h, 80, 24)
	d.key("enter")
	d.key("enter")
	d.has("type a passphrase")
	d.typeText("hunter two")
	d.key("enter")
	d.typeText("other")
	d.key("enter")
	d.has("the two differ")
	d.typeText("hunter two")
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
	if h.pass != "hunter two" || h.link != "HEARSAY-NET:X" {
		t.Errorf("opened with %q and %q", h.pass, h.link)
	}
	d.has("snapshot")
	d.key("esc", "s")
	d.has("marta")
	if strings.Contains(fmt.Sprintf("%+v", d.a.first), "hunter two") {
		t.Error("the passphrase stays in memory")
	}
}

// TestEveryStepOfTheFirstRunGoesBack goes to the last step that has nothing open,
// and back to the first.
func TestEveryStepOfTheFirstRunGoesBack(t *testing.T) {
	d := drive(t, &fakeHome{chat: newFake()}, 80, 24)
	d.key("enter")
	d.typeText("secret")
	d.key("enter")
	d.typeText("secret")
	d.key("enter")
	d.has("3 of 4")
	d.key("esc")
	d.has("2 of 4")
	d.key("esc")
	d.has("1 of 4")
	d.key("r")
	d.has("restore a backup")
	d.key("esc")
	d.has("1 of 4")
}

// TestRestore makes the profile from a backup, and says what is wrong with one.
func TestRestore(t *testing.T) {
	h := &fakeHome{chat: newFake()}
	d := drive(t, h, 80, 24)
	d.key("r", "enter", "enter", "enter", "enter")
	d.has("name the file")
	d.typeText("old.hearsay")
	d.key("enter")
	d.typeText("of the backup")
	d.key("enter")
	d.typeText("new one")
	d.key("enter")
	d.typeText("new one")
	h.err = &chat.Error{Kind: chat.KindNotFound, Text: "there is no such backup", Hint: "check the name of the file"}
	d.key("enter")
	d.has("there is no such backup (check the name of the file)")
	h.err = nil
	d.key("enter")
	if h.restored != "old.hearsay" || h.pass != "new one" || h.link != "" {
		t.Errorf("restored %q, opened with %q and %q", h.restored, h.pass, h.link)
	}
	d.has("snapshot") // the start-up
	d.key("esc")
	d.has("marta") // there are contacts: none is offered
}

// TestDemoFromTheFirstRun presses d where a network is asked for; a d within a
// name is a letter.
func TestDemoFromTheFirstRun(t *testing.T) {
	h := &fakeHome{chat: newFake(), demo: "HEARSAY-NET:DEMO"}
	d := drive(t, h, 80, 24)
	d.key("enter")
	d.typeText("secret")
	d.key("enter")
	d.typeText("secret")
	d.key("enter")
	d.typeText("xd")
	if d.a.first.link.Value() != "xd" {
		t.Errorf("typed %q", d.a.first.link.Value())
	}
	for range 2 {
		d.msg(tea.KeyPressMsg{Code: tea.KeyBackspace})
	}
	d.key("d")
	if h.link != "HEARSAY-NET:DEMO" {
		t.Errorf("opened with %q", h.link)
	}
	d.has("LAB")
	d.key("esc")
	d.has("marta")
}

// TestHomeInUseCanBeTriedAgain stays where it is when the profile does not open.
func TestHomeInUseCanBeTriedAgain(t *testing.T) {
	h := &fakeHome{chat: newFake(), state: readyHome, err: errors.New("process 17 has this home open")}
	d := drive(t, h, 80, 24)
	d.has("process 17 has this home open")
	h.err = nil
	d.key("r")
	d.has("marta")
}

// TestDoctorBeforeTheFirstCircuit opens and closes a dialog above the start-up.
func TestDoctorBeforeTheFirstCircuit(t *testing.T) {
	f := newFake()
	f.status.Ready = false
	h := &fakeHome{chat: f, state: HomeState{HasNetwork: true}}
	d := drive(t, h, 80, 24)
	d.a.cfg.Doctor = func(context.Context) ([]Check, error) {
		return []Check{{Name: "clock", Result: "failed", Detail: "3 days behind", Fix: "set it"}}, nil
	}
	d.key("enter")
	d.typeText("secret")
	d.key("enter")
	d.typeText("secret")
	d.key("enter")
	d.has("[r] retry with new circuits")
	d.key("r")
	if f.count("NewCircuits") != 1 {
		t.Errorf("%d times new circuits", f.count("NewCircuits"))
	}
	d.key("d")
	d.has("3 days behind")
	d.key("esc")
	d.has("guard")
	d.key("esc")
	d.has("4 of 4")
}

// TestStrength takes repeated, common and short passphrases for weak ones.
func TestStrength(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "abc": "weak", "password1234567890": "weak", "aaaaaaaaaaaaaaaaaaaa": "weak", "12345678901234567890": "weak",
		"hearsay hearsay hearsay hearsay": "weak", "correct horse battery": "fair", "correct horse battery staple": "strong",
		"kX9#vQ2!pL": "strong", "x7kq02mz": "fair", "summer2019": "weak",
	} {
		got, _, _ := strings.Cut(strength(text), ";")
		got, _, _ = strings.Cut(got, ",")
		if got != want {
			t.Errorf("%q is %q with %.0f bits, want %q", text, got, guessBits(text), want)
		}
	}
}

// TestASCIIFirstRun: with --ascii nothing but ASCII is drawn before the
// conversation screen either, whatever is going on.
func TestASCIIFirstRun(t *testing.T) {
	for _, size := range sizes {
		d := drive(t, &fakeHome{chat: sealed()}, size[0], size[1])
		p := d.a.prefs
		p.ASCII = true
		d.a.prefer(p)
		d.a.first = newOnboarding(d.a, HomeState{})
		pure := func(where string) {
			d.t.Helper()
			if i := strings.IndexFunc(d.screen(), func(r rune) bool { return r > 0x7e }); i >= 0 {
				t.Errorf("%s:\n%s", where, d.screen())
			}
		}
		pure("intro")
		d.key("r")
		d.typeText("file")
		pure("restore")
		d.key("esc", "enter")
		d.typeText("secret")
		d.key("enter")
		d.typeText("secret")
		pure("passphrase")
		d.key("enter")
		pure("network")
		d.a.update(keyPress("d"))
		pure("demo")
		d.a.first.busy = ""
		d.typeText("x")
		d.key("enter")
		pure("starting")
		d.key("ctrl+c")
		pure("quitting")
		d.key("esc")
		pure("contact")
		d.key("s")
		d.run(d.a.lock())
		d.typeText("secret")
		pure("locked")
		d.a.update(keyPress("enter"))
		pure("unlocking")
	}
}
