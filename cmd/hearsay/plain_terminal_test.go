package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
)

// typist types on a line terminal and sees what is on it.
type typist struct {
	t    *testing.T
	term *lineTerminal
	out  bytes.Buffer
}

func newTypist(t *testing.T) *typist {
	ty := &typist{t: t}
	ty.term = newTypedTerminal(t.Context(), strings.NewReader(""), &ty.out)
	ty.term.restore = func() error { return nil }
	return ty
}

// types types keys and returns the lines that they ended.
func (ty *typist) types(keys string) (lines []string) {
	for i := range len(keys) {
		if line, whole, _ := ty.term.key(keys[i]); whole {
			lines = append(lines, line)
		}
	}
	return lines
}

// shows fails if the output since the last look is another one.
func (ty *typist) shows(want string) {
	ty.t.Helper()
	if got := ty.out.String(); got != want {
		ty.t.Errorf("output %q, want %q", got, want)
	}
	ty.out.Reset()
}

// TestNothingIsWrittenIntoALine: what comes while somebody types waits for the end
// of the line, or until it is erased.
func TestNothingIsWrittenIntoALine(t *testing.T) {
	ty := newTypist(t)
	ty.term.Write([]byte("14:05 marta: hi\n"))
	ty.shows("14:05 marta: hi\n")
	ty.types("he")
	if !ty.term.Typing() {
		t.Error("nobody types")
	}
	ty.term.Write([]byte("14:06 marta: there?\n"))
	ty.shows("he")
	if got := ty.types("llo\r"); len(got) != 1 || got[0] != "hello" {
		t.Errorf("lines %q", got)
	}
	ty.shows("llo\n14:06 marta: there?\n")
	ty.types("x")
	ty.term.Write([]byte("14:07 marta: hm\n"))
	ty.types("\x7f")
	ty.shows("x\b \b14:07 marta: hm\n")

	ty.types("waits")
	many := strings.Repeat("a line of output\n", heldMost/17)
	ty.term.Write([]byte(many))
	ty.shows("waits")
	ty.term.Write([]byte(many))
	ty.shows("\n" + many + many + "waits")
}

// TestLineIsEdited as a terminal does it, and no key can write an escape sequence.
func TestLineIsEdited(t *testing.T) {
	for _, c := range []struct{ keys, line, out string }{
		{"helo\x7flo\n", "hello", "helo\b \blo\n"},
		{"one two\x17three\n", "one three", "one two\b \b\b \b\b \bthree\n"},
		{"away\x15here\n", "here", "away" + strings.Repeat("\b \b", 4) + "here\n"},
		{"漢\x7fa\n", "a", "漢\b \b\b \ba\n"},
		{"\x7f\x7fa\n", "a", "a\n"},
		{"a\x1b[A\x1b[1;5C\x1bOP\x1bb\n", "ab", "ab\n"},
		{"a\x1b\x1b[Bb\tc\n", "ab c", "ab c\n"},
		{"a\x00\x07\x9b\xffb\u202ec\n", "abc", "abc\n"},
		{"ab\x12c\n", "abc", "ab\nabc\n"},
	} {
		ty := newTypist(t)
		if got := ty.types(c.keys); len(got) != 1 || got[0] != c.line {
			t.Errorf("%q makes %q", c.keys, got)
		}
		ty.shows(c.out)
		if strings.Contains(ty.out.String(), "\x1b") {
			t.Errorf("%q writes an escape sequence", c.keys)
		}
	}
	ty := newTypist(t)
	if _, _, end := ty.term.key(0x04); !end {
		t.Error("ctrl+d does not end the input")
	}
	ty.types("a")
	if _, _, end := ty.term.key(0x04); end {
		t.Error("ctrl+d ends the input within a line")
	}
}

// TestSecretIsNotShown: a passphrase is neither echoed nor read as a line.
func TestSecretIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ty := newTypist(t)
		ty.types("half a line")
		got := make(chan []byte, 1)
		go func() {
			secret, err := ty.term.Secret("passphrase: ")
			if err != nil {
				t.Error(err)
			}
			got <- secret
		}()
		synctest.Wait()
		if lines := ty.types("corrext\x7f\x7fct\n"); len(lines) > 0 {
			t.Errorf("lines %q", lines)
		}
		if secret := <-got; string(secret) != "correct" {
			t.Errorf("secret %q", secret)
		}
		ty.shows("half a line\npassphrase: \n")
		if lines := ty.types("next\n"); len(lines) != 1 {
			t.Errorf("lines %q", lines)
		}
	})
}
