package tui

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"charm.land/lipgloss/v2"
)

// A text may mark *bold*, _italic_ and `code`. The marks stay on the screen: what
// is styled reads the same without colour, and is copied as it was written.

// longestMarked bounds a marked run, so that a stray mark styles no whole page.
const longestMarked = 400

// markUp styles the marked runs of a text that was wrapped into lines. The lines
// hold the characters of the text in their order, but for blanks at the ends.
func (t *theme) markUp(text string, lines []string) []string {
	if !strings.ContainsAny(text, "*_`") {
		return lines
	}
	runs := markedRuns(text)
	if len(runs) == 0 {
		return lines
	}
	styles := map[byte][2]string{}
	for _, r := range runs {
		if _, have := styles[r.mark]; !have {
			styles[r.mark] = codes(t.marked(r.mark))
		}
	}
	out := make([]string, len(lines))
	at := 0 // in text
	for i, line := range lines {
		start, ok := follow(text, at, line)
		if !ok {
			return lines
		}
		end := start + len(line)
		var b strings.Builder
		for pos := start; pos < end; {
			for len(runs) > 0 && runs[0].to <= pos {
				runs = runs[1:]
			}
			switch {
			case len(runs) == 0 || runs[0].from >= end:
				b.WriteString(text[pos:end])
				pos = end
			case runs[0].from > pos:
				b.WriteString(text[pos:runs[0].from])
				pos = runs[0].from
			default:
				to := min(runs[0].to, end)
				style := styles[runs[0].mark]
				b.WriteString(style[0])
				b.WriteString(text[pos:to])
				b.WriteString(style[1])
				pos = to
			}
		}
		out[i], at = b.String(), end
	}
	return out
}

// marked is the style of a mark.
func (t *theme) marked(mark byte) lipgloss.Style {
	switch mark {
	case '*':
		return lipgloss.NewStyle().Bold(true)
	case '_':
		return lipgloss.NewStyle().Italic(true)
	}
	return t.accent
}

// codes returns what a style puts before and after a text without blanks of its own.
func codes(s lipgloss.Style) [2]string {
	before, after, _ := strings.Cut(s.Render("x"), "x")
	return [2]string{before, after}
}

// follow finds a wrapped line in its text from at on, past blanks that were
// dropped.
func follow(text string, at int, line string) (start int, ok bool) {
	for {
		if strings.HasPrefix(text[at:], line) {
			return at, true
		}
		r, size := utf8.DecodeRuneInString(text[at:])
		if size == 0 || !unicode.IsSpace(r) {
			return 0, false
		}
		at += size
	}
}

// run is a marked part of a text, marks included.
type run struct {
	from, to int
	mark     byte
}

// markedRuns finds what is marked. A mark opens before a character that is no
// blank, at the beginning of a word; it closes after one, at the end of a word,
// on the same line. Links are left alone.
func markedRuns(text string) []run {
	var runs []run
	boundary := true // a word may begin here
	for i := 0; i < len(text); {
		if boundary {
			if n := linkLength(text[i:]); n > 0 {
				i += n
				boundary = false
				continue
			}
		}
		c := text[i]
		if boundary && (c == '*' || c == '_' || c == '`') {
			if n := markedLength(text[i:]); n > 0 {
				runs = append(runs, run{i, i + n, c})
				i += n
				boundary = false
				continue
			}
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		boundary = unicode.IsSpace(r) || unicode.IsPunct(r) && r != '_' && r != '*' && r != '`'
		i += size
	}
	return runs
}

// markedLength is the length of a run that begins with its mark, or 0.
func markedLength(s string) int {
	mark := s[0]
	if len(s) < 3 || s[1] == mark {
		return 0
	}
	if r, _ := utf8.DecodeRuneInString(s[1:]); unicode.IsSpace(r) {
		return 0
	}
	for i := 1; i < len(s) && i < longestMarked && s[i] != '\n'; i++ {
		if s[i] != mark {
			continue
		}
		before, _ := utf8.DecodeLastRuneInString(s[:i])
		after, size := utf8.DecodeRuneInString(s[i+1:])
		if !unicode.IsSpace(before) && (size == 0 || !unicode.IsLetter(after) && !unicode.IsNumber(after)) {
			return i + 1
		}
	}
	return 0
}

// linkLength is the length of a link at the beginning of a text, or 0.
func linkLength(s string) int {
	n := strings.IndexFunc(s, unicode.IsSpace)
	if n < 0 {
		n = len(s)
	}
	if n > longestMarked {
		n = longestMarked
	}
	if !strings.Contains(s[:n], "://") {
		return 0
	}
	return n
}
