//go:build unix

package store

import (
	"os"
	"path/filepath"
	"syscall"
)

// Place names the file that the database lies in: another number than before
// means that the home is a copy, as one put back from an old state is. 0: not
// known.
func (s *Store) Place() uint64 {
	st, err := os.Stat(filepath.Join(s.dir, databaseFile))
	if err != nil {
		return 0
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return sys.Ino
	}
	return 0
}
