package relay

import (
	"errors"
	"os"
	"sync/atomic"
	"time"
)

// A goroutine that has once moved cells keeps a stack of 4 KiB or more for as
// long as it lives, and two of them wait for each circuit that nobody uses. So
// a goroutine whose direction is idle is replaced by a fresh one, which waits
// for the next byte on a stack of 2 KiB and does nothing else (SPEC.md §5.1).
// The functions that wait stay as shallow as they are for that reason.

// parkAfter is how long a direction is idle before its goroutine is replaced.
const parkAfter = 5 * time.Second

// errPark says that the goroutine of a direction is to be replaced.
var errPark = errors.New("relay: idle")

// parking is how the janitor asks the goroutine of one direction to be
// replaced.
type parking struct {
	awake  atomic.Bool // a goroutine that has moved cells waits or works
	wanted atomic.Bool
	again  bool // of the janitor: it was replaced twice
}

// call asks for it, if the goroutine that reads s waits there. An expired
// deadline calls it away, set again in each tick until it is obeyed: whoever
// reads ahead may clear it. The runtime gives a new goroutine the stack that
// others needed on average, of late: those of the first circuits that become
// idle may be large still. So each is replaced once more a while later.
func (p *parking) call(s stream, later bool) {
	switch {
	case p.awake.Load():
		p.again = false
	case later && !p.again:
		p.again = true
	default:
		return
	}
	p.wanted.Store(true)
	_ = s.SetReadDeadline(past)
}

// answer reports whether the error of a wait was such a call. A deadline may
// also come late, after its call was answered.
func (p *parking) answer(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && p.wanted.Swap(false)
}

// park replaces the goroutines of a circuit that is idle. The janitor alone
// calls it.
func (c *circuit) park() {
	if !c.sw.clock.older(c.active.Load(), parkAfter) {
		return
	}
	switch state(c.state.Load()) {
	case stateLeaf, stateExtending, stateOpen:
	default:
		return // deadlines of the handshake are others
	}
	later := c.sw.clock.older(c.active.Load(), 2*parkAfter)
	if !c.in.ring.isBusy() {
		c.upPark.call(c.prev, later)
	}
	c.mu.Lock()
	next, out := c.next, c.out
	c.mu.Unlock()
	if out != nil && !out.ring.isBusy() {
		c.downPark.call(next, later)
	}
}

// parkForward waits for the client side in place of the forward goroutine.
func (c *circuit) parkForward() {
	c.prev.Peek(c.in.one[:]) // whatever it is, forward sees it again
	c.resumeForward()
}

// resumeForward is the forward goroutine after CREATED.
func (c *circuit) resumeForward() {
	c.upPark.awake.Store(true)
	err := c.forward()
	if errors.Is(err, errPark) {
		go c.parkForward()
		return
	}
	c.finish(err)
}

// parkBackward waits for the next hop, or a call to replies, in place of the
// backward goroutine.
func (c *circuit) parkBackward() {
	c.next.Peek(c.out.one[:])
	c.resumeBackward()
}

// resumeBackward is the backward goroutine once there is a next hop. It is
// counted in wg, as are those in its place.
func (c *circuit) resumeBackward() {
	c.downPark.awake.Store(true)
	err := c.backwardOpen()
	if errors.Is(err, errPark) {
		go c.parkBackward()
		return
	}
	c.out.ring.shut()
	c.end(why(err))
	c.wg.Done()
}
