package lab

import (
	"context"
	"slices"
	"testing"
	"time"

	"hearsay/circuit"
	"hearsay/circuit/cell"
	"hearsay/directory/gossip"
)

// endless is a service that sends for ever.
func endless(_ context.Context, s gossip.Stream) error {
	b := make([]byte, 32*cell.DataSize)
	for {
		if _, err := s.Write(b); err != nil {
			return err
		}
	}
}

// TestWindowFollowsThePath downloads over one circuit of 50 ms. Its window must
// grow until the links' windows bind, which allow 128 KiB for each 16.7 ms of a
// hop, and not by more than Vegas lets wait in queues.
func TestWindowFollowsThePath(t *testing.T) {
	const (
		oneWay  = 50 * time.Millisecond / 6 // of each of three hops
		ceiling = 128 << 10 / (2 * float64(oneWay) / float64(time.Second))
		queue   = 192 // cells that may wait, circuit/credit/SPEC.md §3
	)
	simulated(t, Config{Relays: 5, Lab: true, InsecureNoRateLimits: true, InsecureServeRequest: endless}, SimConfig{Latency: oneWay}, func(t *testing.T, n *Network) {
		c := newClient(t, n)
		defer c.stop()
		waitListed(t, c.views, 5, time.Minute)
		circ := get(t, c, circuit.Request{Purpose: circuit.Directory, Isolation: "window"})
		hops := circ.Hops()
		s, err := circ.Directory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		// The client asks with the first bytes that it sends.
		if _, err := s.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		ping := func() time.Duration {
			d, err := circ.Ping(t.Context(), hops-1)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		pings := make(chan time.Duration, 3)
		start := time.Now()
		go func() {
			defer close(pings)
			<-time.After(3 * time.Second)
			for range cap(pings) {
				pings <- ping()
				<-time.After(time.Second)
			}
		}()
		buf := make([]byte, 32*cell.DataSize)
		var late int
		const warm, measured = 3 * time.Second, 3 * time.Second
		for time.Since(start) < warm+measured {
			m, err := s.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			if time.Since(start) >= warm {
				late += m
			}
		}
		rate := float64(late) / measured.Seconds() * cell.Size / cell.DataSize
		var trips []time.Duration
		for d := range pings {
			trips = append(trips, d)
		}
		trip := slices.Min(trips)
		base := time.Duration(2*hops) * oneWay
		waiting := (trip - base).Seconds() * rate / cell.Size
		t.Logf("%d hops, %.1f MB/s of at most %.1f, %.0f cells wait", hops, rate/1e6, ceiling/1e6, waiting)
		if rate < 0.6*ceiling {
			t.Errorf("%.1f MB/s, the links allow %.1f", rate/1e6, ceiling/1e6)
		}
		if waiting > queue {
			t.Errorf("%.0f cells wait in queues, at most %d may", waiting, queue)
		}
	})
}
