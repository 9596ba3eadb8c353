package lab

import (
	"context"
	"crypto/ed25519"
	"io"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"hearsay/circuit"
	"hearsay/circuit/link"
	"hearsay/directory"
)

// TestAbuseWrongIdentityDuringExtend puts another relay at the address of one
// that is gone: circuits are not extended to it, though it answers there with
// keys that it holds, and it sees no circuit.
func TestAbuseWrongIdentityDuringExtend(t *testing.T) {
	var target atomic.Pointer[netip.AddrPort]
	var knocks atomic.Int32
	tap := func(_, to netip.AddrPort, _ []byte) {
		if a := target.Load(); a != nil && to == *a {
			knocks.Add(1)
		}
	}
	simulated(t, Config{Relays: 6, Lab: true}, SimConfig{Tap: tap}, func(t *testing.T, n *Network) {
		c := newClient(t, n)
		defer c.stop()
		waitListed(t, c.views, 6, time.Minute)
		gone := n.Relays()[5]
		id := gone.ID()
		gone.Kill()
		conn, err := n.cfg.Sim.Listen(gone.Addr())
		if err != nil {
			t.Fatal(err)
		}
		var served atomic.Int32
		views := new(directory.Views)
		views.Set(c.views.Current())
		key := func(b byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(append(make([]byte, 31), b)) }
		e, err := link.New(link.Config{
			Role: link.RoleRelay, Network: n.Link().ID, Lab: true, Conn: conn, Views: views,
			Identity: &link.Identity{Key: key(1), LinkKey: key(2)},
			Handlers: map[link.Kind]link.Handler{link.KindCircuit: func(_ context.Context, _ *link.Link, s *link.Stream) {
				served.Add(1)
				_, _ = io.ReadAll(s)
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		addr := gone.Addr()
		target.Store(&addr)
		ran := make(chan error, 1)
		go func() { ran <- e.Run(ctx) }()
		got, err := c.Pool().Get(ctx, circuit.Request{Purpose: circuit.Send, Isolation: "a", Destination: id})
		if err == nil {
			t.Errorf("a circuit of %d hops ends at the impostor", len(got.Info().Path))
		}
		if knocks.Load() == 0 {
			t.Error("nobody tried to extend a circuit there")
		}
		if n := served.Load(); n != 0 {
			t.Errorf("the impostor got %d circuits", n)
		}
		cancel()
		<-ran
	})
}
