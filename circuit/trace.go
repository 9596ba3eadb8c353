package circuit

import (
	"time"

	"hearsay/circuit/cell"
	"hearsay/directory"
)

// trace asks all hops of a circuit that fell silent how far it still works
// (SPEC.md §7.2). Run owns it.
type trace struct {
	began  time.Time
	pongs  []chan time.Duration // by hop, capacity 1
	near   int                  // last hop that answered, -1: none
	rtt    time.Duration        // of that hop
	judged bool                 // the relay behind it is suspected
}

// signs is what the silence of a circuit looks like.
type signs struct {
	silent time.Duration // how long what waits longest for an answer waits; 0: nothing does
	hops   int
	rtt    time.Duration // of the whole circuit, as last measured
}

// signs looks for silence after something that should be answered. Cells that
// only wait for their tick were not sent yet: they say nothing.
func (c *Circuit) signs(now time.Time) signs {
	w, _ := c.conn.(interface{ Waiting() bool })
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.relays) == 0 {
		return signs{}
	}
	if w != nil && w.Waiting() {
		c.waited = now
		return signs{hops: len(c.relays)}
	}
	s := signs{hops: len(c.relays), rtt: c.rtt}
	since := func(asked time.Time) {
		if c.waited.After(asked) {
			asked = c.waited
		}
		s.silent = max(s.silent, now.Sub(asked))
	}
	if !c.asked.IsZero() {
		since(c.asked)
	}
	for hop := range cell.Slots {
		if len(c.pings[hop]) > 0 {
			since(c.pings[hop][0].sent)
		}
	}
	return s
}

// startTrace asks every hop.
func (p *Pool) startTrace(c *Circuit, hops int, now time.Time) {
	tr := &trace{began: now, near: -1}
	p.traces[c] = tr
	if p.ticks(1) > 0 { // ticks are short: the end alone is asked
		if p.budget.mayPing(now, p.profile(), 1) {
			p.pingEnd(c, now)
		}
		return
	}
	for hop := range hops {
		pong := make(chan time.Duration, 1)
		tr.pongs = append(tr.pongs, pong)
		if wait, err := c.sendPing(hop, pong); wait > 0 || err != nil {
			return
		}
		p.budget.ping(now, 1)
	}
}

// followTrace collects answers. It returns true when the last hop has answered:
// the circuit works.
func (tr *trace) collect() (works bool) {
	for hop, pong := range tr.pongs {
		select {
		case d := <-pong:
			if hop > tr.near {
				tr.near, tr.rtt = hop, d
			}
		default:
		}
	}
	return len(tr.pongs) > 0 && tr.near == len(tr.pongs)-1
}

// conclusive tells whether a trace shows where a circuit ends: a hop answered,
// the next one has had much more time and did not.
func (tr *trace) conclusive(now time.Time, slack time.Duration) bool {
	return tr.near >= 0 && now.Sub(tr.began) >= max(traceWait, 4*tr.rtt)+slack
}

// checkTraces looks at all silent circuits and returns when to look again.
func (p *Pool) checkTraces(list []*Circuit, now time.Time) time.Time {
	next := now.Add(interval)
	for c := range p.traces {
		if !c.alive() {
			delete(p.traces, c)
		}
	}
	for _, c := range list {
		s := c.signs(now)
		tr := p.traces[c]
		if tr != nil && (tr.collect() || s.silent == 0) {
			delete(p.traces, c)
			tr = nil
		}
		if s.silent == 0 {
			continue
		}
		if s.silent >= p.dead() {
			p.giveUp(c, tr, now)
			continue
		}
		e := p.entries[c]
		switch {
		case e == nil: // being built: its task watches it
		case tr == nil && s.silent < p.probe(s):
			next = sooner(next, now.Add(p.probe(s)-s.silent))
		case tr == nil:
			p.startTrace(c, s.hops, now)
			next = sooner(next, now.Add(traceEvery))
		case tr.judged && tr.near == pathHops-1 && e.awaited() && p.ticks(1) == 0:
			// No other circuit helps, but what its user has in place of this one.
			if tr.conclusive(now, lastWait) {
				p.giveUp(c, tr, now)
				continue
			}
			next = sooner(next, now.Add(traceEvery))
		case tr.judged:
		case tr.conclusive(now, p.ticks(4)):
			tr.judged = true
			p.suspectHop(c, tr, now)
			if e.key != (key{}) && tr.near+1 < pathHops {
				c.setRetired() // a replacement is built before it is given up
			}
		default:
			next = sooner(next, now.Add(traceEvery))
		}
	}
	return next
}

// giveUp closes a circuit that did not answer in time, or gives up its guard
// if nothing else comes over the link either.
func (p *Pool) giveUp(c *Circuit, tr *trace, now time.Time) {
	pl := p.links[c.guard.id]
	if pl != nil && pl.guardLink == c.guard && time.Unix(0, pl.heard.Load()).Before(now.Add(-p.deaf())) {
		p.suspect(pl, now)
		return
	}
	if tr != nil && !tr.judged && tr.near >= 0 {
		p.suspectHop(c, tr, now)
	}
	// The middle answered, the destination did not.
	c.end("it did not answer PING", tr != nil && tr.near == pathHops-1)
}

// suspectHop notes the relay at which a circuit seems to end, and the one
// before it: nobody can tell which of the two is at fault. Both are avoided for
// a while. Other circuits over the first are not asked now but when their turn
// comes: a relay that stalls one could see which others are of the same client.
func (p *Pool) suspectHop(c *Circuit, tr *trace, now time.Time) {
	c.mu.Lock()
	relays := append([]directory.RelayID(nil), c.relays...)
	c.mu.Unlock()
	if tr.near+1 >= len(relays) {
		return
	}
	hop, by := relays[tr.near+1], relays[tr.near]
	p.suspectRelay(hop, now)
	p.selector.Failed(hop, now)
	if tr.near > 0 {
		p.selector.Failed(by, now)
	}
}

// suspectRelay has a relay avoided where another will do.
func (p *Pool) suspectRelay(id directory.RelayID, now time.Time) {
	p.suspects[id] = now.Add(suspectFor)
}

// isSuspect tells whether a relay is better avoided.
func (p *Pool) isSuspect(id directory.RelayID, now time.Time) bool {
	until, ok := p.suspects[id]
	if ok && !now.Before(until) {
		delete(p.suspects, id)
		ok = false
	}
	return ok
}

// unsure returns the relays of the circuits of a key that have something
// unanswered: who asks for another circuit now wants one without them.
func (p *Pool) unsure(k key, now time.Time) map[directory.RelayID]bool {
	relays := map[directory.RelayID]bool{}
	for c, e := range p.entries {
		if e.key == k && c.signs(now).silent > 0 {
			relays[e.path.Layer2.ID], relays[e.path.Middle.ID] = true, true
		}
	}
	return relays
}
