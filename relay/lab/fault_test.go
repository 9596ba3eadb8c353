package lab

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay"
)

// TestMiddleDies kills the middle of an open circuit: the client hears of it,
// and gets another circuit.
func TestMiddleDies(t *testing.T) {
	simulated(t, Config{Relays: 7, Lab: true}, SimConfig{}, func(t *testing.T, n *Network) {
		c := newClient(t, n)
		defer c.stop()
		x := waitListed(t, c.views, 7, time.Minute).Relays()[0].ID
		req := circuit.Request{Purpose: circuit.Send, Isolation: "a", Destination: x}
		circ := get(t, c, req)
		middle := n.Relay(circ.Info().Path[2])
		middle.Kill()
		start := time.Now()
		<-circ.Done()
		// A silent crash shows when the neighbour's link has idled out.
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("noticed after %v", d)
		}
		again := get(t, c, req)
		if again.Info().Path[2] == middle.ID() {
			t.Error("the dead relay is the middle again")
		}
		echo(t, again, 3)
	})
}

// TestRestartOnTheSameAddress kills the mailbox relay of a circuit and starts
// it again: its neighbours notice at once by the reset, and it serves again.
func TestRestartOnTheSameAddress(t *testing.T) {
	simulated(t, Config{Relays: 6, Lab: true}, SimConfig{}, func(t *testing.T, n *Network) {
		c := newClient(t, n)
		defer c.stop()
		x := waitListed(t, c.views, 6, time.Minute).Relays()[0].ID
		req := circuit.Request{Purpose: circuit.Send, Isolation: "a", Destination: x}
		circ := get(t, c, req)
		r := n.Relay(x)
		addr := r.Addr()
		r.Kill()
		if err := r.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		if r.ID() != x || r.Addr() != addr {
			t.Error("another identity or address after the restart")
		}
		start := time.Now()
		<-circ.Done()
		if d := time.Since(start); d > 7*time.Second {
			t.Errorf("restart noticed after %v", d)
		}
		echo(t, get(t, c, req), 3)
	})
}

// TestGracefulStop stops a relay that carries a circuit: it refuses new ones,
// and is gone in time.
func TestGracefulStop(t *testing.T) {
	simulated(t, Config{Relays: 6, Lab: true}, SimConfig{}, func(t *testing.T, n *Network) {
		c := newClient(t, n)
		defer c.stop()
		x := waitListed(t, c.views, 6, time.Minute).Relays()[0].ID
		circ := get(t, c, circuit.Request{Purpose: circuit.Send, Isolation: "a", Destination: x})
		start := time.Now()
		if err := n.Relay(x).Stop(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("stopped after %v, want 2 s at most", d)
		}
		<-circ.Done()
	})
}

// TestUnlistedRelayJoinsLater adds a relay to a running network.
func TestUnlistedRelayJoinsLater(t *testing.T) {
	simulated(t, Config{Relays: 5}, SimConfig{}, func(t *testing.T, n *Network) {
		r, err := n.AddRelay(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		v := waitListed(t, r.Node().Views(), 6, 3*time.Minute)
		if _, ok := v.Relay(r.ID()); !ok {
			t.Error("not listed")
		}
	})
}

// TestLossyLinks builds a circuit while every tenth packet gets lost.
func TestLossyLinks(t *testing.T) {
	var count atomic.Uint64
	drop := func(_, _ netip.AddrPort, _ []byte) bool { return count.Add(1)%10 == 0 }
	simulated(t, Config{Relays: 5, Lab: true}, SimConfig{Drop: drop}, func(t *testing.T, n *Network) {
		c := newClient(t, n)
		defer c.stop()
		x := waitListed(t, c.views, 5, time.Minute).Relays()[0].ID
		echo(t, get(t, c, circuit.Request{Purpose: circuit.Send, Isolation: "a", Destination: x}), 3)
	})
}

// TestLoopbackIsRefused starts a relay of an ordinary network on loopback.
func TestLoopbackIsRefused(t *testing.T) {
	simulated(t, Config{Relays: 1}, SimConfig{}, func(t *testing.T, n *Network) {
		for _, a := range []string{"127.0.0.1:4443", "192.168.1.2:4443", "100.64.3.4:4443", "[::1]:4443"} {
			addr := netip.MustParseAddrPort(a)
			_, err := relay.NewNode(relay.NodeConfig{
				Home: filepath.Join(t.TempDir(), "home"), Link: n.RelayLink(), Files: n.files, Listen: netip.MustParseAddrPort("127.0.0.1:0"),
				Advertise: []netip.AddrPort{addr},
			})
			if !errors.Is(err, relay.ErrAddress) {
				t.Errorf("%s: %v", a, err)
			}
		}
		_, err := relay.Found(filepath.Join(t.TempDir(), "home"), relay.Founding{
			Name: "x", Listen: netip.MustParseAddrPort("127.0.0.1:1"), Join: directory.JoinToken, Passphrase: []byte("p"),
		})
		if !errors.Is(err, relay.ErrAddress) {
			t.Errorf("founding: %v", err)
		}
	})
}
