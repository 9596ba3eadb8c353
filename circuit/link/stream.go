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
