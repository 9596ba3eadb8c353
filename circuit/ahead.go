package circuit

import "time"

// Specification constants (SPEC.md §6).
const (
	aheadSpoke = 2 * time.Minute // a circuit that carried something in this time is replaced ahead
	aheadWait  = time.Minute     // at most so much later than it is to be replaced
	aheadKeep  = 2 * time.Minute // what was built ahead and nobody took is closed
)

// followed tells whether a circuit may be announced to be replaced. On a shaped
// link a conversation that goes on would wait half a minute and more for the
// ticks of a build; so the next circuit is built before the user of the old one
// is told (SPEC.md §6).
func (p *Pool) followed(e *entry, now time.Time) bool {
	if e.key.purpose != Send || p.ticks(1) == 0 || e.c.isRetired() ||
		now.Sub(e.c.lastSpoke()) > aheadSpoke || !now.Before(e.retireAt.Add(aheadWait)) {
		return true
	}
	if p.ahead(e.key) != nil {
		return true
	}
	for t := range p.tasks {
		if t.key == e.key {
			return false
		}
	}
	_, _ = p.begin(&waiter{
		req:    Request{Purpose: Send, Isolation: e.key.isolation, Destination: e.key.dest},
		key:    e.key,
		ahead:  true,
		result: make(chan result, 1),
	}, now)
	return false
}

// ahead returns a circuit that was built ahead for a key, or nil.
func (p *Pool) ahead(k key) *entry {
	for c, e := range p.entries {
		if e.ahead && e.key == k && c.alive() {
			return e
		}
	}
	return nil
}

// lastSpoke is when the user's last message left in its tick.
func (c *Circuit) lastSpoke() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spoke
}
