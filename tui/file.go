package tui

import (
	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

func fileKeys() []binding {
	return []binding{
		{"file.take", []string{"enter"}, "go on"},
		{"file.burst", []string{"b"}, "fast, or hidden"},
	}
}

func filesKeys() []binding {
	return []binding{
		{"files.down", []string{"down", "j"}, "next file"},
		{"files.up", []string{"up", "k"}, "previous file"},
		{"files.save", []string{"s"}, "fetch or save"},
		{"files.pause", []string{"p"}, "pause or go on"},
		{"files.stop", []string{"x"}, "stop or discard"},
	}
}

// fileCommand runs /file: it asks before the file is offered.
func (a *App) fileCommand(path string) tea.Cmd { return nil }

// saveCommand runs /save on the last file of the conversation.
func (a *App) saveCommand(path string) tea.Cmd { return nil }

// openFiles lists the files of the conversation on screen, or of all.
func (a *App) openFiles() tea.Cmd { return nil }

// fileChanged takes the progress of a file.
func (a *App) fileChanged(f chat.File) {
	c := a.conversations[f.Contact]
	if c == nil {
		return
	}
	for i := range c.messages {
		if have := c.messages[i].File; have != nil && have.ID == f.ID {
			c.messages[i].File = &f
		}
	}
}

// fileLines lays out a message that offers a file, below its head, in lines of at
// most w cells.
func (a *App) fileLines(m *chat.Message, w int) []string { return nil }

// fileAct does to the file of a message what a key asks for: message.save,
// message.pause or message.stop.
func (a *App) fileAct(act action, m *chat.Message) tea.Cmd { return nil }
