package tui

import (
	"errors"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// hold applies a message and returns its command without running it.
func (d *driver) hold(m tea.Msg) tea.Cmd {
	_, cmd := d.a.Update(m)
	return cmd
}

// TestUnlockElsewhereWaitsForAKey: another terminal unlocks while somebody types
// the passphrase here. What they type is never text of a conversation, and nothing
// is shown, or told as seen, where nobody sits.
func TestUnlockElsewhereWaitsForAKey(t *testing.T) {
	f := sealed()
	d := onMarta(t, f)
	d.key("f9")
	d.typeText("corr")
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.ProfileUnlocked}}})
	d.typeText("ect")
	if s := d.screen(); strings.Contains(s, "pick up") || strings.Contains(s, "ect") {
		t.Fatalf("open before a key was pressed:\n%s", s)
	}
	d.key("enter")
	d.has("pick up after six")
	if v := d.a.composer.value(); v != "" || len(f.sent()) > 0 {
		t.Errorf("the passphrase went into the composer: %q, sent %q", v, f.sent())
	}
}

// TestUnlockElsewhereSaysSo: who comes to the terminal learns that a key is enough.
func TestUnlockElsewhereSaysSo(t *testing.T) {
	d := onMarta(t, sealed())
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.ProfileLocked}}})
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.ProfileUnlocked}}})
	d.has("another terminal unlocked it")
	d.key("enter")
	d.has("pick up after six")
}

// TestLateLockDoesNotHideAgain: the answer to locking comes after the profile was
// unlocked again. Hiding then would ask for a passphrase that an open profile does
// not check.
func TestLateLockDoesNotHideAgain(t *testing.T) {
	f := sealed()
	d := onMarta(t, f)
	lock := d.hold(keyPress("f9"))
	d.typeText("right")
	d.key("enter")
	if d.a.locked || f.count("Lock") != 1 || f.count("Unlock") != 1 {
		t.Fatalf("calls %q", f.calls)
	}
	d.run(lock)
	if d.a.locked {
		t.Error("hidden by the answer to a lock of before")
	}
}

// TestStatusOfBeforeTheLock: a status that was asked for before the lock tells
// nothing after it, and one that says that the profile is locked hides the screen,
// also if the event of it was lost.
func TestStatusOfBeforeTheLock(t *testing.T) {
	f := sealed()
	d := onMarta(t, f)
	f.status.Warnings = []chat.Warning{{Kind: "fork", Text: "harbour shows two faces"}}
	status := d.hold(refreshMsg{})
	d.key("f9")
	d.run(status)
	if a := d.a; a.served || len(a.path.Relays) > 0 || a.notice != "" || len(a.status.Warnings) > 0 {
		t.Errorf("kept: path %v, notice %q", a.path, a.notice)
	}
	d.typeText("right")
	d.key("enter")
	d.has("pick up after six")

	f.status.Locked = true
	d.msg(refreshMsg{})
	if !d.a.locked || strings.Contains(d.screen(), "pick up") {
		t.Errorf("a locked profile is shown:\n%s", d.screen())
	}
	locked := d.hold(refreshMsg{}) // asked while it was locked
	f.status.Locked = false
	d.typeText("right")
	d.key("enter")
	f.status.Locked = true
	f.status.Locked = false
	d.run(locked)
	if d.a.locked {
		t.Error("hidden by a status of before the unlocking")
	}
}

// TestWipeIsNeverForgotten: esc, or a lock, while the profile is being destroyed.
// Nothing of it stays on the screen, and the program ends.
func TestWipeIsNeverForgotten(t *testing.T) {
	for _, key := range []string{"esc", "f9"} {
		f := sealed()
		d := onMarta(t, f)
		d.run(d.a.openWipe())
		d.typeText("wipe")
		d.key("enter")
		wipe := d.hold(keyPress("y"))
		d.key(key)
		_, quit := d.a.Update(wipe())
		if f.count("Wipe") != 1 {
			t.Fatalf("calls %q", f.calls)
		}
		if s := d.screen(); strings.Contains(s, "pick up") || strings.Contains(s, "marta") || len(d.a.conversations) > 0 {
			t.Errorf("%s: on screen after the wipe:\n%s", key, s)
		}
		ends := false
		var look func(cmd tea.Cmd)
		look = func(cmd tea.Cmd) {
			if cmd == nil {
				return
			}
			switch m := cmd().(type) {
			case tea.BatchMsg:
				for _, c := range m {
					look(c)
				}
			case tea.QuitMsg:
				ends = true
			}
		}
		look(quit)
		if !ends {
			t.Errorf("%s: the program goes on", key)
		}
	}
}

// TestClosedDialogsTellWhatFailed: esc closes a dialog at once; that what it began
// did not happen is said all the same, and that a passphrase is another one.
func TestClosedDialogsTellWhatFailed(t *testing.T) {
	f := newFake()
	d := onMarta(t, f)
	f.contacts[0].SafetyNumber = "28471 90312"
	d.run(d.a.loadPeople())
	f.fail = map[string]error{"BlockContact": errors.New("the disk is full")}
	d.run(d.a.openVerify(d.a.selected()))
	differ := d.hold(keyPress("n"))
	d.key("esc", "esc", "esc")
	d.run(differ)
	if f.count("BlockContact") == 1 {
		d.has("the disk is full")
	}

	f.fail = map[string]error{"AcceptInvite": errors.New("it has expired")}
	d.run(d.a.openAccept(f.invite.Link))
	d.typeText("dora")
	accept := d.hold(keyPress("enter"))
	d.key("esc")
	d.run(accept)
	if f.count("AcceptInvite") != 1 {
		t.Fatalf("calls %q", f.calls)
	}
	d.has("it has expired")

	f.fail = nil
	d.run(d.a.openPassphrase())
	d.typeText("correct horse")
	d.key("enter")
	d.typeText("correct horse")
	change := d.hold(keyPress("enter"))
	d.key("esc")
	d.run(change)
	d.has("the passphrase is another one")
}

// TestReplyStaysWithItsConversation: what a text answers is kept with the draft
// while one looks elsewhere, and goes to nobody else.
func TestReplyStaysWithItsConversation(t *testing.T) {
	f := newFake()
	d := onMarta(t, f)
	d.key("up", "k", "k", "q") // m_6
	d.typeText("which door?")
	reply := d.a.composer.reply
	if reply == "" {
		t.Fatal("nothing is answered")
	}
	d.run(d.a.selectEntry("c_2"))
	if c := &d.a.composer; c.reply != "" || c.value() != "" {
		t.Errorf("another conversation holds %q, answering %q", c.value(), c.reply)
	}
	d.run(d.a.selectEntry("c_1"))
	if c := &d.a.composer; c.reply != reply || c.about == "" || c.value() != "which door?" {
		t.Errorf("%q, answering %q", c.value(), c.reply)
	}
}

// TestSearchEndsWithItsDialog: nobody waits for what a closed dialog, or a locked
// screen, looked for.
func TestSearchEndsWithItsDialog(t *testing.T) {
	for _, key := range []string{"esc", "f9"} {
		d := onMarta(t, sealed())
		d.run(d.a.openSearch(""))
		s := d.a.top().(*searchDialog)
		d.hold(keyPress("x"))
		ended := false
		stop := s.stop
		s.stop = func() { ended = true; stop() }
		if d.key(key); !ended {
			t.Errorf("%s: the search goes on", key)
		}
	}
}

// TestClearEmptiesInputsOfDialogs: ctrl+c clears what is typed, in a dialog and in
// the steps of the first run too.
func TestClearEmptiesInputsOfDialogs(t *testing.T) {
	d := onMarta(t, newFake())
	d.run(d.a.openPassphrase())
	d.typeText("my secret")
	d.key("left", "ctrl+c")
	if v := d.a.top().(*passphraseDialog).value(0); v != "" {
		t.Errorf("the field holds %q", v)
	}
	d = drive(t, &fakeHome{state: HomeState{Exists: true, Encrypted: true, HasNetwork: true}, chat: sealed()}, 80, 24)
	d.typeText("my secret")
	d.key("left", "ctrl+c")
	if v := d.a.first.form.value(0); v != "" {
		t.Errorf("the field holds %q", v)
	}
	d.has("ctrl+c again quits")
}
