package link

import (
	"container/list"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"hearsay/directory"
)

// Specification constants of the door (SPEC.md §6).
const (
	maxLinks       = 8192 // each costs some 60 KiB and four goroutines
	maxHandshakes  = 128  // in flight, before addresses must be proven by Retry
	maxHalfOpen    = 256  // in flight, some 90 KiB each, before the oldest are given up
	newRate        = rate.Limit(200)
	newBurst       = 200
	prefixLinks    = 16 // concurrent connections of one prefix
	prefixRate     = rate.Limit(4)
	prefixBurst    = 20
	prefixBits4    = 32
	prefixBits6    = 56
	maxPrefixes    = 16384 // implementation: prefixes remembered, some 300 bytes each
	prefixSweepMin = 1024  // implementation: below this no sweep
)

var errRefused = errors.New("link: refused at the door")

// door decides, before any TLS work, which connection attempts go on. Its
// methods are called by the QUIC server's one goroutine and by the ends of
// connections; they take no time and do no I/O.
type door struct {
	lab      bool // no limits per prefix
	newConns *rate.Limiter

	offenders offenders

	mu         sync.Mutex
	closed     bool                   // draining: nobody comes in any more
	links      int                    // accepted, handshakes in flight included
	handshakes int                    // in flight
	halfOpen   list.List              // of *visit: those of them that were not given up, oldest first
	crowds     map[netip.AddrPort]int // of halfOpen by group
	prefixes   map[netip.Prefix]*prefixState
	sweepAt    int // size of prefixes at which the idle ones are forgotten
}

// prefixState is what one prefix has used. Unproven attempts have a bucket of
// their own: who spoofs an address cannot use up its owner's share, only make
// him prove the address.
type prefixState struct {
	proven, unproven *rate.Limiter
	links            int // connections that completed the handshake or proved the address
	pending          int // handshakes from an unproven address
}

// visit is the account of one accepted connection.
type visit struct {
	d      *door
	prefix netip.Prefix // none in lab networks
	state  *prefixState // nil in lab networks
	born   time.Time
	relay  *directory.Relay // whose address it came from and whose limits it got, or nil

	creds *credentials // shown in the handshake; set before it completes

	conduct conduct // guarded by d.offenders.mu

	// Guarded by d.mu.
	pending bool           // counted in state.pending, else in state.links
	shaking bool           // counted in d.handshakes
	place   *list.Element  // in d.halfOpen, or nil
	group   netip.AddrPort // who shares the blame for too many handshakes
	cancel  func()         // ends the context of the handshake
	gone    bool
}

type visitKey struct{}

func newDoor(lab bool) *door {
	return &door{
		lab:      lab,
		newConns: rate.NewLimiter(newRate, newBurst),
		prefixes: make(map[netip.Prefix]*prefixState),
		crowds:   make(map[netip.AddrPort]int),
		sweepAt:  prefixSweepMin,
	}
}

// mustProve reports whether an attempt from an unproven address has to prove
// it by Retry first.
func (d *door) mustProve(a netip.AddrPort) bool {
	if !d.newConns.Allow() {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.handshakes >= maxHandshakes {
		return true
	}
	if d.lab {
		return false
	}
	s := d.prefixLocked(prefixOf(a.Addr()))
	return s == nil || s.links+s.pending >= prefixLinks || !s.unproven.Allow()
}

// enter takes one more connection in, or refuses it. The visit ends with ctx.
//
// If too many handshakes are under way, a prefix that has one gets no more: a
// flood from few addresses keeps itself out, before any work is done for it. In
// place of any other newcomer the oldest is given up: an honest handshake takes
// a round trip or two, one that is meant to stay does not.
func (d *door) enter(ctx context.Context, a netip.AddrPort, proven bool, relay *directory.Relay) (context.Context, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	group, full := d.groupOf(a), d.halfOpen.Len() >= maxHalfOpen
	if d.closed || d.links >= maxLinks || full && d.crowds[group] > 0 {
		return nil, errRefused
	}
	v := &visit{d: d, relay: relay, shaking: true, born: time.Now(), group: group}
	if !d.lab {
		v.prefix = prefixOf(a.Addr())
		v.state = d.prefixLocked(v.prefix)
		if v.state == nil || proven && !v.state.enter() {
			return nil, errRefused
		}
		if v.pending = !proven; v.pending {
			v.state.pending++
		}
	}
	if full {
		d.halfOpen.Front().Value.(*visit).giveUpLocked()
	}
	v.place = d.halfOpen.PushBack(v)
	d.crowds[group]++
	d.links++
	d.handshakes++
	context.AfterFunc(ctx, v.leave)
	ctx, v.cancel = context.WithCancel(context.WithValue(ctx, visitKey{}, v))
	return ctx, nil
}

// giveUpLocked ends the work on a handshake: TLS stops at once, and what is
// left of the connection goes with its timeout.
func (v *visit) giveUpLocked() {
	v.unlistLocked()
	v.cancel()
}

// unlistLocked takes the visit off the list of handshakes.
func (v *visit) unlistLocked() {
	if v.place == nil {
		return
	}
	v.d.halfOpen.Remove(v.place)
	v.place = nil
	if v.d.crowds[v.group]--; v.d.crowds[v.group] == 0 {
		delete(v.d.crowds, v.group)
	}
}

// groupOf returns what counts as one neighbour in the list of handshakes: a
// prefix, or a socket in lab networks.
func (d *door) groupOf(a netip.AddrPort) netip.AddrPort {
	if d.lab {
		return a
	}
	return netip.AddrPortFrom(prefixOf(a.Addr()).Addr(), 0)
}

// enter counts a connection from a proven address, if the prefix may have it.
func (s *prefixState) enter() bool {
	if s.links >= prefixLinks || !s.proven.Allow() {
		return false
	}
	s.links++
	return true
}

// established is called when the handshake is complete, which proves the
// address. It returns false if the prefix has too many connections.
func (v *visit) established() bool {
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	if v.gone {
		return false
	}
	v.unlistLocked()
	if v.shaking {
		v.shaking = false
		v.d.handshakes--
	}
	if v.pending {
		if v.state.links >= prefixLinks {
			return false
		}
		v.pending = false
		v.state.pending--
		v.state.links++
	}
	return true
}

// leave takes the connection off the account.
func (v *visit) leave() {
	d := v.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if v.gone {
		return
	}
	v.gone = true
	v.unlistLocked()
	d.links--
	if v.shaking {
		d.handshakes--
	}
	switch {
	case v.state == nil:
	case v.pending:
		v.state.pending--
	default:
		v.state.links--
	}
}

// shut refuses everybody from now on.
func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

// prefixLocked returns the state of a prefix, or nil if there is no room to
// remember another one.
func (d *door) prefixLocked(p netip.Prefix) *prefixState {
	if s, ok := d.prefixes[p]; ok {
		return s
	}
	if len(d.prefixes) >= d.sweepAt {
		for p, s := range d.prefixes {
			if s.idle() {
				delete(d.prefixes, p)
			}
		}
		d.sweepAt = min(max(prefixSweepMin, 2*len(d.prefixes)), maxPrefixes)
	}
	if len(d.prefixes) >= maxPrefixes {
		return nil
	}
	s := &prefixState{
		proven:   rate.NewLimiter(prefixRate, prefixBurst),
		unproven: rate.NewLimiter(prefixRate, prefixBurst),
	}
	d.prefixes[p] = s
	return s
}

// idle reports whether forgetting the state changes nothing.
func (s *prefixState) idle() bool {
	return s.links == 0 && s.pending == 0 && s.proven.Tokens() >= prefixBurst && s.unproven.Tokens() >= prefixBurst
}

// prefixOf returns what counts as one neighbour.
func prefixOf(a netip.Addr) netip.Prefix {
	bits := prefixBits4
	if a.Is6() {
		bits = prefixBits6
	}
	p, _ := a.WithZone("").Prefix(bits) // fails for no address only
	return p
}

// addrPort returns the address of a UDP peer in the one form that the
// directory uses: IPv4 as IPv4.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	if u, ok := a.(*net.UDPAddr); ok {
		ap = u.AddrPort()
	} else {
		ap, _ = netip.ParseAddrPort(a.String())
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
