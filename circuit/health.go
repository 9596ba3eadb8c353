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
		if e.key.purpose == Send && p.ticks(1) > 0 {
			e.closeAt = e.closeAt.Add(aheadWait)
		}
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
		switch {
		case !now.Before(e.closeAt):
			e.c.destroy("its time was over")
		case !now.Before(e.retireAt) && p.followed(e, now):
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
	return sooner(p.checkTraces(list, now), p.pingOne(now))
}

// pingOne sends one PING to the end of the circuit that needs it most
// (SPEC.md §7.1), and returns when to look again.
func (p *Pool) pingOne(now time.Time) time.Time {
	next := now.Add(interval)
	p.pings.rate = 1 / (pingTicks * p.profile().Tick()).Seconds()
	p.pings.refill(now)
	if p.pings.tokens < 1 || !p.budget.mayPing(now, p.profile(), 1) {
		return next
	}
	var best *entry
	most := 0.0 // how often its own pause has passed
	for _, e := range p.entries {
		if !e.awaited() && p.pings.tokens < pingTokens {
			continue // one is kept for circuits on which something is awaited
		}
		due, pause := p.pingDue(e, now)
		if due.After(now) {
			next = sooner(next, due)
		} else if need := float64(now.Sub(due)+pause) / float64(pause); need > most {
			best, most = e, need
		}
	}
	if best == nil {
		return next
	}
	p.pings.tokens -= 1 + pingSpread*p.rnd.Float64()
	p.pingEnd(best.c, now)
	return next
}

// pingDue is when it is the turn of a circuit, and its pause. One on which
// messages are awaited is asked in even times, whatever comes on it, unless that
// was just now: silence could begin after each of them. In ticks, which are
// short, what came counts as an answer.
func (p *Pool) pingDue(e *entry, now time.Time) (due time.Time, pause time.Duration) {
	heard, last := e.c.lastSigns()
	pause = e.pause()
	if p.meetsSuspect(e, now) {
		pause = min(pause, pingMinQuiet)
	}
	if e.awaited() && p.ticks(1) == 0 {
		if due = last.Add(pause); due.Before(heard.Add(pingHeard)) {
			due = heard.Add(pingHeard)
		}
		return due, pause
	}
	if heard.After(last) {
		last = heard
	}
	return last.Add(pause), pause
}

// meetsSuspect tells whether a relay that seemed dead is on a circuit.
func (p *Pool) meetsSuspect(e *entry, now time.Time) bool {
	return p.isSuspect(e.path.Layer2.ID, now) || p.isSuspect(e.path.Middle.ID, now) || p.isSuspect(e.key.dest, now)
}

// awaited tells whether messages may come on a circuit at any time, so that its
// end must be noticed soon.
func (e *entry) awaited() bool { return e.front || e.key.purpose == Subscribe }

// pause is the silence after which a circuit is asked, if it is its turn.
func (e *entry) pause() time.Duration {
	switch {
	case e.awaited():
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

// lastSigns is when a circuit was last heard, and last asked by PING.
func (c *Circuit) lastSigns() (heard, asked time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard, c.pinged
}
