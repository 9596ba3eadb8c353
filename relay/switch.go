package relay

import (
	"context"
	"crypto/rand"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"hearsay/circuit/cell"
	"hearsay/circuit/link"
	"hearsay/circuit/onion"
	"hearsay/directory"
	"hearsay/directory/gossip"
)

// SwitchConfig configures a Switch.
type SwitchConfig struct {
	Network directory.NetworkID
	ID      directory.RelayID // of this relay

	// OnionKeys returns the keys that CREATE may name: current, next, and the
	// replaced ones that are still accepted. It is called concurrently.
	OnionKeys func() []onion.OnionKey

	// Views gives the relays that circuits may be extended to.
	Views *directory.Views

	// Dial returns the link to a relay, as link.Endpoint.Link does.
	Dial func(ctx context.Context, t link.Target) (*link.Link, error)

	// Clients returns the links of clients that there are, as
	// link.Endpoint.Clients does, which are closed when memory is short. Nil: only
	// those that have begun a circuit.
	Clients func() []*link.Link

	// Service answers mailbox messages; nil: they destroy the circuit.
	Service Service

	// ServeRequest answers a directory request inside a circuit; nil: refused.
	ServeRequest func(ctx context.Context, s gossip.Stream) error

	// InsecureNoRateLimits lifts the limits of rates and of credit, for
	// measuring throughput in tests.
	InsecureNoRateLimits bool

	// InsecureTamper makes this relay a hostile one, for tests: it gets the
	// whole cells of each write and returns what is sent in their place. It is
	// called concurrently and may change cells in place. Nil: an honest relay.
	InsecureTamper func(way Way, cells []byte) []byte

	// Bandwidth is what the relay has for circuits, each way, in bytes of cells
	// per second. Zero: no limit.
	Bandwidth int64

	// MaxMemory is the heap that the switch keeps the process below, in bytes,
	// by refusing and closing circuits (SPEC.md §5.4). Zero: MemoryLimit().
	MaxMemory int64

	// InsecureHeap replaces the reading of the heap, for tests. Nil: the
	// process's.
	InsecureHeap func() uint64

	Trace Trace // tests only; nil: none
}

// Switch serves the circuits of one relay. It is safe for concurrent use.
type Switch struct {
	cfg     SwitchConfig
	random  io.Reader
	clock   clock
	workers *workers
	echo    echoLimits
	backoff backoff
	memory  *memoryWatch
	// up and down limit the bytes of cells of all circuits, nil for no limit.
	// SetBandwidth changes them.
	up, down atomic.Pointer[rate.Limiter]
	counts   counters
	// open reaches the next hop; code is a reason of EXTEND_FAIL, 0 for none.
	open func(ctx context.Context, r *directory.Relay) (s stream, code byte)
	// clients returns a new map of the links of clients, keyed as peers is.
	clients func() map[any]doorkeeper

	mu       sync.Mutex
	peers    map[any]*peer // by link
	circuits map[*circuit]struct{}
	count    uint64
	born     time.Time
	draining bool
	closed   bool
	empty    chan struct{} // not nil while somebody waits for no circuits
	wg       sync.WaitGroup

	// Of the janitor.
	priorities priorities
	swept      []*circuit // those of the last sweep, for their memory
	stalled    map[*peer]bool
}

// NewSwitch makes a switch. Run must run for it to answer.
func NewSwitch(cfg SwitchConfig) *Switch {
	sw := &Switch{
		cfg:      cfg,
		random:   rand.Reader,
		workers:  newWorkers(),
		born:     time.Now(),
		peers:    make(map[any]*peer),
		circuits: make(map[*circuit]struct{}),
		echo:     echoLimits{active: make(map[*circuit]int64)},
		memory:   newMemoryWatch(cfg.MaxMemory, cfg.InsecureHeap),

		priorities: newPriorities(),
		stalled:    make(map[*peer]bool),
	}
	if !cfg.InsecureNoRateLimits {
		sw.echo.bytes = rate.NewLimiter(rate.Limit(echoRate(cfg.Bandwidth)), 2*echoCellBurst*cell.Size)
		sw.SetBandwidth(cfg.Bandwidth)
	}
	sw.open = sw.openLink
	sw.clients = sw.clientLinks
	return sw
}

// SetBandwidth changes what the relay has for circuits, each way, in bytes of
// cells per second; 0: no limit. Circuits that are open keep to it at once. It
// does nothing where rates are lifted for tests.
func (sw *Switch) SetBandwidth(bandwidth int64) {
	if sw.cfg.InsecureNoRateLimits {
		return
	}
	sw.echo.bytes.SetLimit(rate.Limit(echoRate(bandwidth)))
	for _, l := range []*atomic.Pointer[rate.Limiter]{&sw.up, &sw.down} {
		if bandwidth <= 0 {
			l.Store(nil)
			continue
		}
		l.Store(rate.NewLimiter(rate.Limit(bandwidth), max(int(bandwidth), batchCells*cell.Size)))
	}
}

func (sw *Switch) clientLinks() map[any]doorkeeper {
	doors := make(map[any]doorkeeper)
	if sw.cfg.Clients != nil {
		for _, l := range sw.cfg.Clients() {
			doors[l] = l
		}
	}
	return doors
}

// Run answers handshakes and watches over the circuits until ctx ends; then it
// closes all circuits and waits for their goroutines. It always returns nil.
func (sw *Switch) Run(ctx context.Context) error {
	sw.wg.Go(func() { sw.workers.run(ctx) })
	t := time.NewTicker(janitorEvery)
	defer t.Stop()
	start := time.Now()
	for {
		select {
		case <-t.C:
			now := time.Now()
			sw.clock.tick.Store(int64(now.Sub(start) / janitorEvery))
			sw.sweep(now)
		case <-ctx.Done():
			sw.mu.Lock()
			sw.closed = true
			sw.mu.Unlock()
			for _, c := range sw.all(nil) {
				c.end(EndStop)
			}
			sw.wg.Wait()
			return nil
		}
	}
}

// ServeCircuit serves a circuit stream that a peer opened, until it ends. It
// is the link.Handler for circuit streams.
func (sw *Switch) ServeCircuit(_ context.Context, l *link.Link, s *link.Stream) {
	sw.serve(l, func() *peer {
		id, role, proven := l.Peer()
		if !proven {
			id = directory.RelayID{}
		}
		listed := false
		if v := sw.cfg.Views.Current(); v != nil && proven && role == link.RoleRelay {
			_, listed = v.Relay(id)
		}
		p := newPeer(id, listed, l.RemoteAddr(), l.Done(), sw.cfg.InsecureNoRateLimits)
		if !listed {
			p.door = l
		}
		return p
	}, s, s.Detach())
}

// serve serves one circuit of the link that key stands for. It returns when the
// circuit is made or refused; release is called once the stream is used up.
func (sw *Switch) serve(key any, newPeer func() *peer, s stream, release func()) {
	sw.mu.Lock()
	if sw.draining || sw.closed {
		sw.mu.Unlock()
		reset(s)
		release()
		return
	}
	p := sw.peers[key]
	if p == nil {
		p = newPeer()
		sw.peers[key] = p
	}
	c := sw.newCircuit(p, s)
	c.release = release
	sw.count++
	sw.counts.opened.Add(1)
	c.num = sw.count
	sw.circuits[c] = struct{}{}
	sw.wg.Add(1)
	sw.mu.Unlock()

	if t := sw.cfg.Trace; t != nil {
		t.Opened(c.num, p.addr, p.id)
	}
	c.serve()
}

// forget takes a circuit that ended because of err off the list.
func (sw *Switch) forget(c *circuit, err error) {
	if t := sw.cfg.Trace; t != nil {
		t.Closed(c.num, reason(err))
	}
	sw.mu.Lock()
	delete(sw.circuits, c)
	if len(sw.circuits) == 0 && sw.empty != nil {
		close(sw.empty)
		sw.empty = nil
	}
	sw.mu.Unlock()
	sw.wg.Done()
}

// since returns the time since the switch was made, for credit.
func (sw *Switch) since() time.Duration { return time.Since(sw.born) }

// Circuits returns the number of circuits.
func (sw *Switch) Circuits() int {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	return len(sw.circuits)
}

// Drain refuses new circuits and extensions from now on, and waits until no
// circuit is left or ctx ends. Circuits left then live until Run's ctx ends.
func (sw *Switch) Drain(ctx context.Context) {
	sw.mu.Lock()
	sw.draining = true
	if len(sw.circuits) == 0 {
		sw.mu.Unlock()
		return
	}
	if sw.empty == nil {
		sw.empty = make(chan struct{})
	}
	empty := sw.empty
	sw.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
}

// refusing reports whether the switch is draining.
func (sw *Switch) refusing() bool {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	return sw.draining
}

// all appends the circuits there are to list.
func (sw *Switch) all(list []*circuit) []*circuit {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	for c := range sw.circuits {
		list = append(list, c)
	}
	return list
}

// sweep is one look of the janitor at all circuits (SPEC.md §5): it reads ahead
// where a write is blocked, ends circuits that broke a time limit, notes which
// clients stall, gives out priorities, watches the memory, and forgets links
// that are gone.
func (sw *Switch) sweep(now time.Time) {
	clear(sw.swept) // else it holds circuits that are gone
	sw.swept = sw.all(sw.swept[:0])
	clear(sw.stalled)
	for _, c := range sw.swept {
		c.noteStalls(sw.clock.now())
		switch c.overdue() {
		case overdueDown:
			c.peer.stallKilled(now)
			c.end(EndStalled)
			continue
		case overdueUp:
			sw.backoff.stalled(c.nextID(), now)
			c.end(EndStalled)
			continue
		case overdueTime:
			c.end(EndTimeout)
			continue
		case overdueGone:
			c.end(EndPeer)
			continue
		}
		c.readAhead()
		c.park()
		if !c.peer.relay && sw.clock.older(c.downStalled.Load(), stallRefuse) {
			sw.stalled[c.peer] = true
		}
	}
	sw.priorities.update(sw.swept, &sw.counts)
	sw.memory.watch(sw, sw.swept, now)
	sw.mu.Lock()
	defer sw.mu.Unlock()
	for key, p := range sw.peers {
		p.setStalled(sw.stalled[p])
		if p.door != nil {
			p.load.look(sw.clock.now(), p.door)
		}
		if p.isGone() {
			delete(sw.peers, key)
		}
	}
}

// readAhead starts to read ahead where the goroutine of a direction has been
// busy with one batch since before the last tick.
func (c *circuit) readAhead() {
	now := c.sw.clock.now()
	if c.in.help(now, &c.wg) {
		c.sw.counts.readAhead.Add(1)
	}
	c.mu.Lock()
	out := c.out
	c.mu.Unlock()
	if out != nil && out.help(now, &c.wg) {
		c.sw.counts.readAhead.Add(1)
	}
}

// overdue says which time limit a circuit has broken.
type overdue int

const (
	inTime      overdue = iota
	overdueTime         // age, idleness, or something incomplete
	overdueUp           // the next hop takes nothing
	overdueDown         // the client side takes nothing
	overdueGone         // one side is gone, and a blocked write hides it
)

// overdue returns the time limit that the circuit has broken, if any.
func (c *circuit) overdue() overdue {
	k := &c.sw.clock
	switch {
	case c.stalledFor(&c.downStalled, ToClientSide):
		return overdueDown
	case c.stalledFor(&c.upStalled, ToNextHop):
		return overdueUp
	case k.older(c.born, ageTimeout) || k.older(c.active.Load(), idleTimeout) ||
		c.in.partial() || k.older(c.extendSince.Load(), fragmentTimeout):
		return overdueTime
	case c.peer.isGone() || c.in.ring.hasEnded():
		return overdueGone
	}
	c.mu.Lock()
	out := c.out
	c.mu.Unlock()
	switch {
	case out != nil && out.partial():
		return overdueTime
	case out != nil && out.ring.hasEnded():
		return overdueGone
	}
	return inTime
}
