package link

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"hearsay/directory"
)

// Endpoint dials and accepts links for one node or client. All methods are safe
// for concurrent use.
type Endpoint struct {
	cfg   Config
	log   *slog.Logger
	self  directory.RelayID // zero for clients
	creds atomic.Pointer[credentials]
	door  *door
	tr    *quic.Transport // nil for clients
	ln    *quic.Listener  // nil for clients

	ctx    context.Context // ends with the endpoint
	cancel context.CancelFunc
	wg     sync.WaitGroup // all goroutines of links and dials
	once   sync.Once

	// asRelay is the relay whose address the current connection attempt comes
	// from. Only the QUIC server's goroutine uses it, between the two callbacks
	// that it calls one after the other.
	asRelay *directory.Relay

	profile atomic.Uint32 // Profile of a client's links

	mu       sync.Mutex
	closed   bool
	draining bool
	links    map[*Link]struct{}
	ended    Volume             // of links that are gone
	byID     map[[16]byte]*Link // links for reuse, one per peer
	dials    map[dialKey]*dial
}

// New opens an endpoint. A node's endpoint completes handshakes at once, but
// serves peers only while Run is running; a client's needs Run or Close only
// to end.
func New(cfg Config) (*Endpoint, error) {
	e := &Endpoint{
		cfg: cfg, log: cfg.Log, door: newDoor(cfg.Lab),
		links: make(map[*Link]struct{}),
		byID:  make(map[[16]byte]*Link),
		dials: make(map[dialKey]*dial),
	}
	e.SetProfile(cfg.Profile)
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.cfg.Views == nil {
		e.cfg.Views = new(directory.Views)
	}
	if (cfg.Role == RoleClient) != (cfg.Identity == nil) {
		return nil, errors.New("link: clients have no identity, all others have one")
	}
	if cfg.Identity == nil {
		if cfg.ListenPacket == nil {
			return nil, errors.New("link: a client needs ListenPacket")
		}
	} else {
		if cfg.Conn == nil {
			return nil, errors.New("link: a node needs a socket")
		}
		creds, err := newCredentials(cfg.Network, cfg.Identity)
		if err != nil {
			return nil, err
		}
		e.self = creds.id
		e.creds.Store(creds)
		if err := e.listen(); err != nil {
			return nil, err
		}
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e, nil
}

// listen starts the one transport of a node.
func (e *Endpoint) listen() error {
	if u, ok := e.cfg.Conn.(*net.UDPConn); ok {
		// The kernel may grant less, which costs speed only.
		_ = u.SetReadBuffer(udpBuffer)
		_ = u.SetWriteBuffer(udpBuffer)
	}
	tr := newTransport()
	tr.Conn = e.cfg.Conn
	tr.StatelessResetKey = (*quic.StatelessResetKey)(keyOrRandom(e.cfg.StatelessResetKey))
	tr.TokenGeneratorKey = (*quic.TokenGeneratorKey)(keyOrRandom(e.cfg.TokenGeneratorKey))
	tr.VerifySourceAddress = func(a net.Addr) bool { return e.door.mustProve(addrPort(a)) }
	tr.ConnContext = e.admit
	conf := clientSideConfig()
	conf.GetConfigForClient = e.configFor
	ln, err := tr.Listen(serverTLS(e.creds.Load), conf)
	if err != nil {
		return fmt.Errorf("link: listen: %w", err)
	}
	e.tr, e.ln = tr, ln
	return nil
}

func keyOrRandom(k [32]byte) *[32]byte {
	if k == ([32]byte{}) {
		rand.Read(k[:])
	}
	return &k
}

// configFor gives the relay's limits to an attempt from the address of a listed
// relay, and a client's to all others (SPEC.md §5.4).
func (e *Endpoint) configFor(info *quic.ClientInfo) (*quic.Config, error) {
	e.asRelay = nil
	if v := e.cfg.Views.Current(); v != nil {
		if r, ok := v.ByAddr(addrPort(info.RemoteAddr)); ok && r.ID != e.self {
			e.asRelay = r
			return relayConfig(), nil
		}
	}
	return clientSideConfig(), nil
}

// admit is asked after configFor whether the connection may go on.
func (e *Endpoint) admit(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	return e.door.enter(ctx, addrPort(info.RemoteAddr), info.AddrVerified, e.asRelay)
}

// Run accepts links until ctx ends, then closes the endpoint. It returns nil
// after ctx ended, ErrClosed after Close, and an error if the socket broke.
func (e *Endpoint) Run(ctx context.Context) error {
	defer e.Close()
	stop := context.AfterFunc(ctx, e.cancel)
	defer stop()
	if e.ln == nil {
		<-e.ctx.Done()
		return e.runError(ctx, nil)
	}
	if !e.start(e.followViews) || !e.start(e.nudge) {
		return ErrClosed
	}
	for {
		conn, err := e.ln.Accept(e.ctx)
		if err != nil {
			return e.runError(ctx, err)
		}
		if !e.start(func() { e.receive(conn) }) {
			_ = conn.CloseWithError(0, "")
			return e.runError(ctx, nil)
		}
	}
}

func (e *Endpoint) runError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return nil
	case e.ctx.Err() != nil || err == nil:
		return ErrClosed
	}
	return fmt.Errorf("link: accept: %w", err)
}

// start runs f in a goroutine that Close waits for, or returns false.
func (e *Endpoint) start(f func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.wg.Go(f)
	return true
}

// Close closes all links and the socket, and waits until every handler has
// returned; handlers must not call it. It is idempotent.
func (e *Endpoint) Close() {
	e.mu.Lock()
	e.closed = true
	links := make([]*Link, 0, len(e.links))
	for l := range e.links {
		links = append(links, l)
	}
	e.mu.Unlock()
	e.cancel()
	e.door.shut()
	for _, l := range links {
		l.Close() // Transport.Close alone would send no close
	}
	e.once.Do(func() {
		if e.tr != nil {
			_ = e.ln.Close()
			_ = e.tr.Close()
			_ = e.cfg.Conn.Close()
		}
	})
	e.wg.Wait()
}

// Drain prepares the end of a node: nobody is let in any more, circuit streams
// are refused, and every peer gets a GOAWAY. Open streams go on until Close.
func (e *Endpoint) Drain() {
	e.door.shut()
	e.mu.Lock()
	e.draining = true
	links := make([]*Link, 0, len(e.links))
	for l := range e.links {
		links = append(links, l)
	}
	e.mu.Unlock()
	for _, l := range links {
		l.GoAway()
	}
}

// SetLinkKey replaces the TLS leaf key for new connections; those that exist
// stay. Only nodes may call it.
func (e *Endpoint) SetLinkKey(key ed25519.PrivateKey) error {
	old := e.creds.Load()
	if old == nil {
		return errors.New("link: a client has no link key")
	}
	c, err := newCredentials(e.cfg.Network, &Identity{Key: old.identity, LinkKey: key})
	if err != nil {
		return err
	}
	e.creds.Store(c)
	return nil
}

// Addr returns the local address of a node's socket; it is zero for clients.
func (e *Endpoint) Addr() netip.AddrPort {
	if e.cfg.Conn == nil {
		return netip.AddrPort{}
	}
	return addrPort(e.cfg.Conn.LocalAddr())
}

// proofTime is the time by which proofs are judged. A client's clock may be
// slow, so it takes the time of its snapshot if that is later (SPEC.md §3.3).
func (e *Endpoint) proofTime() time.Time {
	now := time.Now()
	if v := e.cfg.Views.Current(); v != nil && v.ValidAfter().After(now) {
		return v.ValidAfter()
	}
	return now
}

// adopt puts a new link under the endpoint, which closes it at its end.
func (e *Endpoint) adopt(l *Link) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.draining && !l.dialed {
		return false
	}
	e.links[l] = struct{}{}
	return true
}

// forget drops a link that is gone.
func (e *Endpoint) forget(l *Link) {
	id, _, _ := l.Peer()
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.links[l]; ok {
		e.ended.add(l)
		delete(e.links, l)
	}
	if e.byID[id.Prefix()] == l {
		delete(e.byID, id.Prefix())
	}
}

// register makes a proven link the one of its peer and returns the link that
// is kept. The other one, if any, drains (SPEC.md §7.1).
func (e *Endpoint) register(l *Link) *Link {
	id, _, _ := l.Peer()
	e.mu.Lock()
	old := e.byID[id.Prefix()]
	keep, drop := l, old
	switch {
	case old == nil:
	case !old.usable():
		drop = nil // it drains already
	case old.dialed != l.dialed && !e.listed():
		// To its peers this node is no relay: they keep no link that it dialed
		// for reuse, so dropping theirs would leave them without one.
		drop = nil
	case old.dialed != l.dialed && l.born.Sub(old.born) < simultaneous && e.initiator(old, id) == smaller(e.self, id):
		keep, drop = old, l
	}
	e.byID[id.Prefix()] = keep
	e.mu.Unlock()
	if drop != nil {
		drop.GoAway()
	}
	return keep
}

// registerFirst keeps a link that a node which is no relay made for reuse, unless
// there is one: it may have no address at which it could be dialed.
func (e *Endpoint) registerFirst(l *Link) {
	id, _, _ := l.Peer()
	e.mu.Lock()
	defer e.mu.Unlock()
	if old := e.byID[id.Prefix()]; old == nil || !old.usable() {
		e.byID[id.Prefix()] = l
	}
}

// listed reports whether this node is a relay of its own newest view.
func (e *Endpoint) listed() bool {
	v := e.cfg.Views.Current()
	if v == nil {
		return false
	}
	_, ok := v.Relay(e.self)
	return ok
}

// initiator returns the identity that dialed the link to the peer.
func (e *Endpoint) initiator(l *Link, peer directory.RelayID) directory.RelayID {
	if l.dialed {
		return e.self
	}
	return peer
}

func smaller(a, b directory.RelayID) directory.RelayID {
	if slices.Compare(a[:], b[:]) < 0 {
		return a
	}
	return b
}

// live returns the link for reuse to the wanted identity, or nil.
func (e *Endpoint) liveLocked(t *Target) *Link {
	l := e.byID[t.ID.Prefix()]
	if l == nil || !l.usable() {
		return nil
	}
	if id, _, _ := l.Peer(); !t.matches(id) {
		return nil
	}
	return l
}

// usable reports whether new streams may be opened.
func (l *Link) usable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.drained && !l.closed && l.conn.Context().Err() == nil
}

// followViews watches for relays that got a client's limits when they dialed,
// being unlisted then, and are listed now: their links drain, so that they dial
// anew and get those of a relay.
func (e *Endpoint) followViews() {
	for {
		changed := e.cfg.Views.Changed()
		if v := e.cfg.Views.Current(); v != nil {
			e.drainOutgrown(v)
		}
		select {
		case <-changed:
		case <-e.ctx.Done():
			return
		}
	}
}

func (e *Endpoint) drainOutgrown(v *directory.View) {
	var outgrown []*Link
	e.mu.Lock()
	for l := range e.links {
		if l.dialed || l.relay {
			continue
		}
		id, _, proven := l.Peer()
		if r, ok := v.ByAddr(l.RemoteAddr()); ok && proven && r.ID == id {
			outgrown = append(outgrown, l)
		}
	}
	e.mu.Unlock()
	for _, l := range outgrown {
		l.GoAway()
	}
}
