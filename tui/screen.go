package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
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
	v.WindowTitle = "hearsay"
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
	if a.dialog != nil {
		var box []string
		box, cur = a.dialog.view(a, w, h)
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
	return max(1, a.height-5-a.bannerRows()-a.composer.Height())
}

func (a *App) drawChat(w, h int) ([]string, *tea.Cursor) {
	two, left := a.split()
	pane := a.paneWidth()
	a.composer.SetWidth(max(1, pane-4))
	rows := a.paneHeight()
	right := a.drawConversation(pane, rows)
	prompt := strings.Split(a.composer.View(), "\n")
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
		lines = append(lines, strings.Repeat("─", w))
		for _, l := range right {
			lines = append(lines, fit(l, w))
		}
		lines = append(lines, strings.Repeat("─", w))
		lines = append(lines, prompt...)
		lines = append(lines, strings.Repeat("─", w))
		if b := a.banner(); b != "" {
			lines = append(lines, a.theme.warn.Render(fit(" "+b, w)))
		}
		lines = append(lines, fit(" "+a.statusBar(w-2), w))
	} else {
		contacts := a.drawContacts(left, rows)
		lines = append(lines, "┌"+rule("hearsay", left)+"┬"+rule(a.heading(), pane)+"┐")
		for i := range rows {
			lines = append(lines, "│"+contacts[i]+"│"+fit(right[i], pane)+"│")
		}
		lines = append(lines, "├"+strings.Repeat("─", left)+"┼"+strings.Repeat("─", pane)+"┤")
		for i, p := range prompt {
			side := ""
			if i == 0 {
				side = " F1 help"
			}
			lines = append(lines, "│"+fit(a.theme.dim.Render(side), left)+"│"+p+"│")
		}
		lines = append(lines, "├"+strings.Repeat("─", left)+"┴"+strings.Repeat("─", pane)+"┤")
		if b := a.banner(); b != "" {
			lines = append(lines, "│"+a.theme.warn.Render(fit(" "+b, w-2))+"│")
		}
		lines = append(lines,
			"│"+fit(" "+a.statusBar(w-4), w-2)+"│",
			"└"+strings.Repeat("─", w-2)+"┘")
	}
	for len(lines) < h {
		lines = append(lines, fit("", w))
	}
	lines = lines[:h]
	cur := a.composer.Cursor()
	if cur != nil {
		cur.X += 3
		cur.Y += rows + 2
		if two {
			cur.X += left + 2
		}
	}
	return lines, cur
}

// heading is the title of the conversation.
func (a *App) heading() string {
	c := a.selected()
	if c == nil {
		return "no contact yet"
	}
	return sanitizeLine(c.Name) + " " + contactWord(*c)
}

// contactWord says what a contact is, in words.
func contactWord(c chat.Contact) string {
	switch {
	case c.Problem != "":
		return "! invite failed"
	case c.State == chat.ContactInvited:
		return "… invited"
	case c.State == chat.ContactChanged:
		return "‼ key changed"
	case c.State == chat.ContactBlocked:
		return "blocked"
	case c.Verified:
		return "✓ verified"
	}
	return "? unverified"
}

func (a *App) drawContacts(w, h int) []string {
	var lines []string
	for i, c := range a.contacts {
		mark := " "
		if i == a.current {
			mark = "▌"
		}
		right := ""
		if n := a.conversation(c.ID).unread; n > 0 {
			right = fmt.Sprintf("%d new ", n)
		} else if c.Problem != "" {
			right = "failed "
		} else if c.State == chat.ContactInvited {
			right = "invited "
		} else if c.State == chat.ContactChanged {
			right = "‼ changed "
		} else if c.State == chat.ContactBlocked {
			right = "blocked "
		}
		line := spread(mark+sanitizeLine(c.Name), right, w)
		if i == a.current {
			line = a.theme.strong.Render(line)
		}
		lines = append(lines, line)
	}
	if from := a.current - h + 1; from > 0 { // keep the selected one in sight
		lines = lines[from:]
	}
	if len(a.contacts) == 0 {
		lines = append(lines, fit(" no contacts", w))
	}
	foot := []string{fit(" alt+n  invite", w), fit(" ctrl+n next", w)}
	for len(lines) < h {
		if n := h - len(lines); n <= len(foot) {
			lines = append(lines, a.theme.dim.Render(foot[len(foot)-n]))
			continue
		}
		lines = append(lines, fit("", w))
	}
	return lines[:h]
}

func (a *App) drawConversation(w, h int) []string {
	var notice []string
	if a.notice != "" {
		notice = wrap(a.notice, max(1, w-2))
		notice = notice[:min(len(notice), max(1, h-3))]
	}
	body := max(0, h-len(notice))
	var lines []string
	switch c := a.shown(); {
	case c == nil:
		lines = centre([]string{
			"Nobody here yet.",
			"",
			"alt+n makes an invite for one person.",
			"Paste an invite that you were given.",
		}, w, body)
	case !c.loaded && len(c.messages) == 0:
		lines = centre([]string{"reading …"}, w, body)
	case len(c.messages) == 0:
		lines = centre(a.emptyText(), w, body)
	default:
		lines = a.timeline(c, sanitizeLine(a.selected().Name), w, body)
	}
	for _, l := range notice {
		lines = append(lines, a.theme.warn.Render(fit(" "+l, w)))
	}
	return lines[:h]
}

func (a *App) emptyText() []string {
	if p := a.selected().Problem; p != "" {
		return []string{sanitizeLine(p) + ".", "", "Ask for a new invite."}
	}
	if a.selected().State == chat.ContactInvited {
		return []string{"You may write at once; it is sent", "when your contact's relays answer."}
	}
	return []string{"Say something."}
}

func centre(text []string, w, h int) []string {
	lines := make([]string, h)
	top := max(0, (h-len(text))/2)
	for i, t := range text {
		if top+i < h {
			lines[top+i] = strings.Repeat(" ", max(0, (w-ansi.StringWidth(t))/2)) + t
		}
	}
	return lines
}

// statusBar is the last line: health, the real path of the circuit that served
// this conversation, cover, what is queued, and the clock.
func (a *App) statusBar(w int) string {
	glyph := map[chat.Health]string{
		chat.Connected: a.theme.good.Render("●"), chat.Building: a.theme.warn.Render("◐"), chat.Degraded: a.theme.warn.Render("◐"),
		chat.StaleView: a.theme.warn.Render("◐"), chat.Offline: a.theme.bad.Render("○"),
	}[a.status.Health]
	health := glyph + " " + string(a.status.Health)
	if w < splitWidth-2 {
		return fit(health+a.shortStatus(), w)
	}
	right := ""
	if a.status.Lab {
		right = a.theme.warn.Render("LAB") + " "
	}
	if a.status.Cover != "" {
		right += "cover " + a.status.Cover
	}
	if a.status.Queued > 0 {
		right += fmt.Sprintf(" %d queued", a.status.Queued)
	}
	right += " │ " + a.now().Format("15:04")
	room := w - ansi.StringWidth(health) - ansi.StringWidth(right) - 6
	return spread(health+" │ "+a.pathText(room), " │ "+right, w)
}

// shortStatus is what follows the health word where there is no room for a
// path.
func (a *App) shortStatus() string {
	s := ""
	if a.status.Lab {
		s += " · " + a.theme.warn.Render("LAB")
	}
	if a.status.Queued > 0 {
		s += fmt.Sprintf(" · %d queued", a.status.Queued)
	}
	if a.served && a.path.Open {
		s += " · 3 hops"
	}
	return s
}

// pathText says the path as fully as the room allows.
func (a *App) pathText(room int) string {
	p := a.path
	if !a.served || len(p.Relays) == 0 {
		return "no circuit yet"
	}
	if !p.Open {
		return "circuit closed"
	}
	path := strings.Join(p.Relays, " ▸ ")
	rtt := ""
	if p.RTT > 0 {
		rtt = fmt.Sprintf(" %d ms", max(1, p.RTT.Milliseconds()))
	}
	for _, s := range []string{
		"you ▸ " + path + " ▸ mailbox " + p.Mailbox + rtt,
		path + " ▸ mailbox " + p.Mailbox,
		path + " ▸ " + p.Mailbox,
		strings.Join(p.Relays, "▸") + "▸" + p.Mailbox,
	} {
		if ansi.StringWidth(s) <= room {
			return s
		}
	}
	return "3 hops"
}
