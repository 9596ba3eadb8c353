package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// fillForCheck writes rows of each kind and returns how many the file has.
func fillForCheck(t *testing.T, s *Store) int {
	t.Helper()
	update(t, s, func(tx *Tx) error {
		for i := range 400 {
			value := bytes.Repeat([]byte{byte(i)}, 200)
			if err := tx.Bucket("b").Put(fmt.Sprint(i), value); err != nil {
				return err
			}
			if _, err := tx.History("h").Add(time.Unix(int64(i)*3600*24, 0), value); err != nil {
				return err
			}
			if _, err := tx.Sequence("s").Add(value); err != nil {
				return err
			}
		}
		return tx.Box("x").Add([]byte("sealed"))
	})
	if err := s.KV("n").Save("guards", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	all, damaged, err := s.Check(t.Context())
	if err != nil || damaged != 0 || all < 3*400+2 {
		t.Fatalf("%d rows, %d damaged, %v", all, damaged, err)
	}
	return all
}

func TestCheckFindsDamagedRows(t *testing.T) {
	s, dir := makeStore(t)
	all := fillForCheck(t, s)

	// One row of each kind is changed, as a failing disk would.
	err := s.db.Update(func(tx *bolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bolt.Bucket) error {
			key, sealed := b.Cursor().First()
			bad := bytes.Clone(sealed)
			bad[len(bad)-1] ^= 1
			return b.Put(key, bad)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	// Five kinds, and the store's own note of its schema.
	if n, damaged, err := s.Check(t.Context()); err != nil || n != all || damaged != 6 {
		t.Errorf("%d rows, %d damaged, %v", n, damaged, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after its time: %v", err)
	}
	if err := CheckFile(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("a file that is in use: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := CheckFile(dir); err != nil {
		t.Errorf("the pages are all there: %v", err)
	}
	if err := CheckFile(t.TempDir()); !errors.Is(err, ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestCheckOfALockedStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	s, err := Create(Config{Dir: dir, Passphrase: []byte("x"), Memory: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Lock(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Check(t.Context()); !errors.Is(err, ErrLocked) {
		t.Errorf("%v", err)
	}
}

// TestDamagedPagesEndNoProgram: whatever pages hold, opening and checking return,
// and a file that lost its end or whose pages were overwritten is called damaged.
func TestDamagedPagesEndNoProgram(t *testing.T) {
	s, dir := makeStore(t)
	fillForCheck(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, databaseFile)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, part := range []int{8, 4, 2} { // 1/8, 1/4 and half of it are there
		write(good[:len(good)/part])
		if err := CheckFile(dir); !errors.Is(err, ErrDamaged) {
			t.Errorf("1/%d of the file: %v", part, err)
		}
		if s, err := Open(Config{Dir: dir}); !errors.Is(err, ErrDamaged) {
			if err == nil {
				_ = s.Close()
			}
			t.Errorf("1/%d of the file opens: %v", part, err)
		}
	}
	found := 0
	page := os.Getpagesize()
	for at := 2 * page; at+page <= len(good); at += page {
		for _, fill := range []byte{0, 0xff} {
			bad := bytes.Clone(good)
			copy(bad[at:at+page], bytes.Repeat([]byte{fill}, page))
			write(bad)
			if err := CheckFile(dir); errors.Is(err, ErrDamaged) {
				found++
			} else if err != nil {
				t.Errorf("page %d: %v", at/page, err)
			}
		}
	}
	if found == 0 {
		t.Error("no overwritten page was found")
	}
	write(good)
	if err := CheckFile(dir); err != nil {
		t.Errorf("the file as it was: %v", err)
	}
}

// TestCheckFindsADamagedListOfFreePages: what it names is overwritten by the next
// commits, so that a store which opens loses rows, or ends the program.
func TestCheckFindsADamagedListOfFreePages(t *testing.T) {
	s, dir := makeStore(t)
	fillForCheck(t, s)
	for i := range 400 { // each commit leaves pages behind
		if i%20 == 0 {
			update(t, s, func(tx *Tx) error { return tx.Bucket("b").Delete(fmt.Sprint(i)) })
		}
	}
	if err := errors.Join(s.Close(), CheckFile(dir)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, databaseFile)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	list, count, page := 0, 0, db.Info().PageSize
	err = db.View(func(tx *bolt.Tx) error {
		for id := range int(tx.Size()) / page {
			if info, err := tx.Page(id); err != nil {
				return err
			} else if info.Type == "freelist" {
				list, count = id, info.Count
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if count < 2 {
		t.Fatalf("%d pages are free", count)
	}
	for i := range count {
		for _, bit := range []int{0, 3, 20, 63} {
			bad := bytes.Clone(good)
			bad[list*page+16+i*8+bit/8] ^= 1 << (bit % 8)
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := CheckFile(dir); !errors.Is(err, ErrDamaged) {
				t.Errorf("bit %d of free page %d of %d: %v", bit, i, count, err)
			}
		}
	}
}
