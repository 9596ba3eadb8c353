package circuit

import (
	"context"
	"errors"
	"time"

	"hearsay/circuit/link"
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
	ctx, cancel := context.WithTimeout(ctx, speedAsk+p.ticks(4))
	defer cancel()
	if err := p.cfg.Burst(ctx, g.ID, d); err != nil {
		return time.Time{}, err
	}
	p.bursts.Store(until.UnixNano())
	return until, nil
}

// bursting tells whether a burst runs, by what was granted last. Builds of bulk
// circuits take no ticks then, so they do not count as such.
func (p *Pool) bursting(now time.Time) bool { return now.UnixNano() < p.bursts.Load() }
