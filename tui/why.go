package tui

import tea "charm.land/bubbletea/v2"

func whyKeys() []binding {
	return []binding{
		{"why.retry", []string{"r"}, "retry now"},
		{"why.down", []string{"down", "j", "pgdown"}, "scroll on"},
		{"why.up", []string{"up", "k", "pgup"}, "scroll back"},
	}
}

// openWhy shows the history of a message; title is the beginning of its text.
func (a *App) openWhy(message, title string) tea.Cmd { return nil }

// openWhyLast shows the history of the last message of our own on screen.
func (a *App) openWhyLast() tea.Cmd { return nil }

// retry tries at once what waits of a message.
func (a *App) retry(message string) tea.Cmd { return nil }
