package relay

// A direction is stalled while its write is blocked and its ring is full
// (SPEC.md §5.2): somebody sends, and the other side takes nothing. A write
// that only the next tick of a shaped link holds back is no stall, and neither
// is one behind which nothing more waits.

// waiter is a stream of a shaped link.
type waiter interface {
	// Waiting reports whether a write is held back by the tick alone.
	Waiting() bool
}

// held reports whether the tick of a shaped link holds back what is written.
func held(s stream) bool {
	w, ok := s.(waiter)
	return ok && w.Waiting()
}

// noteStalls looks at both directions. The janitor alone calls it.
func (c *circuit) noteStalls(now int64) {
	c.mu.Lock()
	next, out := c.next, c.out
	c.mu.Unlock()

	up := c.upSince.Load()
	if up != 0 && next != nil {
		if held(next) {
			c.upHeld = now
		}
		up = stalledSince(up, c.in.ring.fullSince(), c.upHeld)
	} else {
		up = 0
	}
	c.upStalled.Store(up)

	down := c.downSince.Load()
	if down != 0 {
		if held(c.prev) {
			c.downHeld = now
		}
		if len(c.replies) < cap(c.replies) {
			c.repliesFull = 0
		} else if c.repliesFull == 0 {
			c.repliesFull = now
		}
		full := c.repliesFull
		if out != nil {
			full = earlier(full, out.ring.fullSince())
		}
		down = stalledSince(down, full, c.downHeld)
	}
	c.downStalled.Store(down)
}

// stalledSince returns the tick since which a write that began at since is
// stalled, 0 if it is not: the ring is full since full, 0 meaning it is not,
// and the tick of the link held the write back at held.
func stalledSince(since, full, held int64) int64 {
	if since == 0 || full == 0 {
		return 0
	}
	return max(since, full, held)
}
