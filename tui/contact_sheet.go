package tui

import (
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// sheet is the content of a dialog. What is drawn on a small screen is what
// matters most: blank lines go first, then explanations from the last one up, then
// rows of the list that are far from the marked one, then what keys do, which the
// help tells too.
type sheet struct {
	title string
	inner int // cells of a line
	rows  []sheetRow
	foot  []string // what keys do
	texts int      // explanations so far
}

type sheetRow struct {
	text   string
	kind   rowKind
	part   int         // of which explanation; they are shown whole or not at all
	cursor *tea.Cursor // of an input in this row
}

type rowKind byte

const (
	rowText   rowKind = iota // an explanation
	rowKept                  // problems, states
	rowMust                  // inputs, and what a person answers for: before the keys
	rowList                  // a row of a list
	rowMarked                // the one that keys act on
)

// newSheet begins a dialog of at most width cells on a screen of w.
func newSheet(title string, w, width int) *sheet {
	return &sheet{title: title, inner: max(1, min(w, width)-4)}
}

// text adds an explanation, kept adds what must be seen.
func (s *sheet) text(t string) { s.add(t, rowText) }
func (s *sheet) kept(t string) { s.add(t, rowKept) }

func (s *sheet) add(t string, kind rowKind) {
	s.texts++
	for _, l := range wrap(t, s.inner) {
		s.rows = append(s.rows, sheetRow{text: l, kind: kind, part: s.texts})
	}
}

// must adds a line that is shown whatever the room.
func (s *sheet) must(t string) { s.rows = append(s.rows, sheetRow{text: t, kind: rowMust}) }

func (s *sheet) blank() { s.rows = append(s.rows, sheetRow{}) }

// item adds a row of a list, cut to one line.
func (s *sheet) item(t string, marked bool) {
	kind := rowList
	if marked {
		kind = rowMarked
	}
	s.rows = append(s.rows, sheetRow{text: t, kind: kind})
}

// input adds an input; focused ones have the cursor.
func (s *sheet) input(in *textinput.Model, focused bool) {
	in.SetWidth(max(1, s.inner-ansi.StringWidth(in.Prompt)-1))
	r := sheetRow{text: in.View(), kind: rowMust}
	if focused {
		r.cursor = in.Cursor()
	}
	s.rows = append(s.rows, r)
}

// code adds a QR code, whole or not at all.
func (s *sheet) code(rows []string, room int) {
	switch {
	case len(rows) == 0:
		s.kept("This terminal draws no code: it needs half blocks.")
	case len(rows) > room || ansi.StringWidth(rows[0]) > s.inner:
		s.kept("This screen is too small for the code.")
	default:
		indent := strings.Repeat(" ", min(5, s.inner-ansi.StringWidth(rows[0])))
		for _, r := range rows {
			s.must(indent + r)
		}
	}
}

// problem adds what went wrong.
func (s *sheet) problem(t *theme, text string) {
	if text == "" {
		return
	}
	s.blank()
	for _, l := range wrap(text, s.inner) {
		s.rows = append(s.rows, sheetRow{text: t.bad.Render(l), kind: rowKept})
	}
}

// offers sets what keys do, as many to a line as fit.
func (s *sheet) offers(items ...string) {
	line := ""
	for _, it := range items {
		switch {
		case it == "":
		case line == "":
			line = it
		case ansi.StringWidth(line)+3+ansi.StringWidth(it) <= s.inner:
			line += "   " + it
		default:
			s.foot = append(s.foot, line)
			line = it
		}
	}
	if line != "" {
		s.foot = append(s.foot, line)
	}
}

// offer names a key and what it does.
func (a *App) offer(act action, does string) string {
	return "[" + a.keys.of(act) + "] " + does
}

// closeOffer names the key that closes a dialog.
func (a *App) closeOffer(does string) string { return a.offer("close", does) }

// draw returns the box on a screen of w by h cells.
func (s *sheet) draw(t *theme, w, h int) ([]string, *tea.Cursor) {
	lines, cursor, at := s.layout(h - 2)
	for i, l := range lines {
		lines[i] = " " + l
	}
	box := t.boxed(s.title, "", lines, min(w, s.inner+4), min(h, len(lines)+2))
	return box, dialogCursor(cursor, box, w, h, at+1)
}

// layout returns what is shown in at most room lines, and in which of them the
// cursor stands.
func (s *sheet) layout(room int) (lines []string, cursor *tea.Cursor, at int) {
	must := 0
	for _, r := range s.rows {
		if r.kind == rowMust || r.kind == rowMarked {
			must++
		}
	}
	foot := s.foot[:max(0, min(len(s.foot), room-must))]
	gap := 0
	if len(s.rows) > 0 && len(foot) > 0 && len(s.rows)+len(foot)+1 <= room {
		gap = 1
	}
	for _, r := range shorten(s.rows, room-len(foot)-gap) {
		if r.cursor != nil {
			cursor, at = r.cursor, len(lines)
		}
		lines = append(lines, r.text)
	}
	if gap == 1 {
		lines = append(lines, "")
	}
	return append(lines, foot...), cursor, at
}

// shorten drops rows until room is enough.
func shorten(rows []sheetRow, room int) []sheetRow {
	over := len(rows) - room
	drop := make([]bool, len(rows))
	sweep := func(may func(r *sheetRow) bool) {
		for i := len(rows) - 1; i >= 0 && over > 0; i-- {
			if drop[i] || !may(&rows[i]) {
				continue
			}
			for j := i; j >= 0 && (j == i || rows[i].part > 0 && rows[j].part == rows[i].part); j-- {
				drop[j] = true
				over--
			}
		}
	}
	sweep(func(r *sheetRow) bool { return r.kind == rowText && r.part == 0 && strings.TrimSpace(r.text) == "" })
	sweep(func(r *sheetRow) bool { return r.kind == rowText })
	// Of a list, rows go at the end that is farther from the marked one.
	first, last, marked := -1, -1, -1
	for i := range rows {
		switch rows[i].kind {
		case rowMarked:
			marked = i
			fallthrough
		case rowList:
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if marked < 0 {
		marked = first
	}
	for ; over > 0 && first >= 0 && first < last; over-- {
		if last-marked >= marked-first {
			drop[last] = true
			last--
		} else {
			drop[first] = true
			first++
		}
	}
	sweep(func(r *sheetRow) bool { return r.kind == rowList })
	sweep(func(r *sheetRow) bool { return r.kind == rowKept })
	sweep(func(r *sheetRow) bool { return r.cursor == nil })
	var kept []sheetRow
	for i, r := range rows {
		if !drop[i] {
			kept = append(kept, r)
		}
	}
	// What is left does not begin or end with a gap.
	for len(kept) > 0 && kept[0].text == "" && len(kept) < len(rows) {
		kept = kept[1:]
	}
	for len(kept) > 0 && kept[len(kept)-1].text == "" && len(kept) < len(rows) {
		kept = kept[:len(kept)-1]
	}
	return kept
}

// typeInto gives a key or a paste to an input. Pastes are other people's words: no
// sign that moves the cursor or hides gets into it.
func typeInto(in *textinput.Model, msg tea.Msg) tea.Cmd {
	switch m := msg.(type) {
	case tea.PasteMsg:
		msg = tea.PasteMsg{Content: sanitizeLine(m.Content)}
	case tea.KeyPressMsg:
		if m.Text != chat.Sanitize(m.Text) {
			return nil
		}
	}
	var cmd tea.Cmd
	*in, cmd = in.Update(msg)
	return cmd
}

// pressed returns what a key does in a dialog whose input is being typed: keys
// that make text go to the input.
func (a *App) pressed(m mode, k tea.KeyPressMsg) action {
	if k.Text != "" {
		return ""
	}
	return a.keys.find(m, k.String())
}
