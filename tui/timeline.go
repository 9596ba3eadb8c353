package tui

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// groupGap is the pause after which the author is named again.
const groupGap = 5 * time.Minute

// stateText says a delivery state in a glyph and, where there is room, a word.
func (t theme) stateText(m chat.Message, wide bool) string {
	if m.Direction == chat.In || m.Kind == chat.KindMessageNotice || m.Deleted != "" {
		return ""
	}
	copies := ""
	if m.Copies != nil {
		copies = fmt.Sprintf("%d/%d", m.Copies.Have, m.Copies.Want)
	}
	switch m.State {
	case chat.Queued:
		return t.dim.Render("· queued")
	case chat.Stored:
		glyph := "›"
		if m.Copies != nil && m.Copies.Have >= m.Copies.Want {
			glyph = "»"
		}
		if wide {
			return t.accent.Render(strings.TrimSpace(glyph + " stored " + copies))
		}
		return t.accent.Render(glyph + " " + copies)
	case chat.Delivered:
		if wide {
			return t.good.Render("✓ delivered")
		}
		return t.good.Render("✓")
	case chat.Failed:
		return t.bad.Render("! failed")
	}
	return ""
}

// nameWidth is the column of the author.
const nameWidth = 8

// wideStates is the width from which states are written as words.
const wideStates = 50

// messageLines lays one message out. prev is the message above, or nil.
func (t theme) messageLines(m chat.Message, prev *chat.Message, author string, w int, now time.Time) []string {
	var lines []string
	local := m.Time.In(now.Location())
	if prev == nil || !sameDay(prev.Time.In(now.Location()), local) {
		layout := "Monday, 2 January"
		if local.Year() != now.Year() {
			layout += " 2006"
		}
		label := "── " + local.Format(layout) + " ──"
		lines = append(lines, t.dim.Render(fit(strings.Repeat(" ", max(0, (w-ansi.StringWidth(label))/2))+label, w)))
	}
	who := author
	switch {
	case m.Kind == chat.KindMessageNotice:
		who = "note" // said by this program, not by the contact
	case m.Direction == chat.Out:
		who = "you"
	}
	if len(lines) == 0 && prev != nil && prev.Direction == m.Direction && prev.Kind != chat.KindMessageNotice && m.Kind != chat.KindMessageNotice && m.Time.Sub(prev.Time) < groupGap {
		who = ""
	}
	state := t.stateText(m, w >= wideStates)
	stateWidth := ansi.StringWidth(state)
	head := local.Format("15:04") + " " + fit(who, nameWidth) + " "
	indent := ansi.StringWidth(head)
	if w < 40 { // narrow: text below the head
		lines = append(lines, spread(head, state, w))
		head, indent, state, stateWidth = "  ", 2, "", 0
	}
	room := max(1, w-indent-1-stateWidth)
	if m.Late {
		lines = append(lines, t.dim.Render(fit(strings.Repeat(" ", indent)+"arrived late", w)))
	}
	for i, l := range wrap(shownText(m, author), room) {
		if i == 0 {
			lines = append(lines, spread(head+l, state, w))
		} else {
			lines = append(lines, fit(strings.Repeat(" ", indent)+l, w))
		}
	}
	return lines
}

// shownText is what a message says, with what became of it.
func shownText(m chat.Message, author string) string {
	switch m.Deleted {
	case chat.DeletedHere:
		return "(deleted on this computer)"
	case chat.DeletedAsked:
		return "(deleted here; the copy of " + author + " was asked to delete it)"
	case chat.DeletedPeer:
		return "(" + author + " deleted this)"
	}
	text := chat.Sanitize(m.Text)
	if m.Reply != "" {
		text = "(reply) " + text
	}
	if m.Edited {
		text += " (edited)"
	}
	for _, r := range m.Reactions {
		who := author
		if r.From == "me" {
			who = "you"
		}
		text += "\n" + who + ": " + chat.Sanitize(r.Emoji)
	}
	return text
}

func sameDay(a, b time.Time) bool {
	ay, am, ad := a.Date()
	by, bm, bd := b.Date()
	return ay == by && am == bm && ad == bd
}

// authorOf names who wrote a message of the other side.
func (a *App) authorOf(m *chat.Message) string {
	if m.Author != "" {
		return a.nameOf(m.Author)
	}
	return a.nameOf(m.Contact)
}

// timeline renders the h lines that are visible. It lays out messages from the
// end only as far up as the pane and the scroll reach.
func (a *App) timeline(c *conversation, w, h int) []string {
	need := h + c.scroll
	var parts [][]string
	total := 0
	for i := len(c.messages) - 1; i >= 0 && total < need; i-- {
		var prev *chat.Message
		if i > 0 {
			prev = &c.messages[i-1]
		}
		ls := a.theme.messageLines(c.messages[i], prev, a.authorOf(&c.messages[i]), w, a.now())
		parts = append(parts, ls)
		total += len(ls)
	}
	if total < need { // the top is reached: no further than that
		c.scroll = max(0, total-h)
	}
	var lines []string
	for i := len(parts) - 1; i >= 0; i-- {
		lines = append(lines, parts[i]...)
	}
	end := len(lines) - c.scroll
	lines = lines[max(0, end-h):max(0, end)]
	for len(lines) < h {
		lines = append([]string{""}, lines...)
	}
	if c.scroll > 0 {
		note := "scrolled back · alt+end"
		if c.below > 0 {
			note = fmt.Sprintf("↓ %d new", c.below)
		}
		lines[h-1] = spread("", a.theme.warn.Render(note), w)
	}
	return lines
}

// heightOf returns the lines that the last message takes, by which a scrolled
// pane moves so that what is read stays in place.
func (a *App) heightOf(c *conversation, w int) int {
	n := len(c.messages)
	if n == 0 {
		return 0
	}
	var prev *chat.Message
	if n > 1 {
		prev = &c.messages[n-2]
	}
	return len(a.theme.messageLines(c.messages[n-1], prev, a.authorOf(&c.messages[n-1]), w, a.now()))
}
