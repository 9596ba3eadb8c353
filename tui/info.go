package tui

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// toggleInfo shows or hides what is known of the conversation: in a column where
// there is room, else in the dialog of the conversation.
func (a *App) toggleInfo() tea.Cmd {
	if !a.layout().framed || a.width < wideWidth {
		if d, open := a.top().(*contactDialog); open {
			a.drop(d)
			return nil
		}
		return a.openContact(a.current)
	}
	a.info = !a.info
	a.forgetLayout()
	return nil
}

// drawInfo draws the information column in h lines of w cells.
func (a *App) drawInfo(w, h int) []string {
	var lines []string
	if e := a.selected(); e != nil {
		for _, l := range a.infoLines(e, w-2) {
			lines = append(lines, fit(" "+l, w))
		}
	} else {
		lines = append(lines, fit(" no contact yet", w))
	}
	for len(lines) < h {
		lines = append(lines, fit("", w))
	}
	return lines[:h]
}

// infoLines say what is known of a conversation, in lines of at most w cells.
func (a *App) infoLines(e *entry, w int) []string {
	w = max(w, 1)
	var lines []string
	add := func(s string) { lines = append(lines, wrap(s, w)...) }
	head := func(s string) {
		if len(lines) > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, a.theme.dim.Render(ansi.Truncate(s, w, a.theme.more)))
	}
	lines = append(lines, a.theme.strong.Render(ansi.Truncate(e.name, w, a.theme.more)))
	switch {
	case e.isNotes():
		add("Notes to yourself. They never leave this disk.")
	case e.group != nil:
		a.groupInfo(e.group, w, add, head, func(s string) { lines = append(lines, s) })
	case e.contact != nil:
		c := e.contact
		add(a.contactMark(*c) + " " + stateText(*c, e.name))
		if c.Introduced != "" {
			add("Introduced by " + plainName(c.Introduced) + " for a group.")
		}
		if comparableNumber(*c) != "" {
			head("safety number")
			lines = append(lines, numberRows(c.SafetyNumber, w)...)
			if !c.Verified {
				add("/verify compares it")
			}
		}
	}
	if !e.isNotes() {
		head("path")
		if e.group != nil {
			add("each member by circuits of their own")
		} else {
			add(a.pathWords())
		}
		if e.contact != nil {
			head("messages")
			add(disappearText(e.settings.DisappearAfter))
		}
	}
	head("on this computer")
	for _, s := range settingsText(e.settings, e.isNotes()) {
		add(s)
	}
	return lines
}

// groupInfo says who is in a group.
func (a *App) groupInfo(g *chat.Group, w int, add, head, line func(string)) {
	switch g.State {
	case chat.GroupLeft:
		add("You left this group.")
	case chat.GroupRemoved:
		add("You were removed from this group.")
	default:
		add(fmt.Sprintf("A group of %d, you included.", groupSize(g)))
		if g.Admin {
			add("You administer it.")
		} else if g.Administrator != "" {
			add(a.nameOf(g.Administrator) + " administers it.")
		}
	}
	if g.Warning != "" {
		add(a.theme.failed + " " + sanitizeLine(g.Warning))
	}
	head("members")
	for _, id := range g.Members {
		name, state := "somebody", ""
		if e := a.find(id); e != nil {
			mark, word := a.entryState(e)
			name, state = e.name, mark+" "+word
		}
		room := max(6, w-ansi.StringWidth(state)-1)
		line(strings.TrimSpace(ansi.Truncate(name, room, a.theme.more) + " " + state))
	}
	if g.Pending > 0 {
		add(fmt.Sprintf("%d not yet reachable from here", g.Pending))
	}
}

// stateText says in a sentence what a contact is.
func stateText(c chat.Contact, name string) string {
	switch {
	case c.Problem != "" && c.State == chat.ContactInvited:
		return sanitizeLine(c.Problem) + ". Ask for a new one."
	case c.Problem != "" && c.State != chat.ContactBlocked:
		return sanitizeLine(c.Problem) + ": what you write does not reach them any more. A new invite makes a new contact."
	case c.State == chat.ContactInvited && c.Asked != "":
		return "asked: " + sanitizeLine(c.Asked) + "."
	case c.State == chat.ContactInvited:
		return "invited: " + name + " has not answered yet."
	case c.State == chat.ContactChanged:
		return "key changed: nothing is sent until you have compared the safety number again."
	case c.State == chat.ContactBlocked:
		return "blocked: nothing is sent, and what comes is dropped."
	case c.Verified:
		return "verified: you compared keys with " + name + "."
	}
	return "unverified: you have not compared keys with " + name + "."
}

// numberRows lays out a safety number in rows of whole groups.
func numberRows(number string, w int) []string {
	groups := strings.Fields(sanitizeLine(number))
	per := 6
	for per > 1 && per*6-1 > w {
		per--
		for len(groups)%per != 0 {
			per--
		}
	}
	var rows []string
	for i := 0; i < len(groups); i += per {
		rows = append(rows, strings.Join(groups[i:min(i+per, len(groups))], " "))
	}
	return rows
}

// pathWords says by whom the conversation on screen was served.
func (a *App) pathWords() string {
	p := a.path
	switch e := a.selected(); {
	case e != nil && e.group != nil:
		return "each member is reached over circuits of their own; " + a.keys.of("network") + " shows all"
	case e != nil && e.isNotes():
		return "notes never leave this disk"
	case !a.served || len(p.Relays) == 0:
		return "no circuit has served this conversation yet"
	case !p.Open:
		return "the circuit that served it last is closed"
	}
	names := make([]string, 0, len(p.Relays))
	for _, n := range p.Relays {
		names = append(names, sanitizeLine(n))
	}
	s := "you " + a.theme.hop + " " + strings.Join(names, " "+a.theme.hop+" ") + ", then the mailbox relay " + sanitizeLine(p.Mailbox)
	if p.RTT > 0 {
		s += fmt.Sprintf(", %d ms", max(1, p.RTT.Milliseconds()))
	}
	return s
}

// disappearText says what becomes of messages.
func disappearText(after time.Duration) string {
	days := int(after / (24 * time.Hour))
	switch {
	case days <= 0:
		return "kept until somebody deletes them"
	case days == 1:
		return "disappear 1 day after delivery or first showing; both sides see this"
	}
	return fmt.Sprintf("disappear %d days after delivery or first showing; both sides see this", days)
}

// settingsText lists what was set for a conversation on this computer.
func settingsText(s chat.Conversation, notes bool) []string {
	var out []string
	if !notes {
		if s.Muted {
			out = append(out, "muted: no notifications")
		} else {
			out = append(out, "notifications as in the settings")
		}
	}
	if s.Pinned {
		out = append(out, "pinned on top")
	}
	if s.Archived {
		out = append(out, "archived")
	}
	if len(out) == 0 {
		out = append(out, "nothing special")
	}
	return out
}
