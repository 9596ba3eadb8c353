package relay

import (
	"sync"
	"time"

	"hearsay/circuit/credit"
)

// What a client may do against its credit (SPEC.md §4.2).
var (
	errCredit = credit.ErrOver
	errSendMe = credit.ErrTag
)

// sendCredit counts the credited cells that this hop may send to the client
// (SPEC.md §4.2). It is safe for concurrent use.
type sendCredit struct {
	mu     sync.Mutex
	sender credit.Sender
	freed  chan struct{} // closed when there is credit again; nil: nobody waits

	created time.Duration // when CREATED left, until the client has answered; of the forward goroutine
}

func newSendCredit(initial, maximum int) *sendCredit {
	return &sendCredit{sender: credit.NewSender(initial, maximum)}
}

// take waits for the credit of one cell; it reports false if one of the
// channels was closed first. cut and late may be nil.
func (s *sendCredit) take(done, cut, late <-chan struct{}) bool {
	for {
		s.mu.Lock()
		if s.sender.Take() {
			s.mu.Unlock()
			return true
		}
		if s.freed == nil {
			s.freed = make(chan struct{})
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

// sealed notes that a credited cell was sealed with the given tag, at now on
// Switch.since.
func (s *sendCredit) sealed(tag credit.Tag, now time.Duration) {
	s.mu.Lock()
	s.sender.Sealed(tag, now)
	s.mu.Unlock()
}

// begun notes that CREATED leaves now.
func (s *sendCredit) begun(now time.Duration) { s.created = now }

// answered notes that the client's first cell after CREATED has come, so that a
// round trip takes no longer than from then to now.
func (s *sendCredit) answered(now time.Duration) {
	s.mu.Lock()
	s.sender.AtMost(now-s.created, now)
	s.mu.Unlock()
	s.created = 0
}

// sendMe takes the client's acknowledgement of credit.Step cells, at now.
func (s *sendCredit) sendMe(tag []byte, now time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.sender.Acknowledge(credit.Tag(tag), now); err != nil {
		return err
	}
	if s.freed != nil && s.sender.Free() > 0 {
		close(s.freed)
		s.freed = nil
	}
	return nil
}

// recvCredit counts the credited cells that the client sends to this hop. It
// is safe for concurrent use.
type recvCredit struct {
	mu       sync.Mutex
	receiver credit.Receiver

	// acknowledging is held from counting consumed cells until their SENDMEs
	// are queued: several consumers call consumed at once, and the client takes
	// the tags in order only.
	acknowledging sync.Mutex
	due           []credit.Tag
}

func (r *recvCredit) init(maximum int) { r.receiver = credit.NewReceiver(maximum) }

// receive notes a credited cell, whose tag is given.
func (r *recvCredit) receive(tag credit.Tag) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.receiver.Receive(tag)
}

// consume notes that n cells were used up and calls send with the tag of each
// SENDME that is due now, in order.
func (r *recvCredit) consume(n int, send func(tag *credit.Tag) error) error {
	r.acknowledging.Lock()
	defer r.acknowledging.Unlock()
	r.mu.Lock()
	r.due = r.receiver.Consume(n, r.due[:0])
	r.mu.Unlock()
	for i := range r.due {
		if err := send(&r.due[i]); err != nil {
			return err
		}
	}
	return nil
}

// acknowledged notes that a SENDME was sealed.
func (r *recvCredit) acknowledged() {
	r.mu.Lock()
	r.receiver.Acknowledged()
	r.mu.Unlock()
}
