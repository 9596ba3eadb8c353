package tui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// draftTime bounds the writing of drafts, which nothing waits for longer.
const draftTime = time.Second

// saveDrafts writes what stands unsent to the disk, as far as it changed since:
// a lock, here or on another terminal, forgets what is on the screen. nil:
// nothing changed.
func (a *App) saveDrafts() tea.Cmd {
	if a.chat == nil || a.locked {
		return nil
	}
	if c := a.shown(); c != nil {
		c.draft = a.composer.draft()
	}
	changed := map[string]string{}
	for id, c := range a.conversations {
		if text := a.unsent(id, c.draft); text != c.saved && len(text) <= maxText {
			changed[id], c.saved = text, text
		}
	}
	if len(changed) == 0 {
		return nil
	}
	c, parent := a.chat, a.ctx
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(parent), draftTime)
		defer cancel()
		for id, text := range changed {
			_ = c.SetConversation(ctx, id, chat.ConversationChange{Draft: &text})
		}
		return nil
	}
}

// takeDrafts brings back what was written to the disk, once for each conversation:
// later the screen knows better.
func (a *App) takeDrafts() {
	for _, e := range a.entries {
		c := a.conversations[e.id]
		if c == nil && e.settings.Draft == "" || c != nil && c.drafted {
			continue
		}
		c = a.conversation(e.id) // an event may have made it before the lists came
		c.draft, c.saved, c.drafted = e.settings.Draft, e.settings.Draft, true
	}
}
