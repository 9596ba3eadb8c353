package relay

import (
	"math/rand/v2"
	"sync"
	"time"

	"hearsay/directory"
)

// Implementation constants of the back-off (SPEC.md §5.2).
const (
	backoffKills  = 3                // stalls before the first back-off
	backoffSame   = 5 * time.Second  // stalls so close together are one: a link that broke
	backoffMemory = 10 * time.Minute // without a stall, after which all is forgotten
	backoffLeast  = time.Second
	backoffMost   = 10 * time.Minute
)

// backoff remembers the relays towards which circuits stalled again and again,
// and refuses to extend to them for a while. It holds only relays of the
// directory, so its size needs no other bound. The zero value is ready; it is
// safe for concurrent use.
type backoff struct {
	mu     sync.Mutex
	relays map[directory.RelayID]*backoffEntry
}

type backoffEntry struct {
	kills int
	last  time.Time // the last stall
	until time.Time // no circuit is extended to the relay before
}

// stalled notes that a circuit was closed since its writer towards a relay was
// blocked for too long.
func (b *backoff) stalled(id directory.RelayID, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for other, e := range b.relays {
		if now.Sub(e.last) > backoffMemory && now.After(e.until) {
			delete(b.relays, other)
		}
	}
	e := b.relays[id]
	if e == nil {
		if b.relays == nil {
			b.relays = make(map[directory.RelayID]*backoffEntry)
		}
		e = new(backoffEntry)
		b.relays[id] = e
	} else if now.Sub(e.last) < backoffSame {
		return
	}
	e.last = now
	if e.kills++; e.kills >= backoffKills {
		most := min(backoffMost, backoffLeast<<min(e.kills-backoffKills+3, 16))
		e.until = now.Add(backoffLeast + rand.N(most))
	}
}

// refuses reports whether circuits are not extended to the relay now.
func (b *backoff) refuses(id directory.RelayID, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.relays[id]
	return e != nil && now.Before(e.until)
}
