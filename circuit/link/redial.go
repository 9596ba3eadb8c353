package link

import (
	"context"
	"time"
)

// Redial dials a peer from a fresh socket although a link to it may stand: it
// is for a link that fell silent, perhaps since this machine has another
// address now. When the new link is ready, wanted is asked; if it says no, the
// new link is closed and the error is ErrUnwanted. Otherwise the new link takes
// the place of the old one, which drains. The other errors are those of Link.
func (e *Endpoint) Redial(ctx context.Context, t Target, wanted func() bool) (*Link, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.ctx, cancel)()
	t.wanted = wanted
	type answer struct {
		link *Link
		err  error
	}
	got := make(chan answer, 1)
	if !e.start(func() {
		l, err := e.dialAll(ctx, t)
		got <- answer{l, err}
	}) {
		return nil, ErrClosed
	}
	a := <-got
	return a.link, a.err
}

// Traffic is what went over a link so far, as its own side knows it.
type Traffic struct {
	Sent, Received uint64 // packets
	Lost           uint64 // of those sent
	// Probe is the time after which an unanswered packet is asked for again, the
	// probe timeout of QUIC, without its back-off.
	Probe time.Duration
}

// Traffic returns the counters of the link.
func (l *Link) Traffic() Traffic {
	s := l.conn.ConnectionStats()
	return Traffic{
		Sent: s.PacketsSent, Received: s.PacketsReceived, Lost: s.PacketsLost,
		Probe: s.SmoothedRTT + max(4*s.MeanDeviation, time.Millisecond) + maxAckDelay,
	}
}

// maxAckDelay is how long quic-go holds an acknowledgement back at most.
const maxAckDelay = 25 * time.Millisecond
