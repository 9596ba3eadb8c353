package circuit

import (
	"context"
	"time"

	"hearsay/circuit/link"
)

// watched is what the pool sees of the packets on a link.
type watched struct {
	received, sent uint64
	heard          time.Time // when packets last came
	asking         time.Time // when something went out that nothing came back after; zero: nothing did
	redialing      bool
	nextRedial     time.Time
}

// look compares the counters of a link with those of the last look.
func (w *watched) look(t link.Traffic, now time.Time) {
	switch {
	case t.Received != w.received || w.heard.IsZero():
		w.received, w.sent, w.heard, w.asking = t.Received, t.Sent, now, time.Time{}
	case t.Sent != w.sent && w.asking.IsZero():
		w.asking = now
	}
}

// checkLinks notices links over which nothing comes any more, and returns when
// to look again (SPEC.md §7.3).
func (p *Pool) checkLinks(now time.Time) time.Time {
	next := now.Add(interval)
	for _, pl := range p.links {
		t := pl.link.Traffic()
		pl.tick.Store(int64(p.ticks(1)))
		pl.watch.look(t, now)
		// A packet that only acknowledges is not answered; one that is repeated
		// again and again is not heard.
		if pl.unfit() || pl.watch.asking.IsZero() || t.Sent-pl.watch.sent < unheardPackets {
			continue
		}
		waited := now.Sub(pl.watch.asking)
		if waited >= pingWait && now.Sub(pl.watch.heard) >= p.guardSilence() {
			p.suspect(pl, now)
			continue
		}
		// Where packets get lost anyway, silence means less.
		patience := max(redialMin, redialProbes*t.Probe)
		patience += patience * time.Duration(min(redialLoss*t.Lost, 3*t.Sent)) / time.Duration(t.Sent)
		switch {
		case pl.watch.redialing || now.Before(pl.watch.nextRedial):
		case waited >= patience:
			p.redial(pl, false, now)
		default:
			next = sooner(next, now.Add(patience-waited))
		}
	}
	return next
}

// redial dials a guard from a fresh socket beside a link that brings nothing,
// and moves there if the old one is still silent when the new one stands: then
// it was not the guard, but the way to it. moved says that this computer surely
// has another address.
func (p *Pool) redial(pl *poolLink, moved bool, now time.Time) {
	if p.cfg.Redial == nil {
		return
	}
	r, listed := p.view.Relay(pl.id)
	if !listed {
		return
	}
	pl.watch.redialing = true
	pl.watch.nextRedial = now.Add(redialEvery)
	before := pl.link.Traffic().Received
	p.wg.Go(func() {
		ctx, cancel := context.WithTimeout(p.ctx, redialTimeout)
		defer cancel()
		l, err := p.cfg.Redial(ctx, target(r), func() bool {
			return moved || pl.link.Traffic().Received == before
		})
		p.post(func() {
			pl.watch.redialing = false
			if err != nil {
				return
			}
			p.moves.Add(1)
			p.adoptLink(pl.id, l) // in place of pl
			pl.link.Close()
			p.selector.GuardAnswers(pl.id)
		})
	})
}

// networkChanged dials all guards in use anew: this computer has another
// address, or slept so long that its links are forgotten at the other end.
// Changes that come too often wait, and count as one: whoever makes an address
// flap must not have us dial and build without end. Meanwhile silence tells.
func (p *Pool) networkChanged(now time.Time) {
	if !p.changes.take(now) {
		p.changeAt = p.changes.next()
		return
	}
	p.changeAt = time.Time{}
	p.selector.Online()
	clear(p.lost)
	clear(p.refusals)
	for _, pl := range p.links {
		if !pl.watch.redialing && !pl.draining {
			p.redial(pl, true, now)
		}
	}
	p.warmUntil = time.Time{} // builds may be as fast as after a start
	p.warm(now)
}

// checkSleep notices that the computer slept: the wall clock went on, the
// monotonic one, by which timers run, did not.
func (p *Pool) checkSleep(now time.Time) {
	wall := p.wall().Round(0)
	if !p.lastStep.IsZero() && wall.Sub(p.lastWall)-now.Sub(p.lastStep) > sleepAtLeast {
		p.networkChanged(now)
	}
	if !p.changeAt.IsZero() && !now.Before(p.changeAt) {
		p.networkChanged(now)
	}
	p.lastWall, p.lastStep = wall, now
}
