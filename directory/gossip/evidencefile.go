package gossip

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"go.etcd.io/bbolt"
)

// bucketNotices holds what everybody must hear (SPEC.md §10.1): kind u8 and the
// SHA-256 of the value → the value.
var bucketNotices = []byte("notices")

// notices returns all notices of a kind.
func (a *archive) notices(kind noticeKind) (raws [][]byte, err error) {
	err = a.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketNotices)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for k, v := c.Seek([]byte{byte(kind)}); k != nil && k[0] == byte(kind); k, v = c.Next() {
			raws = append(raws, bytes.Clone(v))
		}
		return nil
	})
	return raws, err
}

// saveNotice writes one notice.
func (a *archive) saveNotice(kind noticeKind, raw []byte) error {
	return a.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucketNotices)
		if err != nil {
			return err
		}
		return b.Put(noticeKey(kind, raw), raw)
	})
}

// dropNotice forgets one notice.
func (a *archive) dropNotice(kind noticeKind, raw []byte) error {
	return a.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketNotices)
		if b == nil {
			return nil
		}
		return b.Delete(noticeKey(kind, raw))
	})
}

func noticeKey(kind noticeKind, raw []byte) []byte {
	sum := sha256.Sum256(raw)
	return append([]byte{byte(kind)}, sum[:]...)
}

// saveWitnessed replaces the head of an epoch, and the newest snapshot, by ones
// that differ in the words of witnesses alone.
func (a *archive) saveWitnessed(epoch uint64, head, snapshot []byte) error {
	return a.db.Update(func(tx *bbolt.Tx) error {
		if err := tx.Bucket(bucketHeads).Put(binary.BigEndian.AppendUint64(nil, epoch), head); err != nil {
			return err
		}
		return tx.Bucket(bucketMeta).Put(metaSnapshot, snapshot)
	})
}

// saveLeaves writes the leaves of the log from index first on and drops those after
// them.
func (a *archive) saveLeaves(first uint64, leaves [][32]byte) error {
	return a.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketLeaves)
		for i, l := range leaves {
			if err := b.Put(binary.BigEndian.AppendUint64(nil, first+uint64(i)), l[:]); err != nil {
				return err
			}
		}
		c := b.Cursor()
		end := binary.BigEndian.AppendUint64(nil, first+uint64(len(leaves)))
		for k, _ := c.Seek(end); k != nil; k, _ = c.Seek(end) {
			if err := c.Delete(); err != nil {
				return err
			}
		}
		return nil
	})
}

// headAt returns the head whose place in the log is given, nil if it is not
// there. Places rise with epochs.
func (a *archive) headAt(place uint64) (raw []byte, err error) {
	err = a.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketHeads).Cursor()
		first, _ := c.First()
		last, _ := c.Last()
		if first == nil || len(first) != 8 || len(last) != 8 {
			return nil
		}
		low, high := binary.BigEndian.Uint64(first), binary.BigEndian.Uint64(last)
		for low <= high {
			mid := low + (high-low)/2
			k, v := c.Seek(binary.BigEndian.AppendUint64(nil, mid))
			if k == nil {
				return nil
			}
			at, err := placeOf(v)
			switch {
			case err != nil:
				return err
			case at == place:
				raw = bytes.Clone(v)
				return nil
			case at < place:
				low = binary.BigEndian.Uint64(k) + 1
			case mid == 0:
				return nil
			default:
				high = mid - 1
			}
		}
		return nil
	})
	return raw, err
}
