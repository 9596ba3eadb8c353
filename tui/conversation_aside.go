package tui

import (
	"context"
	"strings"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// quoteCells bounds what is kept of a text that is quoted.
const quoteCells = 120

// quote says in one line what a message replies to; empty while that is read.
func (l *layouter) quote(id string) string {
	if have := l.c.side[id]; have != "" {
		return have
	}
	i, ok := l.c.find(id)
	if !ok {
		return "an earlier message"
	}
	l.c.keepAside(id, l.quoteOf(&l.c.messages[i]))
	return l.c.side[id]
}

func (l *layouter) quoteOf(m *chat.Message) string {
	text := ""
	switch {
	case m.Deleted != "":
		text = "a message that was deleted"
	case m.Kind == chat.KindMessageUnsupported:
		text = "a message that this version cannot show"
	case m.File != nil:
		text = "file " + sanitizeLine(m.File.Name)
	default:
		text = beginning(m.Text, quoteCells)
	}
	return l.a.theme.cut(l.author(m)+": "+text, quoteCells)
}

// beginning returns enough of a text for so many cells, in one line: a message may
// have 64 KiB, and what stands on a screen is laid out again and again.
func beginning(text string, cells int) string {
	text = text[:min(len(text), 4*(cells+1))]
	return strings.TrimSpace(sanitizeLine(strings.ToValidUTF8(text, "")))
}

// keepAside keeps a quote by the id of its message, or why a message failed by
// causeOf that.
func (c *conversation) keepAside(id, text string) {
	if c.side == nil || len(c.side) > keepAsides {
		c.side = map[string]string{}
	}
	c.side[id] = text
}

// readAsides reads what the visible messages reply to and why they failed, as far
// as that is not known.
func (c *conversation) readAsides(a *App, v placed) tea.Cmd {
	var cmds []tea.Cmd
	for i := v.from; i <= v.to && len(cmds) < asidesAtOnce; i++ {
		m := &c.messages[i]
		if m.Reply != "" && m.Deleted == "" && c.side[m.Reply] == "" && !c.asked[m.Reply] {
			if _, here := c.find(m.Reply); !here {
				cmds = append(cmds, c.readQuote(a, m.Reply))
			}
		}
		if m.State == chat.Failed && c.side[causeOf(m.ID)] == "" && !c.asked[causeOf(m.ID)] {
			cmds = append(cmds, c.readCause(a, m.ID))
		}
	}
	return tea.Batch(cmds...)
}

// causeOf is the name under which it is kept why a message failed.
func causeOf(message string) string { return "! " + message }

func (c *conversation) ask(name string) {
	if c.asked == nil || len(c.asked) > keepAsides {
		c.asked = map[string]bool{}
	}
	c.asked[name] = true
}

func (c *conversation) readQuote(a *App, id string) tea.Cmd {
	c.ask(id)
	number, ok := chat.NumberOf(id)
	if !ok {
		return nil
	}
	backend, conversation := a.chat, c.id
	return ask(a, nil, func(ctx context.Context) ([]chat.Message, error) {
		return backend.MessagesBefore(ctx, conversation, number+1, 1)
	}, func(ms []chat.Message, err error) tea.Cmd {
		switch {
		case err != nil: // the reply says that it is one; no more is known
		case len(ms) == 1 && ms[0].ID == id:
			l := newLayouter(a, c, 0)
			c.keepAside(id, l.quoteOf(&ms[0]))
		default:
			c.keepAside(id, "a message that is gone")
		}
		return nil
	})
}

func (c *conversation) readCause(a *App, id string) tea.Cmd {
	c.ask(causeOf(id))
	backend := a.chat
	return ask(a, nil, func(ctx context.Context) (chat.Why, error) { return backend.Why(ctx, id) }, func(why chat.Why, err error) tea.Cmd {
		for i := len(why.History) - 1; err == nil && i >= 0; i-- {
			if h := &why.History[i]; h.State == chat.Failed && h.Detail != "" {
				c.keepAside(causeOf(id), a.theme.cut(sanitizeLine(h.Detail), quoteCells))
				break
			}
		}
		return nil
	})
}
