package tui

import (
	"fmt"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// wheelRows is how far one step of a mouse wheel goes.
const wheelRows = 3

// forgetLayout drops what was laid out for another width or theme.
func (a *App) forgetLayout() {
	for _, c := range a.conversations {
		c.laid = nil
	}
}

// scrollKey runs an action of scrolling.
func (a *App) scrollKey(act action) tea.Cmd {
	c := a.shown()
	if c != nil && !c.loaded && c.failed {
		c.failed = false
		return c.reload(a)
	}
	if c == nil || !c.loaded || len(c.messages) == 0 {
		return nil
	}
	c.failed = false
	_, h := a.timelineSize()
	switch act {
	case "scroll.back":
		c.scroll(a, max(1, h-1))
	case "scroll.on":
		c.scroll(a, -max(1, h-1))
	case "scroll.first":
		return c.goStart(a)
	case "scroll.last":
		if c.last && !c.at.held {
			return c.passUnread(a)
		}
		return c.goEnd(a)
	case "first.unread":
		return c.goUnread(a, true)
	}
	return nil
}

// scroll moves the view by rows, back if rows is positive.
func (c *conversation) scroll(a *App, rows int) {
	v := a.place(c)
	if !v.at.held {
		return
	}
	w, h := a.timelineSize()
	v.at.row += rows
	c.at.id, c.at.number = v.at.id, v.at.number
	if v = a.layAt(c, v.at, w, h); v.at.held {
		c.at = v.at
		c.followEnd(v)
	}
}

// hold puts a message on a row of the pane.
func (c *conversation) hold(i, row int) {
	c.at = anchor{held: true, id: c.messages[i].ID, number: c.messages[i].Seq, row: row}
}

// goStart shows the first message.
func (c *conversation) goStart(a *App) tea.Cmd {
	c.selected = ""
	show := func() tea.Cmd {
		if len(c.messages) > 0 {
			c.hold(0, 1) // below the line of its day
		}
		return nil
	}
	if c.first {
		return show()
	}
	return c.readStart(a, show)
}

// goEnd shows the last message, and follows what comes.
func (c *conversation) goEnd(a *App) tea.Cmd {
	c.selected = ""
	if c.loaded && c.last {
		c.at = anchor{}
		return nil
	}
	return c.readEnd(a, func() tea.Cmd {
		c.at = anchor{}
		return nil
	})
}

// passUnread marks as read what was jumped over, for who asks for the end at the
// end: nothing else would but to page through all of it.
func (c *conversation) passUnread(a *App) tea.Cmd {
	e := a.selected()
	if e == nil || e.unread == 0 || !a.looking() {
		return nil
	}
	a.notice = fmt.Sprintf("%d messages above are marked as read", e.unread)
	c.displayed = max(c.displayed, c.messages[len(c.messages)-1].Seq)
	e.unread, e.settings.Displayed = 0, c.displayed
	return c.tellShown(a)
}

// goUnread shows the first unread message, unless it and all that follows is in
// sight at the end. asked says that the person wants to go there.
func (c *conversation) goUnread(a *App, asked bool) tea.Cmd {
	e := a.find(c.id)
	if c.unread.count == 0 && e != nil && e.unread > 0 {
		c.unread = unreadLine{after: c.displayed, count: e.unread}
	}
	if c.unread.count == 0 {
		c.at = anchor{held: asked && c.at.held, id: c.at.id, number: c.at.number, row: c.at.row}
		if asked {
			a.notice = "nothing is unread here"
		}
		return nil
	}
	show := func() tea.Cmd {
		i := c.firstUnread()
		if i < 0 { // only notices, or it is gone
			return nil
		}
		if asked {
			c.selected = ""
		}
		c.hold(i, firstUnreadAt)
		return nil
	}
	i := c.firstUnread()
	known := 0
	for j := max(0, i); i >= 0 && j < len(c.messages); j++ {
		if isUnread(&c.messages[j]) {
			known++
		}
	}
	if i >= 0 && (known >= c.unread.count || c.after(c.unread.after) > 0 || c.first) {
		if !asked && !c.last {
			return show()
		}
		c.at = anchor{}
		if v := a.place(c); asked || v.from > i {
			return show()
		}
		return nil
	}
	return c.readAround(a, c.unread.after, show)
}

// goTo shows a message and selects it.
func (c *conversation) goTo(a *App, id string, number uint64) tea.Cmd {
	c.failed = false
	show := func() tea.Cmd {
		i, ok := c.find(id)
		if !ok {
			a.notice = "that message is gone"
			return nil
		}
		_, h := a.timelineSize()
		c.hold(i, h/3)
		c.selected, c.placed = id, id
		return nil
	}
	if _, ok := c.find(id); ok && c.loaded && !c.stale {
		return show()
	}
	return c.readAround(a, number, show)
}

// jumpTo shows a message in its conversation and selects it.
func (a *App) jumpTo(m chat.Message) tea.Cmd {
	var opens tea.Cmd
	if m.Contact != a.current {
		opens = a.selectEntry(m.Contact)
	}
	c := a.shown()
	if c == nil || c.id != m.Contact {
		a.notice = "that conversation is gone"
		return opens
	}
	return tea.Batch(opens, c.goTo(a, m.ID, m.Seq))
}

// mouse takes a click or the wheel on the conversation screen.
func (a *App) mouse(msg tea.MouseMsg) tea.Cmd {
	if cmd, done := a.clickContacts(msg); done {
		return cmd
	}
	c := a.shown()
	at := msg.Mouse()
	x, y, w, h := a.paneBounds()
	inside := at.X >= x && at.X < x+w && at.Y >= y && at.Y < y+h
	if c == nil || !inside || !c.loaded || len(c.messages) == 0 {
		return nil
	}
	switch msg.(type) {
	case tea.MouseWheelMsg:
		switch at.Button {
		case tea.MouseWheelUp:
			c.scroll(a, wheelRows)
		case tea.MouseWheelDown:
			c.scroll(a, -wheelRows)
		}
	case tea.MouseClickMsg:
		if at.Button != tea.MouseLeft {
			return nil
		}
		v := a.place(c)
		row := at.Y - y
		if row == len(v.owner)-1 && a.belowLabel(c, v) != "" && at.X >= x+w/2 {
			return c.goEnd(a)
		}
		if row >= len(v.owner) || v.owner[row] < 0 {
			return nil
		}
		id := c.messages[v.owner[row]].ID
		if id == c.selected {
			return a.openSelected()
		}
		c.selected = id
	}
	return nil
}

// paneBounds is where the timeline stands on the screen.
func (a *App) paneBounds() (x, y, w, h int) {
	l := a.layout()
	w, h = a.timelineSize()
	switch {
	case l.framed:
		x, y = 1, 1
		if l.left > 0 {
			x += l.left + 1
		}
	case a.bare:
		y = 1
	default:
		y = 2
	}
	return x, y, w, h
}
