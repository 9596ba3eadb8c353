package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"hearsay/directory"
)

// TestSimultaneousDialLeavesOneConnection dials from both sides at once: both
// end with the connection that the smaller identity dialed.
func TestSimultaneousDialLeavesOneConnection(t *testing.T) {
	for _, skew := range []time.Duration{0, latency / 2, latency, 2 * latency, 3 * latency} {
		t.Run(fmt.Sprint(skew), func(t *testing.T) {
			simulated(t, func(t *testing.T, w *world) {
				a, b := w.relay("a", "1.0.0.1"), w.relay("b", "1.0.0.2")
				if smaller(a.id, b.id) == b.id {
					a, b = b, a
				}
				w.list(a, b)
				var wg sync.WaitGroup
				use := func(from, to *node, after time.Duration) {
					pass(after)
					l, err := from.Link(w.ctx(10*time.Second), to.target())
					if err == nil {
						err = tryRoundTrip(l, KindCircuit)
					}
					if err != nil {
						t.Error(err)
					}
				}
				for i := range 4 { // several callers share each dial
					wg.Go(func() { use(a, b, 0) })
					wg.Go(func() { use(b, a, skew*time.Duration(i%2)) })
				}
				wg.Wait()
				pass(drainClose + time.Second)
				synctest.Wait()
				if na, nb := len(a.all()), len(b.all()); na != 1 || nb != 1 {
					t.Fatalf("%d and %d links are left", na, nb)
				}
				if la := w.link(a, b); la != a.all()[0] || !la.dialed {
					t.Error("the smaller identity's connection was not kept")
				}
				roundTrip(t, w.link(a, b), KindCircuit)
				roundTrip(t, w.link(b, a), KindCircuit)
			})
		})
	}
}

// TestStatelessResetAfterCrash kills a relay without a word and starts it again
// with the same keys: its peer notices at the first cell that it sends. (A
// keepalive is too short a packet to be answered by a stateless reset.)
func TestStatelessResetAfterCrash(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		keys := func(c *Config) { c.StatelessResetKey[0], c.TokenGeneratorKey[0] = 7, 8 }
		a, b := w.relay("a", "1.0.0.1"), w.start("b", "1.0.0.2", RoleRelay, keys)
		w.list(a, b)
		l := w.link(a, b)
		roundTrip(t, l, KindCircuit)
		b.crash()
		b2 := w.start("b", "1.0.0.2", RoleRelay, keys)
		begin := time.Now()
		if err := tryRoundTrip(l, KindCircuit); err == nil {
			t.Fatal("the dead link works")
		}
		gone(t, l, latency)
		if d := time.Since(begin); d > 3*latency {
			t.Errorf("noticed after %v", d)
		}
		roundTrip(t, w.link(a, b2), KindCircuit)
	})
}

// TestRestartIsNoticedOnAQuietLink: nobody sends a cell to a relay that was
// killed and started again, and yet its peer notices long before the link would
// have idled out. A peer that answers keepalives gets no such PAD.
func TestRestartIsNoticedOnAQuietLink(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		keys := func(c *Config) { c.StatelessResetKey[0], c.TokenGeneratorKey[0] = 7, 8 }
		a, b := w.relay("a", "1.0.0.1"), w.start("b", "1.0.0.2", RoleRelay, keys)
		w.list(a, b)
		l := w.link(a, b)
		s, err := l.Open(t.Context(), KindCircuit)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte{byte(KindCircuit)}); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Minute)
		if l.conn.Context().Err() != nil {
			t.Fatal("a quiet link ended")
		}
		heard := func() time.Time {
			for _, back := range b.busyRelayLinks() {
				return time.Unix(0, back.heard.Load())
			}
			t.Fatal("no link")
			return time.Time{}
		}
		if h := heard(); time.Since(h) < 9*time.Minute {
			t.Errorf("a live peer was sent a cell %v ago", time.Since(h))
		}
		b.crash()
		w.start("b", "1.0.0.2", RoleRelay, keys)
		gone(t, l, nudgeAfter+nudgeEvery+2*latency)
	})
}

// TestPeerThatLostTheLinkIsNotTurnedAway: after a crash the restarted relay
// dials first, while the other side still believes in the old link. The rule
// for simultaneous dials must not prefer the dead one.
func TestPeerThatLostTheLinkIsNotTurnedAway(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.relay("a", "1.0.0.1"), w.relay("b", "1.0.0.2")
		if smaller(a.id, b.id) == b.id {
			a, b = b, a
		}
		w.list(a, b)
		old := w.link(a, b)
		roundTrip(t, old, KindCircuit)
		pass(simultaneous + time.Second)
		b.crash()
		b2 := w.start(b.name, b.Addr().Addr().String(), RoleRelay, nil)
		l := w.link(b2, a)
		roundTrip(t, l, KindCircuit)
		roundTrip(t, w.link(a, b2), KindCircuit)
		if w.link(a, b2) == old {
			t.Fatal("the dead link was kept")
		}
		select {
		case <-l.Draining():
			t.Fatal("the new link was sent away")
		default:
		}
	})
}

func TestSilentPeerIsNoticed(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b, c := w.relay("a", "1.0.0.1"), w.relay("b", "1.0.0.2"), w.start("c", "2.0.0.1", RoleClient, nil)
		w.list(a, b)
		l, lc := w.link(a, b), w.link(c, b)
		roundTrip(t, l, KindCircuit)
		roundTrip(t, lc, KindCircuit)
		begin := time.Now()
		b.crash()
		gone(t, l, relayIdle+relayKeepAlive+time.Second)
		gone(t, lc, clientIdle+time.Second)
		if d := time.Since(begin); d < clientIdle-time.Second {
			t.Errorf("the client's link ended after %v", d)
		}
	})
}

// TestIdleRelayLinkCloses: a link between nodes that nobody uses ends after
// 12 to 18 minutes, one with a stream stays, and the draw differs.
func TestIdleRelayLinkCloses(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b, c := w.relay("a", "1.0.0.1"), w.relay("b", "1.0.0.2"), w.relay("c", "1.0.0.3")
		w.list(a, b, c)
		used := w.link(a, c)
		s, err := used.Open(w.ctx(time.Second), KindCircuit)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte{byte(KindCircuit)}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			l := w.link(a, b)
			roundTrip(t, l, KindCircuit)
			begin := time.Now()
			gone(t, l, idleClose+idleCloseJitter+time.Second)
			if d := time.Since(begin); d < idleClose-idleCloseJitter-time.Second {
				t.Errorf("closed after %v", d)
			}
		}
		if used.Streams() != 1 || used.conn.Context().Err() != nil {
			t.Fatal("a link in use was closed")
		}
		reset(s)
		synctest.Wait()
		pass(time.Second)
		if n := used.Streams(); n != 0 {
			t.Errorf("%d streams are counted after the last was reset", n)
		}
		gone(t, used, idleClose+idleCloseJitter+time.Second)
	})
}

func TestGoAway(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		a, c := w.relay("a", "1.0.0.1"), w.start("c", "2.0.0.1", RoleClient, nil)
		w.list(a)
		l := w.link(c, a)
		s, err := l.Open(w.ctx(5*time.Second), KindCircuit)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte{byte(KindCircuit)}); err != nil {
			t.Fatal(err)
		}
		server := (<-a.seen).link
		server.GoAway()
		server.GoAway()
		<-l.Draining()
		if _, err := l.Open(w.ctx(time.Second), KindCircuit); !errors.Is(err, ErrDraining) {
			t.Errorf("open on a draining link: %v", err)
		}
		// What is open goes on, and the next user gets a new link.
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Read(make([]byte, 10)); n != 1 {
			t.Errorf("read %d, %v on an open stream of a draining link", n, err)
		}
		if w.link(c, a) == l {
			t.Error("a draining link was given out")
		}
		gone(t, l, w.within(drainClose+time.Second))
	})
}

// TestDrain: a node that ends refuses circuits and newcomers, tells everybody,
// and lets open streams go on.
func TestDrain(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		a, c, d := w.relay("a", "1.0.0.1"), w.start("c", "2.0.0.1", RoleClient, nil), w.start("d", "2.0.0.2", RoleClient, nil)
		w.list(a)
		l := w.link(c, a)
		s, err := l.Open(w.ctx(5*time.Second), KindCircuit)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte{byte(KindCircuit)}); err != nil {
			t.Fatal(err)
		}
		<-a.seen
		late, err := l.Open(w.ctx(5*time.Second), KindCircuit) // opened before the GOAWAY, used after
		if err != nil {
			t.Fatal(err)
		}
		a.Drain()
		<-l.Draining()
		if _, err := late.Write([]byte{byte(KindCircuit)}); err == nil {
			if _, err := late.Read(make([]byte, 1)); err == nil {
				t.Error("a draining node took a circuit")
			}
		}
		if _, err := d.Link(w.ctx(5*time.Second), a.target()); !errors.Is(err, ErrUnreachable) {
			t.Errorf("a draining node took a newcomer: %v", err)
		}
		_ = s.Close()
		if n, err := s.Read(make([]byte, 10)); n != 1 {
			t.Errorf("read %d, %v on an open stream of a draining node", n, err)
		}
	})
}

// TestRelayDialsAnewOnceListed: a relay that nobody knows yet gets a client's
// limits, and its links end softly when it is listed.
func TestRelayDialsAnewOnceListed(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		views := new(directory.Views)
		a := w.start("a", "1.0.0.1", RoleRelay, func(c *Config) { c.Views = views })
		b := w.relay("b", "1.0.0.2")
		w.list(a, b)
		l := w.link(b, a)
		roundTrip(t, l, KindCircuit)
		s := <-a.seen
		if s.link.relay || !s.proven || s.peer != b.id {
			t.Fatalf("%+v", s)
		}
		if err := tryRoundTrip(l, KindGossip); err == nil {
			t.Error("an unlisted relay gossips with a relay")
		}
		views.Set(w.views.Current())
		<-l.Draining()
		l2 := w.link(b, a)
		roundTrip(t, l2, KindGossip)
		if s := <-a.seen; !s.link.relay {
			t.Fatal("a listed relay has a client's limits")
		}
	})
}

func TestAllowGossip(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		n := w.relay("newcomer", "1.0.0.9")
		d := w.start("d", "1.0.0.1", RoleDirectory, func(c *Config) {
			c.AllowGossip = func(id directory.RelayID) bool { return id == n.id }
			delete(c.Handlers, KindCircuit)
		})
		c := w.start("c", "2.0.0.1", RoleClient, nil)
		l, err := n.Link(w.ctx(time.Second), Target{ID: d.id, Addrs: d.target().Addrs})
		if err != nil {
			t.Fatal(err)
		}
		if _, role, _ := l.Peer(); role != RoleDirectory {
			t.Errorf("role %d", role)
		}
		roundTrip(t, l, KindGossip)
		if s := <-d.seen; !s.proven || s.peer != n.id {
			t.Errorf("%+v", s)
		}
		if err := tryRoundTrip(l, KindCircuit); err == nil {
			t.Error("a directory node took a circuit")
		}
		lc := w.link(c, d)
		if err := tryRoundTrip(lc, KindGossip); err == nil {
			t.Error("an anonymous client gossips")
		}
		roundTrip(t, lc, KindRequest)

		// The newcomer may have no address: requests go over the link that it made,
		// and nothing else does.
		back, err := d.Link(w.ctx(time.Second), Target{ID: n.id})
		if err != nil {
			t.Fatal(err)
		}
		roundTrip(t, back, KindRequest)
		for _, k := range []Kind{KindGossip, KindCircuit} {
			if _, err := back.Open(w.ctx(time.Second), k); !errors.Is(err, ErrClosed) {
				t.Errorf("kind %#x to a node that is no relay: %v", k, err)
			}
		}
		// Another one who may not gossip is not kept for reuse.
		stranger := w.relay("stranger", "1.0.0.8")
		if _, err := stranger.Link(w.ctx(time.Second), Target{ID: d.id, Addrs: d.target().Addrs}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Link(w.ctx(time.Second), Target{ID: stranger.id}); !errors.Is(err, ErrUnreachable) {
			t.Errorf("a link to a stranger: %v", err)
		}
	})
}

func TestNewLinkKey(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, c := w.relay("a", "1.0.0.1"), w.start("c", "2.0.0.1", RoleClient, nil)
		old := w.link(c, a)
		if err := a.SetLinkKey(seeded("next")); err != nil {
			t.Fatal(err)
		}
		roundTrip(t, old, KindCircuit)
		old.Close()
		gone(t, old, time.Second)
		if _, err := c.Link(w.ctx(time.Second), a.target()); !errors.Is(err, ErrWrongKey) {
			t.Errorf("the old key still works: %v", err)
		}
		tgt := a.target()
		tgt.LinkKey = publicOf(seeded("next"))
		if _, err := c.Link(w.ctx(time.Second), tgt); err != nil {
			t.Error(err)
		}
		if c.SetLinkKey(seeded("x")) == nil {
			t.Error("a client has a link key")
		}
	})
}

// TestDialIsSharedAndGivenUp: the callers of one dial share it, and it ends
// with the last of them.
func TestDialIsSharedAndGivenUp(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		c := w.start("c", "2.0.0.1", RoleClient, nil)
		dead := Target{ID: directory.RelayID{1}, LinkKey: [32]byte{2}, Addrs: []netip.AddrPort{netip.MustParseAddrPort("1.0.0.77:9000")}}
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i+1)*time.Second)
				defer cancel()
				if _, err := c.Link(ctx, dead); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if len(w.conns) != 1 {
			t.Errorf("%d sockets for one dial", len(w.conns))
		}
		if d := time.Since(begin); d != 3*time.Second || len(c.dials) != 0 {
			t.Errorf("after %v %d dials are under way", d, len(c.dials))
		}
	})
}

// nat gives a simulated node another public address, which can change.
type nat struct {
	router *simnet.PerfectRouter
	mu     sync.Mutex
	public net.Addr
}

func (n *nat) AddNode(addr net.Addr, r simnet.PacketReceiver) {}

func (n *nat) SendPacket(p simnet.Packet) error {
	n.mu.Lock()
	p.From = n.public
	n.mu.Unlock()
	return n.router.SendPacket(p)
}

// rebind moves the node behind another public address.
func (n *nat) rebind(addr net.Addr, r simnet.PacketReceiver) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.public != nil {
		n.router.RemoveNode(n.public)
	}
	n.public = addr
	n.router.AddNode(addr, r)
}

// TestRebinding: a client whose address translation changes keeps its link and
// its streams.
func TestRebinding(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		home := &nat{router: w.router}
		l := &simnet.SimulatedLink{Latency: latency, UploadPacket: home}
		pc := simnet.NewBlockingSimConn(net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.0.0.1:1")), l)
		l.Start()
		defer func() { _ = l.Close() }()
		home.rebind(net.UDPAddrFromAddrPort(netip.MustParseAddrPort("2.0.0.1:1000")), l)
		a := w.relay("a", "1.0.0.1")
		c := w.start("c", "", RoleClient, func(c *Config) {
			c.ListenPacket = func() (net.PacketConn, error) { return pc, nil }
		})
		defer c.stop()
		up := w.link(c, a)
		roundTrip(t, up, KindCircuit)
		server := (<-a.seen).link
		before := server.RemoteAddr()
		home.rebind(net.UDPAddrFromAddrPort(netip.MustParseAddrPort("2.0.0.1:2000")), l)
		for range 3 {
			roundTrip(t, up, KindCircuit)
		}
		if server.RemoteAddr() == before || len(a.all()) != 1 {
			t.Errorf("still at %v, %d links", server.RemoteAddr(), len(a.all()))
		}
	})
}
