package link

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"hearsay/circuit/cell"
	"hearsay/directory"
)

// Link is one QUIC connection to a peer. All methods are safe for concurrent
// use.
type Link struct {
	e      *Endpoint
	conn   *quic.Conn
	dialed bool
	// relay says that our receiving limits on this connection are those of a
	// relay link. They cannot change later.
	relay   bool
	creds   *credentials // shown on this connection; nil for clients
	leaf    [32]byte     // TLS key that the peer proved
	hasLeaf bool
	expect  directory.RelayID // the relay at whose address an accepted relay link came in
	target  *Target           // of a dialed link
	born    time.Time
	release func() // closes the socket of a client's connection; nil for nodes

	// shaper is this side of a link with a client, nil of others. It is set
	// before the link carries streams.
	shaper atomic.Pointer[shaper]
	heard  atomic.Int64 // Unix nanoseconds of the last control cell
	// controls counts the control cells that came.
	controls atomic.Uint64

	welcome  chan struct{} // closed when the peer's LINK_HELLO was accepted
	draining chan struct{} // closed when GOAWAY was sent or received

	mu       sync.Mutex
	peer     directory.RelayID
	role     Role
	proven   bool // peer and role hold
	control  *quic.Stream
	open     int // streams of both directions but the control stream
	circuits int // incoming
	requests int // incoming
	gossips  int // incoming
	used     bool
	drained  bool // draining is closed
	goneAway bool // GOAWAY sent
	closed   bool
	timer    *time.Timer // closes the link: unused, idle or drained
}

func newLink(e *Endpoint, conn *quic.Conn) *Link {
	l := &Link{
		e: e, conn: conn, born: time.Now(),
		welcome:  make(chan struct{}),
		draining: make(chan struct{}),
	}
	l.leaf, l.hasLeaf = leafKey(conn.ConnectionState().TLS)
	return l
}

// Peer returns the proven identity and the role of the peer, or false for an
// anonymous client. A dialed link is proven from the start. The role of a
// peer that was recognised by its pinned key is RoleRelay until its LINK_HELLO
// says more.
func (l *Link) Peer() (directory.RelayID, Role, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peer, l.role, l.proven
}

// Confirm waits until the peer of a dialed link has proven its identity by
// LINK_HELLO. A link to a pinned key is usable before that, since whoever listed
// the key vouches for it; who has to judge the listing waits for the proof. The
// error is ErrWrongKey if the link ended without it, or that of ctx.
func (l *Link) Confirm(ctx context.Context) error {
	select {
	case <-l.welcome:
		return nil
	case <-l.Done():
		return ErrWrongKey
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Done is closed when the link is gone.
func (l *Link) Done() <-chan struct{} { return l.conn.Context().Done() }

// Draining is closed when the link takes no new streams of ours any more,
// because either side has announced its end. Open streams go on.
func (l *Link) Draining() <-chan struct{} { return l.draining }

// Close ends the link and all its streams at once, without a reason. It is
// idempotent.
func (l *Link) Close() { _ = l.conn.CloseWithError(0, "") }

// RemoteAddr returns the peer's address. It must never be logged: the peer may
// be a client.
func (l *Link) RemoteAddr() netip.AddrPort { return addrPort(l.conn.RemoteAddr()) }

// RTT returns the smoothed round-trip time, 0 before the first measurement.
func (l *Link) RTT() time.Duration { return l.conn.ConnectionStats().SmoothedRTT }

// Heard returns when the last cell came on the control stream, padding
// included; on a link with a client there is one at least every 10 s, or in each
// tick without data. It is zero before the first.
func (l *Link) Heard() time.Time {
	if n := l.heard.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// Streams returns how many streams of both sides are open, the control stream
// not counted.
func (l *Link) Streams() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// Open opens a stream of the given kind. For gossip and requests the kind byte
// is written already; a circuit's first byte is that of its CREATE cell. It
// waits while the peer gives no stream credit. The error is ErrDraining if the
// link takes no new streams, ErrClosed if it is gone or may only be used by the
// peer, or that of ctx.
//
// A stream counts as open until both its directions have ended, for which the
// endpoint uses SetReceiveFinalSizeCallback; the caller must not.
func (l *Link) Open(ctx context.Context, k Kind) (*Stream, error) {
	if _, _, proven := l.Peer(); !l.dialed && !l.relay && !(proven && k == KindRequest) {
		return nil, ErrClosed // its streams would not fit the connection window
	}
	if err := l.addStream(); err != nil {
		return nil, err
	}
	s, err := l.conn.OpenStreamSync(ctx)
	if err != nil {
		l.removeStream()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, ErrClosed
	}
	st := newStream(l, s, k)
	l.watch(st)
	if k == KindCircuit {
		return st, nil
	}
	if _, err := s.Write([]byte{byte(k)}); err != nil {
		reset(s)
		return nil, ErrClosed
	}
	return st, nil
}

// watch calls removeStream when both directions of a stream of ours are over.
//
// The sending direction of an unshaped circuit ends when its user cancels it,
// which each does whatever the peer did: a context to be told by would cost an
// idle circuit 400 bytes.
func (l *Link) watch(s *Stream) {
	var ended atomic.Int32
	end := func() {
		if ended.Add(1) == 2 {
			l.removeStream()
		}
	}
	if s.kind == KindCircuit && s.shaper == nil {
		s.unwritten = end
	} else {
		context.AfterFunc(s.Context(), end)
	}
	s.SetReceiveFinalSizeCallback(func(int64) {
		s.reset.Store(true)
		end()
	})
}

// GoAway announces that this side wants the link to end: neither side opens
// new streams, those that are open go on, and the link closes after the last.
// It is idempotent.
func (l *Link) GoAway() {
	l.mu.Lock()
	control, sent := l.control, l.goneAway
	l.goneAway = true
	l.mu.Unlock()
	if control == nil {
		l.Close() // nothing was agreed yet
		return
	}
	if h := l.shaper.Load(); h != nil && !sent {
		h.goAway()
	} else if !sent {
		// Between relays little else goes out on a control stream, LINK_HELLO and
		// PADs after silence, so this does not wait for the peer's window, at most
		// for a packet that congestion holds back.
		_ = control.SetWriteDeadline(time.Now().Add(cellTimeout))
		if _, err := control.Write(goAwayCell()); err != nil {
			l.Close()
			return
		}
	}
	l.drain()
}

// drain stops new streams of ours and lets the link close when it is empty.
func (l *Link) drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drained {
		return
	}
	l.drained = true
	close(l.draining)
	l.armLocked()
}

// addStream counts one more stream of ours.
func (l *Link) addStream() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed || l.conn.Context().Err() != nil:
		return ErrClosed
	case l.drained:
		return ErrDraining
	}
	l.countLocked(1)
	return nil
}

func (l *Link) removeStream() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.countLocked(-1)
}

// countLocked changes the number of open streams and with it the timer.
func (l *Link) countLocked(n int) {
	l.open += n
	l.used = true
	l.armLocked()
}

// armLocked sets the timer that closes a link nobody uses (SPEC.md §7.2).
func (l *Link) armLocked() {
	var after time.Duration
	switch {
	case l.closed:
		return
	case l.open > 0:
		l.stopTimerLocked()
		return
	case l.drained:
		after = drainClose
	case !l.used && !l.dialed:
		after = max(0, firstUse-time.Since(l.born))
	case l.creds != nil && l.proven:
		after = idleClose - idleCloseJitter + rand.N(2*idleCloseJitter)
	default:
		l.stopTimerLocked() // links of clients end with their idle timeout
		return
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(after, l.expire)
		return
	}
	l.timer.Reset(after)
}

func (l *Link) stopTimerLocked() {
	if l.timer != nil {
		l.timer.Stop()
	}
}

// expire closes the link unless a stream came in between.
func (l *Link) expire() {
	l.mu.Lock()
	busy := l.open > 0
	l.mu.Unlock()
	if !busy {
		l.Close()
	}
}

// prove records who the peer is and wakes those who wait for it.
func (l *Link) prove(id directory.RelayID, role Role) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peer, l.role, l.proven = id, role, true
	l.armLocked()
}

// sendHello sends our LINK_HELLO on the control stream, which it keeps for
// later control cells.
func (l *Link) sendHello(s *quic.Stream) error {
	h := l.shaper.Load()
	hello := cell.Hello{Lowest: version, Highest: version, Network: l.e.cfg.Network} // all that a client says
	if h != nil && h.asks {
		hello.Profile = byte(l.e.Profile())
	}
	if l.creds != nil {
		hello = l.creds.hello(l.e.cfg.Role, time.Now())
	}
	if _, err := s.Write(helloCell(hello)); err != nil {
		return err
	}
	if h != nil && h.asks {
		h.begin(s, Profile(hello.Profile))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.control = s
	return nil
}

// readControl reads the control stream until the link ends. state is that
// after the cells that were already taken.
func (l *Link) readControl(s *quic.Stream, state control) error {
	buf := make([]byte, cell.Size+cell.MaxTrim)
	for {
		c, err := readCell(s, buf)
		if err != nil {
			return err
		}
		hello, shape, err := state.take(c)
		if err != nil {
			return err
		}
		now := time.Now()
		l.heard.Store(now.UnixNano())
		l.controls.Add(1)
		if hello != nil {
			if err := l.acceptAnswer(*hello); err != nil {
				return err
			}
		}
		if shape != nil {
			if err := l.shaper.Load().takeShape(*shape, now); err != nil {
				return err
			}
		}
		if state.goAway {
			l.drain()
		}
	}
}

// readCell reads one cell with the zero bytes that its header counts. It waits
// for the first byte as long as the stream's read deadline allows, and for the
// rest no longer than cellTimeout.
func readCell(s *quic.Stream, buf []byte) ([]byte, error) {
	if _, err := s.Peek(buf[:1]); err != nil {
		return nil, err
	}
	_ = s.SetReadDeadline(time.Now().Add(cellTimeout))
	if _, err := io.ReadFull(s, buf[:cell.Size]); err != nil {
		return nil, err
	}
	c := buf[:cell.Size+min(int(buf[3]), cell.MaxTrim)]
	if _, err := io.ReadFull(s, c[cell.Size:]); err != nil {
		return nil, err
	}
	return c, s.SetReadDeadline(time.Time{})
}

// acceptAnswer judges the LINK_HELLO of the node that we dialed.
func (l *Link) acceptAnswer(h cell.Hello) error {
	if err := checkHello(h, l.e.cfg.Network, l.leaf, l.hasLeaf, l.e.proofTime()); err != nil {
		return err
	}
	id := directory.RelayID(h.Identity)
	if Role(h.Role) == RoleClient || !l.target.matches(id) {
		return ErrWrongKey
	}
	l.prove(id, Role(h.Role))
	close(l.welcome)
	return nil
}

// finish waits for the end of the connection and cleans up after it.
func (l *Link) finish(why error) {
	l.Close()
	<-l.conn.Context().Done()
	l.mu.Lock()
	l.closed = true
	l.stopTimerLocked()
	l.mu.Unlock()
	if h := l.shaper.Load(); h != nil {
		h.end()
	}
	l.e.forget(l)
	if l.release != nil {
		l.release()
	}
	// No line tells when an anonymous peer came or went.
	if _, _, proven := l.Peer(); proven && l.e.ctx.Err() == nil {
		l.e.log.Debug("link closed", slog.String(keyReason, reason(why)))
	}
}

// canceler is a *quic.Stream or a *Stream.
type canceler interface {
	CancelRead(quic.StreamErrorCode)
	CancelWrite(quic.StreamErrorCode)
}

// reset ends both directions of a stream without a reason. It is idempotent.
func reset(s canceler) {
	s.CancelWrite(0)
	s.CancelRead(0)
}
