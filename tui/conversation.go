package tui

import (
	"context"
	"slices"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// conversation is the window that the screen holds of one conversation: messages
// around the anchor, rising by number. The whole is in chat.
type conversation struct {
	id       string
	messages []chat.Message
	loaded   bool
	stale    bool   // events were lost: read anew when it is shown next
	selected string // id of the selected message; empty: none is
	scroll   int    // lines between the end and the bottom of the pane; 0 follows
	below    int    // messages that came while scrolled back
	draft    string
	saved    string // of the draft, on the disk

	// early holds states whose message is not here yet: the event may be faster
	// than the answer to sending. At most earlyStates, then all are dropped and
	// the next reading of the history brings them.
	early map[string]chat.Message
}

const (
	earlyStates  = 1024
	pageSize     = 500
	keepMessages = 2000
)

func newConversation(id string) *conversation { return &conversation{id: id} }

// open is called when it comes on the screen.
func (c *conversation) open(a *App, e *entry) tea.Cmd {
	if c.loaded && !c.stale {
		return a.seen()
	}
	return c.reload(a)
}

// reload reads the end of the history anew.
func (c *conversation) reload(a *App) tea.Cmd {
	backend := a.chat
	return ask(a, nil, func(ctx context.Context) ([]chat.Message, error) {
		return backend.MessagesBefore(ctx, c.id, 0, pageSize)
	}, func(ms []chat.Message, err error) tea.Cmd {
		if err != nil {
			a.notice = errorText(err)
			return nil
		}
		late := c.messages
		c.messages = ms
		for _, m := range late {
			c.add(m)
		}
		c.loaded, c.stale = true, false
		return a.seen()
	})
}

// add inserts or replaces a message by its id, keeping the order.
func (c *conversation) add(m chat.Message) (isNew bool) {
	for i := len(c.messages) - 1; i >= 0; i-- {
		if c.messages[i].ID == m.ID {
			c.messages[i] = m
			return false
		}
	}
	if e, ok := c.early[m.ID]; ok {
		m.State, m.Copies, m.Delivered = e.State, e.Copies, e.Delivered
		delete(c.early, m.ID)
	}
	i := len(c.messages)
	for i > 0 && c.messages[i-1].Seq > m.Seq {
		i--
	}
	c.messages = slices.Insert(c.messages, i, m)
	if len(c.messages) > keepMessages {
		c.messages = append(c.messages[:0:0], c.messages[len(c.messages)-keepMessages:]...)
	}
	return true
}

// sent takes a message of our own that is on the disk.
func (c *conversation) sent(m chat.Message) tea.Cmd {
	for _, have := range c.messages {
		if have.ID == m.ID {
			return nil // its event was faster, and knows more
		}
	}
	c.add(m)
	c.scroll, c.below = 0, 0
	return nil
}

// changed takes a message as it is now: edited, deleted, reacted to, gone.
func (c *conversation) changed(m chat.Message) {
	if m.Deleted == chat.DeletedExpired {
		c.messages = slices.DeleteFunc(c.messages, func(have chat.Message) bool { return have.ID == m.ID })
		return
	}
	for i := range c.messages {
		if c.messages[i].ID == m.ID {
			c.messages[i] = m
		}
	}
}

// setState takes what an event says of a message: its state and copies.
func (c *conversation) setState(m chat.Message) {
	for i := range c.messages {
		if c.messages[i].ID == m.ID {
			c.messages[i].State, c.messages[i].Copies, c.messages[i].Delivered = m.State, m.Copies, m.Delivered
			return
		}
	}
	if c.early == nil || len(c.early) >= earlyStates {
		c.early = map[string]chat.Message{}
	}
	c.early[m.ID] = m
}

// received takes a message of the other side.
func (a *App) received(m chat.Message) tea.Cmd {
	c := a.conversation(m.Contact)
	isNew := c.add(m)
	if !isNew || m.Direction != chat.In {
		return nil
	}
	if e := a.find(m.Contact); e != nil {
		e.latest = m.Time
		if m.Contact != a.current || !a.focused {
			e.unread++
		}
		a.sortEntries()
	}
	cmd := a.notices.message(a, m)
	if m.Contact == a.current && c.scroll > 0 {
		c.below++
		c.scroll += a.heightOf(c, a.paneWidth())
	}
	return tea.Batch(cmd, a.seen())
}

// seen tells the profile that what is on the screen was shown, if somebody looks.
func (a *App) seen() tea.Cmd {
	c, e := a.shown(), a.selected()
	if c == nil || e == nil || !a.focused || a.locked || len(c.messages) == 0 {
		return nil
	}
	upto := c.messages[len(c.messages)-1].Seq
	if e.unread == 0 && e.settings.Displayed >= upto {
		return nil
	}
	e.unread, e.settings.Displayed = 0, upto
	backend, id := a.chat, c.id
	return a.do(nil, func(ctx context.Context) error { return backend.MarkDisplayed(ctx, id, upto) }, nil)
}

// forgetLayout drops what was laid out for another width or theme.
func (a *App) forgetLayout() {}

// jumpTo shows a message in its conversation and selects it.
func (a *App) jumpTo(m chat.Message) tea.Cmd { return a.selectEntry(m.Contact) }

// selectedMessage returns the selected message of the conversation on screen, or
// nil.
func (a *App) selectedMessage() *chat.Message {
	c := a.shown()
	if c == nil {
		return nil
	}
	for i := range c.messages {
		if c.messages[i].ID == c.selected {
			return &c.messages[i]
		}
	}
	return nil
}

// scrollKey runs an action of scrolling.
func (a *App) scrollKey(act action) tea.Cmd {
	c := a.shown()
	if c == nil {
		return nil
	}
	switch act {
	case "scroll.back":
		c.scroll += a.paneHeight() - 1
	case "scroll.on":
		c.scroll = max(0, c.scroll-a.paneHeight()+1)
	case "scroll.first":
		c.scroll += 1 << 20
	case "scroll.last":
		c.scroll = 0
	}
	if c.scroll == 0 {
		c.below = 0
	}
	return nil
}

// messageKey runs an action on the selected message.
func (a *App) messageKey(act action) tea.Cmd { return nil }

// mouse takes a click or the wheel on the conversation screen.
func (a *App) mouse(msg tea.MouseMsg) tea.Cmd { return nil }
