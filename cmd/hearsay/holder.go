package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"hearsay/chat"
)

// holderName is the file in a home that says which process has it open. It is for
// people alone: what keeps a second process out is the lock of the store.
const holderName = "hearsay.pid"

// holderError says which process has a home open.
type holderError struct {
	pid int
	err error
}

// Error names the process.
func (e *holderError) Error() string {
	return fmt.Sprintf("process %d has this home open", e.pid)
}

// Unwrap returns chat's error.
func (e *holderError) Unwrap() error { return e.err }

// nameHolder adds the process to the error of a home in use, if it is known.
func nameHolder(home string, err error) error {
	if !errors.Is(err, chat.ErrHomeInUse) {
		return err
	}
	b, e := os.ReadFile(filepath.Join(home, holderName))
	pid, bad := strconv.Atoi(strings.TrimSpace(string(b)))
	if e != nil || bad != nil || pid <= 0 || !runs(pid) {
		return err
	}
	return &holderError{pid, err}
}

// runs tells whether there is such a process. On Windows finding it tells already.
func runs(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	if runtime.GOOS == "windows" {
		return true
	}
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, syscall.EPERM)
}

// holdHome writes down that this process has the home open. Where that fails, a
// second process cannot name it, and no more.
func holdHome(home string) {
	_ = os.WriteFile(filepath.Join(home, holderName), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
}

// leaveHome takes it back.
func leaveHome(home string) { _ = os.Remove(filepath.Join(home, holderName)) }
