package tui

import (
	"context"
	"slices"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// page is a part of a history.
type page struct {
	messages    []chat.Message
	first, last bool // it reaches the beginning, the end
}

// open is called when the conversation comes on the screen.
func (c *conversation) open(a *App, e *entry) tea.Cmd {
	for _, other := range a.conversations {
		if other != c {
			other.leave()
		}
	}
	c.used, c.drafted = a.forgetWindows(), true
	c.failed = false
	c.displayed = max(c.displayed, e.settings.Displayed)
	c.told = max(c.told, e.settings.Displayed)
	if e.unread > 0 && c.unread.count == 0 {
		c.unread = unreadLine{after: c.displayed, count: e.unread}
	}
	if !c.loaded || c.stale {
		return c.reload(a)
	}
	if !c.at.held {
		return c.goUnread(a, false)
	}
	return nil
}

// leave is called when another conversation comes on the screen. A window of very
// long messages is not kept.
func (c *conversation) leave() {
	c.unread, c.opened, c.placed = unreadLine{}, nil, ""
	size := 0
	for i := range c.messages {
		size += len(c.messages[i].Text)
	}
	if size > keepText {
		c.unload()
	}
}

// unload drops the window.
func (c *conversation) unload() {
	*c = conversation{
		id: c.id, draft: c.draft, saved: c.saved, drafted: c.drafted, reply: c.reply, about: c.about, heard: c.heard,
		displayed: c.displayed, told: c.told, telling: c.telling,
		reading: c.reading, generation: c.generation + 1,
	}
}

// forgetWindows drops the window that was not used for longest if there are many,
// and returns the count of openings.
func (a *App) forgetWindows() int {
	var oldest *conversation
	held, now := 0, 0
	for id, c := range a.conversations {
		now = max(now, c.used)
		if !c.loaded || id == a.current {
			continue
		}
		held++
		if oldest == nil || c.used < oldest.used {
			oldest = c
		}
	}
	if held >= keepWindows {
		oldest.unload()
	}
	return now + 1
}

// reload reads the history anew: its end, or what is looked at.
func (c *conversation) reload(a *App) tea.Cmd {
	if c.loaded && c.at.held {
		return c.readAround(a, c.at.number, nil)
	}
	return c.readEnd(a, func() tea.Cmd { return c.goUnread(a, false) })
}

// readEnd makes the end of the history the window.
func (c *conversation) readEnd(a *App, then func() tea.Cmd) tea.Cmd {
	return c.read(a, func(ctx context.Context, backend Chat, id string) (page, error) {
		ms, err := backend.MessagesBefore(ctx, id, 0, pageSize)
		return page{ms, len(ms) < pageSize, true}, err
	}, then)
}

// readStart makes the beginning of the history the window.
func (c *conversation) readStart(a *App, then func() tea.Cmd) tea.Cmd {
	return c.read(a, func(ctx context.Context, backend Chat, id string) (page, error) {
		ms, err := backend.Messages(ctx, id, 0, pageSize)
		return page{ms, true, len(ms) < pageSize}, err
	}, then)
}

// readAround makes what lies around a message the window.
func (c *conversation) readAround(a *App, number uint64, then func() tea.Cmd) tea.Cmd {
	return c.read(a, func(ctx context.Context, backend Chat, id string) (page, error) {
		before, err := backend.MessagesBefore(ctx, id, number+1, pageSize)
		if err != nil {
			return page{}, err
		}
		after, err := backend.Messages(ctx, id, number, pageSize)
		return page{slices.Concat(before, after), len(before) < pageSize, len(after) < pageSize}, err
	}, then)
}

// read replaces the window; a later call makes an earlier one void.
func (c *conversation) read(a *App, work func(ctx context.Context, backend Chat, id string) (page, error), then func() tea.Cmd) tea.Cmd {
	c.anew()
	c.reading++
	generation, backend, id := c.generation, a.chat, c.id
	return ask(a, nil, func(ctx context.Context) (page, error) { return work(ctx, backend, id) }, func(p page, err error) tea.Cmd {
		defer c.caughtUp()
		if generation != c.generation {
			return nil
		}
		if err != nil {
			c.failed = true
			a.notice = errorText(err)
			return nil
		}
		c.messages, c.first, c.last = p.messages, p.first, p.last
		c.index, c.laid, c.side, c.asked = nil, nil, nil, nil
		c.loaded, c.stale, c.failed = true, false, false
		for i := range p.messages {
			if p.messages[i].Direction == chat.In {
				c.heard = max(c.heard, p.messages[i].Seq)
			}
		}
		c.catchUp()
		if then == nil || c.id != a.current {
			return nil
		}
		return then()
	})
}

// extend reads the next page where what is looked at is near an end of the window.
func (c *conversation) extend(a *App, v placed) tea.Cmd {
	if c.failed || len(c.messages) == 0 {
		return nil
	}
	var cmds []tea.Cmd
	backend, generation, id := a.chat, c.generation, c.id
	if !c.first && !c.above && v.from < nearEnd {
		c.above = true
		c.reading++
		number := c.messages[0].Seq
		cmds = append(cmds, ask(a, nil, func(ctx context.Context) ([]chat.Message, error) {
			return backend.MessagesBefore(ctx, id, number, pageSize)
		}, func(ms []chat.Message, err error) tea.Cmd {
			if c.extended(a, generation, err) {
				c.above = false
				c.messages, c.first, c.index = slices.Concat(ms, c.messages), len(ms) < pageSize, nil
			}
			c.catchUp()
			c.caughtUp()
			return nil
		}))
	}
	if !c.last && !c.below && v.to >= len(c.messages)-nearEnd {
		c.below = true
		c.reading++
		number := c.messages[len(c.messages)-1].Seq
		cmds = append(cmds, ask(a, nil, func(ctx context.Context) ([]chat.Message, error) {
			return backend.Messages(ctx, id, number, pageSize)
		}, func(ms []chat.Message, err error) tea.Cmd {
			if c.extended(a, generation, err) {
				c.below = false
				c.messages, c.last, c.index = append(c.messages, ms...), len(ms) < pageSize, nil
			}
			c.catchUp()
			c.caughtUp()
			return nil
		}))
	}
	return tea.Batch(cmds...)
}

// readNew reads what another terminal wrote at the end of the history: of that,
// events tell the number of a message alone (0: not even that), or of its file. name
// is what they call it, which is asked for once.
func (c *conversation) readNew(a *App, name string, number uint64) tea.Cmd {
	newest := uint64(0)
	if n := len(c.messages); n > 0 {
		newest = c.messages[n-1].Seq
	}
	switch {
	case !c.loaded, !c.last, number > 0 && number <= newest, c.asked[name]:
		return nil // it is here, or its page brings it
	case c.id != a.current:
		c.stale = true
		return nil
	}
	c.ask(name)
	c.reading++
	backend, generation, id := a.chat, c.generation, c.id
	return ask(a, nil, func(ctx context.Context) ([]chat.Message, error) {
		return backend.Messages(ctx, id, newest, pageSize)
	}, func(ms []chat.Message, err error) tea.Cmd {
		if c.extended(a, generation, err) {
			for _, m := range ms {
				c.add(m)
				if m.Direction == chat.Out {
					a.wrote(id, m.Time)
				}
			}
		}
		c.catchUp()
		c.caughtUp()
		return nil
	})
}

// extended tells whether a page still fits the window.
func (c *conversation) extended(a *App, generation int, err error) bool {
	if generation != c.generation {
		return false
	}
	if err != nil {
		c.above, c.below, c.failed = false, false, true
		a.notice = errorText(err)
		return false
	}
	return true
}

// catchUp applies what came while a page was read.
func (c *conversation) catchUp() {
	for _, h := range c.meanwhile {
		h.take(c, h.m)
	}
}

// caughtUp counts a page that is no longer on its way.
func (c *conversation) caughtUp() {
	c.reading--
	if c.reading == 0 {
		c.meanwhile = nil
	}
}
