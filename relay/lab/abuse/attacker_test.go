package abuse

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"hearsay/circuit/cell"
	"hearsay/circuit/link"
	"hearsay/circuit/onion"
	"hearsay/directory"
)

// attacker is the process of everybody who breaks rules: clients made of bare
// QUIC connections, and a relay that the victim's directory lists.
type attacker struct {
	target target
	relay  *foeRelay

	dripped atomic.Int64 // frames of one byte

	mu   sync.Mutex
	stop chan struct{} // closed to end the attack that runs
	done func()        // waits for its end
}

func newAttacker() operations {
	a := &attacker{}
	return operations{
		"relay":     op(func(mode relayMode) (any, error) { return a.startRelay(mode) }),
		"target":    op(func(t target) (any, error) { return nil, a.aim(t) }),
		"flood":     op(a.flood),
		"malformed": op(a.malformed),
		"halfopen":  op(a.halfOpen),
		"slowloris": op(a.slowloris),
		"reset":     op(a.rapidReset),
		"sniper":    op(a.sniper),
		"dripped":   op(func(none) (any, error) { return a.dripped.Load(), nil }),
		"end":       op(func(none) (any, error) { a.end(); return nil, nil }),
	}
}

// aim says whom to attack.
func (a *attacker) aim(t target) error {
	a.target = t
	if a.relay == nil {
		return nil
	}
	return a.relay.listen(t)
}

// background starts an attack that runs until end.
func (a *attacker) background(f func(stop <-chan struct{})) {
	a.mu.Lock()
	defer a.mu.Unlock()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { f(stop) })
	a.stop, a.done = stop, wg.Wait
}

// end ends the attack in the background.
func (a *attacker) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stop != nil {
		close(a.stop)
		a.done()
		a.stop = nil
	}
}

// foe is one hostile client: a bare QUIC connection.
type foe struct {
	target target
	tr     *quic.Transport
	conn   *quic.Conn
	mute   atomic.Bool // nothing is sent any more
}

// muted loses what a foe sends while it is mute.
type muted struct {
	net.PacketConn
	f *foe
}

func (m muted) WriteTo(b []byte, to net.Addr) (int, error) {
	if m.f.mute.Load() {
		return len(b), nil
	}
	return m.PacketConn.WriteTo(b, to)
}

// The foe's own windows: it takes whatever it is sent, or what it is told to.
func foeConfig(window uint64) *quic.Config {
	return &quic.Config{
		Versions: []quic.Version{quic.Version1}, MaxIdleTimeout: 60 * time.Second, HandshakeIdleTimeout: 30 * time.Second,
		MaxIncomingUniStreams: -1, MaxIncomingStreams: -1,
		InitialStreamReceiveWindow: window, MaxStreamReceiveWindow: window,
		InitialConnectionReceiveWindow: 64 * window, MaxConnectionReceiveWindow: 64 * window,
	}
}

func foeTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, NextProtos: []string{"h3"},
		CurvePreferences: []tls.CurveID{tls.X25519MLKEM768}, SessionTicketsDisabled: true,
	}
}

// newFoe opens a socket.
func newFoe(t target) (*foe, error) {
	u, err := listenLoopback()
	if err != nil {
		return nil, err
	}
	f := &foe{target: t}
	f.tr = &quic.Transport{Conn: muted{u, f}}
	return f, nil
}

// dial connects without a word of our protocol.
func (f *foe) dial(ctx context.Context, conf *quic.Config, tc *tls.Config) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	f.conn, err = f.tr.Dial(ctx, net.UDPAddrFromAddrPort(f.target.Relay.Addrs[0]), tc, conf)
	return err
}

// connect makes a foe with a link that the victim serves.
func connect(ctx context.Context, t target, window uint64) (*foe, error) {
	f, err := newFoe(t)
	if err != nil {
		return nil, err
	}
	if err := f.dial(ctx, foeConfig(window), foeTLS()); err != nil {
		f.close()
		return nil, err
	}
	if _, err := f.hello(); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// hello opens the control stream as a client does.
func (f *foe) hello() (*quic.Stream, error) {
	s, err := f.conn.OpenStream()
	if err != nil {
		return nil, err
	}
	_, err = s.Write(helloCell(f.target.Network))
	return s, err
}

func helloCell(n directory.NetworkID) []byte {
	b := make([]byte, cell.Size)
	cell.Header{Type: cell.LinkHello}.Put(b)
	(cell.Hello{Lowest: 1, Highest: 1, Network: n}).Put(cell.Body(b))
	return b
}

// close ends the connection, as far as there is one.
func (f *foe) close() {
	f.mute.Store(false)
	if f.conn != nil {
		_ = f.conn.CloseWithError(0, "")
	}
	_ = f.tr.Close()
	_ = f.tr.Conn.Close()
}

func reset(s *quic.Stream) { s.CancelWrite(0); s.CancelRead(0) }

// circuit is a circuit that a foe built by the rules, to break them later.
type circuit struct {
	s     *quic.Stream
	onion onion.Client
}

// open creates a circuit of one hop.
func (f *foe) open(ctx context.Context) (*circuit, error) {
	s, err := f.conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	c, err := newCreate(f.target, 0)
	if err != nil {
		return nil, err
	}
	if _, err := s.Write(c.cells); err != nil {
		return nil, err
	}
	_ = s.SetReadDeadline(time.Now().Add(20 * time.Second))
	l, err := c.finish(s)
	if err != nil {
		reset(s)
		return nil, err
	}
	circ := &circuit{s: s}
	return circ, circ.onion.Add(l)
}

func (c *circuit) seal(hop int, m cell.Message) ([]byte, error) {
	b := make([]byte, cell.Size)
	cell.Header{Type: cell.Relay}.Put(b)
	return b, c.onion.SealForward(cell.Body(b), hop, m)
}

// extend adds the attacker's own relay as the second hop.
func (c *circuit) extend(t target, next directory.Relay) error {
	h, err := newCreate(target{Network: t.Network, Relay: next}, 1)
	if err != nil {
		return err
	}
	msg := append(append([]byte(nil), h.cells[cell.HeaderSize:cell.Size]...), h.cells[cell.Size+cell.HeaderSize:]...)
	for _, m := range cell.SplitExtend(next.ID, msg[:cell.CreateSize]) {
		b, err := c.seal(0, m)
		if err != nil {
			return err
		}
		if _, err := c.s.Write(b); err != nil {
			return err
		}
	}
	asm := cell.MessageAssembler{Command: cell.Extended}
	b := make([]byte, cell.Size)
	for {
		if err := readFull(c.s, b); err != nil {
			return err
		}
		hop, payload, err := c.onion.OpenBackward(cell.Body(b))
		if err != nil {
			return err
		}
		m, err := cell.ParseMessage(payload)
		if err != nil {
			return err
		}
		if hop != 0 || m.Command != cell.Extended {
			return errors.New("not extended")
		}
		created, whole, err := asm.Add(m)
		if err != nil {
			return err
		}
		if whole {
			l, _, err := h.h.Finish(created)
			if err != nil {
				return err
			}
			return c.onion.Add(l)
		}
	}
}

// relayMode says how the attacker's relay treats circuits.
type relayMode string

const (
	deaf  relayMode = "deaf"  // reads nothing after CREATE
	spews relayMode = "spews" // sends as fast as it can, after the first cell
)

// foeRelay is a relay of the attacker that the directory lists.
type foeRelay struct {
	mode     relayMode
	conn     *net.UDPConn
	identity link.Identity
	onion    onion.OnionKey
	relay    directory.Relay
}

func (a *attacker) startRelay(mode relayMode) (any, error) {
	conn, err := listenLoopback()
	if err != nil {
		return nil, err
	}
	r := &foeRelay{mode: mode, conn: conn}
	_, r.identity.Key, _ = ed25519.GenerateKey(nil)
	_, r.identity.LinkKey, _ = ed25519.GenerateKey(nil)
	var private [32]byte
	rand.Read(private[:])
	epoch := uint32(time.Now().Add(-time.Hour).Unix())
	if r.onion, err = onion.NewOnionKey(private, epoch); err != nil {
		return nil, err
	}
	r.relay = directory.Relay{
		ID:      directory.RelayID(r.identity.Key.Public().(ed25519.PublicKey)),
		LinkKey: [32]byte(r.identity.LinkKey.Public().(ed25519.PublicKey)),
		Addrs:   []netip.AddrPort{conn.LocalAddr().(*net.UDPAddr).AddrPort()}, OnionKey: r.onion.Public(), OnionEpoch: epoch,
	}
	a.relay = r
	return r.relay, nil
}

// listen serves links once the network is known.
func (r *foeRelay) listen(t target) error {
	views, network := new(directory.Views), t.Network
	views.Set(directory.InsecureView(network, true, time.Now(), []directory.Relay{t.Relay, r.relay}))
	e, err := link.New(link.Config{
		Role: link.RoleRelay, Network: network, Lab: true, Identity: &r.identity, Conn: r.conn, Views: views,
		Handlers: map[link.Kind]link.Handler{link.KindCircuit: func(ctx context.Context, _ *link.Link, s *link.Stream) {
			r.serve(ctx, network, s)
		}},
	})
	if err != nil {
		return err
	}
	go func() { _ = e.Run(context.Background()) }()
	return nil
}

// serve answers CREATE and then misbehaves.
func (r *foeRelay) serve(ctx context.Context, network directory.NetworkID, s *link.Stream) {
	b := make([]byte, 2*cell.Size)
	if readFull(s, b) != nil {
		return
	}
	asm := cell.Assembler{Type: cell.Create}
	if _, _, err := asm.Add(b[:cell.Size]); err != nil {
		return
	}
	msg, _, err := asm.Add(b[cell.Size:])
	if err != nil {
		return
	}
	_, _, created, err := onion.Respond(rand.Reader, network, r.relay.ID, []onion.OnionKey{r.onion}, msg,
		func(cell.Options) cell.Options { return cell.Options{} })
	if err != nil {
		return
	}
	cell.PutFragments(b[:cell.Size], b[cell.Size:], cell.Created, created)
	if _, err := s.Write(b); err != nil {
		return
	}
	if r.mode == spews && readFull(s, b[:cell.Size]) == nil {
		junk := make([]byte, 32*cell.Size)
		for i := 0; i < len(junk); i += cell.Size {
			cell.Header{Type: cell.Relay}.Put(junk[i : i+cell.Size])
		}
		for {
			if _, err := s.Write(junk); err != nil {
				return
			}
		}
	}
	select {
	case <-ctx.Done():
	case <-s.Context().Done():
	}
}

type reader interface{ Read([]byte) (int, error) }

func readFull(r reader, b []byte) error {
	for n := 0; n < len(b); {
		m, err := r.Read(b[n:])
		if err != nil {
			return err
		}
		n += m
	}
	return nil
}
