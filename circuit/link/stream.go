package link

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"hearsay/circuit/cell"
)

// Stream is one stream of a link. It is used as a *quic.Stream is: one
// goroutine reads, one writes, and cancelling may be done by any. On a circuit
// stream, each Write takes whole cells.
//
// On a shaped link the cells of a circuit stream leave one by one, in ticks,
// and each may be followed by zero bytes that its header counts: the reader
// takes them off (SPEC.md §8.2).
type Stream struct {
	*quic.Stream
	link *Link
	kind Kind
	// shaper is that of a client's link, for its circuit streams; else nil.
	shaper *shaper

	detached bool // the handler has called Detach

	unwritten func()      // called once at the first CancelWrite; nil: nobody asks
	ended     atomic.Bool // it was

	unread atomic.Bool // CancelRead was called
	reset  atomic.Bool // the peer has ended its direction

	// Guarded by shaper.mu.
	offset   uint64        // bytes that were handed to QUIC
	pending  []byte        // what a Write waits to hand over
	rest     int           // bytes at the head of pending of a cell that has begun
	queued   bool          // stands in shaper.queue
	blocked  bool          // the peer's credit stops it, not the schedule
	direct   bool          // a Write is in QUIC
	stopped  bool          // that Write was called back
	unsent   bool          // CancelWrite was called
	bulk     bool          // passes the schedule while a burst runs
	closing  bool          // stands in shaper.closing
	closeAt  time.Time     // when QUIC is told of the cancelling, or was
	endedAt  time.Time     // when QUIC was told that nothing is read any more
	deadline time.Time     // of Write
	wake     chan struct{} // capacity 1; nil until a Write waits
}

// newStream wraps a stream of the link.
func newStream(l *Link, s *quic.Stream, k Kind) *Stream {
	st := &Stream{Stream: s, link: l, kind: k}
	if k == KindCircuit {
		st.shaper = l.shaper.Load()
		if st.shaper != nil {
			s.SetReceiveFinalSizeCallback(func(int64) { st.reset.Store(true) })
		}
	}
	return st
}

// Detach lets the handler of an incoming stream return while the stream goes
// on, so that no goroutine of the endpoint waits for it. The handler calls it
// at most once. What follows a handler's end follows the call of done, which
// must come exactly once; Endpoint.Close waits for it.
func (s *Stream) Detach() (done func()) {
	s.detached = true
	s.link.e.wg.Add(1) // the handler's goroutine is counted until it returns
	return func() {
		defer s.link.e.wg.Done()
		endIncoming(s.Stream, s)
		s.link.leave(s.kind)
	}
}

// Link returns the link that the stream belongs to.
func (s *Stream) Link() *Link { return s.link }

// Write hands p to QUIC. On a shaped link its cells wait for their ticks, one
// after the other; Write returns when the last was handed over, and with an
// error the count of bytes that were.
func (s *Stream) Write(p []byte) (int, error) {
	if s.shaper == nil {
		return s.Stream.Write(p)
	}
	return s.shaper.write(s, p, nil)
}

// WriteWithLimit is Write with a limiter as that of a *quic.Stream. In ticks,
// which are slower than any limit, the limiter is not asked.
func (s *Stream) WriteWithLimit(p []byte, limiter func(maxBytes int) int) (int, error) {
	if s.shaper == nil {
		return s.Stream.WriteWithLimit(p, limiter)
	}
	return s.shaper.write(s, p, limiter)
}

// TryWriteAll is that of a *quic.Stream; a circuit stream of a client's link
// takes nothing so, since its cells may have to wait for a tick.
func (s *Stream) TryWriteAll(p []byte) error {
	if s.shaper == nil {
		return s.Stream.TryWriteAll(p)
	}
	return quic.ErrWouldBlock
}

// Waiting reports whether a Write is held back by nothing but the schedule of
// a shaped link. That is no stall: neither the peer's credit nor congestion
// stops it.
func (s *Stream) Waiting() bool {
	h := s.shaper
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(s.pending) > 0 && !s.blocked && !h.stuck
}

// SetBulk lets the stream pass the schedule of its link while a burst runs
// (SPEC.md §8.6). It is called before the first Write, and fails if no burst
// runs. The stream is reset when the burst ends. On an unshaped link it does
// nothing.
func (s *Stream) SetBulk() error {
	h := s.shaper
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.makeBulkLocked(s)
}

// SetWriteDeadline is that of a *quic.Stream.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	h := s.shaper
	if h == nil {
		return s.Stream.SetWriteDeadline(t)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s.deadline = t
	s.wakeLocked()
	if s.stopped {
		return nil
	}
	return s.Stream.SetWriteDeadline(t)
}

// SetReadDeadline is that of a *quic.Stream.
func (s *Stream) SetReadDeadline(t time.Time) error {
	h := s.shaper
	if h == nil {
		return s.Stream.SetReadDeadline(t)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.unread.Load() {
		return nil
	}
	return s.Stream.SetReadDeadline(t)
}

// SetDeadline sets both deadlines.
func (s *Stream) SetDeadline(t time.Time) error {
	_ = s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

// Read is that of a *quic.Stream.
func (s *Stream) Read(p []byte) (int, error) {
	if s.shaper == nil {
		return s.Stream.Read(p)
	}
	if s.unread.Load() {
		return 0, s.cancelled()
	}
	n, err := s.Stream.Read(p)
	return n, s.readError(err)
}

// Peek is that of a *quic.Stream.
func (s *Stream) Peek(p []byte) (int, error) {
	if s.shaper == nil {
		return s.Stream.Peek(p)
	}
	if s.unread.Load() {
		return 0, s.cancelled()
	}
	n, err := s.Stream.Peek(p)
	return n, s.readError(err)
}

// readError hides that CancelRead ends a Read by a deadline, and notes when the
// peer has ended its direction.
func (s *Stream) readError(err error) error {
	if err == nil {
		return nil
	}
	if s.unread.Load() {
		return s.cancelled()
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		s.reset.Store(true)
	}
	return err
}

// cancelled is the error of a direction that this side has ended.
func (s *Stream) cancelled() error {
	return &quic.StreamError{StreamID: s.StreamID()}
}

// past is a deadline that has expired.
var past = time.Unix(1, 0)

// CancelWrite ends the direction of sending: what was not handed over is
// dropped, and Write fails from now on. On a shaped link the peer learns of it
// at a random tick within 60 s (SPEC.md §8.5), on others at once.
func (s *Stream) CancelWrite(code quic.StreamErrorCode) {
	h := s.shaper
	if h == nil {
		s.Stream.CancelWrite(code)
		s.endWriting()
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s.unsent = true
	s.wakeLocked()
	if s.Context().Err() != nil || h.directLocked(s) {
		s.Stream.CancelWrite(code) // no packet, or one that need not wait
		return
	}
	h.stopDirectLocked(s)
	h.closeLaterLocked(s)
}

// CancelRead ends the direction of receiving: Read fails from now on. The peer
// learns of it as it does of CancelWrite.
func (s *Stream) CancelRead(code quic.StreamErrorCode) {
	h := s.shaper
	if h == nil {
		s.Stream.CancelRead(code)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s.unread.Store(true)
	if s.reset.Load() || h.directLocked(s) {
		s.cancelReadLocked(time.Now())
		return
	}
	_ = s.Stream.SetReadDeadline(past) // calls a Read back
	h.closeLaterLocked(s)
}

// Reset ends both directions at once, without a reason, even on a shaped link,
// where the packet that tells the peer stands out: it is for memory that has
// to be freed now. It is idempotent.
func (s *Stream) Reset() {
	if h := s.shaper; h != nil {
		h.mu.Lock()
		s.unsent = true
		s.unread.Store(true)
		s.wakeLocked()
		s.endedAt = time.Now()
		h.mu.Unlock()
	}
	reset(s.Stream)
	s.endWriting()
}

// endWriting tells whoever counts the stream that nothing is sent on it any
// more.
func (s *Stream) endWriting() {
	if s.unwritten != nil && !s.ended.Swap(true) {
		s.unwritten()
	}
}

// Close ends the direction of sending after what was written.
func (s *Stream) Close() error {
	err := s.Stream.Close()
	s.endWriting()
	return err
}

// wakeLocked lets a waiting Write look again.
func (s *Stream) wakeLocked() {
	if s.wake == nil {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// write is Write on a client's link. The shaper alone hands over what waits
// for a tick, so h.mu is held for that and never while a direct Write is in
// QUIC.
func (h *shaper) write(s *Stream, p []byte, limiter func(int) int) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		if s.unsent {
			return n, s.cancelled()
		}
		if n == len(p) {
			return n, nil
		}
		if h.directLocked(s) {
			var m int
			m, err = h.writeDirectLocked(s, p[n:], limiter)
			if n += m; err != nil {
				return n, err
			}
			s.rest = 0
			if n < len(p) { // called back, perhaps in the middle of a cell
				s.rest = (cell.Size - n%cell.Size) % cell.Size
			}
			continue
		}
		s.pending = p[n:]
		h.enqueueLocked(s)
		err = h.waitLocked(s)
		n = len(p) - len(s.pending)
		s.pending, s.blocked = nil, false
		if err != nil {
			return n, err
		}
	}
}

// writeDirectLocked writes to QUIC without the lock. It returns early, without
// an error, if the Write was called back.
func (h *shaper) writeDirectLocked(s *Stream, p []byte, limiter func(int) int) (int, error) {
	s.direct = true
	h.directs = append(h.directs, s)
	h.mu.Unlock()
	n, err := s.Stream.WriteWithLimit(p, limiter)
	h.mu.Lock()
	s.direct = false
	h.directs = slices.DeleteFunc(h.directs, func(d *Stream) bool { return d == s })
	s.offset += uint64(n)
	h.sent = time.Now()
	if !s.stopped {
		return n, err
	}
	s.stopped = false
	_ = s.Stream.SetWriteDeadline(s.deadline)
	if errors.Is(err, os.ErrDeadlineExceeded) && (s.deadline.IsZero() || time.Now().Before(s.deadline)) {
		err = nil
	}
	return n, err
}

// stopDirectLocked calls back a Write that is in QUIC.
func (h *shaper) stopDirectLocked(s *Stream) {
	if s.direct && !s.stopped {
		s.stopped = true
		_ = s.Stream.SetWriteDeadline(past)
	}
}

// waitLocked waits, without the lock, until s.pending is empty or something
// else has happened to the stream.
func (h *shaper) waitLocked(s *Stream) error {
	if s.wake == nil {
		s.wake = make(chan struct{}, 1)
	}
	var late <-chan time.Time
	if !s.deadline.IsZero() {
		t := time.NewTimer(time.Until(s.deadline))
		defer t.Stop()
		late = t.C
	}
	h.mu.Unlock()
	var err error
	select {
	case <-s.wake:
	case <-late:
		err = os.ErrDeadlineExceeded
	case <-s.Context().Done():
		err = context.Cause(s.Context())
	}
	h.mu.Lock()
	if err != nil && len(s.pending) == 0 {
		return nil // all of it went before
	}
	return err
}
