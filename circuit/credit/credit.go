// Package credit counts the cells that may be on the way between the two ends
// of one hop of a circuit: a Sender at the end that sends, a Receiver at the
// other. Client and relay use the same code. SPEC.md beside this file owns the
// rules.
//
// It guarantees that a sender never has more cells on the way than its window,
// that the window stays between its bounds whatever the other end does and
// whatever the clock shows, and that only who received a cell can acknowledge
// it.
//
// The package is pure: it does no I/O, reads no clock, starts nothing, and
// allocates nothing per cell. Times are readings of a clock of the caller's,
// as durations since any origin. Sender and Receiver are not safe for
// concurrent use.
package credit

import (
	"crypto/subtle"
	"errors"
	"time"
)

// Specification constants (SPEC.md §1). All are cells.
const (
	Step    = 32   // one SENDME acknowledges so many
	Min     = 32   // the smallest window
	Initial = 64   // the window that is asked for at first
	Max     = 1024 // the largest window that can be asked for
)

// Tag is the authentication tag of a hop's own layer on one cell; an onion.Tag
// is assignable to it.
type Tag = [16]byte

var (
	// ErrTag says that a SENDME was not due, or not for the cell that it must
	// acknowledge.
	ErrTag = errors.New("credit: SENDME that is not due or has a wrong tag")
	// ErrOver says that the other end sent more than its credit.
	ErrOver = errors.New("credit: more cells than credit")
)

// mark is a sealed cell that a SENDME must acknowledge.
type mark struct {
	tag Tag
	at  time.Duration
	seq uint64 // of the cell, counted from 1 in Steps
}

// Sender is the credit of the end that sends. Use NewSender.
type Sender struct {
	unacked int    // cells taken and not acknowledged
	sealed  uint64 // cells sealed
	marks   ring[mark]
	vegas   vegas
}

// NewSender returns a sender whose window begins at initial cells and never
// exceeds max. Values outside of Min and Max count as the bound they exceed.
func NewSender(initial, maximum int) Sender {
	maximum = min(max(maximum, Min), Max)
	initial = min(max(initial, Min), maximum)
	return Sender{vegas: newVegas(initial, maximum)}
}

// Window returns the window now, in cells.
func (s *Sender) Window() int { return s.vegas.window }

// Free returns how many cells may be taken now.
func (s *Sender) Free() int { return max(0, s.vegas.window-s.unacked) }

// Take takes the credit of one cell. It returns false if there is none.
func (s *Sender) Take() bool {
	if s.unacked >= s.vegas.window {
		s.vegas.filled()
		return false
	}
	s.unacked++
	if s.unacked == s.vegas.window {
		s.vegas.filled()
	}
	return true
}

// GiveBack returns the credit of n cells that were taken and never sealed.
func (s *Sender) GiveBack(n int) { s.unacked = max(0, s.unacked-n) }

// Sealed notes that a cell with credit was sealed; tag is that of the hop's
// own layer on it, now the time of its sealing, of which it is enough that it
// is read once for a batch. The cell's credit must have been taken: it panics
// if more cells were sealed than any window allows.
func (s *Sender) Sealed(tag Tag, now time.Duration) {
	s.sealed++
	if s.sealed%Step == 0 {
		s.marks.push(mark{tag, now, s.sealed / Step}, s.vegas.max/Step)
	}
}

// AtMost says, at now, that a round trip without queues takes no longer than
// trip: one was measured in another way. The first SENDMEs of a circuit that
// begins in a crowd would take the queues of the crowd for the path.
func (s *Sender) AtMost(trip, now time.Duration) { s.vegas.atMost(trip, now) }

// Acknowledge takes a SENDME that came at now. It gives the credit of Step
// cells back and lets the window follow the path. ErrTag says that none is due
// or that the tag is not that of the cell to acknowledge: the other end has
// not seen that cell, and the circuit must end.
func (s *Sender) Acknowledge(tag Tag, now time.Duration) error {
	m := s.marks.first()
	if m == nil || subtle.ConstantTimeCompare(m.tag[:], tag[:]) != 1 {
		return ErrTag
	}
	at, seq := m.at, m.seq
	s.marks.pop()
	s.GiveBack(Step)
	s.vegas.acknowledged(seq, s.sealed/Step, now-at, now)
	return nil
}

// Receiver is the credit of the end that receives. Use NewReceiver.
type Receiver struct {
	max      int
	received uint64
	consumed uint64
	acked    uint64 // SENDMEs on their way
	owed     ring[Tag]
}

// NewReceiver returns a receiver that grants at most max cells. Values outside
// of Min and Max count as the bound they exceed.
func NewReceiver(maximum int) Receiver {
	return Receiver{max: min(max(maximum, Min), Max)}
}

// Receive counts a cell with credit that came; tag is that of the hop's own
// layer on it. ErrOver says that the other end had no credit for it: the
// circuit must end.
func (r *Receiver) Receive(tag Tag) error {
	if r.Held() >= r.max {
		return ErrOver
	}
	r.received++
	if r.received%Step == 0 {
		r.owed.push(tag, r.max/Step)
	}
	return nil
}

// Held returns how many cells the other end has spent credit for that no
// SENDME on its way gives back. It never exceeds the maximum granted, so that
// it bounds what the other end can make this one hold.
func (r *Receiver) Held() int { return int(r.received - Step*r.acked) }

// Consume counts n cells that were used up, of those that came, and appends to
// due the tags of the SENDMEs that must be sent now, in order. It panics if
// more cells are consumed than came.
func (r *Receiver) Consume(n int, due []Tag) []Tag {
	before := r.consumed / Step
	r.consumed += uint64(n)
	if r.consumed > r.received {
		panic("credit: more cells consumed than received")
	}
	for range r.consumed/Step - before {
		due = append(due, *r.owed.first())
		r.owed.pop()
	}
	return due
}

// Acknowledged counts a SENDME that was due and is now sealed. Only then the
// other end may have more cells on the way: SENDMEs that wait for a neighbour
// that reads nothing would otherwise pile up without bound. It panics if there
// was none due.
func (r *Receiver) Acknowledged() {
	r.acked++
	if r.acked > r.consumed/Step {
		panic("credit: a SENDME that is not due was sealed")
	}
}

// ring is a queue whose memory is taken once, when the first value comes.
type ring[T any] struct {
	list  []T
	start int
	n     int
}

// push appends a value to a ring of the given capacity.
func (r *ring[T]) push(v T, capacity int) {
	if r.list == nil {
		r.list = make([]T, capacity)
	}
	if r.n == len(r.list) {
		panic("credit: more cells sealed than taken")
	}
	r.list[(r.start+r.n)%len(r.list)] = v
	r.n++
}

// first returns the oldest value, nil if there is none.
func (r *ring[T]) first() *T {
	if r.n == 0 {
		return nil
	}
	return &r.list[r.start]
}

func (r *ring[T]) pop() {
	r.start = (r.start + 1) % len(r.list)
	r.n--
}
