package tui

import "charm.land/lipgloss/v2"

// theme holds the styles, built once. The sixteen terminal colours follow the
// person's own scheme; no meaning rests on colour alone.
type theme struct {
	dim, strong, accent, good, warn, bad lipgloss.Style
	selected                             lipgloss.Style
	qr                                   lipgloss.Style
}

func newTheme() theme {
	s := lipgloss.NewStyle
	return theme{
		dim:      s().Faint(true),
		strong:   s().Bold(true),
		accent:   s().Foreground(lipgloss.Color("6")),
		good:     s().Foreground(lipgloss.Color("2")),
		warn:     s().Foreground(lipgloss.Color("3")),
		bad:      s().Foreground(lipgloss.Color("1")),
		selected: s().Reverse(true),
		// A light scheme would invert the code: both colours are set.
		qr: s().Foreground(lipgloss.Color("#000000")).Background(lipgloss.Color("#ffffff")),
	}
}
