package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"
)

// Smallest screens: below the first nothing is drawn, below the second one
// pane is shown alone.
const (
	minWidth, minHeight     = 30, 8
	splitWidth, splitHeight = 60, 16
)

// View draws the screen.
func (a *App) View() tea.View {
	lines, cur := a.draw()
	v := tea.NewView(strings.Join(lines, "\n"))
	v.AltScreen = true
	v.WindowTitle = a.title()
	v.ReportFocus = true
	if a.prefs.Mouse && !a.locked {
		v.MouseMode = tea.MouseModeCellMotion
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
		blank := make([]string, h)
		for i := range blank {
			blank[i] = fit("", w)
		}
		box, cur := a.viewFirst(w, h)
		return overlay(blank, box, w), cur
	}
	lines, cur := a.drawChat(w, h)
	for _, d := range a.dialogs {
		var box []string
		box, cur = d.view(a, w, h)
		lines = overlay(lines, box, w)
	}
	return lines, cur
}

// split tells whether contacts stand beside the conversation, and how wide
// their column is.
func (a *App) split() (bool, int) {
	if a.width < splitWidth || a.height < splitHeight {
		return false, 0
	}
	if a.width >= 100 {
		return true, 25
	}
	return true, 20
}

// paneWidth is the width of the conversation.
func (a *App) paneWidth() int {
	if two, left := a.split(); two {
		return a.width - left - 3
	}
	return a.width
}

// paneHeight is the height of the conversation: all but borders, composer, banner
// and status bar.
func (a *App) paneHeight() int {
	return max(1, a.height-5-a.bannerRows()-a.composer.height())
}

func (a *App) drawChat(w, h int) ([]string, *tea.Cursor) {
	two, left := a.split()
	pane := a.paneWidth()
	a.composer.input.SetWidth(max(1, pane-4))
	rows := a.paneHeight()
	right := a.drawConversation(pane, rows)
	prompt := strings.Split(a.composer.input.View(), "\n")
	for i := range prompt {
		mark := " > "
		if i > 0 {
			mark = " | "
		}
		prompt[i] = fit(mark+prompt[i], pane)
	}
	var lines []string
	if !two {
		lines = append(lines, fit(" "+a.heading(), w))
		lines = append(lines, strings.Repeat(a.theme.h, w))
		for _, l := range right {
			lines = append(lines, fit(l, w))
		}
		lines = append(lines, strings.Repeat(a.theme.h, w))
		lines = append(lines, prompt...)
		lines = append(lines, strings.Repeat(a.theme.h, w))
		if b := a.banner(); b != "" {
			lines = append(lines, a.theme.warn.Render(fit(" "+b, w)))
		}
		lines = append(lines, fit(" "+a.statusBar(w-2), w))
	} else {
		contacts := a.drawContacts(left, rows)
		lines = append(lines, a.theme.tl+a.theme.rule("hearsay", left)+a.theme.down+a.theme.rule(a.heading(), pane)+a.theme.tr)
		for i := range rows {
			lines = append(lines, a.theme.v+contacts[i]+a.theme.v+fit(right[i], pane)+a.theme.v)
		}
		lines = append(lines, a.theme.left+strings.Repeat(a.theme.h, left)+a.theme.cross+strings.Repeat(a.theme.h, pane)+a.theme.right)
		for i, p := range prompt {
			side := ""
			if i == 0 {
				side = " F1 help"
			}
			lines = append(lines, a.theme.v+fit(a.theme.dim.Render(side), left)+a.theme.v+p+a.theme.v)
		}
		lines = append(lines, a.theme.left+strings.Repeat(a.theme.h, left)+a.theme.up+strings.Repeat(a.theme.h, pane)+a.theme.right)
		if b := a.banner(); b != "" {
			lines = append(lines, a.theme.v+a.theme.warn.Render(fit(" "+b, w-2))+a.theme.v)
		}
		lines = append(lines,
			a.theme.v+fit(" "+a.statusBar(w-4), w-2)+a.theme.v,
			a.theme.bl+strings.Repeat(a.theme.h, w-2)+a.theme.br)
	}
	for len(lines) < h {
		lines = append(lines, fit("", w))
	}
	lines = lines[:h]
	cur := a.composer.input.Cursor()
	if cur != nil {
		cur.X += 3
		cur.Y += rows + 2
		if two {
			cur.X += left + 2
		}
	}
	return lines, cur
}
