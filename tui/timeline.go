package tui

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// The timeline is a lazy list: it lays out the messages that fit the pane and no
// other, from a message that holds its row, or from the end. No height of the
// whole is ever known or needed.

// anchor is what holds the view of a conversation: a message and the row of its
// first line, which lies above the pane if the row is negative. While held is
// false, the end of the history holds it.
type anchor struct {
	held   bool
	id     string
	number uint64
	row    int
}

// placed is what a pane shows.
type placed struct {
	rows     []string
	owner    []int // place in the window of the message of each row; -1: of none
	from, to int   // places of the first and the last message that is visible; to < from: none is
	at       anchor
	atEnd    bool
}

// anchored returns the place of the message that holds the view, or of what is
// nearest to it if it is gone.
func (c *conversation) anchored() int {
	if i, ok := c.find(c.at.id); ok {
		return i
	}
	return min(max(0, c.after(c.at.number)-1), len(c.messages)-1)
}

// timelineSize is the size of the timeline: of the pane without the notice.
func (a *App) timelineSize() (w, h int) {
	w = a.paneWidth()
	rows := a.paneHeight()
	return w, max(1, rows-len(a.noticeLines(w, rows)))
}

// place lays out what the pane shows of a conversation.
func (a *App) place(c *conversation) placed {
	w, h := a.timelineSize()
	return a.lay(c, w, h)
}

// lay lays out h lines of w cells. It changes nothing but caches.
func (a *App) lay(c *conversation, w, h int) placed {
	at := c.at
	if at.held && len(c.messages) > 0 { // the pane may have become smaller, or the message shorter
		l := newLayouter(a, c, w)
		at.row = max(min(at.row, h-1), 1-len(l.body(c.anchored())))
	}
	return a.layAt(c, at, w, h)
}

// layAt is lay for a view that is held by at, however far that is.
func (a *App) layAt(c *conversation, at anchor, w, h int) placed {
	n := len(c.messages)
	if n == 0 || w < 1 || h < 1 {
		return placed{to: -1, atEnd: true}
	}
	if len(c.laid) > keepLaid {
		c.laid = nil
	}
	l := newLayouter(a, c, w)
	start, y, isHeld := 0, 0, false
	if at.held {
		start, y, isHeld = l.fromAnchor(at.row, h)
	}
	if !isHeld {
		start, y = l.fromEnd(h)
	}
	v := placed{rows: make([]string, h), owner: make([]int, h), from: start, to: start - 1}
	for i := range v.owner {
		v.owner[i] = -1
	}
	anchored := false
	for i := start; i < n && y < h; i++ {
		top, body := l.block(i)
		for _, line := range top {
			if y >= 0 && y < h {
				v.rows[y] = line
			}
			y++
		}
		switch here := (anchor{held: true, id: c.messages[i].ID, number: c.messages[i].Seq, row: y}); {
		case y >= h || y+len(body) <= 0: // not visible
		case c.messages[i].ID == c.selected, !anchored && y >= 0:
			anchored, v.at = true, here
		case !anchored:
			v.at = here // unless a message begins further below
		}
		for _, line := range body {
			if y >= 0 && y < h {
				v.rows[y], v.owner[y] = line, i
				v.to = i
			}
			y++
		}
		if v.to < i && i == v.from {
			v.from = i + 1
		}
	}
	v.atEnd = v.to == n-1 && y <= h
	return v
}

// layouter holds what does not change while one pane is laid out.
type layouter struct {
	a      *App
	c      *conversation
	w      int
	now    time.Time
	who    map[string]string // names by id
	unread int               // place of the message below the unread line; -1: there is none
}

func newLayouter(a *App, c *conversation, w int) layouter {
	l := layouter{a: a, c: c, w: w, now: a.now(), who: map[string]string{}, unread: -1}
	if c.unread.count > 0 {
		l.unread = c.firstUnread()
	}
	return l
}

// fromEnd returns the first message of a pane that shows the end, and the row on
// which its block begins. What is shorter than the pane stands at its top.
func (l *layouter) fromEnd(h int) (start, y int) {
	total := 0
	start = len(l.c.messages)
	for start > 0 && total < h {
		start--
		total += l.height(start)
	}
	return start, min(0, h-total)
}

// fromAnchor is fromEnd for a view that is held. ok is false if it would show
// something below the end.
func (l *layouter) fromAnchor(row, h int) (start, y int, ok bool) {
	at := l.c.anchored()
	top, _ := l.block(at)
	start, y = at, row-len(top)
	for y > 0 && start > 0 {
		start--
		y -= l.height(start)
	}
	y = min(y, 0)
	end := y
	for i := start; i < len(l.c.messages); i++ {
		if end += l.height(i); end >= h {
			return start, y, true
		}
	}
	return start, y, false
}

func (l *layouter) height(i int) int {
	top, body := l.block(i)
	return len(top) + len(body)
}

// block lays out a message with what stands above it: the line of its day, and
// the line above what is unread.
func (l *layouter) block(i int) (top, body []string) {
	m := &l.c.messages[i]
	local := m.Time.In(l.now.Location())
	if i == 0 || !sameDay(l.c.messages[i-1].Time.In(l.now.Location()), local) {
		layout := "Monday, 2 January"
		if local.Year() != l.now.Year() {
			layout += " 2006"
		}
		top = append(top, l.a.theme.dim.Render(l.a.theme.middleRule(local.Format(layout), l.w)))
	}
	if i == l.unread {
		words := fmt.Sprintf("%d unread", l.c.unread.count)
		if l.c.unread.count >= mostUnread {
			words = fmt.Sprintf("%d or more unread", mostUnread)
		}
		top = append(top, l.a.theme.accent.Render(l.a.theme.middleRule(words, l.w)))
	}
	return top, l.body(i)
}

// middleRule is a line with words in its middle. It begins at the left edge, where
// no text of a message can stand.
func (t *theme) middleRule(words string, w int) string {
	words = " " + words + " "
	left := max(2, (w-ansi.StringWidth(words))/2)
	right := max(0, w-left-ansi.StringWidth(words))
	return fit(strings.Repeat(t.h, left)+words+strings.Repeat(t.h, right), w)
}

func sameDay(a, b time.Time) bool {
	ay, am, ad := a.Date()
	by, bm, bd := b.Date()
	return ay == by && am == bm && ad == bd
}

// timeline draws the h lines of the pane.
func (a *App) timeline(c *conversation, w, h int) []string {
	v := a.lay(c, w, h)
	if c.selected != "" {
		for y, i := range v.owner {
			if i >= 0 && c.messages[i].ID == c.selected {
				v.rows[y] = a.markSelected(v.rows[y], w)
			}
		}
	}
	if label := a.belowLabel(c, v); label != "" {
		v.rows[h-1] = spread(strings.TrimRight(v.rows[h-1], " "), " "+a.theme.warn.Render(label), w)
	}
	return v.rows
}

// belowLabel says that there is more below, if one does not follow the end.
func (a *App) belowLabel(c *conversation, v placed) string {
	if v.atEnd && c.last {
		return ""
	}
	if e := a.find(c.id); e != nil && e.unread > 0 {
		return fmt.Sprintf("%s %d new", a.theme.glyphs.below, e.unread)
	}
	if a.paneWidth() < stackBelow {
		return a.theme.glyphs.below + " " + a.keys.of("scroll.last")
	}
	return a.theme.glyphs.below + " " + a.keys.of("scroll.last") + " newest"
}

// settle follows every message to the program: it keeps the selected message in
// sight, follows the end again once it is reached, reads on where the view comes
// near an end of the window, reads what is quoted, and tells what was shown.
func (a *App) settle() tea.Cmd {
	c, e := a.shown(), a.selected()
	if c == nil || e == nil || a.chat == nil || a.locked || !c.loaded || len(c.messages) == 0 || a.width < minWidth || a.height < minHeight {
		return nil
	}
	c.trim()
	w, h := a.timelineSize()
	if _, have := c.find(c.selected); c.selected != "" && !have {
		c.selected = ""
	}
	if i := c.anchored(); c.at.held && c.messages[i].ID != c.at.id { // it is gone
		c.at.id, c.at.number = c.messages[i].ID, c.messages[i].Seq
	}
	v := a.lay(c, w, h)
	if c.selected != c.placed {
		if c.placed = c.selected; c.selected == "" {
			c.followEnd(v)
		} else {
			c.bringInSight(a, v, w, h)
		}
		v = a.lay(c, w, h)
	}
	cmds := []tea.Cmd{c.extend(a, v)}
	if len(a.dialogs) == 0 {
		cmds = append(cmds, c.readAsides(a, v))
	}
	if a.looking() {
		cmds = append(cmds, c.markShown(a, e, v))
	}
	return tea.Batch(cmds...)
}

// bringInSight moves the view just so far that the selected message is in it.
func (c *conversation) bringInSight(a *App, v placed, w, h int) {
	i, ok := c.find(c.selected)
	if !ok {
		return
	}
	l := newLayouter(a, c, w)
	top, body := l.block(i)
	first, n := -1, 0
	for y, owner := range v.owner {
		if owner == i {
			if n == 0 {
				first = y
			}
			n++
		}
	}
	row := first
	switch {
	case n > 0 && (n == len(body) || n == h):
	case i < v.from || n > 0 && first == 0:
		row = min(len(top), h-1)
	default:
		row = max(h-len(body), min(len(top), h-1))
	}
	c.hold(i, row)
}

// followEnd lets the end hold the view again, if it is in sight.
func (c *conversation) followEnd(v placed) {
	if v.atEnd && c.last && c.selected == "" {
		c.at = anchor{}
	}
}

// firstUnread returns the place of the first message below the unread line, or -1
// if it is not known to lie in the window.
func (c *conversation) firstUnread() int {
	i := c.after(c.unread.after)
	if i == 0 && !c.first {
		return -1
	}
	for ; i < len(c.messages); i++ {
		if isUnread(&c.messages[i]) {
			return i
		}
	}
	return -1
}
