package tui

import tea "charm.land/bubbletea/v2"

func requestKeys() []binding {
	return []binding{
		{"request.accept", []string{"a"}, "accept"},
		{"request.reject", []string{"r"}, "reject, unseen by them"},
		{"request.block", []string{"b"}, "reject and block"},
		{"request.down", []string{"down", "j"}, "next"},
		{"request.up", []string{"up", "k"}, "previous"},
	}
}

// openRequests lists strangers who asked through an address.
func (a *App) openRequests() tea.Cmd { return nil }
