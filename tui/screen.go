package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// Smallest screens: below the first nothing is drawn, below the second one
// pane is shown alone.
const (
	minWidth, minHeight     = 30, 8
	splitWidth, splitHeight = 60, 16
)

// wideWidth is the width from which there is room for three columns.
const wideWidth = 100

// View draws the screen.
func (a *App) View() tea.View {
	lines, cur := a.draw()
	v := tea.NewView(strings.Join(lines, "\n"))
	v.AltScreen = true
	v.WindowTitle = a.title()
	v.ReportFocus = true
	// So that keys are found by their place on keyboards of other scripts.
	v.KeyboardEnhancements.ReportAlternateKeys = true
	if a.prefs.Mouse && !a.locked {
		v.MouseMode = tea.MouseModeCellMotion
	}
	if cur != nil && a.prefs.ReducedMotion {
		cur.Blink = false
	}
	v.Cursor = cur
	return v
}

// draw returns exactly a.height lines of exactly a.width cells.
func (a *App) draw() ([]string, *tea.Cursor) {
	w, h := a.width, a.height
	if w < 1 || h < 1 {
		return nil, nil
	}
	if w < minWidth || h < minHeight {
		lines := make([]string, h)
		for i := range lines {
			lines[i] = fit("", w)
		}
		lines[0] = fit("terminal too small (30x8 needed)", w)
		return lines, nil
	}
	if a.first.step != stepNone {
		return a.drawFirst(w, h)
	}
	lines, cur := a.drawChat(w, h)
	for _, d := range a.dialogs {
		var box []string
		box, cur = d.view(a, w, h)
		lines = overlay(lines, box, w)
	}
	if a.theme.more != "…" { // fit knows no theme; the sign is of ambiguous width
		for i := range lines {
			lines[i] = strings.ReplaceAll(lines[i], "…", a.theme.more)
		}
	}
	return lines, cur
}

// layout is where the parts of the conversation screen stand.
type layout struct {
	framed            bool // borders are drawn
	left, pane, info  int  // cells of the columns; 0: not shown
	rows              int  // of the conversation
	composer, banners int  // rows
}

// layout finds the place of everything: three columns from 100 cells on, two from
// 60, and one pane on small screens.
func (a *App) layout() layout {
	w, h := a.width, a.height
	l := layout{framed: !a.bare && w >= splitWidth && h >= splitHeight, pane: w, banners: a.bannerRows()}
	around := 5
	if l.framed {
		l.pane -= 2
		if !a.contacts.hidden {
			l.left = 20
			if w >= wideWidth {
				l.left = 25
			}
			l.pane -= l.left + 1
		}
		if a.info && w >= wideWidth {
			l.info = 28 + min(12, (w-wideWidth)/4)
			l.pane -= l.info + 1
		}
	} else if a.bare {
		around = 2
	}
	l.composer = a.composerHeight(l.pane)
	l.rows = max(1, h-around-l.banners-l.composer)
	return l
}

// paneWidth is the width of the conversation.
func (a *App) paneWidth() int { return a.layout().pane }

// paneHeight is the height of the conversation: all but borders, composer, banner
// and status bar.
func (a *App) paneHeight() int { return a.layout().rows }

// drawChat draws the conversation screen.
func (a *App) drawChat(w, h int) ([]string, *tea.Cursor) {
	l := a.layout()
	pane := a.drawConversation(l.pane, l.rows)
	if over := a.drawPalette(l.pane, l.rows); len(over) > 0 {
		copy(pane[len(pane)-len(over):], over)
	}
	for i := range pane {
		pane[i] = fit(pane[i], l.pane)
	}
	text, x, y := a.composerView(l.pane)
	var lines []string
	var left, top int
	switch {
	case l.framed:
		lines, left, top = a.drawFramed(w, l, pane, text), 1, 1
		if l.left > 0 {
			left += l.left + 1
		}
	case a.bare:
		lines, top = a.drawBare(w, l, pane, text), 1
	default:
		lines, top = a.drawNarrow(w, l, pane, text), 2
	}
	for len(lines) < h {
		lines = append(lines, fit("", w))
	}
	lines = lines[:h]
	if c := a.shown(); c != nil && c.selected != "" {
		return lines, nil // nothing is written now
	}
	if a.contacts.filtering && l.left > 0 {
		if at, ok := a.filterCursor(l.left); ok {
			return lines, tea.NewCursor(1+at, 1)
		}
	}
	under := 1 // the line between conversation and composer
	if a.bare {
		under = 0
	}
	return lines, tea.NewCursor(left+x, min(h-1, top+l.rows+under+y))
}

// drawFramed draws columns with borders.
func (a *App) drawFramed(w int, l layout, pane, text []string) []string {
	t := &a.theme
	// edge draws a horizontal border with the crossings of the columns.
	edge := func(from, cross, to, contacts, heading, info string) string {
		s := from
		if l.left > 0 {
			s += t.rule(contacts, l.left) + cross
		}
		s += heading
		if l.info > 0 {
			s += cross + t.rule(info, l.info)
		}
		return s + to
	}
	row := func(contact, middle, info string) string {
		s := t.v
		if l.left > 0 {
			s += contact + t.v
		}
		s += middle
		if l.info > 0 {
			s += t.v + info
		}
		return s + t.v
	}
	plain := strings.Repeat(t.h, l.pane)
	lines := []string{edge(t.tl, t.down, t.tr, "hearsay", a.headingRule(l), "about")}
	var contacts, info []string
	if l.left > 0 {
		contacts = a.drawContacts(l.left, l.rows)
	}
	if l.info > 0 {
		info = a.drawInfo(l.info, l.rows)
	}
	at := func(column []string, i, w int) string {
		if i < len(column) {
			return fit(column[i], w)
		}
		return fit("", w)
	}
	for i, p := range pane {
		lines = append(lines, row(at(contacts, i, l.left), p, at(info, i, l.info)))
	}
	lines = append(lines, edge(t.left, t.cross, t.right, "", plain, ""))
	var side []string
	if l.left > 0 {
		if d := a.draftsLine(); d != "" {
			side = []string{t.dim.Render(fit(" "+d, l.left))}
		}
	}
	for i, p := range text {
		lines = append(lines, row(at(side, i, l.left), p, at(nil, i, l.info)))
	}
	lines = append(lines, edge(t.left, t.up, t.right, "", plain, ""))
	if l.banners > 0 {
		lines = append(lines, t.v+t.warn.Render(fit(" "+a.banner(), w-2))+t.v)
	}
	return append(lines, t.v+fit(" "+a.statusBar(w-4), w-2)+t.v, t.bl+strings.Repeat(t.h, w-2)+t.br)
}

// headingRule is the border above the conversation, with its heading and, where
// there is room, the key for more about it.
func (a *App) headingRule(l layout) string {
	t := &a.theme
	heading := a.heading()
	more := " " + a.keys.of("info") + " info " + t.h
	n := ansi.StringWidth(more)
	if a.width < wideWidth || l.info > 0 || a.selected() == nil || ansi.StringWidth(heading)+4+n > l.pane {
		return t.rule(heading, l.pane)
	}
	return t.rule(heading, l.pane-n) + more
}

// drawNarrow draws one pane with lines between its parts.
func (a *App) drawNarrow(w int, l layout, pane, text []string) []string {
	line := strings.Repeat(a.theme.h, w)
	lines := append([]string{a.narrowHeading(w), line}, pane...)
	lines = append(lines, line)
	lines = append(lines, text...)
	lines = append(lines, line)
	return append(lines, a.foot(w, l)...)
}

// drawBare draws the conversation alone, so that a terminal selects its text and
// nothing else.
func (a *App) drawBare(w int, l layout, pane, text []string) []string {
	lines := append([]string{a.theme.strong.Render(a.narrowHeading(w))}, pane...)
	lines = append(lines, text...)
	return append(lines, a.foot(w, l)...)
}

func (a *App) foot(w int, l layout) (lines []string) {
	if l.banners > 0 {
		lines = append(lines, a.theme.warn.Render(fit(" "+a.banner(), w)))
	}
	return append(lines, fit(" "+a.statusBar(w-2), w))
}

// narrowHeading names the conversation and counts what is unread elsewhere.
func (a *App) narrowHeading(w int) string {
	n := 0
	for i := range a.entries {
		if e := &a.entries[i]; e.id != a.current && !e.settings.Muted && !e.settings.Archived {
			n += e.unread
		}
	}
	right := ""
	if n > 0 {
		right = fmt.Sprintf("%d unread ", n)
	}
	return spread(" "+a.theme.back+" "+a.heading(), right, w)
}
