package relay

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockFile locks a file for this process until it is closed. held says that
// another process has it.
func lockFile(f *os.File) (held bool, err error) {
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
	return errors.Is(err, windows.ERROR_LOCK_VIOLATION), err
}

// othersMayRead cannot tell: the access list of this system is not in the mode.
func othersMayRead(os.FileInfo) bool { return false }

// syncDir does nothing: this system syncs no directories.
func syncDir(string) error { return nil }

// ownAs does nothing: files take the access list of their directory.
func ownAs(*os.File, string) error { return nil }
