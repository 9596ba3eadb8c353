package tui

import (
	"context"
	"strings"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// wipeWord is typed by who means it.
const wipeWord = "wipe"

// wipeDialog destroys the profile, once a word is typed and a question answered.
type wipeDialog struct {
	form
	busy    bool
	problem string
}

// openWipe asks twice, then destroys the profile.
func (a *App) openWipe() tea.Cmd {
	d := &wipeDialog{}
	d.fields = append(d.fields, a.field("type "+wipeWord+": ", false))
	a.push(d)
	return nil
}

func (d *wipeDialog) mode() mode { return modeForm }

func (d *wipeDialog) update(a *App, msg tea.Msg) tea.Cmd {
	if d.busy {
		return nil
	}
	cmd, entered := d.form.update(a, msg)
	if !entered {
		return cmd
	}
	if strings.TrimSpace(d.value(0)) != wipeWord {
		d.problem = "nothing is destroyed until the word " + wipeWord + " stands there"
		return nil
	}
	d.problem = ""
	a.confirm("Destroy this profile?", "Identities, contacts and messages are gone at once, and hearsay ends. Only a backup brings them back.", "destroy it", func() tea.Cmd {
		return d.wipe(a)
	})
	return nil
}

// wipedMsg says how a wipe ended. It counts whatever was opened, closed or locked
// since.
type wipedMsg struct {
	dialog *wipeDialog
	err    error
}

func (d *wipeDialog) wipe(a *App) tea.Cmd {
	d.busy = true
	c, parent := a.chat, a.ctx
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(parent, callTimeout)
		defer cancel()
		return wipedMsg{d, c.Wipe(ctx)}
	}
}

// wiped forgets everything. If something could not be destroyed it says so, and
// reads anew what may be left.
func (a *App) wiped(msg wipedMsg) tea.Cmd {
	if msg.err == nil {
		a.forgetAll()
		return tea.Quit // there is no disk for drafts any more
	}
	msg.dialog.busy, msg.dialog.problem = false, errorText(msg.err)
	if a.locked {
		a.first.problem = msg.dialog.problem
		return nil
	}
	a.forgetAll()
	a.push(msg.dialog)
	return a.loadPeople()
}

// forgetAll drops everything of a profile that is gone.
func (a *App) forgetAll() {
	a.dropFrom(0)
	a.entries, a.requests, a.current, a.previous = nil, 0, "", ""
	a.conversations = map[string]*conversation{}
	a.composer = newComposer()
	a.contacts, a.rates = contactColumn{}, fileRates{}
	a.notice, a.served, a.path = "", false, chat.Path{}
	a.notices.forget()
	a.session++
}

func (d *wipeDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	b := a.newFormBox(min(w, 66), "This destroys the profile: its keys first, then its files. Nothing brings it back but a backup.")
	b.add("Contacts are not told, and keep what they have. A flash disk may keep old pages, which without a passphrase may hold the key.")
	b.add("")
	b.form(&d.form)
	b.problem(d.problem)
	b.add("")
	b.foot("destroying …", d.busy, a.offer("form.next", "continue")+"   [esc] close")
	return b.box("Wipe", w, h)
}
