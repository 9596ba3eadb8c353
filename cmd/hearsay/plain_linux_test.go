package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hearsay/cmd/program"
)

// TestPlainOnATerminal sets a profile up on a pseudo-terminal, line by line: the
// passphrase is never shown, what is written is never an escape sequence, and ctrl+c
// ends it and gives the terminal back.
func TestPlainOnATerminal(t *testing.T) {
	dir := t.TempDir()
	home, link := filepath.Join(dir, "home"), foundedNetwork(t, dir)
	s := startOnTerminal(t, 80, 24, "hearsay", "--plain", "--home", home)
	skip := 0
	says := func(keys, want string) {
		t.Helper()
		s.keys(keys)
		s.until(want, skip)
		skip = s.written()
	}
	says("", "Press enter to make a new profile")
	says("\r", "passphrase of the new profile: ")
	says("correct horse battery staple\r", "again: ")
	says("correct horse battery staple\r", "Paste a network link")
	says(link+"\r", "/help lists the commands.")
	says("/to nox\x7ftes\r", "You write to notes now")
	says("milk\r", "you, in notes: kept on this disk")
	says("/lock\r", "hearsay is locked.")
	says("bread\r", "hearsay is locked: nothing was sent.")
	says("/unlock\r", "passphrase: ")
	says("correct horse battery staple\r", "hearsay is open again.")
	s.keys("\x03")
	select {
	case err := <-s.ended:
		s.ended <- err
		if err != nil {
			t.Errorf("ctrl+c: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("ctrl+c does not end it")
	}
	s.mu.Lock()
	out := string(s.out)
	s.mu.Unlock()
	if strings.Contains(out, "horse") {
		t.Error("a passphrase was shown")
	}
	if i := strings.IndexByte(out, '\x1b'); i >= 0 {
		t.Errorf("an escape sequence: %q", out[max(0, i-60):min(len(out), i+20)])
	}
	if now, err := unix.IoctlGetTermios(int(s.master.Fd()), unix.TCGETS); err != nil || now.Lflag&unix.ECHO == 0 || now.Lflag&unix.ICANON == 0 {
		t.Errorf("the terminal is left as it was not: %v", err)
	}
	// Without a terminal nobody can be asked.
	p := start(t, "hearsay", "--plain", "--home", home)
	p.stdin.Close()
	if code := p.wait(); code != program.ExitPassphrase {
		t.Errorf("exit code %d: %s", code, p.errors())
	}
}
