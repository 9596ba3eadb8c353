package relay

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Errors of a home directory that callers decide on.
var (
	ErrHomeInUse = errors.New("relay: another process uses this home")
	ErrHomeOpen  = errors.New("relay: others may read this home or a file in it")
)

// unfinished begins the names of files that are being written.
const unfinished = ".new-"

// home is the directory of one node: 0700, files 0600, held by one process.
type home struct {
	dir  string
	lock *os.File
}

// CheckHome fails with ErrHomeOpen if others may read a home or a file in it. It
// changes nothing.
func CheckHome(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("home: %w", err)
		}
		st, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a running relay removes files
		}
		if err != nil {
			return fmt.Errorf("home: %w", err)
		}
		if othersMayRead(st) && st.Mode()&fs.ModeSocket == 0 {
			return fmt.Errorf("%w: %s has mode %#o", ErrHomeOpen, path, st.Mode().Perm())
		}
		return nil
	})
}

// openHome makes the directory if it is missing and locks it. It refuses one
// that others may read.
func openHome(dir string) (*home, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("home: %w", err)
	}
	st, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("home: %w", err)
	}
	if othersMayRead(st) {
		return nil, fmt.Errorf("%w: %s has mode %#o, want 0700", ErrHomeOpen, dir, st.Mode().Perm())
	}
	if _, err := os.Lstat(filepath.Join(dir, restoring)); err == nil {
		return nil, fmt.Errorf("%w: %s", ErrRestoring, dir) // new keys in the place of those to come
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("home: %w", err)
	}
	if held, err := lockFile(f); err != nil {
		f.Close()
		if held {
			return nil, fmt.Errorf("%w: %s", ErrHomeInUse, dir)
		}
		return nil, fmt.Errorf("home: lock: %w", err)
	}
	return &home{dir: dir, lock: f}, nil
}

// close gives the home free. Idempotent.
func (h *home) close() {
	if h.lock != nil {
		h.lock.Close() // drops the lock
		h.lock = nil
	}
}

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }

// read returns a file, or nil if there is none.
func (h *home) read(name string) ([]byte, error) {
	p := h.path(name)
	st, err := os.Stat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if othersMayRead(st) {
		return nil, fmt.Errorf("%w: %s has mode %#o, want 0600", ErrHomeOpen, p, st.Mode().Perm())
	}
	return os.ReadFile(p)
}

// write replaces a file as a whole: after a crash it is the old or the new
// one.
func (h *home) write(name string, b []byte) (err error) {
	p := h.path(name)
	f, err := os.CreateTemp(h.dir, unfinished+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(b); err == nil {
		err = ownAs(f, h.dir)
	}
	if err == nil {
		err = f.Sync()
	}
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return err
	}
	if err = os.Rename(f.Name(), p); err != nil {
		return err
	}
	return h.sync()
}

// remove deletes a file, if it exists.
func (h *home) remove(name string) error {
	if err := os.Remove(h.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return h.sync()
}

// sync makes renames and removals in the directory last.
func (h *home) sync() error { return syncDir(h.dir) }

// rename puts one file in the place of another.
func (h *home) rename(from, to string) error {
	if err := os.Rename(h.path(from), h.path(to)); err != nil {
		return err
	}
	return h.sync()
}
