package relay

import (
	"errors"
	"sync/atomic"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
)

// End says why a circuit ended at this relay. No peer learns it.
type End int

// The reasons (SPEC.md §3.5).
const (
	EndPeer      End = iota // a neighbour reset or ended its stream, or its link is gone
	EndRule                 // a message or cell that is not allowed in the state, or malformed
	EndLayer                // a cell that does not open
	EndHandshake            // a CREATE message that is not answered
	EndCredit               // more cells than credit, or a SENDME that is wrong
	EndExcess               // more PINGs, DROPs or streams than a circuit may have
	EndRefused              // a CREATE over the link's rate, or of a link that may not
	EndLoad                 // a CREATE that would wait too long
	EndFull                 // a CREATE while memory is short, or while the relay stops
	EndStalled              // a neighbour took nothing for too long
	EndTimeout              // an incomplete message, a circuit that is idle or old
	EndMemory               // closed since memory is short
	EndService              // the mailbox rejected a message
	EndStop                 // the relay stops
	ends
)

var endNames = [ends]string{
	"peer", "rule", "layer", "handshake", "credit", "excess", "refused", "load", "full",
	"stalled", "timeout", "memory", "service", "stop",
}

// String returns the name of the reason, a lower-case word.
func (e End) String() string {
	if e < 0 || e >= ends {
		return "unknown"
	}
	return endNames[e]
}

// Counters are what a switch has done since it was made. They name nobody.
type Counters struct {
	Opened      uint64       // circuits that peers began
	Ended       [ends]uint64 // by End; Opened less their sum are open
	Forward     uint64       // cells that came from the clients' sides
	Backward    uint64       // cells sent towards the clients
	Echoed      uint64       // ECHO_REPLYs
	EchoBusy    uint64       // ECHO_BUSYs
	Extended    uint64       // extensions that succeeded
	NotExtended uint64       // EXTEND_FAILs
	ReadAhead   uint64       // times that a blocked direction was read ahead
	LinksClosed uint64       // links of clients closed since memory is short
}

// counters are the live Counters.
type counters struct {
	opened, echoed, echoBusy, extended, notExtended, readAhead, linksClosed atomic.Uint64
	forward, backward                                                       atomic.Uint64
	ended                                                                   [ends]atomic.Uint64
}

// Counters returns what the switch has done so far. Cells are counted up to
// the last quarter of a second.
func (sw *Switch) Counters() Counters {
	k := &sw.counts
	c := Counters{
		Opened: k.opened.Load(), Forward: k.forward.Load(), Backward: k.backward.Load(),
		Echoed: k.echoed.Load(), EchoBusy: k.echoBusy.Load(),
		Extended: k.extended.Load(), NotExtended: k.notExtended.Load(),
		ReadAhead: k.readAhead.Load(), LinksClosed: k.linksClosed.Load(),
	}
	for i := range k.ended {
		c.Ended[i] = k.ended[i].Load()
	}
	return c
}

// why returns the reason for the end of a circuit that err led to.
func why(err error) End {
	switch {
	case errors.Is(err, errCredit), errors.Is(err, errSendMe):
		return EndCredit
	case errors.Is(err, onion.ErrLayer):
		return EndLayer
	case errors.Is(err, onion.ErrHandshake):
		return EndHandshake
	case errors.Is(err, errProtocol), errors.Is(err, errTrim), errors.Is(err, cell.ErrFormat):
		return EndRule
	case errors.Is(err, errTooMuch):
		return EndExcess
	case errors.Is(err, errRefused):
		return EndRefused
	case errors.Is(err, errLoad):
		return EndLoad
	case errors.Is(err, errFull):
		return EndFull
	}
	return EndPeer
}
