package tui

import (
	"slices"
	"strings"
	"testing"
)

// TestPaletteRunsAndCompletes goes through a command from its first letters to its
// argument.
func TestPaletteRunsAndCompletes(t *testing.T) {
	f := newFake()
	withLatest(f)
	f.contacts[1].Name = "the press desk"
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.typeText("/")
	d.has("commands")
	d.has("/invite [name]")
	d.typeText("ver")
	d.key("tab")
	if got := d.a.composer.value(); got != "/verify " {
		t.Fatalf("tab makes %q", got)
	}
	d.typeText("pre")
	d.has("the press desk")
	d.key("tab")
	if got := d.a.composer.value(); got != "/verify the press desk" {
		t.Errorf("tab makes %q", got)
	}
	d.key("esc")
	if s := d.screen(); strings.Contains(s, "compare safety numbers or words") || d.a.composer.value() == "" {
		t.Errorf("esc does not close the palette alone:\n%s", s)
	}
	d.key("ctrl+c")
	d.typeText("/cov")
	d.key("enter")
	if got := d.a.composer.value(); got != "/cover " {
		t.Errorf("enter makes %q of /cov", got)
	}
	d.key("down", "down", "enter") // off, saver, normal
	if !f.called("SetCover normal") || d.a.composer.value() != "" {
		t.Errorf("%q, the composer holds %q", f.calls, d.a.composer.value())
	}
	d.typeText("/group re")
	d.key("tab")
	if got := d.a.composer.value(); got != "/group remove " {
		t.Errorf("tab makes %q", got)
	}
}

// TestCommandsAreNotGuessed: enter runs what stands there or what was chosen, and
// never what is merely like it, if the person wrote arguments.
func TestCommandsAreNotGuessed(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.typeText("/serach tea")
	d.key("enter")
	d.has("no command /serach; did you mean /search?")
	if got := d.a.composer.value(); got != "/serach tea" || len(f.sent()) > 0 {
		t.Errorf("the composer holds %q, sent %q", got, f.sent())
	}
	d.key("ctrl+c")
	d.typeText("/zzzz")
	d.key("enter")
	d.has("no command /zzzz")
	d.key("ctrl+c")
	d.typeText("/lo")
	d.key("ctrl+j") // more lines are no command, and no message
	d.typeText("x")
	d.key("enter")
	d.has("no command /lo x")
	if len(f.sent()) > 0 || f.count("Lock") > 0 {
		t.Errorf("sent %q", f.sent())
	}
}

// TestFilesAreCompleted looks for files outside Update, and shows none that a
// screen would show otherwise than it is called.
func TestFilesAreCompleted(t *testing.T) {
	d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, 80, 24)
	var asked []string
	d.a.cfg.Complete = func(prefix string) []string {
		asked = append(asked, prefix)
		var list []string
		for _, f := range []string{"my notes.txt", "my pictures/", "evil\x1b[2J.txt", "turned\u202e.txt"} {
			if strings.HasPrefix(f, prefix) {
				list = append(list, f)
			}
		}
		return list
	}
	d.typeText("/file my ")
	d.has("my notes.txt")
	d.typeText("p")
	d.key("tab")
	if got := d.a.composer.value(); got != "/file my pictures/" {
		t.Errorf("tab makes %q", got)
	}
	if !slices.Contains(asked, "my p") {
		t.Errorf("asked for %q", asked)
	}
	d.key("ctrl+c")
	d.typeText("/file ")
	if s := d.screen(); strings.Contains(s, "evil") || strings.Contains(s, "turned") {
		t.Errorf("a name that cannot be shown is offered:\n%s", s)
	}
	// An answer to what was written before is not shown.
	d.a.composer.palette.filesFor = "other"
	if s := d.screen(); strings.Contains(s, "my notes.txt") {
		t.Error("a stale answer is shown")
	}
}

// TestSwitcher finds by parts of names, and goes back and forth.
func TestSwitcher(t *testing.T) {
	f := newFake()
	withLatest(f)
	f.contacts[1].Name = "press desk"
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.key("ctrl+k")
	d.typeText("desk")
	d.key("enter")
	if d.a.current != "c_2" || len(d.a.dialogs) > 0 {
		t.Fatalf("shown is %s", d.a.current)
	}
	d.key("ctrl+k", "enter")
	if d.a.current != "c_1" {
		t.Errorf("without a name it goes to %s", d.a.current)
	}
	d.key("ctrl+k")
	d.typeText("pdk") // its characters in order
	d.key("enter")
	if d.a.current != "c_2" {
		t.Errorf("shown is %s", d.a.current)
	}
	d.key("ctrl+k")
	d.typeText("nobody")
	d.has("no name is like that")
	d.key("enter", "esc")
	d.key("ctrl+k", "ctrl+k", "enter")
	if d.a.current == "c_1" || d.a.current == "c_2" {
		t.Errorf("the second of the list is %s", d.a.current)
	}
}

func TestDidYouMean(t *testing.T) {
	names := []string{"/search", "/save", "/settings"}
	for word, want := range map[string]string{"/serach": "/search", "/sav": "/save", "/xyz": "", "": "", strings.Repeat("x", 500): ""} {
		if got := didYouMean(word, names); got != "" && !strings.Contains(got, want) || got == "" && want != "" || got != "" && want == "" {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
