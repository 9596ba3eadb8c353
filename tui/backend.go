package tui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// Chat is what the screens need of an open profile. *chat.Messenger has it, and so
// has the client of a daemon.
type Chat interface {
	Status() chat.Status
	Path(contact string) (chat.Path, bool)
	NetworkView(ctx context.Context) (chat.NetworkView, error)
	NewCircuits(ctx context.Context) error
	SetCover(ctx context.Context, name string) error
	Consent(ctx context.Context) error

	CreateInvite(ctx context.Context, name string) (chat.Invite, error)
	Invites(ctx context.Context) ([]chat.Invite, error)
	RevokeInvite(ctx context.Context, id string) error
	AcceptInvite(ctx context.Context, link, name string) (chat.Contact, error)
	AskContact(ctx context.Context, link, name, as, text string) (chat.Contact, error)
	CreateAddress(ctx context.Context, label string) (chat.Address, error)
	Addresses(ctx context.Context) ([]chat.Address, error)
	RevokeAddress(ctx context.Context, id string) error
	Requests(ctx context.Context) ([]chat.Request, error)
	AcceptRequest(ctx context.Context, id, name string) (chat.Contact, error)
	RejectRequest(ctx context.Context, id string, block bool) error

	Contacts(ctx context.Context) ([]chat.Contact, error)
	RenameContact(ctx context.Context, contact, name string) error
	BlockContact(ctx context.Context, contact string) error
	UnblockContact(ctx context.Context, contact string) error
	RemoveContact(ctx context.Context, contact string) error
	VerifyContact(ctx context.Context, contact, number string) error
	CompareWords(ctx context.Context, contact string) error
	VerifyWords(ctx context.Context, contact, words string) error
	SetConversation(ctx context.Context, contact string, change chat.ConversationChange) error
	MarkDisplayed(ctx context.Context, contact string, upto uint64) error

	StartSend(ctx context.Context, contact, text string, o chat.SendOptions) (wait func() (chat.Message, error))
	Messages(ctx context.Context, contact string, after uint64, limit int) ([]chat.Message, error)
	MessagesBefore(ctx context.Context, contact string, before uint64, limit int) ([]chat.Message, error)
	Why(ctx context.Context, message string) (chat.Why, error)
	Retry(ctx context.Context, message string) error
	React(ctx context.Context, message, emoji string) error
	Edit(ctx context.Context, message, text string) error
	Delete(ctx context.Context, message string, both bool) error
	Search(ctx context.Context, text, contact string, limit int) ([]chat.Message, error)
	Export(ctx context.Context, contact, path string) (int, error)

	SendFile(ctx context.Context, contact, path string, o chat.SendFileOptions) (chat.File, error)
	FetchFile(ctx context.Context, id string, burst bool) error
	PauseFile(ctx context.Context, id string) error
	SaveFile(ctx context.Context, id, path string) error
	CancelFile(ctx context.Context, id string) error
	Files(ctx context.Context, contact string) ([]chat.File, error)

	CreateGroupOnce(ctx context.Context, name string, contacts []string, key string) (chat.Group, error)
	AddMember(ctx context.Context, group, contact string) error
	RemoveMember(ctx context.Context, group, contact string) error
	RenameGroup(ctx context.Context, group, name string) error
	LeaveGroup(ctx context.Context, group string) error
	Groups(ctx context.Context) ([]chat.Group, error)

	Lock(ctx context.Context) error
	Unlock(ctx context.Context, passphrase []byte) error
	ChangePassphrase(ctx context.Context, old, passphrase []byte) error
	Backup(ctx context.Context, path string, passphrase []byte, history bool) error
	Wipe(ctx context.Context) error

	Subscribe() *chat.Subscription
}

// Home is a profile that may not exist yet.
type Home interface {
	// State tells what is missing before the profile can be opened.
	State() HomeState
	// Open opens or makes the profile and starts it. passphrase is nil for a home
	// that has none; link is empty if the home knows its network. It blocks for a
	// second or so: the key is derived slowly on purpose.
	Open(ctx context.Context, passphrase []byte, link string) (Chat, error)
	// Restore makes the profile from a backup: file is its path, backup its
	// passphrase, passphrase the one of the new profile. Open follows.
	Restore(ctx context.Context, file string, backup, passphrase []byte) error
	// Demo starts a lab network on this computer and returns its link, which Open
	// takes. It lasts as long as the program.
	Demo(ctx context.Context) (link string, err error)
}

// HomeState says which steps of the first run are left.
type HomeState struct {
	Exists     bool // a store is there
	Encrypted  bool // it has a passphrase
	HasNetwork bool // it knows its network
}

// Check is one line of the doctor: what was looked at, what came out, and what to
// do about it.
type Check struct {
	Name   string
	Result string // ok, warning, failed or skipped
	Detail string
	Fix    string // empty if nothing is to do
}

// callTimeout bounds every call into chat but CreateInvite, which ends by itself
// and takes minutes behind cover traffic.
const callTimeout = 40 * time.Second

// Messages of commands that have no dialog.
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
		served bool // a circuit has served the conversation

		conversation string // on screen when it was asked for
		session      int    // in which it was asked for
		number       int    // of the asking
	}
	refreshMsg struct{}
	clockMsg   struct{}
)

// Limits of one batch of events: what a person cannot see apart.
const (
	batchEvents = 64
	batchTime   = 16 * time.Millisecond
)

// nextEvents waits for events and joins those that follow at once.
func (a *App) nextEvents() tea.Cmd {
	sub, parent := a.events, a.ctx
	return a.waits(func() tea.Msg {
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
	})
}

func (a *App) loadStatus() tea.Cmd {
	if a.chat == nil {
		return nil
	}
	a.statusAsked++
	c, msg := a.chat, statusMsg{conversation: a.current, session: a.session, number: a.statusAsked}
	return func() tea.Msg {
		msg.status = c.Status()
		msg.path, msg.served = c.Path(msg.conversation)
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
	return a.after(d, refreshMsg{})
}

// tickClock wakes at the next full minute.
func (a *App) tickClock() tea.Cmd {
	now := time.Now() // of the computer, by which the wait is
	return a.after(now.Truncate(time.Minute).Add(time.Minute).Sub(now), clockMsg{})
}

// after sends a message after a time, unless the program ends before: the timers of
// the library would hold their goroutines until they fire.
func (a *App) after(d time.Duration, msg tea.Msg) tea.Cmd {
	parent := a.ctx
	return a.waits(func() tea.Msg {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return msg
		case <-parent.Done():
			return nil
		}
	})
}

// waits marks a command that waits for time or for events, however long. Tests run
// all others at once, and leave these out.
func (a *App) waits(cmd tea.Cmd) tea.Cmd {
	if a.noWaiting {
		return nil
	}
	return cmd
}
