package main

import (
	"fmt"
	"os"
	"regexp"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNoCoreDumps asks the system what it would do with the memory of this
// process, and of a client that runs.
func TestNoCoreDumps(t *testing.T) {
	dir := t.TempDir()
	p := start(t, "hearsay-directory", "init", "--home", dir+"/d", "--lab", "--name", "one", "--listen", "127.0.0.1:4443", "--json")
	var made struct{ Link string }
	unmarshal(t, p.line(), &made)
	s := startScript(t, "hearsay", "rpc", "--home", dir+"/h", "--network", made.Link)
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`Max core file size +0 +0 `).Match(limits) {
		t.Errorf("limits:\n%s", limits)
	}
	keepMemory() // children of later tests begin with its limit
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); dumpable != 0 || err != nil {
		t.Errorf("dumpable %d, %v", dumpable, err)
	}
}
