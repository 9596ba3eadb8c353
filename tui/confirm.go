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
	s := newSheet(d.title, w, 60)
	for _, l := range wrap(d.text, s.inner) {
		s.rows = append(s.rows, sheetRow{text: l}) // as much of it as there is room for
	}
	s.offers(a.offer("confirm.yes", d.yes), a.offer("confirm.no", "no"))
	return s.draw(&a.theme, w, h)
}
