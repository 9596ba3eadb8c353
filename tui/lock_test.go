package tui

import (
	"errors"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// TestLockHidesEverything: F9, or another terminal, locks; the screen then shows
// nothing but the question for the passphrase, and nothing of before is kept in
// memory; the right passphrase brings everything back.
func TestLockHidesEverything(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		f := newFake()
		a := New(t.Context(), Config{Home: &fakeHome{state: HomeState{Exists: true, HasNetwork: true}, chat: f}, Attached: elsewhere})
		run := func(cmd tea.Cmd) {
			if cmd == nil {
				return
			}
			switch msg := cmd().(type) {
			case lockMsg, unlockedMsg, contactsMsg, historyMsg, statusMsg:
				a.update(msg)
			}
		}
		a.update(tea.WindowSizeMsg{Width: 100, Height: 28})
		a.update(openedMsg{chat: f})
		a.update(contactsMsg{contacts: f.contacts})
		run(a.loadHistory("c_1"))
		screen := func() string { return ansi.Strip(a.View().Content) }
		if !strings.Contains(screen(), "pick up after six") {
			t.Fatalf("no conversation:\n%s", screen())
		}
		if elsewhere {
			a.update(eventsMsg{events: []chat.Event{{Type: chat.ProfileLocked}}})
		} else {
			_, cmd := a.Update(tea.KeyPressMsg{Code: tea.KeyF9})
			run(cmd)
		}
		a.update(eventsMsg{events: []chat.Event{{Type: chat.MessageReceived, Message: &chat.Message{ID: "m_9", Contact: "c_1", Direction: chat.In, Text: "while locked", Seq: 9}}}})
		for _, secret := range []string{"marta", "pick up", "otter", "harbour", "while locked"} {
			if strings.Contains(screen(), secret) {
				t.Errorf("the lock screen shows %q:\n%s", secret, screen())
			}
		}
		if len(a.contacts) != 0 || len(a.conversations) != 0 {
			t.Error("decrypted text is kept while locked")
		}
		for _, r := range "wrong" {
			a.Update(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
		f.unlockErr = errors.New("the passphrase is wrong")
		_, cmd := a.Update(tea.KeyPressMsg{Code: tea.KeyEnter})
		run(cmd)
		if !strings.Contains(screen(), "the passphrase is wrong") || !a.locked {
			t.Errorf("screen:\n%s", screen())
		}
		f.unlockErr = nil
		for _, r := range "right" {
			a.Update(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
		_, cmd = a.Update(tea.KeyPressMsg{Code: tea.KeyEnter})
		run(cmd)
		a.update(contactsMsg{contacts: f.contacts})
		run(a.loadHistory("c_1"))
		if a.locked || !strings.Contains(screen(), "pick up after six") {
			t.Errorf("screen:\n%s", screen())
		}
	}
}

// TestLockKeepsDraft: what was typed and not sent is there again after unlocking,
// also when another terminal locked; what was sent is not.
func TestLockKeepsDraft(t *testing.T) {
	f := newFake()
	a := New(t.Context(), Config{Home: &fakeHome{state: HomeState{Exists: true, HasNetwork: true}, chat: f}})
	a.update(tea.WindowSizeMsg{Width: 100, Height: 28})
	a.update(openedMsg{chat: f})
	a.update(contactsMsg{contacts: f.contacts})
	for n, locks := range []func(){
		func() { a.update(a.lock()()) },
		func() {
			a.composer.SetValue("and more")
			a.saveDrafts()() // as every few seconds
			a.update(eventsMsg{events: []chat.Event{{Type: chat.ProfileLocked}}})
		},
	} {
		a.composer.SetValue("not yet sent")
		locks()
		if a.composer.Value() != "" {
			t.Error("the draft is kept in memory while locked")
		}
		a.show()
		list, _ := f.Contacts(t.Context())
		a.update(contactsMsg{contacts: list})
		if got := a.composer.Value(); got != []string{"not yet sent", "and more"}[n] {
			t.Errorf("the composer holds %q", got)
		}
	}
	for _, cmd := range a.submit()().(tea.BatchMsg) {
		cmd()
	}
	if f.contacts[0].Settings.Draft != "" || len(f.sent) != 1 {
		t.Errorf("sent %q, and the draft is %q", f.sent, f.contacts[0].Settings.Draft)
	}
}

// TestDaemonGone: the end of the daemon stands on the screen until the person
// leaves, and what was typed stays where it is.
func TestDaemonGone(t *testing.T) {
	f := newFake()
	a := New(t.Context(), Config{Home: &fakeHome{state: HomeState{Exists: true, HasNetwork: true}, chat: f}, Attached: true})
	a.update(tea.WindowSizeMsg{Width: 100, Height: 28})
	a.update(openedMsg{chat: f})
	a.update(contactsMsg{contacts: f.contacts})
	a.composer.SetValue("half a sentence")
	a.update(eventsMsg{err: chat.ErrFeedClosed})
	if s := ansi.Strip(a.View().Content); !strings.Contains(s, "the daemon has ended") || !strings.Contains(s, "half a sentence") {
		t.Errorf("screen:\n%s", s)
	}
	a.update(tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl})
	if s := ansi.Strip(a.View().Content); !strings.Contains(s, "detaches") {
		t.Errorf("screen:\n%s", s)
	}
}
