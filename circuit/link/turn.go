package link

import (
	"errors"
	"time"

	"github.com/quic-go/quic-go"

	"hearsay/circuit/cell"
)

// enqueueLocked lets a stream take its turn.
func (h *shaper) enqueueLocked(s *Stream) {
	if !s.queued {
		s.queued = true
		h.queue = append(h.queue, s)
	}
}

// sendLocked sends the one cell of a tick: an order, else the second cell of a
// turn, else a cell of the circuit whose turn it is, else PAD. A turn has up to
// two cells that one Write has brought: the fragments of a handshake stay
// together so, also inside the onion. A cell that the peer's credit holds back
// gives way to the next, and at last to PAD.
//
// The tick is lost if the cell before has not left yet, because congestion or
// an outage holds packets back: cells that pile up would leave together, in
// packets whose sizes depend on the streams they are for. Losing a tick depends
// on the network alone, as PAD and data are lost alike.
func (h *shaper) sendLocked(now time.Time) {
	sent := h.link.conn.ConnectionStats().BytesSent
	gone := h.of != nil && h.of.Context().Err() != nil // QUIC has dropped it
	h.stuck = !gone && sent-h.mark < h.handed
	if h.stuck {
		return
	}
	h.mark, h.handed, h.of = sent, 0, nil
	h.beside = h.endStreamsLocked(now)
	if h.sendOrderLocked(now) || h.sendDataLocked() {
		return
	}
	clear(h.scratch[:])
	cell.Header{Type: cell.Pad}.Put(h.scratch[:])
	h.putControlLocked(h.scratch[:cell.Size])
}

// sendOrderLocked sends the oldest waiting control cell.
func (h *shaper) sendOrderLocked(now time.Time) bool {
	if len(h.orders) == 0 {
		return false
	}
	clear(h.scratch[:])
	copy(h.scratch[:], h.orders[0])
	if !h.putControlLocked(h.scratch[:cell.Size]) {
		return false
	}
	if h.asks && cell.Type(h.orders[0][0]) == cell.Shape {
		h.sentShape = h.asker.sent(now)
	}
	h.orders = h.orders[1:]
	return true
}

// putControlLocked hands over the control cell in scratch.
func (h *shaper) putControlLocked(c []byte) bool {
	t := 0
	if h.profile != Off {
		t = h.trimLocked(h.control, h.offset)
	}
	c = c[:cell.Size+t]
	c[3] = byte(t)
	if h.control.TryWriteAll(c) != nil {
		return false
	}
	h.offset += uint64(len(c))
	h.handed = uint64(len(c))
	return true
}

// sendDataLocked sends the next cell of a circuit, and reports whether there
// was one.
func (h *shaper) sendDataLocked() bool {
	if s := h.adjacent; s != nil {
		h.adjacent = nil
		if h.putLocked(s) {
			return true
		}
	}
	for n := len(h.queue); n > 0 && len(h.queue) > 0; n-- {
		s := h.queue[0]
		copy(h.queue, h.queue[1:])
		h.queue[len(h.queue)-1] = s
		if h.putLocked(s) {
			if len(s.pending) > 0 {
				h.adjacent = s // a turn has two cells
			}
			return true
		}
	}
	return false
}

// putLocked hands over one cell of a stream if it has one and credit for it.
// A stream without cells leaves the queue.
func (h *shaper) putLocked(s *Stream) bool {
	if len(s.pending) == 0 {
		h.dequeueLocked(s)
		return false
	}
	n, c := h.cellLocked(s)
	switch err := s.Stream.TryWriteAll(c); {
	case errors.Is(err, quic.ErrWouldBlock):
		s.blocked = true
		return false
	case err != nil: // Write learns of it by the stream's context
		h.dequeueLocked(s)
		s.wakeLocked()
		return false
	}
	s.blocked = false
	s.offset += uint64(len(c))
	h.handed, h.of = uint64(len(c)), s
	s.pending, s.rest = s.pending[n:], 0
	if len(s.pending) == 0 {
		h.dequeueLocked(s)
		s.wakeLocked()
	}
	return true
}

// cellLocked returns what to hand over next of a stream, and how many bytes of
// s.pending it stands for: a cell with its trim, or the end of one that began
// before the link was shaped.
func (h *shaper) cellLocked(s *Stream) (int, []byte) {
	n := min(cell.Size, len(s.pending))
	if s.rest > 0 {
		n = min(s.rest, n)
	}
	copy(h.scratch[:], s.pending[:n])
	if n < cell.Size {
		return n, h.scratch[:n]
	}
	t := h.trimLocked(s.Stream, s.offset)
	clear(h.scratch[cell.Size:])
	h.scratch[3] = byte(t)
	return n, h.scratch[:cell.Size+t]
}

// trimLocked returns the trim of the cell of this tick, which leaves room for
// the frames beside it.
func (h *shaper) trimLocked(s *quic.Stream, offset uint64) int {
	return max(trim(uint64(s.StreamID()), offset)-h.beside, 0)
}

func (h *shaper) dequeueLocked(s *Stream) {
	s.queued = false
	for i, q := range h.queue {
		if q == s {
			h.queue = append(h.queue[:i], h.queue[i+1:]...)
			return
		}
	}
}

// orderLocked queues a control cell, and sends it at once where there are no
// ticks.
func (h *shaper) orderLocked(c []byte, now time.Time) {
	h.orders = append(h.orders, c)
	h.flushLocked(now)
	h.armLocked(now)
}

// flushLocked sends what waits on an unshaped link.
func (h *shaper) flushLocked(now time.Time) {
	for h.began && h.profile == Off && h.sendOrderLocked(now) {
		h.sent = now
	}
}

// goAway queues a GOAWAY.
func (h *shaper) goAway() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.orderLocked(goAwayCell(), time.Now())
}
