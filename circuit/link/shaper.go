package link

import (
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"hearsay/circuit/cell"
)

// shaper is one side of a client's link: it decides when this side sends
// cells. With a profile other than Off it sends exactly one cell in each tick
// of a schedule that depends on nothing but the profile and the time the link
// began; in Off it lets cells pass and sends a PAD when there were none for a
// while (SPEC.md §8).
//
// It needs no goroutine: a timer calls tick. mu is held over TryWriteAll, which
// neither waits nor calls back.
type shaper struct {
	link    *Link
	control *quic.Stream
	asks    bool // the client's side, which chooses the profile

	mu      sync.Mutex
	began   bool
	profile Profile     // in force for what this side sends
	timer   *time.Timer // calls tick

	// The schedule. next is the time of the coming tick, last that of the one
	// before; ticks before warm are warmTick apart.
	next, last, warm time.Time
	// The cell of the last tick: what the connection had sent before, its size,
	// and its stream unless that is the control stream.
	mark, handed uint64
	of           *Stream
	stuck        bool // the last tick was lost, since that cell had not left

	// Netflow padding: the last cell, and how long after it a PAD is due.
	sent time.Time
	idle time.Duration

	queue    []*Stream // those with cells that wait, in turn
	adjacent *Stream   // whose turn goes on with a second cell; nil: none
	orders   [][]byte  // control cells that wait; they go first
	offset   uint64    // of the control stream
	directs  []*Stream // with a Write in QUIC
	closing  []*Stream // cancelled, and QUIC not told yet
	ending   []*Stream // reset, and the peer has not reset its direction yet
	held     []*Stream // of the peer, whose credit was not given back
	beside   int       // bytes of frames that go with the cell of this tick
	bulks    []*Stream // that pass the schedule
	burst    time.Time // end of the burst; zero if none runs

	asker     asker         // of a client
	judge     judge         // of a relay
	sentShape *cell.Shaping // what this side's SHAPE, just sent, asked for
	scratch   [cell.Size + cell.MaxTrim]byte
}

// begin starts the schedule of a link whose LINK_HELLO has been written to the
// control stream.
func (h *shaper) begin(control *quic.Stream, p Profile) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	h.control, h.offset = control, cell.Size
	h.profile, h.began = p, true
	h.sent, h.idle = now, paddingAfter()
	if p != Off {
		h.last = now
		if !h.asks {
			// Half a tick after the client's cells arrive: their acknowledgement
			// has left by then, instead of making a cell's packet larger.
			h.last = now.Add(warmTick / 2)
		}
		h.warm, h.next = h.last.Add(warmFor), h.last.Add(warmTick)
	}
	h.asker.wanted, h.asker.profile, h.judge.profile = p, p, p
	if h.asks {
		h.asker.wanted = h.link.e.Profile() // may have changed since
	}
	h.timer = time.AfterFunc(time.Hour, h.tick)
	h.flushLocked(now)
	h.armLocked(now)
}

// end stops the timer of a link that is gone.
func (h *shaper) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.began = false
	if h.timer != nil {
		h.timer.Stop()
	}
	h.queue, h.closing, h.ending, h.held, h.bulks, h.adjacent, h.of = nil, nil, nil, nil, nil, nil, nil
}

// armLocked sets the timer for what comes next.
func (h *shaper) armLocked(now time.Time) {
	if !h.began {
		return
	}
	at := h.next
	if h.profile == Off {
		at = h.sent.Add(h.idle)
		if t := h.asker.due(); !t.IsZero() && t.Before(at) {
			at = t
		}
		if len(h.orders) > 0 {
			at = now.Add(retryOrder)
		}
	}
	h.timer.Reset(max(at.Sub(now), 0))
}

// tick is what the timer calls.
func (h *shaper) tick() {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	switch {
	case !h.began:
		return
	case h.profile == Off:
		h.pumpLocked(now)
		h.flushLocked(now)
		h.padLocked(now)
	case !now.Before(h.next): // else the schedule has changed meanwhile
		h.endBurstLocked(now)
		h.pumpLocked(now)
		h.sendLocked(now)
		h.advanceLocked(now)
	}
	h.obeyLocked(now)
	h.armLocked(now)
}

// advanceLocked moves the schedule on by one tick, and by all that were missed:
// a schedule is not caught up with, since that would show how busy a host was.
func (h *shaper) advanceLocked(now time.Time) {
	for !h.next.After(now) {
		h.last = h.next
		h.next = h.next.Add(h.stepLocked())
	}
}

// stepLocked is the time from the tick at h.last to the one after.
func (h *shaper) stepLocked() time.Duration {
	if h.last.Before(h.warm) {
		return warmTick
	}
	return h.profile.Tick()
}

// applyLocked changes the profile of what this side sends. The next cell comes
// one tick of the new profile after the last one, or now if that is past.
func (h *shaper) applyLocked(p Profile, now time.Time) {
	old := h.profile
	if p == old {
		return
	}
	h.profile = p
	switch {
	case p == Off:
		h.warm = time.Time{}
		h.sent, h.idle = now, paddingAfter()
		for _, s := range h.queue {
			s.queued = false
			s.wakeLocked()
		}
		h.queue, h.adjacent, h.of, h.handed, h.stuck = nil, nil, nil, 0, false
		for _, s := range h.bulks {
			s.bulk = false
		}
		h.bulks, h.burst = nil, time.Time{}
		h.closeAllLocked()
	case old == Off:
		h.last = now
		h.next = now.Add(p.Tick())
		for _, s := range h.directs {
			h.stopDirectLocked(s)
		}
	case !h.last.Before(h.warm):
		h.next = h.last.Add(p.Tick())
		if h.next.Before(now) {
			h.next = now
		}
	}
	h.armLocked(now)
}

// warmUpLocked runs the rate of the beginning for warmFor from now on.
func (h *shaper) warmUpLocked(now time.Time) {
	h.warm = now.Add(warmFor)
	if t := now.Add(warmTick); t.Before(h.next) {
		h.next = t
	}
	h.armLocked(now)
}

// directLocked reports whether cells of the stream pass the schedule.
func (h *shaper) directLocked(s *Stream) bool {
	return h.profile == Off || s.bulk && !h.burst.IsZero()
}
