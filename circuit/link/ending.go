package link

import (
	"math/rand/v2"
	"slices"
	"time"

	"hearsay/circuit/cell"
)

// On a shaped link the end of a circuit is no packet of its own (SPEC.md §8.5):
// each side resets its direction in a tick, beside a cell that is shorter by as
// much, and gives no STOP_SENDING, which the peer's QUIC would answer at once.
// The credit for another stream goes back in the same way.

const (
	// maxStreamsSize is the size of QUIC's MAX_STREAMS frame; no number of
	// streams is below 64, as clientStreams is not.
	maxStreamsSize = 3
	// besideMost is what the trim of a cell has room for at least, as long as
	// its stream has an id and an offset below 2^30.
	besideMost = cell.MaxTrim + 1 - 4 - 4
)

// closeLaterLocked lets a cancelled stream be reset at a random time, or as soon
// as possible if the peer has ended it.
func (h *shaper) closeLaterLocked(s *Stream) {
	if s.closing {
		return
	}
	s.closing = true
	s.closeAt = time.Now()
	if !s.reset.Load() {
		s.closeAt = s.closeAt.Add(rand.N(closeWithin - h.profile.Tick()))
	}
	h.closing = append(h.closing, s)
}

// endStreamsLocked tells QUIC of the streams whose time has come, as far as
// their frames have room beside the cell of a tick, and returns how many bytes
// the frames have.
func (h *shaper) endStreamsLocked(now time.Time) (bytes int) {
	h.closing = slices.DeleteFunc(h.closing, func(s *Stream) bool {
		n := 0
		if s.unsent && s.Context().Err() == nil {
			n = resetSize(uint64(s.StreamID()), s.offset)
		}
		if s.closeAt.After(now) || bytes+n > besideMost {
			return false
		}
		bytes += n
		s.closing = false
		if s.unsent {
			s.Stream.CancelWrite(0)
		}
		if s.unread.Load() {
			s.closeAt = now
			h.ending = append(h.ending, s)
		}
		return true
	})
	h.ending = slices.DeleteFunc(h.ending, func(s *Stream) bool {
		late := now.Sub(s.closeAt) > endWithin
		if s.reset.Load() || late {
			s.cancelReadLocked(now) // no packet, unless the peer keeps silent
			return true
		}
		return false
	})
	h.held = slices.DeleteFunc(h.held, func(s *Stream) bool {
		if !s.over(now) || bytes+maxStreamsSize > besideMost {
			return false
		}
		bytes += maxStreamsSize
		s.Stream.ReleaseStreamCredit()
		return true
	})
	return bytes
}

// over reports whether QUIC has done with a stream for some time, so that its
// credit goes back when it is released.
func (s *Stream) over(now time.Time) bool {
	return s.Context().Err() != nil && !s.endedAt.IsZero() && now.Sub(s.endedAt) > creditAfter
}

// cancelReadLocked ends the direction of receiving.
func (s *Stream) cancelReadLocked(now time.Time) {
	s.Stream.CancelRead(0)
	if s.endedAt.IsZero() {
		s.endedAt = now
	}
}

// closeNowLocked tells QUIC of the end of a stream outside of a tick.
func (h *shaper) closeNowLocked(s *Stream) {
	s.closing = false
	if s.unsent {
		s.Stream.CancelWrite(0)
	}
	if s.unread.Load() {
		s.cancelReadLocked(time.Now())
	}
}

// closeAllLocked lets no stream wait for a tick, since none will come.
func (h *shaper) closeAllLocked() {
	for _, s := range append(h.closing, h.ending...) {
		h.closeNowLocked(s)
	}
	for _, s := range h.held {
		s.Stream.ReleaseStreamCredit()
	}
	h.closing, h.ending, h.held = nil, nil, nil
}

// hold keeps the credit of a stream of the peer for the ticks after its
// end; where there are none, it goes back at its end.
func (h *shaper) hold(s *Stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.profile == Off {
		s.Stream.ReleaseStreamCredit()
		return
	}
	h.held = append(h.held, s)
}
