package tui

import tea "charm.land/bubbletea/v2"

func contactKeys() []binding {
	return []binding{
		{"contact.down", []string{"down", "j"}, "next"},
		{"contact.up", []string{"up", "k"}, "previous"},
		{"contact.take", []string{"enter"}, "do it"},
	}
}

// openContact shows what can be done with a contact, a group or the notes.
func (a *App) openContact(id string) tea.Cmd { return nil }

// The commands on the conversation on screen, or on the contact that is named.
func (a *App) renameCommand(name string) tea.Cmd { return nil }
func (a *App) muteCommand(string) tea.Cmd        { return nil }
func (a *App) pinCommand(string) tea.Cmd         { return nil }
func (a *App) archiveCommand(string) tea.Cmd     { return nil }
func (a *App) disappearCommand(d string) tea.Cmd { return nil }
func (a *App) blockCommand(name string) tea.Cmd  { return nil }
func (a *App) removeCommand(name string) tea.Cmd { return nil }
func (a *App) exportCommand(path string) tea.Cmd { return nil }
