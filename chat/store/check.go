package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// checkAhead is how many rows are checked between two looks at the context.
const checkAhead = 256

// CheckFile looks whether the database in dir can be walked from end to end, and each
// of its pages is either in use or free. It needs no key, and the store need not open.
// The errors to decide on are ErrNotExist, ErrInUse and ErrDamaged.
func CheckFile(dir string) error {
	path := filepath.Join(dir, databaseFile)
	if !exists(path) {
		return ErrNotExist
	}
	err := guarded(func() error {
		db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockTimeout, ReadOnly: true})
		if err != nil {
			return databaseError(err)
		}
		defer db.Close()
		if err := whole(db, path); err != nil {
			return err
		}
		return db.View(func(tx *bolt.Tx) error {
			if err := eachRow(tx, func([]byte, []byte, []byte) error { return nil }); err != nil {
				return err
			}
			return accounted(tx, path)
		})
	})
	if err != nil {
		return fmt.Errorf("check store: %w", err)
	}
	return nil
}

// Check opens every row of the store and returns how many there are, and how many
// of them do not open. While the store is locked it fails with ErrLocked, and with
// ErrDamaged if the file cannot be walked to its end.
func (s *Store) Check(ctx context.Context) (all, damaged int, err error) {
	err = guarded(func() error {
		return s.View(func(tx *Tx) error {
			if tx.keys.locked {
				return ErrLocked
			}
			return eachRow(tx.bolt, func(bucket, key, sealed []byte) error {
				if all++; all%checkAhead == 0 && ctx.Err() != nil {
					return ctx.Err()
				}
				if !tx.opens(name(bucket), key, sealed) {
					damaged++
				}
				return nil
			})
		})
	})
	if err != nil {
		return all, damaged, fmt.Errorf("check store: %w", err)
	}
	return all, damaged, nil
}

// opens tells whether a row is what was written there. Its bucket's hashed name
// does not tell of what kind it is, but a key of another kind never opens it.
func (t *Tx) opens(bucket name, key, sealed []byte) bool {
	for _, k := range [][keySize]byte{t.keys.state, t.keys.network} {
		if _, err := openRow(k, bucket, key, sealed); err == nil {
			return true
		}
	}
	h := History{rows{tx: t, kind: kindHistory, name: bucket}}
	if _, err := h.open(key, sealed); err == nil || errors.Is(err, errForgotten) {
		return true
	}
	b := Box{rows{tx: t, kind: kindBox, name: bucket}}
	_, err := b.open(key, sealed)
	return err == nil
}

// eachRow calls fn for all rows of all buckets.
func eachRow(tx *bolt.Tx, fn func(bucket, key, sealed []byte) error) error {
	return tx.ForEach(func(bucket []byte, b *bolt.Bucket) error {
		if len(bucket) != nameSize {
			return fmt.Errorf("bucket: %w", ErrDamaged)
		}
		return b.ForEach(func(key, sealed []byte) error {
			if sealed == nil {
				return fmt.Errorf("a bucket within a bucket: %w", ErrDamaged)
			}
			return fn(bucket, key, sealed)
		})
	})
}

// whole fails with ErrDamaged if the end of a database is missing: what is read of
// it there would end the program.
func whole(db *bolt.DB, path string) error {
	at, err := os.Stat(path)
	if err != nil {
		return err
	}
	return db.View(func(tx *bolt.Tx) error {
		if tx.Size() > at.Size() {
			return fmt.Errorf("%s has %d of %d bytes: %w", databaseFile, at.Size(), tx.Size(), ErrDamaged)
		}
		return nil
	})
}

// guarded turns what damaged pages make of bbolt, a panic or a fault, into
// ErrDamaged.
func guarded(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: %v: %w", databaseFile, p, ErrDamaged)
		}
	}()
	return fn()
}

// databaseError says what went wrong with opening a database.
func databaseError(err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrInUse
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return fmt.Errorf("open database: %w", err)
}
