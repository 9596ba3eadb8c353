package gossip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"hearsay/directory"
)

// Names in the state directory (SPEC.md §10).
const (
	archiveName = "gossip.db"
	recordsName = "records"
)

// headerMemory is how long heads are kept for those who compare them.
const headerMemory = 30 * 24 * time.Hour

// Buckets and keys of the archive (SPEC.md §10.1).
var (
	bucketFiles  = []byte("files")  // version u32 → raw version of the network file
	bucketLeaves = []byte("leaves") // index u64 → leaf hash
	bucketHeads  = []byte("heads")  // epoch u64 → head
	bucketMeta   = []byte("meta")

	metaState    = []byte("state")    // directory.State
	metaSnapshot = []byte("snapshot") // the newest, raw
	metaSecret   = []byte("secret")   // 32 bytes, by which peers are drawn
)

// archive is what a node knows for certain, on disk: the network file, the log,
// heads and the newest snapshot. It is safe for concurrent use.
type archive struct{ db *bbolt.DB }

func openArchive(dir string) (*archive, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	db, err := bbolt.Open(filepath.Join(dir, archiveName), 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", archiveName, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, b := range [][]byte{bucketFiles, bucketLeaves, bucketHeads, bucketMeta} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &archive{db: db}, nil
}

func (a *archive) close() error { return a.db.Close() }

// files returns all versions of the network file, oldest first.
func (a *archive) files() (raws [][]byte, err error) {
	err = a.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketFiles).ForEach(func(_, v []byte) error {
			raws = append(raws, bytes.Clone(v))
			return nil
		})
	})
	return raws, err
}

// saveFiles writes the versions of a verified chain that are not there yet.
func (a *archive) saveFiles(c *directory.Chain) error {
	return a.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketFiles)
		for i, raw := range c.Raw(1) {
			k := binary.BigEndian.AppendUint32(nil, uint32(i+1))
			if b.Get(k) == nil {
				if err := b.Put(k, raw); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// stored is what a restart needs.
type stored struct {
	state    []byte
	snapshot []byte
	secret   []byte
	leaves   [][32]byte
}

func (a *archive) load() (s stored, err error) {
	err = a.db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		s.state, s.snapshot, s.secret = bytes.Clone(meta.Get(metaState)), bytes.Clone(meta.Get(metaSnapshot)), bytes.Clone(meta.Get(metaSecret))
		return tx.Bucket(bucketLeaves).ForEach(func(_, v []byte) error {
			if len(v) != 32 {
				return errors.New("gossip: the archive is damaged")
			}
			s.leaves = append(s.leaves, [32]byte(v))
			return nil
		})
	})
	return s, err
}

func (a *archive) saveSecret(secret []byte) error {
	return a.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(metaSecret, secret) })
}

// saveSnapshot writes a verified snapshot, its head, the state to remember and
// the leaves from index first on, all or nothing.
func (a *archive) saveSnapshot(raw, head []byte, h *directory.Header, state directory.State, first uint64, leaves [][32]byte) error {
	return a.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketLeaves)
		b.FillPercent = 1 // keys rise
		for i, l := range leaves {
			if err := b.Put(binary.BigEndian.AppendUint64(nil, first+uint64(i)), l[:]); err != nil {
				return err
			}
		}
		heads := tx.Bucket(bucketHeads)
		if err := heads.Put(binary.BigEndian.AppendUint64(nil, h.Epoch), head); err != nil {
			return err
		}
		if err := nameHead(tx, h.Epoch, state.Header); err != nil {
			return err
		}
		oldest := h.ValidAfter.Add(-directory.Scale(h.Lab(), headerMemory))
		floor := binary.BigEndian.AppendUint64(nil, directory.EpochNumber(h.Lab(), oldest))
		c := heads.Cursor()
		for k, _ := c.First(); k != nil && bytes.Compare(k, floor) < 0; k, _ = c.First() {
			if err := c.Delete(); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		return errors.Join(meta.Put(metaState, state.Append(nil)), meta.Put(metaSnapshot, raw))
	})
}

// head returns the head of an epoch, nil if it is not there.
func (a *archive) head(epoch uint64) (raw []byte, err error) {
	err = a.db.View(func(tx *bbolt.Tx) error {
		raw = bytes.Clone(tx.Bucket(bucketHeads).Get(binary.BigEndian.AppendUint64(nil, epoch)))
		return nil
	})
	return raw, err
}
