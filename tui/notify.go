package tui

import (
	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// notifier tells the person of messages that come while they look elsewhere.
type notifier struct{}

// notifyMsg wakes the notifier.
type notifyMsg struct{}

// message takes a message that has come.
func (n *notifier) message(a *App, m chat.Message) tea.Cmd { return nil }

// forget drops what the notifier knows, at a lock.
func (n *notifier) forget() {}

// tick takes a notifyMsg.
func (n *notifier) tick(a *App) tea.Cmd { return nil }

// terminal takes what a terminal answers, such as whether it knows
// notifications; everything else that reaches it is ignored.
func (n *notifier) terminal(a *App, msg tea.Msg) tea.Cmd { return nil }

// askTerminal asks the terminal what it can do.
func (a *App) askTerminal() tea.Cmd { return tea.RequestBackgroundColor }

// title is the title of the terminal's window: never a name.
func (a *App) title() string { return "hearsay" }
