package gossip

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"hearsay/directory"
)

// storeFormat is the first byte of the file of records (SPEC.md §10.2).
const storeFormat = 1

var errStoreFile = errors.New("gossip: the file of records is damaged")

// encode returns the content of the file: records, then remembered numbers,
// then the SHA-256 of all before it.
func (s *Store) encode() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := []byte{storeFormat}
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.records)))
	for _, it := range s.itemsLocked() {
		b = appendGive(b, s.records[it.key].Raw)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.memory)))
	for k, m := range s.memory {
		b = append(b, k[:]...)
		b = binary.BigEndian.AppendUint64(b, m.seq)
		b = binary.BigEndian.AppendUint64(b, uint64(m.until.Unix()))
	}
	s.dirty = false
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// decode adds the records of a file, each of which is verified anew. What no
// longer verifies is left out; a damaged file is an error.
func (s *Store) decode(b []byte, rules directory.Rules, now time.Time) error {
	if len(b) < 9+32 || b[0] != storeFormat {
		return errStoreFile
	}
	sum := sha256.Sum256(b[:len(b)-32])
	if [32]byte(b[len(b)-32:]) != sum {
		return errStoreFile
	}
	b = b[1 : len(b)-32]
	n := binary.BigEndian.Uint32(b)
	b = b[4:]
	for range n {
		if len(b) < 2 {
			return errStoreFile
		}
		size := int(binary.BigEndian.Uint16(b))
		if len(b) < 2+size {
			return errStoreFile
		}
		if r, err := directory.ParseRecord(rules, b[2:2+size], now); err == nil {
			s.restore(r, now)
		}
		b = b[2+size:]
	}
	if len(b) < 4 || uint64(len(b)-4) != 32*uint64(binary.BigEndian.Uint32(b)) {
		return errStoreFile
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for b = b[4:]; len(b) > 0; b = b[32:] {
		m := seqMemory{seq: binary.BigEndian.Uint64(b[16:]), until: time.Unix(int64(binary.BigEndian.Uint64(b[24:])), 0)}
		if now.Before(m.until) {
			s.memory[key(b[:16])] = m
		}
	}
	return nil
}

// restore puts back a record that this store held before, whatever put would
// say of a stranger's.
func (s *Store) restore(r *directory.Record, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key(directory.GossipKey(s.network, r.ID))
	if s.records[k] == nil && len(s.records) < storeCeiling {
		s.addLocked(k, &held{Record: r, since: now, updates: updatesPerDay, updated: now})
	}
}

// load reads the file, if there is one.
func (s *Store) load(path string, rules directory.Rules, now time.Time) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.decode(b, rules, now)
}

// save replaces the file if a record changed since the last save.
func (s *Store) save(path string) error {
	s.mu.Lock()
	dirty := s.dirty
	s.mu.Unlock()
	if !dirty {
		return nil
	}
	if err := replaceFile(path, s.encode()); err != nil {
		s.mu.Lock()
		s.dirty = true
		s.mu.Unlock()
		return fmt.Errorf("save records: %w", err)
	}
	return nil
}

// replaceFile writes the file so that after a crash it holds either the old or
// the new content.
func replaceFile(path string, b []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync())
	err = errors.Join(err, f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// KnownRelays returns the relays of the records that a node left in its state
// directory, in order of their keys; the node may run. There are none without it.
func KnownRelays(dir string, chain *directory.Chain) ([]directory.RelayID, error) {
	s := newStore(chain.ID(), chain.Current().Lab)
	rules := trusting(chain.Rules())
	rules.Listed = func(directory.RelayID) bool { return true }
	if err := s.load(filepath.Join(dir, recordsName), rules, time.Now()); err != nil {
		return nil, err
	}
	var ids []directory.RelayID
	for _, r := range s.Records() {
		ids = append(ids, r.ID)
	}
	return ids, nil
}
