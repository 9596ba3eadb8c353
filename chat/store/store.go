// Package store keeps a client's home on disk: one encrypted bbolt file and the
// keystore beside it. SPEC.md has the formats.
//
// A transaction spans any number of buckets, so that a ratchet state, the rows
// that depend on it and the events it causes are on disk together or not at all;
// Update returns after fsync. Every value is sealed and padded, every name is
// hashed; what stays visible is the number of rows, their sizes in steps of 128
// bytes and the sequence numbers of sequences.
//
// The package knows nothing of what it keeps.
package store

import (
	"errors"
	"time"
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
	// ErrMode: the directory or a file in it may be read by others.
	ErrMode = errors.New("store: others may read the home")
	// ErrExists: Create found a store.
	ErrExists = errors.New("store: there is a store already")
	// ErrNotExist: Open found none.
	ErrNotExist = errors.New("store: there is no store")
	// ErrDamaged: a file or a row is not what was written.
	ErrDamaged = errors.New("store: damaged")
	// ErrVersion: written by a later version.
	ErrVersion = errors.New("store: written by a later version")
)

var errStub = errors.New("store: not written yet")

// Config says where the store is and how it is protected.
type Config struct {
	Dir        string // the home; made with mode 0700 by Create if missing
	Passphrase []byte // empty: file mode alone protects the home
	// Memory is the memory of Argon2id in MiB for Create: 0 means 256, the
	// least is 64. Open takes it from the file.
	Memory int
}

// Store is an open store. Its methods are safe for concurrent use.
type Store struct{}

// Exists reports whether dir holds a store and whether it needs a passphrase.
func Exists(dir string) (exists, passphrase bool, err error) { return false, false, errStub }

// Create makes a store in cfg.Dir and opens it.
func Create(cfg Config) (*Store, error) { return nil, errStub }

// Open opens the store in cfg.Dir. It waits at most one second for another
// process to leave it.
func Open(cfg Config) (*Store, error) { return nil, errStub }

// Close closes the store after running transactions and erases its keys. It is
// idempotent.
func (s *Store) Close() error { return nil }

// Encrypted reports whether the store has a passphrase. If not, people are to
// be warned.
func (s *Store) Encrypted() bool { return false }

// Update runs fn in a read-write transaction and commits it, with fsync, unless
// fn returns an error. Updates run one after the other.
func (s *Store) Update(fn func(*Tx) error) error { return errStub }

// View runs fn in a read-only transaction.
func (s *Store) View(fn func(*Tx) error) error { return errStub }

// Tx is a transaction; it is valid, and its buckets are, until fn returns, in
// fn's goroutine.
type Tx struct{}

// Bucket returns the rows under a name, keyed by strings. It need not exist.
func (t *Tx) Bucket(name string) *Bucket { return &Bucket{} }

// Sequence returns the rows under a name, keyed and ordered by numbers.
func (t *Tx) Sequence(name string) *Sequence { return &Sequence{} }

// History returns the messages of one conversation, in order. Each row is
// sealed under the key of its conversation and week.
func (t *Tx) History(conversation string) *History { return &History{} }

// Bucket is a set of rows with string keys of 1 to 255 bytes.
type Bucket struct{}

// Get returns a copy of the value, or nil if there is none.
func (b *Bucket) Get(key string) ([]byte, error) { return nil, errStub }

// Put sets the value, at most 16 MiB.
func (b *Bucket) Put(key string, value []byte) error { return errStub }

// Delete removes the row, if there.
func (b *Bucket) Delete(key string) error { return errStub }

// Each calls fn for each row, in no useful order. fn must not change the bucket.
func (b *Bucket) Each(fn func(key string, value []byte) error) error { return errStub }

// Drop removes all rows.
func (b *Bucket) Drop() error { return errStub }

// Sequence is a set of rows with number keys.
type Sequence struct{}

// Get returns a copy of the value, or nil if there is none.
func (q *Sequence) Get(n uint64) ([]byte, error) { return nil, errStub }

// Put sets the value, at most 16 MiB.
func (q *Sequence) Put(n uint64, value []byte) error { return errStub }

// Add puts the value under the next number (from 1), never used before in this
// sequence, and returns it.
func (q *Sequence) Add(value []byte) (uint64, error) { return 0, errStub }

// Delete removes the row, if there.
func (q *Sequence) Delete(n uint64) error { return errStub }

// Last returns the highest number in use, 0 if there is none.
func (q *Sequence) Last() (uint64, error) { return 0, errStub }

// Up calls fn for the rows from number from on, rising, until it returns false.
// fn must not change the sequence.
func (q *Sequence) Up(from uint64, fn func(n uint64, value []byte) (bool, error)) error {
	return errStub
}

// Down calls fn for the rows from number from on, falling, until it returns
// false. fn must not change the sequence.
func (q *Sequence) Down(from uint64, fn func(n uint64, value []byte) (bool, error)) error {
	return errStub
}

// Drop removes all rows. Numbers of Add go on.
func (q *Sequence) Drop() error { return errStub }

// History is a sequence whose rows are sealed under keys per week.
type History struct{}

// Get returns a copy of the value, or nil if there is none.
func (h *History) Get(n uint64) ([]byte, error) { return nil, errStub }

// Put sets the value under the key of the week of when. A row that is there
// keeps the week it has.
func (h *History) Put(n uint64, when time.Time, value []byte) error { return errStub }

// Add puts the value under the next number (from 1) and returns it.
func (h *History) Add(when time.Time, value []byte) (uint64, error) { return 0, errStub }

// Delete removes the row, if there.
func (h *History) Delete(n uint64) error { return errStub }

// Up is as for Sequence.
func (h *History) Up(from uint64, fn func(n uint64, value []byte) (bool, error)) error {
	return errStub
}

// Down is as for Sequence.
func (h *History) Down(from uint64, fn func(n uint64, value []byte) (bool, error)) error {
	return errStub
}

// KV returns an adapter for packages that keep a few named values; each Save is
// a transaction of its own. Adapters with different names share nothing.
func (s *Store) KV(name string) *KV { return &KV{} }

// KV keeps named values. It is safe for concurrent use.
type KV struct{}

// Load returns a copy of the value, or nil if there is none.
func (k *KV) Load(name string) ([]byte, error) { return nil, errStub }

// Save sets the value and returns once it is on disk.
func (k *KV) Save(name string, value []byte) error { return errStub }
