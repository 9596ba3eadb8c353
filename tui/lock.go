package tui

import (
	"context"
	"errors"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// Results of locking and unlocking.
type (
	lockMsg struct {
		err     error
		session int // that was locked
	}
	unlockedMsg struct{ err error }
)

// Terminate tells the App that the program is to end: it writes drafts and quits.
type Terminate struct{}

// lock hides everything at once and asks the profile to lock; its event does the
// same on every other terminal that is attached. A profile without a passphrase
// refuses, and nothing is hidden then.
func (a *App) lock() tea.Cmd {
	if a.chat == nil || a.locked {
		return nil
	}
	c, save := a.chat, a.saveDrafts()
	if a.status.Encrypted {
		a.hide()
		a.idle.pending = true
	}
	parent, session := a.ctx, a.session
	return func() tea.Msg {
		if save != nil {
			save() // a draft that cannot be written is no reason to stay open
		}
		ctx, cancel := context.WithTimeout(parent, callTimeout)
		defer cancel()
		return lockMsg{c.Lock(ctx), session}
	}
}

// unlock asks the profile to unlock with what was typed. One that could not be
// locked is locked first: an open one would take any passphrase.
func (a *App) unlock() tea.Cmd {
	o := &a.first
	o.busy, o.problem, o.remark = "unlocking …", "", ""
	pass, c, pending := []byte(o.form.value(0)), a.chat, a.idle.pending
	o.form.forget(0)
	parent := a.ctx
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(parent, callTimeout)
		defer cancel()
		defer clear(pass)
		if pending {
			if err := c.Lock(ctx); err != nil {
				return unlockedMsg{err}
			}
		}
		return unlockedMsg{c.Unlock(ctx, pass)}
	}
}

func (a *App) applyLock(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case lockMsg:
		switch {
		case msg.session != a.session: // it was unlocked again meanwhile
		case msg.err == nil:
			a.hide()
			a.idle.pending = false
		case a.locked:
			a.first.problem = "not locked yet, but hidden: " + errorText(msg.err)
		default:
			a.notice = errorText(msg.err)
		}
	case unlockedMsg:
		a.first.busy = ""
		if msg.err != nil {
			a.first.problem = secretError(msg.err)
			return nil
		}
		a.idle.pending = false
		return a.show()
	}
	return nil
}

// secretError is errorText for calls that take a passphrase, which is said to be
// wrong once.
func secretError(err error) string {
	if errors.Is(err, chat.ErrPassphrase) {
		return "the passphrase is wrong; type it again: there is no recovery"
	}
	return errorText(err)
}

// hide forgets everything that was decrypted and leaves the lock screen alone.
func (a *App) hide() {
	if a.locked {
		if a.idle.elsewhere { // and locked again
			a.idle.elsewhere, a.first.remark = false, ""
		}
		return
	}
	if c := a.selected(); c != nil {
		a.wanted = c.id
	}
	a.dropFrom(0)
	a.locked, a.notice, a.served, a.path = true, "", false, chat.Path{}
	a.status = chat.Status{Encrypted: true, Locked: true}
	a.entries, a.requests, a.current, a.previous, a.conversations = nil, 0, "", "", map[string]*conversation{}
	a.session++
	a.idle.elsewhere = false
	a.composer = newComposer()
	a.contacts, a.rates = contactColumn{}, fileRates{}
	a.notices.forget()
	a.first = newOnboarding(a, HomeState{Exists: true, Encrypted: true, HasNetwork: true})
}

// unlockedElsewhere says that a key is enough here. Nothing is shown before: nobody
// may sit here, and who does may be typing the passphrase, which must not become
// text of a conversation.
func (a *App) unlockedElsewhere() {
	if a.locked && a.first.busy == "" && !a.idle.pending {
		a.first.problem, a.first.remark = "", "another terminal unlocked it: "+a.keys.of("form.next")+" opens it here"
		a.idle.elsewhere = true
	}
}

// show ends what hide began. What was asked for while the profile was locked tells
// nothing of it now.
func (a *App) show() tea.Cmd {
	if !a.locked {
		return nil
	}
	a.locked = false
	a.session++
	a.idle.touch(a.now())
	a.first.done(a)
	return tea.Batch(a.loadPeople(), a.loadStatus())
}
