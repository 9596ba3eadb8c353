package circuit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/link"
	"hearsay/circuit/path"
	"hearsay/directory"
)

// task builds or extends one circuit in a goroutine of its own.
type task struct {
	key    key     // zero for a spare
	waiter *waiter // of a Fresh request, else nil
	path   path.Path
	dest   *directory.Relay // nil if none
	c      *Circuit         // the spare that is extended, or what was built
	spare  bool             // c was a spare
	redial bool             // the link to the guard was just lost
}

// fault says what failed in a task.
type fault struct {
	guard   bool              // the guard cannot be dialed
	create  bool              // the guard did not answer, or refused, CREATE
	silent  bool              // of create: there was no answer at all
	relay   directory.RelayID // the hop that could not be added, else zero
	by      directory.RelayID // the hop before it, which was to extend
	blame   bool              // one of them is to blame; nobody knows which
	isDest  bool
	err     error
	started time.Time
}

// begin starts what a waiter needs. If nothing can be started now, it says why
// in words, and when to try again if that is known.
func (p *Pool) begin(w *waiter, now time.Time) (why string, at time.Time) {
	if p.view == nil {
		return "there is no snapshot of the network yet", time.Time{}
	}
	t := &task{key: w.key}
	dest := w.req.Destination
	if dest != (directory.RelayID{}) {
		r, listed := p.view.Relay(dest)
		if !listed {
			p.answer(w, result{err: fmt.Errorf("%w: it is not listed in the snapshot", ErrDestination)})
			return "", time.Time{}
		}
		if until := p.selector.Until(dest); until.After(now) {
			return "the mailbox relay did not answer and is tried again soon", until
		}
		t.dest = r
	}
	if e := p.takeSpare(now, dest); e != nil {
		t.c, t.path, t.spare = e.c, e.path, true
	} else {
		pa, why, at := p.pickPath(now, dest)
		if why != "" {
			return why, at
		}
		t.path = pa
	}
	if w.req.Fresh {
		t.waiter, w.task = w, t
	}
	p.start(t, now)
	return "", time.Time{}
}

// pickPath draws a path if a build may begin now.
func (p *Pool) pickPath(now time.Time, dest directory.RelayID) (pa path.Path, why string, at time.Time) {
	if at := p.mayBuild(now); at.After(now) {
		return pa, "circuits are built one after the other", at
	}
	pa, err := p.selector.Path(now, dest)
	if err != nil {
		p.noPath = pathWhy(err)
		var no *path.Error
		if errors.As(err, &no) {
			at = no.Retry
		}
		return pa, p.noPath, at
	}
	p.noPath = ""
	if p.onLink(pa.Guard.ID) >= maxCircuits {
		return pa, "there are too many circuits on the link to the guard", time.Time{}
	}
	return pa, "", time.Time{}
}

// mayBuild returns when the next build may begin: builds are frequent only
// while a link is new, so that failures and hostile contacts cannot make us
// build without end.
func (p *Pool) mayBuild(now time.Time) time.Time {
	n := 0
	for t := range p.tasks {
		if !t.spare {
			n++
		}
	}
	switch {
	case n >= maxPending:
		return now.Add(interval)
	case now.Before(p.warmUntil) && p.warmLeft > 0:
		return now
	}
	return p.nextBuild
}

// takeSpare returns a clean circuit that can serve a destination, and takes it
// from the store.
func (p *Pool) takeSpare(now time.Time, dest directory.RelayID) *entry {
	g, err := p.selector.Guard(now, dest)
	if err != nil {
		return nil
	}
	var best *entry
	for _, e := range p.entries {
		if e.key != (key{}) || e.path.Guard.ID != g.ID || e.path.Has(dest) || !e.c.alive() || p.links[g.ID].unfit() {
			continue
		}
		if best == nil || e.c.born.Before(best.c.born) {
			best = e
		}
	}
	if best != nil {
		delete(p.entries, best.c)
	}
	return best
}

// start runs a task.
func (p *Pool) start(t *task, now time.Time) {
	p.tasks[t] = struct{}{}
	if t.spare {
		t.c.setUse(t.key)
	} else {
		if p.warmUntil.IsZero() {
			p.warm(now)
		}
		if now.Before(p.warmUntil) && p.warmLeft > 0 {
			p.warmLeft--
		} else {
			p.nextBuild = now.Add(buildEvery)
		}
		t.redial = p.justLost(t.path.Guard.ID, now)
	}
	p.wg.Go(func() {
		f := p.perform(t)
		p.post(func() { p.finish(t, f) })
	})
}

// justLost tells whether the link to a guard has just ended.
func (p *Pool) justLost(id directory.RelayID, now time.Time) bool {
	if pl := p.links[id]; pl != nil {
		select {
		case <-pl.done:
			return true // not yet noticed
		default:
			return false
		}
	}
	lost, ok := p.lost[id]
	return ok && now.Sub(lost) < dialTimeout
}

func (p *Pool) warm(now time.Time) {
	if now.Sub(p.warmUntil) >= 0 {
		p.warmUntil, p.warmLeft = now.Add(warmPeriod), warmBuilds
	}
}

// perform does the work of a task; it returns nil if t.c is open.
func (p *Pool) perform(t *task) *fault {
	if t.c == nil {
		if f := p.build(t); f != nil {
			return f
		}
	}
	if t.dest == nil {
		t.c.sendDrops(p.drops())
		return nil
	}
	ctx, cancel := context.WithTimeout(p.ctx, extendTimeout)
	defer cancel()
	if err := t.c.extend(ctx, t.dest); err != nil {
		t.c.destroy("the destination could not be reached: " + err.Error())
		var x *extendError
		told := errors.As(err, &x) && x.code != 0
		// A spare that fell silent says nothing about the destination.
		return &fault{relay: t.dest.ID, by: t.path.Middle.ID, isDest: true, blame: told || !t.spare, err: err}
	}
	t.c.sendDrops(p.drops())
	return nil
}

// build makes a three-hop circuit.
func (p *Pool) build(t *task) *fault {
	timeout := dialTimeout
	if t.redial {
		timeout = redialTimeout
	}
	ctx, cancel := context.WithTimeout(p.ctx, timeout)
	l, err := p.cfg.Dial(ctx, target(t.path.Guard))
	cancel()
	if err != nil {
		return &fault{guard: true, err: err}
	}
	ctx, cancel = context.WithTimeout(p.ctx, buildTimeout)
	defer cancel()
	g := p.useLink(t.path.Guard.ID, l)
	started := time.Now()
	c, err := p.create(ctx, l, g, t)
	if err != nil {
		return &fault{create: true, silent: errors.Is(err, context.DeadlineExceeded), err: err, started: started}
	}
	by := t.path.Guard
	for _, r := range []*directory.Relay{t.path.Layer2, t.path.Middle} {
		if err := c.extend(ctx, r); err != nil {
			c.destroy("a hop could not be added: " + err.Error())
			return &fault{relay: r.ID, by: by.ID, blame: true, err: err}
		}
		by = r
	}
	t.c = c
	return nil
}

// create makes the first hop. The error is context.DeadlineExceeded if the
// guard did not answer.
func (p *Pool) create(ctx context.Context, l *link.Link, g *guardLink, t *task) (*Circuit, error) {
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	s, err := l.Open(ctx, link.KindCircuit)
	if err != nil {
		return nil, err
	}
	c := newCircuit(p.newID(), p.cfg.Network, s, g, time.Now(), p.closedCircuit)
	c.setUse(t.key)
	if !p.track(c) {
		c.Close()
		return nil, ErrClosed
	}
	stop := context.AfterFunc(ctx, func() { s.CancelRead(0); s.CancelWrite(0) })
	err = c.first(s, t.path.Guard)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		c.destroy("the guard did not accept it")
		c.onion.Erase()
		return nil, err
	}
	c.start(&p.wg)
	return c, nil
}

// first shakes hands with the guard, before the goroutines of the circuit run.
func (c *Circuit) first(s *link.Stream, guard *directory.Relay) error {
	h, create, err := c.handshake(guard, 0)
	if err != nil {
		return err
	}
	var b [2 * cell.Size]byte
	cell.PutFragments(b[:cell.Size], b[cell.Size:], cell.Create, create)
	if _, err := s.Write(b[:]); err != nil {
		return err
	}
	a := cell.Assembler{Type: cell.Created}
	for {
		if err := readFull(s, b[:cell.Size]); err != nil {
			return err
		}
		created, done, err := a.Add(b[:cell.Size])
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		layer, o, err := h.Finish(created)
		if err != nil {
			return err
		}
		c.hear(time.Now())
		return c.addHop(guard.ID, layer, o)
	}
}

func readFull(s *link.Stream, b []byte) error {
	for n := 0; n < len(b); {
		k, err := s.Read(b[n:])
		if n += k; err != nil && n < len(b) {
			return err
		}
	}
	return nil
}

// drops returns how many DROPs follow a build, which blur its end for the
// guard.
func (p *Pool) drops() int { return int(secureSource{}.Uint64() % (dropMax + 1)) }

func (c *Circuit) sendDrops(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		c.enqueueLocked(outbound{hop: len(c.relays) - 1, m: cell.Message{Command: cell.Drop}})
	}
}

// finish takes the outcome of a task, in Run.
func (p *Pool) finish(t *task, f *fault) {
	now := time.Now()
	delete(p.tasks, t)
	if t.waiter != nil {
		t.waiter.task = nil
	}
	if f != nil {
		p.failed(t, f, now)
		return
	}
	guard := t.path.Guard.ID
	p.selector.GuardConfirmed(guard, now)
	delete(p.lost, guard)
	delete(p.refusals, guard)
	p.selector.Answers(t.path.Layer2.ID)
	p.selector.Answers(t.path.Middle.ID)
	if t.dest != nil {
		p.selector.Answers(t.dest.ID)
	}
	if !t.c.alive() {
		return // closed in between; nobody was told of it
	}
	e := &entry{c: t.c, path: t.path, key: t.key}
	p.entries[t.c] = e
	p.setLife(e, now)
	p.tell(Event{Type: EventBuilt, Circuit: t.c.Info()})
	if t.waiter != nil && !t.waiter.gone {
		p.answer(t.waiter, result{c: t.c})
	}
}

// failed draws the consequences of a failed task.
func (p *Pool) failed(t *task, f *fault, now time.Time) {
	if p.ctx.Err() != nil {
		return
	}
	guard := t.path.Guard.ID
	p.log.Debug("circuit not built", slog.Any(keyReason, f.err))
	why := ""
	switch {
	case f.guard:
		why = "the guard cannot be reached"
		p.guardFailed(guard, now)
	case f.create:
		why = "the guard did not accept a circuit"
		p.refusals[guard]++
		switch pl := p.links[guard]; {
		case f.silent && pl != nil && time.Unix(0, pl.heard.Load()).Before(f.started):
			p.suspect(pl, now)
		case p.refusals[guard] >= guardRefusals:
			delete(p.refusals, guard)
			p.guardFailed(guard, now)
		}
	default:
		why = "a relay could not be reached as hop"
		if f.blame {
			p.selector.Failed(f.relay, now)
			if f.by != guard {
				p.selector.Failed(f.by, now)
			}
		}
	}
	for _, w := range p.waiters {
		if w.gone || w.key != t.key || t.waiter != nil && t.waiter != w {
			continue
		}
		p.mu.Lock()
		w.why = why
		p.mu.Unlock()
		if f.isDest && f.blame {
			w.failures++
			if !slices.Contains(w.tried, f.by) {
				w.tried = append(w.tried, f.by)
			}
			if len(w.tried) >= destinationMiddles || w.failures >= destinationTries {
				p.answer(w, result{err: fmt.Errorf("%w: %w", ErrDestination, f.err)})
			}
		}
	}
}

func target(r *directory.Relay) link.Target {
	return link.Target{ID: r.ID, LinkKey: r.LinkKey, Addrs: r.Addrs}
}

// setUse gives a circuit the purpose and destination it is built for.
func (c *Circuit) setUse(k key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.purpose, c.dest = k.purpose, k.dest
	if k == (key{}) {
		c.purpose = Spare
	}
}

func (c *Circuit) alive() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

func (c *Circuit) isRetired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.retired || c.closed
}

func (c *Circuit) setRetired() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.retired {
		c.retired = true
		close(c.retire)
	}
}

func sortInfos(list []Info) {
	slices.SortFunc(list, func(a, b Info) int {
		x, _ := strconv.ParseUint(a.ID, 10, 64)
		y, _ := strconv.ParseUint(b.ID, 10, 64)
		return int(int64(x - y))
	})
}
