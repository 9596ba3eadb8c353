package tui

import tea "charm.land/bubbletea/v2"

func doctorKeys() []binding {
	return []binding{
		{"doctor.again", []string{"r"}, "look again"},
		{"doctor.down", []string{"down", "j", "pgdown"}, "scroll on"},
		{"doctor.up", []string{"up", "k", "pgup"}, "scroll back"},
	}
}

// openDoctor runs the checks of the program that runs the screens.
func (a *App) openDoctor() tea.Cmd { return nil }
