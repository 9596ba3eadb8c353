package gossip

import (
	"bytes"
	"encoding/binary"
	"errors"

	"go.etcd.io/bbolt"
)

// bucketBases holds what leads back from the newest snapshot (SPEC.md §10.1).
var bucketBases = []byte("bases") // log size u64 → base

// bases returns what saveBase stored, the youngest first.
func (a *archive) bases() (list [][]byte, err error) {
	err = a.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketBases)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for k, v := c.Last(); k != nil; k, v = c.Prev() {
			list = append(list, bytes.Clone(v))
		}
		return nil
	})
	return list, err
}

// saveBase stores a base under its place in the log, in place of all that does
// not come before it, and forgets those beyond the newest maxBases. Nil forgets
// all.
func (a *archive) saveBase(index uint64, base []byte) error {
	return a.db.Update(func(tx *bbolt.Tx) error {
		if base == nil {
			if tx.Bucket(bucketBases) == nil {
				return nil
			}
			return tx.DeleteBucket(bucketBases)
		}
		b, err := tx.CreateBucketIfNotExists(bucketBases)
		if err != nil {
			return err
		}
		key := binary.BigEndian.AppendUint64(nil, index)
		var drop [][]byte
		n := 1
		c := b.Cursor()
		for k, _ := c.Last(); k != nil; k, _ = c.Prev() {
			if bytes.Compare(k, key) >= 0 {
				drop = append(drop, bytes.Clone(k))
			} else if n++; n > maxBases {
				drop = append(drop, bytes.Clone(k))
			}
		}
		for _, k := range drop {
			err = errors.Join(err, b.Delete(k))
		}
		return errors.Join(err, b.Put(key, base))
	})
}
