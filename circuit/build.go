package circuit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"hearsay/circuit/cell"
	"hearsay/circuit/link"
	"hearsay/circuit/path"
	"hearsay/directory"
)

// task builds or extends one circuit in a goroutine of its own. Run owns all
// fields but those that perform sets; it reads these when the task has ended.
type task struct {
	key    key     // zero for a spare
	waiter *waiter // of a Fresh request, else nil
	path   path.Path
	dest   *directory.Relay // nil if none
	c      *Circuit         // the spare that is extended, or what was built
	spare  bool             // c was a spare
	lost   bool             // the link to the guard was just lost
	test   bool             // built to learn how long it takes
	front  bool             // a user waits for it
	lent   bool             // to the destination, see trust
	ahead  bool             // it follows a circuit that is to be replaced
	passes bool             // a burst lets it pass the ticks

	begun   time.Time
	profile byte          // of the link when it began
	give    time.Duration // after CREATE: not waited for any more
	close   time.Duration // after CREATE: given up
	moves   int64         // Pool.moves when it began

	created time.Time // when CREATE went out; zero: not yet
	past    bool      // it got past its first hop
	three   bool      // it has its three hops
	late    bool      // it took longer than give

	at atomic.Pointer[Circuit] // what is being built
}

// fault says what failed in a task.
type fault struct {
	guard   bool              // the guard cannot be dialed
	create  bool              // the guard did not answer, or refused, CREATE
	silent  bool              // of create: there was no answer at all
	gone    bool              // of create: the link ended
	relay   directory.RelayID // the hop that could not be added, else zero
	by      directory.RelayID // the hop before it, which was to extend
	blame   bool              // one of them is to blame; nobody knows which
	isDest  bool
	timeout bool // the time for three hops was over
	err     error
	started time.Time
}

// begin starts what a waiter needs. If nothing can be started now, it says why
// in words, and when to try again if that is known.
func (p *Pool) begin(w *waiter, now time.Time) (why string, at time.Time) {
	if p.view == nil {
		return "there is no snapshot of the network yet", time.Time{}
	}
	t := &task{key: w.key, front: w.req.Front, ahead: w.ahead, passes: w.key.bulk && p.bursting(now)}
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
		if t := p.trusts(trustOf(w.key), now); t.left <= 0 {
			return "the mailbox relay broke too many circuits and is tried again within ten minutes", t.more
		}
		t.dest = r
	}
	if p.inUse() >= maxUsed {
		return "there are too many circuits in use", time.Time{}
	}
	if p.profile() != link.Off && !p.warming(now) && !t.passes && len(p.tasks) >= shapedPending {
		return "circuits are built one after the other", now.Add(interval)
	}
	avoid := p.doubtful(w, now)
	e, sure := p.spareFor(now, dest, avoid)
	if w.key.bulk {
		e = nil // a circuit passes the ticks from its first cell or never
	}
	if e == nil || !sure && p.profile() == link.Off {
		// A relay that seems dead costs more than a build, unless ticks are short.
		share := p.share(w)
		if t.passes {
			share = shareNone
		}
		pa, why, at := p.pickPath(now, dest, avoid, share)
		switch {
		case why == "":
			t.path, e = pa, nil
		case e == nil, p.isSuspect(e.path.Layer2.ID, now) || p.isSuspect(e.path.Middle.ID, now):
			if e == nil || at.After(now) && at.Sub(now) <= buildEvery {
				return why, at // a circuit that seems dead is worse than to wait a second
			}
		}
	}
	if e != nil {
		delete(p.entries, e.c)
		p.taken = append(p.taken, now)
		t.c, t.path, t.spare = e.c, e.path, true
	}
	if w.req.Fresh {
		t.waiter = w
	}
	if t.dest != nil {
		p.lend(trustOf(t.key), now)
		t.lent = true
	}
	p.start(t, now)
	return "", time.Time{}
}

// shareFront stands for what budget.mayBuildFront allows.
const shareFront = -1

// shareNone stands for builds that take no ticks, since they pass them.
const shareNone = -2

// share is how much of the ticks for builds a request may use up, in percent, or
// shareFront.
func (p *Pool) share(w *waiter) int {
	switch {
	case w.req.Front:
		return shareFront
	case w.req.Patient:
		return patientShare
	}
	return 100
}

// doubtful returns what tells whether a relay is better not on the next circuit
// for a waiter: those that seemed dead, and those of its circuits and tasks that
// did not answer yet. Tasks that are stuck say which relay they are stuck at.
func (p *Pool) doubtful(w *waiter, now time.Time) func(directory.RelayID) bool {
	unsure := p.unsure(w.key, now)
	for t := range p.tasks {
		if t.key != w.key || t.waiter != nil && t.waiter != w {
			continue
		}
		unsure[t.path.Layer2.ID], unsure[t.path.Middle.ID] = true, true
		if c := t.at.Load(); c != nil {
			if id, stuck := c.stuckAt(); stuck && id != w.req.Destination {
				p.suspectRelay(id, now)
			}
		}
	}
	return func(id directory.RelayID) bool { return unsure[id] || p.isSuspect(id, now) }
}

// stuckAt returns the relay that a circuit is being extended to.
func (c *Circuit) stuckAt() (directory.RelayID, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.extending == nil {
		return directory.RelayID{}, false
	}
	return c.extending.relay.ID, true
}

// inUse counts circuits with a purpose that need not be replaced, those being
// built included.
func (p *Pool) inUse() int {
	n := 0
	for c, e := range p.entries {
		if e.key != (key{}) && !c.isRetired() {
			n++
		}
	}
	for t := range p.tasks {
		if t.key != (key{}) && !t.late {
			n++
		}
	}
	return n
}

// pickPath draws a path if a build may begin now; relays to be avoided are on
// it only if a few draws found no other.
func (p *Pool) pickPath(now time.Time, dest directory.RelayID, avoid func(directory.RelayID) bool, share int) (pa path.Path, why string, at time.Time) {
	if at := p.mayBuild(now, share); at.After(now) {
		return pa, "circuits are built one after the other", at
	}
	for range pathDraws {
		var err error
		pa, err = p.selector.Path(now, dest)
		if err != nil {
			why = pathWhy(err)
			if dest == (directory.RelayID{}) {
				p.noPath = why
			} else if p.noPath == "" { // other destinations can be reached
				p.waits, p.waitsAt = why, now
			}
			var no *path.Error
			if errors.As(err, &no) {
				at = no.Retry
				p.setConsent(no.Consent)
			}
			return pa, why, at
		}
		if !avoid(pa.Layer2.ID) && !avoid(pa.Middle.ID) {
			break
		}
	}
	p.noPath = ""
	p.setConsent(false)
	if p.onLink(pa.Guard.ID) >= maxCircuits {
		return pa, "there are too many circuits on the link to the guard", time.Time{}
	}
	return pa, "", time.Time{}
}

// mayBuild returns when the next build may begin: builds are frequent only
// while a link is new, so that failures and hostile contacts cannot make us
// build without end. share is that of the ticks for builds, in percent.
func (p *Pool) mayBuild(now time.Time, share int) time.Time {
	n := 0
	for t := range p.tasks {
		if !t.spare && !t.late {
			n++
		}
	}
	most, shaped := maxPending, p.profile() != link.Off
	if shaped && share != shareNone {
		// Builds share the ticks: many at once would all be late.
		if most = shapedPending; p.warming(now) {
			most = shapedWarmPending
		}
		n = len(p.tasks)
	}
	switch {
	case n >= most || len(p.tasks) >= maxTasks:
		return now.Add(interval)
	case p.warming(now):
		return now
	case share == shareNone:
	case share == shareFront && !p.budget.mayBuildFront(now, p.profile()),
		share >= 0 && !p.budget.mayBuild(now, p.profile(), share):
		return now.Add(interval)
	}
	return p.nextBuild
}

// spareFor returns the oldest clean circuit that can serve a destination. sure
// says that none of its relays is to be avoided; such a one is preferred.
func (p *Pool) spareFor(now time.Time, dest directory.RelayID, avoid func(directory.RelayID) bool) (best *entry, sure bool) {
	g, err := p.selector.Guard(now, dest)
	if err != nil {
		return nil, false
	}
	for _, e := range p.entries {
		if e.key != (key{}) || e.path.Guard.ID != g.ID || e.path.Has(dest) || !e.c.alive() || p.links[g.ID].unfit() {
			continue
		}
		good := !avoid(e.path.Layer2.ID) && !avoid(e.path.Middle.ID) && p.traces[e.c] == nil
		if best == nil || good && !sure || good == sure && e.c.born.Before(best.c.born) {
			best, sure = e, good
		}
	}
	return best, sure
}

// start runs a task.
func (p *Pool) start(t *task, now time.Time) {
	p.tasks[t] = struct{}{}
	t.begun, t.profile, t.moves = now, byte(p.profile()), p.moves.Load()
	hops := 1
	if t.spare {
		t.c.setUse(t.key)
		t.at.Store(t.c)
		t.three = true
	} else {
		if p.warmUntil.IsZero() {
			p.warm(now)
		}
		t.give, t.close = p.selector.BuildTimeout(t.profile, 3)
		t.lost = p.justLost(t.path.Guard.ID, now)
		hops = 3
		if t.dest != nil {
			hops++
		}
	}
	warm := p.warming(now)
	switch {
	case !warm:
		switch {
		case t.passes: // it takes none
		case t.front:
			p.budget.buildFront(now, p.profile(), hops)
		default:
			p.budget.build(now, hops)
		}
		if !t.spare {
			p.nextBuild = now.Add(buildEvery)
		}
	case !t.spare:
		p.warmLeft--
	}
	slack := p.ticks(slackTicks)
	drops := p.drops()
	p.wg.Go(func() {
		f := p.perform(t, slack, drops)
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

// warming tells whether a link is new, so that builds may be as frequent as
// needed. On a shaped link they must end while its ticks are still fast.
func (p *Pool) warming(now time.Time) bool {
	until := p.warmUntil
	if p.profile() != link.Off {
		until = until.Add(-shapedWarmEnd)
	}
	return now.Before(until) && p.warmLeft > 0
}

// warm begins the time of a new link, unless there were many of late.
func (p *Pool) warm(now time.Time) {
	switch {
	case now.Before(p.warmUntil):
	case p.warms.take(now):
		p.warmUntil, p.warmLeft = now.Add(warmPeriod), warmBuilds
	default:
		p.warmUntil = now
	}
}

// checkTasks notes builds that take longer than four of five did, and returns
// when to look again. Such a build goes on, to be measured, but nobody waits
// for it alone (SPEC.md §2.4).
func (p *Pool) checkTasks(now time.Time) time.Time {
	next := now.Add(interval)
	for t := range p.tasks {
		if t.late || t.three || t.created.IsZero() {
			continue
		}
		if at := t.created.Add(t.give); now.Before(at) {
			next = sooner(next, at)
			continue
		}
		t.late = true
		p.selector.BuildTimedOut(t.profile, 3)
	}
	return next
}

// perform does the work of a task; it returns nil if t.c is open. slack is
// added to waits on a shaped link.
func (p *Pool) perform(t *task, slack time.Duration, drops int) *fault {
	if t.c == nil {
		if f := p.build(t, slack); f != nil {
			return f
		}
	}
	if t.dest == nil {
		t.c.sendDrops(drops)
		return nil
	}
	ctx, cancel := context.WithTimeout(p.ctx, extendTimeout+slack)
	defer cancel()
	if err := t.c.extend(ctx, t.dest); err != nil {
		t.c.destroy("the destination could not be reached: " + err.Error())
		var x *extendError
		told := errors.As(err, &x) && x.code != 0
		// A spare that fell silent says nothing about the destination.
		return &fault{relay: t.dest.ID, by: t.path.Middle.ID, isDest: true, blame: told || !t.spare, err: err}
	}
	t.c.sendDrops(drops)
	return nil
}

// build makes a three-hop circuit.
func (p *Pool) build(t *task, slack time.Duration) *fault {
	timeout := dialTimeout
	if t.lost {
		timeout = lostTimeout
	}
	ctx, cancel := context.WithTimeout(p.ctx, timeout)
	l, err := p.cfg.Dial(ctx, target(t.path.Guard))
	cancel()
	if err != nil {
		return &fault{guard: true, err: err}
	}
	if t.passes {
		p.joinBurst(t.path.Guard.ID)
	}
	ctx, cancel = context.WithTimeout(p.ctx, t.close)
	defer cancel()
	g := p.useLink(t.path.Guard.ID, l)
	started := time.Now()
	p.post(func() { t.created = started })
	c, err := p.create(ctx, l, g, t, slack)
	if err != nil {
		gone := false
		select {
		case <-l.Done():
			gone = true
		default:
		}
		return &fault{create: true, silent: errors.Is(err, context.DeadlineExceeded), gone: gone, err: err, started: started}
	}
	guard := t.path.Guard.ID
	p.post(func() {
		t.past = true
		p.selector.CircuitBegan(guard)
	})
	by := t.path.Guard
	for _, r := range []*directory.Relay{t.path.Layer2, t.path.Middle} {
		if err := c.extend(ctx, r); err != nil {
			c.destroy("a hop could not be added: " + err.Error())
			return &fault{relay: r.ID, by: by.ID, blame: true, timeout: ctx.Err() != nil, err: err}
		}
		by = r
	}
	took := time.Since(started)
	p.post(func() {
		t.three = true
		p.selector.CircuitWorked(guard)
		p.selector.BuildTook(t.profile, 3, took)
	})
	t.c = c
	return nil
}

// create makes the first hop. The error is context.DeadlineExceeded if the
// guard did not answer.
func (p *Pool) create(ctx context.Context, l *link.Link, g *guardLink, t *task, slack time.Duration) (*Circuit, error) {
	ctx, cancel := context.WithTimeout(ctx, createTimeout+slack)
	defer cancel()
	s, err := l.Open(ctx, link.KindCircuit)
	if err != nil {
		return nil, err
	}
	c := newCircuit(p.newID(), p.cfg.Network, s, g, time.Now(), p.closedCircuit)
	c.setUse(t.key)
	c.rank.bulk = t.key.bulk && s.SetBulk() == nil // or no burst runs: then it is one like others
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
	t.at.Store(c)
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
		if err := readCell(s, b[:]); err != nil {
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

// readCell reads a cell into the beginning of b, and takes off the zero bytes
// that follow it on a shaped link.
func readCell(s *link.Stream, b []byte) error {
	if err := readFull(s, b[:cell.Size]); err != nil {
		return err
	}
	h, err := cell.ParseHeader(b[:cell.Size])
	if err != nil {
		return err
	}
	trim := b[cell.Size : cell.Size+int(h.Trim)]
	if err := readFull(s, trim); err != nil {
		return err
	}
	for _, z := range trim {
		if z != 0 {
			return errTrim
		}
	}
	return nil
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
	guard := t.path.Guard.ID
	if t.past && !t.three {
		if p.ctx.Err() != nil || t.moves != p.moves.Load() {
			p.selector.CircuitVoid(guard) // it was this side
		} else {
			p.selector.CircuitFailed(guard)
		}
		if f != nil && f.timeout {
			p.selector.BuildAbandoned(t.profile, 3)
		}
	}
	if f != nil {
		if t.lent {
			p.giveBack(trustOf(t.key), f.isDest && f.blame, now)
		}
		p.failed(t, f, now)
		return
	}
	delete(p.lost, guard)
	delete(p.refusals, guard)
	for _, r := range []*directory.Relay{t.path.Layer2, t.path.Middle, t.dest} {
		if r != nil {
			p.selector.Answers(r.ID)
			delete(p.suspects, r.ID)
		}
	}
	p.complete(t, now)
}

// heldTask is a finished build over a guard that is not the best one.
type heldTask struct {
	t   *task
	ask time.Time // when the selector is asked again
}

// complete hands a circuit over, unless a better guard has its chance first.
func (p *Pool) complete(t *task, now time.Time) {
	use, ask := p.selector.GuardConfirmed(t.path.Guard.ID, now)
	entered := false
	defer func() {
		if t.lent && !entered {
			p.giveBack(trustOf(t.key), t.c.wasBroken(), now)
		}
	}()
	switch {
	case !t.c.alive():
		return // closed in between; nobody was told of it
	case t.test:
		t.c.destroy("it was built to learn how long that takes")
		return
	case !use && ask.IsZero():
		t.c.destroy("a better guard answers")
		return
	case !use:
		p.held = append(p.held, heldTask{t, ask})
		entered = true
		return
	case t.waiter != nil && t.waiter.gone, t.key != (key{}) && t.waiter == nil && !t.ahead && p.reusable(t.key) != nil:
		t.c.destroy("another one was built sooner")
		return
	}
	e := &entry{c: t.c, path: t.path, key: t.key, lent: t.lent}
	p.entries[t.c], entered = e, true
	p.setLife(e, now)
	if t.ahead {
		e.ahead, e.closeAt = true, now.Add(aheadKeep)
	}
	p.tell(Event{Type: EventBuilt, Circuit: t.c.Info()})
	if t.waiter != nil {
		e.front = t.waiter.req.Front
		p.answer(t.waiter, result{c: t.c})
	}
}

// checkHeld asks again for circuits over other guards, and returns when next.
func (p *Pool) checkHeld(now time.Time) (next time.Time) {
	due := p.held
	p.held = nil
	for _, h := range due {
		if now.Before(h.ask) && h.t.c.alive() {
			p.held = append(p.held, h)
			next = sooner(h.ask, next)
			continue
		}
		p.complete(h.t, now)
	}
	return next
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
		if !f.gone && (!f.silent || p.ticks(1) == 0) { // late for want of ticks is no refusal
			p.refusals[guard]++
		}
		switch pl := p.links[guard]; {
		case f.silent && pl != nil && time.Unix(0, pl.heard.Load()).Before(f.started) && time.Unix(0, pl.heard.Load()).Before(now.Add(-p.ticks(deafTicks))):
			p.suspect(pl, now)
		case p.refusals[guard] >= guardRefusals:
			delete(p.refusals, guard)
			p.guardFailed(guard, now)
		}
	default:
		why = "a relay could not be reached as hop"
		if f.blame {
			p.suspectRelay(f.relay, now)
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
