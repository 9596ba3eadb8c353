package circuit_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/circuit"
	"hearsay/circuit/cell"
	"hearsay/circuit/link"
	"hearsay/relay/lab"
)

// TestSpeedTest measures a path whose times are known, over relays that
// answer everything.
func TestSpeedTest(t *testing.T) {
	simulate(t, 8, func(t *testing.T, w *world) {
		c := w.client(nil)
		x := w.relays[5].id
		c.guard()
		var stages []circuit.SpeedStage
		start := time.Now()
		r, err := c.Pool().SpeedTest(t.Context(), circuit.SpeedRequest{
			Destination: x,
			Progress: func(r circuit.SpeedReport) {
				if n := len(stages); n == 0 || stages[n-1] != r.Stage {
					stages = append(stages, r.Stage)
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("took %v", d)
		}
		if len(r.Hops) != 4 || r.Hops[3].Relay != x || r.Circuit.Purpose != circuit.Speed || r.Circuit.Destination != x {
			t.Fatalf("%+v", r)
		}
		for i, h := range r.Hops {
			want := time.Duration(i+1) * 2 * latency
			if h.Answers != 10 || h.Min < want || h.Min > want+2*time.Millisecond || h.Median < h.Min || h.Median > want+5*time.Millisecond {
				t.Errorf("hop %d: %+v, want %v", i, h, want)
			}
			if h.Added < 2*latency-2*time.Millisecond || h.Added > 2*latency+2*time.Millisecond {
				t.Errorf("hop %d added %v", i, h.Added)
			}
		}
		if want := float64(1024 * cell.DataSize); !r.AtLeast || r.Rate < 0.95*want || r.Rate > 1.05*want || r.NoRate != "" {
			t.Errorf("rate %.0f of %.0f, at least: %v, %q", r.Rate, want, r.AtLeast, r.NoRate)
		}
		if len(stages) != 4 || stages[0] != circuit.SpeedBuilding || stages[3] != circuit.SpeedDone {
			t.Errorf("stages %v", stages)
		}
		for _, i := range c.Pool().Circuits() {
			if i.Purpose == circuit.Speed {
				t.Errorf("its circuit is still there: %+v", i)
			}
		}

		var soon *circuit.TooSoonError
		if _, err := c.Pool().SpeedTest(t.Context(), circuit.SpeedRequest{}); !errors.As(err, &soon) || soon.RetryAfter > time.Minute || soon.RetryAfter < 30*time.Second {
			t.Errorf("a test right after the other: %v", err)
		}
		pass(soon.RetryAfter)
		if r, err := c.Pool().SpeedTest(t.Context(), circuit.SpeedRequest{}); err != nil || len(r.Hops) != 3 {
			t.Errorf("the next test: %+v %v", r, err)
		}
	})
}

// TestSpeedTestOfBusyRelays takes another hop for the echoes, and says so if
// there is none.
func TestSpeedTestOfBusyRelays(t *testing.T) {
	simulate(t, 8, func(t *testing.T, w *world) {
		c := w.client(nil)
		x := w.relays[5]
		x.busy.Store(true)
		c.guard()
		r, err := c.Pool().SpeedTest(t.Context(), circuit.SpeedRequest{Destination: x.id})
		if err != nil || r.EchoHop != 2 || r.Rate == 0 || r.NoRate != "" {
			t.Fatalf("%+v %v", r, err)
		}
		for _, x := range w.relays {
			x.busy.Store(true)
		}
		pass(time.Minute)
		r, err = c.Pool().SpeedTest(t.Context(), circuit.SpeedRequest{Destination: x.id})
		if err != nil || r.Rate != 0 || r.NoRate == "" || len(r.Hops) != 4 {
			t.Fatalf("%+v %v", r, err)
		}
	})
}

// TestSpeedTestThatEnds: with the circuit or the caller gone, it returns what
// it knows.
func TestSpeedTestThatEnds(t *testing.T) {
	simulate(t, 8, func(t *testing.T, w *world) {
		c := w.client(nil)
		c.guard()
		ctx, cancel := context.WithCancel(t.Context())
		_, err := c.Pool().SpeedTest(ctx, circuit.SpeedRequest{Progress: func(r circuit.SpeedReport) {
			if r.Stage == circuit.SpeedRate {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the caller is gone: %v", err)
		}
		pass(time.Minute)
		r, err := c.Pool().SpeedTest(t.Context(), circuit.SpeedRequest{Progress: func(r circuit.SpeedReport) {
			if len(r.Hops) == 2 {
				w.relay(r.Hops[1].Relay).stop()
			}
		}})
		if !errors.Is(err, circuit.ErrClosed) || len(r.Hops) != 2 {
			t.Errorf("the circuit is gone: %+v %v", r, err)
		}
	})
}

// TestSpeedTestOnShapedLinks measures round trips in ticks, and the rate only
// if the user accepts a burst.
func TestSpeedTestOnShapedLinks(t *testing.T) {
	for _, burst := range []bool{false, true} {
		t.Run(fmt.Sprintf("burst %v", burst), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				c, n, stop := labClient(t, lab.Config{Dir: dir}, lab.SimConfig{}, link.Fast)
				defer stop()
				g, _ := c.Guard()
				x := n.Relays()[4].Node().ID()
				if x == g.ID { // such a circuit has another guard
					x = n.Relays()[3].Node().ID()
				}
				start := time.Now()
				r, err := c.Pool().SpeedTest(t.Context(), circuit.SpeedRequest{Destination: x, Burst: burst})
				if err != nil {
					t.Fatalf("after %v: %+v %v", time.Since(start), r, err)
				}
				last := r.Hops[len(r.Hops)-1]
				switch {
				case len(r.Hops) != 4 || last.Answers != 10:
					t.Errorf("%+v", r)
				case burst && (r.Shaped || r.Rate < 400<<10 || last.Median > time.Second/2):
					t.Errorf("%+v", r)
				case !burst && (!r.Shaped || r.Rate != 0 || r.NoRate == "" || last.Min > 3*time.Second):
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

// TestSpeedTestOfRelays runs against relays with all their limits: none of
// them ends the circuit.
func TestSpeedTestOfRelays(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c, n, stop := labClient(t, lab.Config{Dir: dir}, lab.SimConfig{}, link.Off)
		defer stop()
		r, err := c.Pool().SpeedTest(t.Context(), circuit.SpeedRequest{Destination: n.Relays()[4].Node().ID()})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Hops) != 4 || r.Hops[3].Answers != 10 || r.Rate < 400<<10 {
			t.Errorf("%+v", r)
		}
	})
}

// labClient starts a network of relays as they are, in virtual time, and a
// client of it that has a guard.
func labClient(t *testing.T, cfg lab.Config, simCfg lab.SimConfig, f link.Profile) (*circuit.Client, *lab.Network, func()) {
	t.Helper()
	sim := lab.NewSimNet(simCfg)
	cfg.Relays, cfg.Lab, cfg.Sim = 5, true, sim
	n, err := lab.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := circuit.NewClient(circuit.ClientConfig{
		Network: n.Link().ID, Lab: true, Views: n.Relays()[0].Node().Views(), ListenPacket: n.ListenPacket, Profile: f,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	for range 1000 {
		if _, ok := c.Guard(); ok {
			break
		}
		pass(100 * time.Millisecond)
	}
	return c, n, func() {
		cancel()
		<-done
		n.Close()
		sim.Close()
	}
}
