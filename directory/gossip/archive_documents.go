package gossip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"hearsay/directory"
)

// Specification constants: how long documents are kept (SPEC.md §7.5).
const (
	documentEpochs = 72             // the newest ones, at least
	documentSpan   = 49 * time.Hour // and those younger than that: two whole rounds of shared random values
)

// Buckets of documents (SPEC.md §10.1).
var (
	bucketDocuments = []byte("documents") // hash 32 → document
	bucketNeeded    = []byte("needed")    // hash 32 → epoch u64, the last that needs it
	bucketKept      = []byte("kept")      // epoch u64 → nothing: epochs of which the documents are here
	bucketNames     = []byte("names")     // header hash 32 → epoch u64 of its head
)

// keepDocuments stores what an epoch needs, each document once however many
// epochs need it, and drops what no epoch needs that is still of interest.
func (a *archive) keepDocuments(lab bool, epoch uint64, docs []Document) error {
	return a.db.Update(func(tx *bbolt.Tx) error {
		var b [3]*bbolt.Bucket
		for i, name := range [][]byte{bucketDocuments, bucketNeeded, bucketKept} {
			var err error
			if b[i], err = tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		documents, needed, kept := b[0], b[1], b[2]
		number := binary.BigEndian.AppendUint64(nil, epoch)
		for _, d := range docs {
			if documents.Get(d.Hash[:]) == nil {
				if err := documents.Put(d.Hash[:], d.Raw); err != nil {
					return err
				}
			}
			if old := needed.Get(d.Hash[:]); old != nil && bytes.Compare(old, number) >= 0 {
				continue
			}
			if err := needed.Put(d.Hash[:], number); err != nil {
				return err
			}
		}
		if err := kept.Put(number, nil); err != nil {
			return err
		}
		floor, drop := documentFloor(lab, kept)
		if len(drop) == 0 {
			return nil
		}
		for _, k := range drop {
			if err := kept.Delete(k); err != nil {
				return err
			}
		}
		return dropDocuments(documents, needed, floor)
	})
}

// documentFloor returns the oldest epoch whose documents stay, and the numbers of
// those before it.
func documentFloor(lab bool, kept *bbolt.Bucket) (floor []byte, drop [][]byte) {
	c := kept.Cursor()
	newest, _ := c.Last()
	span := uint64(directory.Scale(lab, documentSpan) / directory.EpochUnit(lab))
	first := binary.BigEndian.Uint64(newest)
	first -= min(first, span)
	n := 0
	for k, _ := c.Last(); k != nil; k, _ = c.Prev() {
		if n++; n <= documentEpochs || binary.BigEndian.Uint64(k) >= first {
			floor = k
			continue
		}
		drop = append(drop, bytes.Clone(k))
	}
	return bytes.Clone(floor), drop
}

// dropDocuments removes what only epochs below floor needed.
func dropDocuments(documents, needed *bbolt.Bucket, floor []byte) error {
	var gone [][]byte
	c := needed.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if bytes.Compare(v, floor) < 0 {
			gone = append(gone, bytes.Clone(k))
		}
	}
	for _, k := range gone {
		if err := errors.Join(documents.Delete(k), needed.Delete(k)); err != nil {
			return err
		}
	}
	return nil
}

// document returns what the hash names, nil if it is not here. Of a hash whose
// second half is zero the first half counts.
func (a *archive) document(hash [32]byte) (raw []byte, err error) {
	err = a.db.View(func(tx *bbolt.Tx) error {
		if k := tx.Bucket(bucketNames); k != nil {
			if epoch := k.Get(hash[:]); epoch != nil {
				raw = bytes.Clone(tx.Bucket(bucketHeads).Get(epoch))
				return nil
			}
		}
		b := tx.Bucket(bucketDocuments)
		if b == nil {
			return nil
		}
		name := hash[:]
		if [16]byte(name[16:]) == [16]byte{} {
			name = name[:16]
		}
		if k, v := b.Cursor().Seek(name); bytes.HasPrefix(k, name) {
			raw = bytes.Clone(v)
		}
		return nil
	})
	return raw, err
}

// eachDocument calls f with what finds documents by the first halves of their names,
// nil if there is none. What it finds is good until f returns.
func (a *archive) eachDocument(f func(find func(half [16]byte) []byte)) error {
	return a.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketDocuments)
		f(func(half [16]byte) []byte {
			if b == nil {
				return nil
			}
			if k, v := b.Cursor().Seek(half[:]); bytes.HasPrefix(k, half[:]) {
				return v
			}
			return nil
		})
		return nil
	})
}

// nameHead lets a head be found by the hash of its header, and forgets the names
// of heads that are gone.
func nameHead(tx *bbolt.Tx, epoch uint64, header [32]byte) error {
	names, err := tx.CreateBucketIfNotExists(bucketNames)
	if err != nil {
		return err
	}
	heads := tx.Bucket(bucketHeads)
	oldest, _ := heads.Cursor().First()
	var gone [][]byte
	c := names.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if bytes.Compare(v, oldest) < 0 {
			gone = append(gone, bytes.Clone(k))
		}
	}
	for _, k := range gone {
		if err := names.Delete(k); err != nil {
			return err
		}
	}
	return names.Put(header[:], binary.BigEndian.AppendUint64(nil, epoch))
}
