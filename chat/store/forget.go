package store

import (
	"errors"

	bolt "go.etcd.io/bbolt"
)

// A week of a conversation is forgotten in two steps: the transaction that
// deletes its last row also notes that keys are to be dropped, and once it is on
// disk the keystore is written without them. After a crash between the two, the
// note has Open look for keys without rows (SPEC.md §2.4).

// forgetKey is the note in the bucket of the store itself.
const forgetKey = "forget"

// errForgotten: a row that an older view still sees, and whose key is gone.
var errForgotten = errors.New("store: forgotten")

// noteEmptied notes that a week may have lost its last row.
func (t *Tx) noteEmptied(id historyID) {
	if t.emptied == nil {
		t.emptied = make(map[historyID]struct{})
	}
	t.emptied[id] = struct{}{}
}

// forget returns the weeks that this transaction leaves empty, and notes on disk
// that their keys are to be dropped.
func (t *Tx) forget() ([]historyID, error) {
	ids := t.weeks(func(id historyID) bool {
		_, erased := t.erased[id.conversation]
		_, emptied := t.emptied[id]
		return erased || emptied
	})
	ids, err := t.empty(ids)
	if err != nil {
		return nil, err
	}
	note := t.Bucket(schemaBucket)
	if len(ids) > 0 {
		return ids, note.Put(forgetKey, []byte{1})
	}
	t.store.mu.Lock()
	swept := t.store.swept && !t.keys.locked
	t.store.swept = t.store.swept && !swept
	t.store.mu.Unlock()
	if !swept {
		return nil, nil
	}
	return nil, note.Delete(forgetKey)
}

// weeks returns the weeks with a key that are chosen.
func (t *Tx) weeks(choose func(historyID) bool) (ids []historyID) {
	if t.keys.locked || t.emptied == nil && t.erased == nil {
		return nil
	}
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	for id := range t.keys.history {
		if choose(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// empty returns those of the weeks that have no row.
func (t *Tx) empty(ids []historyID) (empty []historyID, err error) {
	wanted := make(map[name]map[uint32]struct{})
	for _, id := range ids {
		if wanted[id.conversation] == nil {
			wanted[id.conversation] = make(map[uint32]struct{})
		}
		wanted[id.conversation][id.epoch] = struct{}{}
	}
	for conversation, weeks := range wanted {
		if err := keepWithoutRows(t.bolt.Bucket(conversation[:]), weeks); err != nil {
			return nil, err
		}
		for epoch := range weeks {
			empty = append(empty, historyID{conversation, epoch})
		}
	}
	return empty, nil
}

// keepWithoutRows removes the weeks that have a row.
func keepWithoutRows(b *bolt.Bucket, weeks map[uint32]struct{}) error {
	if b == nil {
		return nil
	}
	c := b.Cursor()
	for key, sealed := c.First(); key != nil && len(weeks) > 0; key, sealed = c.Next() {
		epoch, err := epochOf(sealed)
		if err != nil {
			return err
		}
		delete(weeks, epoch)
	}
	return nil
}

// drop drops keys of weeks whose rows are gone, on disk. If the keystore cannot
// be written now, the next transaction does it.
func (s *Store) drop(ids []historyID) {
	if len(ids) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if key := s.keys.history[id]; key != nil {
			clear(key[:])
			delete(s.keys.history, id)
		}
		s.gone[id] = struct{}{}
	}
	s.keys.dirty, s.swept = true, true
	if s.writeKeys(s.keys) != nil {
		return // flushKeys comes before the note is deleted
	}
}

// sweep drops all keys without rows.
func (s *Store) sweep() error {
	return s.Update(func(tx *Tx) error {
		tx.emptied = make(map[historyID]struct{})
		for id := range tx.keys.history {
			tx.emptied[id] = struct{}{}
		}
		s.mu.Lock()
		s.swept = true // if there is none, the note goes now
		s.mu.Unlock()
		return nil
	})
}

// forgot tells whether the key of a week was dropped since the store was opened.
func (s *Store) forgot(id historyID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, gone := s.gone[id]
	return gone
}
