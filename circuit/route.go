package circuit

import (
	"context"
	crand "crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/link"
	"hearsay/circuit/path"
	"hearsay/directory"
)

// RouterConfig configures a Router.
type RouterConfig struct {
	Network directory.NetworkID
	Views   *directory.Views // must not be nil; may hold no view yet
	// Self is the relay that this process is, which is never a hop. Zero: none.
	Self directory.RelayID
	// Dial returns the live link to a relay, or a new one.
	Dial func(context.Context, link.Target) (*link.Link, error)
	Lab  bool
}

// Router builds circuits for the nodes of a network themselves: each over relays
// drawn anew, for one use, and none ahead. It keeps no guard, for it has no user
// to protect, and a guard that stays would see all that a node asks and measures;
// so nothing that people do may run over it. It is safe for concurrent use.
type Router struct {
	cfg RouterConfig

	mu     sync.Mutex
	closed bool
	live   map[*Circuit]struct{}
	links  map[*link.Link]int // circuits by link
	wg     sync.WaitGroup     // goroutines of circuits
}

// Specification constants of a Router (SPEC.md §2.6).
const (
	routeTries = 3  // paths for one circuit
	routeDraws = 64 // of a path, until this node is not on it
)

// ErrNoRoute is wrapped by errors of Router.Build for which the network is the
// reason: too few relays, or no snapshot.
var ErrNoRoute = errors.New("circuit: no path can be chosen")

// NewRouter makes a router.
func NewRouter(cfg RouterConfig) *Router {
	return &Router{cfg: cfg, live: make(map[*Circuit]struct{}), links: make(map[*link.Link]int)}
}

// Build returns a circuit of three hops and the destination. The caller closes
// it.
func (r *Router) Build(ctx context.Context, destination directory.RelayID) (*Circuit, error) {
	var err error
	for range routeTries {
		var hops []*directory.Relay
		if hops, err = r.draw(destination, time.Now()); err != nil {
			return nil, err
		}
		var c *Circuit
		if c, err = r.over(ctx, hops); err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// draw chooses the hops, the destination last.
func (r *Router) draw(destination directory.RelayID, now time.Time) ([]*directory.Relay, error) {
	v := r.cfg.Views.Current()
	if v == nil {
		return nil, fmt.Errorf("%w: there is no snapshot of the network yet", ErrNoRoute)
	}
	d, ok := v.Relay(destination)
	if !ok || destination == r.cfg.Self {
		return nil, fmt.Errorf("%w: the destination is not listed", ErrNoRoute)
	}
	for range routeDraws {
		// A selector without a past draws its guards anew.
		s := path.New(r.cfg.Network, r.cfg.Lab, rand.New(secureSource{}))
		s.Update(v, v.State(now), now)
		p, err := s.Path(now, destination)
		if err != nil {
			return nil, fmt.Errorf("%w: %s", ErrNoRoute, pathWhy(err))
		}
		if !p.Has(r.cfg.Self) {
			return []*directory.Relay{p.Guard, p.Layer2, p.Middle, d}, nil
		}
	}
	return nil, fmt.Errorf("%w: too few relays beside this one", ErrNoRoute)
}

// over builds a circuit over the hops.
func (r *Router) over(ctx context.Context, hops []*directory.Relay) (*Circuit, error) {
	dial, cancel := context.WithTimeout(ctx, dialTimeout)
	l, err := r.cfg.Dial(dial, target(hops[0]))
	cancel()
	if err != nil {
		return nil, fmt.Errorf("circuit: dial: %w", err)
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, ErrClosed
	}
	r.links[l]++
	r.wg.Add(1) // for Close to wait for the build
	r.mu.Unlock()
	defer r.wg.Done()

	c, err := r.create(ctx, l, hops[0], hops[len(hops)-1].ID)
	if err != nil {
		r.release(l)
		return nil, err
	}
	for _, hop := range hops[1:] {
		wait, cancel := context.WithTimeout(ctx, extendTimeout)
		err := c.extend(wait, hop)
		cancel()
		if err != nil {
			c.destroy("a hop could not be added: " + err.Error())
			return nil, fmt.Errorf("circuit: %w", err)
		}
	}
	c.sendDrops(int(secureSource{}.Uint64() % (dropMax + 1)))
	return c, nil
}

// create makes the first hop.
func (r *Router) create(ctx context.Context, l *link.Link, guard *directory.Relay, destination directory.RelayID) (*Circuit, error) {
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	s, err := l.Open(ctx, link.KindCircuit)
	if err != nil {
		return nil, fmt.Errorf("circuit: %w", err)
	}
	var id [8]byte
	crand.Read(id[:])
	c := newCircuit(hex.EncodeToString(id[:]), r.cfg.Network, s, newGuardLink(guard.ID, l), time.Now(), func(c *Circuit) {
		r.mu.Lock()
		delete(r.live, c)
		r.mu.Unlock()
		r.release(l)
	})
	c.setUse(key{purpose: Directory, dest: destination})
	stop := context.AfterFunc(ctx, func() { s.CancelRead(0); s.CancelWrite(0) })
	err = c.first(s, guard)
	if !stop() {
		err = context.Cause(ctx)
	}
	r.mu.Lock()
	closed := r.closed
	if err == nil && !closed {
		r.live[c] = struct{}{}
		c.start(&r.wg)
	}
	r.mu.Unlock()
	if err == nil && !closed {
		return c, nil
	}
	c.onClose = nil // nobody has seen it yet; the caller releases the link
	c.destroy("the guard did not accept it")
	c.onion.Erase()
	if err == nil {
		err = ErrClosed
	}
	return nil, fmt.Errorf("circuit: %w", err)
}

// release counts a circuit that is gone, and closes a link that carries no more.
func (r *Router) release(l *link.Link) {
	r.mu.Lock()
	r.links[l]--
	last := r.links[l] == 0
	if last {
		delete(r.links, l)
	}
	r.mu.Unlock()
	if last {
		l.GoAway()
	}
}

// Close destroys all circuits and waits for their goroutines. Build fails from
// then on.
func (r *Router) Close() {
	r.mu.Lock()
	r.closed = true
	list := make([]*Circuit, 0, len(r.live))
	for c := range r.live {
		list = append(list, c)
	}
	r.mu.Unlock()
	for _, c := range list {
		c.destroy("this side stops")
	}
	r.wg.Wait()
}

// EchoRate sends ECHOs to the last hop for four seconds, so many cells a second,
// and returns how many bytes of cells a second came back after the first second.
// cells are at most 1024. A *BusyError says that the hop answered nothing but
// that.
func (c *Circuit) EchoRate(ctx context.Context, cells int) (bytesPerSecond float64, err error) {
	run := &echoRun{c: c, hop: c.Hops() - 1, most: min(max(cells, 1), speedCells)}
	if err := run.run(ctx, func(float64, bool) {}); err != nil {
		return 0, err
	}
	rate, _ := run.rate()
	return rate * cell.Size / cell.DataSize, nil
}
