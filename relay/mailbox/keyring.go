package mailbox

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"
)

// keyClass says how long rows sealed under a day's key may be needed after that
// day (SPEC.md §7.3).
type keyClass byte

const (
	classShort   keyClass = 0 // blocks of chats and addresses, message ids
	classLong    keyClass = 1 // queues, tombstones, invites
	classAddress keyClass = 2 // queues of addresses and their links
	classBrief   keyClass = 3 // blocks of files and drops
)

// days returns the days after which the class's key of a day is destroyed.
func (c keyClass) days() uint32 {
	switch c {
	case classShort:
		return 22
	case classAddress:
		return 181
	case classBrief:
		return 4
	}
	return 31
}

type keyID struct {
	class keyClass
	day   uint32 // protocol days since 1970, below 2^24
}

func (k keyID) name() string { return fmt.Sprintf("%d-%08d.key", k.class, k.day) }

// keyring holds the per-day value keys, each in a file of its own, so that
// destroying a file makes all rows of that day unreadable. It is safe for
// concurrent use; only the committer makes and destroys keys.
type keyring struct {
	dir string

	mu    sync.RWMutex
	aeads map[keyID]cipher.AEAD
}

func openKeyring(dir string) (*keyring, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	k := &keyring{dir: dir, aeads: make(map[keyID]cipher.AEAD)}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		var id keyID
		if n, err := fmt.Sscanf(e.Name(), "%d-%d.key", &id.class, &id.day); n != 2 || err != nil || e.Name() != id.name() {
			if strings.HasSuffix(e.Name(), newSuffix) {
				_ = os.Remove(filepath.Join(dir, e.Name())) // a key that no row was sealed under
			}
			continue
		}
		key, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if k.aeads[id], err = chacha20poly1305.NewX(key); err != nil {
			return nil, fmt.Errorf("mailbox key file %s: %w", e.Name(), err)
		}
	}
	return k, nil
}

func (k *keyring) get(id keyID) (cipher.AEAD, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	a, ok := k.aeads[id]
	return a, ok
}

// make returns the key of id, which it creates and syncs to the disk first.
func (k *keyring) make(id keyID) (cipher.AEAD, error) {
	if a, ok := k.get(id); ok {
		return a, nil
	}
	var key [32]byte
	_, _ = rand.Read(key[:])
	if err := createFile(filepath.Join(k.dir, id.name()), key[:]); err != nil {
		return nil, err
	}
	a, err := chacha20poly1305.NewX(key[:])
	clear(key[:])
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.aeads[id] = a
	return a, nil
}

// destroy overwrites and removes the keys that no live row needs at the hour now.
func (k *keyring) destroy(now uint32) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	removed := false
	for id := range k.aeads {
		if uint64(now) < 24*(uint64(id.day)+1+uint64(id.class.days())) {
			continue
		}
		if err := shred(filepath.Join(k.dir, id.name())); err != nil {
			return err
		}
		delete(k.aeads, id)
		removed = true
	}
	if !removed {
		return nil
	}
	return syncDir(k.dir)
}

// shred overwrites a file once and removes it. A flash disk may keep the old
// page; nothing can be done about that from here.
func shred(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, werr := f.WriteAt(make([]byte, 32), 0)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Remove(path)
}

// newSuffix marks files that are not complete yet.
const newSuffix = ".new"

// createFile writes a file so that it exists whole or not at all.
func createFile(path string, data []byte) error {
	f, err := os.OpenFile(path+newSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, werr := f.Write(data)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+newSuffix, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // directories cannot be synced there
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
