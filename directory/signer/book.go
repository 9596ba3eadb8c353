package signer

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"hearsay/directory"
)

// dbName is the file in the state directory (SPEC.md §4).
const dbName = "signer.db"

// Buckets and keys (SPEC.md §4).
var (
	bucketHeads   = []byte("heads")   // epoch u64 → head that this signer signed, for ever
	bucketLeaves  = []byte("leaves")  // index u64 → leaf hash, for ever
	bucketReached = []byte("reached") // relay id → last successes
	bucketSent    = []byte("sent")    // epoch u64, kind u8, attempt u8 → message of this signer
	bucketPending = []byte("pending") // hash → header that was signed and is not complete
	bucketMeta    = []byte("meta")

	metaSnapshot    = []byte("snapshot")    // the newest, raw
	metaLedger      = []byte("ledger")      // directory.Ledger after it
	metaSRV         = []byte("srv")         // directory.SRVState after it
	metaSecret      = []byte("secret")      // 32 bytes, from which numbers for random values follow
	metaFiles       = []byte("files")       // u64: versions of the network file in the log
	metaCertificate = []byte("certificate") // the newest, raw
)

// errTwice guards the invariant of this package.
var errTwice = errors.New("signer: this epoch number has a header already")

// errNotWritten is returned when an epoch could not be written to disk.
var errNotWritten = errors.New("signer: not written to disk")

var errDamaged = errors.New("signer: the stored state is damaged")

// book is the signer's state on disk. It is used by one goroutine.
type book struct {
	db           *bbolt.DB
	testOnlyFull atomic.Bool // writes fail as on a full disk
}

func openBook(dir string) (*book, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	db, err := bbolt.Open(filepath.Join(dir, dbName), 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dbName, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, b := range [][]byte{bucketHeads, bucketLeaves, bucketReached, bucketSent, bucketPending, bucketMeta} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		if len(tx.Bucket(bucketMeta).Get(metaSecret)) == 32 {
			return nil
		}
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails
		return tx.Bucket(bucketMeta).Put(metaSecret, secret)
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &book{db: db}, nil
}

func (b *book) close() error { return b.db.Close() }

// pages is what the book holds.
type pages struct {
	snapshot    []byte // nil: none was signed yet
	ledger      *directory.Ledger
	srv         []byte         // nil: no state was kept with the snapshot
	log         *directory.Log // the newest header included
	files       uint64
	certificate []byte
	secret      [32]byte
	reached     map[directory.RelayID]successes
	pending     []signed
}

// successes are the last times at which the addresses of a relay answered.
type successes map[netip.AddrPort]time.Time

func (b *book) read() (p pages, err error) {
	p.reached = make(map[directory.RelayID]successes)
	var leaves [][32]byte
	err = b.db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		p.snapshot = bytes.Clone(meta.Get(metaSnapshot))
		p.certificate = bytes.Clone(meta.Get(metaCertificate))
		p.srv = bytes.Clone(meta.Get(metaSRV))
		p.secret = [32]byte(meta.Get(metaSecret))
		if v := meta.Get(metaFiles); v != nil {
			if len(v) != 8 {
				return errDamaged
			}
			p.files = binary.BigEndian.Uint64(v)
		}
		p.ledger = &directory.Ledger{}
		if v := meta.Get(metaLedger); v != nil {
			if p.ledger, err = directory.ParseLedger(v); err != nil {
				return err
			}
		}
		err := tx.Bucket(bucketLeaves).ForEach(func(_, v []byte) error {
			if len(v) != 32 {
				return errDamaged
			}
			leaves = append(leaves, [32]byte(v))
			return nil
		})
		if err != nil {
			return err
		}
		err = tx.Bucket(bucketPending).ForEach(func(_, v []byte) error {
			g, err := parseSigned(bytes.Clone(v))
			p.pending = append(p.pending, g)
			return err
		})
		if err != nil {
			return err
		}
		return tx.Bucket(bucketReached).ForEach(func(k, v []byte) error {
			s, err := parseSuccesses(v)
			if err != nil || len(k) != 32 {
				return errDamaged
			}
			p.reached[directory.RelayID(k)] = s
			return nil
		})
	})
	if err != nil {
		return p, err
	}
	p.log, err = directory.LogOf(leaves)
	return p, err
}

// entry is one epoch: what must be on disk before its snapshot is released.
type entry struct {
	snapshot    *directory.Snapshot
	raw         []byte
	ledger      *directory.Ledger
	srv         *directory.SRVState
	solo        bool   // this signer alone signs, now and here
	first       uint64 // index of the first new leaf
	leaves      [][32]byte
	files       uint64
	certificate []byte
	reached     map[directory.RelayID]successes
}

// write enters a complete snapshot, all or nothing, and returns once it is on
// disk. What was pending is so no more. It fails with errTwice if this signer alone
// signs now and the number, or a later one, has a header already, and else with
// errNotWritten.
func (b *book) write(e entry) error {
	head, err := e.snapshot.Head.Encode()
	if err != nil {
		return err
	}
	err = b.db.Update(func(tx *bbolt.Tx) error {
		heads := tx.Bucket(bucketHeads)
		k := binary.BigEndian.AppendUint64(nil, e.snapshot.Header.Epoch)
		if last, _ := heads.Cursor().Last(); e.solo && last != nil && bytes.Compare(last, k) >= 0 {
			return errTwice
		}
		// Of others' headers only those are kept here that this signer signed too.
		if e.solo || sameHead(heads.Get(k), e.snapshot.Hash()) {
			if err := heads.Put(k, head); err != nil {
				return err
			}
		}
		if err := emptyBucket(tx, bucketPending); err != nil {
			return err
		}
		leaves := tx.Bucket(bucketLeaves)
		for i, l := range e.leaves {
			if err := leaves.Put(binary.BigEndian.AppendUint64(nil, e.first+uint64(i)), l[:]); err != nil {
				return err
			}
		}
		if err := emptyBucket(tx, bucketReached); err != nil {
			return err
		}
		reached := tx.Bucket(bucketReached)
		for id, s := range e.reached {
			if err := reached.Put(id[:], s.append(nil)); err != nil {
				return err
			}
		}
		if b.testOnlyFull.Load() {
			return syscall.ENOSPC
		}
		meta := tx.Bucket(bucketMeta)
		return errors.Join(
			meta.Put(metaSnapshot, e.raw),
			meta.Put(metaLedger, e.ledger.Append(nil)),
			meta.Put(metaSRV, e.srv.Append(nil)),
			meta.Put(metaFiles, binary.BigEndian.AppendUint64(nil, e.files)),
			meta.Put(metaCertificate, e.certificate),
		)
	})
	if err != nil && !errors.Is(err, errTwice) {
		return fmt.Errorf("%w: %w", errNotWritten, err)
	}
	return err
}

// append encodes the successes: address length u8, address, Unix seconds u64.
func (s successes) append(b []byte) []byte {
	for a, t := range s {
		raw, err := a.MarshalBinary()
		if err != nil {
			continue // an AddrPort always marshals
		}
		b = append(b, byte(len(raw)))
		b = append(b, raw...)
		b = binary.BigEndian.AppendUint64(b, uint64(t.Unix()))
	}
	return b
}

func parseSuccesses(b []byte) (successes, error) {
	s := make(successes)
	for len(b) > 0 {
		n := 1 + int(b[0])
		if len(b) < n+8 {
			return nil, errDamaged
		}
		var a netip.AddrPort
		if err := a.UnmarshalBinary(b[1:n]); err != nil {
			return nil, errDamaged
		}
		t := binary.BigEndian.Uint64(b[n:])
		if t > 1<<40 {
			return nil, errDamaged
		}
		s[a] = time.Unix(int64(t), 0)
		b = b[n+8:]
	}
	return s, nil
}
