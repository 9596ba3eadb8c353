package tui

import (
	"strings"
	"unicode"

	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// textBuffer is a text that is being written, with a cursor: lines that people end
// themselves, and rows into which they are broken for the screen. It holds what
// other screens would show of the text: control and format characters never get
// in. The zero value is an empty text.
type textBuffer struct {
	cells   []textCell // characters as people see them, "\n" among them
	at      int        // the cursor stands before this one
	cut     string     // what was cut last, for yank
	cutting bool       // the last key cut too: the pieces join
	goal    int        // column that up and down keep to
	upDown  bool       // the last key went up or down

	rows    []textRow // laid out for width, nil: not yet
	width   int
	top     int // first row on the screen
	joined  string
	isFresh bool // joined is the text
}

// textCell is one character: a grapheme cluster and its cells on the screen.
type textCell struct {
	s string
	w int
}

// textRow is a row on the screen: cells from to to, a newline at its end left out.
type textRow struct{ from, to int }

// value returns the text.
func (b *textBuffer) value() string {
	if !b.isFresh {
		var s strings.Builder
		for _, c := range b.cells {
			s.WriteString(c.s)
		}
		b.joined, b.isFresh = s.String(), true
	}
	return b.joined
}

// empty tells whether nothing stands in it.
func (b *textBuffer) empty() bool { return len(b.cells) == 0 }

// set replaces the text and puts the cursor at its end.
func (b *textBuffer) set(text string) {
	b.cells, b.at, b.top = nil, 0, 0
	b.insert(text)
}

// insert puts a text before the cursor.
func (b *textBuffer) insert(text string) {
	b.touched()
	// A combining mark joins the character before it, so that one is split anew.
	from := b.at
	if from > 0 && b.cells[from-1].s != "\n" {
		from--
		text = b.cells[from].s + text
	}
	put := split(typed(text))
	b.cells = append(b.cells[:from:from], append(put, b.cells[b.at:]...)...)
	b.at = from + len(put)
}

// typed makes a text harmless: one kind of line end, and nothing that a screen
// would not show.
func typed(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	text = strings.ReplaceAll(text, "\t", "    ")
	return chat.Sanitize(text)
}

// split breaks a text into characters.
func split(text string) []textCell {
	var cells []textCell
	for text != "" {
		if c := text[0]; c >= ' ' && c < 0x7f && (len(text) == 1 || text[1] < 0x80) {
			cells = append(cells, textCell{text[:1], 1})
			text = text[1:]
			continue
		}
		s, w := ansi.FirstGraphemeCluster(text, ansi.GraphemeWidth)
		if s == "" {
			break
		}
		if s == "\n" {
			w = 0
		}
		cells = append(cells, textCell{s, w})
		text = text[len(s):]
	}
	return cells
}

// touched forgets what is known of the text as it was, and of the last key.
func (b *textBuffer) touched() {
	b.rows, b.isFresh = nil, false
	b.cutting, b.upDown = false, false
}

// moved ends a row of cuts and of steps up or down.
func (b *textBuffer) moved() { b.cutting, b.upDown = false, false }

// remove takes cells away and leaves the cursor where they were.
func (b *textBuffer) remove(from, to int) {
	b.touched()
	b.cells = append(b.cells[:from:from], b.cells[to:]...)
	b.at = from
}

// take removes cells and keeps them for yank, together with what was cut by the
// key before.
func (b *textBuffer) take(from, to int, before bool) {
	if from >= to {
		return
	}
	var s strings.Builder
	for _, c := range b.cells[from:to] {
		s.WriteString(c.s)
	}
	joins := b.cutting
	b.remove(from, to)
	switch {
	case !joins:
		b.cut = s.String()
	case before:
		b.cut = s.String() + b.cut
	default:
		b.cut += s.String()
	}
	b.cutting = true
}

// lineStart returns where the line of the cursor begins, lineEnd where it ends.
func (b *textBuffer) lineStart() int {
	i := b.at
	for i > 0 && b.cells[i-1].s != "\n" {
		i--
	}
	return i
}

func (b *textBuffer) lineEnd() int {
	i := b.at
	for i < len(b.cells) && b.cells[i].s != "\n" {
		i++
	}
	return i
}

func (c textCell) isBlank() bool { return c.s == " " || c.s == "\n" }

func (c textCell) isWord() bool {
	for _, r := range c.s {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_'
	}
	return false
}

// wordBefore and wordAfter return the ends of the words beside the cursor.
func (b *textBuffer) wordBefore(in func(textCell) bool) int {
	i := b.at
	for i > 0 && !in(b.cells[i-1]) {
		i--
	}
	for i > 0 && in(b.cells[i-1]) {
		i--
	}
	return i
}

func (b *textBuffer) wordAfter() int {
	i := b.at
	for i < len(b.cells) && !b.cells[i].isWord() {
		i++
	}
	for i < len(b.cells) && b.cells[i].isWord() {
		i++
	}
	return i
}

// edit runs an action of editing and tells whether it is one.
func (b *textBuffer) edit(act action) bool {
	switch act {
	case "newline":
		b.insert("\n")
	case "cursor.left":
		b.moved()
		b.at = max(0, b.at-1)
	case "cursor.right":
		b.moved()
		b.at = min(len(b.cells), b.at+1)
	case "cursor.up":
		b.vertical(-1)
	case "cursor.down":
		b.vertical(1)
	case "word.back":
		b.moved()
		b.at = b.wordBefore(textCell.isWord)
	case "word.on":
		b.moved()
		b.at = b.wordAfter()
	case "line.start":
		b.moved()
		b.at = b.lineStart()
	case "line.end":
		b.moved()
		b.at = b.lineEnd()
	case "text.start":
		b.moved()
		b.at = 0
	case "text.end":
		b.moved()
		b.at = len(b.cells)
	case "delete.back":
		if b.at > 0 {
			b.remove(b.at-1, b.at)
		}
	case "delete.on":
		if b.at < len(b.cells) {
			b.remove(b.at, b.at+1)
		}
	case "kill.word":
		b.take(b.wordBefore(func(c textCell) bool { return !c.isBlank() }), b.at, true)
	case "kill.word.on":
		b.take(b.at, b.wordAfter(), false)
	case "kill.start":
		b.take(b.lineStart(), b.at, true)
	case "kill.line":
		end := b.lineEnd()
		if end == b.at && end < len(b.cells) {
			end++ // at the end of a line: the next one comes up
		}
		b.take(b.at, end, false)
	case "yank":
		b.insert(b.cut)
	default:
		return false
	}
	return true
}

// layout breaks the text into rows of at most w cells. A blank that ends a row may
// stand behind its last cell.
func (b *textBuffer) layout(w int) []textRow {
	w = max(2, w)
	if b.rows != nil && b.width == w {
		return b.rows
	}
	b.rows, b.width = b.rows[:0:0], w
	from, used, blank := 0, 0, -1 // blank: the cell after the last blank of the row
	for i, c := range b.cells {
		if c.s == "\n" {
			b.rows = append(b.rows, textRow{from, i})
			from, used, blank = i+1, 0, -1
			continue
		}
		if used+c.w > w && (c.s != " " || used > w) {
			to := i
			if blank > from {
				to = blank
			}
			b.rows = append(b.rows, textRow{from, to})
			from, used, blank = to, 0, -1
			for _, left := range b.cells[to:i] {
				used += left.w
			}
		}
		used += c.w
		if c.s == " " {
			blank = i + 1
		}
	}
	b.rows = append(b.rows, textRow{from, len(b.cells)})
	return b.rows
}

// cursor returns the row and the column of the cursor.
func (b *textBuffer) cursor(w int) (row, col int) {
	rows := b.layout(w)
	row = len(rows) - 1
	for row > 0 && rows[row].from > b.at {
		row--
	}
	for _, c := range b.cells[rows[row].from:b.at] {
		col += c.w
	}
	return row, col
}

// vertical moves the cursor by rows.
func (b *textBuffer) vertical(by int) {
	row, col := b.cursor(b.width)
	if !b.upDown {
		b.goal = col
	}
	b.moved()
	b.upDown = true
	to := row + by
	if to < 0 || to >= len(b.rows) {
		return
	}
	r := b.rows[to]
	b.at, col = r.from, 0
	for b.at < r.to && col+b.cells[b.at].w <= b.goal {
		col += b.cells[b.at].w
		b.at++
	}
	if b.at == r.to && b.at > r.from && to+1 < len(b.rows) && b.rows[to+1].from == r.to {
		b.at-- // the place behind a broken row is the next row's first
	}
}

// view returns the rows on a screen of w by h cells, unpadded, and the cursor in
// them.
func (b *textBuffer) view(w, h int) (lines []string, x, y int) {
	rows := b.layout(w)
	row, col := b.cursor(w)
	b.top = min(b.top, row, max(0, len(rows)-h))
	b.top = max(b.top, row-h+1)
	for _, r := range rows[b.top:min(len(rows), b.top+h)] {
		var s strings.Builder
		for _, c := range b.cells[r.from:r.to] {
			s.WriteString(c.s)
		}
		lines = append(lines, s.String())
	}
	return lines, col, row - b.top
}
