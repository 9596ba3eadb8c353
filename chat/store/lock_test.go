package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func lockable(t *testing.T) (*Store, Config) {
	t.Helper()
	cfg := Config{Dir: filepath.Join(t.TempDir(), "home"), Passphrase: []byte("right"), Memory: minMemory}
	s, err := Create(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, cfg
}

// TestLockedStore locks in the middle of a reading: it may end; then nothing can
// be read, boxes take rows, and the network layers go on.
func TestLockedStore(t *testing.T) {
	s, cfg := lockable(t)
	update(t, s, func(tx *Tx) error {
		return errors.Join(tx.Bucket("b").Put("k", []byte("v")), tx.Sequence("s").Put(1, []byte("v")),
			tx.History("h").Put(1, time.Unix(1e9, 0), []byte("v")), tx.Box("x").Add([]byte("0")))
	})
	if err := s.KV("circuit").Save("guards", []byte("three")); err != nil {
		t.Fatal(err)
	}
	keys := s.keys
	if err := s.View(func(tx *Tx) error {
		if err := s.Lock(); err != nil {
			return err
		}
		v, err := tx.Bucket("b").Get("k")
		if string(v) != "v" {
			t.Errorf("a transaction that began before lost its keys: %q", v)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if !s.Locked() || keys.state != [keySize]byte{} || keys.kek != [keySize]byte{} || len(keys.history) != 0 || keys.box.private != nil {
		t.Error("keys are still in memory")
	}
	if k := s.keys; k.state != [keySize]byte{} || k.kek != [keySize]byte{} || k.box.private != nil || len(k.history) != 0 {
		t.Error("keys that a locked store does not need are in memory")
	}
	for what, run := range map[string]func(tx *Tx) error{
		"get of a bucket":    func(tx *Tx) error { _, err := tx.Bucket("b").Get("k"); return err },
		"put in a bucket":    func(tx *Tx) error { return tx.Bucket("b").Put("k", nil) },
		"get of a sequence":  func(tx *Tx) error { _, err := tx.Sequence("s").Get(1); return err },
		"add to a sequence":  func(tx *Tx) error { _, err := tx.Sequence("s").Add(nil); return err },
		"get of a history":   func(tx *Tx) error { _, err := tx.History("h").Get(1); return err },
		"add to a history":   func(tx *Tx) error { _, err := tx.History("h").Add(time.Now(), nil); return err },
		"delete of a row":    func(tx *Tx) error { return tx.History("h").Delete(1) },
		"drop of a history":  func(tx *Tx) error { return tx.History("h").Drop() },
		"reading of a box":   func(tx *Tx) error { _, err := tx.Box("x").Take(1); return err },
		"listing of buckets": func(tx *Tx) error { return tx.Bucket("b").Each(func(string, []byte) error { return nil }) },
	} {
		if err := s.Update(run); !errors.Is(err, ErrLocked) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := s.ChangePassphrase(cfg.Passphrase, []byte("new")); !errors.Is(err, ErrLocked) {
		t.Errorf("change of the passphrase: %v", err)
	}
	for i := range 3 {
		update(t, s, func(tx *Tx) error { return tx.Box("x").Add(fmt.Append(nil, "sealed while locked ", i)) })
	}
	if v, err := s.KV("circuit").Load("guards"); err != nil || string(v) != "three" {
		t.Errorf("the network layers read %q, %v", v, err)
	}
	if err := s.KV("circuit").Save("guards", []byte("four")); err != nil {
		t.Error(err)
	}
	raw, err := os.ReadFile(filepath.Join(cfg.Dir, databaseFile))
	if err != nil || bytes.Contains(raw, []byte("sealed while locked")) {
		t.Errorf("a box holds clear text, %v", err)
	}
	if err := s.Unlock([]byte("wrong")); !errors.Is(err, ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	if err := s.Unlock(nil); !errors.Is(err, ErrPassphraseNeeded) || !s.Locked() {
		t.Errorf("no passphrase: %v", err)
	}
	check := func(s *Store) {
		t.Helper()
		failed := errors.New("meant to fail")
		for _, last := range []bool{false, true} {
			var rows [][]byte
			err := s.Update(func(tx *Tx) error {
				for {
					some, err := tx.Box("x").Take(2)
					if err != nil || len(some) == 0 {
						break
					}
					rows = append(rows, some...)
				}
				if empty, err := tx.Box("x").Empty(); err != nil || !empty {
					t.Errorf("box is not empty, %v", err)
				}
				if !last {
					return failed // nothing is lost
				}
				return nil
			})
			if last && err != nil || !last && !errors.Is(err, failed) {
				t.Error(err)
			}
			if got := fmt.Sprintf("%s", rows); got != "[0 sealed while locked 0 sealed while locked 1 sealed while locked 2]" {
				t.Errorf("rows %s", got)
			}
		}
	}
	// A crash while it was locked loses nothing.
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Lock(); err != nil {
		t.Fatal(err)
	}
	if err := s.Unlock(cfg.Passphrase); err != nil || s.Locked() {
		t.Fatalf("unlock: %v", err)
	}
	check(s)
	if err := s.View(func(tx *Tx) error {
		v, err := tx.History("h").Get(1)
		if string(v) != "v" {
			t.Errorf("history reads %q", v)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

func TestLockNeedsAPassphrase(t *testing.T) {
	s, _ := makeStore(t)
	if err := s.Lock(); !errors.Is(err, ErrNoPassphrase) || s.Locked() {
		t.Errorf("lock: %v", err)
	}
}

// TestWipe destroys homes in every state, one of them open: no key is left, and
// the open one cannot write its keys again.
func TestWipe(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, dir string, s *Store){
		"whole":   func(t *testing.T, _ string, s *Store) { t.Helper(); _ = s.Close() },
		"open":    func(*testing.T, string, *Store) {},
		"damaged": func(t *testing.T, dir string, s *Store) { t.Helper(); _ = s.Close(); spoil(t, dir) },
		"keystore is absent": func(_ *testing.T, dir string, s *Store) {
			_ = s.Close()
			_ = os.Remove(filepath.Join(dir, keystoreFile))
		},
		"open to all": func(_ *testing.T, dir string, s *Store) { _ = s.Close(); _ = os.Chmod(dir, 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := makeStore(t)
			update(t, s, func(tx *Tx) error { return tx.History("h").Put(1, time.Unix(1e9, 0), []byte("v")) })
			for _, f := range []string{keystoreFile, plainKeyFile} { // left by a crash
				if err := os.WriteFile(filepath.Join(dir, f+newSuffix), []byte("keys"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			prepare(t, dir, s)
			if err := Wipe(dir); err != nil {
				t.Error(err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
				t.Errorf("left: %v, %v", left, err)
			}
			if name != "open" {
				return
			}
			err := s.Update(func(tx *Tx) error { return tx.History("h").Put(2, time.Unix(2e9, 0), []byte("v")) })
			if !errors.Is(err, ErrWiped) {
				t.Errorf("an open store writes keys: %v", err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}

func spoil(t *testing.T, dir string) {
	t.Helper()
	for _, f := range []string{keystoreFile, plainKeyFile, databaseFile} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("junk"), 0o400); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWipeKilledAtEveryStep: keys go first, so whatever is left opens nothing.
func TestWipeKilledAtEveryStep(t *testing.T) {
	for n, done := 0, false; !done; n++ {
		s, dir := makeStore(t)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		hook, reached := killAt(n)
		_ = wipe(disk{hook}, dir)
		done = reached() <= n
		if n < 2 { // before the first file was overwritten
			continue
		}
		if s, err := Open(Config{Dir: dir}); err == nil {
			_ = s.Close()
			t.Errorf("step %d: it opens", n)
		}
	}
}

func TestWipeOfAnOpenStore(t *testing.T) {
	s, dir := makeStore(t)
	if err := s.Wipe(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := s.Update(func(tx *Tx) error { return tx.Bucket("b").Put("k", nil) }); !errors.Is(err, ErrLocked) {
		t.Errorf("writing: %v", err)
	}
	if err := s.Wipe(); err != nil {
		t.Errorf("again: %v", err)
	}
}

// TestWipeDoesNotFollowLinks: a link in the home is removed, not what it leads to.
func TestWipeDoesNotFollowLinks(t *testing.T) {
	dir, other := t.TempDir(), filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, filepath.Join(dir, keystoreFile)); err != nil {
		t.Fatal(err)
	}
	if err := Wipe(dir); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(other); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
}
