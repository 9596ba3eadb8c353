package program

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestNothingIsAskedInTheBackground: a program that was started with & does not
// prompt for a passphrase. The shell would get it, show it and write it into its history.
func TestNothingIsAskedInTheBackground(t *testing.T) {
	const child = "HEARSAY_TEST_ASKS"
	if os.Getenv(child) != "" {
		_, err := ReadPassphrase("", "passphrase: ", false)
		fmt.Println("asked:", err)
		os.Exit(0)
	}
	_, terminal := openTerminal(t)
	var out bytes.Buffer
	cmd := exec.Command("/bin/sh", "-c", `set -m; "$0" -test.run "^$1\$" & wait`, os.Args[0], t.Name())
	cmd.Env = append(os.Environ(), child+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Contains(got, "passphrase: ") || !strings.Contains(got, "background") {
		t.Errorf("%q", got)
	}
}
