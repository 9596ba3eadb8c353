package store

import (
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// Tx is a transaction; it is valid, and its buckets are, until fn returns, in
// fn's goroutine.
type Tx struct {
	store *Store
	keys  *keyTable // those of its beginning
	bolt  *bolt.Tx
	wrote bool // something may have changed

	emptied map[historyID]struct{} // weeks of which a row was deleted
	erased  map[name]struct{}      // histories that were dropped
}

var (
	errEnded     = errors.New("store: transaction has ended")
	errUnchanged = errors.New("store: nothing was written") // rolls an update back instead of syncing the disk
)

func (t *Tx) end() {
	t.bolt = nil
	t.store.release(t.keys)
}

// rows is one bucket of the file. It need not exist before the first put.
type rows struct {
	tx   *Tx
	kind kind
	name name
	b    *bolt.Bucket // nil: not looked up yet or missing
}

func (t *Tx) rows(k kind, s string) rows {
	return rows{tx: t, kind: k, name: t.keys.bucketName(k, s)}
}

// key returns what seals the rows, histories aside; ErrLocked if it was erased.
func (r *rows) key() ([keySize]byte, error) {
	switch {
	case r.kind == kindNetwork:
		return r.tx.keys.network, nil
	case r.tx.keys.locked:
		return [keySize]byte{}, ErrLocked
	}
	return r.tx.keys.state, nil
}

// find returns the bucket, or nil if there is none.
func (r *rows) find() (*bolt.Bucket, error) {
	if r.tx.bolt == nil {
		return nil, errEnded
	}
	if r.b == nil {
		r.b = r.tx.bolt.Bucket(r.name[:])
	}
	return r.b, nil
}

// make returns the bucket, which it makes if there is none.
func (r *rows) make() (*bolt.Bucket, error) {
	r.tx.wrote = true
	b, err := r.find()
	if b != nil || err != nil {
		return b, err
	}
	if r.b, err = r.tx.bolt.CreateBucketIfNotExists(r.name[:]); err != nil {
		return nil, fmt.Errorf("store: make bucket: %w", err)
	}
	return r.b, nil
}

func (r *rows) get(key []byte) ([]byte, error) {
	b, err := r.find()
	if b == nil || err != nil {
		return nil, err
	}
	return b.Get(key), nil
}

func (r *rows) put(key, sealed []byte) error {
	b, err := r.make()
	if err != nil {
		return err
	}
	if err := b.Put(key, sealed); err != nil {
		return fmt.Errorf("store: put: %w", err)
	}
	return nil
}

func (r *rows) remove(key []byte) error {
	b, err := r.find()
	if b == nil || err != nil {
		return err
	}
	r.tx.wrote = true
	if err := b.Delete(key); err != nil {
		return fmt.Errorf("store: delete: %w", err)
	}
	return nil
}

// drop removes all rows but keeps the count of numbers given out.
func (r *rows) drop() error {
	b, err := r.find()
	if b == nil || err != nil {
		return err
	}
	r.tx.wrote = true
	n := b.Sequence()
	r.b = nil
	if err := r.tx.bolt.DeleteBucket(r.name[:]); err != nil {
		return fmt.Errorf("store: drop: %w", err)
	}
	if n == 0 {
		return nil
	}
	if b, err = r.make(); err != nil {
		return err
	}
	return b.SetSequence(n)
}
