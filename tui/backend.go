package tui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// Chat is what the screens need of an open profile. *chat.Messenger has it.
type Chat interface {
	Status() chat.Status
	Path(contact string) (chat.Path, bool)
	CreateInvite(ctx context.Context, name string) (chat.Invite, error)
	AcceptInvite(ctx context.Context, link, name string) (chat.Contact, error)
	Contacts(ctx context.Context) ([]chat.Contact, error)
	Send(ctx context.Context, contact, text string) (chat.Message, error)
	Messages(ctx context.Context, contact string, after uint64, limit int) ([]chat.Message, error)
	Subscribe() *chat.Subscription
	SetCover(ctx context.Context, name string) error
	Consent(ctx context.Context) error
	SetConversation(ctx context.Context, contact string, change chat.ConversationChange) error
	Lock(ctx context.Context) error
	Unlock(ctx context.Context, passphrase []byte) error
}

// Home is a profile that may not exist yet.
type Home interface {
	// State tells what is missing before the profile can be opened.
	State() HomeState
	// Open opens or makes the profile and starts it. passphrase is nil for a home
	// that has none; link is empty if the home knows its network. It blocks for a
	// second or so: the key is derived slowly on purpose.
	Open(ctx context.Context, passphrase []byte, link string) (Chat, error)
}

// HomeState says which steps of the first run are left.
type HomeState struct {
	Exists     bool // a store is there
	Encrypted  bool // it has a passphrase
	HasNetwork bool // it knows its network
}

// callTimeout bounds every call into chat but CreateInvite, which ends by itself
// and takes minutes behind cover traffic.
const callTimeout = 40 * time.Second

// Results of commands.
type (
	openedMsg struct {
		chat Chat
		err  error
	}
	eventsMsg struct {
		events []chat.Event
		err    error
	}
	statusMsg struct {
		status chat.Status
		path   chat.Path
		served bool // a circuit has served the conversation on screen
	}
	contactsMsg struct {
		contacts []chat.Contact
		err      error
	}
	historyMsg struct {
		contact  string
		messages []chat.Message
		err      error
	}
	sentMsg struct {
		contact, text string
		message       chat.Message
		err           error
	}
	inviteMsg struct {
		generation int
		invite     chat.Invite
		err        error
	}
	acceptedMsg struct {
		generation int
		contact    chat.Contact
		err        error
	}
	refreshMsg struct{}
	clockMsg   struct{}
)

// call wraps a blocking call into a command with a timeout.
func (a *App) call(f func(ctx context.Context) tea.Msg) tea.Cmd {
	parent := a.ctx
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(parent, callTimeout)
		defer cancel()
		return f(ctx)
	}
}

// Limits of one batch of events: what a person cannot see apart.
const (
	batchEvents = 64
	batchTime   = 16 * time.Millisecond
)

// nextEvents waits for events and joins those that follow at once.
func (a *App) nextEvents() tea.Cmd {
	sub, parent := a.events, a.ctx
	return func() tea.Msg {
		ev, err := sub.Next(parent)
		if err != nil {
			return eventsMsg{err: err}
		}
		batch := []chat.Event{ev}
		ctx, cancel := context.WithTimeout(parent, batchTime)
		defer cancel()
		for len(batch) < batchEvents {
			ev, err := sub.Next(ctx)
			if err != nil {
				break
			}
			batch = append(batch, ev)
		}
		return eventsMsg{events: batch}
	}
}

func (a *App) loadContacts() tea.Cmd {
	c := a.chat
	return a.call(func(ctx context.Context) tea.Msg {
		cs, err := c.Contacts(ctx)
		return contactsMsg{cs, err}
	})
}

// pageSize and keepMessages bound what one conversation holds in memory.
const (
	pageSize     = 1000
	keepMessages = 2000
)

// loadHistory reads a conversation and keeps its end.
func (a *App) loadHistory(contact string) tea.Cmd {
	c := a.chat
	return a.call(func(ctx context.Context) tea.Msg {
		var all []chat.Message
		after := uint64(0)
		for {
			page, err := c.Messages(ctx, contact, after, pageSize)
			if err != nil {
				return historyMsg{contact: contact, err: err}
			}
			all = append(all, page...)
			if len(all) > keepMessages {
				all = append(all[:0:0], all[len(all)-keepMessages:]...)
			}
			if len(page) < pageSize {
				return historyMsg{contact: contact, messages: all}
			}
			after = page[len(page)-1].Seq
		}
	})
}

func (a *App) send(contact, text string) tea.Cmd {
	c := a.chat
	return a.call(func(ctx context.Context) tea.Msg {
		m, err := c.Send(ctx, contact, text)
		return sentMsg{contact, text, m, err}
	})
}

func (a *App) loadStatus() tea.Cmd {
	if a.chat == nil {
		return nil
	}
	c, contact := a.chat, ""
	if sel := a.selected(); sel != nil {
		contact = sel.ID
	}
	return func() tea.Msg {
		msg := statusMsg{status: c.Status()}
		msg.path, msg.served = c.Path(contact)
		return msg
	}
}

// refresh asks for the status again: often until everything stands, then
// seldom, for what changes without an event.
func (a *App) refresh() tea.Cmd {
	d := 10 * time.Second
	if !a.status.Ready {
		d = time.Second
	}
	return tea.Tick(d, func(time.Time) tea.Msg { return refreshMsg{} })
}

// tickClock wakes at the next full minute.
func tickClock() tea.Cmd {
	return tea.Every(time.Minute, func(time.Time) tea.Msg { return clockMsg{} })
}
