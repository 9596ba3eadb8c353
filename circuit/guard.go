package circuit

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"hearsay/circuit/link"
	"hearsay/circuit/path"
	"hearsay/directory"
	"hearsay/directory/gossip"
)

// poolLink is one link to a guard.
type poolLink struct {
	*guardLink
	link     *link.Link
	suspect  bool // it fell silent
	draining bool // the guard announced its end
	used     time.Time
	since    time.Time // of suspect
	watch    watched
}

// unfit tells whether no new use should be made of a link; a nil link is gone.
func (l *poolLink) unfit() bool { return l == nil || l.suspect || l.draining }

// useLink returns what circuits on a link share. Tasks call it.
func (p *Pool) useLink(id directory.RelayID, l *link.Link) *guardLink {
	type answer struct{ g *guardLink }
	got := make(chan answer, 1)
	p.post(func() { got <- answer{p.adoptLink(id, l)} })
	select {
	case a := <-got:
		return a.g
	case <-p.stopped:
		return newGuardLink(id, l)
	}
}

// adoptLink registers a link and watches for its end.
func (p *Pool) adoptLink(id directory.RelayID, l *link.Link) *guardLink {
	now := time.Now()
	if pl := p.links[id]; pl != nil && pl.link == l {
		return pl.guardLink
	}
	pl := &poolLink{guardLink: newGuardLink(id, l), link: l, used: now}
	pl.heard.Store(now.UnixNano())
	pl.tick.Store(int64(p.ticks(1)))
	p.links[id] = pl
	if id == p.guard || p.links[p.guard] == nil || p.ticks(1) == 0 {
		p.warm(now) // only the link in use has fast ticks to offer
	}
	p.wg.Go(func() {
		select {
		case <-l.Draining():
			p.post(func() { p.linkDrains(pl) })
		case <-l.Done():
		case <-p.ctx.Done():
			return
		}
		select {
		case <-l.Done():
			p.post(func() { p.linkLost(pl) })
		case <-p.ctx.Done():
		}
	})
	return pl.guardLink
}

// linkLost forgets a link. The guard is dialed again at once, but not for
// long: then the next primary takes over.
func (p *Pool) linkLost(pl *poolLink) {
	if p.links[pl.id] != pl {
		return
	}
	delete(p.links, pl.id)
	if !pl.unfit() {
		p.lost[pl.id] = time.Now()
	}
}

// linkDrains moves away from a guard that is about to stop.
func (p *Pool) linkDrains(pl *poolLink) {
	if pl.draining || p.links[pl.id] != pl || pl.watch.redialing {
		return
	}
	pl.draining = true
	p.guardFailed(pl.id, time.Now())
	for c, e := range p.entries {
		if c.guard != pl.guardLink {
			continue
		}
		if e.key == (key{}) {
			c.destroy("the guard is about to stop")
		} else {
			c.setRetired()
		}
	}
}

// suspect gives up a guard that fell silent. Its circuits are closed; its link
// stays until it ends by itself, for the silence may be a short one.
func (p *Pool) suspect(pl *poolLink, now time.Time) {
	if pl.suspect {
		return
	}
	pl.suspect, pl.since = true, now
	p.guardFailed(pl.id, now)
	p.mu.Lock()
	var list []*Circuit
	for c := range p.live {
		if c.guard == pl.guardLink {
			list = append(list, c)
		}
	}
	p.mu.Unlock()
	for _, c := range list {
		c.destroy("the guard did not answer")
	}
}

func (p *Pool) guardFailed(id directory.RelayID, now time.Time) {
	delete(p.lost, id)
	p.selector.GuardFailed(id, now)
}

// checkGuard notices that another guard is preferred now, and why none is.
func (p *Pool) checkGuard(now time.Time) {
	for _, n := range p.selector.Notices() {
		p.log.Warn("guards", slog.String(keyReason, n.Text))
		p.tell(Event{Type: EventWarning, Detail: n.Text})
	}
	g, err := p.selector.Guard(now, directory.RelayID{})
	if err != nil {
		p.noPath = pathWhy(err)
		var no *path.Error
		p.setConsent(errors.As(err, &no) && no.Consent)
		return
	}
	p.setGuard(g)
	if g.ID == p.guard {
		return
	}
	before := p.guard
	p.guard, p.noPath = g.ID, ""
	for c, e := range p.entries {
		if e.key == (key{}) && e.path.Guard.ID != g.ID {
			c.destroy("another guard is in use")
		}
	}
	if before == (directory.RelayID{}) {
		return
	}
	detail := "the guard answers again"
	if !p.selector.GuardIsUp(before) {
		detail = "the guard does not answer; the next one takes over"
	}
	p.tell(Event{Type: EventGuardChanged, Detail: detail})
}

// retryGuard dials a failed primary now and then, beside the guard in use.
func (p *Pool) retryGuard(now time.Time) {
	r, at, ok := p.selector.Retry()
	if !ok || p.retrying || now.Before(at) {
		return
	}
	if pl := p.links[r.ID]; pl.unfit() && pl != nil {
		pl.link.Close() // what it says now would prove nothing
	}
	p.retrying = true
	p.wg.Go(func() {
		ctx, cancel := context.WithTimeout(p.ctx, dialTimeout)
		l, err := p.cfg.Dial(ctx, target(r))
		cancel()
		p.post(func() {
			p.retrying = false
			if err != nil {
				p.guardFailed(r.ID, time.Now())
				return
			}
			p.adoptLink(r.ID, l)
			p.selector.GuardAnswers(r.ID)
		})
	})
}

// closeIdleLinks closes links to guards that are not in use any more.
func (p *Pool) closeIdleLinks(now time.Time) {
	for id, pl := range p.links {
		switch {
		case pl.suspect:
			if now.Sub(pl.since) > suspectLink {
				pl.link.Close()
			}
		case id == p.guard || pl.link.Streams() > 0:
			pl.used = now
		case now.Sub(pl.used) > idleLink:
			pl.link.Close()
		}
	}
}

// onLink counts the circuits over a guard, those being built included, and
// those that are closed but wait for a tick to say so.
func (p *Pool) onLink(id directory.RelayID) int {
	n := 0
	for t := range p.tasks {
		if !t.spare && t.path.Guard.ID == id {
			n++
		}
	}
	for c := range p.entries {
		if c.guard.id == id {
			n++
		}
	}
	if pl := p.links[id]; pl != nil {
		n = max(n, pl.link.Streams())
	}
	return n
}

// buildSpares keeps clean circuits ready.
func (p *Pool) buildSpares(now time.Time) time.Time {
	if p.view == nil {
		return time.Time{}
	}
	have := 0
	for _, e := range p.entries {
		if e.key == (key{}) {
			have++
		}
	}
	for t := range p.tasks {
		if t.key == (key{}) && !t.late && !t.test {
			have++
		}
	}
	if len(p.entries) == 0 {
		p.nextSpare = time.Time{} // after a start or a loss, all at once
	}
	avoid := func(id directory.RelayID) bool { return p.isSuspect(id, now) }
	if p.ticks(1) > 0 && !p.warming(now) && (len(p.waiters) > 0 || len(p.tasks) > 0) {
		return time.Time{} // those who wait need the ticks
	}
	for want := p.wantSpares(now); have < want; have++ {
		filling := p.warming(now) || p.warmUntil.IsZero()
		if !filling && now.Before(p.nextSpare) {
			return p.nextSpare
		}
		pa, why, at := p.pickPath(now, directory.RelayID{}, avoid, spareShare)
		if why != "" {
			return at
		}
		p.nextSpare = now.Add(p.wait(spareEvery))
		p.start(&task{path: pa}, now)
	}
	return time.Time{}
}

// buildTest builds a circuit that nobody needs, so that the time builds take is
// learned soon: only while nothing else is to do, links are not shaped and lose
// few packets, and the estimate does not stand yet.
func (p *Pool) buildTest(now time.Time) {
	if p.view == nil || p.cfg.Lab || p.profile() != link.Off || p.tests >= testMost ||
		len(p.waiters) > 0 || len(p.tasks) > 0 || now.Before(p.nextTest) {
		return
	}
	pl := p.links[p.guard]
	give, _ := p.selector.BuildTimeout(byte(link.Off), pathHops)
	if pl.unfit() || give < untaught {
		return
	}
	if t := pl.link.Traffic(); 20*t.Lost > t.Sent || !pl.watch.asking.IsZero() && t.Sent-pl.watch.sent >= unheardPackets {
		return
	}
	pa, why, _ := p.pickPath(now, directory.RelayID{}, func(id directory.RelayID) bool { return p.isSuspect(id, now) }, 0)
	if why != "" {
		return
	}
	p.nextTest = now.Add(testEvery)
	p.tests++
	p.start(&task{path: pa, test: true}, now)
}

// wantSpares is how many clean circuits are kept: more where many were taken
// in the last minutes.
func (p *Pool) wantSpares(now time.Time) int {
	for len(p.taken) > 0 && now.Sub(p.taken[0]) > spareMin {
		p.taken = p.taken[1:]
	}
	return min(max(spares, len(p.taken)/2), sparesMost)
}

// setGuard tells other goroutines which guard is in use.
func (p *Pool) setGuard(g *directory.Relay) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.guardNow = g
}

// guardPeer returns the guard in use as a peer for directory requests.
func (p *Pool) guardPeer() (gossip.Peer, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.guardNow == nil {
		return gossip.Peer{}, false
	}
	return gossip.Peer{ID: p.guardNow.ID, LinkKey: p.guardNow.LinkKey, Addrs: p.guardNow.Addrs}, true
}

// usesLink tells whether a node is the guard in use or carries a circuit.
func (p *Pool) usesLink(id directory.RelayID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.guardNow != nil && p.guardNow.ID == id {
		return true
	}
	for c := range p.live {
		if c.guard.id == id {
			return true
		}
	}
	return false
}

// pathWhy is the text of a path error without its prefix.
func pathWhy(err error) string {
	var e *path.Error
	if errors.As(err, &e) {
		return e.Why
	}
	return err.Error()
}
