package link

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/testutils/simnet"
	"go.uber.org/goleak"

	"hearsay/circuit/cell"
	"hearsay/directory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const latency = 20 * time.Millisecond

var testNetwork = directory.NetworkID(sha256.Sum256([]byte("link test network")))

// world is a small network, simulated inside a synctest bubble or on loopback.
type world struct {
	t      testing.TB
	router *simnet.PerfectRouter      // nil: loopback sockets
	drop   func(p simnet.Packet) bool // sees each packet and says whether it is lost; nil: none
	limits func(*quic.Config)         // of nodes without an Endpoint; nil: those of others
	lab    bool
	views  *directory.Views
	epoch  time.Time
	relays []directory.Relay
	port   uint16

	mu    sync.Mutex
	conns []net.PacketConn // made for clients
	ends  []func()
}

// simulated runs f in a bubble with virtual time.
func simulated(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, router: &simnet.PerfectRouter{}, views: new(directory.Views), lab: true, epoch: time.Now()}
		defer w.end()
		f(t, w)
	})
}

// everywhere runs f over simnet and over loopback sockets.
func everywhere(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("simnet", func(t *testing.T) { simulated(t, f) })
	t.Run("loopback", func(t *testing.T) {
		w := &world{t: t, views: new(directory.Views), lab: true, epoch: time.Now()}
		defer w.end()
		f(t, w)
	})
}

func (w *world) end() {
	for i := len(w.ends) - 1; i >= 0; i-- {
		w.ends[i]()
	}
}

// socket makes a packet socket. ip is used in the simulation only.
func (w *world) socket(ip string, port uint16) net.PacketConn {
	w.t.Helper()
	if w.router == nil {
		c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)))
		if err != nil {
			w.t.Fatal(err)
		}
		return c
	}
	if port == 0 {
		w.mu.Lock()
		w.port++
		port = 20000 + w.port
		w.mu.Unlock()
	}
	addr := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), port))
	l := &simnet.SimulatedLink{Latency: latency, UploadPacket: tapped{w}}
	c := simnet.NewBlockingSimConn(addr, l)
	l.Start()
	w.router.AddNode(addr, l)
	w.mu.Lock()
	w.ends = append(w.ends, func() { _ = c.Close(); _ = l.Close() })
	w.mu.Unlock()
	return c
}

// tapped is the router of a world, which others watch.
type tapped struct{ w *world }

func (r tapped) AddNode(net.Addr, simnet.PacketReceiver) {}

func (r tapped) SendPacket(p simnet.Packet) error {
	if r.w.drop != nil && r.w.drop(p) {
		return nil
	}
	return r.w.router.SendPacket(p)
}

// seeded makes the same key for the same name.
func seeded(name string) ed25519.PrivateKey {
	s := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(s[:])
}

func publicOf(k ed25519.PrivateKey) (p [32]byte) {
	copy(p[:], k.Public().(ed25519.PublicKey))
	return p
}

// node is an endpoint under test.
type node struct {
	*Endpoint
	w       *world
	name    string
	key     Identity
	id      directory.RelayID
	conn    net.PacketConn
	stop    func() // ends Run and waits
	seen    chan seen
	crashed bool
}

// seen is a stream that reached a handler.
type seen struct {
	kind   Kind
	link   *Link
	peer   directory.RelayID
	role   Role
	proven bool
}

// echo answers all bytes until the end of the stream, which it then ends too.
func (n *node) echo(k Kind) Handler {
	return func(ctx context.Context, l *Link, s *Stream) {
		id, role, proven := l.Peer()
		n.seen <- seen{k, l, id, role, proven}
		if _, err := io.Copy(s, s); err == nil {
			_ = s.Close()
		}
	}
}

// start starts a node with its own keys. tweak may change the configuration.
func (w *world) start(name, ip string, role Role, tweak func(*Config)) *node {
	w.t.Helper()
	n := &node{w: w, name: name, seen: make(chan seen, 4096)}
	cfg := Config{Role: role, Network: testNetwork, Lab: w.lab, Views: w.views}
	if role == RoleClient {
		cfg.ListenPacket = func() (net.PacketConn, error) {
			c := w.socket(ip, 0)
			w.mu.Lock()
			w.conns = append(w.conns, c)
			w.mu.Unlock()
			return c, nil
		}
	} else {
		n.key = Identity{Key: seeded(name), LinkKey: seeded(name + " link")}
		n.id = publicOf(n.key.Key)
		cfg.Identity = &n.key
		cfg.Handlers = map[Kind]Handler{
			KindCircuit: n.echo(KindCircuit), KindGossip: n.echo(KindGossip), KindRequest: n.echo(KindRequest),
		}
	}
	if tweak != nil {
		tweak(&cfg)
	}
	if role != RoleClient && cfg.Conn == nil {
		cfg.Conn = w.socket(ip, 9000)
	}
	n.conn = cfg.Conn
	e, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	n.Endpoint = e
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, ErrClosed) && !n.crashed {
			w.t.Errorf("%s: Run: %v", name, err)
		}
	})
	w.ends = append(w.ends, n.stop)
	return n
}

// relay starts a relay; on loopback it gets any port.
func (w *world) relay(name, ip string) *node {
	w.t.Helper()
	return w.start(name, ip, RoleRelay, func(c *Config) {
		if w.router == nil {
			c.Conn = w.socket("", 0)
		}
	})
}

// list puts the nodes into the view of everybody.
func (w *world) list(nodes ...*node) {
	w.t.Helper()
	for _, n := range nodes {
		w.relays = append(w.relays, directory.Relay{
			ID: n.id, LinkKey: publicOf(n.key.LinkKey), Addrs: []netip.AddrPort{n.Addr()},
		})
	}
	// Each view of a test has a later time, and InsecureView has one epoch
	// number, so the holder is filled anew.
	w.views.Set(directory.InsecureView(testNetwork, true, w.epoch, w.relays))
}

// crash takes the node off the network: no packet leaves it any more.
func (n *node) crash() {
	n.crashed = true
	_ = n.conn.Close()
}

// target is how others find the node.
func (n *node) target() Target {
	return Target{ID: n.id, LinkKey: publicOf(n.key.LinkKey), Addrs: []netip.AddrPort{n.Addr()}}
}

// within is how long something may take: on loopback at least a minute, which ends
// what hangs; how punctual it is, virtual time shows.
func (w *world) within(d time.Duration) time.Duration {
	if w.router == nil {
		return max(d, time.Minute)
	}
	return d
}

func (w *world) ctx(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), w.within(d))
	w.mu.Lock()
	w.ends = append(w.ends, cancel)
	w.mu.Unlock()
	return ctx
}

func (w *world) link(from, to *node) *Link {
	w.t.Helper()
	l, err := from.Link(w.ctx(10*time.Second), to.target())
	if err != nil {
		w.t.Fatalf("%s to %s: %v", from.name, to.name, err)
	}
	return l
}

// roundTrip opens a stream, sends bytes and reads them back.
func roundTrip(t testing.TB, l *Link, k Kind) {
	t.Helper()
	if err := tryRoundTrip(l, k); err != nil {
		t.Fatal(err)
	}
}

func tryRoundTrip(l *Link, k Kind) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := l.Open(ctx, k)
	if err != nil {
		return err
	}
	defer reset(s)
	msg := bytes.Repeat([]byte{byte(k)}, cell.Size)
	if _, err := s.Write(msg); err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	_ = s.SetReadDeadline(time.Now().Add(time.Minute))
	got, err := io.ReadAll(s)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, msg) {
		return errors.New("not the bytes that were sent")
	}
	return nil
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }

// gone waits for the end of a link.
func gone(t testing.TB, l *Link, within time.Duration) {
	t.Helper()
	select {
	case <-l.Done():
	case <-time.After(within):
		t.Fatalf("the link is alive after %v", within)
	}
}

// links returns the links that an endpoint has.
func (n *node) all() []*Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	var r []*Link
	for l := range n.links {
		r = append(r, l)
	}
	return r
}

// raw dials without an Endpoint, as an attacker or a fault would. key is the
// certificate's, or nil for none.
func (w *world) raw(ip string, to *node, key ed25519.PrivateKey, tweak func(*tls.Config)) (*quic.Conn, error) {
	w.t.Helper()
	tr := &quic.Transport{Conn: w.socket(ip, 0)}
	w.ends = append(w.ends, func() { _ = tr.Close(); _ = tr.Conn.Close() })
	tc := baseTLS()
	tc.InsecureSkipVerify = true
	if key != nil {
		cert, err := certificate(key)
		if err != nil {
			w.t.Fatal(err)
		}
		tc.Certificates = []tls.Certificate{cert}
	}
	if tweak != nil {
		tweak(tc)
	}
	conf := dialingClientConfig()
	if w.limits != nil {
		w.limits(conf)
	}
	c, err := tr.Dial(w.ctx(10*time.Second), net.UDPAddrFromAddrPort(to.Addr()), tc, conf)
	if err == nil {
		w.ends = append(w.ends, func() { _ = c.CloseWithError(0, "") })
	}
	return c, err
}

// rawHello opens the control stream and sends a cell.
func (w *world) rawHello(c *quic.Conn, cells ...[]byte) *quic.Stream {
	w.t.Helper()
	s, err := c.OpenStream()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, b := range cells {
		if _, err := s.Write(b); err != nil {
			w.t.Fatal(err)
		}
	}
	return s
}

func clientHello() cell.Hello {
	return cell.Hello{Lowest: version, Highest: version, Network: testNetwork}
}
