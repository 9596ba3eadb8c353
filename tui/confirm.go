package tui

import (
	tea "charm.land/bubbletea/v2"
)

// confirmDialog asks one question with a yes and a no, for what cannot be undone.
type confirmDialog struct {
	title, text, yes string
	then             func() tea.Cmd
}

// confirm asks before it runs then; yes says in a word what happens.
func (a *App) confirm(title, text, yes string, then func() tea.Cmd) {
	a.push(&confirmDialog{title, text, yes, then})
}

func confirmKeys() []binding {
	return []binding{
		{"confirm.yes", []string{"y"}, "yes, do it"},
		{"confirm.no", []string{"n"}, "no"},
	}
}

func (d *confirmDialog) mode() mode { return modeConfirm }

func (d *confirmDialog) update(a *App, msg tea.Msg) tea.Cmd {
	k, ok := msg.(tea.KeyPressMsg)
	if !ok {
		return nil
	}
	switch a.keys.find(modeConfirm, k.String()) {
	case "confirm.yes":
		a.drop(d)
		return d.then()
	case "confirm.no":
		a.drop(d)
	}
	return nil
}

func (d *confirmDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	bw := min(w, 60)
	lines := []string{""}
	for _, l := range wrap(d.text, bw-4) {
		lines = append(lines, " "+l)
	}
	lines = append(lines, "", " ["+a.keys.of("confirm.yes")+"] "+d.yes+"   ["+a.keys.of("confirm.no")+"] no")
	return a.theme.boxed(d.title, "", lines, bw, min(h, len(lines)+2)), nil
}
