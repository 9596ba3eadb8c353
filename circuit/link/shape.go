package link

import (
	"context"
	"errors"
	"time"

	"hearsay/circuit/cell"
)

// Why a SHAPE cell ends a link (SPEC.md §8.3). A peer never learns it.
var (
	errShapeOften   = errors.New("link: SHAPE too soon after another")
	errShapeProfile = errors.New("link: SHAPE names a profile that does not run")
	errShapeBurst   = errors.New("link: SHAPE asks for a burst of no time")
	errShapeWarm    = errors.New("link: SHAPE asks for a warm-up too soon")
	errShapeAnswer  = errors.New("link: SHAPE that nobody asked for")
	errShapeUnread  = errors.New("link: SHAPE of a peer that reads no answers")
)

// judge decides for a relay whether a client may shape its link so. The zero
// value with profile set is the start. It is pure.
type judge struct {
	profile Profile
	last    time.Time // of the last SHAPE
	warmed  time.Time // of the last warm-up that was asked for
}

// take judges an order; any error ends the link.
func (j *judge) take(o cell.Shaping, now time.Time) error {
	if !j.last.IsZero() && now.Sub(j.last) < shapeEvery {
		return errShapeOften
	}
	if o.Op != cell.ShapeSet && Profile(o.Profile) != j.profile {
		return errShapeProfile
	}
	switch o.Op {
	case cell.ShapeSet:
		j.profile = Profile(o.Profile)
	case cell.ShapeBurst:
		if o.Seconds == 0 {
			return errShapeBurst
		}
	case cell.ShapeWarmUp:
		if !j.warmed.IsZero() && now.Sub(j.warmed) < warmEvery {
			return errShapeWarm
		}
		j.warmed = now
	}
	j.last = now
	return nil
}

// asker decides for a client what SHAPE to send and when, one at a time, and
// what a relay may answer. The zero value with both profiles set is the start.
// It is pure.
type asker struct {
	wanted  Profile
	profile Profile // that the last SHAPE, or LINK_HELLO, set
	warm    bool    // a warm-up is wanted
	burst   uint16  // seconds of a burst that is wanted, or 0

	asked  cell.Shaping // the order under way, if any
	queued bool         // it is not sent yet
	open   bool         // it is not answered yet
	last   time.Time    // when the last one was sent
	warmed time.Time    // when the last warm-up was asked for
	ended  chan uint16  // gets the seconds of a burst that was granted; or nil
}

// mayWarm reports whether the relay would take another warm-up.
func (a *asker) mayWarm(now time.Time) bool {
	if a.profile == Off || a.queued && a.asked.Op == cell.ShapeWarmUp {
		return false
	}
	return a.warmed.IsZero() || now.Sub(a.warmed) >= warmEvery+shapeSlack
}

// wants reports whether there is something to ask for.
func (a *asker) wants() bool {
	return a.wanted != a.profile || a.warm && a.profile != Off || a.burst > 0 && a.profile != Off
}

// next returns the order to send now, if there is one.
func (a *asker) next(now time.Time) (cell.Shaping, bool) {
	if a.open || !a.wants() || !a.last.IsZero() && now.Sub(a.last) < shapeEvery+shapeSlack {
		return cell.Shaping{}, false
	}
	o := cell.Shaping{Profile: byte(a.wanted)}
	switch {
	case a.wanted != a.profile:
	case a.warm:
		o.Op, a.warm = cell.ShapeWarmUp, false
	default:
		o.Op, o.Seconds, a.burst = cell.ShapeBurst, a.burst, 0
	}
	a.asked, a.queued, a.open = o, true, true
	return o, true
}

// sent notes that the order went out, and returns it.
func (a *asker) sent(now time.Time) *cell.Shaping {
	a.queued, a.last = false, now
	switch o := a.asked; o.Op {
	case cell.ShapeSet:
		a.profile = Profile(o.Profile)
	case cell.ShapeWarmUp:
		a.warmed = now
	}
	o := a.asked
	return &o
}

// answer takes the SHAPE of the relay: the order once more, with a burst no
// longer than it asked for. Any error ends the link: a relay must not choose
// how a client is protected.
//
// The relay counts from when it read the order, which may have been just before
// it answered.
func (a *asker) answer(o cell.Shaping, now time.Time) error {
	want := a.asked
	if want.Op == cell.ShapeBurst && o.Seconds <= want.Seconds {
		want.Seconds = o.Seconds
	}
	if !a.open || a.queued || o != want {
		return errShapeAnswer
	}
	a.open = false
	if read := now.Add(-shapeSlack); read.After(a.last) {
		a.last = read
		if o.Op == cell.ShapeWarmUp {
			a.warmed = read
		}
	}
	if o.Op == cell.ShapeBurst && a.ended != nil {
		a.ended <- o.Seconds
		a.ended = nil
	}
	return nil
}

// late reports whether the relay owes an answer for too long.
func (a *asker) late(now time.Time) bool {
	return a.open && !a.queued && now.Sub(a.last) > answerWithin
}

// due returns when next or late may say something else than now, zero for
// never.
func (a *asker) due() time.Time {
	switch {
	case a.open && !a.queued:
		return a.last.Add(answerWithin + time.Second)
	case a.open || !a.wants():
		return time.Time{}
	case a.last.IsZero():
		return time.Unix(0, 0)
	}
	return a.last.Add(shapeEvery + shapeSlack)
}

// pumpLocked queues what a client has to ask for.
func (h *shaper) pumpLocked(now time.Time) {
	if !h.asks {
		return
	}
	if h.asker.late(now) {
		h.began = false
		h.link.e.start(h.link.Close) // it does not speak with us about shaping
		return
	}
	if o, ok := h.asker.next(now); ok {
		h.orders = append(h.orders, shapeCell(o))
	}
}

// obeyLocked does what this side's SHAPE said, after it was sent.
func (h *shaper) obeyLocked(now time.Time) {
	o := h.sentShape
	if o == nil {
		return
	}
	h.sentShape = nil
	h.runLocked(*o, now)
}

// runLocked carries an order out.
func (h *shaper) runLocked(o cell.Shaping, now time.Time) {
	switch o.Op {
	case cell.ShapeSet:
		h.applyLocked(Profile(o.Profile), now)
	case cell.ShapeWarmUp:
		h.warmUpLocked(now)
	case cell.ShapeBurst:
		if t := now.Add(time.Duration(o.Seconds) * time.Second); t.After(h.burst) {
			h.burst = t
		}
	}
}

// takeShape takes a SHAPE of the peer. Any error ends the link.
func (h *shaper) takeShape(o cell.Shaping, now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asks {
		return h.asker.answer(o, now)
	}
	if err := h.judge.take(o, now); err != nil {
		return err
	}
	if len(h.orders) >= maxOrders {
		return errShapeUnread
	}
	h.orderLocked(shapeCell(o), now) // in a tick, or before the ticks begin
	h.runLocked(o, now)
	h.flushLocked(now) // or after they have ended
	return nil
}

// want changes what a client asks for.
func (h *shaper) want(p Profile) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asker.wanted = p
	h.armLocked(time.Now())
}

// warmUp asks for a warm-up, and reports whether it may come.
func (h *shaper) warmUp() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if !h.began || !h.asker.mayWarm(now) || h.asker.wanted == Off {
		return false
	}
	h.asker.warm = true
	h.armLocked(now)
	return true
}

// askBurst asks for a burst and waits for the answer.
func (h *shaper) askBurst(ctx context.Context, seconds uint16) error {
	h.mu.Lock()
	if h.profile == Off {
		h.mu.Unlock()
		return nil // nothing is to be passed
	}
	if h.asker.ended != nil {
		h.mu.Unlock()
		return errBurst
	}
	ended := make(chan uint16, 1)
	h.asker.burst, h.asker.ended = seconds, ended
	h.armLocked(time.Now())
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		if h.asker.ended == ended {
			h.asker.ended, h.asker.burst = nil, 0
		}
		h.mu.Unlock()
	}()
	select {
	case n := <-ended:
		if n == 0 {
			return errBurst
		}
		return nil
	case <-h.link.Done():
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// shapeCell encodes a SHAPE as a whole cell.
func shapeCell(o cell.Shaping) []byte {
	c := make([]byte, cell.Size)
	cell.Header{Type: cell.Shape}.Put(c)
	o.Put(cell.Body(c))
	return c
}
