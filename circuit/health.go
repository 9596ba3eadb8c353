package circuit

import (
	"time"
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

// checkHealth asks circuits whether they live, and closes those that do not. It
// returns when to look again.
func (p *Pool) checkHealth(now time.Time) time.Time {
	p.mu.Lock()
	list := make([]*Circuit, 0, len(p.live))
	for c := range p.live {
		list = append(list, c)
	}
	p.mu.Unlock()
	next := p.checkTraces(list, now)
	p.pingOne(now)
	return next
}

// pingOne sends one PING to the end of the circuit that needs it most
// (SPEC.md §7.1).
func (p *Pool) pingOne(now time.Time) {
	if now.Before(p.nextPing) {
		return
	}
	tick := p.profile().Tick()
	every := pingTicks * tick
	var best *Circuit
	most := 1.0 // how often its own pause has passed
	for c, e := range p.entries {
		quiet := now.Sub(c.lastSign())
		if quiet < pingMinQuiet {
			continue
		}
		pause := e.pause()
		if p.meetsSuspect(e, now) {
			pause = min(pause, pingFront)
		}
		if need := float64(quiet) / float64(pause); need >= most {
			best, most = c, need
		}
	}
	if best == nil || !p.budget.mayPing(now, p.profile(), 1) {
		return
	}
	p.nextPing = now.Add(p.between(every, every*12/10))
	p.pingEnd(best, now)
}

// meetsSuspect tells whether a relay that seemed dead is on a circuit.
func (p *Pool) meetsSuspect(e *entry, now time.Time) bool {
	return p.isSuspect(e.path.Layer2.ID, now) || p.isSuspect(e.path.Middle.ID, now) || p.isSuspect(e.key.dest, now)
}

// pause is the silence after which a circuit is asked, if it is its turn.
func (e *entry) pause() time.Duration {
	switch {
	case e.front:
		return pingFront
	case e.key.purpose == Subscribe:
		return pingMinQuiet
	case e.key != (key{}):
		return pingMinQuiet * 4
	}
	return pingMaxQuiet / 3 // clean: nobody depends on it
}

// pingEnd asks the last hop of a circuit.
func (p *Pool) pingEnd(c *Circuit, now time.Time) {
	c.mu.Lock()
	c.pinged = now
	last := len(c.relays) - 1
	c.mu.Unlock()
	if wait, err := c.sendPing(last, nil); wait == 0 && err == nil {
		p.budget.ping(now, 1)
	}
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
