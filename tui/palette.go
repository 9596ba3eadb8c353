package tui

import (
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// commandPalette is the list of what a slash command may become, above the composer that
// holds it. It opens with / on empty input.
type commandPalette struct {
	dismissed bool // closed, until the input is empty again
	mark      listMark
	moved     bool     // the person chose a row
	files     []string // for the text filesFor
	filesFor  string
}

// paletteRows bounds its list on the screen.
const paletteRows = 10

func paletteKeys() []binding {
	return []binding{
		{"palette.down", []string{"down", "ctrl+n"}, "next"},
		{"palette.up", []string{"up", "ctrl+p"}, "previous"},
		{"palette.take", []string{"enter"}, "run it, or write its arguments"},
		{"palette.complete", []string{"tab"}, "complete"},
	}
}

// paletteShown tells whether a slash command is being written, and not dismissed.
func (c *composer) paletteShown() bool {
	return c.edit == "" && !c.palette.dismissed && isCommand(c.value())
}

// paletteKey takes a key while the palette is shown, and tells whether it did.
func (a *App) paletteKey(k tea.KeyPressMsg) (tea.Cmd, bool) {
	c := &a.composer
	if !c.paletteShown() {
		return nil, false
	}
	p := &c.palette
	list := a.suggestions()
	p.mark.keep(textsOf(list))
	switch a.keys.find(modePalette, k.String()) {
	case "palette.down":
		if len(list) > 0 {
			p.mark.set((p.mark.at+1)%len(list), textsOf(list))
			p.moved = true
		}
	case "palette.up":
		if len(list) > 0 {
			p.mark.set((p.mark.at+len(list)-1)%len(list), textsOf(list))
			p.moved = true
		}
	case "palette.complete":
		if len(list) > 0 {
			return a.takeSuggestion(list[p.mark.at]), true
		}
	case "palette.take":
		cmd, _, hasArgs := cutCommand(c.value())
		if len(list) == 0 || !p.moved && (cmd != nil || hasArgs) {
			return a.submit(), true // as it stands there
		}
		s := list[p.mark.at]
		if take := a.takeSuggestion(s); !s.runs {
			return take, true
		}
		return a.submit(), true
	default:
		return nil, false
	}
	return nil, true
}

// textsOf are the texts of suggestions, by which rows are known.
func textsOf(list []suggestion) []string {
	texts := make([]string, len(list))
	for i := range list {
		texts[i] = list[i].text
	}
	return texts
}

// takeSuggestion writes a suggestion into the composer.
func (a *App) takeSuggestion(s suggestion) tea.Cmd {
	a.composer.text.set(s.text)
	return a.suggest()
}

// drawPalette lays the palette out in at most h lines of w cells.
func (a *App) drawPalette(w, h int) []string {
	t, c := &a.theme, &a.composer
	if !c.paletteShown() || h < 1 {
		return nil
	}
	list := a.suggestions()
	cmd, _, hasArgs := cutCommand(c.value())
	title := "commands"
	if hasArgs && cmd != nil {
		title = cmd.name
		if cmd.args != "" {
			title += " " + cmd.args
		}
		title += ": " + cmd.does
	}
	lines := []string{t.dim.Render(t.rule(title, w))}
	if len(list) == 0 && cmd == nil {
		lines = append(lines, t.dim.Render(fit(" "+unknownCommand(c.value()), w)))
	}
	room := min(h-len(lines), paletteRows)
	if h == 1 && len(list) > 0 {
		lines, room = nil, 1
	}
	width := 0
	for _, s := range list {
		width = max(width, ansi.StringWidth(s.label))
	}
	width = min(width+1, max(18, w-43)) // what a command does takes 40 cells at most
	c.palette.mark.keep(textsOf(list))
	from, to := listWindow(len(list), c.palette.mark.at, room)
	for i := from; i < to; i++ {
		line := fit(list[i].label, width)
		if list[i].note != "" {
			line += " " + list[i].note
		} else {
			line = list[i].label
		}
		lines = append(lines, a.listRow(line, i == c.palette.mark.at, w))
	}
	return lines[:min(len(lines), h)]
}
