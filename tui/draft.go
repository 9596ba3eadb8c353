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

// takeDrafts brings back what was written to the disk, where nothing is held yet.
func (a *App) takeDrafts() {
	for _, e := range a.entries {
		if e.settings.Draft == "" || a.conversations[e.id] != nil {
			continue
		}
		held := a.conversation(e.id)
		held.draft, held.saved = e.settings.Draft, e.settings.Draft
	}
}
