package link

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"hearsay/circuit/cell"
)

// TestAttackCurveDowngrade: neither side completes a handshake without ML-KEM.
func TestAttackCurveDowngrade(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		a, c := w.relay("a", "1.0.0.1"), w.start("c", "2.0.0.1", RoleClient, nil)
		classical := func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256} }
		if _, err := w.raw("3.0.0.1", a, nil, classical); err == nil {
			t.Error("the listener took a classical key exchange")
		}
		if _, err := w.raw("3.0.0.1", a, nil, func(c *tls.Config) { c.NextProtos = []string{"other"} }); err == nil {
			t.Error("the listener took another protocol")
		}
		creds, err := newCredentials(testNetwork, &Identity{Key: seeded("x"), LinkKey: seeded("x link")})
		if err != nil {
			t.Fatal(err)
		}
		conf := serverTLS(func() *credentials { return creds })
		classical(conf)
		tr := &quic.Transport{Conn: w.socket("1.0.0.9", 0)}
		defer func() { _ = tr.Close(); _ = tr.Conn.Close() }()
		if _, err := tr.Listen(conf, clientSideConfig()); err != nil {
			t.Fatal(err)
		}
		_, err = c.Link(w.ctx(10*time.Second), Target{ID: creds.id, LinkKey: creds.link, Addrs: []netip.AddrPort{addrPort(tr.Conn.LocalAddr())}})
		if !errors.Is(err, ErrUnreachable) {
			t.Errorf("the dialer took a classical key exchange: %v", err)
		}
	})
}

// TestAttackTwoCertificates: a chain of the pinned certificate and another one
// is not what was pinned, and neither is a key of another algorithm.
func TestAttackTwoCertificates(t *testing.T) {
	one, err := certificate(seeded("x"))
	if err != nil {
		t.Fatal(err)
	}
	check := dialTLS(publicOf(seeded("x")), nil).VerifyConnection
	leaf := parse(t, one)
	if err := check(tls.ConnectionState{PeerCertificates: leaf}); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]tls.ConnectionState{
		"none":    {},
		"two":     {PeerCertificates: append(leaf, leaf...)},
		"foreign": {PeerCertificates: parse(t, ecdsaCertificate(t))},
	} {
		if err := check(s); !errors.Is(err, ErrWrongKey) {
			t.Errorf("%s: %v", name, err)
		}
		if err := dialTLS([32]byte{}, nil).VerifyConnection(s); !errors.Is(err, ErrWrongKey) {
			t.Errorf("%s, unpinned: %v", name, err)
		}
	}
}

// TestAttackAnonymousAtRelayAddress: the limits of a relay go with its address,
// so who comes from there must prove to be the relay.
func TestAttackAnonymousAtRelayAddress(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a, b := w.relay("a", "1.0.0.1"), w.relay("b", "1.0.0.2")
		w.list(a, b)
		b.stop()
		for name, key := range map[string]ed25519.PrivateKey{"no certificate": nil, "another key": seeded("mallory link")} {
			tr := &quic.Transport{Conn: w.socket("1.0.0.2", 9000)}
			tc := baseTLS()
			tc.InsecureSkipVerify = true
			hello := clientHello()
			if key != nil {
				creds, err := newCredentials(testNetwork, &Identity{Key: seeded("mallory"), LinkKey: key})
				if err != nil {
					t.Fatal(err)
				}
				tc.Certificates = []tls.Certificate{creds.cert}
				hello = creds.hello(RoleRelay, time.Now())
			}
			c, err := tr.Dial(w.ctx(time.Second), a.conn.LocalAddr(), tc, relayConfig())
			if err != nil {
				t.Fatal(err)
			}
			w.rawHello(c, helloCell(hello))
			s, err := c.OpenStreamSync(w.ctx(time.Minute))
			if err == nil {
				_, _ = s.Write([]byte{byte(KindCircuit)})
			}
			select {
			case <-c.Context().Done():
			case <-time.After(firstUse + time.Second):
				t.Errorf("%s: the link stays", name)
			}
			if len(a.seen) != 0 {
				t.Errorf("%s: a stream was served", name)
			}
			_ = tr.Close()
			_ = tr.Conn.Close()
		}
	})
}

func TestUnknownStreamKindIsReset(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		a, c := w.relay("a", "1.0.0.1"), w.start("c", "2.0.0.1", RoleClient, nil)
		l := w.link(c, a)
		roundTrip(t, l, KindCircuit)
		<-a.seen
		for _, k := range []Kind{0x00, 0x02, 0x03, 0x05, 0x06, 0x22, 0x7f, 0xff} {
			s, err := l.Open(w.ctx(5*time.Second), KindCircuit)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write([]byte{byte(k), 1, 2, 3}); err != nil {
				t.Fatal(err)
			}
			_ = s.SetReadDeadline(time.Now().Add(w.within(5 * time.Second)))
			if !wasReset(s) {
				t.Errorf("kind %#x was not reset", k)
			}
			reset(s)
		}
		roundTrip(t, l, KindCircuit)
	})
}

// wasReset reads from a stream and reports whether the peer reset it.
func wasReset(s *Stream) bool {
	var se *quic.StreamError
	_, err := s.Read(make([]byte, 1))
	return errors.As(err, &se) && se.Remote && se.ErrorCode == 0
}

// TestAttackSlowloris: who does not get to the point within ten seconds is cut
// off, at whichever step he stops.
func TestAttackSlowloris(t *testing.T) {
	hello := helloCell(clientHello())
	for name, step := range map[string]func(w *world, c *quic.Conn){
		"silent":             func(*world, *quic.Conn) {},
		"half a hello":       func(w *world, c *quic.Conn) { w.rawHello(c, hello[:600]) },
		"hello and no more":  func(w *world, c *quic.Conn) { w.rawHello(c, hello) },
		"another first cell": func(w *world, c *quic.Conn) { w.rawHello(c, goAwayCell()) },
		"HTTP/3":             func(w *world, c *quic.Conn) { w.rawHello(c, []byte{0x01, 0x10}) },
		"unknown streams": func(w *world, c *quic.Conn) {
			w.rawHello(c, hello)
			for range 8 {
				w.rawHello(c, []byte{0x7f})
			}
		},
		"padding for ever": func(w *world, c *quic.Conn) {
			s := w.rawHello(c, hello)
			for {
				if _, err := s.Write(make([]byte, cell.Size)); err != nil {
					return
				}
				pass(time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			simulated(t, func(t *testing.T, w *world) {
				a := w.relay("a", "1.0.0.1")
				c, err := w.raw("3.0.0.1", a, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				var wg sync.WaitGroup
				defer wg.Wait()
				wg.Go(func() { step(w, c) })
				<-c.Context().Done()
				if d := time.Since(begin); d < firstUse-time.Second || d > firstUse+time.Second {
					t.Errorf("cut off after %v", d)
				}
				if len(a.seen) != 0 {
					t.Error("a handler ran")
				}
			})
		})
	}
}

// TestAttackHandshakeSlowloris: a handshake that stops is given up.
func TestAttackHandshakeSlowloris(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.relay("a", "1.0.0.1")
		stall := make(chan struct{})
		go func() {
			_, _ = w.raw("3.0.0.1", a, nil, func(c *tls.Config) {
				c.VerifyConnection = func(tls.ConnectionState) error { <-stall; return errors.New("late") }
			})
		}()
		pass(time.Second)
		synctest.Wait()
		if _, n := a.door.count(); n != 1 {
			t.Fatalf("%d handshakes", n)
		}
		pass(2 * handshakeIdle)
		synctest.Wait()
		if links, n := a.door.count(); n != 0 || links != 0 {
			t.Errorf("%d handshakes, %d links are left", n, links)
		}
		close(stall)
	})
}

// TestControlStreamIsStrict: whatever does not belong there ends the link.
func TestControlStreamIsStrict(t *testing.T) {
	hello := helloCell(clientHello())
	shape := make([]byte, cell.Size)
	cell.Header{Type: cell.Shape}.Put(shape)
	trimmed := goAwayCell()
	trimmed[3] = 1
	padded := goAwayCell()
	padded[1000] = 1
	relayed := make([]byte, cell.Size)
	cell.Header{Type: cell.Relay}.Put(relayed)
	for name, c := range map[string]struct {
		cells []byte
		lives bool
	}{
		"padding":        {make([]byte, 3*cell.Size), true},
		"goaway":         {goAwayCell(), true}, // drains, with a stream open
		"two goaways":    {append(goAwayCell(), goAwayCell()...), false},
		"a second hello": {hello, false},
		"shape":          {shape, true},
		"trim":           {append(trimmed, 0), false},
		"dirty goaway":   {padded, false},
		"a circuit cell": {relayed, false},
		"half a cell":    {make([]byte, 100), false},
		"unknown type":   {append([]byte{9}, make([]byte, cell.Size-1)...), false},
	} {
		t.Run(name, func(t *testing.T) {
			simulated(t, func(t *testing.T, w *world) {
				a := w.relay("a", "1.0.0.1")
				conn, err := w.raw("3.0.0.1", a, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				s := w.rawHello(conn, hello)
				w.rawHello(conn, []byte{byte(KindCircuit)})
				<-a.seen
				if _, err := s.Write(c.cells); err != nil {
					t.Fatal(err)
				}
				select {
				case <-conn.Context().Done():
					if c.lives {
						t.Error("the link ended")
					}
				case <-time.After(cellTimeout + time.Second):
					if !c.lives {
						t.Error("the link lives")
					}
				}
			})
		})
	}
}

func TestSecondControlStreamEndsTheLink(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.relay("a", "1.0.0.1")
		conn, err := w.raw("3.0.0.1", a, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.rawHello(conn, helloCell(clientHello()))
		w.rawHello(conn, helloCell(clientHello()))
		select {
		case <-conn.Context().Done():
		case <-time.After(time.Second):
			t.Error("the link lives")
		}
	})
}

func TestEndOfControlStreamEndsTheLink(t *testing.T) {
	for name, end := range map[string]func(*quic.Stream){
		"fin":   func(s *quic.Stream) { _ = s.Close() },
		"reset": func(s *quic.Stream) { s.CancelWrite(0) },
	} {
		t.Run(name, func(t *testing.T) {
			simulated(t, func(t *testing.T, w *world) {
				a := w.relay("a", "1.0.0.1")
				conn, err := w.raw("3.0.0.1", a, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				s := w.rawHello(conn, helloCell(clientHello()))
				w.rawHello(conn, []byte{byte(KindCircuit)})
				<-a.seen
				end(s)
				select {
				case <-conn.Context().Done():
				case <-time.After(time.Second):
					t.Error("the link lives")
				}
			})
		})
	}
}

// TestAttackRapidReset: who opens streams and resets them at once gets no more
// of them taken up than the rate allows, and no more credit.
func TestAttackRapidReset(t *testing.T) {
	const span = 10 * time.Second
	simulated(t, func(t *testing.T, w *world) {
		a := w.relay("a", "1.0.0.1")
		conn, err := w.raw("3.0.0.1", a, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		w.rawHello(conn, helloCell(clientHello()))
		opened := 0
		ctx := w.ctx(span)
		for {
			s, err := conn.OpenStreamSync(ctx)
			if err != nil {
				break
			}
			opened++
			_, _ = s.Write([]byte{byte(KindCircuit)})
			reset(s)
		}
		most := clientStreams - 1 + clientStreamBurst + int(span.Seconds()*float64(clientStreamRate)) + 1
		if opened > most || opened < clientStreamBurst {
			t.Errorf("opened %d streams in %v, at most %d are allowed", opened, span, most)
		}
		if len(a.seen) > most {
			t.Errorf("%d handlers ran", len(a.seen))
		}
		t.Logf("opened %d of at most %d", opened, most)
	})
}

// TestAttackTooManyStreams: each kind has its own limit, below that of the link.
func TestAttackTooManyStreams(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		a := w.relay("a", "1.0.0.1")
		c := w.start("c", "2.0.0.1", RoleClient, nil)
		w.list(a)
		l := w.link(c, a)
		var open []*Stream
		for _, k := range []Kind{KindRequest, KindRequest, KindRequest} {
			s, err := l.Open(w.ctx(time.Second), k)
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, s)
		}
		for range clientCircuits {
			s, err := l.Open(w.ctx(time.Minute), KindCircuit)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write([]byte{byte(KindCircuit)}); err != nil {
				t.Fatal(err)
			}
			open = append(open, s)
		}
		pass(10 * time.Second)
		synctest.Wait()
		if n := len(a.seen); n != clientCircuits+maxRequests {
			t.Errorf("%d streams are served", n)
		}
		refused := 0 // any of the three: they are served side by side
		for i := range 3 {
			_ = open[i].SetReadDeadline(time.Now().Add(time.Second))
			if wasReset(open[i]) {
				refused++
			} else {
				open[0] = open[i]
			}
		}
		if refused != 1 {
			t.Errorf("%d of three requests were reset", refused)
		}
		// Some more have room that have ended, or are not known yet.
		for range clientEnding {
			if _, err := l.Open(w.ctx(time.Second), KindCircuit); err != nil {
				t.Fatal(err)
			}
		}
		// The link is full: another stream must wait until one ends.
		if _, err := l.Open(w.ctx(10*time.Second), KindCircuit); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a stream beyond the limit of the link: %v", err)
		}
		reset(open[0])
		s, err := l.Open(w.ctx(time.Minute), KindCircuit)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte{byte(KindCircuit)}); err != nil {
			t.Fatal(err)
		}
		if !wasReset(s) {
			t.Error("a 33rd circuit was not reset")
		}
	})
}

// unreadBy starts a relay that reads no circuit whose second byte is 0xff, and
// echoes others.
func (w *world) unreadBy(name, ip string) *node {
	w.t.Helper()
	return w.start(name, ip, RoleRelay, func(c *Config) {
		echo := c.Handlers[KindCircuit]
		c.Handlers[KindCircuit] = func(ctx context.Context, l *Link, s *Stream) {
			var b [2]byte
			if _, err := s.Peek(b[:]); err == nil && b[1] == 0xff {
				<-ctx.Done()
				return
			}
			echo(ctx, l, s)
		}
	})
}

// unread writes n bytes to a circuit that is not read, and reports whether the
// peer's windows took them.
func (w *world) unread(l *Link, n int) bool {
	w.t.Helper()
	s, err := l.Open(w.ctx(time.Minute), KindCircuit)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = s.SetWriteDeadline(time.Now().Add(2 * time.Second))
	b := make([]byte, n)
	b[0], b[1] = byte(KindCircuit), 0xff
	_, err = s.Write(b)
	return err == nil
}

// TestStalledStreamsBlockNoOther is the head-of-line rule at work: circuits
// are filled to their windows and not read, and another one works.
func TestStalledStreamsBlockNoOther(t *testing.T) {
	t.Run("relay", func(t *testing.T) {
		simulated(t, func(t *testing.T, w *world) {
			a, b := w.unreadBy("a", "1.0.0.1"), w.relay("b", "2.0.0.1")
			w.list(a, b)
			l := w.link(b, a)
			for range 100 {
				if w.unread(l, relayWindow+2*cell.Size) {
					t.Fatalf("more than %d bytes go into a window", relayWindow)
				}
			}
			roundTrip(t, l, KindCircuit)
		})
	})
	// The streams of a client share a window. It has room for one circuit in bulk
	// whose far end gave the largest credit, 1024 cells, and for what may be on
	// the way to mailbox relays on all others, 16 SENDs and 16 other commands.
	t.Run("client", func(t *testing.T) {
		const bulk, mailbox, most = 1024, 32, cell.Size + cell.MaxTrim
		simulated(t, func(t *testing.T, w *world) {
			a, c := w.unreadBy("a", "1.0.0.1"), w.start("c", "2.0.0.1", RoleClient, nil)
			w.list(a)
			l := w.link(c, a)
			if !w.unread(l, bulk*most) {
				t.Fatal("one circuit uses up the window")
			}
			for i := range clientCircuits - 2 {
				if !w.unread(l, mailbox*most) {
					t.Fatalf("%d more circuits use up the window", i+1)
				}
			}
			roundTrip(t, l, KindCircuit)
		})
	})
}

// TestAttackUnreadStreams: whatever a client leaves a relay with, on one stream
// or on many, it is bounded by the window of its connection.
func TestAttackUnreadStreams(t *testing.T) {
	for _, streams := range []int{1, clientCircuits} {
		t.Run(fmt.Sprint(streams), func(t *testing.T) {
			simulated(t, func(t *testing.T, w *world) {
				a, c := w.unreadBy("a", "1.0.0.1"), w.start("c", "2.0.0.1", RoleClient, nil)
				w.list(a)
				l := w.link(c, a)
				each, took := clientConnWindow/streams+2*cell.Size, true
				for range streams {
					took = w.unread(l, each)
				}
				if took {
					t.Errorf("%d bytes went into a window of %d", streams*each, clientConnWindow)
				}
			})
		})
	}
}

// TestConnectionWindowNeverBinds checks the windows of every configuration:
// between relays that of a connection holds those of all its streams, whoever
// opened them; on a client's link no stream ever needs a new one.
func TestConnectionWindowNeverBinds(t *testing.T) {
	for name, c := range map[string]struct {
		conf   *quic.Config
		client bool
		ours   int64 // streams that we may open towards such a peer
	}{
		"client at a relay": {clientSideConfig(), true, 0},
		"relay":             {relayConfig(), false, relayStreams},
		"client itself":     {dialingClientConfig(), true, clientStreams},
	} {
		streams := max(0, c.conf.MaxIncomingStreams) + c.ours
		switch sum := uint64(streams) * c.conf.MaxStreamReceiveWindow; {
		case c.client:
			if day := uint64(Fast.MegabytesPerDay()) << 20; c.conf.MaxStreamReceiveWindow/4 < 365*day {
				t.Errorf("%s: the window of a stream is used up within a year", name)
			}
			if c.conf.MaxConnectionReceiveWindow > 16<<20 {
				t.Errorf("%s: a connection holds %d bytes", name, c.conf.MaxConnectionReceiveWindow)
			}
		case sum > c.conf.MaxConnectionReceiveWindow:
			t.Errorf("%s: %d streams hold %d bytes, the connection %d", name, streams, sum, c.conf.MaxConnectionReceiveWindow)
		}
		if c.conf.InitialStreamReceiveWindow != c.conf.MaxStreamReceiveWindow || c.conf.InitialConnectionReceiveWindow != c.conf.MaxConnectionReceiveWindow {
			t.Errorf("%s: the windows would be tuned", name)
		}
		if c.conf.MaxIncomingUniStreams >= 0 || c.conf.EnableDatagrams || c.conf.Allow0RTT || c.conf.TokenStore != nil || !c.conf.RequireStreamCreditRelease {
			t.Errorf("%s: more is on than should be", name)
		}
	}
}
