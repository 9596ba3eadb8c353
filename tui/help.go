package tui

import (
	tea "charm.land/bubbletea/v2"
)

// helpDialog lists keys, commands and signs, from the tables in force.
type helpDialog struct{ scroll int }

func helpKeys() []binding {
	return []binding{
		{"help.down", []string{"down", "j", "pgdown"}, "scroll on"},
		{"help.up", []string{"up", "k", "pgup"}, "scroll back"},
	}
}

// openHelp shows the help; topic is a mode, a command or empty.
func (a *App) openHelp(topic string) { a.push(&helpDialog{}) }

func (d *helpDialog) mode() mode { return modeHelp }

func (d *helpDialog) update(a *App, msg tea.Msg) tea.Cmd {
	if k, ok := msg.(tea.KeyPressMsg); ok {
		switch a.keys.find(modeHelp, k.String()) {
		case "help.down":
			d.scroll++
		case "help.up":
			d.scroll = max(0, d.scroll-1)
		}
	}
	return nil
}

func (d *helpDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	var lines []string
	for _, g := range a.keys.groups {
		lines = append(lines, " "+a.theme.strong.Render(g.title))
		for _, b := range g.bindings {
			lines = append(lines, "   "+fit(b.keys[0], 18)+" "+b.does)
		}
	}
	lines = append(lines, " "+a.theme.strong.Render("commands"))
	for _, c := range commandTable() {
		lines = append(lines, "   "+fit(c.name+" "+c.args, 18)+" "+c.does)
	}
	room := h - 2
	d.scroll = min(d.scroll, max(0, len(lines)-room))
	lines = lines[d.scroll:]
	return a.theme.boxed("Help", "[esc] close", lines, min(w, 66), min(h, len(lines)+2)), nil
}
