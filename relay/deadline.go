package relay

import (
	"sync"
	"time"
)

// deadline is a time limit that can be moved while somebody waits for it, as
// net.Pipe has it.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	ch    chan struct{} // closed when the limit has passed
}

func (d *deadline) init() { d.ch = make(chan struct{}) }

// set moves the limit; zero means none.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.ch // wait until the timer has closed it
	}
	d.timer = nil
	closed := d.passedLocked()
	if t.IsZero() {
		if closed {
			d.ch = make(chan struct{})
		}
		return
	}
	if wait := time.Until(t); wait > 0 {
		if closed {
			d.ch = make(chan struct{})
		}
		ch := d.ch
		d.timer = time.AfterFunc(wait, func() { close(ch) })
		return
	}
	if !closed {
		close(d.ch)
	}
}

// wait returns the channel that is closed when the limit passes.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ch
}

// passed reports whether the limit has passed.
func (d *deadline) passed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passedLocked()
}

func (d *deadline) passedLocked() bool {
	select {
	case <-d.ch:
		return true
	default:
		return false
	}
}

// stop ends the timer, if one runs.
func (d *deadline) stop() { d.set(time.Time{}) }
