package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestExitCodes checks the codes that scripts branch on.
func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	p := start(t, "hearsay-directory", "init", "--home", dir+"/d", "--lab", "--name", "one", "--listen", "127.0.0.1:4443", "--json")
	var made struct{ Link string }
	unmarshal(t, p.line(), &made)
	pass := filepath.Join(dir, "pass")
	if err := os.WriteFile(pass, []byte("four words or more\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) int {
		p := start(t, "hearsay", args...)
		p.stdin.Close()
		return p.wait()
	}
	if code := run("rpc", "--home", dir+"/sealed", "--network", made.Link, "--passphrase-file", pass); code != 0 {
		t.Errorf("end of input: %d", code)
	}
	if code := run("rpc", "--home", dir+"/sealed"); code != 3 {
		t.Errorf("no passphrase: %d, want 3", code)
	}
	if code := run("rpc", "--nonsense"); code != 2 {
		t.Errorf("unknown flag: %d, want 2", code)
	}
	if code := run(); code != 2 {
		t.Errorf("no terminal: %d, want 2", code)
	}
	holder := startScript(t, "hearsay", "rpc", "--home", dir+"/h", "--network", made.Link)
	if code := run("rpc", "--home", dir+"/h"); code != 8 {
		t.Errorf("home in use: %d, want 8", code)
	}
	began := time.Now()
	holder.terminate()
	if code := holder.wait(); code != 0 {
		t.Errorf("SIGTERM: %d, want 0", code)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("SIGTERM took %s", took)
	}
	if err := os.Chmod(dir+"/h", 0o755); err != nil {
		t.Fatal(err)
	}
	if code := run("rpc", "--home", dir+"/h"); code != 7 {
		t.Errorf("home that others may read: %d, want 7", code)
	}
}
