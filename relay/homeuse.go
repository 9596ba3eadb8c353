package relay

import (
	"fmt"
	"os"
	"path/filepath"
)

// CheckUnused fails with ErrHomeInUse if a process holds the home. It changes nothing.
func CheckUnused(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if err != nil {
		return nil // never used, or not ours to open
	}
	defer f.Close() // drops the lock
	if held, _ := lockFile(f); held {
		return fmt.Errorf("%w: %s", ErrHomeInUse, dir)
	}
	return nil
}
