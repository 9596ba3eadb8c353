package tui

import (
	"fmt"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// contactColumn is the list of contacts and groups beside the conversation.
type contactColumn struct {
	hidden    bool
	filtering bool   // keys go to the filter
	filter    string // shows those whose name holds it
}

// key takes a key while the filter is typed.
func (c *contactColumn) key(a *App, k tea.KeyPressMsg) tea.Cmd {
	c.filtering = false
	return nil
}

// selectNext goes by rows of the list, which is a ring.
func (a *App) selectNext(by int) tea.Cmd {
	n := len(a.entries)
	for i := range a.entries {
		if a.entries[i].id == a.current {
			return a.selectEntry(a.entries[((i+by)%n+n)%n].id)
		}
	}
	return a.selectNumber(0)
}

// selectNumber goes to a row of the list, from 0.
func (a *App) selectNumber(i int) tea.Cmd {
	if i < 0 || i >= len(a.entries) {
		return nil
	}
	return a.selectEntry(a.entries[i].id)
}

// selectUnread goes to the next conversation with something unread.
func (a *App) selectUnread() tea.Cmd {
	for i := range a.entries {
		if e := &a.entries[i]; e.unread > 0 && e.id != a.current {
			return a.selectEntry(e.id)
		}
	}
	return nil
}

// heading is the title of the conversation.
func (a *App) heading() string {
	c := a.selected()
	if c == nil {
		return "no contact yet"
	}
	if c.contact == nil {
		return c.name
	}
	return c.name + " " + contactWord(*c.contact)
}

// contactWord says what a contact is, in words.
func contactWord(c chat.Contact) string {
	switch {
	case c.Problem != "":
		return "! invite failed"
	case c.State == chat.ContactInvited:
		return "… invited"
	case c.State == chat.ContactChanged:
		return "‼ key changed"
	case c.State == chat.ContactBlocked:
		return "blocked"
	case c.Verified:
		return "✓ verified"
	}
	return "? unverified"
}

func (a *App) drawContacts(w, h int) []string {
	var lines []string
	at := 0
	for i := range a.entries {
		e := &a.entries[i]
		mark := " "
		if e.id == a.current {
			mark, at = a.theme.glyphs.selected, i
		}
		right := ""
		if e.unread > 0 {
			right = fmt.Sprintf("%d new ", e.unread)
		}
		line := spread(mark+e.name, right, w)
		if e.id == a.current {
			line = a.theme.strong.Render(line)
		}
		lines = append(lines, line)
	}
	if from := at - h + 1; from > 0 { // keep the selected one in sight
		lines = lines[from:]
	}
	if len(a.entries) == 0 {
		lines = append(lines, fit(" no contacts", w))
	}
	for len(lines) < h {
		lines = append(lines, fit("", w))
	}
	return lines[:h]
}
