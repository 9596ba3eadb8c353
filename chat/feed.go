package chat

import (
	"context"
	"errors"
	"math"
	"sync"
)

// Implementation constants: what one slow reader of events may hold back.
const (
	volatileLimit = 1024 // pending events beyond which volatile ones are dropped
	durableLimit  = 4096 // pending events beyond which they are read from the disk instead
	replayPage    = 256  // events read from the disk at once, about
)

// ErrFeedClosed is returned by Next after the subscription or its feed closed.
var ErrFeedClosed = errors.New("chat: the event feed is closed")

// Feed numbers events and hands them to its subscriptions. It is safe for
// concurrent use; publishing never blocks.
type Feed struct {
	// source reads what is kept on the disk; nil: nothing is, and a reader who
	// fell behind gets a Resync.
	source replaySource

	mu      sync.Mutex
	seq     uint64 // of the last event that was published
	ceiling uint64 // numbers above it are not reserved on the disk
	holds   uint64 // numbers behind seq that a transaction under way has taken
	delayed []Event
	subs    map[*Subscription]struct{}
	closed  bool
}

// replaySource returns kept events with numbers in (after, upto], about limit of
// them, and the number up to which it looked: upto if no more follow.
type replaySource func(ctx context.Context, after, upto uint64, limit int) (events []Event, reached uint64, err error)

// NewFeed returns a feed whose first event gets the number behind after.
func NewFeed(after uint64) *Feed {
	return &Feed{seq: after, ceiling: math.MaxUint64, subs: make(map[*Subscription]struct{})}
}

// Publish numbers an event that no transaction reports and gives it to every
// subscription. While a transaction holds numbers the event waits for its end,
// so that numbers rise for every reader.
func (f *Feed) Publish(ev Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.holds > 0 || f.seq >= f.ceiling {
		if len(f.delayed) < volatileLimit || ev.durable() {
			f.delayed = append(f.delayed, ev)
		}
		return
	}
	f.seq++
	ev.Seq = f.seq
	f.give(ev)
}

// Pass gives an event that has a number already, above all before it, to every
// subscription: for feeds that repeat another one.
func (f *Feed) Pass(ev Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq = max(f.seq, ev.Seq)
	f.give(ev)
}

// give hands a numbered event to the subscriptions; f.mu is held.
func (f *Feed) give(ev Event) {
	for s := range f.subs {
		s.add(ev)
	}
}

// hold takes n numbers for the events of a transaction and returns the first.
// release must follow.
func (f *Feed) hold(n int) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holds = uint64(n)
	return f.seq + 1
}

// release publishes the events of a transaction that is on the disk, up to
// whose numbers ceiling are reserved, and then what waited meanwhile. Without
// events the numbers that were taken stay unused: a commit that failed may be
// on the disk all the same.
func (f *Feed) release(events []Event, ceiling uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq += f.holds
	f.holds, f.ceiling = 0, max(f.ceiling, ceiling)
	for _, ev := range events {
		f.give(ev)
	}
	for len(f.delayed) > 0 && f.seq < f.ceiling {
		f.seq++
		f.delayed[0].Seq = f.seq
		f.give(f.delayed[0])
		f.delayed = f.delayed[1:]
	}
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
	return f.subscribe(f.seq)
}

// SubscribeThen is Subscribe; ended is called once when the subscription is
// closed.
func (f *Feed) SubscribeThen(ended func()) *Subscription {
	s := f.Subscribe()
	s.ended = ended
	return s
}

// subscribeSince returns a subscription that begins with the kept events behind
// a number. One that was never given out is answered like one too old.
func (f *Feed) subscribeSince(since uint64) *Subscription {
	f.mu.Lock()
	defer f.mu.Unlock()
	if since > f.seq {
		s := f.subscribe(f.seq)
		s.replayed = []Event{{Seq: f.seq, Type: Resync, Oldest: f.seq + 1}}
		return s
	}
	return f.subscribe(since)
}

func (f *Feed) subscribe(since uint64) *Subscription {
	s := &Subscription{feed: f, start: since, cursor: since, floor: f.seq, wake: make(chan struct{}, 1), closed: f.closed}
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

// Subscription is one reader's cursor over the events. Beyond 1024 pending ones
// volatile events (network, circuits, progress, errors) are dropped; beyond 4096
// the pending ones are forgotten, and the durable ones among them are read from
// the disk when the reader comes to them. Where nothing is kept on a disk one
// Resync takes their place, after which the reader lists everything anew.
type Subscription struct {
	feed  *Feed
	start uint64
	wake  chan struct{} // capacity 1: a full channel already says "look"
	ended func()        // called once by Close, if not nil

	mu       sync.Mutex
	replayed []Event // from the disk, before pending
	pending  []Event // numbers above floor
	cursor   uint64  // what is above it and up to floor is on the disk
	floor    uint64
	closed   bool
}

// Seq returns the number behind which the subscription began.
func (s *Subscription) Seq() uint64 { return s.start }

// Next returns the next event, waiting for one. It fails with ErrFeedClosed
// when the subscription ended and is empty, or with the context's error. One
// goroutine at a time may call it.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		s.mu.Lock()
		if ev, ok := s.take(); ok {
			s.mu.Unlock()
			return ev, nil
		}
		behind, closed := s.cursor < s.floor, s.closed
		s.mu.Unlock()
		if behind {
			err := s.refill(ctx)
			if err == nil {
				continue
			}
			if KindOf(err) != KindLocked {
				return Event{}, err
			}
			// Locked: what is on the disk can be read after an event of unlocking.
		} else if closed {
			return Event{}, ErrFeedClosed
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// take returns the first event in memory whose turn it is; s.mu is held.
func (s *Subscription) take() (Event, bool) {
	from := &s.replayed
	if len(*from) == 0 {
		if len(s.pending) == 0 || s.cursor < s.floor {
			return Event{}, false
		}
		from = &s.pending
		s.cursor = s.pending[0].Seq
	}
	ev := (*from)[0]
	(*from)[0] = Event{}
	*from = (*from)[1:]
	return ev, true
}

// refill reads the next page from the disk.
func (s *Subscription) refill(ctx context.Context) error {
	s.mu.Lock()
	after, upto := s.cursor, s.floor
	s.mu.Unlock()
	events, reached, err := s.feed.source(ctx, after, upto, replayPage)
	if errors.Is(err, errClosed) {
		return ErrFeedClosed
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replayed, s.cursor = events, reached
	return nil
}

// Close ends the subscription and drops what is pending. Idempotent.
func (s *Subscription) Close() {
	s.feed.mu.Lock()
	delete(s.feed.subs, s)
	s.feed.mu.Unlock()
	s.mu.Lock()
	s.replayed, s.pending = nil, nil
	s.cursor = s.floor
	ended := s.ended
	s.ended = nil
	s.mu.Unlock()
	s.end()
	if ended != nil {
		ended()
	}
}

func (s *Subscription) add(ev Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.pending) >= durableLimit && s.feed.source != nil:
		s.pending, s.floor = nil, ev.Seq
	case len(s.pending) >= durableLimit:
		s.pending = []Event{{Seq: ev.Seq, Type: Resync, Oldest: ev.Seq + 1}}
	case len(s.pending) >= volatileLimit && !ev.durable():
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
