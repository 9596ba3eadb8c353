package relay

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"hearsay/circuit/cell"
)

// stream is what the switch needs of a *link.Stream. Tests have another one.
type stream interface {
	Peek(b []byte) (int, error)
	Read(b []byte) (int, error)
	Write(b []byte) (int, error)
	CancelRead(quic.StreamErrorCode)
	CancelWrite(quic.StreamErrorCode)
	SetReadDeadline(t time.Time) error
	SetPriority(urgency int8, incremental bool)
}

// batch is a buffer for batchCells cells: those that move at once, or a ring.
// An idle circuit holds none.
type batch [batchCells * cell.Size]byte

var batches = sync.Pool{New: func() any { return new(batch) }}

// begun holds the bytes of a cell that has begun.
type begun [cell.Size + cell.MaxTrim]byte

var begunCells = sync.Pool{New: func() any { return new(begun) }}

// errTrim says that the zero bytes after a cell are not zero, or too many.
var errTrim = errors.New("relay: malformed trim")

// cellReader cuts a stream into batches of whole cells. One goroutine, its
// owner, uses it; what arrives while the owner is busy with a batch goes to
// the ring.
type cellReader struct {
	s     stream
	clock *clock
	one   [1]byte
	carry *begun // the cell that has begun, nil if none has
	have  int    // bytes in carry
	// began is the tick at which the cell in carry began, 0 if there is none;
	// the janitor ends the circuit if it stays. Ticks in which the owner did not
	// read do not count, but its waits do, however many there were.
	began atomic.Int64
	ring  ring
}

// next blocks until at least one whole cell has arrived, and returns what
// there is, at most batchCells cells. The caller owns buf, cells is its
// beginning, and buf must go back to the pool. A deadline set on the stream
// ends the wait with an error that unwraps to os.ErrDeadlineExceeded; nothing
// is lost then.
func (r *cellReader) next() (buf *batch, cells []byte, err error) {
	for {
		buf, n, err := r.take()
		if err != nil {
			return nil, nil, err
		}
		whole, err := r.cut(buf, n)
		if err != nil || whole == 0 {
			batches.Put(buf)
			if err != nil {
				return nil, nil, err
			}
			continue
		}
		r.ring.busySince(r.clock.now())
		return buf, buf[:whole*cell.Size], nil
	}
}

// take returns the bytes of the ring, or waits for bytes of the stream. The
// begun cell stands before them.
func (r *cellReader) take() (*batch, int, error) {
	buf, n, away := r.ring.idle(r.clock.now())
	r.wasAway(away)
	if buf != nil {
		return buf, n, nil
	}
	if _, err := r.s.Peek(r.one[:]); err != nil {
		return nil, 0, err
	}
	buf = batches.Get().(*batch)
	n = r.copyCarry(buf)
	m, err := r.s.Read(buf[n:])
	if err != nil && m == 0 {
		batches.Put(buf)
		return nil, 0, err
	}
	return buf, n + m, nil
}

// ready says that the owner is done with a batch, without taking anything.
func (r *cellReader) ready() { r.wasAway(r.ring.ready(r.clock.now())) }

// wasAway says that the owner did not read for so many ticks.
func (r *cellReader) wasAway(ticks int64) {
	if began := r.began.Load(); began != 0 && ticks > 0 {
		r.began.Store(began + ticks)
	}
}

// cut removes the trim of the cells in buf[:n], keeps a last part for later,
// and returns the number of whole cells at the beginning of buf.
func (r *cellReader) cut(buf *batch, n int) (int, error) {
	src, dst := 0, 0
	for src+cell.Size <= n {
		trim := int(buf[src+3])
		if trim > cell.MaxTrim {
			return 0, errTrim
		}
		end := src + cell.Size + trim
		if end > n {
			break
		}
		for _, b := range buf[src+cell.Size : end] {
			if b != 0 {
				return 0, errTrim
			}
		}
		if dst != src {
			copy(buf[dst:], buf[src:src+cell.Size])
		}
		buf[dst+3] = 0
		dst += cell.Size
		src = end
	}
	r.keep(buf[src:n])
	switch {
	case r.have == 0:
		r.began.Store(0)
	case src > 0 || r.began.Load() == 0:
		r.began.Store(r.clock.now())
	}
	return dst / cell.Size, nil
}

// keep keeps the last part of a batch, which is no whole cell, for later.
func (r *cellReader) keep(rest []byte) {
	r.have = len(rest)
	switch {
	case r.have == 0 && r.carry != nil:
		begunCells.Put(r.carry)
		r.carry = nil
	case r.have > 0:
		if r.carry == nil {
			r.carry = begunCells.Get().(*begun)
		}
		copy(r.carry[:], rest)
	}
}

// copyCarry puts the cell that has begun at the beginning of buf, and returns
// its length.
func (r *cellReader) copyCarry(buf *batch) int {
	if r.have == 0 {
		return 0
	}
	return copy(buf[:], r.carry[:r.have])
}

// partial reports whether a cell that has begun stays incomplete. While the
// owner is busy, nobody waits for the rest.
func (r *cellReader) partial() bool {
	began := r.began.Load()
	return began != 0 && r.clock.older(began, partialTimeout) && !r.ring.isBusy()
}

// clock counts the time in steps of janitorEvery, from 1. The janitor moves
// it, so that no cell costs a call for the time.
type clock struct{ tick atomic.Int64 }

func (c *clock) now() int64 { return c.tick.Load() + 1 }

// older reports whether an event at tick at, 0 meaning never, is at least d
// ago.
func (c *clock) older(at int64, d time.Duration) bool {
	return at != 0 && time.Duration(c.now()-at)*janitorEvery > d
}
