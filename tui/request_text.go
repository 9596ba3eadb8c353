package tui

import tea "charm.land/bubbletea/v2"

// textDialog shows a text that may be longer than the screen.
type textDialog struct {
	title, text string
	own         bool // our own words: no bar beside them
	at          int  // lines above the first one shown
}

// openText shows what somebody else wrote, sanitised.
func (a *App) openText(title, text string) { a.push(&textDialog{title: title, text: text}) }

func (d *textDialog) mode() mode { return modeRequests }

func (d *textDialog) update(a *App, msg tea.Msg) tea.Cmd {
	k, ok := msg.(tea.KeyPressMsg)
	if !ok {
		return nil
	}
	switch a.keys.find(modeRequests, k.String()) {
	case "request.down":
		d.at++ // bounded by the view, which knows the width
	case "request.up":
		d.at = max(0, d.at-1)
	case "request.take":
		a.drop(d)
	}
	return nil
}

func (d *textDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	s := newSheet(d.title, w, 76)
	lines := wrap(d.text, max(1, s.inner-2))
	room := max(1, h-4) // the box, and what keys do
	d.at = max(0, min(d.at, len(lines)-room))
	for _, l := range lines[d.at:min(len(lines), d.at+room)] {
		if !d.own {
			l = a.theme.v + " " + l // which lines are theirs
		}
		s.must(l)
	}
	scroll := ""
	if len(lines) > room {
		scroll = a.offer("request.down", "on")
	}
	s.offers(scroll, choice(len(lines) > room, a.offer("request.up", "back"), ""), a.closeOffer("close"))
	return s.draw(&a.theme, w, h)
}
