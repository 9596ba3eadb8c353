package relay

import (
	"errors"
	"os"
	"sync"
	"time"
)

// ring takes the cells that arrive for one direction of a circuit while the
// goroutine that owns the direction is busy with a batch: its write is blocked,
// or its replies wait for the client. Bytes that nobody reads stay in QUIC's
// receive queue, which keeps an object for each frame and so up to 172 bytes
// for one (SPEC.md §5.1).
//
// A direction that moves pays two uncontended locks per batch for it. Only for
// an owner that is busy for longer than a tick the janitor starts a goroutine
// that reads ahead, until the ring is full or the owner is back. The two never
// read at once: the owner reads when it is not busy, the other one when it is,
// under mu. Both may wait for the stream's next byte at the same time, which
// takes nothing away. What the other one has seen there, the owner may have
// taken since, if it is busy with another batch: then there may be nothing to
// read, and nobody may wait under mu, which the janitor takes.
type ring struct {
	mu      sync.Mutex
	busy    int64  // tick at which the owner began with a batch; 0: it reads
	turn    uint32 // counts the batches
	running bool   // the goroutine that reads ahead
	over    bool   // no goroutine may start any more
	ended   bool   // the stream has ended while the owner was busy
	buf     *batch
	n       int   // bytes in buf
	since   int64 // tick of the first of them
	full    int64 // tick of the last that had room; 0: there is room
}

// busySince says that the owner works on a batch from tick now on.
func (g *ring) busySince(now int64) {
	g.mu.Lock()
	g.busy = now
	g.turn++
	g.mu.Unlock()
}

// idle says that the owner will read again, and hands it what was read ahead;
// buf is nil if nothing was. away is for how many ticks it was busy.
func (g *ring) idle(now int64) (buf *batch, n int, away int64) {
	g.mu.Lock()
	away = g.freeLocked(now)
	buf, n = g.buf, g.n
	g.buf, g.n, g.full = nil, 0, 0
	g.mu.Unlock()
	return buf, n, away
}

func (g *ring) freeLocked(now int64) (away int64) {
	if g.busy != 0 {
		away = now - g.busy
	}
	g.busy = 0
	return away
}

// isBusy reports whether the owner works on a batch.
func (g *ring) isBusy() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.busy != 0
}

// hasEnded reports whether the stream was found to have ended while the owner
// was busy, and so could not see it.
func (g *ring) hasEnded() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ended
}

// fullSince returns the tick since which the ring takes no more, 0 if it does.
func (g *ring) fullSince() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.full
}

// oldest returns the tick at which the oldest byte that waits here came, 0 if
// none does: that of the batch that the owner cannot get rid of, or the ring's.
func (g *ring) oldest() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busy != 0 || g.buf == nil {
		return g.busy
	}
	return g.since
}

// help starts a goroutine of wg that reads ahead, if the owner is busy since
// before tick now, there is room, and none runs. The janitor calls it.
func (r *cellReader) help(now int64, wg *sync.WaitGroup) (started bool) {
	g := &r.ring
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over || g.running || g.busy == 0 || g.busy >= now || g.full != 0 {
		return false
	}
	g.running = true
	turn := g.turn
	wg.Go(func() { r.readAhead(turn) }) // under mu: shut comes before the wait for wg
	return true
}

// shut gives back what the ring holds and keeps readers from starting.
func (g *ring) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	if g.buf != nil {
		batches.Put(g.buf)
		g.buf, g.n = nil, 0
	}
}

// readAhead fills the ring until it is full, the owner is back, or the stream
// has ended. The owner is busy with the batch of the given turn.
func (r *cellReader) readAhead(turn uint32) {
	var one [1]byte
	for more := true; more; {
		_, err := r.s.Peek(one[:])
		turn, more = r.ahead(turn, err)
	}
}

// ahead reads what there is into the ring, after waiting for it since the given
// turn gave err. It returns the turn now, and whether to go on.
func (r *cellReader) ahead(turn uint32, err error) (uint32, bool) {
	g := &r.ring
	g.mu.Lock()
	defer g.mu.Unlock()
	late := errors.Is(err, os.ErrDeadlineExceeded)
	if g.over || g.busy == 0 || err != nil && !late {
		g.ended = g.busy != 0 && err != nil && !late
		g.running = false
		return g.turn, false
	}
	if late {
		// The deadline calls the owner to its replies. It looks at them when it
		// is back, after it has called idle or ready.
		if r.s.SetReadDeadline(time.Time{}) != nil {
			g.running = false
			return g.turn, false
		}
		return g.turn, true
	}
	if g.turn != turn {
		return g.turn, true // the owner has read meanwhile
	}
	if g.buf == nil {
		g.buf = batches.Get().(*batch)
		g.n = r.copyCarry(g.buf)
		g.since = r.clock.now()
	}
	m, err := r.s.Read(g.buf[g.n:])
	g.n += m
	if g.n == len(g.buf) {
		g.full = r.clock.now()
	}
	g.ended = err != nil && !errors.Is(err, os.ErrDeadlineExceeded) // a call may come between Peek and Read
	if g.ended || g.full != 0 {
		g.running = false
		return turn, false
	}
	return turn, true
}

// ready says that the owner is done with its batch, without taking anything. It
// returns for how many ticks it was busy.
func (g *ring) ready(now int64) (away int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.freeLocked(now)
}
