package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"hearsay/directory"
	"hearsay/directory/gossip"
	"hearsay/relay"
)

// Config says what network to start.
type Config struct {
	// Dir holds the homes of all nodes. Required; the caller removes it.
	Dir string
	// Relays is how many relays start at once. Zero: 8.
	Relays int
	// Signers is how many founders the network has, each with a directory node
	// that is a bootstrap and a signer. Zero: 1.
	Signers int
	// Sim is the simulated network to run on. Nil: UDP on loopback, which only
	// lab networks allow.
	Sim *SimNet
	// Lab makes a lab network, which relays join without a proof; else it is an
	// ordinary one, which they join by token.
	Lab bool
	// Late lets the relays join by themselves after the start. Otherwise their
	// descriptors are handed to the directory node before, so that its first
	// snapshot lists them.
	Late bool
	// Name of the network. Empty: "lab".
	Name string
	// Trace returns what sees the cells of relay i, in order of their start;
	// nil: none.
	Trace func(i int) relay.Trace
	// InsecureTamper returns what makes relay i a hostile one, nil for an honest
	// one; nil: all are honest. See relay.SwitchConfig.
	InsecureTamper func(i int) func(way relay.Way, cells []byte) []byte
	// Bandwidth returns what relay i may use, in bytes a second, 0 for no limit;
	// nil: none has one.
	Bandwidth func(i int) int64
	// InsecureNoRateLimits lifts the relays' rate limits, for measurements.
	InsecureNoRateLimits bool
	// InsecureServeRequest is relay.NodeConfig's, for all relays.
	InsecureServeRequest func(ctx context.Context, s gossip.Stream) error
	// Software is what relays call themselves in the directory.
	Software string
	Log      *slog.Logger // nil: discard
}

// Network is a running network. Its methods are safe for concurrent use.
type Network struct {
	cfg   Config
	link  directory.NetworkLink
	relay directory.NetworkLink // with a token, if the network asks for one
	files [][]byte

	mu      sync.Mutex
	signers []*Signer
	relays  []*Relay
	closed  bool
}

// node is one process of the network: something that runs until stopped.
type node struct {
	stop context.CancelFunc
	done chan struct{}
	err  error // after done
}

// run starts f.
func run(f func(ctx context.Context) error) *node {
	ctx, cancel := context.WithCancel(context.Background())
	n := &node{stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(n.done)
		n.err = f(ctx)
	}()
	return n
}

// end stops the node and waits.
func (n *node) end() error {
	n.stop()
	<-n.done
	return n.err
}

// Relay is one relay of a network, which may be running or not.
type Relay struct {
	net   *Network
	index int
	home  string

	mu   sync.Mutex
	addr netip.AddrPort // fixed after the first start
	node *relay.Node    // of the last start
	run  *node          // nil while it does not run
}

// Start founds a network and starts it. It returns when the directory nodes
// have made their first snapshot and all relays serve; ctx bounds only that.
// Close must follow.
func Start(ctx context.Context, cfg Config) (*Network, error) {
	if cfg.Relays == 0 {
		cfg.Relays = 8
	}
	if cfg.Signers == 0 {
		cfg.Signers = 1
	}
	if cfg.Name == "" {
		cfg.Name = "lab"
	}
	n := &Network{cfg: cfg}
	if err := n.start(ctx); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

func (n *Network) start(ctx context.Context) error {
	if err := n.found(); err != nil {
		return err
	}
	for _, s := range n.signers {
		if err := s.open(); err != nil {
			return err
		}
	}
	n.files = n.signers[0].node.Files()
	for range n.cfg.Relays {
		r := n.newRelay()
		if err := r.open(); err != nil {
			return err
		}
		if n.cfg.Late {
			continue
		}
		for _, s := range n.signers {
			if err := s.node.Publish(r.node.Descriptor()); err != nil {
				return fmt.Errorf("relay %d: %w", r.index, err)
			}
		}
	}
	// Directory nodes probe what was handed over before they make their first
	// snapshot, so those relays serve first; others need it to join.
	if n.cfg.Late {
		if err := n.serveSigners(ctx); err != nil {
			return err
		}
	}
	for _, r := range n.Relays() {
		r.serve()
	}
	for _, r := range n.Relays() {
		if err := r.wait(ctx); err != nil {
			return err
		}
	}
	if n.cfg.Late {
		return nil
	}
	return n.serveSigners(ctx)
}

func (n *Network) logger(name string) *slog.Logger {
	if n.cfg.Log == nil {
		return nil
	}
	return n.cfg.Log.With("node", name)
}

// bind opens a node's socket, at a new address if none is given.
func (n *Network) bind(a netip.AddrPort) (netip.AddrPort, net.PacketConn, error) {
	if n.cfg.Sim != nil {
		if !a.IsValid() {
			a = n.cfg.Sim.Address()
		}
		c, err := n.cfg.Sim.Listen(a)
		return a, c, err
	}
	if !a.IsValid() {
		a = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	}
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(a))
	if err != nil {
		return a, nil, err
	}
	return addrPort(c.LocalAddr()), c, nil
}

// ListenPacket opens a socket for a client.
func (n *Network) ListenPacket() (net.PacketConn, error) {
	_, c, err := n.bind(netip.AddrPort{})
	return c, err
}

// Link returns the network link, as people give it to each other.
func (n *Network) Link() directory.NetworkLink { return n.link }

// RelayLink returns the link by which relays join; it carries a token where
// the network asks for one.
func (n *Network) RelayLink() directory.NetworkLink { return n.relay }

// Relays returns all relays, running or not, in order of their first start.
func (n *Network) Relays() []*Relay {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*Relay(nil), n.relays...)
}

// Relay returns the relay with the given identity, or nil.
func (n *Network) Relay(id directory.RelayID) *Relay {
	for _, r := range n.Relays() {
		if r.ID() == id {
			return r
		}
	}
	return nil
}

// AddRelay starts another relay, which joins by itself, and waits until it
// serves; being listed takes an epoch more.
func (n *Network) AddRelay(ctx context.Context) (*Relay, error) {
	r := n.newRelay()
	return r, r.Start(ctx)
}

func (n *Network) newRelay() *Relay {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := &Relay{net: n, index: len(n.relays)}
	r.home = filepath.Join(n.cfg.Dir, fmt.Sprintf("relay%02d", r.index))
	n.relays = append(n.relays, r)
	return r
}

// Close stops everything at once and waits for it. It is idempotent. The homes
// stay.
func (n *Network) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	n.mu.Unlock()
	err := n.StopDirectory()
	var wg sync.WaitGroup
	for _, r := range n.Relays() {
		wg.Go(r.Kill)
	}
	wg.Wait()
	return err
}

// open makes the relay's node without running it. At a restart the address
// and the home are those of the first start.
func (r *Relay) open() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.run != nil {
		return errors.New("lab: relay runs already")
	}
	addr, conn, err := r.net.bind(r.addr)
	if err != nil {
		return err
	}
	r.addr = addr
	cfg := relay.NodeConfig{
		Home: r.home, Link: r.net.relay, Conn: conn, ListenPacket: r.net.ListenPacket,
		Software: r.net.cfg.Software, InsecureNoRateLimits: r.net.cfg.InsecureNoRateLimits,
		InsecureServeRequest: r.net.cfg.InsecureServeRequest,
		Log:                  r.net.logger(fmt.Sprintf("relay%02d", r.index)),
	}
	if !r.net.cfg.Late && r.index < r.net.cfg.Relays {
		cfg.Files = r.net.files
	}
	if r.net.cfg.Bandwidth != nil {
		cfg.Settings.Bandwidth = r.net.cfg.Bandwidth(r.index)
	}
	if r.net.cfg.Trace != nil {
		cfg.Trace = r.net.cfg.Trace(r.index)
	}
	if r.net.cfg.InsecureTamper != nil {
		cfg.InsecureTamper = r.net.cfg.InsecureTamper(r.index)
	}
	r.node, err = relay.NewNode(cfg)
	return err
}

// serve runs the node that open made.
func (r *Relay) serve() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run = run(r.node.Run)
}

// wait waits until the relay serves.
func (r *Relay) wait(ctx context.Context) error {
	r.mu.Lock()
	n, p := r.node, r.run
	r.mu.Unlock()
	select {
	case <-n.Ready():
		return nil
	case <-p.done:
		return fmt.Errorf("relay %d: %w", r.index, p.err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Start starts a relay that does not run and waits until it serves.
func (r *Relay) Start(ctx context.Context) error {
	if err := r.open(); err != nil {
		return err
	}
	r.serve()
	return r.wait(ctx)
}

// Kill ends the relay as a crash would: nobody hears of it.
func (r *Relay) Kill() {
	r.mu.Lock()
	n, p := r.node, r.run
	r.run = nil
	r.mu.Unlock()
	if p == nil {
		if n != nil {
			n.Close()
		}
		return
	}
	n.Kill()
	p.end()
}

// Stop ends the relay as SIGTERM would, with its drain.
func (r *Relay) Stop() error {
	r.mu.Lock()
	p := r.run
	r.run = nil
	r.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.end()
}

// ID returns the relay's identity.
func (r *Relay) ID() directory.RelayID {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.node == nil {
		return directory.RelayID{}
	}
	return r.node.ID()
}

// Addr returns the address that the relay has or had.
func (r *Relay) Addr() netip.AddrPort {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addr
}

// Node returns the relay's node of its last start.
func (r *Relay) Node() *relay.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.node
}

// Home returns the relay's home directory.
func (r *Relay) Home() string { return r.home }

// Wipe removes the home of a relay that does not run, as a lost disk would.
func (r *Relay) Wipe() error { return os.RemoveAll(r.home) }
