package tui

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// outgoing are the texts of one conversation that are not on the disk yet, oldest
// first. One is handed over at a time, so that they keep their order.
type outgoing struct {
	waiting []pending // the first one is being handed over, if busy
	busy    bool
	held    []pending // were refused, and those behind them
}

// pending is a text that was sent by the person and not yet taken by the profile.
// The profile takes a key only once, so that a text whose answer was lost is not
// sent twice.
type pending struct{ text, reply, about, key string }

func newPending(text, reply, about string) pending {
	return pending{text, reply, about, fmt.Sprintf("screen-%016x%016x", rand.Uint64(), rand.Uint64())}
}

// isCommand tells a slash command from a text.
func isCommand(text string) bool {
	return strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//")
}

// submit sends what stands in the composer, or runs it as a command.
func (a *App) submit() tea.Cmd {
	c := &a.composer
	text := strings.TrimRight(c.value(), " \n")
	if strings.TrimSpace(text) == "" {
		return nil
	}
	if c.edit == "" && isInvite(text) {
		c.clear()
		c.text.cut = text
		return a.openAccept(text)
	}
	if isCommand(text) {
		return a.command(text)
	}
	text = strings.TrimPrefix(text, "/") // "//x" sends "/x"
	e := a.selected()
	switch reason := a.whyLocked(); {
	case e == nil:
		a.notice = "no contact yet: " + a.keys.of("invite") + " makes an invite, or paste one"
		return nil
	case reason != "":
		a.notice = reason
		return nil
	case len(text) > maxText:
		a.notice = "too long: a message holds 64 KiB"
		return nil
	case c.edit != "":
		return a.submitEdit(text)
	}
	p := newPending(text, c.reply, c.about)
	if again := c.again; again.text == p.text && again.reply == p.reply {
		p.key = again.key
	}
	c.clear()
	return a.hand(e.id, p)
}

// submitEdit changes a message. The text stays where it is until the change is on
// the disk.
func (a *App) submitEdit(text string) tea.Cmd {
	backend, id := a.chat, a.composer.edit
	if a.composer.changes {
		return nil
	}
	a.composer.changes = true
	return a.do(nil, func(ctx context.Context) error { return backend.Edit(ctx, id, text) }, func(err error) tea.Cmd {
		here := a.composer.edit == id
		switch {
		case err != nil:
			a.notice = errorText(err)
			if here {
				a.composer.changes = false
			} else {
				a.notice += "; " + a.keys.of("yank") + " brings back what you wrote"
			}
		case here:
			a.composer.load(a.composer.stash)
		}
		return nil
	})
}

// hand puts a text behind those of its conversation that are on their way.
func (a *App) hand(conversation string, p pending) tea.Cmd {
	o := a.composer.out[conversation]
	if o == nil {
		o = &outgoing{}
		a.composer.out[conversation] = o
	}
	o.waiting = append(o.waiting, p)
	return a.handNext(conversation, o)
}

func (a *App) handNext(conversation string, o *outgoing) tea.Cmd {
	if o.busy || len(o.waiting) == 0 {
		return nil
	}
	o.busy = true
	c, p := a.chat, o.waiting[0]
	return ask(a, nil, func(ctx context.Context) (chat.Message, error) {
		return c.StartSend(ctx, conversation, p.text, chat.SendOptions{Reply: p.reply, Key: p.key})()
	}, func(m chat.Message, err error) tea.Cmd {
		o.busy = false
		if err != nil {
			// What follows waits as well: it may make no sense without this one.
			a.notice = errorText(err)
			if conversation != a.current {
				a.notice = "not sent to " + a.nameOf(conversation) + ": " + a.notice
			}
			o.held = append(o.held, o.waiting...)
			o.waiting = nil
			a.giveBack(conversation, o)
			return nil
		}
		o.waiting = o.waiting[1:]
		return tea.Batch(a.conversation(conversation).sent(a, m), a.handNext(conversation, o), a.saveDrafts())
	})
}

// giveBack puts the first text that was refused into the composer, if nothing
// stands there. The others wait for the person to look at them.
func (a *App) giveBack(conversation string, o *outgoing) {
	c := &a.composer
	if len(o.held) == 0 || a.current != conversation || !c.text.empty() || c.edit != "" {
		return
	}
	c.takeBack(o.held[0])
	o.held = o.held[1:]
}

// takeBack brings a refused text back as it was typed.
func (c *composer) takeBack(p pending) {
	c.load(asTyped(p.text))
	c.reply, c.about, c.again = p.reply, p.about, p
}

// heldBack is how many texts of the conversation on screen were refused.
func (a *App) heldBack() int {
	if o := a.composer.out[a.current]; o != nil {
		return len(o.held)
	}
	return 0
}

// takeHeld brings a refused text of the conversation on screen back into the
// composer.
func (a *App) takeHeld(p pending) {
	if o := a.composer.out[a.current]; o != nil {
		o.held = slices.DeleteFunc(o.held, func(have pending) bool { return have == p })
		a.composer.cancel()
		a.composer.takeBack(p)
	}
}

// unsent is all that was written in a conversation and is not on the disk as a
// message: what was refused, what is on its way, and the draft.
func (a *App) unsent(conversation, draft string) string {
	o := a.composer.out[conversation]
	if o == nil {
		return draft
	}
	var parts []string
	for _, list := range [][]pending{o.held, o.waiting} {
		for _, p := range list {
			parts = append(parts, asTyped(p.text))
		}
	}
	if draft != "" {
		parts = append(parts, draft)
	}
	return strings.Join(parts, "\n")
}
