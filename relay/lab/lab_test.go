package lab

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"hearsay/directory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waitListed waits until every running relay that is asked has a view with n
// relays.
func waitListed(t *testing.T, views *directory.Views, n int, within time.Duration) *directory.View {
	t.Helper()
	end := time.After(within)
	for {
		changed := views.Changed()
		if v := views.Current(); v != nil && len(v.Relays()) >= n {
			return v
		}
		select {
		case <-changed:
		case <-end:
			got := -1
			if v := views.Current(); v != nil {
				got = len(v.Relays())
			}
			t.Fatalf("%d relays listed after %v, want %d", got, within, n)
		}
	}
}

// TestDemoNetworkIsReadySoon starts what the demo starts, on loopback.
func TestDemoNetworkIsReadySoon(t *testing.T) {
	start := time.Now()
	n, err := Start(t.Context(), Config{Dir: t.TempDir(), Relays: 8, Lab: true})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, r := range n.Relays() {
		waitListed(t, r.Node().Views(), 8, patience) // measured: below 1 s on an idle machine
	}
	t.Logf("ready after %v", time.Since(start))
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

// simulated runs f with a network in virtual time.
func simulated(t *testing.T, cfg Config, sim SimConfig, f func(t *testing.T, n *Network)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cfg.Dir = dir
		cfg.Sim = NewSimNet(sim)
		defer cfg.Sim.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		n, err := Start(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		f(t, n)
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
}
