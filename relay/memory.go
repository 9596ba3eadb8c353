package relay

import (
	"cmp"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync/atomic"
	"time"

	"hearsay/circuit/link"
)

// Marks of the memory watch, in percent of MaxMemory (SPEC.md §5.4).
const (
	markRefuse   = 75 // above: no new circuits; where closing circuits stops
	markCircuits = 85 // above: circuits with the oldest waiting cells are closed
	markLinks    = 92 // above: links of clients are closed
)

// Implementation constants of the memory watch.
const (
	// maxMemory and memoryShare bound what a relay takes if nothing is
	// configured.
	maxMemory   = 2 << 30
	memoryShare = 4 // a quarter of the machine's memory
	// collectEvery bounds how often a relay under pressure asks for a
	// collection, without which it would see what it has closed already.
	collectEvery = time.Second
	// shedPart is the part of the candidates that one round closes.
	shedPart = 8
	// What a link held all the time in one to two times holdTicks counts most.
	holdTicks = int64(10 * time.Second / janitorEvery)
	// holdUnit is the difference between two links that says nothing, in bytes.
	holdUnit = 4 << 10

	gcPercent = 200 // GOGC of a relay's process

	// A relay that has moved less than quietRate cells a second for quietFor
	// gives free memory back to the system, if there is more of it than
	// worthFreeing.
	quietRate    = 100
	quietFor     = 5 * time.Second
	worthFreeing = 16 << 20
)

// MemoryLimit returns what a relay may take if nothing is configured, in
// bytes: a quarter of the machine's memory, at most 2 GiB.
func MemoryLimit() int64 {
	total := machineMemory()
	if total <= 0 {
		return maxMemory / 2
	}
	return min(total/memoryShare, maxMemory)
}

// TuneProcess sets the collector of the process for a relay whose limit is
// limit bytes (SPEC.md §5.4): GOMEMLIMIT to 1.25 times it, GOGC to 200. A
// program calls it once, before it starts its node; libraries and tests do
// not, since it is the process that it changes.
func TuneProcess(limit int64) {
	debug.SetMemoryLimit(limit + limit/4)
	debug.SetGCPercent(gcPercent)
}

// memoryWatch compares the heap with its limit, and closes what costs most
// before the limit is reached. The janitor alone uses it, but for refusing.
type memoryWatch struct {
	limit    uint64
	heap     func() uint64 // bytes of heap objects now
	collect  func()
	free     func()      // collects, and gives memory back to the system
	last     time.Time   // of the last collection
	busy     time.Time   // last look at which many cells had moved
	cells    uint64      // moved until then
	freed    uint64      // heap after free was called last
	refusing atomic.Bool // no new circuits
}

func newMemoryWatch(limit int64, heap func() uint64) *memoryWatch {
	if limit <= 0 {
		limit = MemoryLimit()
	}
	w := &memoryWatch{limit: uint64(limit), heap: heap, collect: func() {}, free: func() {}}
	if heap == nil {
		w.heap, w.collect, w.free = heapObjects(), runtime.GC, debug.FreeOSMemory
	}
	return w
}

// heapObjects returns a function that reads the bytes of heap objects, without
// stopping the world.
func heapObjects() func() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	return func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
}

// above reports whether the heap is above a mark.
func (w *memoryWatch) above(mark uint64) bool { return w.heap() > w.limit/100*mark }

// collected is above, after a collection if there was none lately or force is
// set: objects that nobody holds are no reason to close anything.
func (w *memoryWatch) collected(mark uint64, now time.Time, force bool) bool {
	if !w.above(mark) {
		return false
	}
	if force || now.Sub(w.last) >= collectEvery {
		w.last = now
		w.collect()
	}
	return w.above(mark)
}

// watch is one look at the heap. all are the circuits now.
func (w *memoryWatch) watch(sw *Switch, all []*circuit, now time.Time) {
	w.refusing.Store(w.collected(markRefuse, now, false))
	if w.refusing.Load() && w.above(markCircuits) && anyWaits(all) && w.collected(markCircuits, now, true) {
		w.closeCircuits(all, now)
	}
	if w.above(markLinks) && w.collected(markLinks, now, true) {
		w.closeLinks(sw, now)
	}
	w.rest(&sw.counts, now)
}

// rest frees what is free when the relay has nothing to do: the collector alone
// would let the garbage of building circuits stay as long as they do.
func (w *memoryWatch) rest(k *counters, now time.Time) {
	cells := k.forward.Load() + k.backward.Load()
	moved := cells - w.cells
	w.cells = cells
	switch {
	case moved > uint64(quietRate*janitorEvery/time.Second) || w.busy.IsZero():
		w.busy = now
	case now.Sub(w.busy) > quietFor && w.heap() > w.freed+worthFreeing:
		w.free()
		w.freed = w.heap()
	}
}

// anyWaits reports whether one of the circuits has a cell that waits. If none
// has, there is nothing to collect garbage for four times a second.
func anyWaits(all []*circuit) bool {
	return slices.ContainsFunc(all, func(c *circuit) bool { return c.oldest() != 0 })
}

// closeCircuits closes circuits, those with the oldest waiting cell first,
// until the heap is below markRefuse or none has a cell that waits. What a
// circuit holds in QUIC's queues cannot be asked; but who makes a relay hold
// much makes it hold it for long.
func (w *memoryWatch) closeCircuits(all []*circuit, now time.Time) {
	type candidate struct {
		c     *circuit
		since int64
	}
	var waiting []candidate
	for _, c := range all {
		if since := c.oldest(); since != 0 {
			waiting = append(waiting, candidate{c, since})
		}
	}
	slices.SortStableFunc(waiting, func(a, b candidate) int { return int(a.since - b.since) })
	for round := max(1, len(waiting)/shedPart); len(waiting) > 0; round *= 2 {
		n := min(round, len(waiting))
		for _, x := range waiting[:n] {
			x.c.end(EndMemory)
		}
		waiting = waiting[n:]
		if !w.collected(markRefuse, now, true) {
			return
		}
	}
}

// closeLinks closes links of clients, those first that may hold the most, until
// the heap is below markCircuits. A link that never began a circuit has nothing
// to send: whoever fills streams that lead to nothing needs none.
func (w *memoryWatch) closeLinks(sw *Switch, now time.Time) {
	type candidate struct {
		door         doorkeeper
		lasting, now int64
	}
	var links []candidate
	doors := sw.clients()
	sw.mu.Lock()
	for key, p := range sw.peers {
		delete(doors, key)
		if !p.relay && p.door != nil {
			p.load.add(p.door)
			links = append(links, candidate{p.door, p.load.lasting(), p.load.held})
		}
	}
	sw.mu.Unlock()
	for _, d := range doors {
		links = append(links, candidate{d, d.Surplus(), d.Surplus()})
	}
	slices.SortStableFunc(links, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.lasting/holdUnit, a.lasting/holdUnit), cmp.Compare(b.now, a.now))
	})
	for round := max(1, len(links)/shedPart); len(links) > 0; round *= 2 {
		n := min(round, len(links))
		for _, x := range links[:n] {
			x.door.Close()
			sw.counts.linksClosed.Add(1)
		}
		links = links[n:]
		if !w.collected(markCircuits, now, true) {
			return
		}
	}
}

// peerLoad estimates what a client's link makes QUIC hold: what came of it and
// is explained by no cell. QUIC cannot be asked for it. A link that loses packets
// holds much for moments, since what comes behind a gap waits; one that leaves
// gaps on purpose holds it for long, however silent it is then (SPEC.md §5.4).
type peerLoad struct {
	cells atomic.Uint64 // whole cells that came

	// Guarded by Switch.mu: what was added up last, what the link may hold, in
	// bytes, and the least of that since the last mark and between it and the one
	// before.
	surplus    int64
	then       uint64
	held       int64
	low, older int64
	marked     int64 // tick of the last mark
}

// look adds up, and sets a mark every holdTicks. The janitor calls it in each
// tick.
func (l *peerLoad) look(now int64, door doorkeeper) {
	l.add(door)
	l.low = min(l.low, l.held)
	if now-l.marked >= holdTicks {
		l.marked = now
		l.older, l.low = l.low, l.held
	}
}

// add adds what has come since it was called last. Nobody gets credit for cells:
// what a link sent by the rules pays for nothing that comes later.
func (l *peerLoad) add(door doorkeeper) {
	surplus, cells := door.Surplus(), l.cells.Load()
	l.held = max(0, l.held+surplus-l.surplus-link.CellBytes*int64(cells-l.then))
	l.surplus, l.then = surplus, cells
}

// lasting returns what the link held all the time in the last 10 to 20 s.
func (l *peerLoad) lasting() int64 { return min(l.older, l.low, l.held) }

// oldest returns the tick since which a cell waits to be sent, 0 if none does.
func (c *circuit) oldest() int64 {
	at := c.in.ring.oldest()
	c.mu.Lock()
	out := c.out
	if c.echo != nil {
		at = earlier(at, c.echo.inbox.oldest())
	}
	for _, s := range c.streams {
		at = earlier(at, s.inbox.oldest())
	}
	c.mu.Unlock()
	if out != nil {
		at = earlier(at, out.ring.oldest())
	}
	return earlier(earlier(at, c.upSince.Load()), c.downSince.Load())
}

// earlier returns the smaller tick, 0 meaning never.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
