package tui

import tea "charm.land/bubbletea/v2"

func switcherKeys() []binding {
	return []binding{
		{"switcher.down", []string{"down", "ctrl+n"}, "next"},
		{"switcher.up", []string{"up", "ctrl+p"}, "previous"},
		{"switcher.take", []string{"enter"}, "go there"},
	}
}

// openSwitcher asks for a part of a name and goes to that conversation.
func (a *App) openSwitcher() tea.Cmd { return nil }
