package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// Sequence is a set of rows with number keys.
type Sequence struct{ rows rows }

// Sequence returns the rows under a name, keyed and ordered by numbers. It need
// not exist.
func (t *Tx) Sequence(name string) *Sequence { return &Sequence{rows: t.rows(kindSequence, name)} }

// Get returns a copy of the value, or nil if there is none.
func (q *Sequence) Get(n uint64) ([]byte, error) {
	key := numberKey(n)
	sealed, err := q.rows.get(key)
	if sealed == nil || err != nil {
		return nil, err
	}
	return q.open(key, sealed)
}

func (q *Sequence) open(key, sealed []byte) ([]byte, error) {
	k, err := q.rows.key()
	if err != nil {
		return nil, err
	}
	return openRow(k, q.rows.name, key, sealed)
}

// Put sets the value, at most 16 MiB. Add goes on behind the highest number put.
func (q *Sequence) Put(n uint64, value []byte) error {
	k, err := q.rows.key()
	if err != nil {
		return err
	}
	sealed, err := sealRow(nil, k, q.rows.name, numberKey(n), value)
	if err != nil {
		return err
	}
	return q.rows.putNumber(n, sealed)
}

// Add puts the value under the next number (from 1), never used before in this
// sequence, and returns it.
func (q *Sequence) Add(value []byte) (uint64, error) {
	n, err := q.rows.nextNumber()
	if err != nil {
		return 0, err
	}
	return n, q.Put(n, value)
}

// Delete removes the row, if there.
func (q *Sequence) Delete(n uint64) error { return q.rows.remove(numberKey(n)) }

// Last returns the highest number in use, 0 if there is none.
func (q *Sequence) Last() (uint64, error) { return q.rows.last() }

// Up calls fn for the rows from number from on, rising, until it returns false.
// fn must not change the sequence.
func (q *Sequence) Up(from uint64, fn func(n uint64, value []byte) (bool, error)) error {
	return q.rows.scan(from, false, q.open, fn)
}

// Down calls fn for the rows from number from on, falling, until it returns
// false. fn must not change the sequence. In a transaction that deleted rows of
// it, it may end too early: bbolt does not step back over emptied pages.
func (q *Sequence) Down(from uint64, fn func(n uint64, value []byte) (bool, error)) error {
	return q.rows.scan(from, true, q.open, fn)
}

// Drop removes all rows. Numbers of Add go on.
func (q *Sequence) Drop() error { return q.rows.drop() }

func numberKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// putNumber puts a row and remembers that its number was used.
func (r *rows) putNumber(n uint64, sealed []byte) error {
	if err := r.put(numberKey(n), sealed); err != nil {
		return err
	}
	if n <= r.b.Sequence() {
		return nil
	}
	if err := r.b.SetSequence(n); err != nil {
		return fmt.Errorf("store: number: %w", err)
	}
	return nil
}

func (r *rows) nextNumber() (uint64, error) {
	b, err := r.make()
	if err != nil {
		return 0, err
	}
	n, err := b.NextSequence()
	if err != nil {
		return 0, fmt.Errorf("store: number: %w", err)
	}
	return n, nil
}

func (r *rows) last() (uint64, error) {
	b, err := r.find()
	if b == nil || err != nil {
		return 0, err
	}
	k, _ := b.Cursor().Last()
	if k == nil {
		return 0, nil
	}
	return parseNumber(k)
}

func parseNumber(key []byte) (uint64, error) {
	if len(key) != 8 {
		return 0, fmt.Errorf("row: %w", ErrDamaged)
	}
	return binary.BigEndian.Uint64(key), nil
}

// scan walks rows from a number on.
func (r *rows) scan(from uint64, down bool, open func(key, sealed []byte) ([]byte, error), fn func(n uint64, value []byte) (bool, error)) error {
	b, err := r.find()
	if b == nil || err != nil {
		return err
	}
	c := b.Cursor()
	step := c.Next
	key, sealed := c.Seek(numberKey(from))
	if down {
		step = c.Prev
		key, sealed = seekDown(c, key, sealed, from)
	}
	for ; key != nil; key, sealed = step() {
		n, err := parseNumber(key)
		if err != nil {
			return err
		}
		value, err := open(key, sealed)
		if errors.Is(err, errForgotten) {
			continue
		}
		if err != nil {
			return err
		}
		if more, err := fn(n, value); err != nil || !more {
			return err
		}
	}
	return nil
}

// seekDown moves from the first row not below from to the last not above it.
func seekDown(c *bolt.Cursor, key, sealed []byte, from uint64) ([]byte, []byte) {
	if key == nil {
		return c.Last()
	}
	if len(key) == 8 && binary.BigEndian.Uint64(key) == from {
		return key, sealed
	}
	return c.Prev()
}
