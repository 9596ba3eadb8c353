package circuit

import (
	"time"

	"hearsay/directory"
)

// Kept are the relays that a client stays with for long: who sees it, and whom
// its guard sees next.
type Kept struct {
	Guard directory.RelayID // in use; zero: none
	// Since is when the guard was first used, or up to six days before: it is
	// remembered like that (circuit/path/SPEC.md §2.1). Zero: it was never used.
	Since  time.Time
	Layer2 []directory.RelayID // layer-2 guards that circuits may use
}

// Kept tells which relays the pool stays with. It is at most a second old.
func (p *Pool) Kept() Kept {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.kept
	k.Layer2 = append([]directory.RelayID(nil), k.Layer2...)
	return k
}

// keepKept brings what Kept tells up to date.
func (p *Pool) keepKept() {
	k := Kept{Layer2: p.selector.Layer2()}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.guardNow != nil {
		k.Guard = p.guardNow.ID
		k.Since = p.selector.GuardSince(k.Guard)
	}
	p.kept = k
}

// BurstEnds returns until when a burst of bulk circuits runs, as it was granted.
// A time that is over, or zero: none runs.
func (p *Pool) BurstEnds() time.Time { return p.bursts.last() }
