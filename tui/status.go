package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// applyStatus takes the state of the profile.
func (a *App) applyStatus(msg statusMsg) tea.Cmd {
	if msg.status.Locked && !a.looked { // somebody locked it before we came
		a.hide()
	}
	a.looked = true
	a.tellWarnings(msg.status.Warnings)
	a.askConsent(msg.status.Outlook.NeedsConsent)
	a.status, a.path, a.served = msg.status, msg.path, msg.served
	a.path.Relays, a.path.Mailbox = nil, sanitizeLine(msg.path.Mailbox)
	for _, name := range msg.path.Relays {
		a.path.Relays = append(a.path.Relays, sanitizeLine(name))
	}
	return nil
}

// askConsent says once that nothing works without the user's consent.
func (a *App) askConsent(needed bool) {
	if needed && !a.status.Outlook.NeedsConsent {
		a.notice = "the snapshot of the network is more than 3 days old: someone may be keeping newer ones from you; " +
			"/consent uses it all the same, with the guards you have"
	}
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
