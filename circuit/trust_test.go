package circuit_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearsay/circuit"
	"hearsay/circuit/link"
	"hearsay/directory"
)

// patientUser asks for circuits to one destination as a messenger does: as soon
// as one ends, for another, and after a failure a while later. It counts them.
func patientUser(ctx context.Context, p *circuit.Pool, r circuit.Request, got *atomic.Int64, wg *sync.WaitGroup) {
	r.Fresh = true
	wg.Go(func() {
		for ctx.Err() == nil {
			try, cancel := context.WithTimeout(ctx, 20*time.Second)
			k, err := p.Get(try, r)
			cancel()
			if err == nil {
				got.Add(1)
				select {
				case <-k.Done():
				case <-k.Retire():
					k.Close()
				case <-ctx.Done():
				}
			}
			select {
			case <-time.After(30 * time.Second):
			case <-ctx.Done():
			}
		}
	})
}

// ordinary is a client with the waits of an ordinary network. dialed counts its
// sockets; source tells its address, and may be nil.
func (w *world) ordinary(dialed *atomic.Int64, source func(netip.AddrPort) netip.Addr) *circuit.Pool {
	w.t.Helper()
	e, err := link.New(link.Config{
		Role: link.RoleClient, Network: testNetwork, Lab: true, Views: w.views,
		ListenPacket: func() (net.PacketConn, error) {
			dialed.Add(1)
			return &wire{w.socket(clientIP, 0), new(atomic.Bool), &w.loss}, nil
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := circuit.NewPool(circuit.Config{Network: testNetwork, Views: w.views, Dial: e.Link, Redial: e.Redial, Source: source})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = p.Run(ctx) }()
	w.atEnd(func() { cancel(); <-done; e.Close() })
	return p
}

// TestAttackMailboxBreaksEveryCircuit: a mailbox relay that breaks each circuit
// as soon as it stands, or some time later, to see many middles of one client,
// sees few in a day of each queue that the client has there; and when it
// has stopped, it is tried again soon. HEAL_RUNS makes it whole days; without, it
// is an hour.
func TestAttackMailboxBreaksEveryCircuit(t *testing.T) {
	queues, hours := 4, 1
	if raceDetector {
		queues = 2
	}
	if os.Getenv("HEAL_RUNS") != "" {
		hours = 24
	}
	for name, after := range map[string]time.Duration{"at once": 0, "after a minute": 70 * time.Second} {
		t.Run(name, func(t *testing.T) {
			simulateAges(t, 8, false, func(t *testing.T, w *world) {
				p := w.ordinary(new(atomic.Int64), nil)
				x := w.relays[5]
				var breaks atomic.Bool
				breaks.Store(true)
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				defer wg.Wait()
				defer cancel()
				wg.Go(func() { // the relay
					at := map[*fakeHop]time.Time{}
					for ctx.Err() == nil {
						x.mu.Lock()
						for h := range x.hops {
							if at[h].IsZero() {
								at[h] = time.Now()
							}
							// One that it carries as a guard or hop ends nothing.
							if breaks.Load() && h.next == nil && time.Since(at[h]) >= after {
								reset(h.prev)
							}
						}
						x.mu.Unlock()
						pass(time.Second)
					}
				})
				var got atomic.Int64
				for n := range queues {
					patientUser(ctx, p, circuit.Request{Purpose: circuit.Subscribe, Isolation: string(rune('a' + n)), Destination: x.id}, &got, &wg)
				}
				pass(time.Duration(hours) * time.Hour)
				// For each queue 8, and 2 for each circuit at once, two where builds
				// are hedged, and one per 5 min on average: 12 an hour, in a day 288
				// with a standard deviation of 10.
				n := int(got.Load())
				mean := 12 * hours * queues
				t.Logf("%d circuits in %d hours", n, hours)
				if most := queues*(8+2*2) + mean + 4*10*2; n > most || n < mean/3 {
					t.Errorf("%d circuits in %d hours, want %d at most", n, hours, most)
				}
				breaks.Store(false)
				if _, err := p.Get(canceledSoon(t, time.Second), circuit.Request{Purpose: circuit.Send, Isolation: "other", Destination: x.id, Fresh: true}); err != nil && !strings.Contains(err.Error(), "broke too many circuits") {
					t.Errorf("the reason: %v", err)
				}
				before := got.Load()
				pass(11 * time.Minute)
				if got.Load() == before {
					t.Error("it is not tried again when it breaks nothing any more")
				}
				// Others are not concerned.
				if _, err := p.Get(canceledSoon(t, 20*time.Second), send("other", w.other(x.id, guardOf(p)).id)); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func guardOf(p *circuit.Pool) directory.RelayID {
	for _, i := range p.Circuits() {
		if len(i.Path) > 0 {
			return i.Path[0]
		}
	}
	return directory.RelayID{}
}

func canceledSoon(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestMailboxBackAfterAnHour: a mailbox relay that was gone for an hour, with
// the circuits of ten queues, serves all of them again soon after it is back.
func TestMailboxBackAfterAnHour(t *testing.T) {
	queues := 10
	if raceDetector {
		queues = 4
	}
	simulateAges(t, 8, false, func(t *testing.T, w *world) {
		p := w.ordinary(new(atomic.Int64), nil)
		x := w.relays[5]
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		var got atomic.Int64
		for n := range queues {
			patientUser(ctx, p, circuit.Request{Purpose: circuit.Subscribe, Isolation: string(rune('a' + n)), Destination: x.id}, &got, &wg)
		}
		open := func() (n int) {
			for _, i := range p.Circuits() {
				if i.State == "open" && i.Destination == x.id {
					n++
				}
			}
			return n
		}
		pass(time.Minute)
		if n := open(); n != queues {
			t.Fatalf("%d circuits at the beginning", n)
		}
		x.silent.Store(true)
		pass(time.Hour)
		if n := open(); n != 0 {
			t.Fatalf("%d circuits to a relay that is gone", n)
		}
		x.silent.Store(false)
		began := time.Now()
		for open() < queues && time.Since(began) < time.Hour {
			pass(time.Second)
		}
		// A wait of ten minutes at most, and that of who asks.
		if d := time.Since(began); d > 11*time.Minute+20*time.Second {
			t.Errorf("all are back after %v", d)
		}
	})
}

// TestAttackAddressFlaps: whoever makes a client's address change all the time
// makes it dial and build at a pace, and not at each change; and one change
// after a quiet time is followed at once.
func TestAttackAddressFlaps(t *testing.T) {
	simulateAges(t, 8, false, func(t *testing.T, w *world) {
		var dialed atomic.Int64
		var flap atomic.Bool
		began := time.Now()
		p := w.ordinary(&dialed, func(netip.AddrPort) netip.Addr {
			a := netip.AddrFrom4([4]byte{192, 0, 2, 1})
			if flap.Load() && int(time.Since(began)/(2*time.Second))%2 == 1 {
				a = a.Next()
			}
			return a
		})
		pass(10 * time.Minute)
		var built, before int64
		count := func() int64 { // the last circuit's number
			for _, i := range p.Circuits() {
				n, _ := strconv.ParseInt(i.ID, 10, 64)
				built = max(built, n)
			}
			return built
		}
		before = count()
		dialed.Store(0)
		flap.Store(true)
		pass(10 * time.Minute)
		flap.Store(false)
		// Four at once and one a minute, of 300 changes.
		if n := dialed.Load(); n < 5 || n > 4+10+1 {
			t.Errorf("%d times dialed in ten minutes", n)
		}
		// Three clean circuits are built anew each time, again if the next change
		// comes before they stand, and one per 30 s; and one per 10 s to learn how
		// long that takes.
		if n := count() - before; n > 15*2*3+20+60 {
			t.Errorf("%d circuits built in ten minutes", n)
		}
		pass(10 * time.Minute)
		dialed.Store(0)
		flap.Store(true)
		pass(5 * time.Second)
		if dialed.Load() == 0 {
			t.Error("a change after a quiet time was not followed")
		}
		if _, err := p.Get(canceledSoon(t, 3*time.Second), send("a", w.other(guardOf(p)).id)); err != nil {
			t.Error(err)
		}
	})
}

// TestGuardIsAwaited: where the destination is the guard in use and the other of
// the first two is down, a request waits, says why, and is served soon after
// that guard is back, although failed guards are tried every ten minutes.
func TestGuardIsAwaited(t *testing.T) {
	simulateAges(t, 8, false, func(t *testing.T, w *world) {
		p := w.ordinary(new(atomic.Int64), nil)
		pass(5 * time.Second)
		first := w.relay(guardOf(p))
		first.silent.Store(true)
		var second directory.RelayID
		for second = guardOf(p); second == first.id; second = guardOf(p) {
			pass(time.Second)
		}
		pass(20 * time.Minute)
		_, err := p.Get(canceledSoon(t, 20*time.Second), send("a", second))
		if err == nil || !strings.Contains(err.Error(), "the mailbox relay is your guard, and the guard beside it does not answer") {
			t.Fatalf("got %v", err)
		}
		if o := p.Outlook(); !slices.ContainsFunc(o.Warnings, func(s string) bool { return strings.Contains(s, "something waits") }) || p.Why() != "" {
			t.Errorf("people are told %q, and no path since %q", o.Warnings, p.Why())
		}
		for range 5 { // as a messenger, which rests a minute after a failure
			pass(time.Minute)
			_, _ = p.Get(canceledSoon(t, 20*time.Second), send("a", second))
		}
		first.silent.Store(false)
		began := time.Now()
		k, err := p.Get(canceledSoon(t, 2*time.Minute), send("a", second))
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d > time.Minute+5*time.Second {
			t.Errorf("served %v after the guard was back", d)
		}
		if k.Info().Path[0] != first.id {
			t.Error("over another guard")
		}
		pass(3 * time.Minute)
		if o := p.Outlook(); slices.ContainsFunc(o.Warnings, func(s string) bool { return strings.Contains(s, "something waits") }) {
			t.Errorf("people are still told %q", o.Warnings)
		}
	})
}
