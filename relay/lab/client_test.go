package lab

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"

	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/directory/gossip"
)

// client is the network side of a messenger in a lab network.
type client struct {
	*circuit.Client
	views *directory.Views
	state *Memory
	stop  func()
}

// newClient runs a client that knows nothing but the network's link. It stops
// with stop or at the end of the test.
func newClient(t testing.TB, n *Network) *client {
	t.Helper()
	return newClientFrom(t, n, n.ListenPacket)
}

// newClientFrom is newClient with sockets of its own.
func newClientFrom(t testing.TB, n *Network, listen func() (net.PacketConn, error)) *client {
	t.Helper()
	return newClientWith(t, n, listen, nil)
}

// newClientWith is newClientFrom with a system that tells its address.
func newClientWith(t testing.TB, n *Network, listen func() (net.PacketConn, error), source func(netip.AddrPort) netip.Addr) *client {
	t.Helper()
	views, st := new(directory.Views), new(Memory)
	c, err := circuit.NewClient(circuit.ClientConfig{
		Network: n.Link().ID, Lab: n.cfg.Lab, Views: views, ListenPacket: listen, Source: source, State: st,
		Log: n.logger("client"),
	})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gossip.NewClient(gossip.ClientConfig{
		Link: n.Link(), Dialer: c.Dialer(), Views: views, State: st, Guard: c.Guard, NoPath: c.NoPath, Circuits: c,
		Log: n.logger("client"),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { c.Run(ctx) })
	wg.Go(func() { g.Run(ctx) })
	return &client{Client: c, views: views, state: st, stop: sync.OnceFunc(func() { cancel(); wg.Wait() })}
}
