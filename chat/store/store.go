// Package store keeps a client's home on disk: one encrypted bbolt file and the
// keystore beside it. SPEC.md has the formats.
//
// A transaction spans any number of buckets, so that a ratchet state, the rows
// that depend on it and the events it causes are on disk together or not at all;
// Update returns after fsync. Every value is sealed and padded, every name is
// hashed; what stays visible is the number of rows, their sizes in steps of 128
// bytes and the numbers of sequences.
//
// The package knows nothing of what it keeps.
package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

// What callers decide on.
var (
	// ErrPassphrase: the passphrase is wrong.
	ErrPassphrase = errors.New("store: wrong passphrase")
	// ErrPassphraseNeeded: the store has a passphrase and none was given.
	ErrPassphraseNeeded = errors.New("store: a passphrase is needed")
	// ErrNoPassphrase: a passphrase was given, but the store has none.
	ErrNoPassphrase = errors.New("store: the store has no passphrase")
	// ErrInUse: another process has the home open.
	ErrInUse = errors.New("store: home in use by another process")
	// ErrMode: the directory or a file in it may be used by others.
	ErrMode = errors.New("store: home is open to other users")
	// ErrExists: Create found a store.
	ErrExists = errors.New("store: there is a store already")
	// ErrNotExist: Open found none.
	ErrNotExist = errors.New("store: there is no store")
	// ErrDamaged: a file or a row is not what was written.
	ErrDamaged = errors.New("store: damaged")
	// ErrVersion: written by a later version.
	ErrVersion = errors.New("store: written by a later version")
	// ErrLocked: the keys that this needs were erased by Lock.
	ErrLocked = errors.New("store: locked")
	// ErrWiped: the keys were destroyed.
	ErrWiped = errors.New("store: wiped")
)

// The files of a store.
const (
	databaseFile = "store.db"
	keystoreFile = "store.keys"
	plainKeyFile = "store.key" // only without a passphrase
	newSuffix    = ".new"
)

// schema is the version of the rows; it is bound into each of them.
const schema = 1

// lockTimeout is how long Open and Create wait for another process to leave.
const lockTimeout = time.Second

// Config says where the store is and how it is protected.
type Config struct {
	Dir        string // the home; made with mode 0700 by Create if missing
	Passphrase []byte // empty: file mode alone protects the home
	// Memory is the memory of Argon2id in MiB for Create: 0 means 256, the
	// least is 64, the most 4096. Open takes it from the file.
	Memory int

	// testOnlyStep is asked before each step that changes a file; what it returns
	// ends the work there, as a crash would.
	testOnlyStep func(step, file string) error
}

// Store is an open store. Its methods are safe for concurrent use.
type Store struct {
	db     *bolt.DB
	dir    string
	disk   disk
	memory int // MiB, for a new passphrase; 0: the default

	writing sync.Mutex // held by an Update and what follows its commit

	mu        sync.Mutex // guards what follows and parts of keys; not held over transactions' functions
	keys      *keyTable
	gone      map[historyID]struct{} // weeks that were forgotten since the store was opened
	swept     bool                   // the note that keys are to be dropped can go
	encrypted bool
	closed    bool
	wiped     bool
}

// Exists reports whether dir holds a store and whether it needs a passphrase.
func Exists(dir string) (exists, passphrase bool, err error) {
	if _, err := os.Lstat(filepath.Join(dir, databaseFile)); errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	} else if err != nil {
		return false, false, fmt.Errorf("look for store: %w", err)
	}
	h, _, err := readKeystore(dir)
	if err != nil {
		return true, false, err
	}
	return true, h.kdf == kdfArgon2id, nil
}

// Create makes a store in cfg.Dir and opens it. It waits at most one second for
// another process that does the same. The errors to decide on are ErrExists,
// ErrInUse and ErrMode.
func Create(cfg Config) (*Store, error) {
	s, err := create(cfg)
	if err != nil {
		return nil, fmt.Errorf("create store: %w", err)
	}
	return s, nil
}

func create(cfg Config) (*Store, error) {
	h, err := newHeader(cfg)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := checkMode(cfg.Dir); err != nil {
		return nil, err
	}
	final := filepath.Join(cfg.Dir, databaseFile)
	if exists(final) {
		return nil, ErrExists
	}
	// The lock on the new file keeps a second Create out until it is renamed.
	db, err := openDatabase(final + newSuffix)
	if err != nil {
		return nil, err
	}
	s := newStore(cfg, db)
	s.encrypted = h.kdf == kdfArgon2id
	if err := s.initialise(h, cfg.Passphrase, final); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// initialise writes keys first, then the rows, then gives the file its name.
func (s *Store) initialise(h header, passphrase []byte, final string) error {
	if exists(final) {
		return ErrExists // made while we waited for the lock
	}
	secret := passphrase
	if h.kdf == kdfKeyFile {
		secret = make([]byte, keySize)
		if _, err := io.ReadFull(rand.Reader, secret); err != nil {
			return err
		}
		if err := s.disk.write(filepath.Join(s.dir, plainKeyFile), secret); err != nil {
			return err
		}
	} else if err := os.Remove(filepath.Join(s.dir, plainKeyFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // of a Create that was interrupted
	}
	keys, err := newKeyTable(h, secret)
	if err != nil {
		return err
	}
	s.keys = keys
	if err := s.keys.write(s.disk, s.dir); err != nil {
		return err
	}
	if err := s.db.Update(emptyDatabase); err != nil {
		return err
	}
	if err := s.Update(func(tx *Tx) error {
		return tx.Bucket(schemaBucket).Put(schemaKey, []byte{schema})
	}); err != nil {
		return err
	}
	if runtime.GOOS == "windows" { // does not rename open files
		if err := s.db.Close(); err != nil {
			return err
		}
		if err := os.Rename(final+newSuffix, final); err != nil {
			return err
		}
		s.db, err = openDatabase(final)
		return err
	}
	if err := os.Rename(final+newSuffix, final); err != nil {
		return err
	}
	return SyncDir(s.dir)
}

const (
	schemaBucket = "store"
	schemaKey    = "schema"
)

// emptyDatabase drops what an interrupted Create may have left.
func emptyDatabase(tx *bolt.Tx) error {
	var names [][]byte
	if err := tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
		names = append(names, append([]byte(nil), name...))
		return nil
	}); err != nil {
		return err
	}
	for _, n := range names {
		if err := tx.DeleteBucket(n); err != nil {
			return err
		}
	}
	return nil
}

// Open opens the store in cfg.Dir. It waits at most one second for another
// process to leave it. The errors to decide on are ErrNotExist, ErrInUse,
// ErrMode, ErrPassphrase, ErrPassphraseNeeded, ErrNoPassphrase, ErrDamaged and
// ErrVersion.
func Open(cfg Config) (*Store, error) {
	s, err := openStore(cfg)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

func openStore(cfg Config) (*Store, error) {
	path := filepath.Join(cfg.Dir, databaseFile)
	if !exists(path) {
		return nil, ErrNotExist
	}
	for _, p := range []string{cfg.Dir, path, filepath.Join(cfg.Dir, keystoreFile)} {
		if err := checkMode(p); err != nil {
			return nil, err
		}
	}
	db, err := openDatabase(path)
	if err != nil {
		return nil, err
	}
	s := newStore(cfg, db)
	if err := s.open(cfg.Passphrase); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func newStore(cfg Config, db *bolt.DB) *Store {
	return &Store{db: db, dir: cfg.Dir, memory: cfg.Memory, disk: disk{cfg.testOnlyStep}, gone: make(map[historyID]struct{})}
}

// readKeys opens the keystore of a directory.
func readKeys(dir string, passphrase []byte) (*keyTable, error) {
	h, rest, err := readKeystore(dir)
	if err != nil {
		return nil, err
	}
	secret := passphrase
	switch {
	case h.kdf == kdfArgon2id && len(passphrase) == 0:
		return nil, ErrPassphraseNeeded
	case h.kdf == kdfKeyFile && len(passphrase) != 0:
		return nil, ErrNoPassphrase
	case h.kdf == kdfKeyFile:
		path := filepath.Join(dir, plainKeyFile)
		if err := checkMode(path); err != nil {
			return nil, err
		}
		if secret, err = readSmallFile(path, keySize); err != nil {
			return nil, err
		}
		defer clear(secret)
		if len(secret) != keySize {
			return nil, fmt.Errorf("key file: %w", ErrDamaged)
		}
	}
	return openKeyTable(h, secret, rest)
}

// open reads the keystore, under the lock of the database, and ends what a
// crash interrupted.
func (s *Store) open(passphrase []byte) (err error) {
	if s.keys, err = readKeys(s.dir, passphrase); err != nil {
		return err
	}
	s.encrypted = s.keys.header.kdf == kdfArgon2id
	forget := false
	err = s.View(func(tx *Tx) error {
		v, err := tx.Bucket(schemaBucket).Get(schemaKey)
		if err != nil {
			return err
		}
		if len(v) != 1 || v[0] != schema {
			return fmt.Errorf("keystore and database do not belong together: %w", ErrDamaged)
		}
		v, err = tx.Bucket(schemaBucket).Get(forgetKey)
		forget = v != nil
		return err
	})
	if err != nil {
		return err
	}
	if plain := filepath.Join(s.dir, plainKeyFile); s.encrypted && exists(plain) {
		if err := s.disk.shred(plain); err != nil { // of a change of the passphrase that was interrupted
			return err
		}
	}
	if forget {
		return s.sweep()
	}
	return nil
}

// openDatabase opens the file. One that is cut off is told before anything past
// its end is read.
func openDatabase(path string) (db *bolt.DB, err error) {
	err = guarded(func() error {
		if db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: lockTimeout, FreelistType: bolt.FreelistMapType}); err != nil {
			return databaseError(err)
		}
		return whole(db, path)
	})
	if err != nil && db != nil {
		_ = db.Close()
	}
	if err != nil {
		return nil, err
	}
	return db, nil
}

// Close closes the store after running transactions and erases its keys. It is
// idempotent.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	swept := s.swept && !s.wiped
	s.mu.Unlock()
	if swept { // saves the next Open a look at all weeks
		_ = s.Update(func(*Tx) error { return nil })
	}
	err := s.db.Close() // waits for transactions
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys != nil {
		s.keys.erase()
	}
	if err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Encrypted reports whether the store has a passphrase. If not, people are to
// be warned.
func (s *Store) Encrypted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.encrypted
}

// Update runs fn in a read-write transaction and commits it, with fsync, unless
// fn returns an error or panics. Updates run one after the other.
func (s *Store) Update(fn func(*Tx) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	var forget []historyID
	err := s.db.Update(func(t *bolt.Tx) (err error) {
		tx := s.begin(t)
		defer tx.end()
		if err := fn(tx); err != nil {
			return err
		}
		if forget, err = tx.forget(); err != nil {
			return err
		}
		if !tx.wrote {
			return errUnchanged
		}
		return tx.flushKeys() // before the rows that need them
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	if err == nil {
		s.drop(forget)
	}
	return err
}

// View runs fn in a read-only transaction.
func (s *Store) View(fn func(*Tx) error) error {
	return s.db.View(func(t *bolt.Tx) error {
		tx := s.begin(t)
		defer tx.end()
		return fn(tx)
	})
}

// begin gives a transaction the keys that there are now.
func (s *Store) begin(t *bolt.Tx) *Tx {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys.users++
	return &Tx{store: s, keys: s.keys, bolt: t}
}

// release ends a use of keys.
func (s *Store) release(k *keyTable) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.users--; k.users == 0 && k.retired {
		k.erase()
	}
}

// retire has keys erased once no transaction uses them. Store.mu is held.
func (k *keyTable) retire() {
	if k.retired = true; k.users == 0 {
		k.erase()
	}
}
