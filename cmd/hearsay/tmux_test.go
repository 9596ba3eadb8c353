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

// until waits until a screen has all of some texts, and returns it. It may be taken
// while it is drawn, from above: to read what stands in it, or what does not, the last
// text is one below that.
func (p *pane) until(texts ...string) string {
	p.m.t.Helper()
	return p.untilScreen(strings.Join(texts, ", "), func(s string) bool { return hasAll(s, texts) })
}

// untilGone waits until a text is not on a screen any more.
func (p *pane) untilGone(text string) {
	p.m.t.Helper()
	p.untilScreen("no "+text, func(s string) bool { return !strings.Contains(s, text) })
}

// untilScreen waits until a screen is as it should be.
func (p *pane) untilScreen(what string, ok func(screen string) bool) string {
	p.m.t.Helper()
	s, seen := p.within(patience, ok)
	if !seen {
		p.m.t.Fatalf("%s does not see within %s: %s", p.name, patience, what)
	}
	return s
}

// within waits until a screen is as it should be, and tells whether it is in time.
func (p *pane) within(limit time.Duration, ok func(screen string) bool) (screen string, seen bool) {
	p.m.t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		s := p.screen()
		if ok(s) {
			return s, true
		}
		select {
		case <-tick.C:
		case <-deadline:
			return s, false
		}
	}
}

// untilOrGuard is until, but for what may wait for a guard while a relay is down:
// where a mailbox relay is one of somebody's first two guards and the other one is
// down, no third serves for hours (circuit/path/SPEC.md §2.2). If the network as
// somebody sees it says so after half a minute, the relay comes back.
func (p *pane) untilOrGuard(people []*pane, back func(), texts ...string) {
	p.m.t.Helper()
	for began := time.Now(); time.Since(began) < patience; {
		if _, seen := p.within(30*time.Second, func(s string) bool { return hasAll(s, texts) }); seen {
			return
		}
		if back != nil && slices.ContainsFunc(people, (*pane).awaitsGuard) {
			p.m.t.Logf("%s: waits for a guard; the relay comes back", strings.Join(texts, ", "))
			back()
			back = nil
		}
	}
	p.until(texts...)
}

// awaitsGuard tells whether the network, as it is seen from here, says that something
// waits for a guard beside a mailbox relay.
func (p *pane) awaitsGuard() bool {
	p.m.t.Helper()
	p.keys("F3")
	var left strings.Builder // the pane that says it, without the ends of its lines
	for line := range strings.Lines(p.until("Circuits", "[esc] close")) {
		if cells := strings.Split(line, "│"); len(cells) > 1 {
			left.WriteString(strings.TrimSpace(cells[1]) + " ")
		}
	}
	p.escape("Circuits")
	return strings.Contains(left.String(), "the mailbox relay is your guard")
}

// hasAll tells whether a screen has all of some texts.
func hasAll(screen string, texts []string) bool {
	return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(screen, text) })
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
	p.until(text)
	p.keys("Enter")
}

// command runs a slash command. What is typed goes to the list of commands, which
// shows a part of it.
func (p *pane) command(text string) {
	p.m.t.Helper()
	p.write(text)
	p.until(text[max(0, len(text)-12):])
	p.keys("Enter")
}

// secret types what is shown as dots.
func (p *pane) secret(text string) {
	p.m.t.Helper()
	p.write(text)
	p.until(strings.Repeat("·", len(text)))
	p.keys("Enter")
}

// escape presses escape until a text is gone: with a key right after it, it would
// be one with alt.
func (p *pane) escape(gone string) {
	p.m.t.Helper()
	p.keys("Escape")
	p.untilGone(gone)
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
