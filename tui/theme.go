package tui

import "charm.land/lipgloss/v2"

// theme holds styles and signs, built once per choice. No meaning rests on colour
// alone.
type theme struct {
	glyphs
	name                                 string
	dim, strong, accent, good, warn, bad lipgloss.Style
	selected                             lipgloss.Style
	qr                                   lipgloss.Style
}

// newTheme builds a theme: auto, dark, light, contrast or 16. dark says what is
// known of the terminal's background.
func newTheme(p Preferences, dark bool) theme {
	s := lipgloss.NewStyle
	t := theme{
		name:     p.Theme,
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
	t.glyphs = unicodeGlyphs()
	if p.ASCII {
		t.glyphs = asciiGlyphs()
	}
	return t
}
