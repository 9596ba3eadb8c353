package relay

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

var errReset = errors.New("test: stream reset")

// half is one direction of a stream in memory.
type half struct {
	mu       sync.Mutex
	buf      []byte
	limit    int
	err      error
	deadline time.Time
	changed  chan struct{}
}

func newHalf() *half { return &half{limit: 128 << 10, changed: make(chan struct{})} }

func (h *half) notifyLocked() {
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *half) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = err
		if err != io.EOF {
			h.buf = nil
		}
		h.notifyLocked()
	}
}

func (h *half) read(b []byte, consume bool) (int, error) {
	for {
		h.mu.Lock()
		if !h.deadline.IsZero() && !time.Now().Before(h.deadline) {
			h.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		if len(h.buf) > 0 {
			n := copy(b, h.buf)
			if consume {
				h.buf = h.buf[n:]
				h.notifyLocked()
			}
			h.mu.Unlock()
			return n, nil
		}
		if h.err != nil {
			h.mu.Unlock()
			return 0, h.err
		}
		changed := h.changed
		var late <-chan time.Time
		if !h.deadline.IsZero() {
			late = time.After(time.Until(h.deadline))
		}
		h.mu.Unlock()
		select {
		case <-changed:
		case <-late:
		}
	}
}

func (h *half) write(b []byte) (int, error) {
	n := 0
	for {
		h.mu.Lock()
		if h.err != nil {
			h.mu.Unlock()
			return n, h.err
		}
		if room := h.limit - len(h.buf); room > 0 {
			m := min(room, len(b)-n)
			h.buf = append(h.buf, b[n:n+m]...)
			n += m
			h.notifyLocked()
		}
		changed := h.changed
		h.mu.Unlock()
		if n == len(b) {
			return n, nil
		}
		<-changed
	}
}

// memStream is one end of a stream in memory. It behaves as a *quic.Stream
// does, as far as the switch can tell.
type memStream struct{ r, w *half }

func memPipe() (a, b *memStream) {
	x, y := newHalf(), newHalf()
	return &memStream{x, y}, &memStream{y, x}
}

func (s *memStream) Peek(b []byte) (int, error)       { return s.r.read(b, false) }
func (s *memStream) Read(b []byte) (int, error)       { return s.r.read(b, true) }
func (s *memStream) Write(b []byte) (int, error)      { return s.w.write(b) }
func (s *memStream) SetPriority(int8, bool)           {}
func (s *memStream) CancelRead(quic.StreamErrorCode)  { s.r.fail(errReset) }
func (s *memStream) CancelWrite(quic.StreamErrorCode) { s.w.fail(errReset) }

func (s *memStream) SetReadDeadline(t time.Time) error {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.deadline = t
	s.r.notifyLocked()
	return nil
}
