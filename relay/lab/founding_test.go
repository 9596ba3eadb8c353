//go:build !race

// Days of virtual time in quiet networks: the race detector sees the same code in
// the tests of joining and of several signers, in minutes.

package lab

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/circuit"
	"hearsay/directory"
)

// usable waits until a client that knows the link alone uses a circuit to a
// mailbox relay, and returns when that was.
func usable(t *testing.T, n *Network, relays int, within time.Duration) time.Time {
	t.Helper()
	c := newClient(t, n)
	defer c.stop()
	v := waitListed(t, c.views, relays, within)
	echo(t, get(t, c, circuit.Request{Purpose: circuit.Send, Isolation: "a", Destination: v.Relays()[0].ID}), 3)
	return time.Now()
}

// TestNewNetworkIsUsable founds networks, starts five relays and a client, and
// asks how long it took from the start of the last relay to an echo over a circuit
// and its mailbox relay: two epochs at most.
func TestNewNetworkIsUsable(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		most time.Duration
	}{
		{"solo", Config{Relays: 5, Late: true}, 2 * time.Minute},
		{"three founders", Config{Relays: 5, Late: true, Signers: 3}, 2 * time.Minute},
		{"lab", Config{Relays: 5, Late: true, Lab: true}, 20 * time.Second},
		{"lab of three founders", Config{Relays: 5, Late: true, Lab: true, Signers: 3}, 20 * time.Second},
		{"lab, descriptors handed over", Config{Relays: 5, Lab: true}, 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Time{}
			cfg := c.cfg
			// Descriptors that were handed over are in the first snapshot, for
			// which Start waits.
			simulatedFrom(t, cfg, SimConfig{}, &began, func(t *testing.T, n *Network) {
				start := began
				if cfg.Late {
					start = time.Now()
				}
				took := usable(t, n, 5, c.most).Sub(start)
				if took > c.most {
					t.Errorf("usable after %v, want at most %v", took, c.most)
				}
				t.Logf("usable after %v", took)
			})
		})
	}
}

// simulatedFrom is simulated that tells when the network began to start.
func simulatedFrom(t *testing.T, cfg Config, sim SimConfig, began *time.Time, f func(t *testing.T, n *Network)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		*began = time.Now()
		cfg.Dir, cfg.Sim = dir, NewSimNet(sim)
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

// TestRelayJoinsAfterTwoDays starts a relay when epochs have become longer: it is
// listed six minutes later. Everything is switched off meanwhile.
func TestRelayJoinsAfterTwoDays(t *testing.T) {
	simulated(t, Config{Relays: 4, Late: true}, SimConfig{}, func(t *testing.T, n *Network) {
		waitListed(t, n.Relays()[0].Node().Views(), 4, 3*time.Minute)
		for _, r := range n.Relays() {
			if err := r.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.StopDirectory(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(49 * time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
		defer cancel()
		if err := n.Signers()[0].Start(ctx); err != nil {
			t.Fatal(err)
		}
		for _, r := range n.Relays() {
			if err := r.Start(ctx); err != nil {
				t.Fatal(err)
			}
		}
		v := waitListed(t, n.Relays()[0].Node().Views(), 4, 12*time.Minute)
		for v.EpochLength() != 5*time.Minute || time.Since(v.ValidAfter()) < 10*time.Second {
			time.Sleep(10 * time.Second) // not just before a snapshot
			v = n.Relays()[0].Node().Views().Current()
		}
		start := time.Now()
		r, err := n.AddRelay(ctx)
		if err != nil {
			t.Fatal(err)
		}
		waitListed(t, r.Node().Views(), 5, 6*time.Minute)
		t.Logf("listed after %v", time.Since(start))
	})
}

// TestFounderIsAwayForThreeDays takes the one directory of a lab network away for
// 72 hours: relays and clients work on, and are with it again when it comes back.
func TestFounderIsAwayForThreeDays(t *testing.T) {
	simulated(t, Config{Relays: 5, Lab: true}, SimConfig{}, func(t *testing.T, n *Network) {
		const day = 24 * time.Hour / 360
		c := newClient(t, n)
		defer c.stop()
		before := waitListed(t, c.views, 5, time.Minute)
		if err := n.StopDirectory(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(before.ValidAfter().Add(3*day - 10*time.Second)))
		last := c.views.Current()
		if s := last.State(time.Now()); s != directory.Stale {
			t.Errorf("three days later the view is %v", s)
		}
		echo(t, get(t, c, circuit.Request{Purpose: circuit.Send, Isolation: "b", Destination: last.Relays()[1].ID, Fresh: true}), 3)

		time.Sleep(day / 4)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := n.Signers()[0].Start(ctx); err != nil {
			t.Fatal(err)
		}
		back := time.Now()
		for v := last; v.Epoch() == last.Epoch() || len(v.Relays()) < 5; v = c.views.Current() {
			if time.Since(back) > 3*time.Minute { // two fetches at their latest
				t.Fatalf("the client holds epoch %d with %d relays", v.Epoch(), len(v.Relays()))
			}
			time.Sleep(time.Second)
		}
		if s := c.views.Current().State(time.Now()); s > directory.Valid {
			t.Errorf("with the founder back the view is %v", s)
		}
		echo(t, get(t, c, circuit.Request{Purpose: circuit.Send, Isolation: "c", Destination: last.Relays()[2].ID, Fresh: true}), 3)
		t.Logf("with it again after %v", time.Since(back))
	})
}
