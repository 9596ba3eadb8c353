package tui

import (
	"context"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// Results of locking and unlocking.
type (
	lockMsg     struct{ err error }
	unlockedMsg struct{ err error }
)

// lock asks the profile to lock; its event hides what is on the screen, here and
// on every other terminal that is attached.
func (a *App) lock() tea.Cmd {
	if a.chat == nil || a.locked {
		return nil
	}
	c, save := a.chat, a.saveDrafts()
	parent := a.ctx
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(parent, callTimeout)
		defer cancel()
		if save != nil {
			save() // a draft that cannot be written is no reason to stay open
		}
		return lockMsg{c.Lock(ctx)}
	}
}

// unlock asks the profile to unlock with what was typed.
func (a *App) unlock() tea.Cmd {
	o := &a.first
	o.busy, o.problem = true, ""
	pass, c := []byte(o.passphrase.Value()), a.chat
	parent := a.ctx
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(parent, callTimeout)
		defer cancel()
		defer clear(pass)
		return unlockedMsg{c.Unlock(ctx, pass)}
	}
}

func (a *App) applyLock(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case lockMsg:
		if msg.err != nil {
			a.notice = errorText(msg.err)
			return nil
		}
		a.hide()
	case unlockedMsg:
		a.first.busy = false
		if msg.err != nil {
			a.first.problem = errorText(msg.err)
			a.first.passphrase.Reset()
			return nil
		}
		return a.show()
	}
	return nil
}

// hide forgets everything that was decrypted and leaves the lock screen alone.
func (a *App) hide() {
	if a.locked {
		return
	}
	if c := a.selected(); c != nil {
		a.wanted = c.id
	}
	a.locked, a.dialogs, a.notice, a.served, a.path = true, nil, "", false, chat.Path{}
	a.entries, a.requests, a.current, a.previous, a.conversations = nil, 0, "", "", map[string]*conversation{}
	a.session++
	a.composer = newComposer()
	a.contacts = contactColumn{}
	a.notices.forget()
	a.first = newOnboarding(a, HomeState{Exists: true, Encrypted: true, HasNetwork: true})
}

// show ends what hide began.
func (a *App) show() tea.Cmd {
	if !a.locked {
		return nil
	}
	a.locked = false
	a.first.passphrase.Reset()
	a.first.step = stepNone
	return tea.Batch(a.loadPeople(), a.loadStatus())
}
