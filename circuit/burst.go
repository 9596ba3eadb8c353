package circuit

import (
	"context"
	"errors"
	"sync"
	"time"

	"hearsay/circuit/link"
	"hearsay/directory"
)

// Implementation constants of bursts.
const (
	burstHideMin = 30 * time.Second // how much longer a burst lasts than what it is for
	burstHideMax = 120 * time.Second
	burstMost    = 10 * time.Minute
)

// errNoGuard says that nobody can grant a burst now.
var errNoGuard = errors.New("circuit: no guard is in use")

// Burst has the guard in use let bulk circuits that are built from now on pass
// the ticks (SPEC.md §5.5), and returns until when: for d and a random time
// more, at most 10 minutes. Bulk circuits end with the burst; another call makes
// it longer. On an unshaped link it does nothing. Whoever watches the link sees
// the burst: only a user's choice may lead here.
func (c *Client) Burst(ctx context.Context, d time.Duration) (until time.Time, err error) {
	return c.pool.burst(ctx, d)
}

func (p *Pool) burst(ctx context.Context, d time.Duration) (until time.Time, err error) {
	d = min(max(d, time.Second)+randomDuration(burstHideMin, burstHideMax), burstMost)
	until = time.Now().Add(d)
	if p.profile() == link.Off {
		return until, nil
	}
	g, ok := p.guardPeer()
	if !ok || p.cfg.Burst == nil {
		return time.Time{}, errNoGuard
	}
	return until, p.bursts.ask(ctx, p, g.ID, until)
}

// bursts are the bursts that guards granted.
type bursts struct {
	turn chan struct{} // capacity 1: held while a guard is asked

	mu    sync.Mutex
	until map[directory.RelayID]time.Time
}

func newBursts() *bursts {
	return &bursts{turn: make(chan struct{}, 1), until: make(map[directory.RelayID]time.Time)}
}

// last returns until when the longest burst runs.
func (b *bursts) last() (last time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.until {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// of returns until when a guard's burst runs.
func (b *bursts) of(guard directory.RelayID) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.until[guard]
}

// ask asks a guard for a burst, unless it granted one that is as long.
func (b *bursts) ask(ctx context.Context, p *Pool, guard directory.RelayID, until time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, speedAsk+p.ticks(4))
	defer cancel()
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-b.turn }()
	if !b.of(guard).Before(until) {
		return nil
	}
	if err := p.cfg.Burst(ctx, guard, time.Until(until)); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until[guard] = until
	return nil
}

// joinBurst has the guard of a bulk circuit grant the burst that runs at another
// one: a circuit to the guard in use, as destination, begins elsewhere. If it
// does not, the circuit keeps to the ticks.
func (p *Pool) joinBurst(guard directory.RelayID) {
	until := p.bursts.last()
	if now := time.Now(); p.bursts.of(guard).After(now) || !until.After(now) {
		return
	}
	_ = p.bursts.ask(p.ctx, p, guard, until)
}

// bursting tells whether a burst runs, by what was granted. Builds of bulk
// circuits take no ticks then, so they do not count as such.
func (p *Pool) bursting(now time.Time) bool { return now.Before(p.bursts.last()) }
