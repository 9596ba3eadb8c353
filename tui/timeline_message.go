package tui

import (
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// groupGap is the pause after which the author is named again.
const groupGap = 5 * time.Minute

// Columns of a message: the time, the author, two cells in which only this program
// writes, and the text. A text cannot leave its column, so that nothing in it
// passes for another author, a quote, a reaction or a line of a day.
const (
	timeWidth   = 6
	gutterWidth = 2
	stackBelow  = 54 // width below which the text stands under its head
	roomyFrom   = 72 // width from which the author has more than shortName cells
	shortName   = 6
	longestName = 14
	stackIndent = 3
)

// A long message is folded behind its first foldLines lines, until it is opened.
const foldLines = 14

// laid is a message as it was laid out, and what from.
type laid struct {
	from  laidFrom
	lines []string
}

// laidFrom is what the lines of a message depend on, beside the message itself,
// whose changes drop them.
type laidFrom struct {
	w            int
	name         string // of the theme
	ascii, plain bool
	dark         bool
	head, clock  bool   // the author, the time are named
	who, peer    string // the author; what the other side is called
	quote, cause string
	opened       bool
	zone         *time.Location
}

// part is one line of a message, right of its head.
type part struct {
	sign string // in the gutter
	text string // styled
}

// frame tells how wide the columns are: the author's, and all left of the text.
func frame(w int) (name, indent int, stacked bool) {
	switch {
	case w < stackBelow:
		return 0, stackIndent, true
	case w < roomyFrom:
		name = shortName
	default:
		name = min(w/9, longestName)
	}
	return name, timeWidth + name + gutterWidth, false
}

// textRoom is how wide a text is in a pane of w cells, with what stands right of its
// first line.
func textRoom(w int, slot string) int {
	_, indent, stacked := frame(w)
	if stacked || slot == "" {
		return max(1, w-indent)
	}
	return max(1, w-indent-ansi.StringWidth(slot)-1)
}

// body returns the lines of a message, from the cache if nothing changed.
func (l *layouter) body(i int) []string {
	m := &l.c.messages[i]
	from := laidFrom{
		w: l.w, name: l.a.theme.name, ascii: l.a.prefs.ASCII, plain: l.a.prefs.NoColor, dark: l.a.dark,
		head: true, clock: true, who: l.author(m), peer: l.name(m), opened: l.c.opened[m.ID], zone: l.now.Location(),
	}
	if i > 0 && i != l.unread {
		prev := &l.c.messages[i-1]
		gap := m.Time.Sub(prev.Time)
		same := prev.Direction == m.Direction && prev.Author == m.Author && prev.Kind != chat.KindMessageNotice && m.Kind != chat.KindMessageNotice
		if same && gap >= 0 && gap < groupGap && sameDay(prev.Time.In(from.zone), m.Time.In(from.zone)) {
			from.head = false
			from.clock = m.Time.Truncate(time.Minute) != prev.Time.Truncate(time.Minute)
		}
	}
	if m.Reply != "" {
		from.quote = l.quote(m.Reply)
	}
	if m.State == chat.Failed {
		from.cause = l.c.side[causeOf(m.ID)]
	}
	if have, ok := l.c.laid[m.ID]; ok && have.from == from && m.File == nil {
		return have.lines
	}
	if l.c.laid == nil {
		l.c.laid = map[string]laid{}
	}
	lines := l.a.messageLines(m, from)
	l.c.laid[m.ID] = laid{from, lines}
	return lines
}

// author names who wrote a message, as the head shows it.
func (l *layouter) author(m *chat.Message) string {
	switch {
	case m.Kind == chat.KindMessageNotice:
		return "note" // said by this program, not by the contact
	case m.Direction == chat.Out:
		return "you"
	}
	return l.name(m)
}

// name is what the other side is called. Names that this program uses itself stand
// in quotes: a stranger may ask to be called "you".
func (l *layouter) name(m *chat.Message) string {
	id := m.Author
	if id == "" {
		id = m.Contact
	}
	if name, ok := l.who[id]; ok {
		return name
	}
	name := l.a.nameOf(id)
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "you", "note", "":
		name = `"` + name + `"`
	}
	l.who[id] = name
	return name
}

// messageLines lays a message out in lines of exactly from.w cells.
func (a *App) messageLines(m *chat.Message, from laidFrom) []string {
	t := &a.theme
	name, indent, stacked := frame(from.w)
	slot := a.slot(m)
	parts := a.messageParts(m, from, textRoom(from.w, slot))
	clock, who := "", ""
	if from.clock {
		clock = m.Time.In(from.zone).Format("15:04")
	}
	if from.head {
		who = from.who
	}
	lines := make([]string, 0, len(parts)+1)
	if stacked {
		if from.head || from.clock || slot != "" {
			lines = append(lines, spread(" "+fit(styled(t.dim, clock), timeWidth-1)+" "+styled(t.strong, t.cut(who, max(1, from.w-timeWidth-2-ansi.StringWidth(slot)))), slot, from.w))
		}
	} else if len(parts) == 0 {
		parts = []part{{}}
	}
	for i, p := range parts {
		lead := strings.Repeat(" ", indent-gutterWidth)
		right := ""
		if i == 0 && !stacked {
			lead = fit(styled(t.dim, clock), timeWidth) + fit(styled(t.strong, t.cut(who, name)), name)
			right = slot
		}
		lines = append(lines, spread(lead+fit(p.sign, gutterWidth)+p.text, right, from.w))
	}
	return lines
}

// styled renders a text, and nothing for nothing.
func styled(s lipgloss.Style, text string) string {
	if text == "" {
		return ""
	}
	return s.Render(text)
}

// messageParts are the lines of a message right of its head: what it replies to,
// what it says, and what became of it.
func (a *App) messageParts(m *chat.Message, from laidFrom, room int) []part {
	t := &a.theme
	var parts []part
	if from.quote != "" && m.Deleted == "" {
		parts = append(parts, part{t.v, t.dim.Render(t.cut(from.quote, room))})
	}
	say := func(sign, words string, style func(...string) string) {
		for _, line := range wrap(words, room) {
			parts = append(parts, part{sign, style(line)})
			sign = ""
		}
	}
	switch {
	case m.Deleted != "":
		say(t.dot, deletedText(m, from.peer), t.dim.Render)
	case m.Kind == chat.KindMessageUnsupported:
		say(t.dot, "a message that this version cannot show", t.dim.Render)
	case m.Kind == chat.KindMessageNotice:
		say(t.dot, chat.Sanitize(m.Text), t.dim.Render)
	default:
		lines := []string(nil)
		if m.File != nil {
			lines = a.fileLines(m, room)
		}
		if lines != nil {
			for _, line := range lines {
				parts = append(parts, part{"", fit(line, room)})
			}
			break
		}
		text := chat.Sanitize(m.Text)
		lines, rest := t.textLines(text, room, from.opened)
		for _, line := range lines {
			parts = append(parts, part{"", line})
		}
		if rest > 0 {
			say(t.dot, fmt.Sprintf("%s %s more: select it, %s shows all", t.more, byteCount(rest), a.keys.of("message.open")), t.dim.Render)
		}
	}
	if m.Deleted == "" {
		if became := becameText(m, from.zone); became != "" {
			say(t.dot, became, t.dim.Render)
		}
		if len(m.Reactions) > 0 {
			say("+", reactionText(m, from.peer), t.dim.Render)
		}
	}
	if from.cause != "" && m.File == nil {
		say(t.failed, from.cause, t.bad.Render)
	}
	return parts
}

// deletedText says honestly what is known of a deletion.
func deletedText(m *chat.Message, peer string) string {
	switch m.Deleted {
	case chat.DeletedHere:
		return "deleted on this computer alone"
	case chat.DeletedAsked:
		return "deleted here; asked " + peer + "'s copy to delete it"
	case chat.DeletedPeer:
		return "deleted by " + peer
	}
	return "deleted"
}

// becameText says that a message was edited, and when it disappears.
func becameText(m *chat.Message, zone *time.Location) string {
	var words []string
	if m.Edited {
		words = append(words, "edited")
	}
	if m.Expires != nil {
		words = append(words, "disappears "+m.Expires.In(zone).Format("2 Jan 15:04"))
	}
	return strings.Join(words, ", ")
}

// reactionText says who put what under a message.
func reactionText(m *chat.Message, peer string) string {
	var words []string
	for _, r := range m.Reactions {
		from := peer
		if r.From == "me" {
			from = "you"
		}
		words = append(words, sanitizeLine(r.Emoji)+" "+from)
	}
	return strings.Join(words, ", ")
}

// slot is what stands right of the first line: the state of a message of ours, in a
// sign and a word, or that one of the other side came late.
func (a *App) slot(m *chat.Message) string {
	t := &a.theme
	switch {
	case m.Kind == chat.KindMessageNotice, m.Deleted != "":
		return ""
	case m.Direction == chat.In && m.Late:
		return t.warn.Render("arrived late")
	case m.Direction == chat.In, m.Contact == chat.NotesID, m.File != nil: // a file says its own
		return ""
	}
	group := ""
	if m.Delivered != nil && m.Delivered.Want > 0 {
		group = fmt.Sprintf(" %s %d/%d", t.delivered, m.Delivered.Have, m.Delivered.Want)
	}
	switch m.State {
	case chat.Queued:
		return t.dim.Render(t.queued + " queued" + group)
	case chat.Stored:
		glyph, copies := t.some, ""
		if c := m.Copies; c != nil {
			if c.Have >= c.Want {
				glyph = t.all
			}
			if group == "" {
				copies = fmt.Sprintf(" %d/%d", c.Have, c.Want)
			}
		}
		return t.accent.Render(glyph + " stored" + copies + group)
	case chat.Delivered:
		if group != "" {
			return t.good.Render(strings.TrimSpace(group) + " delivered")
		}
		return t.good.Render(t.delivered + " delivered")
	case chat.Failed:
		return t.bad.Render(t.failed + " failed" + group)
	}
	return ""
}

// textLines wraps a text and styles what is marked in it. Of a text that is not
// opened it returns the beginning, and how many bytes are left.
func (t *theme) textLines(text string, room int, opened bool) (lines []string, rest int) {
	shown := text
	if limit := 4 * foldLines * max(room, 8); !opened && len(shown) > limit { // do not wrap what is not shown
		for limit > 0 && shown[limit]&0xc0 == 0x80 {
			limit--
		}
		shown = shown[:limit]
	}
	lines = wrap(shown, room)
	if !opened && (len(lines) > foldLines || len(shown) < len(text)) {
		lines = lines[:min(len(lines), foldLines)]
		taken := 0
		for _, line := range lines {
			taken += len(line) + 1
		}
		rest = max(1, len(text)-taken)
	}
	return t.markUp(shown, lines), rest
}

// cut shortens a text to w cells, with the theme's sign for what is cut.
func (t *theme) cut(s string, w int) string { return ansi.Truncate(s, max(w, 0), t.more) }

// byteCount says a size in words.
func byteCount(n int) string {
	switch {
	case n < 2000:
		return fmt.Sprintf("%d bytes", n)
	default:
		return fmt.Sprintf("%d KiB", (n+512)/1024)
	}
}
