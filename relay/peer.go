package relay

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
	"hearsay/directory"
)

// doorkeeper is the door's account of a link, as *link.Link has it.
type doorkeeper interface {
	Offend()          // charges a breach that only the peer itself can have made
	Refused() bool    // the peer may create no circuits
	Received() uint64 // packets from the peer
	Surplus() int64   // bytes from the peer that only cells of circuits explain
	Close()           // ends the link
}

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
	// door is nil for listed relays, to which nothing is charged, and in tests.
	door doorkeeper

	load peerLoad
	// Of the janitor.
	received uint64    // packets when the stall was noticed
	charged  time.Time // last stall that was charged

	// CREATEs lately, when half of them were forgotten last, and when the
	// first one came; guarded by workers.mu.
	asked               int
	askedAt, askedFirst time.Time
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

// isGone reports whether the link has ended.
func (p *peer) isGone() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

// mayCreate takes a token for one CREATE. The link takes streams up no faster
// than this, so who runs out of tokens got around it.
func (p *peer) mayCreate() bool {
	if p.stalled.Load() || p.door != nil && p.door.Refused() {
		return false
	}
	if p.create == nil || p.create.Allow() {
		return true
	}
	p.offend()
	return false
}

func (p *peer) offend() {
	if p.door != nil {
		p.door.Offend()
	}
}

// offences are the ends of a circuit that only its client can have caused
// (circuit/link/SPEC.md §6.1).
var offences = []error{errProtocol, errTooMuch, errCredit, errSendMe, errTrim, cell.ErrFormat, onion.ErrLayer}

// judge charges the end of a circuit to the client, if it is to blame: err is
// what its cells led to. Of a relay nothing is known by the cells that it
// passes on.
func (p *peer) judge(err error) {
	if p.door == nil || errors.Is(err, onion.ErrHandshake) {
		return
	}
	for _, offence := range offences {
		if errors.Is(err, offence) {
			p.offend()
			return
		}
	}
}

// setStalled notes whether a circuit of the client is stalled. The janitor
// alone calls it.
func (p *peer) setStalled(now bool) {
	if p.stalled.Swap(now) != now && now && p.door != nil {
		p.received = p.door.Received()
	}
}

// stallKilled charges a circuit that was closed since the client took nothing.
// Who is not heard of has lost his network and is not to blame; all circuits of
// a link stall together, so they count once. The janitor alone calls it.
func (p *peer) stallKilled(now time.Time) {
	if p.door == nil || p.door.Received() == p.received || now.Sub(p.charged) < stallChargeEvery {
		return
	}
	p.charged = now
	p.offend()
}

// stalledFor reports whether a write, which began at the tick since, is blocked
// for too long. Where relays are in a row, the one next to whoever takes nothing
// must act first (SPEC.md §5.2).
func (c *circuit) stalledFor(since *atomic.Int64, way Way) bool {
	at := since.Load()
	return at != 0 && c.sw.clock.older(at, c.patience(way))
}

// patience may be called when CREATED is on its way.
func (c *circuit) patience(way Way) time.Duration {
	slot := time.Duration(c.slot)
	switch {
	case way == ToNextHop:
		return stallRelay + max(0, cell.Slots-2-slot)*stallHop
	case c.peer.relay:
		return stallRelay + max(0, slot-1)*stallHop
	}
	return stallClient
}

// nextID returns the relay that the circuit was extended to, or zero.
func (c *circuit) nextID() directory.RelayID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nextRelay
}
