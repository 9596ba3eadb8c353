package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// noticeLines are the lines of the notice below a timeline of w by h cells.
func (a *App) noticeLines(w, h int) []string {
	if a.notice == "" {
		return nil
	}
	lines := wrap(a.notice, max(1, w-2))
	if most := max(1, h-3); len(lines) > most {
		lines = lines[:most]
		lines[most-1] = a.cut(strings.TrimSpace(lines[most-1]), max(1, w-4)) + " " + a.theme.more
	}
	return lines
}

// drawConversation draws the pane of the conversation on screen in h lines: the
// timeline, and below it the notice.
func (a *App) drawConversation(w, h int) []string {
	notice := a.noticeLines(w, h)
	body := max(0, h-len(notice))
	var lines []string
	switch c := a.shown(); {
	case c == nil:
		lines = centre([]string{
			"Nobody here yet.",
			"",
			a.keys.of("invite") + " makes an invite for one person.",
			"Paste an invite that you were given.",
		}, w, body)
	case len(c.messages) == 0 && c.failed:
		lines = centre([]string{"This conversation cannot be read now;", a.keys.of("scroll.back") + " tries again."}, w, body)
	case !c.loaded:
		lines = centre([]string{"reading " + a.theme.more}, w, body)
	case len(c.messages) == 0:
		lines = centre(a.emptyText(), w, body)
	case body > 0:
		lines = a.timeline(c, w, body)
	}
	for _, l := range notice {
		lines = append(lines, a.theme.warn.Render(fit(" "+l, w)))
	}
	return lines[:h]
}

func (a *App) emptyText() []string {
	e := a.selected()
	if e.contact == nil {
		return []string{"Write something."}
	}
	if p := e.contact.Problem; p != "" {
		return []string{sanitizeLine(p) + ".", "", "Ask for a new invite."}
	}
	if e.contact.State == chat.ContactInvited && e.contact.Asked != "" {
		return []string{"You asked through their address:", sanitizeLine(e.contact.Asked) + ".", "", "What you write waits until they accept."}
	}
	if e.contact.State == chat.ContactInvited {
		return []string{"You may write at once; it is sent", "when your contact's relays answer."}
	}
	return []string{"Write something."}
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
