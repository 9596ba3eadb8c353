package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
	"golang.org/x/term"

	"hearsay/cmd/program"
)

// Implementation constants of the terminal of the plain mode.
const (
	typedMost = 64<<10 + 16 // bytes of a line; a longer one is refused by who reads it
	heldMost  = 64 << 10    // bytes of output that wait for the end of a line
)

// lineTerminal is a terminal that is read and written line by line, so that nothing
// is written into what is being typed: what comes meanwhile waits for the end of the
// line. It echoes and erases as a terminal does by itself, with printable characters
// and backspace alone. It is safe for concurrent use.
//
// Where the terminal does not echo, as under an editor that sends whole lines, or
// cannot be asked to hand out single keys, it leaves all that to the terminal.
type lineTerminal struct {
	ctx     context.Context
	cancel  context.CancelFunc // with restore
	in      io.Reader
	out     io.Writer
	restore func() error  // nil: the terminal edits lines itself
	lines   chan string   // typed lines; closed at the end of the input
	rest    []byte        // of the line that Read has begun
	secrets chan []byte   // what was typed for Secret
	ended   chan struct{} // the input ended

	mu     sync.Mutex
	line   []byte // typed, whole characters
	part   []byte // of a character
	escape int    // of a key that sends a sequence: 0 none, 1 after ESC, 2 within
	secret bool   // Secret waits for the line
	held   []byte // output
}

// newLineTerminal takes the terminal over until Close.
func newLineTerminal(ctx context.Context, in *os.File, out io.Writer) (*lineTerminal, error) {
	t := newTypedTerminal(ctx, in, out)
	restore, err := singleKeys(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("set the terminal: %w", err)
	}
	if t.restore = restore; restore == nil {
		return t, nil
	}
	t.ctx, t.cancel = context.WithCancel(ctx)
	onContinue(t.ctx, func() {
		_, _ = singleKeys(int(in.Fd())) // a terminal that is gone ends the input
		t.mu.Lock()
		defer t.mu.Unlock()
		if !t.secret {
			t.echo(string(t.line))
		}
	})
	go t.watch()
	return t, nil
}

func newTypedTerminal(ctx context.Context, in io.Reader, out io.Writer) *lineTerminal {
	return &lineTerminal{
		ctx: ctx, in: in, out: out, lines: make(chan string, 64), // full: typing ahead waits
		secrets: make(chan []byte, 1), ended: make(chan struct{}),
	}
}

// Close gives the terminal back as it was.
func (t *lineTerminal) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flush()
	if t.restore == nil {
		return nil
	}
	t.cancel()
	return t.restore()
}

// Read reads typed lines.
func (t *lineTerminal) Read(b []byte) (int, error) {
	if t.restore == nil {
		return t.in.Read(b)
	}
	for len(t.rest) == 0 {
		select {
		case line, ok := <-t.lines:
			if !ok {
				return 0, io.EOF
			}
			t.rest = append([]byte(line), '\n')
		case <-t.ctx.Done():
			return 0, io.EOF
		}
	}
	n := copy(b, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

// Typing tells whether a line is begun.
func (t *lineTerminal) Typing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.line) > 0
}

// Write writes whole lines, once no line is being typed.
func (t *lineTerminal) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if (len(t.line) > 0 || t.secret) && len(t.held)+len(b) <= heldMost {
		t.held = append(t.held, b...)
		return len(b), nil
	}
	if len(t.line) > 0 && !t.secret { // too much to wait with: the line is shown again behind it
		t.echo("\n")
		t.flush()
		n, err := t.out.Write(b)
		t.echo(string(t.line))
		return n, err
	}
	t.flush()
	return t.out.Write(b)
}

// flush writes what waited; t.mu is held.
func (t *lineTerminal) flush() {
	if len(t.held) > 0 {
		t.echo(string(t.held))
		t.held = nil
	}
}

func (t *lineTerminal) echo(s string) { _, _ = io.WriteString(t.out, s) } // a terminal that is gone ends the input too

// Secret reads a line that is not shown. It fails when ctx ends or nothing was typed.
func (t *lineTerminal) Secret(prompt string) ([]byte, error) {
	if t.restore == nil {
		return t.plainSecret(prompt)
	}
	t.mu.Lock()
	if len(t.line) > 0 {
		t.echo("\n")
	}
	t.line, t.part, t.secret = nil, nil, true
	t.flush()
	t.echo(prompt)
	t.mu.Unlock()
	select {
	case secret := <-t.secrets:
		return secret, nil
	case <-t.ended:
		return nil, program.Fail(program.ExitPassphrase, "", io.ErrUnexpectedEOF)
	case <-t.ctx.Done():
		return nil, t.ctx.Err()
	}
}

// plainSecret is Secret where the terminal edits lines.
func (t *lineTerminal) plainSecret(prompt string) ([]byte, error) {
	f, ok := t.in.(*os.File)
	if !ok {
		return nil, io.ErrUnexpectedEOF
	}
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	t.echo(prompt)
	type typed struct {
		secret []byte
		err    error
	}
	done := make(chan typed, 1)
	go func() {
		secret, err := term.ReadPassword(int(f.Fd()))
		done <- typed{secret, err}
	}()
	defer t.echo("\n")
	select {
	case r := <-done:
		return r.secret, r.err
	case <-t.ctx.Done():
		_ = term.Restore(int(f.Fd()), before)
		return nil, t.ctx.Err()
	}
}

// watch takes keys until the input ends.
func (t *lineTerminal) watch() {
	defer close(t.ended)
	defer close(t.lines)
	b := make([]byte, 4096)
	for {
		n, err := t.in.Read(b)
		for _, c := range b[:n] {
			line, whole, end := t.key(c)
			if whole {
				select {
				case t.lines <- line:
				case <-t.ctx.Done():
					return
				}
			}
			if end {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// key takes one byte of the input. It returns a line that was ended, or that the
// input is at its end.
func (t *lineTerminal) key(c byte) (line string, whole, end bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.escape == 1 && (c == '[' || c == 'O'):
		t.escape = 2
		return "", false, false
	case t.escape == 2:
		if c >= 0x40 && c <= 0x7e {
			t.escape = 0
		}
		return "", false, false
	}
	t.escape = 0
	switch c {
	case '\r', '\n':
		typed := t.line
		t.line, t.part = nil, nil
		t.echo("\n")
		if t.secret {
			t.secret = false
			t.flush()
			t.secrets <- typed // there is room: one Secret waits for one line
			return "", false, false
		}
		t.flush()
		return string(typed), true, false
	case 0x04: // ctrl+d
		return "", false, len(t.line) == 0
	case 0x7f, '\b':
		t.erase(utf8.RuneLen(lastRune(t.line)))
	case 0x15: // ctrl+u
		t.erase(len(t.line))
	case 0x17: // ctrl+w
		kept := bytes.TrimRight(t.line, " ")
		t.erase(len(t.line) - (bytes.LastIndexByte(kept, ' ') + 1))
	case 0x12: // ctrl+r writes the line again
		if !t.secret {
			t.echo("\n" + string(t.line))
		}
	case 0x1b:
		t.escape = 1
	case '\t':
		t.typed(" ")
	default:
		t.part = append(t.part, c)
		if !utf8.FullRune(t.part) {
			return "", false, false
		}
		r, n := utf8.DecodeRune(t.part)
		if t.part = nil; r != utf8.RuneError || n > 1 {
			t.typed(string(r))
		}
	}
	return "", false, false
}

// typed adds a character to the line, if it can be shown.
func (t *lineTerminal) typed(s string) {
	r, _ := utf8.DecodeRuneInString(s)
	joiner := r == '\u200c' || r == '\u200d'
	if len(t.line) >= typedMost || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) && !joiner {
		return
	}
	t.line = append(t.line, s...)
	if !t.secret {
		t.echo(s)
	}
}

// erase takes n bytes from the end of the line, and their cells from the screen.
func (t *lineTerminal) erase(n int) {
	if n <= 0 || n > len(t.line) {
		return
	}
	before := ansi.StringWidth(string(t.line))
	clear(t.line[len(t.line)-n:])
	t.line = t.line[:len(t.line)-n]
	if cells := before - ansi.StringWidth(string(t.line)); cells > 0 && !t.secret {
		t.echo(strings.Repeat("\b \b", cells))
	}
	if len(t.line) == 0 && !t.secret {
		t.flush()
	}
}

func lastRune(b []byte) rune {
	r, _ := utf8.DecodeLastRune(b)
	return r
}
