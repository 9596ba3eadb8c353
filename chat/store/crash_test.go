package store

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolterrors "go.etcd.io/bbolt/errors"
)

// errKilled ends a change of files at a step, as a crash would.
var errKilled = errors.New("killed")

// killAt returns a hook that ends the work at its n-th step from now on, and
// every later one.
func killAt(n int) (hook func(step, file string) error, reached func() int) {
	at := 0
	return func(string, string) error {
		if at++; at > n {
			return errKilled
		}
		return nil
	}, func() int { return at }
}

// TestPassphraseChangeIsKilledAtEveryStep copies the home before each step of a
// change, with a torn new file: each copy must open with exactly one of the two
// passphrases, with all that is in it.
func TestPassphraseChangeIsKilledAtEveryStep(t *testing.T) {
	for _, c := range []struct{ old, new string }{{"", "new"}, {"old", "new"}, {"old", ""}} {
		dir := filepath.Join(t.TempDir(), "home")
		s, err := Create(Config{Dir: dir, Passphrase: []byte(c.old), Memory: minMemory})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		update(t, s, func(tx *Tx) error {
			_, err := tx.History("c").Add(time.Unix(1e9, 0), []byte("kept"))
			return err
		})
		var copies []string
		seen := make(map[string]bool)
		keep := func(string, string) error {
			to, keys := filepath.Join(t.TempDir(), "home"), ""
			if err := os.Mkdir(to, 0o700); err != nil {
				return err
			}
			for _, f := range []string{databaseFile, keystoreFile, plainKeyFile} {
				b, err := os.ReadFile(filepath.Join(dir, f))
				if errors.Is(err, os.ErrNotExist) {
					continue
				}
				if err := errors.Join(err, os.WriteFile(filepath.Join(to, f), b, 0o600)); err != nil {
					return err
				}
				if f != databaseFile {
					keys += f + string(b)
				}
			}
			if !seen[keys] { // the same keys open the same
				copies = append(copies, to)
			}
			seen[keys] = true
			return os.WriteFile(filepath.Join(to, keystoreFile+newSuffix), []byte("torn"), 0o600)
		}
		s.disk.testOnlyStep = keep
		if err := s.ChangePassphrase([]byte(c.old), []byte(c.new)); err != nil {
			t.Fatal(err)
		}
		if err := keep("", ""); err != nil {
			t.Fatal(err)
		}
		if len(copies) < 2 {
			t.Errorf("%q to %q: %d states of the files", c.old, c.new, len(copies))
		}
		for n, dir := range copies {
			opened := 0
			for _, p := range []string{c.old, c.new} {
				s, err := Open(Config{Dir: dir, Passphrase: []byte(p)})
				if errors.Is(err, ErrPassphrase) || errors.Is(err, ErrPassphraseNeeded) || errors.Is(err, ErrNoPassphrase) {
					continue
				}
				if err != nil {
					t.Fatalf("%q to %q, state %d: %v", c.old, c.new, n, err)
				}
				opened++
				if n == len(copies)-1 && p != c.new {
					t.Errorf("%q to %q: the old passphrase still opens it", c.old, c.new)
				}
				if p != "" && exists(filepath.Join(dir, plainKeyFile)) {
					t.Errorf("%q to %q, state %d: a key lies beside a store with a passphrase", c.old, c.new, n)
				}
				update(t, s, func(tx *Tx) error {
					if v, err := tx.History("c").Get(1); string(v) != "kept" || err != nil {
						t.Errorf("row %q, %v", v, err)
					}
					_, err := tx.History("c").Add(time.Unix(2e9, 0), []byte("later")) // writes the keystore
					return err
				})
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if opened != 1 {
				t.Errorf("%q to %q, state %d: opens with %d of the passphrases", c.old, c.new, n, opened)
			}
		}
	}
}

// TestPassphraseChangeOnAFullDisk: the old passphrase stays, on disk and in
// memory.
func TestPassphraseChangeOnAFullDisk(t *testing.T) {
	s, dir := makeStore(t)
	full := errors.New("no space left on device")
	s.disk.testOnlyStep = func(string, string) error { return full }
	if err := s.ChangePassphrase(nil, []byte("new")); !errors.Is(err, full) || s.Encrypted() {
		t.Errorf("encrypted %t, %v", s.Encrypted(), err)
	}
	s.disk.testOnlyStep = nil
	update(t, s, func(tx *Tx) error { // writes the keystore
		_, err := tx.History("c").Add(time.Unix(1e9, 0), []byte("x"))
		return err
	})
	reopen(t, s, Config{Dir: dir})
}

func TestPassphraseChangeRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	s, err := Create(Config{Dir: dir, Passphrase: []byte("right"), Memory: minMemory})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.ChangePassphrase([]byte("wrong"), []byte("new")); !errors.Is(err, ErrPassphrase) {
		t.Errorf("wrong old passphrase: %v", err)
	}
	if err := s.ChangePassphrase(nil, []byte("new")); !errors.Is(err, ErrPassphraseNeeded) {
		t.Errorf("no old passphrase: %v", err)
	}
}

func (s *Store) weeksOf(conversation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for id := range s.keys.history {
		if id.conversation == s.keys.bucketName(kindHistory, conversation) {
			n++
		}
	}
	return n
}

// TestForgottenWeekHasNoKey deletes rows until weeks are empty; what a stolen old
// copy of the database holds of them cannot be opened any more.
func TestForgottenWeekHasNoKey(t *testing.T) {
	s, dir := makeStore(t)
	week := func(n int) time.Time { return time.Unix(int64(n)*7*86400+5, 0) }
	update(t, s, func(tx *Tx) error {
		for i := range 9 { // 1..3 in week 0, 4..6 in week 1, 7..9 in week 2
			if _, err := tx.History("a").Add(week(i/3), fmt.Append(nil, i)); err != nil {
				return err
			}
		}
		if err := tx.History("a").Put(10, week(0), []byte("late")); err != nil { // of week 0
			return err
		}
		return tx.History("b").Put(1, week(1), []byte("other"))
	})
	stolen := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(stolen, 0o700); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(filepath.Join(dir, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	remove := func(n ...uint64) {
		t.Helper()
		update(t, s, func(tx *Tx) error {
			for _, n := range n {
				if err := tx.History("a").Delete(n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	remove(1, 2, 3)
	if n := s.weeksOf("a"); n != 3 {
		t.Errorf("%d weeks, want 3: one row of week 0 is left", n)
	}
	remove(10, 99)
	if n := s.weeksOf("a"); n != 2 {
		t.Errorf("%d weeks after week 0, want 2", n)
	}
	failed := errors.New("meant to fail")
	if err := s.Update(func(tx *Tx) error {
		if err := tx.History("a").Drop(); err != nil {
			return err
		}
		return failed
	}); !errors.Is(err, failed) || s.weeksOf("a") != 2 {
		t.Errorf("a transaction that failed left %d weeks: %v", s.weeksOf("a"), err)
	}
	update(t, s, func(tx *Tx) error { // dropped, and begun anew in the same transaction
		if err := tx.History("a").Drop(); err != nil {
			return err
		}
		return tx.History("a").Put(20, week(2), []byte("new"))
	})
	if n := s.weeksOf("a"); n != 1 {
		t.Errorf("%d weeks after the conversation was dropped, want 1", n)
	}
	s = reopen(t, s, Config{Dir: dir})
	if n, b := s.weeksOf("a"), s.weeksOf("b"); n != 1 || b != 1 {
		t.Errorf("%d and %d weeks on disk, want 1 and 1", n, b)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{keystoreFile, plainKeyFile} {
		b, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(stolen, f), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(stolen, databaseFile), old, 0o600); err != nil {
		t.Fatal(err)
	}
	thief, err := Open(Config{Dir: stolen})
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	for _, n := range []uint64{1, 4, 10} {
		if err := thief.View(func(tx *Tx) error { _, err := tx.History("a").Get(n); return err }); !errors.Is(err, ErrDamaged) {
			t.Errorf("row %d of a forgotten week: %v", n, err)
		}
	}
}

// TestForgettingIsKilledAtEveryStep ends the rewriting of the keystore after the
// rows went: the next Open drops the keys, and only those without rows.
func TestForgettingIsKilledAtEveryStep(t *testing.T) {
	for n, done := 0, false; !done; n++ {
		s, dir := makeStore(t)
		update(t, s, func(tx *Tx) error {
			for i := range 4 {
				if err := tx.History("a").Put(uint64(i+1), time.Unix(int64(i)*7*86400, 0), []byte("x")); err != nil {
					return err
				}
			}
			return nil
		})
		hook, reached := killAt(n)
		s.disk.testOnlyStep = hook
		update(t, s, func(tx *Tx) error { return errors.Join(tx.History("a").Delete(1), tx.History("a").Delete(3)) })
		done = reached() <= n
		if err := s.db.Close(); err != nil { // nothing is tidied up
			t.Fatal(err)
		}
		s, err := Open(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if k := s.weeksOf("a"); k != 2 {
			t.Errorf("step %d: %d keys, want 2", n, k)
		}
		update(t, s, func(tx *Tx) error {
			for _, n := range []uint64{2, 4} {
				if v, err := tx.History("a").Get(n); string(v) != "x" || err != nil {
					t.Errorf("step %d: row %d: %q, %v", n, n, v, err)
				}
			}
			return nil
		})
		if err := s.View(func(tx *Tx) error {
			v, err := tx.Bucket(schemaBucket).Get(forgetKey)
			if v != nil {
				t.Errorf("step %d: the note is still there", n)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKeysAreKeptWhileTheDiskIsFull lets the keystore fail to be written after
// the commit: the transaction stands, and the keys go with the next one.
func TestKeysAreKeptWhileTheDiskIsFull(t *testing.T) {
	s, dir := makeStore(t)
	full := errors.New("no space left on device")
	add := func(week int) error {
		return s.Update(func(tx *Tx) error {
			_, err := tx.History("a").Add(time.Unix(int64(week)*7*86400, 0), []byte("x"))
			return err
		})
	}
	if err := errors.Join(add(1), add(2)); err != nil {
		t.Fatal(err)
	}
	s.disk.testOnlyStep = func(string, string) error { return full }
	if err := s.Update(func(tx *Tx) error { return tx.History("a").Delete(1) }); err != nil {
		t.Errorf("deleting: %v", err)
	}
	if err := add(3); !errors.Is(err, full) {
		t.Errorf("a row whose key is not on disk: %v", err)
	}
	s.disk.testOnlyStep = nil
	if err := add(3); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s, Config{Dir: dir})
	if n := s.weeksOf("a"); n != 2 {
		t.Errorf("%d keys, want 2", n)
	}
	if err := s.View(func(tx *Tx) error {
		return tx.History("a").Up(0, func(uint64, []byte) (bool, error) { return true, nil })
	}); err != nil {
		t.Error(err)
	}
}

// TestReaderWhileAWeekIsForgotten holds an old view open: the rows that went look
// as if they were not there.
func TestReaderWhileAWeekIsForgotten(t *testing.T) {
	s, _ := makeStore(t)
	// Room in the file, since it cannot grow while the view is open.
	update(t, s, func(tx *Tx) error { return tx.Bucket("room").Put("k", make([]byte, 1<<20)) })
	update(t, s, func(tx *Tx) error { return tx.Bucket("room").Delete("k") })
	put := func(tx *Tx) error {
		return errors.Join(tx.History("a").Put(1, time.Unix(0, 0), []byte("1")), tx.History("a").Put(2, time.Unix(8*86400, 0), []byte("2")))
	}
	update(t, s, put)
	began, gone, read := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		read <- s.View(func(tx *Tx) error {
			close(began)
			<-gone
			var got []uint64
			err := tx.History("a").Up(0, func(n uint64, _ []byte) (bool, error) { got = append(got, n); return true, nil })
			if err == nil && fmt.Sprint(got) != "[2]" {
				err = fmt.Errorf("rows %v", got)
			}
			if v, e := tx.History("a").Get(1); v != nil || e != nil {
				err = errors.Join(err, fmt.Errorf("row 1: %q, %w", v, e))
			}
			return err
		})
	}()
	<-began
	update(t, s, func(tx *Tx) error { return tx.History("a").Delete(1) })
	update(t, s, func(tx *Tx) error { return tx.History("a").Put(3, time.Unix(0, 0), []byte("a new key")) })
	close(gone)
	if err := <-read; err != nil {
		t.Error(err)
	}
}

// TestFullDisk keeps the database from growing: a transaction that needs space
// fails and leaves nothing, what is there can be read and deleted, and with
// space again all goes on.
func TestFullDisk(t *testing.T) {
	s, dir := makeStore(t)
	row := make([]byte, 4096)
	if _, err := rand.Read(row); err != nil {
		t.Fatal(err)
	}
	add := func() error {
		return s.Update(func(tx *Tx) error {
			_, err := tx.History("a").Add(time.Unix(1e9, 0), row)
			return err
		})
	}
	if err := add(); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(filepath.Join(dir, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	s.db.MaxSize = int(st.Size())
	rows := 1
	for ; rows < 1000; rows++ {
		if err = add(); err != nil {
			break
		}
	}
	if !errors.Is(err, bolterrors.ErrMaxSizeReached) {
		t.Fatalf("full: %v", err)
	}
	count := func() (n int) {
		t.Helper()
		if err := s.View(func(tx *Tx) error {
			return tx.History("a").Up(0, func(_ uint64, v []byte) (bool, error) {
				if !bytes.Equal(v, row) {
					t.Error("a row changed")
				}
				n++
				return true, nil
			})
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(); n != rows {
		t.Errorf("%d rows, want %d", n, rows)
	}
	s.db.MaxSize = 0
	if err := add(); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s, Config{Dir: dir})
	if n := count(); n != rows+1 {
		t.Errorf("%d rows after opening again, want %d", n, rows+1)
	}
}
