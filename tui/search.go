package tui

import tea "charm.land/bubbletea/v2"

func searchKeys() []binding {
	return []binding{
		{"search.down", []string{"down"}, "next hit"},
		{"search.up", []string{"up"}, "previous hit"},
		{"search.take", []string{"enter"}, "search, then go there"},
		{"search.here", []string{"tab"}, "here or everywhere"},
	}
}

// openSearch searches messages; text may be empty.
func (a *App) openSearch(text string) tea.Cmd { return nil }
