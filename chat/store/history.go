package store

import (
	"encoding/binary"
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
	return h.open(key, sealed)
}

// open opens a row: its epoch, 4 bytes, lies before the sealed value.
func (h *History) open(key, sealed []byte) ([]byte, error) {
	epoch, err := epochOf(sealed)
	if err != nil {
		return nil, err
	}
	k, ok, err := h.rows.tx.store.historyKey(historyID{h.rows.name, epoch}, false)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("row without key: %w", ErrDamaged)
	}
	return openRow(k, h.rows.name, append(append([]byte(nil), key...), sealed[:4]...), sealed[4:])
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
	k, _, err := h.rows.tx.store.historyKey(historyID{h.rows.name, epoch}, true)
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

// Delete removes the row, if there.
func (h *History) Delete(n uint64) error { return h.rows.remove(numberKey(n)) }

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
