package relay_test

import (
	"context"
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
	"hearsay/relay"
	"hearsay/relay/lab"
)

// withCircuits runs f with a network in virtual time and the circuits of a node
// of it.
func withCircuits(t *testing.T, cfg lab.Config, sim lab.SimConfig, self func(n *lab.Network) directory.RelayID, f func(n *lab.Network, c *relay.Circuits)) {
	t.Helper()
	cfg.Dir = t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cfg.Sim = lab.NewSimNet(sim)
		defer cfg.Sim.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		n, err := lab.Start(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		views := n.Signers()[0].Node().Views()
		for len(views.Current().Relays()) < cfg.Relays {
			<-views.Changed()
		}
		c, err := relay.NewCircuits(n.Link().ID, cfg.Lab, self(n), views, n.ListenPacket, nil)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		runs, stop := context.WithCancel(context.Background())
		wg.Go(func() { c.Run(runs) })
		f(n, c)
		stop()
		wg.Wait()
	})
}

func nobody(*lab.Network) directory.RelayID { return directory.RelayID{} }

// TestMeasureFindsTheBandwidth: over real circuits, a relay is measured at the
// share of its bandwidth that it echoes, at what its line carries, or at the rate
// sent if it has more.
func TestMeasureFindsTheBandwidth(t *testing.T) {
	const rate = 640 << 10
	const line = 200 << 10 // bytes a second of relay 1
	var mu sync.Mutex
	var slow netip.AddrPort
	var free time.Time // when its line has sent what waits
	sim := lab.SimConfig{Delay: func(from, _ netip.AddrPort, packet []byte) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		if from != slow {
			return 0
		}
		now := time.Now()
		if free.Before(now) {
			free = now
		}
		free = free.Add(time.Duration(len(packet)) * time.Second / line)
		return free.Sub(now)
	}}
	cfg := lab.Config{Relays: 7, Lab: true, Bandwidth: func(i int) int64 {
		return []int64{2 << 20, 0, 0, 0, 0, 0, 0}[i]
	}}
	withCircuits(t, cfg, sim, nobody, func(n *lab.Network, c *relay.Circuits) {
		for i, want := range []uint64{512 << 10, line, rate} {
			mu.Lock()
			slow = netip.AddrPort{} // it must not be on the way to others
			if i == 1 {
				slow = n.Relays()[i].Addr()
			}
			mu.Unlock()
			got, err := c.Measure(context.Background(), n.Relays()[i].ID(), rate)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("relay %d: %d B/s, expected about %d", i, got, want)
			if got < want*3/4 || got > want*11/10 {
				t.Errorf("relay %d: %d B/s, not about %d", i, got, want)
			}
		}
		if _, err := c.Measure(context.Background(), directory.RelayID{7}, rate); err == nil {
			t.Error("a relay that is not listed was measured")
		}
	})
}

// TestCircuitsOfARelayLeaveItOut: with five relays each circuit of one of them has
// to take all others; it never is a hop of its own circuit.
func TestCircuitsOfARelayLeaveItOut(t *testing.T) {
	self := func(n *lab.Network) directory.RelayID { return n.Relays()[0].ID() }
	withCircuits(t, lab.Config{Relays: 5, Lab: true}, lab.SimConfig{}, self, func(n *lab.Network, c *relay.Circuits) {
		for i := 1; i < 5; i++ {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			s, err := c.RequestOver(ctx, n.Relays()[i].ID())
			if err != nil {
				t.Fatal(err)
			}
			var hello [4 + 148]byte
			if _, err := io.ReadFull(s, hello[:]); err != nil || hello[0] != 1 {
				t.Errorf("no HELLO over a circuit: %v", err)
			}
			path := relay.PathOf(s)
			if len(path) != 3 || slices.Contains(path, self(n)) || slices.Contains(path, n.Relays()[i].ID()) {
				t.Errorf("path %v to relay %d", path, i)
			}
			s.Close()
			cancel()
		}
		if _, err := c.RequestOver(context.Background(), n.Relays()[0].ID()); err == nil {
			t.Error("a circuit to itself")
		}
	})
}

// TestDeadlineEndsARequest: reading from a relay that says nothing more ends at
// the deadline.
func TestDeadlineEndsARequest(t *testing.T) {
	withCircuits(t, lab.Config{Relays: 5, Lab: true}, lab.SimConfig{}, nobody, func(n *lab.Network, c *relay.Circuits) {
		s, err := c.RequestOver(context.Background(), n.Relays()[0].ID())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_ = s.SetDeadline(began.Add(2 * time.Second))
		if _, err := io.Copy(io.Discard, s); err == nil || time.Since(began) > 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		s.Close()
	})
}
