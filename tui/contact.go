package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

func contactKeys() []binding {
	return []binding{
		{"contact.down", []string{"down", "j"}, "next"},
		{"contact.up", []string{"up", "k"}, "previous"},
		{"contact.take", []string{"enter"}, "do it"},
		{"contact.complete", []string{"tab"}, "complete a file name"},
	}
}

// contactDialog lists what can be done with a contact, a group or the notes.
type contactDialog struct {
	id string
	at int
}

// contactAct is one row of the dialog.
type contactAct struct {
	name string
	run  func(a *App, e *entry) tea.Cmd
}

// openContact shows what can be done with a contact, a group or the notes.
func (a *App) openContact(id string) tea.Cmd {
	if a.find(id) == nil {
		a.notice = "no conversation is open"
		return nil
	}
	a.push(&contactDialog{id: id})
	return nil
}

func (d *contactDialog) mode() mode { return modeContact }

// acts are what can be done with a conversation as it is now.
func (d *contactDialog) acts(a *App, e *entry) []contactAct {
	var acts []contactAct
	add := func(name string, run func(a *App, e *entry) tea.Cmd) { acts = append(acts, contactAct{name, run}) }
	c := e.contact
	if e.isNotes() {
		c = nil
	}
	if a.width < splitWidth || a.height < splitHeight {
		add("all that is known", func(a *App, e *entry) tea.Cmd { // there is no room above
			a.push(&textDialog{title: e.name, text: strings.Join(a.infoLines(e, max(1, a.width-6))[1:], "\n"), own: true})
			return nil
		})
	}
	if e.group != nil {
		add("members", func(a *App, e *entry) tea.Cmd { return a.openGroup(e.id) })
	}
	if c != nil {
		if comparableNumber(*c) != "" {
			add("verify", func(a *App, e *entry) tea.Cmd { return a.openVerify(e) })
		}
		add("rename", func(a *App, e *entry) tea.Cmd { return a.openRename(e) })
		for _, days := range []int{0, 1, 7, 28} {
			if time.Duration(days)*24*time.Hour != e.settings.DisappearAfter && (c.State == chat.ContactActive || c.State == chat.ContactInvited) {
				add(disappearOffer(days), func(a *App, e *entry) tea.Cmd { return a.disappear(e, days) })
			}
		}
	}
	if !e.isNotes() {
		add(choice(e.settings.Muted, "unmute", "mute: no notifications"), (*App).toggleMuted)
	}
	add(choice(e.settings.Pinned, "unpin", "pin on top"), (*App).togglePinned)
	add(choice(e.settings.Archived, "bring back from the archive", "archive"), (*App).toggleArchived)
	add("export to a file", func(a *App, e *entry) tea.Cmd { return a.openExport(e) })
	if c != nil {
		if c.State != chat.ContactInvited {
			add(choice(c.State == chat.ContactBlocked, "unblock", "block"), (*App).toggleBlocked)
		}
		add("remove, with all messages", (*App).askRemove)
	}
	return acts
}

func disappearOffer(days int) string {
	if days == 0 {
		return "keep messages, for both sides"
	}
	return fmt.Sprintf("%d d until messages disappear, for both sides", days)
}

func (d *contactDialog) update(a *App, msg tea.Msg) tea.Cmd {
	k, ok := msg.(tea.KeyPressMsg)
	e := a.find(d.id)
	if !ok || e == nil {
		return nil
	}
	a.notice = ""
	acts := d.acts(a, e)
	switch a.keys.find(modeContact, k.String()) {
	case "contact.down":
		d.at = min(d.at+1, len(acts)-1)
	case "contact.up":
		d.at = max(d.at-1, 0)
	case "contact.take":
		if d.at < len(acts) {
			return acts[d.at].run(a, e)
		}
	}
	return nil
}

func (d *contactDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	e := a.find(d.id)
	if e == nil {
		s := newSheet("Contact", w, 50)
		s.kept("It is gone.")
		s.offers(a.closeOffer("close"))
		return s.draw(&a.theme, w, h)
	}
	s := newSheet(e.name, w, 64)
	for _, l := range a.infoLines(e, s.inner)[1:] {
		if l == "" {
			s.texts++ // what stands under one head goes together
			s.blank()
			continue
		}
		s.rows = append(s.rows, sheetRow{text: l, part: s.texts + 1})
	}
	s.texts++
	s.blank()
	acts := d.acts(a, e)
	d.at = min(d.at, len(acts)-1)
	for i, act := range acts {
		mark := " "
		if i == d.at {
			mark = a.theme.glyphs.selected
		}
		s.item(mark+act.name, i == d.at)
	}
	s.problem(&a.theme, a.notice) // what the last action came to
	s.offers(a.offer("contact.take", "do it"), a.closeOffer("close"))
	return s.draw(&a.theme, w, h)
}

// set changes what is set for a conversation, and says what is in force then.
func (a *App) set(e *entry, change chat.ConversationChange, done string) tea.Cmd {
	c, id := a.chat, e.id
	return a.do(nil, func(ctx context.Context) error { return c.SetConversation(ctx, id, change) }, func(err error) tea.Cmd {
		if err != nil {
			a.notice = errorText(err)
			return nil
		}
		a.notice = done
		return a.loadPeople()
	})
}

func (a *App) toggleMuted(e *entry) tea.Cmd {
	to := !e.settings.Muted
	return a.set(e, chat.ConversationChange{Muted: &to}, choice(to, e.name+" is muted: no notifications", e.name+" is not muted any more"))
}

func (a *App) togglePinned(e *entry) tea.Cmd {
	to := !e.settings.Pinned
	return a.set(e, chat.ConversationChange{Pinned: &to}, choice(to, e.name+" stays on top", e.name+" is not pinned any more"))
}

func (a *App) toggleArchived(e *entry) tea.Cmd {
	to := !e.settings.Archived
	return a.set(e, chat.ConversationChange{Archived: &to}, choice(to, e.name+" is archived: at the end of the list", e.name+" is back from the archive"))
}

func choice(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// disappear sets after how many days messages disappear, for both sides.
func (a *App) disappear(e *entry, days int) tea.Cmd {
	after := time.Duration(days) * 24 * time.Hour
	done := "new messages stay; " + e.name + " is told"
	if days > 0 {
		done = fmt.Sprintf("new messages disappear after %d d, on both sides; %s is told who set it, and older messages keep their time", days, e.name)
	}
	return a.set(e, chat.ConversationChange{DisappearAfter: &after}, done)
}

// toggleBlocked asks before it blocks: messages on their way fail.
func (a *App) toggleBlocked(e *entry) tea.Cmd {
	c, id, name := a.chat, e.id, e.name
	if e.contact != nil && e.contact.State == chat.ContactBlocked {
		return a.do(nil, func(ctx context.Context) error { return c.UnblockContact(ctx, id) }, func(err error) tea.Cmd {
			if err != nil {
				a.notice = errorText(err)
				return nil
			}
			a.notice = name + " is not blocked any more; what they sent meanwhile does not come back"
			return a.loadPeople()
		})
	}
	a.confirm("Block "+name, "Nothing is sent to "+name+" any more, not even acknowledgements, and what they send is dropped. To them it looks as if you were away. Messages on their way fail.", "block", func() tea.Cmd {
		return a.block(id, name, nil)
	})
	return nil
}

// block blocks a contact; then (nil: nothing) runs once it is done.
func (a *App) block(id, name string, then func() tea.Cmd) tea.Cmd {
	c := a.chat
	return a.do(nil, func(ctx context.Context) error { return c.BlockContact(ctx, id) }, func(err error) tea.Cmd {
		if err != nil {
			a.notice = errorText(err)
			return nil
		}
		a.notice = name + " is blocked"
		if then == nil {
			return a.loadPeople()
		}
		return tea.Batch(a.loadPeople(), then())
	})
}

// askRemove asks before it removes a contact and all that was written.
func (a *App) askRemove(e *entry) tea.Cmd {
	id, name := e.id, e.name
	a.confirm("Remove "+name, name+" is told that you removed them. Keys, messages and files of this conversation are erased here at once; nothing brings them back.", "remove", func() tea.Cmd {
		return a.remove(id, name)
	})
	return nil
}

func (a *App) remove(id, name string) tea.Cmd {
	c := a.chat
	return a.do(nil, func(ctx context.Context) error { return c.RemoveContact(ctx, id) }, func(err error) tea.Cmd {
		if err != nil {
			a.notice = errorText(err)
			return nil
		}
		a.dropPerson(id)
		a.forget(id)
		a.entries = slices.DeleteFunc(a.entries, func(e entry) bool { return e.id == id })
		a.notice = name + " is removed"
		return a.loadPeople()
	})
}

// dropPerson closes the dialogs about a contact that is gone.
func (a *App) dropPerson(id string) {
	for _, d := range a.dialogs {
		switch d := d.(type) {
		case *contactDialog:
			if d.id == id {
				a.drop(d)
				return
			}
		case *verifyDialog:
			if d.id == id {
				a.drop(d)
				return
			}
		}
	}
}

// openRename asks for another name.
func (a *App) openRename(e *entry) tea.Cmd {
	if e.group != nil {
		return a.openGroupName(e)
	}
	id := e.id
	a.prompt(&promptDialog{
		title: "Rename " + e.name, text: "The name is yours alone; it is never sent.",
		input: newInput("name: ", 24), verb: "rename",
		submit: func(d *promptDialog, name string) tea.Cmd { return a.rename(d, id, name) },
	}, e.name)
	return nil
}

// rename gives a contact another name. d is the dialog that asked, or nil.
func (a *App) rename(d *promptDialog, id, name string) tea.Cmd {
	c := a.chat
	work := func(ctx context.Context) error { return c.RenameContact(ctx, id, name) }
	if e := a.find(id); e != nil && e.group != nil {
		work = func(ctx context.Context) error { return c.RenameGroup(ctx, id, name) }
	}
	return a.do(d.orNil(), work, func(err error) tea.Cmd {
		if err != nil {
			a.tellOrNotice(d, err)
			return nil
		}
		if d != nil {
			a.drop(d)
		}
		return a.loadPeople()
	})
}

// openExport asks for the file.
func (a *App) openExport(e *entry) tea.Cmd {
	id, name := e.id, e.name
	a.prompt(&promptDialog{
		title: "Export " + e.name, text: "All messages go to a new file in the clear, one JSON object to a line. Whoever reads the file reads them. Nothing is overwritten.",
		input: newInput("file: ", 40), verb: "write", files: true,
		submit: func(d *promptDialog, path string) tea.Cmd { return a.export(d, id, name, path) },
	}, "")
	return nil
}

func (a *App) export(d *promptDialog, id, name, path string) tea.Cmd {
	c, local := a.chat, a.cfg.LocalFile
	type written struct {
		n    int
		path string
	}
	return ask(a, d.orNil(), func(ctx context.Context) (w written, err error) {
		w.path = path
		if local != nil { // a daemon has another working directory
			f, err := local(path)
			if err != nil {
				return w, err
			}
			w.path = f.Path
		}
		w.n, err = c.Export(ctx, id, w.path)
		return w, err
	}, func(w written, err error) tea.Cmd {
		if err != nil {
			a.tellOrNotice(d, err)
			return nil
		}
		if d != nil {
			a.drop(d)
		}
		a.notice = fmt.Sprintf("%d messages with %s are in %s, in the clear", w.n, name, sanitizeLine(w.path))
		return nil
	})
}

// The commands on the conversation on screen, or on the contact that is named.

func (a *App) renameCommand(name string) tea.Cmd {
	e := a.named("")
	switch {
	case e == nil:
		return nil
	case e.isNotes():
		a.notice = "the notes keep their name"
		return nil
	case name == "":
		return a.openRename(e)
	}
	return a.rename(nil, e.id, name)
}

func (a *App) muteCommand(name string) tea.Cmd {
	if e := a.named(name); e != nil {
		return a.toggleMuted(e)
	}
	return nil
}

func (a *App) pinCommand(name string) tea.Cmd {
	if e := a.named(name); e != nil {
		return a.togglePinned(e)
	}
	return nil
}

func (a *App) archiveCommand(name string) tea.Cmd {
	if e := a.named(name); e != nil {
		return a.toggleArchived(e)
	}
	return nil
}

func (a *App) disappearCommand(d string) tea.Cmd {
	e := a.named("")
	if e == nil {
		return nil
	}
	days := map[string]int{"off": 0, "0": 0, "1": 1, "7": 7, "28": 28}
	n, ok := days[strings.TrimSuffix(strings.TrimSpace(d), "d")]
	switch {
	case e.contact == nil || e.isNotes():
		a.notice = "only messages between two people can be set to disappear"
		return nil
	case d == "":
		a.notice = "messages with " + e.name + ": " + disappearText(e.settings.DisappearAfter)
		return nil
	case !ok:
		a.notice = "messages disappear after 1, 7 or 28 days, or never: /disappear off"
		return nil
	}
	return a.disappear(e, n)
}

func (a *App) blockCommand(name string) tea.Cmd {
	if e := a.person(name, "blocked"); e != nil {
		return a.toggleBlocked(e)
	}
	return nil
}

func (a *App) removeCommand(name string) tea.Cmd {
	if e := a.person(name, "removed"); e != nil {
		return a.askRemove(e)
	}
	return nil
}

func (a *App) exportCommand(path string) tea.Cmd {
	e := a.named("")
	switch {
	case e == nil:
		return nil
	case path == "":
		return a.openExport(e)
	}
	return a.export(nil, e.id, e.name, path)
}

// person is named for what can be done to contacts alone.
func (a *App) person(name, done string) *entry {
	e := a.named(name)
	switch {
	case e == nil:
		return nil
	case e.group != nil:
		a.notice = "only contacts can be " + done + "; a group is left by /group leave"
		return nil
	case e.isNotes():
		a.notice = "the notes cannot be " + done
		return nil
	}
	return e
}
