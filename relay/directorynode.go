package relay

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"hearsay/circuit/link"
	"hearsay/directory"
	"hearsay/directory/gossip"
	"hearsay/directory/signer"
	"hearsay/directory/sybil"
)

// fileASTable is the AS table of a founder's home (SPEC.md §7.1).
const fileASTable = "as-table"

// ErrASTable is returned for a signer's home without the AS table that the network
// file names: its snapshots would differ from those of the others.
var ErrASTable = errors.New("relay: the network file names an AS table that is not in this home")

// DirectoryConfig configures a DirectoryNode.
type DirectoryConfig struct {
	// Home is a directory in which Found has founded a network. Required.
	Home string
	// Conn is an open socket to use in place of the address in the network
	// file. The node closes it.
	Conn net.PacketConn
	// ListenPacket opens the sockets from which relays are probed. Nil: UDP.
	ListenPacket func() (net.PacketConn, error)
	// Recommended is the relays' software that this signer recommends, at most 16
	// names of 1 to 24 ASCII characters. None: every software is as good.
	Recommended []string
	// ServeStatus answers AskDirectoryStatus on a socket in Home while the node runs.
	ServeStatus bool
	Log         *slog.Logger // nil: discard
}

// DirectoryNode is a founder's process: a bootstrap of the network, one of its
// signers, or both. It accepts descriptors, probes the relays, makes a snapshot
// per epoch with the other signers, and serves it. It carries no circuits.
type DirectoryNode struct {
	log      *slog.Logger
	home     *home
	keys     *keys
	conn     net.PacketConn
	views    *directory.Views
	endpoint *link.Endpoint
	gossip   *gossip.Node
	circuits *circuits // of this node itself
	// Nil in a home that signs nothing.
	prober   *prober
	signer   *signer.Signer
	restored time.Time
	status   bool
	ready    chan struct{}
	once     sync.Once
	killed   chan struct{}
	killOnce sync.Once
}

// NewDirectoryNode opens the home and binds the socket. Run, or Close, must
// follow.
func NewDirectoryNode(cfg DirectoryConfig) (*DirectoryNode, error) {
	n := &DirectoryNode{
		log: cfg.Log, views: new(directory.Views), conn: cfg.Conn, status: cfg.ServeStatus,
		ready: make(chan struct{}), killed: make(chan struct{}),
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if err := n.open(cfg); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

func (n *DirectoryNode) open(cfg DirectoryConfig) (err error) {
	if n.home, err = openHome(cfg.Home); err != nil {
		return err
	}
	now := time.Now()
	chain, err := n.home.loadNetwork(now)
	if err != nil {
		return err
	}
	if chain == nil {
		return ErrNoNetwork
	}
	if n.keys, err = loadKeys(n.home, now); err != nil {
		return err
	}
	n.keys.lab = chain.Current().Lab
	if n.conn, err = n.listen(cfg, chain); err != nil {
		return err
	}
	return n.prepare(cfg, chain)
}

// listen opens the socket of this node's address in the network file, or, for a
// signer that the file gives none, one that only dials out.
func (n *DirectoryNode) listen(cfg DirectoryConfig, chain *directory.Chain) (net.PacketConn, error) {
	own, f := n.ID().Prefix(), chain.Current()
	i := slices.IndexFunc(f.Bootstraps, func(b directory.Bootstrap) bool { return b.ID == own })
	if i >= 0 {
		return bind(cfg.Conn, f.Bootstraps[i].Addr)
	}
	if signs, err := n.signs(chain); err != nil || !signs {
		return nil, cmp.Or(err, ErrNoDirectory)
	}
	switch {
	case cfg.Conn != nil:
		return cfg.Conn, nil
	case cfg.ListenPacket != nil:
		return cfg.ListenPacket()
	}
	return listenAny()
}

func (n *DirectoryNode) prepare(cfg DirectoryConfig, chain *directory.Chain) (err error) {
	d := &dialer{}
	if n.circuits, err = newCircuits(chain.ID(), n.keys.lab, n.ID(), n.views, cfg.ListenPacket, n.log); err != nil {
		return err
	}
	n.gossip, err = gossip.NewNode(gossip.NodeConfig{
		Role: gossip.RoleDirectory, Self: n.ID(), Dialer: d, Views: n.views,
		Link: chain.Link(nil), Files: chain.Raw(1), Circuits: n.circuits,
		Dir: filepath.Join(cfg.Home, dirGossip), Log: n.log,
	})
	if err != nil {
		return err
	}
	if err := n.takeEmergency(); err != nil {
		return err
	}
	if signs, err := n.signs(chain); err != nil {
		return err
	} else if signs {
		if err := n.prepareSigner(cfg, chain); err != nil {
			return err
		}
	}
	n.endpoint, err = link.New(link.Config{
		Role: link.RoleDirectory, Network: chain.ID(), Lab: n.keys.lab,
		Identity: &link.Identity{Key: n.keys.identity, LinkKey: n.keys.linkKey()},
		Views:    n.views, Conn: n.conn, Handlers: gossipHandlers(n.gossip),
		AllowGossip:       func(directory.RelayID) bool { return true }, // relays join here
		StatelessResetKey: n.keys.reset, TokenGeneratorKey: n.keys.token,
		Log: n.log,
	})
	if err != nil {
		return err
	}
	d.endpoint = n.endpoint
	return nil
}

// signs tells whether this home signs, by the version in force or by one to come.
func (n *DirectoryNode) signs(chain *directory.Chain) (signs bool, err error) {
	for v := chain.InForce(time.Now()).Current().Version; v <= chain.Current().Version && !signs && err == nil; v++ {
		if f, ok := chain.Version(v); ok {
			signs, err = n.home.signs(f)
		}
	}
	if signs || err != nil {
		return signs, err
	}
	// Of a home whose card and identity key lie elsewhere the certificate tells.
	_, raw, err := n.home.signerKeys()
	if raw == nil || err != nil {
		return false, err
	}
	c, err := directory.ParseCertificate(chain.ID(), raw)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(chain.Current().Signers, func(k directory.FounderKey) bool { return k.Public == c.Signer }), nil
}

// asTable reads the AS table that the network file names, nil if it names none.
func (h *home) asTable(f *directory.NetworkFile) (*sybil.ASTable, error) {
	if f.ASTable == [32]byte{} {
		return nil, nil
	}
	b, err := h.read(fileASTable)
	if err != nil {
		return nil, err
	}
	if b == nil || sha256.Sum256(b) != f.ASTable {
		return nil, fmt.Errorf("%w: %s", ErrASTable, h.path(fileASTable))
	}
	return sybil.ParseASTable(b)
}

// prepareSigner makes the part of this node that signs: alone, or as one of
// several.
func (n *DirectoryNode) prepareSigner(cfg DirectoryConfig, chain *directory.Chain) error {
	identity, certificate, err := n.home.signerKeys()
	if err != nil {
		return err
	}
	online, err := n.home.key(fileOnline, keyOnline, time.Now())
	if err != nil {
		return err
	}
	table, err := n.home.asTable(chain.Current())
	if err != nil {
		return err
	}
	restored, err := n.home.restored()
	if err != nil {
		return err
	}
	n.restored = restored
	listen := cfg.ListenPacket
	if listen == nil {
		listen = listenAny
	}
	if n.prober, err = newProber(chain.ID(), listen, n.log); err != nil {
		return err
	}
	n.signer, err = signer.New(signer.Config{
		Identity:    identity,
		Certificate: certificate,
		Online:      ed25519.NewKeyFromSeed(online.secret[:]),
		Node:        n.gossip,
		Prober:      n.prober,
		Meter:       n.circuits,
		AS:          table,
		Recommended: cfg.Recommended,
		Marks:       func() ([]signer.Mark, error) { return signer.LoadMarks(cfg.Home) },
		Dir:         filepath.Join(cfg.Home, "signer"),
		Restored:    restored,
		Log:         n.log,
	})
	if err != nil {
		return err
	}
	if !restored.IsZero() && !n.signer.HasHistory() && len(chain.InForce(time.Now()).Current().Signers) == 1 {
		return ErrHistoryLost
	}
	return nil
}

// ID returns the identity by which the network file names this node.
func (n *DirectoryNode) ID() directory.RelayID { return n.keys.id() }

// Addr returns the address that the node is bound to.
func (n *DirectoryNode) Addr() netip.AddrPort { return localAddr(n.conn) }

// Ready is closed once the node serves: its port is bound and it holds a
// snapshot, one that it has just made included. A new network of several signers
// has none before enough of them run.
func (n *DirectoryNode) Ready() <-chan struct{} { return n.ready }

// Network returns the newest version of the network file.
func (n *DirectoryNode) Network() *directory.NetworkFile { return n.gossip.Chain().Current() }

// Link returns the network link.
func (n *DirectoryNode) Link() directory.NetworkLink { return n.gossip.Chain().Link(nil) }

// Files returns the versions of the network file.
func (n *DirectoryNode) Files() [][]byte { return n.gossip.Chain().Raw(1) }

// Views returns the views that the node keeps.
func (n *DirectoryNode) Views() *directory.Views { return n.views }

// Publish takes a relay's descriptor before or while the node runs. What is
// handed over before Run is in the first snapshot, if the relay answers.
func (n *DirectoryNode) Publish(raw []byte) error { return n.gossip.Publish(raw) }

// Run serves until ctx ends; a directory node has no circuits to wait for. It
// returns nil after a clean stop.
func (n *DirectoryNode) Run(ctx context.Context) error {
	defer n.Close()
	inner, cancel := context.WithCancelCause(ctx)
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
	run("own circuits", n.circuits.Run)
	run("gossip", n.gossip.Run)
	if n.signer != nil {
		run("probes", n.prober.endpoint.Run)
		run("signer", n.signer.Run)
	}
	if n.status {
		if l := openStatus(n.home.dir, n.log); l != nil { // before the node says that it is ready
			wg.Go(func() { n.serveStatus(inner, l) })
		}
	}
	wg.Go(func() { n.announce(inner) })
	wg.Go(func() { n.publishSuccessor(inner, n.gossip) })
	run("network file", n.remember)
	select {
	case <-inner.Done():
	case <-n.killed:
	}
	err := context.Cause(inner)
	n.endpoint.Drain()
	cancel(nil)
	wg.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return err
}

// announce closes ready at the first snapshot.
func (n *DirectoryNode) announce(ctx context.Context) {
	for {
		changed := n.views.Changed()
		if n.views.Current() != nil {
			close(n.ready)
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// remember keeps the home's copy of the network file up to date with versions
// that came by gossip: the next change is drafted from it. What cannot be written
// now is written at the next snapshot.
func (n *DirectoryNode) remember(ctx context.Context) error {
	kept, err := n.home.history()
	if err != nil {
		return err
	}
	version := uint64(0)
	if kept != nil {
		version = kept.Current().Version
	}
	for {
		changed := n.views.Changed()
		if c := n.gossip.Chain(); c.Current().Version > version {
			if err := n.home.saveNetwork(c.ID(), c.Raw(1)); err != nil {
				n.log.Error("the new network file is not saved in the home", logError, err)
			} else {
				version = c.Current().Version
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Kill ends the node as a crash would. For tests; Run returns soon.
func (n *DirectoryNode) Kill() {
	n.killOnce.Do(func() {
		n.conn.Close()
		close(n.killed)
	})
}

// Close frees the home and the socket of a node that does not run. It is
// idempotent; Run calls it.
func (n *DirectoryNode) Close() {
	n.once.Do(func() {
		if n.endpoint != nil {
			n.endpoint.Close()
		}
		if n.circuits != nil {
			n.circuits.Close()
		}
		if n.prober != nil {
			n.prober.endpoint.Close()
		}
		if n.signer != nil {
			n.signer.Close()
		}
		if n.gossip != nil {
			n.gossip.Close()
		}
		if n.conn != nil {
			n.conn.Close()
		}
		if n.home != nil {
			n.home.close()
		}
	})
}

// prober reaches relays as a client would, from fresh sockets.
type prober struct{ endpoint *link.Endpoint }

func newProber(network directory.NetworkID, listen func() (net.PacketConn, error), log *slog.Logger) (*prober, error) {
	e, err := link.New(link.Config{Role: link.RoleClient, Network: network, ListenPacket: listen, Log: log})
	return &prober{e}, err
}

// Probe dials every address of a descriptor and returns those at which the
// holder of the link key proved that the identity is its own. The descriptor
// alone is no proof: anybody can sign the link key of another relay.
func (p *prober) Probe(ctx context.Context, d *directory.Descriptor) (reached []netip.AddrPort, err error) {
	for _, a := range d.Addrs {
		l, e := p.endpoint.Link(ctx, link.Target{ID: d.ID, LinkKey: d.LinkKey, Addrs: []netip.AddrPort{a}})
		if e == nil {
			e = l.Confirm(ctx)
			l.Close()
		}
		if e != nil {
			err = e
			continue
		}
		reached = append(reached, a)
	}
	if len(reached) > 0 {
		err = nil
	}
	return reached, err
}
