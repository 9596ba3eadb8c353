package relay

import "sync"

// inbox holds the credited messages of one consumer. The credit that the
// client was given bounds it, so push never waits: the forward goroutine must
// stay free to take the SENDMEs that let consumers go on.
type inbox struct {
	mu     sync.Mutex
	cells  []*localCell
	paused bool          // XOFF was sent
	closed bool          // drained: nobody consumes any more
	ready  chan struct{} // one token while there may be cells
	clock  *clock
	since  int64 // tick since which the first cell waits and none is taken, 0 if there is none
}

func (b *inbox) init(k *clock) { b.ready, b.clock = make(chan struct{}, 1), k }

// oldest returns the tick since which cells wait and none is taken, 0 if none
// waits.
func (b *inbox) oldest() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.since
}

// push adds a cell and reports whether the sender must be paused now. taken is
// false if nobody consumes any more.
func (b *inbox) push(l *localCell) (pause, taken bool) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		localCells.Put(l)
		return false, false
	}
	if len(b.cells) == 0 {
		b.since = b.clock.now()
	}
	b.cells = append(b.cells, l)
	pause = len(b.cells) == xoffAt && !b.paused
	b.paused = b.paused || pause
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
	return pause, true
}

// pop waits for a cell, which belongs to the caller. It returns nil when done
// or late is closed, or when cut is and nothing is left to read. resume says
// that a paused sender may go on.
func (b *inbox) pop(done, cut, late <-chan struct{}) (l *localCell, resume bool) {
	for {
		b.mu.Lock()
		if len(b.cells) > 0 {
			l = b.cells[0]
			b.cells[0] = nil
			b.cells = b.cells[1:]
			b.since = b.clock.now()
			if len(b.cells) == 0 {
				b.cells, b.since = nil, 0
			}
			resume = b.paused && len(b.cells) <= xonAt
			if resume {
				b.paused = false
			}
			b.mu.Unlock()
			return l, resume
		}
		b.mu.Unlock()
		select {
		case <-b.ready:
		case <-done:
			return nil, false
		case <-late:
			return nil, false
		case <-cut:
			// What was pushed before the end still counts.
			b.mu.Lock()
			empty := len(b.cells) == 0
			b.mu.Unlock()
			if empty {
				return nil, false
			}
		}
	}
}

// drain closes the inbox, gives back what is left, and returns how many cells
// that were.
func (b *inbox) drain() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	n := len(b.cells)
	for _, l := range b.cells {
		localCells.Put(l)
	}
	b.cells, b.since = nil, 0
	return n
}
