package tui

import tea "charm.land/bubbletea/v2"

func verifyKeys() []binding {
	return []binding{
		{"verify.match", []string{"y"}, "they match"},
		{"verify.differ", []string{"n"}, "they differ"},
		{"verify.words", []string{"w"}, "compare words in place"},
		{"verify.code", []string{"q"}, "QR of the number"},
		{"verify.take", []string{"enter"}, "confirm what was typed"},
	}
}

// verifyCommand runs /verify for the contact on screen or the one that is named.
func (a *App) verifyCommand(name string) tea.Cmd { return nil }

// wordsKnown takes the words of a comparison, which either side may have begun.
func (a *App) wordsKnown(contact, words string) tea.Cmd { return nil }
