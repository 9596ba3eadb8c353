package store

import "fmt"

// maxKey is the most bytes of a row's key in a Bucket.
const maxKey = 255

// Bucket is a set of rows with string keys of 1 to 255 bytes.
type Bucket struct{ rows rows }

// Bucket returns the rows under a name, keyed by strings. It need not exist.
func (t *Tx) Bucket(name string) *Bucket { return &Bucket{rows: t.rows(kindBucket, name)} }

// Get returns a copy of the value, or nil if there is none.
func (b *Bucket) Get(key string) ([]byte, error) {
	n := b.rows.tx.keys.rowName(b.rows.name, key)
	sealed, err := b.rows.get(n[:])
	if sealed == nil || err != nil {
		return nil, err
	}
	k, v, err := b.open(n[:], sealed)
	if err != nil {
		return nil, err
	}
	if k != key {
		return nil, fmt.Errorf("row: %w", ErrDamaged)
	}
	return v, nil
}

// open opens a row, which holds its key before the value: the hashed name alone
// could not be listed.
func (b *Bucket) open(name, sealed []byte) (key string, value []byte, err error) {
	k, err := b.rows.key()
	if err != nil {
		return "", nil, err
	}
	plain, err := openRow(k, b.rows.name, name, sealed)
	if err != nil {
		return "", nil, err
	}
	if len(plain) < 1 || len(plain) < 1+int(plain[0]) {
		return "", nil, fmt.Errorf("row: %w", ErrDamaged)
	}
	n := 1 + int(plain[0])
	return string(plain[1:n]), plain[n:], nil
}

// Put sets the value, at most 16 MiB less the key.
func (b *Bucket) Put(key string, value []byte) error {
	if len(key) == 0 || len(key) > maxKey {
		return fmt.Errorf("store: key of %d bytes", len(key))
	}
	plain := make([]byte, 0, 1+len(key)+len(value))
	plain = append(append(append(plain, byte(len(key))), key...), value...)
	k, err := b.rows.key()
	if err != nil {
		return err
	}
	n := b.rows.tx.keys.rowName(b.rows.name, key)
	sealed, err := sealRow(nil, k, b.rows.name, n[:], plain)
	if err != nil {
		return err
	}
	return b.rows.put(n[:], sealed)
}

// Delete removes the row, if there.
func (b *Bucket) Delete(key string) error {
	n := b.rows.tx.keys.rowName(b.rows.name, key)
	return b.rows.remove(n[:])
}

// Each calls fn for each row, in no useful order. fn must not change the bucket.
func (b *Bucket) Each(fn func(key string, value []byte) error) error {
	bb, err := b.rows.find()
	if bb == nil || err != nil {
		return err
	}
	c := bb.Cursor()
	for n, sealed := c.First(); n != nil; n, sealed = c.Next() {
		key, value, err := b.open(n, sealed)
		if err != nil {
			return err
		}
		if err := fn(key, value); err != nil {
			return err
		}
	}
	return nil
}

// Drop removes all rows.
func (b *Bucket) Drop() error { return b.rows.drop() }
