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
	p.bursts.Store(now.Add(time.Second).UnixNano())
	if !p.bursting(now) || p.bursting(now.Add(time.Second)) {
		t.Error("a burst has no end")
	}
}
