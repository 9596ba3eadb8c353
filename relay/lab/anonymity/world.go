package anonymity

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	randv2 "math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"hearsay/circuit"
	"hearsay/circuit/link"
	"hearsay/circuit/onion"
	"hearsay/directory"
	"hearsay/relay"
	"hearsay/relay/lab"
)

// WorldConfig says what network to observe. Zero fields have the defaults that
// their comments state.
type WorldConfig struct {
	Seed    uint64 // of the conversations and of the attacker's codes
	Relays  int    // zero: 8
	Pairs   int    // that talk; zero: 20
	Idle    int    // pairs that hold circuits and say nothing
	Profile link.Profile
	Length  time.Duration // of the observation; zero: an hour
	Settle  time.Duration // between the last client's start and the observation; zero: 5 min
	Latency time.Duration // of each link, one way; zero: 20 ms
	Quiet   time.Duration // between stretches of conversation, on average; zero: 12 min
	NoMarks bool          // the attacker delays nothing
}

// Record is what the observers of one world saw. Clients 2i and 2i+1 are pair
// i; the idle pairs come last.
type Record struct {
	Config   WorldConfig
	Links    []Trace   // by client
	Insiders []Insider // by client
	Pushes   [][]time.Duration
	Marks    []Mark // of each client's own packets (first of a pair) and pushes
	Backbone []Backbone

	// Ways are the seconds that a block took on one side: from the circuit of
	// its sender to the mailbox relay, or from there to the reader. Only links
	// that nobody marks count. Waits are those from writing a message to the
	// mailbox relay, circuits being built included; Ends those to the reader.
	Ways, Waits, Ends []float64
	Messages          int // that were written
}

// Backbone is a link between two relays.
type Backbone struct {
	Trace Trace
	Guard float64 // share of its cells that went between a guard and a layer-2 guard
}

// Run runs a world from its beginning to its end. In a bubble of
// testing/synctest its time is virtual.
func (cfg WorldConfig) Run(ctx context.Context) (*Record, error) {
	if cfg.Relays == 0 {
		cfg.Relays = 8
	}
	if cfg.Pairs == 0 {
		cfg.Pairs = 20
	}
	if cfg.Length == 0 {
		cfg.Length = time.Hour
	}
	if cfg.Settle == 0 {
		cfg.Settle = 5 * time.Minute
	}
	if cfg.Latency == 0 {
		cfg.Latency = 20 * time.Millisecond
	}
	w := &world{cfg: cfg, rnd: randv2.New(randv2.NewPCG(cfg.Seed, 1)), views: new(directory.Views)}
	rand.Read(w.network[:])
	ctx, cancel := context.WithCancel(ctx)
	defer w.wg.Wait()
	defer cancel()
	return w.run(ctx)
}

// clients returns the number of clients.
func (cfg *WorldConfig) clients() int { return 2 * (cfg.Pairs + cfg.Idle) }

// world is a running network.
type world struct {
	cfg     WorldConfig
	rnd     *randv2.Rand
	network directory.NetworkID
	views   *directory.Views
	sim     *lab.SimNet
	tap     *Tap
	inside  *insiders
	marks   []Mark
	posts   map[directory.RelayID]*post
	relays  []directory.Relay
	addrs   map[netip.AddrPort]directory.RelayID
	wg      sync.WaitGroup
}

func (w *world) run(ctx context.Context) (*Record, error) {
	n := w.cfg.clients()
	w.tap = NewTap(n)
	w.inside = &insiders{tap: w.tap, clients: make([]Insider, n), carried: make(map[[2]directory.RelayID]*[roles]int)}
	for range n {
		w.marks = append(w.marks, Mark(w.rnd.Uint64()))
	}
	sim := lab.SimConfig{Latency: w.cfg.Latency, Tap: w.tap.See}
	if !w.cfg.NoMarks {
		sim.Delay = w.delay
	}
	w.sim = lab.NewSimNet(sim)
	defer w.sim.Close()
	// Everything ends before the network under it does.
	defer w.wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := w.startRelays(ctx); err != nil {
		return nil, err
	}
	talkers, err := w.startClients(ctx)
	if err != nil {
		return nil, err
	}
	late := time.After(10 * time.Minute)
	for i, t := range talkers {
		select {
		case <-t.ready:
		case <-late:
			return nil, fmt.Errorf("client %d has no subscription after 10 minutes: %s", i, t.pool.Why())
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if !pause(ctx, w.cfg.Settle) {
		return nil, ctx.Err()
	}
	messages := w.talk(ctx, talkers)
	return w.record(talkers, messages), ctx.Err()
}

// delay marks what the first client of each pair sends.
func (w *world) delay(from, _ netip.AddrPort, _ []byte) time.Duration {
	i, ok := w.tap.Of(from)
	begin, on := w.inside.began()
	if !ok || !on || i%2 != 0 || !w.marks[i].On(time.Since(begin)) {
		return 0
	}
	return MarkDelay
}

// startRelays starts the relays and lists them with equal weights.
func (w *world) startRelays(ctx context.Context) error {
	w.posts = make(map[directory.RelayID]*post)
	w.addrs = make(map[netip.AddrPort]directory.RelayID)
	for range w.cfg.Relays {
		if err := w.startRelay(ctx); err != nil {
			return err
		}
	}
	w.views.Set(directory.InsecureView(w.network, false, time.Now(), w.relays))
	return nil
}

func (w *world) startRelay(ctx context.Context) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	_, linkKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	var secret [32]byte
	rand.Read(secret[:])
	const epoch = 1000
	onionKey, err := onion.NewOnionKey(secret, epoch)
	if err != nil {
		return err
	}
	r := directory.Relay{
		OnionKey: onionKey.Public(), OnionEpoch: epoch,
		Flags: directory.FlagGuard | directory.FlagStable | directory.FlagMailbox,
		Guard: 1 << 30, Inner: 1 << 30, Mailbox: 1 << 30,
		Addrs: []netip.AddrPort{w.sim.Address()},
	}
	copy(r.ID[:], key.Public().(ed25519.PublicKey))
	copy(r.LinkKey[:], linkKey.Public().(ed25519.PublicKey))
	conn, err := w.sim.Listen(r.Addrs[0])
	if err != nil {
		return err
	}
	p := &post{began: w.inside.began, mark: w.markOfPushes, boxes: make(map[uint32]*box)}
	var e *link.Endpoint
	sw := relay.NewSwitch(relay.SwitchConfig{
		Network: w.network, ID: r.ID, Views: w.views,
		OnionKeys: func() []onion.OnionKey { return []onion.OnionKey{onionKey} },
		Dial:      func(ctx context.Context, t link.Target) (*link.Link, error) { return e.Link(ctx, t) },
		Service:   p, Trace: w.inside.trace(r.ID),
	})
	e, err = link.New(link.Config{
		Role: link.RoleRelay, Network: w.network, Identity: &link.Identity{Key: key, LinkKey: linkKey},
		Views: w.views, Conn: conn, Handlers: map[link.Kind]link.Handler{link.KindCircuit: sw.ServeCircuit},
	})
	if err != nil {
		return err
	}
	w.relays, w.posts[r.ID], w.addrs[r.Addrs[0]] = append(w.relays, r), p, r.ID
	w.wg.Go(func() { _ = sw.Run(ctx) })
	w.wg.Go(func() { _ = e.Run(ctx) })
	return nil
}

// markOfPushes is the code by which a hostile mailbox relay delays what it
// pushes to the first client of a pair. Queues have the numbers of clients.
func (w *world) markOfPushes(queue uint32) (Mark, bool) {
	return ^w.marks[queue], !w.cfg.NoMarks && queue%2 == 0
}

// startClients starts the clients over half a minute.
func (w *world) startClients(ctx context.Context) ([]*talker, error) {
	n := w.cfg.clients()
	at := make([]address, n)
	for i := range at {
		at[i] = address{w.relays[w.rnd.IntN(len(w.relays))].ID, uint32(i)}
	}
	talkers := make([]*talker, n)
	for i := range talkers {
		c, err := circuit.NewClient(circuit.ClientConfig{
			Network: w.network, Views: w.views, State: new(lab.Memory), Profile: w.cfg.Profile,
			ListenPacket: func() (net.PacketConn, error) {
				a := w.sim.Address()
				w.tap.Client(a, i)
				return w.sim.Listen(a)
			},
		})
		if err != nil {
			return nil, err
		}
		t := newTalker(c.Pool(), randv2.New(randv2.NewPCG(w.cfg.Seed, uint64(100+i))), at[i], at[i^1])
		talkers[i] = t
		start := randv2.New(randv2.NewPCG(w.cfg.Seed, uint64(1e6)+uint64(i))).Int64N(int64(30 * time.Second))
		w.wg.Go(func() {
			if !pause(ctx, time.Duration(start)) {
				return
			}
			var wg sync.WaitGroup
			wg.Go(func() { _ = c.Run(ctx) })
			wg.Go(func() { t.run(ctx) })
			wg.Wait()
		})
	}
	return talkers, nil
}

// talk holds the conversations and observes them. It returns how many messages
// were written.
func (w *world) talk(ctx context.Context, talkers []*talker) int {
	w.tap.Start()
	w.inside.start()
	for _, t := range talkers {
		t.measure()
	}
	var wg sync.WaitGroup
	messages := 0
	for i := range w.cfg.Pairs {
		lines := Conversation(randv2.New(randv2.NewPCG(w.cfg.Seed, uint64(2e6)+uint64(i))), w.cfg.Length, w.cfg.Quiet)
		messages += len(lines)
		wg.Go(func() {
			begin := time.Now()
			for _, l := range lines {
				if !pause(ctx, time.Until(begin.Add(l.At))) {
					return
				}
				talkers[2*i+l.From].write(false)
			}
		})
	}
	pause(ctx, w.cfg.Length)
	w.tap.Stop()
	w.inside.stop()
	wg.Wait()
	return messages
}

// record collects what was seen.
func (w *world) record(talkers []*talker, messages int) *Record {
	r := &Record{Config: w.cfg, Links: w.tap.Links(), Insiders: w.inside.clients, Marks: w.marks, Messages: messages}
	r.Pushes = make([][]time.Duration, len(talkers))
	for i, t := range talkers {
		p := w.posts[t.own.relay]
		p.mu.Lock()
		b := p.box(t.own.queue)
		r.Pushes[i] = b.pushes
		t.mu.Lock()
		if i%2 == 0 { // its blocks were sent by a client whose link nobody marks
			r.Ways = append(r.Ways, b.ways...)
			r.Waits = append(r.Waits, b.waits...)
		} else { // its link and its pushes bear no mark
			r.Ways = append(r.Ways, t.ways...)
		}
		r.Ends = append(r.Ends, t.ends...)
		t.mu.Unlock()
		p.mu.Unlock()
	}
	w.inside.mu.Lock()
	defer w.inside.mu.Unlock()
	for addrs, trace := range w.tap.backbone {
		a, b := w.addrs[addrs[0]], w.addrs[addrs[1]]
		n := w.inside.carried[[2]directory.RelayID{a, b}]
		if n == nil {
			n = w.inside.carried[[2]directory.RelayID{b, a}]
		}
		if n != nil && n[guardToLayer2]+n[inner] > 0 {
			r.Backbone = append(r.Backbone, Backbone{trace, float64(n[guardToLayer2]) / float64(n[guardToLayer2]+n[inner])})
		}
	}
	return r
}
