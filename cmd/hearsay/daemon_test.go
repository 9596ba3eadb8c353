package main

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hearsay/cmd/program"
)

// daemonLine is the ready line of a daemon, which has no id.
type daemonLine struct {
	V                     int
	Type, Program, Listen string
	ID, Network           *string
	Lab                   *bool
}

// startDaemon starts a daemon and reads its ready line.
func startDaemon(t *testing.T, home string, args ...string) *process {
	t.Helper()
	d := start(t, "hearsay", append([]string{"daemon", "--home", home, "--json"}, args...)...)
	var r daemonLine
	unmarshal(t, d.line(), &r)
	if r.V != 1 || r.Type != "ready" || r.Program != "hearsay" || r.ID != nil || r.Listen != filepath.Join(home, "hearsay.sock") {
		t.Fatalf("ready line %+v", r)
	}
	at, err := os.Lstat(r.Listen)
	if err != nil || at.Mode().Perm() != 0o600 || at.Mode()&fs.ModeSocket == 0 {
		t.Fatalf("mode %v, error %v", at.Mode(), err)
	}
	return d
}

// TestDaemonKilled kills the daemon while a program is attached: the program
// hears it, what was answered is there after a restart, the old socket is
// replaced, and a home has one daemon.
func TestDaemonKilled(t *testing.T) {
	dir := t.TempDir()
	link := foundedNetwork(t, dir)
	home := filepath.Join(dir, "home")
	d := startDaemon(t, home, "--network", link)
	second := start(t, "hearsay", "daemon", "--home", home)
	if code := second.wait(); code != program.ExitHomeInUse || !strings.Contains(second.errors(), "a daemon runs for this home already") {
		t.Errorf("a second daemon exits with %d: %s", code, second.errors())
	}

	a, b := startScript(t, "hearsay", "rpc", "--home", home), startScript(t, "hearsay", "rpc", "--home", home)
	b.must(nil, "subscribe", nil)
	var sent struct{ ID string }
	a.must(&sent, "message.send", map[string]any{"contact": "notes", "text": "on the disk", "key": "k"})
	b.until("the other hears it", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.events) > 0
	})
	a.stdin.Close() // the end of its input ends the program, not the daemon
	if code := a.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	d.kill()
	if code := b.wait(); code != program.ExitFailure || !strings.Contains(b.errors(), "hearsay: error: the daemon has ended\nhearsay: hint: start it again") {
		t.Errorf("exit code %d: %s", code, b.errors())
	}
	if _, err := net.Dial("unix", filepath.Join(home, "hearsay.sock")); err == nil {
		t.Fatal("somebody listens")
	}

	// Without a daemon hearsay rpc opens the home itself.
	alone := startScript(t, "hearsay", "rpc", "--home", home)
	alone.shutdown()
	d = startDaemon(t, home)
	c := startScript(t, "hearsay", "rpc", "--home", home)
	if list := c.messages("notes"); len(list) != 1 || list[0].Text != "on the disk" || list[0].ID != sent.ID {
		t.Errorf("messages %+v", list)
	}
	var again struct{ ID string }
	c.must(&again, "message.send", map[string]any{"contact": "notes", "text": "on the disk", "key": "k"})
	if again.ID != sent.ID {
		t.Errorf("the same key made %s, before %s", again.ID, sent.ID)
	}
	c.shutdown()
	stop := start(t, "hearsay", "daemon", "stop", "--home", home)
	if code := stop.wait(); code != 0 {
		t.Errorf("daemon stop exits with %d: %s", code, stop.errors())
	}
	if code := d.wait(); code != 0 {
		t.Errorf("the daemon exits with %d: %s", code, d.errors())
	}
	if _, err := os.Lstat(filepath.Join(home, "hearsay.sock")); err == nil {
		t.Error("the socket is left")
	}
	for _, command := range [][]string{{"daemon", "stop"}, {"attach"}} {
		p := start(t, "hearsay", append(command, "--home", home)...)
		if code := p.wait(); code == 0 {
			t.Errorf("%v without a daemon exits with 0", command)
		}
	}
}

// TestDaemonTrustsNoOpenHome: whoever may write to the home could put a socket of
// their own there.
func TestDaemonTrustsNoOpenHome(t *testing.T) {
	dir := t.TempDir()
	home := filepath.Join(dir, "home")
	d := startDaemon(t, home, "--network", foundedNetwork(t, dir))
	if err := os.Chmod(home, 0o770); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"rpc"}, {"daemon", "stop"}, {"daemon"}} {
		p := start(t, "hearsay", append(command, "--home", home)...)
		if code := p.wait(); code != program.ExitRefused {
			t.Errorf("%v exits with %d: %s", command, code, p.errors())
		}
	}
	d.terminate()
	if code := d.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// foundedNetwork returns the link of a network whose directory does not run.
func foundedNetwork(t *testing.T, dir string) string {
	t.Helper()
	p := start(t, "hearsay-directory", "init", "--home", filepath.Join(dir, "directory"), "--lab", "--name", "one", "--listen", freePort(t), "--json")
	var made struct{ Link string }
	unmarshal(t, p.line(), &made)
	p.wait()
	return made.Link
}
