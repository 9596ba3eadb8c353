package lab

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/directory/gossip"
)

// TestRequestsOverCircuitsOfTheirOwn: a client's directory streams over circuits
// share none, have three hops besides the relay that is asked, and end with them; a
// deadline that passes ends both.
func TestRequestsOverCircuitsOfTheirOwn(t *testing.T) {
	simulated(t, Config{Relays: 6, Lab: true}, SimConfig{}, func(t *testing.T, n *Network) {
		views, st := new(directory.Views), new(Memory)
		c, err := circuit.NewClient(circuit.ClientConfig{Network: n.Link().ID, Lab: true, Views: views, ListenPacket: n.ListenPacket, State: st})
		if err != nil {
			t.Fatal(err)
		}
		g, err := gossip.NewClient(gossip.ClientConfig{ // one that compares no heads by itself
			Link: n.Link(), Dialer: c.Dialer(), Views: views, State: st, Guard: c.Guard, NoPath: c.NoPath,
		})
		if err != nil {
			t.Fatal(err)
		}
		run, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer stop()
		wg.Go(func() { c.Run(run) })
		wg.Go(func() { g.Run(run) })
		waitListed(t, views, 6, time.Minute)
		time.Sleep(5 * time.Second)
		asked := func() (list []circuit.Info) {
			for _, i := range c.Pool().Circuits() {
				if i.Purpose == circuit.Directory && i.State == "open" {
					list = append(list, i)
				}
			}
			return list
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		guard, ok := c.Guard()
		if !ok {
			t.Fatal("no guard")
		}
		var to directory.RelayID
		for _, r := range n.Relays() {
			if r.ID() != guard.ID {
				to = r.ID()
			}
		}
		var streams []io.Closer
		for range 2 {
			s, err := c.RequestOver(ctx, to)
			if err != nil {
				t.Fatal(err)
			}
			hello := make([]byte, 152) // a frame's header and 148 bytes
			if _, err := io.ReadFull(s, hello); err != nil || hello[0] != 1 {
				t.Fatalf("%v, %x", err, hello[:4])
			}
			streams = append(streams, s)
		}
		list := asked()
		if len(list) != 2 {
			t.Fatalf("%d circuits for two requests", len(list))
		}
		for _, i := range list {
			if len(i.Path) != 3 || i.Destination != to {
				t.Errorf("circuit %+v", i)
			}
		}
		for _, s := range streams {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Second)
		if got := len(asked()); got != 0 {
			t.Errorf("%d circuits stay", got)
		}
		s, err := c.RequestOver(ctx, to)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := io.Copy(io.Discard, s); err == nil || time.Since(start) > 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		_ = s.Close()
	})
}
