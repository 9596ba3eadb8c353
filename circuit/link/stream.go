package link

import "github.com/quic-go/quic-go"

// Stream is one stream of a link. It is used as a *quic.Stream is: one
// goroutine reads, one writes, and cancelling may be done by any. On a circuit
// stream, each Write takes whole cells.
type Stream struct {
	*quic.Stream
	link *Link
	kind Kind
}

// Waiting reports whether a Write is held back by nothing but the schedule of
// a shaped link. That is no stall: neither the peer's credit nor congestion
// stops it.
func (s *Stream) Waiting() bool { return false }

// Reset ends both directions at once, without a reason, even on a shaped link,
// where the packet that tells the peer stands out: it is for memory that has
// to be freed now. It is idempotent.
func (s *Stream) Reset() { reset(s.Stream) }
