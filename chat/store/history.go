package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// historyEpoch is the time whose rows of one conversation share a key.
const historyEpoch = 7 * 24 * time.Hour

// History is a sequence whose rows are sealed under keys per week.
type History struct{ rows rows }

// History returns the messages of one conversation, in order. Each row is
// sealed under the key of its conversation and week, so that forgetting a week
// is forgetting a key.
func (t *Tx) History(conversation string) *History {
	return &History{rows: t.rows(kindHistory, conversation)}
}

// Get returns a copy of the value, or nil if there is none.
func (h *History) Get(n uint64) ([]byte, error) {
	key := numberKey(n)
	sealed, err := h.rows.get(key)
	if sealed == nil || err != nil {
		return nil, err
	}
	value, err := h.open(key, sealed)
	if errors.Is(err, errForgotten) {
		return nil, nil
	}
	return value, err
}

// open opens a row: its epoch, 4 bytes, lies before the sealed value.
func (h *History) open(key, sealed []byte) ([]byte, error) {
	epoch, err := epochOf(sealed)
	if err != nil {
		return nil, err
	}
	id := historyID{h.rows.name, epoch}
	k, ok, err := h.rows.tx.historyKey(id, false)
	if err != nil {
		return nil, err
	}
	var value []byte
	err = fmt.Errorf("row without key: %w", ErrDamaged)
	if ok {
		value, err = openRow(k, h.rows.name, append(append([]byte(nil), key...), sealed[:4]...), sealed[4:])
	}
	if err != nil && !h.rows.tx.bolt.Writable() && h.rows.tx.store.forgot(id) {
		return nil, errForgotten // since this transaction began
	}
	return value, err
}

func epochOf(sealed []byte) (uint32, error) {
	if len(sealed) < 4 {
		return 0, fmt.Errorf("row: %w", ErrDamaged)
	}
	return binary.BigEndian.Uint32(sealed), nil
}

// Put sets the value, at most 16 MiB, under the key of the week of when. A row
// that is there keeps the week it has.
func (h *History) Put(n uint64, when time.Time, value []byte) error {
	key := numberKey(n)
	epoch := uint32(max(when.Unix(), 0) / int64(historyEpoch/time.Second))
	old, err := h.rows.get(key)
	if err != nil {
		return err
	}
	if old != nil {
		if epoch, err = epochOf(old); err != nil {
			return err
		}
	}
	k, _, err := h.rows.tx.historyKey(historyID{h.rows.name, epoch}, true)
	if err != nil {
		return err
	}
	row := binary.BigEndian.AppendUint32(nil, epoch)
	row, err = sealRow(row, k, h.rows.name, append(key, row...), value)
	if err != nil {
		return err
	}
	return h.rows.putNumber(n, row)
}

// Add puts the value under the next number (from 1), never used before in this
// history, and returns it.
func (h *History) Add(when time.Time, value []byte) (uint64, error) {
	n, err := h.rows.nextNumber()
	if err != nil {
		return 0, err
	}
	return n, h.Put(n, when, value)
}

// Delete removes the row, if there. With the last row of a week its key goes,
// once the transaction is on disk.
func (h *History) Delete(n uint64) error {
	sealed, err := h.rows.get(numberKey(n))
	if sealed == nil || err != nil {
		return err
	}
	if h.rows.tx.keys.locked {
		return ErrLocked
	}
	epoch, err := epochOf(sealed)
	if err != nil {
		return err
	}
	if err := h.rows.remove(numberKey(n)); err != nil {
		return err
	}
	if !h.near(n, epoch) {
		h.rows.tx.noteEmptied(historyID{h.rows.name, epoch})
	}
	return nil
}

// near tells whether the row before or after a number is of a week, which saves
// a look at all rows.
func (h *History) near(n uint64, epoch uint32) bool {
	c := h.rows.b.Cursor()
	key, sealed := c.Seek(numberKey(n))
	for _, step := range []func() ([]byte, []byte){func() ([]byte, []byte) { return key, sealed }, c.Prev} {
		if k, sealed := step(); k != nil {
			if e, err := epochOf(sealed); err == nil && e == epoch {
				return true
			}
		}
	}
	return false
}

// Drop removes all rows, and their keys once the transaction is on disk. Numbers
// of Add go on.
func (h *History) Drop() error {
	if h.rows.tx.keys.locked {
		return ErrLocked
	}
	if h.rows.tx.erased == nil {
		h.rows.tx.erased = make(map[name]struct{})
	}
	h.rows.tx.erased[h.rows.name] = struct{}{}
	return h.rows.drop()
}

// Last returns the highest number in use, 0 if there is none.
func (h *History) Last() (uint64, error) { return h.rows.last() }

// Up is as for Sequence.
func (h *History) Up(from uint64, fn func(n uint64, value []byte) (bool, error)) error {
	return h.rows.scan(from, false, h.open, fn)
}

// Down is as for Sequence.
func (h *History) Down(from uint64, fn func(n uint64, value []byte) (bool, error)) error {
	return h.rows.scan(from, true, h.open, fn)
}
