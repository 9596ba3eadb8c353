package tui

import (
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// markSelected puts the mark of the selected message into a line that belongs to
// it: in a cell that is always blank.
func (a *App) markSelected(line string, w int) string {
	at := timeWidth - 1
	if _, _, stacked := frame(w); stacked {
		at = 0
	}
	return ansi.Truncate(line, at, "") + a.theme.accent.Render(a.theme.glyphs.selected) + ansi.TruncateLeft(line, at+1, "")
}

// selectedMessage returns the selected message of the conversation on screen, or
// nil.
func (a *App) selectedMessage() *chat.Message {
	c := a.shown()
	if c == nil || c.selected == "" {
		return nil
	}
	i, ok := c.find(c.selected)
	if !ok {
		return nil
	}
	return &c.messages[i]
}

// messageKey runs an action on the selected message.
func (a *App) messageKey(act action) tea.Cmd {
	c, m := a.shown(), a.selectedMessage()
	if m == nil {
		c.selected = ""
		return nil
	}
	i, _ := c.find(m.ID)
	switch act {
	case "message.up":
		c.selected = c.messages[max(0, i-1)].ID
	case "message.down":
		if i+1 < len(c.messages) {
			c.selected = c.messages[i+1].ID
		} else if c.last {
			c.selected = "" // below the last message one writes
		}
	case "message.why":
		return a.openWhy(m.ID, m.Text)
	case "message.retry":
		if m.Direction != chat.Out || m.Kind == chat.KindMessageNotice {
			a.notice = "only a message of yours can be tried again"
			return nil
		}
		if m.State == chat.Delivered {
			a.notice = "it is delivered already"
			return nil
		}
		return a.retry(m.ID)
	case "message.reply":
		if why := unanswerable(m); why != "" {
			a.notice = why
			return nil
		}
		c.selected = ""
		a.startReply(m)
	case "message.edit":
		if why := a.uneditable(m); why != "" {
			a.notice = why
			return nil
		}
		c.selected = ""
		a.startEdit(m)
	case "message.react":
		if why := unanswerable(m); why != "" {
			a.notice = why
			return nil
		}
		if e := a.selected(); e != nil && e.group != nil {
			a.notice = "there are no reactions in groups"
			return nil
		}
		return a.openEmoji(m)
	case "message.copy":
		return a.copyMessage(m)
	case "message.delete":
		if m.Deleted == chat.DeletedPeer || m.Deleted == chat.DeletedAsked {
			a.notice = "it is deleted already"
			return nil
		}
		return a.openDelete(m)
	case "message.save", "message.pause", "message.stop":
		return a.fileAct(act, m)
	case "message.open":
		return a.openSelected()
	}
	return nil
}

// openSelected shows all of a long message, or what the selected message replies
// to.
func (a *App) openSelected() tea.Cmd {
	c, m := a.shown(), a.selectedMessage()
	if m == nil {
		return nil
	}
	w, _ := a.timelineSize()
	_, rest := a.theme.textLines(chat.Sanitize(m.Text), textRoom(w, a.slot(m)), false)
	folded := rest > 0 && m.Deleted == "" && m.File == nil
	switch {
	case c.opened[m.ID]:
		delete(c.opened, m.ID)
	case folded:
		if c.opened == nil {
			c.opened = map[string]bool{}
		}
		c.opened[m.ID] = true
	case m.Reply != "":
		number, ok := chat.NumberOf(m.Reply)
		if _, here := c.find(m.Reply); !ok && !here {
			a.notice = "that message is gone"
			return nil
		}
		return c.goTo(a, m.Reply, number)
	}
	return nil
}

// copyMessage hands the text of a message to the terminal.
func (a *App) copyMessage(m *chat.Message) tea.Cmd {
	text := chat.Sanitize(m.Text)
	if m.Deleted != "" || text == "" {
		a.notice = "there is no text to copy"
		return nil
	}
	a.notice = "handed to the terminal's clipboard; the terminal may keep it"
	return tea.SetClipboard(text)
}

// unanswerable says why a message takes no reply and no reaction; empty: it does.
func unanswerable(m *chat.Message) string {
	switch {
	case m.Kind == chat.KindMessageNotice:
		return "this is a note of the program, not a message"
	case m.Deleted != "":
		return "that message is deleted"
	}
	return ""
}

// uneditable says why a message cannot be edited; empty: it can.
func (a *App) uneditable(m *chat.Message) string {
	e := a.selected()
	switch {
	case m.Direction != chat.Out || m.Kind != "":
		return "only a text of yours can be edited"
	case m.Deleted != "":
		return "that message is deleted"
	case m.State == chat.Failed:
		return "it did not arrive: send it again"
	case e != nil && e.group != nil:
		return "messages of groups cannot be changed for others"
	}
	return ""
}

// selectHint names the keys that act on the selected message, as many as there is
// room for; it stands where one writes otherwise. Empty: none is selected.
func (a *App) selectHint(w int) string {
	m := a.selectedMessage()
	if m == nil {
		return ""
	}
	mine := m.Direction == chat.Out && m.Kind != chat.KindMessageNotice
	e := a.selected()
	var hint string
	for _, k := range []struct {
		act  action
		does string
		fits bool
	}{
		{"close", "back", true},
		{"message.save", "file", m.File != nil},
		{"message.why", "why", mine},
		{"message.retry", "retry", mine && m.State != chat.Delivered && m.Deleted == ""},
		{"message.reply", "reply", unanswerable(m) == ""},
		{"message.copy", "copy", m.Deleted == "" && m.Text != ""},
		{"message.react", "react", unanswerable(m) == "" && e != nil && e.group == nil},
		{"message.edit", "edit", a.uneditable(m) == ""},
		{"message.delete", "delete", m.Deleted == ""},
		{"message.open", "its original", m.Reply != ""},
	} {
		if !k.fits {
			continue
		}
		more := a.keys.of(k.act) + " " + k.does
		if hint != "" {
			more = "  " + more
		}
		if ansi.StringWidth(hint+more) > w {
			break
		}
		hint += more
	}
	return hint
}
