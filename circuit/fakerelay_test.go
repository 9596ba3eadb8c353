package circuit_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"io"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"hearsay/circuit"
	"hearsay/circuit/cell"
	"hearsay/circuit/link"
	"hearsay/circuit/onion"
	"hearsay/directory"
)

var testNetwork = directory.NetworkID(sha256.Sum256([]byte("circuit test network")))

const latency = 10 * time.Millisecond

// world is a simulated network of scripted relays in virtual time.
type world struct {
	t      *testing.T
	router *simnet.PerfectRouter
	views  *directory.Views
	epoch  time.Time
	lab    bool         // how the view ages
	loss   atomic.Int32 // percent of all packets
	relays []*fakeRelay

	mu   sync.Mutex
	port uint16
	ends []func()
}

// simulate runs f in a bubble with n relays.
func simulate(t *testing.T, n int, f func(t *testing.T, w *world)) {
	t.Helper()
	simulateAges(t, n, true, f)
}

// simulateAges runs f in a bubble with n relays, whose view ages as in a lab
// network, in minutes, or as in an ordinary one, in hours.
func simulateAges(t *testing.T, n int, lab bool, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, router: &simnet.PerfectRouter{}, views: new(directory.Views), epoch: time.Now(), lab: lab}
		defer w.end()
		for i := range n {
			w.start(byte(i))
		}
		w.list()
		f(t, w)
	})
}

func (w *world) end() {
	for {
		w.mu.Lock()
		n := len(w.ends)
		if n == 0 {
			w.mu.Unlock()
			return
		}
		f := w.ends[n-1]
		w.ends = w.ends[:n-1]
		w.mu.Unlock()
		f()
	}
}

func (w *world) atEnd(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends = append(w.ends, f)
}

// wire is a socket that can fall silent.
type wire struct {
	net.PacketConn
	silent *atomic.Bool
	loss   *atomic.Int32 // percent of packets that get lost
}

func (c *wire) WriteTo(b []byte, a net.Addr) (int, error) {
	if c.silent.Load() || mrand.Int32N(100) < c.loss.Load() {
		return len(b), nil
	}
	return c.PacketConn.WriteTo(b, a)
}

func (w *world) socket(ip netip.Addr, port uint16) net.PacketConn {
	if port == 0 {
		w.mu.Lock()
		w.port++
		port = 20000 + w.port
		w.mu.Unlock()
	}
	addr := net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, port))
	l := &simnet.SimulatedLink{Latency: latency, UploadPacket: w.router}
	c := simnet.NewBlockingSimConn(addr, l)
	w.router.AddNode(addr, l)
	l.Start()
	w.atEnd(func() { _ = c.Close(); _ = l.Close() })
	return c
}

// list publishes the relays in a view.
func (w *world) list() {
	var list []directory.Relay
	for _, r := range w.relays {
		list = append(list, directory.Relay{
			ID: r.id, OnionKey: r.onionKey.Public(), OnionEpoch: r.onionKey.NotBefore(),
			LinkKey: [32]byte(r.linkKey.Public().(ed25519.PublicKey)),
			Flags:   directory.FlagGuard | directory.FlagStable | directory.FlagMailbox | directory.FlagPlacement,
			Guard:   1000, Inner: 1000, Mailbox: 1000,
			Addrs: []netip.AddrPort{r.addr},
		})
	}
	w.views.Set(directory.InsecureView(testNetwork, w.lab, w.epoch, list))
}

// fakeRelay is a relay as the client needs it, which a test can script.
type fakeRelay struct {
	w        *world
	id       directory.RelayID
	addr     netip.AddrPort
	onionKey onion.OnionKey
	linkKey  ed25519.PrivateKey
	endpoint *link.Endpoint
	stop     func()
	silent   atomic.Bool // its packets are lost
	mute     atomic.Bool // it reads circuits but sends nothing backward on them
	noExtend atomic.Bool // it answers EXTEND with EXTEND_FAIL
	mutiny   atomic.Bool // it resets every CREATE
	busy     atomic.Bool // it answers ECHO with ECHO_BUSY

	mu     sync.Mutex
	hops   map[*fakeHop]struct{}
	seen   map[string]int      // streams by remote address
	pinged func(*fakeHop) bool // told of each PING: false leaves it unanswered; or nil
}

func (w *world) start(n byte) *fakeRelay {
	w.t.Helper()
	seed := func(kind byte) [32]byte { return sha256.Sum256([]byte{kind, n}) }
	idSeed, linkSeed := seed('i'), seed('l')
	id := ed25519.NewKeyFromSeed(idSeed[:])
	r := &fakeRelay{
		w: w, id: directory.RelayID(id.Public().(ed25519.PublicKey)),
		addr:    netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, n, 0, 1}), 9000),
		linkKey: ed25519.NewKeyFromSeed(linkSeed[:]),
		hops:    map[*fakeHop]struct{}{}, seen: map[string]int{},
	}
	var err error
	if r.onionKey, err = onion.NewOnionKey(seed('o'), 1); err != nil {
		w.t.Fatal(err)
	}
	r.endpoint, err = link.New(link.Config{
		Role: link.RoleRelay, Network: testNetwork, Lab: true, Views: w.views,
		Identity: &link.Identity{Key: id, LinkKey: r.linkKey},
		Conn:     &wire{w.socket(r.addr.Addr(), r.addr.Port()), &r.silent, &w.loss},
		Handlers: map[link.Kind]link.Handler{
			link.KindCircuit: r.serve,
			link.KindRequest: func(_ context.Context, _ *link.Link, s *link.Stream) { _, _ = io.Copy(s, s); _ = s.Close() },
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.endpoint.Run(ctx) }()
	r.stop = sync.OnceFunc(func() { cancel(); <-done })
	w.atEnd(r.stop)
	w.relays = append(w.relays, r)
	return r
}

// fakeHop is one circuit at one relay.
type fakeHop struct {
	r     *fakeRelay
	layer *onion.Layer
	prev  *link.Stream
	next  *link.Stream

	mu       sync.Mutex // sealing and writing to prev
	received int
	allowed  int
}

func (r *fakeRelay) open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.hops)
}

func reset(s *link.Stream) {
	if s != nil {
		s.CancelRead(0)
		s.CancelWrite(0)
	}
}

// serve answers CREATE and then all messages.
func (r *fakeRelay) serve(ctx context.Context, l *link.Link, s *link.Stream) {
	h := &fakeHop{r: r, prev: s, allowed: cell.CreditInitial}
	defer reset(s)
	stop := context.AfterFunc(ctx, func() { reset(s) })
	defer stop()
	if r.mutiny.Load() {
		return
	}
	create, err := readMessage(s, cell.Create)
	if err != nil {
		return
	}
	layer, _, created, err := onion.Respond(rand.Reader, testNetwork, r.id, []onion.OnionKey{r.onionKey}, create, func(o cell.Options) cell.Options {
		o.HasSlot = false
		return o
	})
	if err != nil || r.mute.Load() {
		<-s.Context().Done()
		return
	}
	h.layer = layer
	if writeMessage(s, cell.Created, created) != nil {
		return
	}
	r.mu.Lock()
	r.hops[h] = struct{}{}
	r.seen[l.RemoteAddr().Addr().String()]++
	r.mu.Unlock()
	var wg sync.WaitGroup
	defer func() {
		reset(s)
		reset(h.next)
		wg.Wait()
		r.mu.Lock()
		delete(r.hops, h)
		r.mu.Unlock()
	}()
	extend := cell.MessageAssembler{Command: cell.Extend}
	b := make([]byte, cell.Size)
	for {
		if _, err := io.ReadFull(s, b); err != nil {
			return
		}
		payload, mine, err := layer.OpenForward(cell.Body(b))
		switch {
		case err != nil:
			return
		case !mine && h.next == nil:
			return
		case !mine:
			if _, err := h.next.Write(b); err != nil {
				return
			}
			continue
		}
		m, err := cell.ParseMessage(payload)
		if err != nil {
			return
		}
		if m.Command != cell.Extend {
			if h.answer(m) != nil {
				return
			}
			continue
		}
		data, done, err := extend.Add(m)
		if err != nil {
			return
		}
		if !done {
			continue
		}
		if err := h.extend(ctx, data); err != nil {
			_ = h.reply(cell.Message{Command: cell.ExtendFail, Data: []byte{cell.FailUnreachable}})
			continue
		}
		wg.Go(h.backward)
	}
}

// extend connects to the next relay.
func (h *fakeHop) extend(ctx context.Context, data []byte) error {
	v := h.r.w.views.Current()
	next, ok := v.Relay(directory.RelayID(data[:32]))
	if !ok || h.r.noExtend.Load() {
		return io.EOF
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	l, err := h.r.endpoint.Link(ctx, link.Target{ID: next.ID, LinkKey: next.LinkKey, Addrs: next.Addrs})
	if err != nil {
		return err
	}
	s, err := l.Open(ctx, link.KindCircuit)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { reset(s) })
	if err := writeMessage(s, cell.Create, data[32:]); err != nil {
		return err
	}
	created, err := readMessage(s, cell.Created)
	if err != nil {
		reset(s)
		return err
	}
	stop()
	h.r.mu.Lock() // tests look at hops
	h.next = s
	h.r.mu.Unlock()
	for _, m := range cell.SplitExtended(created) {
		if err := h.reply(m); err != nil {
			return err
		}
	}
	return nil
}

// backward passes cells on until the next hop ends the circuit.
func (h *fakeHop) backward() {
	defer reset(h.prev)
	b := make([]byte, cell.Size)
	for {
		if _, err := io.ReadFull(h.next, b); err != nil {
			return
		}
		if h.r.mute.Load() {
			continue
		}
		h.mu.Lock()
		h.layer.SealBackward(cell.Body(b))
		_, err := h.prev.Write(b)
		h.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// answer is what an honest relay says.
func (h *fakeHop) answer(m cell.Message) error {
	if m.Command.Credited() {
		if h.received++; h.received > h.allowed {
			return io.ErrShortBuffer // more than the credit: the test will see the end
		}
		if h.received%cell.CreditStep == 0 {
			tag := h.layer.ForwardTag()
			h.allowed += cell.CreditStep
			if err := h.reply(cell.Message{Command: cell.SendMe, Data: tag[:]}); err != nil {
				return err
			}
		}
	}
	switch {
	case m.Command == cell.Ping && !h.answersPing():
		return nil
	case m.Command == cell.Ping:
		return h.reply(cell.Message{Command: cell.Pong, Data: m.Data})
	case m.Command == cell.Echo && h.r.busy.Load():
		return h.reply(cell.Message{Command: cell.EchoBusy, Data: []byte{0, 5}})
	case m.Command == cell.Echo:
		return h.reply(cell.Message{Command: cell.EchoReply, Data: m.Data})
	case m.Command == cell.Begin:
		return h.reply(cell.Message{Command: cell.Connected, Stream: m.Stream})
	case m.Command == cell.Data, m.Command.Mailbox(), m.Command == cell.End:
		return h.reply(m)
	}
	return nil // SENDME and DROP
}

func (h *fakeHop) answersPing() bool {
	h.r.mu.Lock()
	pinged := h.r.pinged
	h.r.mu.Unlock()
	return pinged == nil || pinged(h)
}

func (h *fakeHop) reply(m cell.Message) error {
	if h.r.mute.Load() {
		return nil
	}
	b := make([]byte, cell.Size)
	cell.Header{Type: cell.Relay}.Put(b)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.layer.SealBackwardOwn(cell.Body(b), m); err != nil {
		return err
	}
	_, err := h.prev.Write(b)
	return err
}

func readMessage(s *link.Stream, t cell.Type) ([]byte, error) {
	a := cell.Assembler{Type: t}
	b := make([]byte, cell.Size)
	for {
		if _, err := io.ReadFull(s, b); err != nil {
			return nil, err
		}
		if msg, done, err := a.Add(b); done || err != nil {
			return msg, err
		}
	}
}

func writeMessage(s *link.Stream, t cell.Type, msg []byte) error {
	b := make([]byte, 2*cell.Size)
	cell.PutFragments(b[:cell.Size], b[cell.Size:], t, msg)
	_, err := s.Write(b)
	return err
}

// memory is a circuit.State.
type memory struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (s *memory) Load(name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[name], nil
}

func (s *memory) Save(name string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[string][]byte{}
	}
	s.m[name] = value
	return nil
}

// client is a running circuit.Client.
type client struct {
	*circuit.Client
	w    *world
	stop func()

	mu     sync.Mutex
	events []circuit.Event
}

var clientIP = netip.MustParseAddr("172.16.0.1")

func (w *world) client(state circuit.State) *client {
	w.t.Helper()
	c := &client{w: w}
	var err error
	c.Client, err = circuit.NewClient(circuit.ClientConfig{
		Network: testNetwork, Lab: true, Views: w.views, State: state,
		ListenPacket: func() (net.PacketConn, error) {
			return &wire{w.socket(clientIP, 0), new(atomic.Bool), &w.loss}, nil
		},
		Events: func(e circuit.Event) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.events = append(c.events, e)
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	c.stop = sync.OnceFunc(func() { cancel(); <-done })
	w.atEnd(c.stop)
	return c
}

// get asks the pool and fails the test if there is no circuit in time.
func (c *client) get(r circuit.Request, within time.Duration) *circuit.Circuit {
	c.w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	k, err := c.Pool().Get(ctx, r)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return k
}

// guard waits until the pool has a guard in use.
func (c *client) guard() directory.RelayID {
	c.w.t.Helper()
	return c.guardAfter(directory.RelayID{})
}

// guardAfter waits until a guard other than the given one is in use.
func (c *client) guardAfter(old directory.RelayID) directory.RelayID {
	c.w.t.Helper()
	for range 3000 {
		if g, ok := c.Guard(); ok && g.ID != old {
			return g.ID
		}
		pass(10 * time.Millisecond)
	}
	c.w.t.Fatal("no guard")
	return directory.RelayID{}
}

func (w *world) relay(id directory.RelayID) *fakeRelay {
	for _, r := range w.relays {
		if r.id == id {
			return r
		}
	}
	w.t.Fatal("no such relay")
	return nil
}

// other returns a relay that is not in the list.
func (w *world) other(ids ...directory.RelayID) *fakeRelay {
next:
	for _, r := range w.relays {
		for _, id := range ids {
			if r.id == id {
				continue next
			}
		}
		return r
	}
	w.t.Fatal("no other relay")
	return nil
}

func pass(d time.Duration) { <-time.After(d) }
