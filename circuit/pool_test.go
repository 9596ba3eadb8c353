package circuit_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hearsay/circuit"
	"hearsay/circuit/cell"
	"hearsay/directory"
	"hearsay/directory/gossip"
)

func send(isolation string, x directory.RelayID) circuit.Request {
	return circuit.Request{Isolation: isolation, Purpose: circuit.Send, Destination: x}
}

// TestBuildAndUse builds three hops and a destination over real QUIC and uses
// everything a circuit offers.
func TestBuildAndUse(t *testing.T) {
	simulate(t, 8, func(t *testing.T, w *world) {
		c := w.client(nil)
		x := w.relays[5].id
		k := c.get(send("a", x), 20*time.Second)
		i := k.Info()
		different := map[directory.RelayID]bool{x: true}
		for _, id := range i.Path {
			different[id] = true
		}
		if len(i.Path) != 3 || len(different) != 4 || i.Destination != x || i.State != "open" || i.RTT == 0 || i.Purpose != circuit.Send {
			t.Fatalf("info: %+v", i)
		}
		last := time.Duration(0)
		for hop := range k.Hops() {
			d, err := k.Ping(t.Context(), hop)
			if err != nil {
				t.Fatal(err)
			}
			if d < last+2*latency {
				t.Fatalf("hop %d answers after %v, the one before after %v", hop, d, last)
			}
			last = d
			data := make([]byte, cell.DataSize)
			rand.Read(data)
			if _, err := k.Echo(t.Context(), hop, data); err != nil {
				t.Fatal(err)
			}
		}

		m, err := k.Mailbox(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for n := range 200 { // several windows
			data := bytes.Repeat([]byte{byte(n)}, 1+n%cell.DataSize)
			if err := m.Send(t.Context(), 0x46, 0, data); err != nil {
				t.Fatal(err)
			}
			got, err := m.Recv(t.Context())
			if err != nil || got.Command != 0x46 || !bytes.Equal(got.Data, data) {
				t.Fatalf("message %d: %v %v", n, got, err)
			}
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}

		d, err := k.Directory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := make([]byte, 300_000)
		rand.Read(want)
		wrote := make(chan error, 1)
		go func() {
			_, err := d.Write(want)
			wrote <- err
		}()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(d, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("directory stream: %v", err)
		}
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestSpareIsExtended: with clean circuits ready, a destination is one
// extension away.
func TestSpareIsExtended(t *testing.T) {
	simulate(t, 12, func(t *testing.T, w *world) {
		c := w.client(nil)
		pass(3 * time.Second)
		var guard directory.RelayID
		n := 0
		used := map[directory.RelayID]bool{}
		for _, i := range c.Pool().Circuits() {
			if i.State == "open" && i.Purpose == circuit.Spare {
				n++
				guard = i.Path[0]
				for _, id := range i.Path {
					used[id] = true
				}
			}
		}
		if n != 3 {
			t.Fatalf("%d spare circuits", n)
		}
		var x directory.RelayID
		for _, r := range w.relays {
			if !used[r.id] {
				x = r.id
			}
		}
		start := time.Now()
		k := c.get(send("a", x), 5*time.Second)
		// One QUIC handshake of the middle with x and one trip over four links.
		if d := time.Since(start); d > 20*latency {
			t.Fatalf("took %v", d)
		}
		if k.Info().Path[0] != guard {
			t.Fatal("another guard")
		}
	})
}

// TestIsolation: equal requests share, all others do not.
func TestIsolation(t *testing.T) {
	simulate(t, 8, func(t *testing.T, w *world) {
		c := w.client(nil)
		x, y := w.relays[1].id, w.relays[2].id
		a := c.get(send("a", x), 20*time.Second)
		if c.get(send("a", x), 20*time.Second) != a {
			t.Fatal("an equal request got another circuit")
		}
		fresh := send("a", x)
		fresh.Fresh = true
		subscribe := send("a", x)
		subscribe.Purpose = circuit.Subscribe
		for name, r := range map[string]circuit.Request{
			"isolation": send("b", x), "destination": send("a", y), "purpose": subscribe, "fresh": fresh,
		} {
			if c.get(r, 20*time.Second) == a {
				t.Errorf("%s: shared", name)
			}
		}
		if _, err := c.Pool().Get(t.Context(), circuit.Request{Purpose: circuit.Spare}); err == nil {
			t.Error("spare circuits are not for the asking")
		}
	})
}

// TestOnlyTheGuardSeesTheClient looks at who connected to whom.
func TestOnlyTheGuardSeesTheClient(t *testing.T) {
	simulate(t, 8, func(t *testing.T, w *world) {
		c := w.client(nil)
		var guard directory.RelayID
		for n, x := range []int{1, 2, 3, 4} {
			k := c.get(send(string(rune('a'+n)), w.relays[x].id), 20*time.Second)
			if p := k.Info().Path[0]; guard == (directory.RelayID{}) || w.relays[x].id == guard {
				guard = p
			}
		}
		seen := 0
		for _, r := range w.relays {
			r.mu.Lock()
			if r.seen[clientIP.String()] > 0 {
				seen++
			}
			r.mu.Unlock()
		}
		if seen > 2 {
			t.Fatalf("%d relays saw the client", seen)
		}
	})
}

// TestDestinationUnreachable: the error comes early and names the reason.
func TestDestinationUnreachable(t *testing.T) {
	simulate(t, 8, func(t *testing.T, w *world) {
		c := w.client(nil)
		x := w.other(c.guard())
		x.stop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := c.Pool().Get(ctx, send("a", x.id))
		if !errors.Is(err, circuit.ErrDestination) {
			t.Fatalf("got %v", err)
		}
		_, err = c.Pool().Get(ctx, send("a", directory.RelayID{1}))
		if !errors.Is(err, circuit.ErrDestination) || !strings.Contains(err.Error(), "listed") {
			t.Fatalf("got %v", err)
		}
	})
}

// TestSilentHopIsReplaced: relays that take EXTEND and say nothing, or refuse
// to extend, cost time only.
func TestSilentHopIsReplaced(t *testing.T) {
	for name, break_ := range map[string]func(*fakeRelay){
		"mute":        func(r *fakeRelay) { r.mute.Store(true) },
		"silent":      func(r *fakeRelay) { r.silent.Store(true) },
		"extend fail": func(r *fakeRelay) { r.noExtend.Store(true) },
		"mutiny":      func(r *fakeRelay) { r.mutiny.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 8, func(t *testing.T, w *world) {
				state := new(memory)
				c := w.client(state)
				g := c.guard()
				c.stop()
				broken := 0
				for _, r := range w.relays {
					if r.id != g && broken < 2 {
						break_(r)
						broken++
					}
				}
				c = w.client(state)
				var x directory.RelayID
				for _, r := range w.relays {
					if !r.mute.Load() && !r.silent.Load() && !r.noExtend.Load() && !r.mutiny.Load() && r.id != g {
						x = r.id
					}
				}
				k := c.get(send("a", x), time.Minute)
				if _, err := k.Ping(t.Context(), 3); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// TestGuardLost: the next primary takes over within seconds, and later the
// first one is used again.
func TestGuardLost(t *testing.T) {
	simulate(t, 8, func(t *testing.T, w *world) {
		c := w.client(nil)
		g := c.guard()
		x := w.other(g).id
		k := c.get(send("a", x), 20*time.Second)
		w.relay(g).stop()
		start := time.Now()
		<-k.Done()
		y := w.other(g, c.guardAfter(g))
		n := c.get(send("b", y.id), 10*time.Second)
		if d := time.Since(start); d > 3*time.Second {
			t.Fatalf("took %v", d)
		}
		if n.Info().Path[0] == g {
			t.Fatal("the dead guard is used")
		}
		pass(100 * time.Millisecond)
		c.mu.Lock()
		defer c.mu.Unlock()
		changed, closed := false, false
		for _, e := range c.events {
			changed = changed || e.Type == circuit.EventGuardChanged
			closed = closed || e.Type == circuit.EventClosed && e.Circuit.ID == k.Info().ID && e.Detail != ""
		}
		if !changed || !closed {
			t.Fatalf("events: %+v", c.events)
		}
	})
}

// TestGuardComesBack: after a while the preferred guard is tried and used
// again.
func TestGuardComesBack(t *testing.T) {
	simulate(t, 8, func(t *testing.T, w *world) {
		c := w.client(nil)
		pass(3 * time.Second)
		first, _ := c.Guard()
		r := w.relay(first.ID)
		r.silent.Store(true)
		pass(40 * time.Second)
		if now, _ := c.Guard(); now.ID == first.ID {
			t.Fatal("a silent guard is still in use")
		}
		r.silent.Store(false)
		pass(3 * time.Minute)
		if now, _ := c.Guard(); now.ID != first.ID {
			t.Fatal("the first guard is not used again")
		}
		k := c.get(send("a", w.other(first.ID).id), 20*time.Second)
		if k.Info().Path[0] != first.ID {
			t.Fatal("new circuits avoid the first guard")
		}
	})
}

// TestSilentGuard: a guard that says nothing any more is noticed by unanswered
// cells, long before its link times out.
func TestSilentGuard(t *testing.T) {
	simulate(t, 8, func(t *testing.T, w *world) {
		c := w.client(nil)
		g := c.guard()
		x := w.other(g).id
		k := c.get(send("a", x), 20*time.Second)
		pass(2 * time.Second)
		w.relay(g).silent.Store(true)
		start := time.Now()
		m, err := k.Mailbox(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Send(t.Context(), 0x46, 0, nil); err != nil {
			t.Fatal(err)
		}
		<-k.Done()
		if d := time.Since(start); d > 12*time.Second {
			t.Fatalf("noticed after %v", d)
		}
		if !strings.Contains(k.Info().Reason, "guard") {
			t.Fatalf("reason: %s", k.Info().Reason)
		}
		noticed := time.Now()
		n := c.get(send("a", w.other(g, c.guardAfter(g)).id), 10*time.Second)
		if d := time.Since(noticed); d > 3*time.Second {
			t.Fatalf("the next guard took %v", d)
		}
		if n.Info().Path[0] == k.Info().Path[0] {
			t.Fatal("the silent guard is used")
		}
	})
}

// TestGuardThatRefuses and says nothing to CREATE is given up for the next one.
func TestGuardThatRefuses(t *testing.T) {
	for name, break_ := range map[string]func(*fakeRelay){
		"resets": func(r *fakeRelay) { r.mutiny.Store(true) },
		"mute":   func(r *fakeRelay) { r.mute.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 8, func(t *testing.T, w *world) {
				state := new(memory)
				c := w.client(state)
				g := c.guard()
				c.stop()
				break_(w.relay(g))
				c = w.client(state)
				start := time.Now()
				k := c.get(send("a", w.other(g, c.guardAfter(g)).id), time.Minute)
				if d := time.Since(start); d > 12*time.Second {
					t.Fatalf("took %v", d)
				}
				if k.Info().Path[0] == g {
					t.Fatal("built over the broken guard")
				}
			})
		})
	}
}

// TestGuardStops: GOAWAY moves everything to the next guard before the link is
// closed.
func TestGuardStops(t *testing.T) {
	simulate(t, 8, func(t *testing.T, w *world) {
		c := w.client(nil)
		g := c.guard()
		x := w.other(g).id
		k := c.get(send("a", x), 20*time.Second)
		w.relay(g).endpoint.Drain()
		select {
		case <-k.Retire():
		case <-time.After(time.Second):
			t.Fatal("the circuit is not to be replaced")
		}
		n := c.get(send("a", w.other(g, c.guardAfter(g)).id), 5*time.Second)
		if n.Info().Path[0] == g {
			t.Fatal("built over the guard that stops")
		}
		if _, err := k.Ping(t.Context(), 3); err != nil {
			t.Fatalf("the old circuit ended before its time: %v", err)
		}
	})
}

// TestLossyLinks: lost packets cost time, not guards.
func TestLossyLinks(t *testing.T) {
	simulate(t, 8, func(t *testing.T, w *world) {
		w.loss.Store(10)
		c := w.client(nil)
		g := c.guard()
		for n := range 10 {
			k := c.get(send(string(rune('a'+n)), w.other(g).id), 20*time.Second)
			for range 5 {
				if _, err := k.Ping(t.Context(), 3); err != nil {
					t.Fatalf("circuit %d: %v", n, err)
				}
			}
			pass(20 * time.Second)
		}
		if now := c.guard(); now != g {
			t.Fatal("the guard was given up")
		}
	})
}

// TestSilentMiddle: standing circuits are asked by PING, so a subscription over
// a dead relay ends even if nobody sends anything.
func TestSilentMiddle(t *testing.T) {
	simulate(t, 8, func(t *testing.T, w *world) {
		c := w.client(nil)
		r := send("a", w.other(c.guard()).id)
		r.Purpose = circuit.Subscribe
		k := c.get(r, 20*time.Second)
		pass(time.Minute)
		w.relay(k.Info().Path[2]).mute.Store(true)
		start := time.Now()
		<-k.Retire() // so that it is replaced, before it is given up
		if d := time.Since(start); d > 17*time.Second {
			t.Fatalf("noticed after %v", d)
		}
		<-k.Done()
		if d := time.Since(start); d > 15*time.Second+7*time.Second+time.Second {
			t.Fatalf("given up after %v", d)
		}
	})
}

// TestSilentDestination: a mailbox relay that says nothing any more is given up
// soon, so that the user turns to another one.
func TestSilentDestination(t *testing.T) {
	simulate(t, 8, func(t *testing.T, w *world) {
		c := w.client(nil)
		x := w.other(c.guard())
		r := send("a", x.id)
		r.Purpose = circuit.Subscribe
		k := c.get(r, 20*time.Second)
		pass(time.Minute)
		x.mute.Store(true)
		start := time.Now()
		<-k.Done()
		if d := time.Since(start); d > 19*time.Second {
			t.Fatalf("given up after %v", d)
		}
	})
}

// TestDestroyBothWays: a circuit that ends anywhere ends everywhere.
func TestDestroyBothWays(t *testing.T) {
	simulate(t, 8, func(t *testing.T, w *world) {
		c := w.client(nil)
		pass(2 * time.Second)
		total := func() (n int) {
			for _, r := range w.relays {
				n += r.open()
			}
			return n
		}
		k := c.get(send("a", w.relays[1].id), 20*time.Second)
		pass(5 * time.Second)
		before := total()
		k.Close()
		k.Close()
		pass(10 * latency)
		if after := total(); after != before-4 {
			t.Fatalf("%d hops before, %d after", before, after)
		}

		k = c.get(send("b", w.relays[1].id), 20*time.Second)
		middle := w.relay(k.Info().Path[2])
		middle.mu.Lock()
		for h := range middle.hops {
			reset(h.prev)
		}
		middle.mu.Unlock()
		select {
		case <-k.Done():
		case <-time.After(time.Second):
			t.Fatal("the client does not know")
		}
		if !strings.Contains(k.Info().Reason, "closed it") {
			t.Fatalf("reason: %s", k.Info().Reason)
		}
	})
}

// TestTooFewRelays: below four nothing is built, and the error says why.
func TestTooFewRelays(t *testing.T) {
	simulate(t, 3, func(t *testing.T, w *world) {
		c := w.client(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := c.Pool().Get(ctx, send("a", w.relays[0].id))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "3 usable relays") {
			t.Fatalf("got %v", err)
		}
		if !c.NoPath() || !strings.Contains(c.Pool().Why(), "3 usable relays") {
			t.Fatalf("why: %q", c.Pool().Why())
		}
		for _, r := range w.relays {
			if r.open() != 0 {
				t.Fatal("something was built")
			}
		}
	})
}

// TestFourRelays is the smallest network that works.
func TestFourRelays(t *testing.T) {
	simulate(t, 4, func(t *testing.T, w *world) {
		c := w.client(nil)
		for n, r := range w.relays {
			k := c.get(send(string(rune('a'+n)), r.id), 20*time.Second)
			if _, err := k.Ping(t.Context(), 3); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestRestartKeepsGuard: the same guard, from the saved state.
func TestRestartKeepsGuard(t *testing.T) {
	simulate(t, 20, func(t *testing.T, w *world) {
		state := new(memory)
		var guard directory.RelayID
		for range 4 {
			c := w.client(state)
			g := c.guard()
			if guard == (directory.RelayID{}) {
				guard = g
			}
			if g != guard {
				t.Fatal("a restart changed the guard")
			}
			c.stop()
		}
		if err := state.Save("circuit/path", []byte{1, 2, 3}); err != nil {
			t.Fatal(err)
		}
		if _, err := circuit.NewClient(circuit.ClientConfig{Network: testNetwork, Views: w.views, State: state}); err == nil {
			t.Fatal("a damaged state was replaced in silence")
		}
	})
}

// fullDisk is a State that cannot save while full is set.
type fullDisk struct {
	memory
	full atomic.Bool
}

func (s *fullDisk) Save(name string, value []byte) error {
	if s.full.Load() {
		return errors.New("no space left on device")
	}
	return s.memory.Save(name, value)
}

// TestGuardsAreSavedAfterAFullDisk: guards that could not be written are
// written later, although they did not change again; a restart would draw
// others.
func TestGuardsAreSavedAfterAFullDisk(t *testing.T) {
	simulate(t, 20, func(t *testing.T, w *world) {
		state := new(fullDisk)
		state.full.Store(true)
		c := w.client(state)
		guard := c.guard()
		pass(time.Minute)
		state.full.Store(false)
		pass(time.Minute)
		c.stop()
		for range 4 {
			c = w.client(state)
			if g := c.guard(); g != guard {
				t.Fatal("a restart changed the guard")
			}
			c.stop()
		}
	})
}

// TestRetire: circuits announce their end, and the next request gets another.
func TestRetire(t *testing.T) {
	simulate(t, 8, func(t *testing.T, w *world) {
		c := w.client(nil)
		x := w.relays[1].id
		k := c.get(send("a", x), 20*time.Second)
		s := send("a", x)
		s.Purpose = circuit.Subscribe
		sub := c.get(s, 20*time.Second)
		start := time.Now()
		<-k.Retire()
		if d := time.Since(start); d < 8*time.Minute || d > 12*time.Minute+10*time.Second {
			t.Fatalf("retired after %v", d)
		}
		next := c.get(send("a", x), 20*time.Second)
		if next == k {
			t.Fatal("a retired circuit was handed out")
		}
		if _, err := k.Ping(t.Context(), 3); err != nil {
			t.Fatalf("a retired circuit still works: %v", err)
		}
		<-k.Done()
		<-sub.Retire()
		if d := time.Since(start); d < 45*time.Minute || d > 76*time.Minute {
			t.Fatalf("retired after %v", d)
		}
		<-sub.Done()
		if d := time.Since(start); d > 80*time.Minute {
			t.Fatalf("closed after %v", d)
		}
	})
}

// TestAllLinksDie: when the network comes back, circuits do.
func TestAllLinksDie(t *testing.T) {
	simulate(t, 8, func(t *testing.T, w *world) {
		c := w.client(nil)
		x := w.relays[1].id
		k := c.get(send("a", x), 20*time.Second)
		for _, r := range w.relays {
			r.silent.Store(true)
		}
		<-k.Done()
		pass(2 * time.Minute)
		for _, r := range w.relays {
			r.silent.Store(false)
		}
		n := c.get(send("a", x), 25*time.Second)
		if _, err := n.Ping(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
	})
}

// TestStopWhileBuilding: nothing is left behind, whenever the client stops.
func TestStopWhileBuilding(t *testing.T) {
	for _, after := range []time.Duration{0, latency, 3 * latency, 5 * latency, 9 * latency, 14 * latency, time.Second} {
		simulate(t, 6, func(t *testing.T, w *world) {
			c := w.client(nil)
			got := make(chan error, 1)
			go func() {
				_, err := c.Pool().Get(context.Background(), send("a", w.relays[1].id))
				got <- err
			}()
			pass(after)
			c.stop()
			if err := <-got; err != nil && !errors.Is(err, circuit.ErrClosed) {
				t.Fatal(err)
			}
			pass(time.Second)
			for _, r := range w.relays {
				if r.open() != 0 {
					t.Fatal("a circuit is left at a relay")
				}
			}
		})
	}
}

// TestDirectoryRequests uses the dialer as the directory client does.
func TestDirectoryRequests(t *testing.T) {
	simulate(t, 6, func(t *testing.T, w *world) {
		c := w.client(nil)
		d := c.Dialer()
		r := w.relays[3]
		p := gossip.Peer{ID: r.id, Partial: true}
		clear(p.ID[16:])
		p.Addrs = append(p.Addrs, r.addr)
		for range 3 {
			s, id, err := d.Request(t.Context(), p)
			if err != nil || id != r.id {
				t.Fatalf("%v %v", id, err)
			}
			if _, err := s.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 5)
			if _, err := io.ReadFull(s, b); err != nil || string(b) != "hello" {
				t.Fatalf("%q %v", b, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := d.Gossip(t.Context(), p); err == nil {
			t.Fatal("a client gossiped")
		}
	})
}
