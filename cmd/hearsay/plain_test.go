package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"hearsay/chat"
	"hearsay/cmd/program"
	"hearsay/tui"
)

// TestPlainExitCodes: scripts decide by them.
func TestPlainExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{fmt.Errorf("%w within 1m0s", tui.ErrUndelivered), program.ExitTimeout},
		{chat.ErrPassphrase, program.ExitPassphrase},
		{chat.ErrNoNetwork, program.ExitUsage},
		{&chat.Error{Kind: chat.KindNoNetwork, Text: "no relay answers"}, program.ExitNoNetwork},
	} {
		var e *program.Error
		if err := plainError(c.err); !errors.As(err, &e) || e.Code != c.code {
			t.Errorf("%v becomes %v", c.err, err)
		}
	}
	if err := plainError(nil); err != nil {
		t.Error(err)
	}
}

// TestPlainAttached runs the plain mode on a daemon, which goes on when the mode
// ends; when the daemon is killed the mode ends with an error.
func TestPlainAttached(t *testing.T) {
	dir := t.TempDir()
	home := filepath.Join(dir, "home")
	d := startDaemon(t, home, "--network", foundedNetwork(t, dir))
	until := func(p *process, want string) {
		t.Helper()
		for l := p.line(); !strings.Contains(l, want); l = p.line() {
		}
	}
	first, second := start(t, "hearsay", "--plain", "--home", home), start(t, "hearsay", "--plain", "--home", home)
	io.WriteString(first.stdin, "/to notes\nmilk\n")
	until(first, "you, in notes: kept on this disk")
	io.WriteString(second.stdin, "/to notes\n/history\n")
	until(second, "you, in notes: milk")
	io.WriteString(first.stdin, "/quit\n")
	if code := first.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, first.errors())
	}
	io.WriteString(second.stdin, "bread\n")
	until(second, "kept on this disk")
	d.kill()
	until(second, "The daemon has ended: nothing is sent.")
	if code := second.wait(); code != 1 || !strings.Contains(second.errors(), "the daemon has ended") {
		t.Errorf("exit code %d: %s", code, second.errors())
	}
}
