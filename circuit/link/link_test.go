package link

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"hearsay/directory"
)

func TestRelaysKnowEachOther(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		a, b := w.relay("a", "1.0.0.1"), w.relay("b", "1.0.0.2")
		w.list(a, b)
		l := w.link(a, b)
		if id, role, ok := l.Peer(); !ok || id != b.id || role != RoleRelay {
			t.Fatalf("dialer sees %v %v %v", id, role, ok)
		}
		for _, k := range []Kind{KindCircuit, KindGossip, KindRequest} {
			roundTrip(t, l, k)
			s := <-b.seen
			if s.kind != k || !s.proven || s.peer != a.id || s.role != RoleRelay {
				t.Fatalf("listener sees %+v", s)
			}
			if !s.link.relay {
				t.Fatal("the listener gave a relay a client's limits")
			}
		}
		if w.link(a, b) != l {
			t.Error("a second link to the same relay")
		}
		// The other direction uses the same connection.
		back := w.link(b, a)
		if back.dialed {
			t.Fatal("one node pair, two connections")
		}
		roundTrip(t, back, KindCircuit)
		if s := <-a.seen; s.peer != b.id || s.link != l {
			t.Fatalf("dialer as listener sees %+v", s)
		}
		if l.RTT() <= 0 {
			t.Error("no round-trip time")
		}
		l.Close()
		l.Close()
		gone(t, back, w.within(time.Second))
	})
}

func TestAnonymousClient(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		a, c := w.relay("a", "1.0.0.1"), w.start("c", "2.0.0.1", RoleClient, nil)
		w.list(a)
		l := w.link(c, a)
		if w.link(c, a) != l {
			t.Error("a second link to the same relay")
		}
		roundTrip(t, l, KindCircuit)
		s := <-a.seen
		if s.proven || s.peer != (directory.RelayID{}) || s.link.hasLeaf || s.link.relay {
			t.Fatalf("the listener sees more than a client: %+v", s)
		}
		if _, err := s.link.Open(w.ctx(time.Second), KindCircuit); !errors.Is(err, ErrClosed) {
			t.Errorf("a stream towards a client: %v", err)
		}
		if err := tryRoundTrip(l, KindGossip); err == nil {
			t.Error("a client gossips")
		}
		// The socket goes with the connection, which the relay is told, and the
		// next has its own.
		l.Close()
		gone(t, l, w.within(time.Second))
		gone(t, s.link, w.within(time.Second))
		l2 := w.link(c, a)
		if l2 == l || len(w.conns) != 2 {
			t.Fatalf("%d sockets for two connections", len(w.conns))
		}
		if w.conns[0].LocalAddr().String() == w.conns[1].LocalAddr().String() {
			t.Error("both connections from one address")
		}
		c.stop()
		for _, pc := range w.conns {
			if _, err := pc.WriteTo([]byte{0}, net.UDPAddrFromAddrPort(a.Addr())); !errors.Is(err, net.ErrClosed) {
				t.Errorf("a socket outlives its connection: %v", err)
			}
		}
	})
}

// TestClientHelloSaysNothing looks at what a client shows in TLS.
func TestClientHelloSaysNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		infos := make(chan *tls.ClientHelloInfo, 1)
		pc := w.socket("1.0.0.9", 0)
		tr := &quic.Transport{Conn: pc}
		creds, err := newCredentials(testNetwork, &Identity{Key: seeded("x"), LinkKey: seeded("x link")})
		if err != nil {
			t.Fatal(err)
		}
		conf := serverTLS(func() *credentials { return creds })
		inner := conf.GetCertificate
		conf.GetCertificate = func(i *tls.ClientHelloInfo) (*tls.Certificate, error) { infos <- i; return inner(i) }
		ln, err := tr.Listen(conf, clientSideConfig())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tr.Close(); _ = pc.Close() }()
		c := w.start("c", "2.0.0.1", RoleClient, nil)
		l, err := c.Link(w.ctx(10*time.Second), Target{ID: creds.id, LinkKey: creds.link, Addrs: []netip.AddrPort{addrPort(pc.LocalAddr())}})
		if err != nil {
			t.Fatal(err)
		}
		i := <-infos
		if i.ServerName != "" || len(i.SupportedCurves) != 1 || i.SupportedCurves[0] != tls.X25519MLKEM768 {
			t.Errorf("server name %q, curves %v", i.ServerName, i.SupportedCurves)
		}
		conn, err := ln.Accept(w.ctx(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		st := conn.ConnectionState()
		if len(st.TLS.PeerCertificates) != 0 || st.TLS.DidResume || st.Used0RTT || st.TLS.CurveID != tls.X25519MLKEM768 {
			t.Error("a client showed a certificate, resumed or took another key exchange")
		}
		l.Close()
	})
}

func TestBootstrapIsProvenByHello(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		d, c := w.relay("d", "1.0.0.1"), w.start("c", "2.0.0.1", RoleClient, nil)
		boot := Target{Partial: true, Addrs: []netip.AddrPort{d.Addr()}}
		copy(boot.ID[:16], d.id[:16])
		l, err := c.Link(w.ctx(10*time.Second), boot)
		if err != nil {
			t.Fatal(err)
		}
		if id, _, ok := l.Peer(); !ok || id != d.id {
			t.Fatal("the whole identity is not known")
		}
		roundTrip(t, l, KindRequest)
		if l2 := w.link(c, d); l2 != l {
			t.Error("the whole identity led to another link than its prefix")
		}
		l.Close()
		gone(t, l, w.within(time.Second))
		// Another identity at the address, whole and partial.
		boot.ID[3]++
		for _, partial := range []bool{true, false} {
			boot.Partial = partial
			if _, err := c.Link(w.ctx(10*time.Second), boot); !errors.Is(err, ErrWrongKey) {
				t.Errorf("partial %v: %v", partial, err)
			}
		}
	})
}

// TestAttackKeyOfBAtTheAddressOfA: whoever takes over an address, or is another
// relay, cannot pass for the relay that the directory lists there.
func TestAttackKeyOfBAtTheAddressOfA(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		a, b, r := w.relay("a", "1.0.0.1"), w.relay("b", "1.0.0.2"), w.relay("r", "1.0.0.3")
		c := w.start("c", "2.0.0.1", RoleClient, nil)
		w.list(a, b, r)
		for _, from := range []*node{c, r} {
			bad := a.target()
			bad.Addrs = []netip.AddrPort{b.Addr()}
			if _, err := from.Link(w.ctx(10*time.Second), bad); !errors.Is(err, ErrWrongKey) {
				t.Errorf("%s: pinned: %v", from.name, err)
			}
			bad.LinkKey = [32]byte{}
			if _, err := from.Link(w.ctx(10*time.Second), bad); !errors.Is(err, ErrWrongKey) {
				t.Errorf("%s: by hello: %v", from.name, err)
			}
			// The true address is found behind the false one.
			both := a.target()
			both.Addrs = []netip.AddrPort{b.Addr(), a.Addr()}
			l, err := from.Link(w.ctx(10*time.Second), both)
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, l, KindCircuit)
		}
	})
}

// TestOtherNetworkLearnsNothing: the listener does not answer, serves no stream
// and closes the link after the time that it gives everybody.
func TestOtherNetworkLearnsNothing(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.relay("a", "1.0.0.1")
		c := w.start("c", "2.0.0.1", RoleClient, func(c *Config) { c.Network[0]++ })
		w.list(a)
		begin := time.Now()
		tgt := a.target()
		tgt.LinkKey = [32]byte{}
		_, err := c.Link(w.ctx(time.Minute), tgt)
		if !errors.Is(err, ErrUnreachable) {
			t.Fatal(err)
		}
		if d := time.Since(begin); d < helloTimeout || d > helloTimeout+time.Second {
			t.Errorf("gave up after %v", d)
		}
		// A dialer that does not wait for the answer gets no further.
		l := w.link(c, a)
		if err := tryRoundTrip(l, KindCircuit); err == nil {
			t.Error("a stream of another network was served")
		}
		gone(t, l, firstUse)
		if len(a.seen) != 0 {
			t.Error("a handler ran")
		}
	})
}

func TestUnreachable(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, c := w.relay("a", "1.0.0.1"), w.start("c", "2.0.0.1", RoleClient, nil)
		tgt := a.target()
		a.stop()
		if _, err := c.Link(w.ctx(time.Minute), tgt); !errors.Is(err, ErrUnreachable) {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := c.Link(ctx, tgt); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if _, err := c.Link(w.ctx(time.Minute), Target{ID: a.id}); !errors.Is(err, ErrUnreachable) {
			t.Fatal(err)
		}
		c.stop()
		if _, err := c.Link(w.ctx(time.Minute), tgt); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
		for _, pc := range w.conns {
			if _, err := pc.WriteTo([]byte{0}, net.UDPAddrFromAddrPort(tgt.Addrs[0])); !errors.Is(err, net.ErrClosed) {
				t.Errorf("a failed dial left its socket: %v", err)
			}
		}
	})
}

func TestNeverDialsItself(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.relay("a", "1.0.0.1")
		if _, err := a.Link(w.ctx(time.Second), a.target()); !errors.Is(err, ErrUnreachable) {
			t.Fatal(err)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	id := &Identity{Key: seeded("a"), LinkKey: seeded("b")}
	for name, c := range map[string]Config{
		"client without sockets":    {},
		"client with identity":      {Identity: id},
		"relay without identity":    {Role: RoleRelay},
		"relay without socket":      {Role: RoleRelay, Identity: id},
		"relay without a whole key": {Role: RoleRelay, Identity: &Identity{Key: id.Key}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
