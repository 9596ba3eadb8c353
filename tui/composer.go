package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
	"hearsay/chat/session"
)

// Composer limits: rows of text on screen, and bytes of one message.
const (
	composerRows = 6
	maxText      = session.MaxText
)

// composer is where people write: the text of the conversation on screen, what it
// replies to or edits, and the texts that are on their way to the disk.
type composer struct {
	text    textBuffer
	reply   string  // id of the message that is replied to; empty: none
	edit    string  // id of the message that is edited; empty: none
	about   string  // of that message, one line
	changes bool    // the edit is on its way to the disk
	stash   string  // the draft that stood here before an edit
	again   pending // the refused text that was brought back; zero: none
	out     map[string]*outgoing
	palette commandPalette
}

func newComposer() composer { return composer{out: map[string]*outgoing{}} }

// value is what stands in it.
func (c *composer) value() string { return c.text.value() }

// draft is what is to be kept of it: not the text of an edit, which is in the
// history already.
func (c *composer) draft() string {
	if c.edit != "" {
		return c.stash
	}
	return c.value()
}

// load replaces what stands in it by a draft. An edit that is left so can be had
// back by yank.
func (c *composer) load(draft string) {
	if c.edit != "" {
		c.text.cut = c.value()
	}
	c.clear()
	c.text.set(draft)
}

// clear empties it, and ends a reply or an edit.
func (c *composer) clear() {
	c.text.set("")
	c.reply, c.edit, c.about, c.stash = "", "", "", ""
	c.again, c.palette, c.changes = pending{}, commandPalette{}, false
}

// cancel clears it at the wish of the person, who can have the text back by yank.
func (c *composer) cancel() {
	if text := c.value(); text != "" {
		c.text.cut = text
	}
	c.clear()
}

// close is what esc does here: it closes the palette, or ends a reply or an edit.
func (c *composer) close() {
	switch {
	case c.paletteShown():
		c.palette = commandPalette{dismissed: true}
	case c.edit != "":
		c.load(c.stash)
	default:
		c.reply, c.about = "", ""
	}
}

// startReply makes what is written next a reply to a message.
func (a *App) startReply(m *chat.Message) {
	c := &a.composer
	if c.edit != "" {
		c.load(c.stash)
	}
	c.reply, c.about = m.ID, a.shortText(m)
}

// startEdit brings the text of an own message into the composer; what stood there
// comes back afterwards.
func (a *App) startEdit(m *chat.Message) {
	c := &a.composer
	stash := c.draft()
	c.load(asTyped(m.Text))
	c.edit, c.about, c.stash = m.ID, a.shortText(m), stash
}

// asTyped is how a text is typed: one that begins with a slash needs a second one.
func asTyped(text string) string {
	if strings.HasPrefix(text, "/") {
		return "/" + text
	}
	return text
}

// shortText says in one line which message is meant.
func (a *App) shortText(m *chat.Message) string {
	text := beginning(m.Text, shortWidth)
	if m.File != nil {
		text = "file " + chat.SanitizeFileName(m.File.Name)
	}
	return ansi.Truncate(text, shortWidth, a.theme.more)
}

// shortWidth bounds a text that stands for a message: it is laid out again and
// again, and a message may have 64 KiB.
const shortWidth = 200

// whyLocked says why nothing can be written to the conversation on screen; empty
// if it can.
func (a *App) whyLocked() string {
	e := a.selected()
	switch {
	case e == nil:
		return ""
	case e.group != nil && e.group.State == chat.GroupLeft:
		return "You left this group."
	case e.group != nil && e.group.State == chat.GroupRemoved:
		return "You were removed from this group."
	case e.contact == nil:
		return ""
	case e.contact.Problem != "":
		return "Nothing can be sent: " + sanitizeLine(e.contact.Problem) + "."
	case e.contact.State == chat.ContactChanged:
		return "The key of " + e.name + " changed: nothing is sent until you compare it. /verify"
	case e.contact.State == chat.ContactBlocked:
		return "You blocked " + e.name + ": nothing is sent. /block unblocks"
	}
	return ""
}

// key takes a key that is not bound elsewhere.
func (c *composer) key(a *App, k tea.KeyPressMsg) tea.Cmd {
	act := a.keys.find(modeComposer, k.String())
	if s := a.shown(); s != nil && s.selected != "" && act != "history" {
		if k.Text != "" { // half a word would be taken as keys of the message
			a.notice = "a message is selected; " + a.keys.of("close") + " goes back to writing"
		}
		return nil
	}
	switch act {
	case "send":
		return a.submit()
	case "complete":
		return a.complete()
	case "history":
		return a.openHistory()
	case "palette":
		c.palette.dismissed = c.palette.dismissed && !c.text.empty()
		return c.write(a, k.Text)
	case "cursor.up":
		if c.text.empty() {
			a.selectLast()
			return nil
		}
		c.layRows(a)
	case "cursor.down":
		c.layRows(a)
	case "newline", "yank":
		if a.whyLocked() != "" {
			return nil // it stands above the text
		}
	}
	if c.text.edit(act) {
		return a.suggest()
	}
	return c.write(a, k.Text)
}

// layRows lays the text out for the screen as it is: up and down go by rows.
func (c *composer) layRows(a *App) {
	w, _ := a.composerText(a.paneWidth())
	c.text.layout(w)
}

// write puts in what was typed, if anything may be written here: commands always.
func (c *composer) write(a *App, text string) tea.Cmd {
	if text == "" {
		return nil
	}
	if a.whyLocked() != "" && !strings.HasPrefix(c.value()+text, "/") {
		return nil // why stands above the text
	}
	c.text.insert(text)
	return a.suggest()
}

// selectLast selects the last message of the conversation that is in sight.
func (a *App) selectLast() {
	c := a.shown()
	if c == nil || len(c.messages) == 0 {
		return
	}
	owner := a.place(c).owner
	for i := len(owner) - 1; i >= 0; i-- {
		if owner[i] >= 0 {
			c.selected = c.messages[owner[i]].ID
			return
		}
	}
}

// composerText is the size of the text area in a pane of w cells on a screen of h
// rows.
func (a *App) composerText(w int) (width, rows int) {
	return max(2, w-4), min(composerRows, max(1, (a.height-6)/2))
}

// composerView lays out the composer for a pane of w cells: what is said above the
// text, the text, and the counter; and the cursor in it.
func (a *App) composerView(w int) (lines []string, x, y int) {
	c, t := &a.composer, &a.theme
	for _, l := range a.composerHead(w) {
		lines = append(lines, fit(" "+l, w))
	}
	tw, rows := a.composerText(w)
	text, x, y := c.text.view(tw, rows)
	y += len(lines)
	for i, l := range text {
		mark := " > "
		if i > 0 || c.text.top > 0 {
			mark = " | "
		}
		lines = append(lines, fit(mark+l, w))
	}
	if hint := a.selectHint(w - 2); hint != "" && c.text.empty() {
		lines[len(lines)-1] = fit(" "+t.dim.Render(hint), w)
	}
	if foot := a.composerFoot(w); foot != "" {
		lines = append(lines, t.dim.Render(spread("", foot+" ", w)))
	}
	return lines, x + 3, y
}

// composerHeight is how many rows composerView takes.
func (a *App) composerHeight(w int) int {
	tw, rows := a.composerText(w)
	n := min(rows, len(a.composer.text.layout(tw))) + len(a.composerHead(w))
	if a.hasFoot() {
		n++
	}
	return n
}

// composerHead is what stands above the text: why it is locked, what was not sent,
// and which message a reply or an edit is about.
func (a *App) composerHead(w int) []string {
	c, t := &a.composer, &a.theme
	var head []string
	if reason := a.whyLocked(); reason != "" {
		lines := wrap(t.changed+" "+reason, w-2)
		for _, l := range lines[:min(len(lines), 3)] {
			head = append(head, t.warn.Render(l))
		}
	}
	if n := a.heldBack(); n > 0 {
		head = append(head, t.warn.Render(fmt.Sprintf("! %d not sent: %s shows it", n, a.keys.of("history"))))
	}
	switch {
	case c.edit != "":
		head = append(head, t.accent.Render("edit: "+c.about))
	case c.reply != "":
		head = append(head, t.accent.Render("reply to: "+c.about))
	}
	if a.height < splitHeight && len(head) > 1 {
		head = head[:1] // the first one matters most
	}
	return head
}

// hasFoot tells whether the counter is shown: while something is written, where
// there is room.
func (a *App) hasFoot() bool {
	return a.height >= splitHeight && !a.composer.text.empty()
}

// composerFoot counts what is written and names the keys, as far as there is room.
func (a *App) composerFoot(w int) string {
	if !a.hasFoot() {
		return ""
	}
	c, dot := &a.composer, " "+a.theme.dot+" "
	text := c.value()
	if isCommand(text) {
		return a.keys.of("complete") + " complete" + dot + a.keys.of("send") + " run"
	}
	text = strings.TrimPrefix(text, "/")
	if over := len(text) - maxText; over > 0 {
		return fmt.Sprintf("too long by %d bytes: a message holds 64 KiB", over)
	}
	foot := countBlocks(blocks(text, c.reply != "", a.selected()))
	for _, more := range []string{a.keys.of("newline") + " newline", a.keys.of("send") + " send"} {
		if ansi.StringWidth(foot+dot+more) < w-1 {
			foot += dot + more
		}
	}
	return foot
}

func countBlocks(n int) string {
	if n == 1 {
		return "1 block"
	}
	return fmt.Sprintf("%d blocks", n)
}

// blocks is how many blocks a text takes, each as large as any other: to one
// person, so many go to every member of a group.
func blocks(text string, reply bool, e *entry) int {
	size := 1 + len(text)
	if reply {
		size += 16
	}
	if e != nil && e.settings.DisappearAfter > 0 {
		size += 4
	}
	if e != nil && e.group != nil {
		size += groupHeader
	}
	return max(1, (size+session.ContentSize-1)/session.ContentSize)
}

// groupHeader is what a text to a group carries besides, with one message known
// as the one before it: the group, its roster, and numbers.
const groupHeader = 16 + 4 + 16 + 8 + 1 + 16
