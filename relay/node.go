package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hearsay/circuit/link"
	"hearsay/circuit/onion"
	"hearsay/directory"
	"hearsay/directory/gossip"
	"hearsay/relay/mailbox"
)

// NodeConfig configures a Node.
type NodeConfig struct {
	// Home is the directory of keys and state, made if missing. Required.
	Home string

	// Link names the network. Its token, if it has one, is used to join. Zero:
	// the network that the home remembers.
	Link directory.NetworkLink
	// Files are the versions of the network file, if they are known already.
	// Nil: remembered or fetched.
	Files [][]byte
	// Token admits the relay where the network asks for one, 136 bytes. Nil:
	// that of Link.
	Token []byte
	// Vouches admit the relay where the network asks for them, at most two.
	Vouches []directory.Vouch
	// Notice is told how joining goes. It is called by goroutines of the node and
	// must neither wait nor call the node. Nil: nobody is told.
	Notice func(Notice)

	// Listen is the UDP address to bind; port 0 takes any.
	Listen netip.AddrPort
	// Conn is an open socket to use in place of Listen. The node closes it.
	Conn net.PacketConn
	// ListenPacket opens a socket for fetching the network file. Nil: UDP.
	ListenPacket func() (net.PacketConn, error)
	// Advertise are the addresses that others dial. Nil: the bound one.
	Advertise []netip.AddrPort

	// Settings may be changed later by Apply.
	Settings Settings
	// MaxMemory is what the relay may use, see SwitchConfig.
	MaxMemory int64

	// Leaving says that the relay goes for good: its mailbox takes no new queues
	// and tells owners to move theirs (relay/mailbox/SPEC.md §3.4).
	Leaving bool

	Software string // at most 24 bytes, shown in the directory

	// ServeStatus answers AskStatus on a socket in Home while the node runs, and
	// keeps the account of traffic that is part of the answer.
	ServeStatus bool

	// Tests only, see SwitchConfig.
	InsecureNoRateLimits bool
	InsecureTamper       func(way Way, cells []byte) []byte
	Trace                Trace
	// InsecureServeRequest serves the directory streams of circuits in place of
	// the directory, as a source and a sink of bytes. Nil: the directory does.
	InsecureServeRequest func(ctx context.Context, s gossip.Stream) error

	Log *slog.Logger // nil: discard
}

// Errors of a node that callers decide on.
var (
	// ErrAddress says that a network does not take the node's address.
	ErrAddress = errors.New("relay: this network does not accept the address")
	// ErrOtherNetwork says that the home belongs to another network.
	ErrOtherNetwork = errors.New("relay: the home belongs to another network")
)

// Node is a whole relay: its socket and links, the switch, gossip, the
// mailbox, and the descriptor that makes it known.
type Node struct {
	cfg   NodeConfig
	log   *slog.Logger
	home  *home
	keys  *keys // guarded by mu after NewNode
	conn  net.PacketConn
	views *directory.Views
	ready chan struct{}
	once  sync.Once

	onionKeys atomic.Pointer[[]onion.OnionKey]

	// Set by prepare, before ready is closed.
	chain    *directory.Chain
	addrs    []netip.AddrPort
	endpoint *link.Endpoint
	gossip   *gossip.Node
	sw       *Switch
	mailbox  *mailbox.Server
	circuits *circuits // of this node itself
	traffic  ledger

	mu        sync.Mutex
	published []byte // own descriptor
	shown     []byte // its admission field
	work      *directory.PoW
	refusal   gossip.VerdictCode // what the operator was told last; VerdictHeld: nothing
	seq       uint64
	again     time.Time // when to publish next, unless something changes
	killed    chan struct{}
	killOnce  sync.Once

	workAgain chan struct{} // capacity 1: a bootstrap refused the work; more words change nothing
}

// NewNode opens the home and binds the socket. If the network is known already
// the node is prepared, so that Descriptor works; else Run fetches the network
// file first. Run, or Close, must follow.
func NewNode(cfg NodeConfig) (*Node, error) {
	n := &Node{
		cfg: cfg, log: cfg.Log, views: new(directory.Views), conn: cfg.Conn,
		ready: make(chan struct{}), killed: make(chan struct{}), workAgain: make(chan struct{}, 1),
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if err := n.open(); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

func (n *Node) open() (err error) {
	cfg := &n.cfg
	if err := cfg.Settings.Check(); err != nil {
		return err
	}
	if n.home, err = openHome(cfg.Home); err != nil {
		return err
	}
	now := time.Now()
	if n.keys, err = loadKeys(n.home, now); err != nil {
		return err
	}
	if n.conn, err = bind(cfg.Conn, cfg.Listen); err != nil {
		return err
	}
	switch {
	case cfg.Files != nil:
		if n.chain, err = directory.VerifyChain(cfg.Link.ID, cfg.Files, now); err == nil {
			err = n.home.saveNetwork(n.chain.ID(), n.chain.Raw(1))
		}
	default:
		n.chain, err = n.home.loadNetwork(now)
	}
	if err != nil {
		return err
	}
	given := cfg.Link.ID != directory.NetworkID{}
	switch {
	case n.chain == nil && !given:
		return ErrNoNetwork
	case n.chain == nil:
		return nil // Run fetches it
	case given && n.chain.ID() != cfg.Link.ID:
		return fmt.Errorf("%w: %s", ErrOtherNetwork, cfg.Home)
	}
	return n.prepare()
}

// bind returns the given socket or opens one.
func bind(given net.PacketConn, listen netip.AddrPort) (net.PacketConn, error) {
	if given != nil {
		return given, nil
	}
	if !listen.IsValid() {
		return nil, errors.New("relay: no address to listen on")
	}
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(listen))
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return c, nil
}

// ID returns the relay's identity.
func (n *Node) ID() directory.RelayID { return n.keys.id() }

// Addr returns the address that the node is bound to.
func (n *Node) Addr() netip.AddrPort { return localAddr(n.conn) }

// Ready is closed once the node serves: its port is bound and the network file
// verified. Being listed comes later.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Network returns the verified network file; nil before Ready.
func (n *Node) Network() *directory.NetworkFile {
	if n.chain == nil {
		return nil
	}
	return n.chain.Current()
}

// Views returns the directory views that the node keeps.
func (n *Node) Views() *directory.Views { return n.views }

// Status says how a node stands.
type Status struct {
	gossip.Status
	Circuits int
}

// Status returns the node's state; it is zero before Ready.
func (n *Node) Status() Status {
	select {
	case <-n.ready:
		return Status{n.gossip.Status(), n.sw.Circuits()}
	default:
		return Status{}
	}
}

// Descriptor returns the node's signed descriptor, for a lab that hands it
// over before the network starts. It is nil while the network is not known.
func (n *Node) Descriptor() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.published
}

// prepare builds everything that needs the network file.
func (n *Node) prepare() error {
	file := n.chain.Current()
	n.keys.lab = file.Lab
	if err := n.advertise(file.Lab); err != nil {
		return err
	}
	if err := n.keys.loadOnion(); err != nil {
		return err
	}
	if _, _, err := n.keys.rotate(time.Now()); err != nil {
		return err
	}
	n.shareOnionKeys()
	if err := n.loadWork(); err != nil {
		return err
	}

	d := &dialer{}
	var err error
	if n.circuits, err = newCircuits(n.chain.ID(), file.Lab, n.ID(), n.views, n.cfg.ListenPacket, n.log); err != nil {
		return err
	}
	n.gossip, err = gossip.NewNode(gossip.NodeConfig{
		Role: gossip.RoleRelay, Self: n.ID(), Dialer: d, Views: n.views,
		Link: n.chain.Link(nil), Files: n.chain.Raw(1),
		Circuits: n.circuits, Identity: n.keys.identity, Judged: n.judged,
		Dir: filepath.Join(n.cfg.Home, "gossip"), Log: n.log,
	})
	if err != nil {
		return err
	}
	n.mailbox, err = mailbox.NewServer(mailbox.Config{
		Dir: filepath.Join(n.cfg.Home, "mailbox"), Network: n.chain.ID(), Identity: n.keys.identity,
		Lab: file.Lab, Space: n.Settings().MailboxSpace, TestOnlyNoRates: n.cfg.InsecureNoRateLimits, Log: n.log,
		SnapshotTime: func() (time.Time, bool) {
			if v := n.views.Current(); v != nil {
				return v.ValidAfter(), true
			}
			return time.Time{}, false
		},
	})
	if err != nil {
		return err
	}
	if n.cfg.Leaving {
		n.mailbox.Drain()
	}
	serveRequest := n.gossip.ServeRequest
	if n.cfg.InsecureServeRequest != nil {
		serveRequest = n.cfg.InsecureServeRequest
	}
	n.sw = NewSwitch(SwitchConfig{
		Network: n.chain.ID(), ID: n.ID(), Views: n.views,
		OnionKeys:            func() []onion.OnionKey { return *n.onionKeys.Load() },
		Dial:                 func(ctx context.Context, t link.Target) (*link.Link, error) { return n.endpoint.Link(ctx, t) },
		Clients:              func() []*link.Link { return n.endpoint.Clients() },
		Service:              mailboxService{n.mailbox},
		ServeRequest:         serveRequest,
		Bandwidth:            n.Settings().Bandwidth,
		MaxMemory:            n.cfg.MaxMemory,
		InsecureNoRateLimits: n.cfg.InsecureNoRateLimits,
		InsecureTamper:       n.cfg.InsecureTamper,
		Trace:                n.cfg.Trace,
	})
	handlers := gossipHandlers(n.gossip)
	handlers[link.KindCircuit] = n.sw.ServeCircuit
	n.endpoint, err = link.New(link.Config{
		Role: link.RoleRelay, Network: n.chain.ID(), Lab: file.Lab,
		Identity: &link.Identity{Key: n.keys.identity, LinkKey: n.keys.linkKey()},
		Views:    n.views, Conn: n.conn, Handlers: handlers,
		AllowGossip: func(id directory.RelayID) bool {
			c := n.gossip.Chain()
			return isBootstrap(c, id) || isBootstrap(c, n.ID()) // relays join at a bootstrap, and signers meet there
		},
		StatelessResetKey: n.keys.reset, TokenGeneratorKey: n.keys.token,
		Log: n.log,
	})
	if err != nil {
		return err
	}
	d.endpoint = n.endpoint
	return n.describe(time.Now(), false)
}

// advertise settles the addresses that others dial.
func (n *Node) advertise(lab bool) error {
	n.addrs = n.cfg.Advertise
	if len(n.addrs) == 0 {
		a := n.Addr()
		if a.Addr().IsUnspecified() {
			return fmt.Errorf("%w: it listens on all addresses; say which one others shall dial", ErrAddress)
		}
		n.addrs = []netip.AddrPort{a}
	}
	for _, a := range n.addrs {
		if err := directory.CheckAddr(a, lab); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrAddress, a, err)
		}
	}
	return nil
}

func isBootstrap(c *directory.Chain, id directory.RelayID) bool {
	return slices.ContainsFunc(c.Current().Bootstraps, func(b directory.Bootstrap) bool { return b.ID == id.Prefix() })
}

func (n *Node) shareOnionKeys() {
	k := n.keys.accepted()
	n.onionKeys.Store(&k)
}

// Run serves until ctx ends, then drains and closes the node. It returns nil
// after a clean stop.
func (n *Node) Run(ctx context.Context) error {
	defer n.Close()
	if n.chain == nil {
		listen := n.cfg.ListenPacket
		if listen == nil {
			listen = listenAny
		}
		chain, err := fetchNetwork(ctx, n.cfg.Link, listen, n.log)
		if err != nil {
			return stopped(ctx, err)
		}
		if err := n.home.saveNetwork(chain.ID(), chain.Raw(1)); err != nil {
			return err
		}
		n.chain = chain
		if err := n.prepare(); err != nil {
			return err
		}
	}
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	var wg sync.WaitGroup
	run := func(what string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(inner); err != nil && inner.Err() == nil {
				cancel(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	run("links", n.endpoint.Run)
	run("circuits", n.sw.Run)
	run("own circuits", n.circuits.Run)
	run("gossip", n.gossip.Run)
	run("mailbox", n.mailbox.Run)
	run("keys", n.maintain)
	run("work", n.joinByWork)
	if n.cfg.ServeStatus {
		n.openTraffic()
		if l := openStatus(n.home.dir, n.log); l != nil { // before the node says that it is ready
			run("status", func(ctx context.Context) error { return n.serveStatus(ctx, l) })
		}
		run("traffic", n.keepTraffic)
	}
	close(n.ready)
	n.limit(n.Settings()) // somebody may have changed them meanwhile

	select {
	case <-ctx.Done():
		n.drain(inner)
	case <-n.killed:
	case <-inner.Done():
	}
	err := context.Cause(inner)
	cancel(nil)
	wg.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return err
}

// drain refuses new circuits, tells all peers, and waits a while for the
// circuits that are open.
func (n *Node) drain(ctx context.Context) {
	patience := drainNetwork
	if n.chain.Current().Lab {
		patience = drainLab
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	go func() {
		select {
		case <-n.killed:
			cancel()
		case <-ctx.Done():
		}
	}()
	n.endpoint.Drain()
	n.sw.Drain(ctx)
}

// stopped turns an error into nil if it only says that ctx ended.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Kill ends the node as a crash would: nothing is drained, and the socket is gone
// before anything can be said on it. Run returns soon. It is safe for concurrent use.
func (n *Node) Kill() {
	n.killOnce.Do(func() {
		n.conn.Close()
		close(n.killed)
	})
}

// Close frees the home and the socket of a node that does not run. It is
// idempotent; Run calls it.
func (n *Node) Close() {
	n.once.Do(func() {
		if n.endpoint != nil {
			n.endpoint.Close()
		}
		if n.circuits != nil {
			n.circuits.Close()
		}
		if n.gossip != nil {
			n.gossip.Close()
		}
		if n.mailbox != nil {
			n.mailbox.Close()
		}
		if n.conn != nil {
			n.conn.Close()
		}
		if n.home != nil {
			n.home.close()
		}
	})
}

// listenAny opens a UDP socket on any port.
func listenAny() (net.PacketConn, error) { return net.ListenUDP("udp", nil) }

func localAddr(c net.PacketConn) netip.AddrPort {
	u, ok := c.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	a := u.AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
