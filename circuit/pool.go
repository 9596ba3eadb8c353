package circuit

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"hearsay/circuit/link"
	"hearsay/circuit/path"
	"hearsay/directory"
)

// Config configures a Pool.
type Config struct {
	Network directory.NetworkID
	Views   *directory.Views  // must not be nil; may hold no view yet
	Own     directory.RelayID // see ClientConfig.Own
	// Dial returns the live link to a relay, or a new one.
	Dial func(context.Context, link.Target) (*link.Link, error)
	// Redial makes a new link although there is one, unless wanted says no when
	// it stands. Nil: a silent link is kept until it ends.
	Redial func(ctx context.Context, t link.Target, wanted func() bool) (*link.Link, error)
	// Burst asks the relay of a live link to let bulk circuits pass the ticks for
	// a while. Nil: none ever does.
	Burst func(ctx context.Context, relay directory.RelayID, d time.Duration) error
	// Profile tells how links are shaped, which stretches all waits. Nil: not.
	Profile func() link.Profile
	// Source returns the address of this computer from which packets to a relay
	// leave now, zero if there is none. A change has all links dialed anew. Nil:
	// only silence tells of it.
	Source func(to netip.AddrPort) netip.Addr
	// State keeps guards and layer-2 guards over restarts. Nil: they are drawn
	// anew at each start, which gives anonymity away in the long run.
	State State
	Lab   bool         // a tenth of all waits for relays
	Log   *slog.Logger // nil: discard
	// Events is told what happens, one event at a time. It must not block and
	// must not call Get. Nil: nobody.
	Events func(Event)
}

// Pool keeps a client's circuits: it builds spare ones ahead, extends them to
// destinations, watches them, and replaces the guard when it fails.
//
// One goroutine, that of Run, owns all decisions; the methods are safe for
// concurrent use.
type Pool struct {
	cfg     Config
	log     *slog.Logger
	wake    chan struct{} // capacity 1: inbox has grown
	stopped chan struct{} // closed when Run has ended

	// Owned by Run.
	ctx       context.Context
	selector  *path.Selector
	rnd       *rand.Rand
	entries   map[*Circuit]*entry
	waiters   []*waiter
	tasks     map[*task]struct{}
	links     map[directory.RelayID]*poolLink
	lost      map[directory.RelayID]time.Time // when the link to a guard was lost
	refusals  map[directory.RelayID]int       // CREATEs refused by a guard in a row
	retrying  bool                            // a failed guard is being dialed
	guard     directory.RelayID               // preferred at the last step
	warmUntil time.Time
	warmLeft  int
	traces    map[*Circuit]*trace
	suspects  map[directory.RelayID]time.Time // relays better avoided, and until when
	budget    budget
	hedges    tokens
	warms     tokens              // warm periods
	renewals  tokens              // of all circuits, by the user
	changes   tokens              // of the own network
	changeAt  time.Time           // when the next one is taken notice of; zero: none waits
	trusted   map[trustKey]*trust // destinations with circuits or broken ones
	held      []heldTask          // circuits that wait for a better guard to have its chance
	taken     []time.Time         // when clean circuits were taken, the last ten minutes
	nextTest  time.Time
	tests     int // circuits built to learn their time
	lastStep  time.Time
	lastWall  time.Time
	wall      func() time.Time // the wall clock
	moves     atomic.Int64     // how often this side moved to another link
	nextBuild time.Time
	nextSpare time.Time
	pings     bucket // of circuits' ends
	updated   time.Time
	unsaved   time.Time // when guards that could not be saved are tried again; zero: none
	view      *directory.View
	holding   bool // no new guards are taken
	lookedOut time.Time
	noPath    string // why none could be chosen last time, or ""
	waits     string // why none could be chosen to a destination
	waitsAt   time.Time

	speed  speedLimit
	bursts *bursts

	wg sync.WaitGroup // tasks, watchers of links, goroutines of circuits

	mu           sync.Mutex
	closed       bool
	inbox        []func() // for Run; bounded by callers that wait and by circuits
	live         map[*Circuit]struct{}
	lastID       uint64
	why          string
	needsConsent bool
	outlook      Outlook
	kept         Kept
	// guardNow is the guard in use, nil before the first.
	guardNow *directory.Relay
}

// entry is what the pool knows about one circuit that is built.
type entry struct {
	c        *Circuit
	path     path.Path
	key      key       // of a circuit in use; zero for a spare
	front    bool      // asked for by PING before others
	lent     bool      // to its destination, see trust
	ahead    bool      // built to follow another one; nobody has it yet
	retireAt time.Time // of a spare: closed then
	closeAt  time.Time
}

// key tells apart what may share a circuit.
type key struct {
	purpose   Purpose
	isolation string
	dest      directory.RelayID
	bulk      bool
}

// waiter is a caller of Get.
type waiter struct {
	req      Request
	key      key
	result   chan result         // capacity 1
	failures int                 // of the destination
	tried    []directory.RelayID // middles that could not reach it
	gone     bool                // answered or given up
	ahead    bool                // nobody: what follows a circuit is built
	why      string              // guarded by Pool.mu
}

type result struct {
	c   *Circuit
	err error
}

// stateName is the name of the path state in Config.State.
const stateName = "circuit/path"

// NewPool makes a pool and reads the remembered guards. A state that is
// damaged or of another network is an error: drawing new guards without need
// would weaken the user.
func NewPool(cfg Config) (*Pool, error) {
	if cfg.Views == nil || cfg.Dial == nil {
		return nil, errors.New("circuit: a pool needs Views and Dial")
	}
	p := &Pool{
		cfg: cfg, log: cfg.Log,
		wake: make(chan struct{}, 1), stopped: make(chan struct{}),
		rnd:      rand.New(secureSource{}),
		bursts:   newBursts(),
		entries:  map[*Circuit]*entry{},
		tasks:    map[*task]struct{}{},
		links:    map[directory.RelayID]*poolLink{},
		lost:     map[directory.RelayID]time.Time{},
		refusals: map[directory.RelayID]int{},
		live:     map[*Circuit]struct{}{},
		traces:   map[*Circuit]*trace{},
		suspects: map[directory.RelayID]time.Time{},
		trusted:  map[trustKey]*trust{},
		hedges:   tokens{burst: hedgeBurst, every: hedgeEvery},
		warms:    tokens{burst: warmBurst, every: warmEvery},
		renewals: tokens{burst: 1, every: renewEvery},
		changes:  tokens{burst: changeBurst, every: changeEvery},
		pings:    bucket{tokens: pingTokens, burst: pingTokens, last: time.Now()},
		wall:     time.Now,
		why:      "there is no snapshot of the network yet",
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.selector = path.New(cfg.Network, cfg.Lab, p.rnd)
	p.selector.Exclude(cfg.Own)
	if cfg.State == nil {
		return p, nil
	}
	raw, err := cfg.State.Load(stateName)
	if err != nil {
		return nil, fmt.Errorf("load guards: %w", err)
	}
	if raw != nil {
		st, err := path.ParseState(raw)
		if err == nil {
			err = p.selector.Restore(st)
		}
		if err != nil {
			return nil, fmt.Errorf("load guards: %w", err)
		}
	}
	return p, nil
}

// secureSource draws from the operating system: the draws decide who sees the
// user.
type secureSource struct{}

func (secureSource) Uint64() uint64 {
	var b [8]byte
	crand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// Get returns a circuit for the request: an open one that serves the same
// purpose, isolation and destination, or a new one. It waits until there is
// one or ctx ends; the error then says in words what was missing. It returns
// early, with ErrDestination, if the destination itself is the reason.
//
// Circuits are shared by equal requests; closing one closes it for all.
func (p *Pool) Get(ctx context.Context, r Request) (*Circuit, error) {
	switch r.Purpose {
	case Send, Subscribe, Directory, File, Speed:
	default:
		return nil, fmt.Errorf("circuit: nobody can ask for a circuit for %q", r.Purpose)
	}
	w := &waiter{
		req: r, key: key{r.Purpose, r.Isolation, r.Destination, r.Bulk},
		result: make(chan result, 1), why: "no circuit is built yet",
	}
	p.post(func() { p.waiters = append(p.waiters, w) })
	select {
	case res := <-w.result:
		return res.c, res.err
	case <-ctx.Done():
		p.post(func() { p.leave(w) })
		select {
		case res := <-w.result: // both at once
			return res.c, res.err
		default:
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		return nil, fmt.Errorf("circuit: %s: %w", w.why, ctx.Err())
	case <-p.stopped:
		return nil, fmt.Errorf("%w: the pool has ended", ErrClosed)
	}
}

// leave forgets a waiter who gave up. A circuit that was meant for him alone,
// and came too late, is closed: nobody else would.
func (p *Pool) leave(w *waiter) {
	w.gone = true
	select {
	case res := <-w.result:
		if res.c != nil && w.req.Fresh {
			res.c.destroy("nobody waits for it any more")
		}
	default:
	}
}

// Circuits describes all circuits, those being built included.
func (p *Pool) Circuits() []Info {
	p.mu.Lock()
	list := make([]*Circuit, 0, len(p.live))
	for c := range p.live {
		list = append(list, c)
	}
	p.mu.Unlock()
	infos := make([]Info, 0, len(list))
	for _, c := range list {
		infos = append(infos, c.Info())
	}
	sortInfos(infos)
	return infos
}

// Why says in words why no circuit can be built now, or "".
func (p *Pool) Why() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.why
}

func (p *Pool) setWhy(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.why = why
}

// post lets Run execute f. After the end of Run, f is dropped.
func (p *Pool) post(f func()) {
	p.mu.Lock()
	if !p.closed {
		p.inbox = append(p.inbox, f)
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run builds and watches circuits until ctx ends; then it closes all of them
// and waits for their goroutines. It must be called once.
func (p *Pool) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.ctx = ctx
	if p.cfg.Source != nil {
		p.wg.Go(func() { p.watchAddress(ctx) })
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		changed := p.cfg.Views.Changed()
		p.mu.Lock()
		inbox := p.inbox
		p.inbox = nil
		p.mu.Unlock()
		for _, f := range inbox {
			f()
		}
		now := time.Now()
		timer.Reset(max(0, p.step(now).Sub(now)))
		select {
		case <-p.wake:
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			p.end()
			return nil
		}
	}
}

// end closes everything.
func (p *Pool) end() {
	p.selector.Settle()
	p.save(time.Now())
	p.mu.Lock()
	p.closed = true
	p.inbox = nil
	list := make([]*Circuit, 0, len(p.live))
	for c := range p.live {
		list = append(list, c)
	}
	p.mu.Unlock()
	for _, c := range list {
		c.destroy("this side stops")
	}
	close(p.stopped)
	p.wg.Wait()
}

// interval is how often Run looks at everything even if nothing happens.
const interval = time.Second

// minStep bounds how often waiting alone makes Run look.
const minStep = 20 * time.Millisecond

// step does what is due and returns when it must be called again at the
// latest.
func (p *Pool) step(now time.Time) time.Time {
	next := now.Add(interval)
	viewed := p.refresh(now)
	p.checkSleep(now)
	p.checkAges(now)
	next = sooner(next, p.checkHealth(now))
	next = sooner(next, p.checkLinks(now))
	p.checkGuard(now)
	p.lookOut(now, viewed)
	next = sooner(next, p.checkTasks(now))
	next = sooner(next, p.checkHeld(now))
	next = sooner(next, p.serve(now))
	next = sooner(next, p.buildSpares(now))
	p.buildTest(now)
	p.retryGuard(now)
	p.closeIdleLinks(now)
	p.save(now)
	if p.view != nil {
		p.setWhy(p.noPath)
	}
	if soonest := now.Add(minStep); next.Before(soonest) {
		return soonest
	}
	return next
}

// refresh hands the view to the selector when it changed, and now and then
// since it ages. It reports whether the view is another one.
func (p *Pool) refresh(now time.Time) (viewed bool) {
	v, held := p.cfg.Views.Current(), p.cfg.Views.NoNewGuards()
	if v == nil || v == p.view && held == p.holding && now.Sub(p.updated) < refreshEvery {
		return false
	}
	viewed = v != p.view
	p.view, p.updated, p.holding = v, now, held
	p.selector.HoldGuards(held)
	p.selector.Update(v, v.State(now), now)
	return viewed
}

// save persists guards and layer-2 guards when they changed. If that fails, it
// is tried again after a while: a restart would draw others.
func (p *Pool) save(now time.Time) {
	st, changed := p.selector.State()
	again := !p.unsaved.IsZero() && !now.Before(p.unsaved)
	if !changed && !again || p.cfg.State == nil {
		return
	}
	p.unsaved = time.Time{}
	if err := p.cfg.State.Save(stateName, st.Append(nil)); err != nil {
		p.log.Warn("guards were not saved", slog.Any(keyReason, err))
		p.unsaved = now.Add(p.wait(retrySave))
	}
}

// serve gives circuits to those who wait, and starts what they need.
func (p *Pool) serve(now time.Time) time.Time {
	next := now.Add(interval)
	for _, patient := range []bool{false, true} {
		for _, w := range p.waiters {
			if w.req.Patient == patient {
				next = sooner(next, p.serveOne(w, now))
			}
		}
	}
	kept := p.waiters[:0]
	for _, w := range p.waiters {
		if !w.gone {
			kept = append(kept, w)
		}
	}
	clear(p.waiters[len(kept):])
	p.waiters = kept
	return next
}

// serveOne does for one waiter what can be done now, and returns when to look
// again.
func (p *Pool) serveOne(w *waiter, now time.Time) time.Time {
	if w.gone {
		return time.Time{}
	}
	if e := p.ahead(w.key); e != nil {
		e.ahead, e.front = false, w.req.Front
		p.setLife(e, now)
		p.answer(w, result{c: e.c})
		return time.Time{}
	}
	if !w.req.Fresh {
		if c := p.reusable(w.key); c != nil {
			p.answer(w, result{c: c})
			return time.Time{}
		}
	}
	// A task that takes too long is not waited for alone.
	running, hedgeAt := p.working(w)
	if running > 0 {
		if now.Before(hedgeAt) {
			return hedgeAt
		}
		if running >= hedgeMost {
			return time.Time{} // their end wakes Run
		}
		if p.profile() != link.Off && !p.warming(now) || !p.hedges.take(now) {
			return now.Add(interval)
		}
	}
	why, at := p.begin(w, now)
	p.mu.Lock()
	if why != "" {
		w.why = why
	}
	p.mu.Unlock()
	return at
}

// working counts the tasks for a waiter that are in time, and returns when
// another one should be begun beside them.
func (p *Pool) working(w *waiter) (n int, hedgeAt time.Time) {
	for t := range p.tasks {
		if t.late || t.key != w.key || t.waiter != nil && t.waiter != w || t.waiter == nil && w.req.Fresh && !t.ahead {
			continue
		}
		n++
		if at := t.begun.Add(p.hedgeAfter(t)); at.After(hedgeAt) {
			hedgeAt = at
		}
	}
	return n, hedgeAt
}

func (p *Pool) answer(w *waiter, r result) {
	w.gone = true
	w.result <- r
}

// reusable returns the youngest open circuit of a key that need not be
// replaced.
func (p *Pool) reusable(k key) *Circuit {
	var best *entry
	for _, e := range p.entries {
		if e.key == k && !e.c.isRetired() && (best == nil || e.c.born.After(best.c.born)) {
			best = e
		}
	}
	if best == nil {
		return nil
	}
	return best.c
}

// newID returns the id of the next circuit.
func (p *Pool) newID() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastID++
	return strconv.FormatUint(p.lastID, 10)
}

// track notes a circuit from its first cell to its end. It returns false if
// the pool has ended.
func (p *Pool) track(c *Circuit) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.live[c] = struct{}{}
	return true
}

// closedCircuit is called by a circuit when it is gone.
func (p *Pool) closedCircuit(c *Circuit) {
	p.mu.Lock()
	delete(p.live, c)
	p.mu.Unlock()
	p.post(func() {
		e := p.entries[c]
		if e == nil {
			return // it never opened
		}
		delete(p.entries, c)
		delete(p.traces, c)
		switch broken := c.wasBroken(); {
		case e.lent:
			p.giveBack(trustOf(e.key), broken, time.Now())
		case broken && e.key == (key{}):
			p.cleanBroken(e.path, time.Now())
		}
		i := c.Info()
		p.log.Debug("circuit closed", slog.String(keyReason, i.Reason))
		p.tell(Event{Type: EventClosed, Circuit: i, Detail: i.Reason})
	})
}

func (p *Pool) tell(e Event) {
	if p.cfg.Events != nil {
		p.cfg.Events(e)
	}
}

func sooner(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}
