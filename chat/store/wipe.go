package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Files returns the names of the files that a store may have.
func Files() []string {
	return []string{
		keystoreFile, plainKeyFile, keystoreFile + newSuffix, plainKeyFile + newSuffix, databaseFile, databaseFile + newSuffix,
	}
}

// Wipe destroys the store in a directory, whatever state it is in and without a
// passphrase: it overwrites and removes the keys, and then removes the database.
// It goes on after a failure and returns all of them. A process that has the
// store open keeps what it has in memory, but cannot write keys again.
func Wipe(dir string) error {
	return wipe(disk{}, dir)
}

func wipe(d disk, dir string) error {
	var failed []error
	for _, f := range []string{keystoreFile, plainKeyFile, keystoreFile + newSuffix, plainKeyFile + newSuffix} {
		failed = append(failed, d.shred(filepath.Join(dir, f)))
	}
	for _, f := range []string{databaseFile, databaseFile + newSuffix} {
		err := os.Remove(filepath.Join(dir, f))
		if !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
	}
	_ = SyncDir(dir)
	return errors.Join(failed...)
}

// Wipe destroys the open store as the function does, and its keys in memory once
// the transactions that use them have ended. It is to be closed nevertheless.
func (s *Store) Wipe() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.wiped {
		s.wiped = true
		old := s.keys
		s.keys = &keyTable{locked: true, box: boxKey{public: old.box.public}}
		old.retire()
	}
	return wipe(s.disk, s.dir)
}
