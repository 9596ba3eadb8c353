package tui

import tea "charm.land/bubbletea/v2"

func networkKeys() []binding {
	return []binding{
		{"network.circuits", []string{"n"}, "new circuits"},
		{"network.relay", []string{"enter"}, "about this relay"},
		{"network.why", []string{"w"}, "why it is listed"},
		{"network.pane", []string{"tab"}, "other pane"},
		{"network.find", []string{"/"}, "find a relay"},
		{"network.down", []string{"down", "j"}, "next"},
		{"network.up", []string{"up", "k"}, "previous"},
	}
}

// networkDialog shows circuits, relays and guards.
type networkDialog struct{}

// openNetwork opens the network view.
func (a *App) openNetwork() tea.Cmd { return nil }

func (d *networkDialog) mode() mode                                    { return modeNetwork }
func (d *networkDialog) update(a *App, msg tea.Msg) tea.Cmd            { return nil }
func (d *networkDialog) view(a *App, w, h int) ([]string, *tea.Cursor) { return nil, nil }
