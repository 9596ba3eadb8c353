package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestProfileExitCodes checks the codes of commands that handle whole profiles.
func TestProfileExitCodes(t *testing.T) {
	dir := t.TempDir()
	p := start(t, "hearsay-directory", "init", "--home", dir+"/d", "--lab", "--name", "one", "--listen", "127.0.0.1:4443", "--json")
	var made struct{ Link string }
	unmarshal(t, p.line(), &made)
	pass := filepath.Join(dir, "pass")
	if err := os.WriteFile(pass, []byte("four words or more\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code := func(want int, args ...string) {
		t.Helper()
		p := start(t, "hearsay", args...)
		p.stdin.Close()
		if code := p.wait(); code != want {
			t.Errorf("%q: %d, want %d", args, code, want)
		}
	}
	home := dir + "/h"
	code(6, "passphrase", "--home", home, "--new-passphrase-file", pass)
	code(6, "wipe", "--home", home, "--yes")
	holder := startScript(t, "hearsay", "rpc", "--home", home, "--network", made.Link)
	code(8, "backup", dir+"/file", "--home", home, "--backup-passphrase-file", pass)
	code(8, "passphrase", "--home", home, "--new-passphrase-file", pass)
	holder.terminate()
	holder.wait()
	code(3, "passphrase", "--home", home)
	code(3, "backup", dir+"/file", "--home", home)
	code(2, "backup", "--home", home)
	code(2, "rpc", "--profile", "../x")
	code(7, "wipe", "--home", home)
	code(7, "restore", pass, "--home", home, "--backup-passphrase-file", pass)
	code(2, "restore", pass, "--home", dir+"/r", "--backup-passphrase-file", pass)
	code(6, "restore", dir+"/none", "--home", dir+"/r", "--backup-passphrase-file", pass)
	code(0, "wipe", "--home", home, "--yes")
}

// TestDaemonHandlesItsProfile backs up and wipes a profile whose daemon runs.
func TestDaemonHandlesItsProfile(t *testing.T) {
	dir := t.TempDir()
	p := start(t, "hearsay-directory", "init", "--home", dir+"/d", "--lab", "--name", "one", "--listen", "127.0.0.1:4443", "--json")
	var made struct{ Link string }
	unmarshal(t, p.line(), &made)
	pass := filepath.Join(dir, "pass")
	if err := os.WriteFile(pass, []byte("four words or more\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := start(t, "hearsay", "daemon", "--home", dir+"/h", "--network", made.Link)
	daemon.line()
	for _, args := range [][]string{
		{"backup", dir + "/file", "--backup-passphrase-file", pass},
		{"wipe", "--yes"},
	} {
		p := start(t, "hearsay", append(args, "--home", dir+"/h")...)
		p.stdin.Close()
		if code := p.wait(); code != 0 {
			t.Errorf("%q: %d", args, code)
		}
	}
	if st, err := os.Stat(dir + "/file"); err != nil || st.Size() == 0 {
		t.Errorf("the backup: %v", err)
	}
	daemon.wait() // nothing is left to run on
	if left, err := os.ReadDir(dir + "/h"); err == nil && len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestWipeIsQuick wipes the home of a client that runs: it waits neither for it nor
// for a network, and the client ends without writing keys again. It takes less than
// two seconds on a machine that does nothing else.
func TestWipeIsQuick(t *testing.T) {
	dir := t.TempDir()
	p := start(t, "hearsay-directory", "init", "--home", dir+"/d", "--lab", "--name", "one", "--listen", "127.0.0.1:4443", "--json")
	var made struct{ Link string }
	unmarshal(t, p.line(), &made)
	holder := startScript(t, "hearsay", "rpc", "--home", dir+"/h", "--network", made.Link)
	big := filepath.Join(dir, "h", "spool", "x")
	if err := os.MkdirAll(filepath.Dir(big), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(big, make([]byte, 64<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w := start(t, "hearsay", "wipe", "--home", dir+"/h", "--yes")
	if code := w.wait(); code != 0 {
		t.Errorf("wipe: %d", code)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("wipe took %s", took)
	}
	holder.terminate()
	holder.wait()
	if left, err := os.ReadDir(dir + "/h"); err == nil && len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
