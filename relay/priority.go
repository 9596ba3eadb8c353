package relay

import (
	"math"
	"sync/atomic"
	"time"

	"hearsay/circuit/cell"
	"hearsay/directory"
)

// Implementation constants of priorities (SPEC.md §5.5). Urgency is QUIC's: a
// smaller one goes first, equal ones take turns.
const (
	urgencyFirst = 1  // the first cells of a circuit: it is being built
	firstCells   = 32 // so many
	urgencyLeast = 2  // who sent little lately
	urgencyBulk  = 6
	// quietCells is the average below which nobody counts as bulk, in cells
	// over averageHalf / ln 2.
	quietCells  = 64
	averageHalf = 30 * time.Second
	// starveAfter is how long a write may wait behind more urgent ones.
	starveAfter = time.Second
)

// decay is what a tick leaves of an average.
var decay = math.Exp2(-janitorEvery.Seconds() / averageHalf.Seconds())

// lane is what one direction of a circuit has sent, and how urgent that makes
// what it sends next.
type lane struct {
	cells atomic.Uint64 // sent

	// Of the janitor.
	average float64 // cells, exponentially weighted
	seen    uint32  // low half of cells at the last tick
	urgency int8    // given to the stream
}

// tick counts the cells since the last one, and returns them.
func (l *lane) tick() uint64 {
	sent := uint32(l.cells.Load())
	d := sent - l.seen
	l.seen = sent
	l.average = l.average*decay + float64(d)
	return uint64(d)
}

// want returns the urgency of the lane, where most is the largest average of
// the same link. Who sends as much as the largest, up to a factor of four, is
// equal to it: by rank alone, like circuits would starve each other.
func (l *lane) want(most float64, blocked bool) int8 {
	switch {
	case l.cells.Load() <= firstCells:
		return urgencyFirst
	case blocked || l.average < quietCells:
		return urgencyLeast
	}
	u := int8(urgencyBulk)
	for least := most / 4; u > urgencyLeast && l.average < least; least /= 4 {
		u--
	}
	return u
}

// set gives the stream its urgency, if it changes.
func (l *lane) set(s stream, urgency int8) {
	if s != nil && l.urgency != urgency {
		l.urgency = urgency
		s.SetPriority(urgency, true)
	}
}

// priorities maps the averages of all circuits to the urgency of their
// streams. The janitor alone uses it.
type priorities struct {
	// most has the largest average of each link: by relay, as a relay and its
	// neighbour have one, or by client.
	relays  map[directory.RelayID]float64
	clients map[*peer]float64
}

func newPriorities() priorities {
	return priorities{make(map[directory.RelayID]float64), make(map[*peer]float64)}
}

// update is one tick over all circuits.
func (p *priorities) update(all []*circuit, k *counters) {
	clear(p.relays)
	clear(p.clients)
	for _, c := range all {
		k.forward.Add(c.up.tick())
		k.backward.Add(c.down.tick())
		c.upBusy.Store(c.up.average >= quietCells)
		c.downBusy.Store(c.down.average >= quietCells)
		if c.up.average >= quietCells {
			id := c.nextID()
			p.relays[id] = max(p.relays[id], c.up.average)
		}
		if c.down.average >= quietCells {
			if c.peer.relay {
				p.relays[c.peer.id] = max(p.relays[c.peer.id], c.down.average)
			} else {
				p.clients[c.peer] = max(p.clients[c.peer], c.down.average)
			}
		}
	}
	for _, c := range all {
		p.give(c)
	}
}

func (p *priorities) give(c *circuit) {
	most := p.clients[c.peer]
	if c.peer.relay {
		most = p.relays[c.peer.id]
	}
	clock := &c.sw.clock
	c.down.set(c.prev, c.down.want(most, clock.older(c.downSince.Load(), starveAfter)))
	c.mu.Lock()
	next, id := c.next, c.nextRelay
	c.mu.Unlock()
	if next != nil {
		c.up.set(next, c.up.want(p.relays[id], clock.older(c.upSince.Load(), starveAfter)))
	}
}

// sent counts what was written.
func (l *lane) sent(bytes int) { l.cells.Add(uint64(bytes / cell.Size)) }
