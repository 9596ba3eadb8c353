//go:build e2e

package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var captures = flag.Bool("captures", false, "write the screens of the end-to-end test to testdata/captures")

// tmux is a terminal multiplexer of one test, on a socket of its own.
type tmux struct {
	t      *testing.T
	socket string
	home   string // a directory that captures call /home/you
	panes  []*pane
}

// pane is a terminal in which one person sits.
type pane struct {
	m    *tmux
	name string
}

// startTmux starts a server without anybody's configuration. Without tmux the test
// is left out.
func startTmux(t *testing.T) *tmux {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("there is no tmux here")
	}
	dir, err := os.MkdirTemp("", "tmux") // a socket's path may have 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "conf")
	if err := os.WriteFile(conf, []byte("set -g status off\nset -s escape-time 0\nset -g default-terminal screen-256color\nset -g remain-on-exit on\nset -s exit-empty off\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := &tmux{t: t, socket: filepath.Join(dir, "s")}
	m.run("-f", conf, "start-server")
	t.Cleanup(func() {
		if t.Failed() {
			for _, p := range m.panes {
				t.Logf("the screen of %s:\n%s", p.name, p.screen())
			}
		}
		_ = exec.Command("tmux", "-S", m.socket, "kill-server").Run()
		os.RemoveAll(dir)
	})
	return m
}

func (m *tmux) run(args ...string) string {
	m.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", m.socket}, args...)...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("tmux %s: %v: %s", args[0], err, out)
	}
	return string(out)
}

// open runs a program of ours in a terminal of 100 by 28.
func (m *tmux) open(name, command string, args ...string) *pane {
	m.t.Helper()
	m.run(append([]string{"new-session", "-d", "-x", "100", "-y", "28", "-s", name, "--", filepath.Join(bin, command)}, args...)...)
	p := &pane{m, name}
	m.panes = append(m.panes, p)
	return p
}

// screen returns what stands in the terminal.
func (p *pane) screen() string {
	p.m.t.Helper()
	return p.m.run("capture-pane", "-p", "-t", p.name)
}

// until waits until a screen has all of some texts, and returns it.
func (p *pane) until(timeout time.Duration, texts ...string) string {
	p.m.t.Helper()
	return p.untilScreen(timeout, strings.Join(texts, ", "), func(s string) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(s, text) })
	})
}

// untilScreen waits until a screen is as it should be.
func (p *pane) untilScreen(timeout time.Duration, what string, ok func(screen string) bool) string {
	p.m.t.Helper()
	deadline := time.After(timeout)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		s := p.screen()
		if ok(s) {
			return s
		}
		select {
		case <-tick.C:
		case <-deadline:
			p.m.t.Fatalf("%s does not see within %s: %s", p.name, timeout, what)
		}
	}
}

// keys presses keys by their names: Enter, Escape, F9, M-n.
func (p *pane) keys(names ...string) {
	p.m.t.Helper()
	p.m.run(append([]string{"send-keys", "-t", p.name}, names...)...)
}

// write types a text.
func (p *pane) write(text string) {
	p.m.t.Helper()
	p.m.run("send-keys", "-t", p.name, "-l", "--", text)
}

// line types a text and presses enter, once it stands on the screen.
func (p *pane) line(text string) {
	p.m.t.Helper()
	p.write(text)
	p.until(10*time.Second, text)
	p.keys("Enter")
}

// command runs a slash command. What is typed goes to the list of commands, which
// shows a part of it.
func (p *pane) command(text string) {
	p.m.t.Helper()
	p.write(text)
	p.until(10*time.Second, text[max(0, len(text)-12):])
	p.keys("Enter")
}

// secret types what is shown as dots.
func (p *pane) secret(text string) {
	p.m.t.Helper()
	p.write(text)
	p.until(10*time.Second, strings.Repeat("·", len(text)))
	p.keys("Enter")
}

// escape presses escape until a text is gone: with a key right after it, it would
// be one with alt.
func (p *pane) escape(gone string) {
	p.m.t.Helper()
	p.keys("Escape")
	p.untilScreen(10*time.Second, "no "+gone, func(s string) bool { return !strings.Contains(s, gone) })
}

// paste pastes a text as a terminal does that marks pastes.
func (p *pane) paste(text string) {
	p.m.t.Helper()
	p.m.run("set-buffer", "--", text)
	p.m.run("paste-buffer", "-p", "-t", p.name)
}

// resize changes the size of the terminal.
func (p *pane) resize(w, h string) {
	p.m.t.Helper()
	p.m.run("resize-window", "-t", p.name, "-x", w, "-y", h)
}

// capture keeps the screen for people, if asked to.
func (p *pane) capture(file string) {
	p.m.t.Helper()
	if !*captures {
		return
	}
	var b strings.Builder
	private := regexp.MustCompile(regexp.QuoteMeta(p.m.home) + `/\S*`)
	for line := range strings.Lines(p.screen()) {
		line = private.ReplaceAllStringFunc(line, func(path string) string {
			shown := "/home/you" + strings.TrimPrefix(path, p.m.home)
			return shown + strings.Repeat(" ", max(0, len(path)-len(shown))) // borders stay in their columns
		})
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	dir := filepath.Join("testdata", "captures")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.m.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, file+".txt"), []byte(b.String()), 0o644); err != nil {
		p.m.t.Fatal(err)
	}
}

// linkIn finds an invite link on a screen, where a box breaks it into lines.
func linkIn(screen string) string {
	var link strings.Builder
	for line := range strings.Lines(screen) {
		cells := strings.Split(strings.TrimRight(line, "\n"), "│")
		found := false
		for _, c := range cells {
			c = strings.TrimSpace(c)
			if link.Len() == 0 && strings.HasPrefix(c, "HEARSAY:") || link.Len() > 0 && base32Line.MatchString(c) {
				link.WriteString(c)
				found = true
			}
		}
		if link.Len() > 0 && !found {
			break
		}
	}
	return link.String()
}

var base32Line = regexp.MustCompile(`^[A-Z2-7]+$`)
