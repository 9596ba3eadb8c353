package link

import (
	"math/rand/v2"
	"time"

	"hearsay/circuit/cell"
)

// paddingAfter draws how long an unshaped link may be without a cell before
// this side sends a PAD: the larger of two uniform draws (SPEC.md §8.4).
func paddingAfter() time.Duration {
	draw := func() time.Duration { return paddingMin + rand.N(paddingMax-paddingMin) }
	return max(draw(), draw())
}

// padLocked sends the PAD of an unshaped link when it is due.
func (h *shaper) padLocked(now time.Time) {
	if h.profile != Off || now.Before(h.sent.Add(h.idle)) {
		return
	}
	clear(h.scratch[:])
	cell.Header{Type: cell.Pad}.Put(h.scratch[:])
	h.putControlLocked(h.scratch[:cell.Size]) // lost if the peer takes nothing
	h.sent, h.idle = now, paddingAfter()
}
