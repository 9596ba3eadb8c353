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

// palette gives the styles that mean something their colours, as numbers of the
// terminal's table of 256, of which 16 are the person's own; empty: the
// terminal's.
type palette struct{ dim, accent, good, warn, bad string }

// palettes are the themes that have colours: contrast has none.
var palettes = map[string]palette{
	"dark":  {dim: "246", accent: "80", good: "114", warn: "221", bad: "210"},
	"light": {dim: "241", accent: "24", good: "22", warn: "94", bad: "124"},
	"16":    {accent: "6", good: "2", warn: "3", bad: "1"},
}

// newTheme builds a theme: auto, dark, light, contrast or 16. dark says what is
// known of the terminal's background.
func newTheme(p Preferences, dark bool) theme {
	s := lipgloss.NewStyle
	t := theme{
		name:     p.Theme,
		strong:   s().Bold(true),
		selected: s().Reverse(true),
		// A light scheme would invert the code: both colours are set.
		qr: s().Foreground(lipgloss.Color("#000000")).Background(lipgloss.Color("#ffffff")),
	}
	name := p.Theme
	if name == "auto" {
		name = "light"
		if dark {
			name = "dark"
		}
	}
	pal, coloured := palettes[name]
	if p.NoColor {
		pal = palette{}
		t.qr = s().Reverse(dark)
	}
	colour := func(n string) lipgloss.Style {
		if n == "" {
			return s()
		}
		return s().Foreground(lipgloss.Color(n))
	}
	t.accent, t.good, t.warn, t.bad = colour(pal.accent), colour(pal.good), colour(pal.warn), colour(pal.bad)
	t.dim = colour(pal.dim)
	if pal.dim == "" {
		t.dim = s().Faint(true)
	}
	if !coloured { // contrast: the terminal's own two colours, and weight
		t.dim = s()
		t.accent, t.good, t.warn, t.bad = s().Underline(true), s().Bold(true), s().Bold(true), s().Bold(true).Underline(true)
	}
	t.glyphs = unicodeGlyphs()
	if p.ASCII {
		t.glyphs = asciiGlyphs()
	}
	return t
}
