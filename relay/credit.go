package relay

import (
	"crypto/subtle"
	"errors"
	"sync"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
)

var (
	errCredit = errors.New("relay: client sent more than its credit")
	errSendMe = errors.New("relay: SENDME without or against its cell")
)

// sendCredit counts the credited cells that this hop may send to the client
// (SPEC.md §4.2). It is safe for concurrent use.
type sendCredit struct {
	mu    sync.Mutex
	free  int           // cells that may be sent
	sent  int           // cells sealed since the last expected SENDME
	tags  []onion.Tag   // of each 32nd cell, oldest first; at most window/32
	freed chan struct{} // closed and replaced when free grows
}

func newSendCredit(window int) *sendCredit {
	return &sendCredit{free: window, freed: make(chan struct{})}
}

// take waits for the credit of one cell; it reports false if one of the
// channels was closed first. cut and late may be nil.
func (s *sendCredit) take(done, cut, late <-chan struct{}) bool {
	for {
		s.mu.Lock()
		if s.free > 0 {
			s.free--
			s.mu.Unlock()
			return true
		}
		freed := s.freed
		s.mu.Unlock()
		select {
		case <-freed:
		case <-done:
			return false
		case <-cut:
			return false
		case <-late:
			return false
		}
	}
}

// giveBack returns a credit that was taken and not used.
func (s *sendCredit) giveBack(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free += n
	close(s.freed)
	s.freed = make(chan struct{})
}

// sealed notes that a credited cell was sealed with the given tag.
func (s *sendCredit) sealed(tag onion.Tag) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	if s.sent == cell.CreditStep {
		s.sent = 0
		s.tags = append(s.tags, tag)
	}
}

// sendMe takes the client's acknowledgement of creditStep cells.
func (s *sendCredit) sendMe(tag []byte) error {
	s.mu.Lock()
	if len(s.tags) == 0 || subtle.ConstantTimeCompare(s.tags[0][:], tag) != 1 {
		s.mu.Unlock()
		return errSendMe
	}
	s.tags = append(s.tags[:0], s.tags[1:]...)
	s.mu.Unlock()
	s.giveBack(cell.CreditStep)
	return nil
}

// recvCredit counts the credited cells that the client sends to this hop. It
// is safe for concurrent use.
type recvCredit struct {
	mu       sync.Mutex
	window   int         // cells that may be unacknowledged
	open     int         // cells received and not acknowledged
	received int         // since the last remembered tag
	consumed int         // since the last SENDME
	tags     []onion.Tag // of each 32nd cell received, oldest first
}

// receive notes a credited cell, whose tag is given.
func (r *recvCredit) receive(tag onion.Tag) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == r.window {
		return errCredit
	}
	r.open++
	r.received++
	if r.received == cell.CreditStep {
		r.received = 0
		r.tags = append(r.tags, tag)
	}
	return nil
}

// consume notes that n cells were used up and reports the tags of the SENDMEs
// to send now, which may be none.
func (r *recvCredit) consume(n int) (due []onion.Tag) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.consumed += n
	for r.consumed >= cell.CreditStep {
		r.consumed -= cell.CreditStep
		r.open -= cell.CreditStep
		due = append(due, r.tags[0])
		r.tags = append(r.tags[:0], r.tags[1:]...)
	}
	return due
}
