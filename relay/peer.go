package relay

import (
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"hearsay/directory"
)

// peer is the other end of a link, as the switch knows it.
type peer struct {
	id     directory.RelayID // proven identity; zero for a client
	relay  bool              // a listed relay: relay limits
	addr   netip.AddrPort    // for the trace of tests, never logged
	gone   <-chan struct{}   // the link has ended
	create *rate.Limiter     // CREATEs
	// up and down limit the bytes of cells of a client's link, nil for relays.
	up, down *rate.Limiter
	// stalled is set while a circuit of this client blocks its writer; it may
	// not create more.
	stalled atomic.Bool

	jobs []job // guarded by workers.mu
}

func newPeer(id directory.RelayID, listed bool, addr netip.AddrPort, gone <-chan struct{}, unlimited bool) *peer {
	p := &peer{id: id, relay: listed, addr: addr, gone: gone}
	switch {
	case unlimited:
	case listed:
		p.create = rate.NewLimiter(relayCreateRate, relayCreateBurst)
	default:
		p.create = rate.NewLimiter(clientCreateRate, clientCreateBurst)
		p.up = rate.NewLimiter(linkByteRate, linkByteBurst)
		p.down = rate.NewLimiter(linkByteRate, linkByteBurst)
	}
	return p
}

// mayCreate takes a token for one CREATE.
func (p *peer) mayCreate() bool {
	return !p.stalled.Load() && (p.create == nil || p.create.Allow())
}

// pace waits until n bytes fit the limits, nil ones being none; it reports
// false if done was closed first. It is called once per batch.
func pace(n int, done <-chan struct{}, limits ...*rate.Limiter) bool {
	var wait time.Duration
	now := time.Now()
	for _, l := range limits {
		if l != nil {
			wait = max(wait, l.ReserveN(now, n).DelayFrom(now))
		}
	}
	if wait == 0 {
		return true
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-done:
		return false
	}
}
