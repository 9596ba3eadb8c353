package mailbox

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// The buckets (SPEC.md §7.2).
var (
	bucketQueues  = []byte("q") // RID → queue
	bucketSenders = []byte("s") // SID → RID
	bucketBlocks  = []byte("m") // RID‖seq → until, message id, block
	bucketIDs     = []byte("d") // RID‖message id → what was answered
	bucketLinks   = []byte("l") // LID → RID, blob
	bucketExpiry  = []byte("x") // hour‖kind‖RID‖[message id]
	bucketRecords = []byte("a") // blinded key‖period → address record
	bucketTime    = []byte("t") // the highest hour seen
	allBuckets    = [][]byte{bucketQueues, bucketSenders, bucketBlocks, bucketIDs, bucketLinks, bucketExpiry, bucketRecords, bucketTime}
	keyHour       = []byte("hour")
)

// errUnreadable marks a row whose key is gone.
var errUnreadable = errors.New("mailbox: the key of the row is gone")

// store is the database and its keys. Reads may come from any goroutine, writes
// only from the committer.
type store struct {
	db      *bolt.DB
	keys    *keyring
	secret  [32]byte
	dummy   RID // a queue that exists for the work of failing (SPEC.md §4.2)
	lab     bool
	hour    atomic.Uint32 // highest hour seen; never falls
	dropped atomic.Uint64 // unreadable rows met
	reads   atomic.Uint64 // queue rows read and opened to authenticate somebody

	readToday readToday
}

// openStore opens or creates the store in dir. noSync is for tests alone.
func openStore(dir string, lab, noSync bool) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	keys, err := openKeyring(filepath.Join(dir, "keys"))
	if err != nil {
		return nil, err
	}
	s := &store{keys: keys, lab: lab}
	if err := s.loadSecret(filepath.Join(dir, "secret")); err != nil {
		return nil, err
	}
	s.dummy = RID(keyed(s.secret, labelDummy, nil))
	path := filepath.Join(dir, "mailbox.db")
	if err := createDB(path); err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	s.db, err = bolt.Open(path, 0o600, &bolt.Options{
		Timeout: time.Second, NoFreelistSync: true, FreelistType: bolt.FreelistMapType, NoSync: noSync,
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, errors.New("mailbox: another process uses this directory")
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	err = s.db.Update(func(tx *bolt.Tx) error { // a database of before there were address records
		_, err := tx.CreateBucketIfNotExists(bucketRecords)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), s.db.Close())
	}
	return s, nil
}

func (s *store) loadSecret(path string) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b = make([]byte, 32)
		_, _ = rand.Read(b)
		err = createFile(path, b)
	}
	if err != nil {
		return err
	}
	if len(b) != 32 {
		return errors.New("mailbox: the file of the relay secret is damaged")
	}
	s.secret = [32]byte(b)
	return nil
}

// createDB creates an empty database that exists whole or not at all: bbolt's
// own creation can be torn by a crash.
func createDB(path string) error {
	if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tmp := path + newSuffix
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := bolt.Open(tmp, 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, b := range allBuckets {
			if _, err := tx.CreateBucket(b); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Sync(), db.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// now returns the protocol hour, which never falls, not even over a restart: a
// clock that jumps back must not keep expired rows.
func (s *store) now() uint32 {
	h := Hours(time.Now(), s.lab)
	for {
		old := s.hour.Load()
		if h <= old {
			return old
		}
		if s.hour.CompareAndSwap(old, h) {
			return h
		}
	}
}

// rowHead is the class and day in front of a sealed value.
const rowHead = 4

// seal encrypts a value under the key of the hour's day: class 1, day 3, nonce
// 24, XChaCha20-Poly1305 with bucket, head and key as associated data.
func (s *store) seal(class keyClass, hour uint32, bucket, key, plain []byte) ([]byte, error) {
	id := keyID{class: class, day: hour / 24}
	aead, err := s.keys.make(id)
	if err != nil {
		return nil, err
	}
	row := make([]byte, rowHead+24, rowHead+24+len(plain)+16)
	binary.BigEndian.PutUint32(row, id.day)
	row[0] = byte(class)
	_, _ = rand.Read(row[rowHead:])
	return aead.Seal(row, row[rowHead:], plain, rowAAD(bucket, row[:rowHead], key)), nil
}

// open decrypts what seal made. It returns errUnreadable.
func (s *store) open(bucket, key, row []byte) ([]byte, error) {
	if len(row) < rowHead+24+16 {
		return nil, errUnreadable
	}
	aead, ok := s.keys.get(keyID{class: keyClass(row[0]), day: binary.BigEndian.Uint32(row) & 0xFFFFFF})
	if !ok {
		return nil, errUnreadable
	}
	plain, err := aead.Open(nil, row[rowHead:rowHead+24], row[rowHead+24:], rowAAD(bucket, row[:rowHead], key))
	if err != nil {
		return nil, errUnreadable
	}
	return plain, nil
}

func rowAAD(bucket, head, key []byte) []byte {
	b := make([]byte, 0, 1+rowHead+len(key))
	return append(append(append(b, bucket...), head...), key...)
}

func (s *store) close() error { return s.db.Close() }
