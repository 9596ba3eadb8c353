package tui

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// Implementation constants of the texts of the plain mode.
const (
	plainMargin = "      " // before every line that goes on with the one above
	plainNarrow = 24       // cells: below it lines are not broken
	plainFold   = 40       // lines of a message; more are written on demand
	plainBytes  = 8 << 10  // and bytes
	plainQuote  = 40       // cells of a text that names a message
)

// say writes one line of the program's own words.
func (p *plain) say(text string) { p.write(sanitizeLine(text)) }

// sayf is say with a format.
func (p *plain) sayf(format string, args ...any) { p.say(fmt.Sprintf(format, args...)) }

// note is say for what a transcript of texts and states leaves out.
func (p *plain) note(text string) {
	if !p.cfg.Quotes {
		p.say(text)
	}
}

// fail says what went wrong and counts it, for who does not see it.
func (p *plain) fail(text string) {
	p.failed++
	p.say(text)
}

// at writes a text with the time, whose it is, and what else is known of it. A
// newline of the text cannot begin a line: each further one is set in and says again
// whose it is.
func (p *plain) at(t time.Time, whose, more, text string) {
	p.newDay(t)
	p.write(p.texts(p.clock(t)+" "+whose+more, whose, text, true)...)
}

// texts lays a text out behind head; whole is false if much of it may be left out.
func (p *plain) texts(head, whose, text string, whole bool) []string {
	text = chat.Sanitize(text)
	shown := text
	if !whole {
		shown = folded(text)
	}
	lines := strings.Split(shown, "\n")
	out := []string{head + ": " + lines[0]}
	for _, l := range lines[1:] {
		out = append(out, plainMargin+whose+" continues: "+l)
	}
	if len(shown) < len(text) {
		out = append(out, fmt.Sprintf("%sOf this message %s of %s are shown; /show writes all.", plainMargin, sizeText(int64(len(shown))), sizeText(int64(len(text)))))
	}
	return out
}

// folded is as much of a text as is written unasked.
func folded(text string) string {
	lines := strings.SplitN(text, "\n", plainFold+1)
	if len(lines) > plainFold {
		text = strings.Join(lines[:plainFold], "\n")
	}
	return strings.ToValidUTF8(text[:min(len(text), plainBytes)], "")
}

// newDay writes the day when the next line is of another one than the last.
func (p *plain) newDay(t time.Time) {
	if day := p.dayOf(t); day != p.day {
		p.day = day
		p.write(day)
	}
}

func (p *plain) dayOf(t time.Time) string {
	return t.In(p.now().Location()).Format("Monday, 2 January 2006")
}

func (p *plain) clock(t time.Time) string {
	layout := "15:04"
	if p.cfg.Quotes {
		layout = "15:04:05"
	}
	return t.In(p.now().Location()).Format(layout)
}

// write writes lines at once, each broken to the width of the terminal and free of
// controls, whatever it was made of.
func (p *plain) write(lines ...string) {
	width := 0
	if p.cfg.Width != nil {
		width = p.cfg.Width()
	}
	var b strings.Builder
	for _, l := range lines {
		l = strings.TrimRight(sanitizeLine(l), " ")
		if width >= plainNarrow && ansi.StringWidth(l) > width {
			text, set := strings.CutPrefix(l, plainMargin)
			l = strings.ReplaceAll(ansi.Wrap(text, width-len(plainMargin), " "), "\n", "\n"+plainMargin)
			if set {
				l = plainMargin + l
			}
		}
		b.WriteString(l + "\n")
	}
	p.put(b.String())
}

// link writes a link on a line of its own, which is never broken, to be copied.
func (p *plain) link(link string) { p.put(sanitizeLine(link) + "\n") }

func (p *plain) put(s string) {
	if p.broken != nil {
		return
	}
	_, p.broken = io.WriteString(p.cfg.Out, s)
}

// plainWords begin lines of this program, or stand where the name of an author does.
var plainWords = []string{
	"another", "circuits", "connection", "conversations", "earlier", "error", "events", "hearsay", "message", "messages",
	"network", "new", "notice", "nothing", "somebody", "start", "unread", "warning", "words", "you", "your",
}

// called returns the name of an entry as lines begin with it: one that could be
// taken for the person's own, for words of this program, for a member of a group, or
// for a time, stands in quotes.
func (e *entry) called() string { return spokenName(e.name) }

func spokenName(name string) string {
	if name == "" {
		return "somebody"
	}
	lower := strings.ToLower(name)
	first, _, _ := strings.Cut(lower, " ")
	if slices.Contains(plainWords, first) || strings.Contains(lower, " in ") || strings.ContainsAny(name, `:,"`) || name[0] >= '0' && name[0] <= '9' {
		return `"` + strings.ReplaceAll(name, `"`, "'") + `"`
	}
	return name
}

// message writes one message; number writes its number before it, by which commands
// name it.
func (p *plain) message(m chat.Message, number, whole bool) {
	p.remember(m)
	p.newDay(m.Time)
	head := p.clock(m.Time) + " "
	if number {
		head = fmt.Sprintf("#%d %s", m.Seq, head)
	}
	whose, text := p.whose(m), chat.Sanitize(p.body(m))
	p.write(p.texts(head+whose+p.about(m), whose, text, whole)...)
	if !whole && len(folded(text)) < len(text) {
		p.folded = &m
	}
}

// whose says who wrote a message.
func (p *plain) whose(m chat.Message) string {
	name, group := "somebody", false
	if e := p.find(m.Contact); e != nil {
		name, group = e.called(), e.group != nil
	}
	switch {
	case m.Kind == chat.KindMessageNotice:
		return "notice about " + name
	case m.Contact == chat.NotesID:
		return "you, in notes"
	case m.Direction == chat.Out:
		return "you to " + name
	case group:
		return p.nameOf(m.Author) + " in " + name
	}
	return name
}

// about says what else is known of a message. It stands before the text: behind it
// the text could say the same.
func (p *plain) about(m chat.Message) string {
	var b strings.Builder
	if m.Direction == chat.Out && m.Kind != chat.KindMessageNotice && m.Contact != chat.NotesID {
		b.WriteString(", " + plainState(m))
	}
	if m.Late {
		b.WriteString(", arrived late")
	}
	if m.Edited {
		b.WriteString(", edited")
	}
	if m.Reply != "" {
		if text, ok := p.recent[m.Reply]; ok {
			b.WriteString(", answering " + plainQuoted(text))
		} else {
			b.WriteString(", answering an earlier message")
		}
	}
	if m.Expires != nil {
		b.WriteString(", disappears in " + untilText(m.Expires.Sub(p.now())))
	}
	for _, r := range m.Reactions {
		from := "you"
		if r.From != "me" {
			from = p.nameOf(r.From)
		}
		b.WriteString(", " + from + " put " + sanitizeLine(r.Emoji))
	}
	return b.String()
}

// body is the text of a message, or what there is in its place.
func (p *plain) body(m chat.Message) string {
	switch {
	case m.Deleted == chat.DeletedAsked:
		return "(deleted here; the other copy was asked to be deleted)"
	case m.Deleted == chat.DeletedPeer:
		return "(deleted by its author)"
	case m.Deleted != "":
		return "(deleted here)"
	case m.Kind == chat.KindMessageUnsupported:
		return "(a later version of hearsay is needed to read this)"
	case m.File != nil:
		return "file " + p.fileText(*m.File)
	}
	return m.Text
}

// plainState says in words what is proven of a message.
func plainState(m chat.Message) string {
	switch {
	case m.Contact == chat.NotesID:
		return "kept on this disk"
	case m.State == chat.Stored && m.Copies != nil:
		return fmt.Sprintf("stored, %d of %d", m.Copies.Have, m.Copies.Want)
	case m.Delivered != nil && m.Delivered.Have > 0:
		return fmt.Sprintf("delivered to %d of %d", m.Delivered.Have, m.Delivered.Want)
	}
	return string(m.State)
}

// plainQuoted names a message by the beginning of its text.
func plainQuoted(text string) string {
	return `"` + ansi.Truncate(strings.ReplaceAll(sanitizeLine(text), `"`, "'"), plainQuote, "...") + `"`
}

// state tells the state of a message that was sent, if it is another one than was
// told last. A message that is not the last one is named by its text.
func (p *plain) state(m chat.Message) {
	e := p.find(m.Contact)
	words := plainState(m)
	if e == nil || p.told[m.ID] == words {
		return
	}
	text := m.Text
	if s := p.waiting[m.ID]; s != nil {
		text = s.text
	}
	if have, ok := p.recent[m.ID]; ok && text == "" {
		text = have
	} else if !ok && text != "" {
		m.Text = text
		p.remember(m)
	}
	p.told[m.ID] = words
	at := p.now()
	if m.State == chat.Queued {
		at = m.Time
	}
	line := p.clock(at) + " you to " + e.called() + ": "
	if e.isNotes() {
		line = p.clock(at) + " you, in notes: "
	}
	p.newDay(at)
	switch {
	case p.cfg.Quotes:
		p.write(line + sanitizeLine(text) + ": " + words)
	case p.last[m.Contact] == m.ID:
		p.write(line + words)
	case text == "": // the event of a state brings no text
		p.write(line + words + ", a message that was not written here")
	default:
		p.write(line + words + ": " + plainQuoted(text))
	}
}

// remind forgets the oldest texts and states beyond plainRecent.
func (p *plain) remind(id string) {
	p.recentID = append(p.recentID, id)
	if len(p.recentID) > plainRecent {
		delete(p.recent, p.recentID[0])
		delete(p.told, p.recentID[0])
		p.recentID = p.recentID[1:]
	}
}

// remember keeps the text of a message for replies to it.
func (p *plain) remember(m chat.Message) {
	if _, ok := p.recent[m.ID]; !ok {
		p.remind(m.ID)
	}
	p.recent[m.ID] = ansi.Truncate(sanitizeLine(p.body(m)), plainQuote, "...")
}
