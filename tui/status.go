package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// applyStatus takes the state of the profile.
func (a *App) applyStatus(msg statusMsg) tea.Cmd {
	if msg.session != a.session || msg.number < a.statusTaken {
		return nil // of before it was locked, or unlocked; or a later one was faster
	}
	a.statusTaken = msg.number
	if msg.status.Locked { // somebody locked it before we came, or the event was lost
		a.hide()
	}
	a.looked = true
	if a.locked { // nothing of it is shown or kept
		a.status = chat.Status{Encrypted: true, Locked: msg.status.Locked}
		return nil
	}
	a.tellWarnings(msg.status.Warnings)
	a.askConsent(msg.status.Outlook.NeedsConsent)
	a.tellHealth(msg.status)
	if msg.status.Cover != a.status.Cover {
		a.forgetLayout() // offers of files say what they cost
	}
	a.status = msg.status
	if msg.conversation == a.current {
		a.path, a.served = msg.path, msg.served
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

// tellHealth notes that everything stood once, and says when it does again after
// it was lost.
func (a *App) tellHealth(s chat.Status) {
	if a.stood && lost(a.status.Health) && !lost(s.Health) && s.Health != chat.StaleView {
		a.notice = "connected again; what waited is on its way"
	}
	a.stood = a.stood || s.Ready
}

// lost tells whether a health word means that no circuit stands.
func lost(h chat.Health) bool { return h == chat.Building || h == chat.Offline }

// tellGuard says that another relay sees this computer from now on.
func (a *App) tellGuard(detail string) {
	a.notice = "another guard: " + sanitizeLine(detail) + "; " + a.keys.of("network") + " shows which"
}

// healthText is the health word with its sign.
func (a *App) healthText() string {
	sign, style, word := a.theme.partly, a.theme.warn, string(a.status.Health)
	switch a.status.Health {
	case chat.Connected:
		sign, style = a.theme.connected, a.theme.good
	case chat.Offline:
		sign, style = a.theme.offline, a.theme.bad
	case "":
		word = "starting"
	}
	return style.Render(sign) + " " + word
}

// stateStyle colours a delivery state.
func stateStyle(a *App, s chat.MessageState) lipgloss.Style {
	switch s {
	case chat.Delivered:
		return a.theme.good
	case chat.Failed:
		return a.theme.bad
	}
	return a.theme.dim
}

// statusBar is the last line: health, the real path of the circuit that served
// this conversation, cover, what is queued, and the clock. In a lab network LAB
// stands in it at every width.
func (a *App) statusBar(w int) string {
	health := a.healthText()
	if w < splitWidth-4 {
		return a.shortStatus(health, w)
	}
	right := ""
	if a.status.Lab {
		right = a.theme.warn.Render("LAB") + " "
	}
	if a.status.Cover != "" {
		right += "cover " + a.status.Cover
	}
	if a.status.Queued > 0 {
		gap := "  "
		if w >= 72 && !a.status.Lab {
			gap = "    "
		}
		right += fmt.Sprintf("%s%d queued", gap, a.status.Queued)
	}
	bar := " " + a.theme.v + " "
	right += bar + a.now().Format("15:04")
	room := w - ansi.StringWidth(health) - ansi.StringWidth(right) - 2*ansi.StringWidth(bar)
	return spread(health+bar+a.pathText(room), bar+right, w)
}

// shortStatus is the status bar where there is no room for a path.
func (a *App) shortStatus(health string, w int) string {
	dot := " " + a.theme.dot + " "
	s := health
	if a.status.Lab {
		s += dot + a.theme.warn.Render("LAB")
	}
	var more []string
	if a.served && a.path.Open {
		more = append(more, "3 hops")
	}
	if n := a.status.Queued; n > 0 {
		more = append(more, fmt.Sprintf("%d queued", n))
	}
	full := s
	for _, m := range more {
		full += dot + m
	}
	if n := a.status.Queued; n > 0 && ansi.StringWidth(full) > w { // what waits goes first
		full = s + dot + more[len(more)-1]
	}
	help := a.keys.of("help") + " help"
	if ansi.StringWidth(full)+2+ansi.StringWidth(help) <= w {
		return spread(full, help, w)
	}
	return fit(full, w)
}

// pathText says the path as fully as the room allows and the person wants.
func (a *App) pathText(room int) string {
	p := a.path
	word := func(all ...string) string {
		for _, s := range all {
			if ansi.StringWidth(s) <= room {
				return s
			}
		}
		return ""
	}
	switch {
	case a.current == "":
		return ""
	case a.selected() != nil && a.selected().group != nil:
		return word("each member over circuits of their own", "a circuit for each", "own circuits")
	case a.selected() != nil && a.selected().isNotes():
		return word("notes never leave this disk", "on this disk")
	case !a.served || len(p.Relays) == 0:
		return word("no circuit has served this conversation yet", "no circuit yet")
	case !p.Open:
		return word("its circuit is closed; the next one is built when needed", "circuit closed")
	}
	names := make([]string, len(p.Relays))
	for i, r := range p.Relays {
		names[i] = sanitizeLine(r)
	}
	mailbox := sanitizeLine(p.Mailbox)
	hops := fmt.Sprintf("%d hops", len(names))
	rtt := ""
	if p.RTT > 0 {
		rtt = fmt.Sprintf(" %d ms", max(1, p.RTT.Milliseconds()))
	}
	if a.prefs.PathInBar == "count" {
		return word(hops+" and a mailbox"+rtt, hops+rtt, hops)
	}
	hop := " " + a.theme.hop + " "
	path := strings.Join(names, hop)
	return word(
		"you"+hop+path+hop+"mailbox "+mailbox+rtt,
		path+hop+"mailbox "+mailbox,
		path+hop+mailbox,
		strings.Join(names, a.theme.hop)+a.theme.hop+mailbox,
		hops,
	)
}
