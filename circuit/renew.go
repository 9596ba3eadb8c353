package circuit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrTooSoon is returned by Pool.Renew when it was called shortly before.
var ErrTooSoon = errors.New("circuit: new circuits were asked for a moment ago")

// renewEvery is the time between two calls of Renew that count: each draws new
// middles, so many would show a client to many relays.
const renewEvery = time.Minute

// Renew has every circuit replaced by one over a newly drawn path, with the same
// guard and layer-2 guards (SPEC.md §6.1). Circuits that nobody uses are closed
// at once; users of the others move over as soon as the next one stands, and
// lose nothing. It fails with ErrTooSoon if it was called in the last minute.
func (p *Pool) Renew(ctx context.Context) error {
	done := make(chan error, 1)
	p.post(func() { done <- p.renew(time.Now()) })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-p.stopped:
		return fmt.Errorf("%w: the pool has ended", ErrClosed)
	}
}

func (p *Pool) renew(now time.Time) error {
	if !p.renewals.take(now) {
		return ErrTooSoon
	}
	for c, e := range p.entries {
		if e.key == (key{}) || e.ahead {
			c.destroy("new circuits were asked for")
		} else {
			c.setRetired()
		}
	}
	p.nextSpare = time.Time{}
	return nil
}
