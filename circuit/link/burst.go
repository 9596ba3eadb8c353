package link

import (
	"context"
	"errors"
	"slices"
	"time"

	"hearsay/circuit/cell"
	"hearsay/directory"
)

var (
	errBurst   = errors.New("link: no burst is granted now")
	errNoBurst = errors.New("link: no burst runs")
)

// Burst asks the relay of a client's live link to let bulk circuits pass the
// schedule for d, rounded up to seconds and at most 10 minutes, and waits until
// it agrees. Streams that are marked by SetBulk after that send at once, as the
// relay does towards them; when the time is over they are reset. All other
// streams keep to their ticks. Whoever watches the link sees the burst. On an
// unshaped link there is nothing to do. The error is that of ctx, ErrClosed, or
// says that the relay grants none.
func (e *Endpoint) Burst(ctx context.Context, relay directory.RelayID, d time.Duration) error {
	e.mu.Lock()
	l := e.byID[relay.Prefix()]
	e.mu.Unlock()
	if l == nil || !l.usable() {
		return ErrClosed
	}
	h := l.shaper.Load()
	if h == nil {
		return nil
	}
	seconds := min((d+time.Second-1)/time.Second, cell.MaxBurst)
	return h.askBurst(ctx, uint16(max(seconds, 1)))
}

// makeBulkLocked lets a stream pass the schedule until the burst ends.
func (h *shaper) makeBulkLocked(s *Stream) error {
	if h.profile == Off || s.bulk {
		return nil
	}
	if h.burst.IsZero() {
		return errNoBurst
	}
	s.bulk = true
	h.bulks = slices.DeleteFunc(h.bulks, func(s *Stream) bool { return s.unsent && s.unread.Load() })
	h.bulks = append(h.bulks, s)
	return nil
}

// findBulk marks a client's new circuit as bulk if its first cell came outside
// the schedule while a burst runs: a cell that went out in a tick has a trim
// (SPEC.md §8.6). It returns false if the header did not come.
func (s *Stream) findBulk() bool {
	if s.shaper == nil || !s.shaper.bursting() {
		return true
	}
	var header [cell.HeaderSize]byte
	if _, err := s.Stream.Peek(header[:]); err != nil {
		return false
	}
	return header[3] != 0 || s.SetBulk() == nil
}

// bursting reports whether a burst runs.
func (h *shaper) bursting() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.burst.IsZero()
}

// endBurstLocked resets the bulk streams when a burst is over: they must not
// fill the ticks of the others.
func (h *shaper) endBurstLocked(now time.Time) {
	if h.burst.IsZero() || now.Before(h.burst) {
		return
	}
	h.burst = time.Time{}
	for _, s := range h.bulks {
		s.bulk, s.unsent = false, true
		s.unread.Store(true)
		s.wakeLocked()
		h.closeNowLocked(s)
	}
	h.bulks = nil
}
