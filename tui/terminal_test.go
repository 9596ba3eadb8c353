package tui

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// terminal is a terminal that draws what a renderer writes, and is strict: what
// this program has no business to write is a problem.
type terminal struct {
	w, h    int
	method  ansi.Method // how it counts cells
	newline bool        // \n goes to the first column as well, as a cooked line does

	main, alternate [][]string // cells; "" follows a wide one
	cells           [][]string // the one of them that is shown
	last            [][]string // the alternate screen when it was left
	x, y            int
	pending         bool // the last column is written: the next character wraps
	noWrap          bool
	insert          bool
	top, bottom     int // scrolling region
	previous        string

	titles    []string
	clipboard []string // what OSC 52 set
	notified  []string
	bells     int
	hidden    bool
	problems  []string
}

func newTerminal(w, h int, method ansi.Method) *terminal {
	t := &terminal{w: w, h: h, method: method, newline: true, bottom: h}
	t.main, t.alternate = t.blank(), t.blank()
	t.cells = t.main
	return t
}

func (t *terminal) blank() [][]string {
	rows := make([][]string, t.h)
	for i := range rows {
		rows[i] = t.blankRow()
	}
	return rows
}

func (t *terminal) blankRow() []string {
	row := make([]string, t.w)
	for i := range row {
		row[i] = " "
	}
	return row
}

func (t *terminal) problem(format string, args ...any) {
	if len(t.problems) < 20 {
		t.problems = append(t.problems, fmt.Sprintf(format, args...))
	}
}

// write takes the whole output of a program.
func (t *terminal) write(out []byte) {
	p := ansi.NewParser()
	for len(out) > 0 {
		if c := out[0]; c >= 0x20 && c != 0x7f {
			n := bytes.IndexFunc(out, func(r rune) bool { return r < 0x20 || r == 0x7f })
			if n < 0 {
				n = len(out)
			}
			t.text(string(out[:n]))
			out = out[n:]
			continue
		}
		seq, _, n, _ := ansi.DecodeSequence(out, ansi.NormalState, p)
		out = out[n:]
		if len(seq) > 1 && seq[0] == 0x1b {
			t.escape(string(seq), p)
		} else {
			t.control(seq[0])
		}
	}
}

// text takes what is printed.
func (t *terminal) text(s string) {
	for len(s) > 0 {
		cluster, width := ansi.FirstGraphemeCluster(s, t.method)
		s = s[len(cluster):]
		switch r, size := utf8.DecodeRuneInString(cluster); {
		case r == utf8.RuneError && size == 1:
			t.problem("a byte that is no text %#x", cluster[0])
		case r >= 0x80 && r < 0xa0:
			t.problem("a C1 control %q", cluster)
		case width == 0:
			t.join(cluster)
		default:
			t.print(cluster, width)
		}
	}
}

// rows returns the text of a screen.
func (t *terminal) rows(cells [][]string) []string {
	out := make([]string, len(cells))
	for i, row := range cells {
		out[i] = strings.TrimRight(strings.Join(row, ""), " ")
	}
	return out
}

func (t *terminal) print(s string, width int) {
	if t.pending && !t.noWrap {
		t.x, t.pending = 0, false
		t.feed()
	}
	if t.x+width > t.w {
		if t.noWrap {
			t.x = max(0, t.w-width)
		} else {
			t.x = 0
			t.feed()
		}
	}
	if t.insert {
		t.shift(width)
	}
	for i := range width {
		t.set(t.x+i, "")
	}
	t.cells[t.y][t.x] = s
	t.previous = s
	t.x += width
	if t.x >= t.w {
		t.x, t.pending = t.w-1, true
	}
}

// set writes one cell; a wide character that loses a half goes.
func (t *terminal) set(x int, s string) {
	if x < 0 || x >= t.w {
		return
	}
	row := t.cells[t.y]
	if row[x] == "" {
		for i := x - 1; i >= 0; i-- {
			wide := row[i] != ""
			row[i] = " "
			if wide {
				break
			}
		}
	}
	for i := x + 1; i < t.w && row[i] == ""; i++ {
		row[i] = " "
	}
	row[x] = s
}

// join adds a mark to the character before the cursor.
func (t *terminal) join(mark string) {
	x := t.x - 1
	if t.pending {
		x = t.x
	}
	for x > 0 && t.cells[t.y][x] == "" {
		x--
	}
	if x >= 0 {
		t.cells[t.y][x] += mark
	}
}

func (t *terminal) control(c byte) {
	switch c {
	case '\r':
		t.x, t.pending = 0, false
	case '\n':
		if t.newline {
			t.x = 0
		}
		t.pending = false
		t.feed()
	case '\b':
		t.x, t.pending = max(0, t.x-1), false
	case '\t':
		t.x = min(t.w-1, (t.x/8+1)*8)
	case '\a':
		t.bells++
	default:
		t.problem("a control %#x", c)
	}
}

// feed goes one line down, and scrolls at the end of the region.
func (t *terminal) feed() {
	if t.y == t.bottom-1 {
		t.scroll(t.top, 1)
	} else if t.y < t.h-1 {
		t.y++
	}
}

// scroll moves the lines from a row to the end of the region up by n.
func (t *terminal) scroll(from, n int) {
	for ; n > 0; n-- {
		copy(t.cells[from:t.bottom], t.cells[from+1:t.bottom])
		t.cells[t.bottom-1] = t.blankRow()
	}
	for ; n < 0; n++ {
		copy(t.cells[from+1:t.bottom], t.cells[from:t.bottom-1])
		t.cells[from] = t.blankRow()
	}
}

// shift makes room for n cells at the cursor, or takes them away.
func (t *terminal) shift(n int) {
	row := t.cells[t.y]
	fresh := t.blankRow()
	copy(fresh, row[:t.x])
	if n > 0 {
		copy(fresh[min(t.x+n, t.w):], row[t.x:])
	} else {
		copy(fresh[t.x:], row[min(t.x-n, t.w):])
	}
	t.cells[t.y] = fresh
}

// erase blanks cells of the row from x up to y.
func (t *terminal) erase(from, upto int) {
	for x := max(0, from); x < min(upto, t.w); x++ {
		t.set(x, " ")
	}
}

// known are the sequences without effect on this screen, by what they begin with.
var known = []string{
	"\x1b[?u",                    // may keys be told apart?
	"\x1b[>", "\x1b[<", "\x1b[=", // keyboard protocols, the terminal's name
	"\x1b[?2026$p", "\x1b[?2027$p", // can frames be whole, how are cells counted?
	"\x1b]11;?", "\x1b]12;#c0c0c0\a", "\x1b]112", // the background's colour; the cursor's, fixed, and its own again
	"\x1b[?5W", // tab stops
}

func (t *terminal) escape(seq string, p *ansi.Parser) {
	for _, k := range known {
		if strings.HasPrefix(seq, k) {
			return
		}
	}
	switch {
	case seq == "\x1bM":
		if t.y == t.top {
			t.scroll(t.top, -1)
		} else if t.y > 0 {
			t.y--
		}
	case strings.HasPrefix(seq, "\x1b]"):
		body := strings.TrimRight(strings.TrimPrefix(seq, "\x1b]"), "\a\x1b\\")
		kind, text, _ := strings.Cut(body, ";")
		switch kind {
		case "0", "2":
			t.titles = append(t.titles, text)
		case "52":
			t.clipboard = append(t.clipboard, text)
		case "9", "99", "777":
			t.notified = append(t.notified, body)
		default:
			t.problem("a command to the terminal %q", seq)
		}
	case strings.HasPrefix(seq, "\x1b["):
		t.csi(seq, p)
	default:
		t.problem("a sequence %q", seq)
	}
}

func (t *terminal) csi(seq string, p *ansi.Parser) {
	n, _ := p.Param(0, 1)
	n = max(n, 1)
	zero, _ := p.Param(0, 0)
	second, _ := p.Param(1, 1)
	if seq[len(seq)-1] != 'm' {
		t.pending = false
	}
	switch cmd := ansi.Cmd(p.Command()); {
	case cmd.Prefix() == '?' && (cmd.Final() == 'h' || cmd.Final() == 'l'):
		for i := range len(p.Params()) {
			mode, _ := p.Param(i, 0)
			t.mode(mode, cmd.Final() == 'h')
		}
	case cmd.Prefix() != 0, cmd.Intermediate() != 0 && cmd.Intermediate() != ' ':
		t.problem("a sequence %q", seq)
	case cmd.Intermediate() == ' ':
		if cmd.Final() != 'q' { // shape of the cursor
			t.problem("a sequence %q", seq)
		}
	default:
		switch cmd.Final() {
		case 'm':
		case 'A':
			t.y = max(0, t.y-n)
		case 'B', 'e':
			t.y = min(t.h-1, t.y+n)
		case 'C', 'a':
			t.x = min(t.w-1, t.x+n)
		case 'D':
			t.x = max(0, t.x-n)
		case 'E':
			t.x, t.y = 0, min(t.h-1, t.y+n)
		case 'F':
			t.x, t.y = 0, max(0, t.y-n)
		case 'G', '`':
			t.x = min(t.w, n) - 1
		case 'd':
			t.y = min(t.h, n) - 1
		case 'H', 'f':
			t.y, t.x = min(t.h, n)-1, min(t.w, max(1, second))-1
		case 'I':
			for range n {
				t.x = min(t.w-1, (t.x/8+1)*8)
			}
		case 'Z':
			for range n {
				t.x = max(0, (t.x-1)/8*8)
			}
		case 'J':
			from, upto := t.y+1, t.h
			switch zero {
			case 0:
				t.erase(t.x, t.w)
			case 1:
				t.erase(0, t.x+1)
				from, upto = 0, t.y
			default:
				from = 0
			}
			for y := from; y < upto; y++ {
				t.cells[y] = t.blankRow()
			}
		case 'K':
			switch zero {
			case 0:
				t.erase(t.x, t.w)
			case 1:
				t.erase(0, t.x+1)
			default:
				t.erase(0, t.w)
			}
		case 'X':
			t.erase(t.x, t.x+n)
		case '@':
			t.shift(n)
		case 'P':
			t.shift(-n)
		case 'L':
			t.scroll(t.y, -min(n, t.h))
		case 'M':
			t.scroll(t.y, min(n, t.h))
		case 'S':
			t.scroll(t.top, min(n, t.h))
		case 'T':
			t.scroll(t.top, -min(n, t.h))
		case 'b':
			for range min(n, t.w) {
				t.print(t.previous, max(1, t.method.StringWidth(t.previous)))
			}
		case 'r':
			t.top, t.bottom = 0, t.h
			if len(p.Params()) == 2 {
				t.top, t.bottom = max(0, n-1), min(t.h, second)
			}
			t.x, t.y = 0, 0
		case 'h', 'l':
			if zero != 4 {
				t.problem("a mode %q", seq)
			}
			t.insert = cmd.Final() == 'h'
		default:
			t.problem("a sequence %q", seq)
		}
	}
}

func (t *terminal) mode(mode int, on bool) {
	switch mode {
	case 7:
		t.noWrap = !on
	case 25:
		t.hidden = !on
	case 1049:
		if on {
			t.alternate = t.blank()
			t.cells = t.alternate
		} else {
			t.last, t.cells = t.cells, t.main
		}
	case 1000, 1002, 1003, 1004, 1006, 2004, 2026, 2027: // mouse, focus, pastes, whole frames, counting of cells
	default:
		t.problem("a mode %d", mode)
	}
}
