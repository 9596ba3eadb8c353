package signer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"go.etcd.io/bbolt"
	dberrors "go.etcd.io/bbolt/errors"

	"hearsay/directory"
)

// ErrDamaged is returned by New if the state on disk is damaged, so that this
// signer no longer knows what it has signed. An old copy in its place would sign
// again.
var ErrDamaged = errors.New("signer: " + dbName + " is damaged, and with it the memory of what was signed; an old copy must not take its place: founders replace this signer's keys")

// openSound opens the book and looks at every page once: the database trusts its
// pages, which it maps into memory, and damage must not show in the middle of an
// epoch.
func openSound(dir string) (b *book, err error) {
	err = guarded(func() error {
		if b, err = openBook(dir); err != nil {
			for _, damage := range []error{dberrors.ErrInvalid, dberrors.ErrChecksum, dberrors.ErrVersionMismatch} {
				if errors.Is(err, damage) {
					return fmt.Errorf("%w: %w", ErrDamaged, err)
				}
			}
			return err
		}
		if err := b.inspect(); err != nil {
			return err
		}
		p, err := b.read()
		if err == nil {
			err = p.belong()
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil
	})
	if err != nil && b != nil {
		err = errors.Join(err, guarded(b.close))
		b = nil
	}
	return b, err
}

// belong tells whether the newest snapshot, the log and the ledger are of each
// other.
func (p *pages) belong() error {
	if p.snapshot == nil {
		return nil
	}
	s, err := directory.ParseSnapshot(p.snapshot)
	if err != nil {
		return err
	}
	h := &s.Header
	root, err := p.log.Root(h.LogSize)
	switch {
	case err != nil:
		return err
	case root != h.LogRoot || p.log.Size() <= h.LogSize || p.log.Leaves(h.LogSize)[0] != directory.HeaderLeaf(s.Hash()):
		return errors.New("the log is not that of the newest snapshot")
	case p.ledger.Hash() != h.LedgerHash:
		return errors.New("the ledger is not that of the newest snapshot")
	}
	return nil
}

// guarded turns a panic or a fault into ErrDamaged.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	return f()
}

// inspect walks through all that the database holds.
func (b *book) inspect() error {
	return b.db.View(func(tx *bbolt.Tx) error {
		if f, err := os.Stat(b.db.Path()); err != nil || f.Size() < tx.Size() {
			return errors.Join(ErrDamaged, err)
		}
		return tx.ForEach(func(_ []byte, bucket *bbolt.Bucket) error {
			var last []byte
			return bucket.ForEach(func(k, _ []byte) error {
				if bytes.Compare(k, last) <= 0 {
					return ErrDamaged
				}
				last = append(last[:0], k...)
				return nil
			})
		})
	})
}
