package signer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"hearsay/directory"
)

// TestDamagedBookIsRefused: whatever became of the bytes of signer.db, a signer
// says that it is damaged, or goes on from the very snapshot that it made last;
// it never panics, and never goes on from another history.
func TestDamagedBookIsRefused(t *testing.T) {
	dir := t.TempDir()
	var last [32]byte
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, true, directory.JoinOpen)
		f := n.openFounder(t.TempDir(), dir)
		n.start(f)
		time.Sleep(65 * time.Second)
		check(t, ignoreCanceled(n.close(f, false)))
		last = f.signer.base.hash()
		n.stop()
	})
	whole, err := os.ReadFile(filepath.Join(dir, dbName))
	check(t, err)
	page := os.Getpagesize()
	cases := map[string][]byte{
		"zeros": make([]byte, len(whole)), "text": bytes.Repeat([]byte("no database "), 4000),
		"half": whole[:len(whole)/2], "a page missing": whole[:len(whole)-page],
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 80 {
		b := bytes.Clone(whole)
		at := rng.IntN(len(b))
		for j := range min(1<<(i%14), len(b)-at) {
			b[at+j] = byte(rng.Uint32())
		}
		cases[fmt.Sprint("overwritten ", i)] = b
	}
	refused, went := 0, 0
	for name, b := range cases {
		own := t.TempDir()
		check(t, os.WriteFile(filepath.Join(own, dbName), b, 0o600))
		book, err := openSound(own)
		if err != nil {
			if refused++; !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		went++
		p, err := book.read()
		check(t, err)
		if s, err := directory.ParseSnapshot(p.snapshot); err != nil || s.Hash() != last {
			t.Errorf("%s: another snapshot, %v", name, err)
		}
		check(t, book.close())
	}
	if refused < 5 || went == 0 {
		t.Errorf("%d refused, %d went on", refused, went)
	}
}

func ignoreCanceled(err error) error {
	if err == nil || err.Error() == "context canceled" {
		return nil
	}
	return err
}

// TestDamagedPagesTellOnEachOther changes one value of a sound database.
func TestDamagedPagesTellOnEachOther(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, true, directory.JoinOpen)
		f := n.openFounder(t.TempDir(), dir)
		n.start(f)
		time.Sleep(35 * time.Second)
		check(t, ignoreCanceled(n.close(f, false)))
		n.stop()
	})
	for name, edit := range map[string]func(tx *bbolt.Tx) error{
		"a leaf": func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketLeaves).Put(binary.BigEndian.AppendUint64(nil, 1), make([]byte, 32))
		},
		"a leaf too few": func(tx *bbolt.Tx) error {
			k, _ := tx.Bucket(bucketLeaves).Cursor().Last()
			return tx.Bucket(bucketLeaves).Delete(k)
		},
		"the snapshot": func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketMeta).Put(metaSnapshot, []byte{0x83})
		},
		"the ledger": func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketMeta).Put(metaLedger, (&directory.Ledger{}).Append(nil))
		},
	} {
		own := t.TempDir()
		check(t, os.CopyFS(own, os.DirFS(dir)))
		db, err := bbolt.Open(filepath.Join(own, dbName), 0o600, nil)
		check(t, err)
		check(t, db.Update(edit))
		check(t, db.Close())
		if b, err := openSound(own); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s changed: %v", name, err)
			if err == nil {
				check(t, b.close())
			}
		}
	}
}
