package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// checkMode refuses what others may read or write. Windows has no such modes.
func checkMode(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing: %w", filepath.Base(path), ErrDamaged)
	}
	if err != nil {
		return err
	}
	if runtime.GOOS != "windows" && st.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%w: %s has mode %04o", ErrMode, path, st.Mode().Perm())
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// disk is how small files are changed.
type disk struct {
	testOnlyStep func(step, file string) error // nil: nothing interrupts
}

func (d disk) step(step, path string) error {
	if d.testOnlyStep == nil {
		return nil
	}
	return d.testOnlyStep(step, filepath.Base(path))
}

// write replaces a file at once: after a crash it is the old one or the new
// one, whole.
func (d disk) write(path string, content []byte) error {
	if err := d.step("write", path+newSuffix); err != nil {
		return err
	}
	f, err := os.OpenFile(path+newSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	if err := d.step("rename", path); err != nil {
		return err
	}
	if err := os.Rename(path+newSuffix, path); err != nil {
		return err
	}
	if err := d.step("sync", path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// shred overwrites a file and removes it. The disk may keep old pages of it. What
// is no ordinary file, such as a link, is only removed.
func (d disk) shred(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := d.step("overwrite", path); err != nil {
		return err
	}
	var failed error
	if st.Mode().IsRegular() {
		failed = overwrite(path, min(st.Size(), maxKeystore))
	}
	if err := d.step("remove", path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	_ = SyncDir(filepath.Dir(path))
	return failed
}

func overwrite(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, size))
	if e := f.Sync(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// SyncDir makes renames in a directory last.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // directories cannot be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}

// readSmallFile reads a file of at most limit bytes.
func readSmallFile(path string, limit int) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing: %w", filepath.Base(path), ErrDamaged)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(b) > limit {
		return nil, fmt.Errorf("%s is too long: %w", filepath.Base(path), ErrDamaged)
	}
	return b, nil
}
