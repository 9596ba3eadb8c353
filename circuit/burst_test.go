package circuit

import (
	"context"
	"errors"
	"testing"
	"time"

	"hearsay/circuit/link"
	"hearsay/directory"
)

// TestBurst checks that nobody is asked where there is nothing to ask, and that
// builds which pass the ticks need no share of them, but only during a burst.
func TestBurst(t *testing.T) {
	asked, profile := 0, link.Off
	p, err := NewPool(Config{
		Views: &directory.Views{}, Lab: true, Profile: func() link.Profile { return profile },
		Dial:  func(context.Context, link.Target) (*link.Link, error) { return nil, ErrClosed },
		Burst: func(context.Context, directory.RelayID, time.Duration) error { asked++; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if until, err := p.burst(t.Context(), time.Minute); err != nil || asked != 0 || p.bursting(now) || until.Before(now.Add(time.Minute+burstHideMin)) || until.After(now.Add(burstMost)) {
		t.Errorf("unshaped: until %v, %v, asked %d times", until, err, asked)
	}
	profile = link.Normal
	if _, err := p.burst(t.Context(), time.Minute); !errors.Is(err, errNoGuard) || asked != 0 || p.bursting(now) {
		t.Errorf("without a guard: %v, asked %d times", err, asked)
	}
	p.warmUntil = now // is over
	for p.budget.mayBuild(now, profile, 100) {
		p.budget.build(now, 4)
	}
	if p.mayBuild(now, 100).Equal(p.nextBuild) {
		t.Fatal("the budget is not used up")
	}
	if !p.mayBuild(now, shareNone).Equal(p.nextBuild) {
		t.Error("a build that takes no ticks waits for some")
	}
	p.ctx = t.Context()
	p.joinBurst(directory.RelayID{2})
	if asked != 0 {
		t.Error("a guard was asked for a burst that does not run")
	}
	for range 2 {
		if err := p.bursts.ask(t.Context(), p, directory.RelayID{1}, now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 || !p.bursting(now) || p.bursting(now.Add(time.Minute)) {
		t.Errorf("asked %d times for one burst", asked)
	}
	p.joinBurst(directory.RelayID{2})
	p.joinBurst(directory.RelayID{2})
	if asked != 2 || !p.bursts.of(directory.RelayID{2}).Equal(now.Add(time.Minute)) {
		t.Errorf("another guard was asked %d times", asked-1)
	}
}
