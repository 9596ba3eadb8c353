package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// fit cuts or pads a styled line to exactly w cells.
func fit(s string, w int) string {
	if w <= 0 {
		return ""
	}
	n := ansi.StringWidth(s)
	// Cutting counts a digit and the marks on it apart, counting does not: what was
	// cut may still be too wide.
	for cut := w; n > w && cut >= 0; cut-- {
		s = ansi.Truncate(s, cut, "…")
		n = ansi.StringWidth(s)
	}
	if n < w {
		s += strings.Repeat(" ", w-n)
	}
	return s
}

// spread puts left and right at the two ends of w cells; right wins.
func spread(left, right string, w int) string {
	r := ansi.StringWidth(right)
	if r >= w {
		return fit(right, w)
	}
	return fit(left, w-r) + right
}

// rule draws a horizontal line of w cells with a title after the first cell.
func (t *theme) rule(title string, w int) string {
	if title != "" {
		title = " " + title + " "
	}
	s := t.h + title
	if n := ansi.StringWidth(s); n < w {
		return s + strings.Repeat(t.h, w-n)
	}
	return fit(s, w)
}

// wrap breaks text into lines of at most w cells, keeping its own newlines.
func wrap(s string, w int) []string {
	if w < 1 {
		w = 1
	}
	return strings.Split(ansi.Wrap(s, w, " "), "\n")
}

// boxed draws a frame of w by h cells around lines, with a title and a foot in
// its border.
func (t *theme) boxed(title, foot string, lines []string, w, h int) []string {
	out := make([]string, 0, h)
	out = append(out, t.tl+t.rule(title, w-2)+t.tr)
	for i := range h - 2 {
		line := ""
		if i < len(lines) {
			line = lines[i]
		}
		out = append(out, t.v+fit(line, w-2)+t.v)
	}
	bottom := strings.Repeat(t.h, w-2)
	if foot != "" {
		f := " " + foot + " "
		if n := ansi.StringWidth(f); n+1 < w-2 {
			bottom = strings.Repeat(t.h, w-3-n) + f + t.h
		}
	}
	return append(out, t.bl+bottom+t.br)
}

// overlay lays a box over the middle of a screen.
func overlay(screen, box []string, w int) []string {
	if len(box) == 0 {
		return screen
	}
	bw := ansi.StringWidth(box[0])
	top, left := max(0, (len(screen)-len(box))/2), max(0, (w-bw)/2)
	for i, line := range box {
		if top+i >= len(screen) {
			break
		}
		under := screen[top+i]
		screen[top+i] = fit(ansi.Truncate(under, left, ""), left) + line + fit(ansi.TruncateLeft(under, left+bw, ""), w-left-bw)
	}
	return screen
}
