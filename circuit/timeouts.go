package circuit

import (
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/link"
)

// profile is how links are shaped now.
func (p *Pool) profile() link.Profile {
	if p.cfg.Profile == nil {
		return link.Off
	}
	return p.cfg.Profile()
}

// ticks returns the time that n cells wait for their tick on a shaped link; it
// is zero on others.
func (p *Pool) ticks(n int) time.Duration {
	f := p.profile()
	if f == link.Off {
		return 0
	}
	return time.Duration(n) * f.Tick()
}

// dead is how long an answer may be missing until a circuit is given up. On a
// shaped link the answers to builds share the ticks with it.
func (p *Pool) dead() time.Duration {
	return deadBase + deadTicks*p.profile().Tick() + p.ticks(crowdTicks*len(p.tasks))
}

// deaf is how long no circuit of a link may bring a cell, while one is waited
// for, until its guard is given up although the link lives.
func (p *Pool) deaf() time.Duration { return max(p.dead(), p.ticks(deafTicks)) }

// guardSilence is how long a link may bring nothing at all until its guard is
// given up.
func (p *Pool) guardSilence() time.Duration {
	return max(guardSilent, guardSilentTicks*p.profile().Tick())
}

// probe is the silence after which the hops of a circuit are asked.
func (p *Pool) probe(s signs) time.Duration {
	if p.ticks(1) > 0 {
		return probeAfter + p.ticks(2)
	}
	return min(probeAfter, probeLeast+4*s.rtt)
}

// hedgeAfter is how long to wait for a task until another is begun beside it:
// well above what the path takes if all its relays are alive. Late links, which
// lose packets, show in the round-trip times.
func (p *Pool) hedgeAfter(t *task) time.Duration {
	if t.spare {
		t.c.mu.Lock()
		rtt := t.c.rtt
		t.c.mu.Unlock()
		return hedgeBase + 6*rtt + p.ticks(2*4)
	}
	hops := 3
	if t.dest != nil {
		hops = cell.Slots
	}
	d := hedgeBase + hedgeBase/2 + p.ticks(2*4*hops)
	if pl := p.links[t.path.Guard.ID]; pl != nil {
		return d + 12*pl.link.RTT()
	}
	return d + time.Second // a handshake with the guard comes first
}

// tokens is a bucket of tokens that fills by one every so often.
type tokens struct {
	burst int
	every time.Duration
	left  int
	last  time.Time
}

// take takes a token if there is one.
func (b *tokens) take(now time.Time) bool {
	if b.last.IsZero() {
		b.left, b.last = b.burst, now
	}
	if n := int(now.Sub(b.last) / b.every); n > 0 {
		b.left = min(b.burst, b.left+n)
		b.last = b.last.Add(time.Duration(n) * b.every)
	}
	if b.left == 0 {
		return false
	}
	b.left--
	return true
}

// next is when there is a token again, after take found none.
func (b *tokens) next() time.Time { return b.last.Add(b.every) }
