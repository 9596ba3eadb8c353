package tui

import (
	"errors"
	"strings"
	"testing"
	"time"

	"hearsay/chat"
)

// TestGoldenSettings draws the settings and the dialogs of the profile.
func TestGoldenSettings(t *testing.T) {
	boxes(t, "settings", func(f *fakeChat) { f.status.Cover = "normal" }, func(d *driver) { d.run(d.a.openSettings()) })
	boxes(t, "passphrase", func(f *fakeChat) { f.status.Encrypted = true }, func(d *driver) {
		d.run(d.a.openPassphrase())
		d.typeText("old one")
		d.key("enter")
		d.typeText("correct horse battery staple")
		d.key("enter")
	})
	boxes(t, "backup", nil, func(d *driver) {
		d.run(d.a.backupCommand("november.hearsay"))
		d.typeText("1234")
		d.key("enter", "enter", "enter")
	})
	boxes(t, "wipe", nil, func(d *driver) {
		d.run(d.a.openWipe())
		d.typeText("yes")
		d.key("enter")
	})
}

// TestSettingsAreSavedAndInForce: what is chosen holds at once, is kept, and esc
// undoes what was not saved.
func TestSettingsAreSavedAndInForce(t *testing.T) {
	f := newFake()
	f.status.Cover = "normal"
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
	var saved []Preferences
	var fail error
	d.a.cfg.SavePreferences = func(p Preferences) (string, error) {
		if fail == nil {
			saved = append(saved, p)
		}
		return "config.toml", fail
	}
	d.typeText("/settings")
	d.key("enter")
	d.key("right")                       // cover: fast
	d.key("j", "j", "j", "j", "j", "j")  // ascii
	d.typeText(" ")                      // yes
	d.key("up", "right", "right", "esc") // theme: light, undone
	if len(saved) > 0 || d.a.prefs.ASCII || f.count("SetCover") > 0 {
		t.Fatal("esc saved")
	}
	d.run(d.a.openSettings())
	d.key("right", "j", "j", "j", "j", "j", "right", "j")
	d.typeText(" ")
	fail = &chat.Error{Kind: chat.KindIO, Text: "cannot write the configuration"}
	d.key("enter")
	d.has("cannot write the configuration")
	fail = nil
	d.key("enter")
	d.has("saved in config.toml")
	d.has("cover fast")
	if len(saved) != 1 || saved[0].Theme != "dark" || !saved[0].ASCII || !f.called("SetCover fast") {
		t.Fatalf("saved %+v, calls %q", saved, f.calls)
	}
	for _, r := range d.screen() {
		if r > 126 {
			t.Fatalf("%q is on a screen in ASCII:\n%s", r, d.screen())
		}
	}
	// What comes next begins with what is in force; without a change nothing is
	// written.
	d.run(d.a.openSettings())
	d.key("right", "enter")
	d.has("the home remembers it")
	if len(saved) != 1 {
		t.Errorf("%d times saved", len(saved))
	}
	d.run(d.a.openSettings())
	d.key("up", "up", "right", "enter")
	if !saved[1].ReducedMotion || saved[1].Theme != "dark" || !saved[1].ASCII {
		t.Errorf("saved %+v", saved[1])
	}
}

// TestSettingsKeepWhatNoChoiceNames: a time of the configuration that is not among
// the choices stays until another one is chosen.
func TestSettingsKeepWhatNoChoiceNames(t *testing.T) {
	d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, 100, 28)
	d.a.prefs.LockAfter = 42 * time.Minute
	d.run(d.a.openSettings())
	d.has("42m0s")
	d.key("enter")
	if d.a.prefs.LockAfter != 42*time.Minute {
		t.Errorf("%s", d.a.prefs.LockAfter)
	}
}

// TestPreferencesAreChecked names the key that is wrong.
func TestPreferencesAreChecked(t *testing.T) {
	for key, change := range map[string]func(p *Preferences){
		"theme":        func(p *Preferences) { p.Theme = "pink" },
		"notify":       func(p *Preferences) { p.Notify = "" },
		"path_in_bar":  func(p *Preferences) { p.PathInBar = "x" },
		"lock_after":   func(p *Preferences) { p.LockAfter = time.Second },
		"delete_after": func(p *Preferences) { p.DeleteAfter = time.Hour },
		"ctrl+h":       func(p *Preferences) { p.Keys = map[string][]string{"switch": {"ctrl+h"}} },
	} {
		p := DefaultPreferences()
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		change(&p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestPassphraseIsChanged asks for the old one only where there is one.
func TestPassphraseIsChanged(t *testing.T) {
	f := newFake()
	f.status.Encrypted = true
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.typeText("/passphrase")
	d.key("enter")
	d.typeText("old one")
	d.key("enter")
	d.typeText("new one")
	d.key("enter")
	d.typeText("new two")
	d.key("enter")
	d.has("the two differ")
	d.key("tab")
	d.typeText("new one")
	f.fail = map[string]error{"ChangePassphrase": &chat.Error{Kind: chat.KindRefused, Text: "the passphrase is wrong"}}
	d.key("enter")
	d.has("the passphrase is wrong")
	f.fail = nil
	d.key("enter", "enter", "enter")
	d.has("the passphrase is another one from now on")
	if !f.called("ChangePassphrase old one new one") {
		t.Errorf("calls %q", f.calls)
	}
	f.status.Encrypted = false
	d.msg(refreshMsg{})
	d.run(d.a.openPassphrase())
	d.has("no passphrase yet")
	d.typeText("first")
	d.key("enter")
	d.typeText("first")
	d.key("enter")
	if !f.called("ChangePassphrase  first") {
		t.Errorf("calls %q", f.calls)
	}
}

// TestBackupIsAsked for its passphrase twice and for the messages.
func TestBackupIsAsked(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.typeText("/backup")
	d.key("enter")
	d.has("/backup PATH")
	d.typeText("/backup my file")
	d.key("enter")
	d.typeText("four words or more")
	d.key("enter")
	d.typeText("four words or more")
	d.key("enter")
	for range 3 {
		d.key("backspace")
	}
	d.typeText("no")
	f.fail = map[string]error{"Backup": &chat.Error{Kind: chat.KindExists, Text: "there is a file of that name"}}
	d.key("enter")
	d.has("there is a file of that name")
	f.fail = nil
	d.a.cfg.LocalFile = func(path string) (LocalFile, error) { return LocalFile{Path: "/home/nell/" + path}, nil }
	d.key("enter")
	d.has("written to /home/nell/my file") // a daemon has another working directory
	if !f.called("Backup /home/nell/my file four words or more false") {
		t.Errorf("calls %q", f.calls)
	}
}

// TestWipeAsksTwice: neither the word nor the question alone destroys anything.
func TestWipeAsksTwice(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.typeText("/wipe")
	d.key("enter", "enter")
	d.has("nothing is destroyed until")
	d.typeText("wipe")
	d.key("enter", "n")
	if f.count("Wipe") > 0 {
		t.Fatal("destroyed after a no")
	}
	f.fail = map[string]error{"Wipe": errors.New("not everything could be removed")}
	d.key("enter", "y")
	d.has("not everything could be removed")
	f.fail = nil
	d.key("enter", "y")
	if f.count("Wipe") != 2 || len(d.a.entries)+len(d.a.conversations) > 0 {
		t.Errorf("%d wipes, %d entries", f.count("Wipe"), len(d.a.entries))
	}
}
