package circuit

import (
	"time"

	"hearsay/circuit/cell"
)

// setLife draws how long a circuit lives (SPEC.md §6).
func (p *Pool) setLife(e *entry, now time.Time) {
	born := e.c.born
	switch e.key.purpose {
	case Subscribe:
		e.retireAt = now.Add(p.between(subscribeMin, subscribeMax))
		if latest := born.Add(subscribeMax); e.retireAt.After(latest) {
			e.retireAt = latest
		}
		e.closeAt = e.retireAt.Add(subscribeRest)
	case Send, Directory:
		e.retireAt = now.Add(p.between(sendLife*8/10, sendLife*12/10))
		e.closeAt = e.retireAt.Add(sendGrace)
	default:
		e.retireAt = now.Add(p.between(spareMin, spareMax))
		e.closeAt = e.retireAt
	}
}

func (p *Pool) between(a, b time.Duration) time.Duration {
	return a + time.Duration(p.rnd.Int64N(int64(b-a)+1))
}

// checkAges retires and closes circuits whose time is over.
func (p *Pool) checkAges(now time.Time) {
	for _, e := range p.entries {
		if !now.Before(e.closeAt) {
			e.c.destroy("its time was over")
		} else if !now.Before(e.retireAt) {
			e.c.setRetired()
		}
	}
}

// checkHealth asks circuits whether they live, and closes those that do not.
func (p *Pool) checkHealth(now time.Time) {
	p.mu.Lock()
	list := make([]*Circuit, 0, len(p.live))
	for c := range p.live {
		list = append(list, c)
	}
	p.mu.Unlock()
	for _, c := range list {
		switch c.diagnose(now) {
		case askGuard:
			if wait, err := c.sendPing(0, nil); err == nil && wait == 0 {
				c.setProbed()
			}
		case silentCircuit:
			pl := p.links[c.guard.id]
			if pl != nil && pl.guardLink == c.guard && time.Unix(0, pl.heard.Load()).Before(now.Add(-deadAfter)) {
				p.suspect(pl, now)
			} else {
				c.destroy("it did not answer PING")
			}
		}
	}
	p.pingOne(now)
}

// pingOne sends one PING to the end of the circuit that was silent longest.
func (p *Pool) pingOne(now time.Time) {
	if now.Before(p.nextPing) {
		return
	}
	p.nextPing = now.Add(p.between(pingEvery, pingEvery*12/10))
	var best *Circuit
	oldest := now.Add(-pingMinQuiet)
	for c := range p.entries {
		if at := c.lastSign(); !at.After(oldest) {
			best, oldest = c, at
		}
	}
	if best == nil {
		return
	}
	best.mu.Lock()
	best.pinged = now
	last := len(best.relays) - 1
	best.mu.Unlock()
	best.sendPing(last, nil)
}

// lastSign is when a circuit was last asked or heard.
func (c *Circuit) lastSign() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pinged.After(c.heard) {
		return c.pinged
	}
	return c.heard
}

// diagnosis is what the pool should do about a circuit.
type diagnosis int

const (
	healthy diagnosis = iota
	askGuard
	silentCircuit
)

// diagnose looks for silence after something that should be answered.
func (c *Circuit) diagnose(now time.Time) diagnosis {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.relays) == 0 {
		return healthy
	}
	for hop := range cell.Slots {
		if len(c.pings[hop]) > 0 && now.Sub(c.pings[hop][0].sent) >= deadAfter {
			return silentCircuit
		}
	}
	switch {
	case c.asked.IsZero():
	case now.Sub(c.asked) >= deadAfter && c.probed:
		return silentCircuit
	case now.Sub(c.asked) >= probeAfter && !c.probed:
		return askGuard
	}
	return healthy
}

// setProbed notes that the guard was asked.
func (c *Circuit) setProbed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.probed = true
}
