package tui

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// sealed is a fake with a passphrase.
func sealed() *fakeChat {
	f := newFake()
	f.status.Encrypted = true
	return f
}

// onMarta brings the conversation with marta on the screen.
func onMarta(t *testing.T, f *fakeChat) *driver {
	t.Helper()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
	d.run(d.a.selectEntry("c_1"))
	return d
}

// TestGoldenLock draws the lock screen, alone and with a reason.
func TestGoldenLock(t *testing.T) {
	goldens(t, "lock", func(f *fakeChat) { f.status.Encrypted = true }, func(d *driver) {
		d.run(d.a.lock())
		d.typeText("secret")
	})
	goldens(t, "lock-idle", func(f *fakeChat) { f.status.Encrypted = true }, func(d *driver) {
		d.a.now = func() time.Time { return testNow.Add(16 * time.Minute) }
		d.msg(clockMsg{})
	})
}

// TestLockHidesEverything: F9, or another terminal, locks; the screen then shows
// nothing but the question for the passphrase, and nothing of before is kept in
// memory; the right passphrase brings everything back.
func TestLockHidesEverything(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		f := sealed()
		d := onMarta(t, f)
		d.has("pick up after six")
		if elsewhere {
			d.msg(eventsMsg{events: []chat.Event{{Type: chat.ProfileLocked}}})
		} else {
			d.msg(tea.KeyPressMsg{Code: tea.KeyF9})
		}
		d.msg(eventsMsg{events: []chat.Event{{Type: chat.MessageReceived, Message: &chat.Message{ID: "m_9", Contact: "c_1", Direction: chat.In, Text: "while locked", Seq: 9}}}})
		for _, secret := range []string{"marta", "pick up", "otter", "harbour", "while locked", "queued", "LAB"} {
			if strings.Contains(d.screen(), secret) {
				t.Errorf("the lock screen shows %q:\n%s", secret, d.screen())
			}
		}
		if len(d.a.entries) != 0 || len(d.a.conversations) != 0 || len(d.a.status.Circuits) != 0 || d.a.title() != "hearsay" {
			t.Error("decrypted text is kept while locked")
		}
		d.key("f1", "ctrl+k", "alt+n") // nothing opens over it
		if len(d.a.dialogs) > 0 {
			t.Error("a dialog opens while locked")
		}
		d.typeText("wrong")
		if strings.Contains(d.screen(), "wrong") {
			t.Error("the passphrase is echoed")
		}
		f.fail = map[string]error{"Unlock": errors.New("the passphrase is not right")}
		d.key("enter")
		d.has("the passphrase is not right")
		if !d.a.locked {
			t.Error("open")
		}
		f.fail = nil
		d.typeText("right")
		d.key("enter")
		d.has("pick up after six")
		if d.a.locked || !f.called("Unlock right") {
			t.Errorf("calls %q", f.calls)
		}
	}
}

// TestHiddenButNotLocked: a profile that could not be locked takes any
// passphrase; the screen stays hidden until it was locked after all.
func TestHiddenButNotLocked(t *testing.T) {
	f := sealed()
	f.fail = map[string]error{"Lock": errors.New("the disk is full")}
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
	d.msg(tea.KeyPressMsg{Code: tea.KeyF9})
	d.has("not locked yet, but hidden: the disk is full")
	d.typeText("anything")
	d.key("enter")
	if !d.a.locked || f.count("Unlock") != 0 {
		t.Fatal("a profile that is not locked was shown with any passphrase")
	}
	f.fail = nil
	d.typeText("right")
	d.key("enter")
	if d.a.locked || f.count("Lock") != 3 || f.count("Unlock") != 1 {
		t.Errorf("calls %q", f.calls)
	}
}

// TestProfileWithoutPassphrase cannot be locked, says so, and is not locked by
// time.
func TestProfileWithoutPassphrase(t *testing.T) {
	f := newFake()
	f.fail = map[string]error{"Lock": &chat.Error{Kind: chat.KindRefused, Text: "a profile without a passphrase cannot be locked"}}
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
	d.a.now = func() time.Time { return testNow.Add(time.Hour) }
	d.msg(clockMsg{})
	d.has("marta")
	d.msg(tea.KeyPressMsg{Code: tea.KeyF9})
	d.has("a profile without a passphrase cannot be locked")
	d.has("marta")
}

// TestIdleLock: without a key for the time that is set, a profile locks itself; a
// key puts it off; 0 never locks.
func TestIdleLock(t *testing.T) {
	f := sealed()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
	now := testNow
	d.a.now = func() time.Time { return now }
	for range 14 {
		now = now.Add(time.Minute)
		d.msg(clockMsg{})
	}
	d.has("marta")
	d.typeText("x")
	for range 14 {
		now = now.Add(time.Minute)
		d.msg(clockMsg{})
	}
	d.has("marta")
	now = now.Add(time.Minute)
	d.msg(clockMsg{})
	d.has("no key was pressed for a while")
	if !f.called("Lock") {
		t.Error("hidden, but not locked")
	}
	d.typeText("right")
	d.key("enter")
	d.has("marta")
	d.a.prefs.LockAfter = 0
	for range 100 {
		now = now.Add(time.Minute)
		d.msg(clockMsg{})
	}
	d.has("marta")
}

// TestLockAfterSleep: a computer that slept, or a program that was stopped, locks
// before it takes a key, and the key goes nowhere.
func TestLockAfterSleep(t *testing.T) {
	for _, wakes := range []tea.Msg{keyPress("x"), tea.PasteMsg{Content: "x"}, refreshMsg{}, clockMsg{}} {
		f := sealed()
		d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
		now := testNow
		d.a.now = func() time.Time { return now }
		d.msg(refreshMsg{})
		now = now.Add(2 * time.Minute)
		d.msg(wakes)
		d.has("the computer slept")
		if !f.called("Lock") || len(d.a.first.form.value(0)) > 0 {
			t.Errorf("after %T: calls %q", wakes, f.calls)
		}
	}
}

// TestLockKeepsDraft: what was typed and not sent is there again after unlocking,
// also when another terminal locked; what was sent is not.
func TestLockKeepsDraft(t *testing.T) {
	f := sealed()
	d := onMarta(t, f)
	for n, locks := range []func(){
		func() { d.run(d.a.lock()) },
		func() {
			d.typeText(" and more")
			d.msg(refreshMsg{}) // as every few seconds
			d.msg(eventsMsg{events: []chat.Event{{Type: chat.ProfileLocked}}})
		},
	} {
		if n == 0 {
			d.typeText("not yet sent")
		}
		locks()
		if d.a.composer.value() != "" {
			t.Error("the draft is kept in memory while locked")
		}
		d.typeText("right")
		d.key("enter")
		if got := d.a.composer.value(); got != []string{"not yet sent", "not yet sent and more"}[n] {
			t.Errorf("the composer holds %q", got)
		}
	}
	d.key("enter")
	if f.contacts[0].Settings.Draft != "" || len(f.sent()) != 1 {
		t.Errorf("sent %q, and the draft is %q", f.sent(), f.contacts[0].Settings.Draft)
	}
}

// TestTerminateKeepsDraft: a program that is told to end writes drafts first.
func TestTerminateKeepsDraft(t *testing.T) {
	f := newFake()
	d := onMarta(t, f)
	d.typeText("half a sentence")
	cmd := d.a.update(Terminate{})
	if cmd == nil {
		t.Fatal("the program goes on")
	}
	// The library hides the type of a sequence: a list of commands.
	var last tea.Msg
	for list, i := reflect.ValueOf(cmd()), 0; i < list.Len(); i++ {
		last = list.Index(i).Interface().(tea.Cmd)()
	}
	if _, ok := last.(tea.QuitMsg); !ok {
		t.Errorf("the last command brings %T", last)
	}
	if s := f.contacts[0].Settings; s == nil || s.Draft != "half a sentence" {
		t.Errorf("the draft is %+v", s)
	}
}

// TestDaemonGone: the end of the daemon stands on the screen until the person
// leaves, and what was typed stays where it is.
func TestDaemonGone(t *testing.T) {
	d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, 100, 28)
	d.a.attached = true
	d.typeText("half a sentence")
	d.msg(eventsMsg{err: chat.ErrFeedClosed})
	d.has("the daemon has ended")
	d.has("half a sentence")
	d.key("ctrl+c")
	d.has("detaches")
}

// TestUnlockShowsNothingElse: before the passphrase, nothing of the profile is on
// screen; what is typed is not, either.
func TestUnlockShowsNothingElse(t *testing.T) {
	h := &fakeHome{state: HomeState{Exists: true, Encrypted: true, HasNetwork: true}, chat: newFake(), err: errors.New("the passphrase is not right")}
	d := drive(t, h, 80, 24)
	for _, leak := range []string{"marta", "harbour", "otter"} {
		if strings.Contains(d.screen(), leak) {
			t.Errorf("%q is on the unlock screen", leak)
		}
	}
	d.typeText("wrong")
	if strings.Contains(d.screen(), "wrong") {
		t.Error("the passphrase is echoed")
	}
	d.key("enter")
	d.has("the passphrase is not right")
	h.err = nil
	d.typeText("right")
	d.key("enter")
	d.has("marta")
	if h.pass != "right" {
		t.Errorf("opened with %q", h.pass)
	}
}
