package chat

import (
	"context"
	"errors"
	"sync"
)

// Implementation constants: what one slow reader of events may hold back.
const (
	volatileLimit = 1024  // pending events beyond which volatile ones are dropped
	durableLimit  = 65536 // pending events beyond which all are dropped for one Resync
)

// ErrFeedClosed is returned by Next after the subscription or its feed closed.
var ErrFeedClosed = errors.New("chat: the event feed is closed")

// Feed numbers events and hands them to its subscriptions. It is safe for
// concurrent use; publishing never blocks.
type Feed struct {
	mu     sync.Mutex
	seq    uint64
	subs   map[*Subscription]struct{}
	closed bool
}

// NewFeed returns a feed whose first event gets the number after.
func NewFeed(after uint64) *Feed {
	return &Feed{seq: after, subs: make(map[*Subscription]struct{})}
}

// Publish numbers the event and gives it to every subscription. It returns the
// number.
func (f *Feed) Publish(ev Event) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq++
	ev.Seq = f.seq
	for s := range f.subs {
		s.add(ev)
	}
	return f.seq
}

// Last returns the number of the last event.
func (f *Feed) Last() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seq
}

// Subscribe returns a subscription to the events from now on.
func (f *Feed) Subscribe() *Subscription {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &Subscription{feed: f, start: f.seq, wake: make(chan struct{}, 1), closed: f.closed}
	if !f.closed {
		f.subs[s] = struct{}{}
	}
	return s
}

// Close ends all subscriptions once they have been read empty. Idempotent.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for s := range f.subs {
		s.end()
	}
	clear(f.subs)
}

// Subscription is one reader's cursor over the events. Events wait in memory:
// beyond 1024 pending ones volatile events (network, circuits, errors) are
// dropped, beyond 65,536 everything pending is dropped and one Resync event
// takes its place, after which the reader lists contacts and messages anew.
type Subscription struct {
	feed  *Feed
	start uint64
	wake  chan struct{} // capacity 1: a full channel already says "look"

	mu      sync.Mutex
	pending []Event
	closed  bool
}

// Seq returns the number of the last event before the subscription.
func (s *Subscription) Seq() uint64 { return s.start }

// Next returns the next event, waiting for one. It fails with ErrFeedClosed
// when the subscription ended and is empty, or with the context's error. One
// goroutine at a time may call it.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		s.mu.Lock()
		if len(s.pending) > 0 {
			ev := s.pending[0]
			s.pending[0] = Event{}
			s.pending = s.pending[1:]
			s.mu.Unlock()
			return ev, nil
		}
		closed := s.closed
		s.mu.Unlock()
		if closed {
			return Event{}, ErrFeedClosed
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// Close ends the subscription and drops what is pending. Idempotent.
func (s *Subscription) Close() {
	s.feed.mu.Lock()
	delete(s.feed.subs, s)
	s.feed.mu.Unlock()
	s.mu.Lock()
	s.pending = nil
	s.mu.Unlock()
	s.end()
}

func (s *Subscription) add(ev Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.pending) >= durableLimit:
		s.pending = []Event{{Seq: ev.Seq, Type: Resync}}
	case len(s.pending) >= volatileLimit && !ev.Type.durable():
	default:
		s.pending = append(s.pending, ev)
	}
	s.signal()
}

func (s *Subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.signal()
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
