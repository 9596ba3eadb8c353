package link

import (
	"context"
	"errors"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/time/rate"

	"hearsay/circuit/cell"
	"hearsay/directory"
)

// receive takes over a connection whose handshake is complete and serves it to
// its end.
func (e *Endpoint) receive(conn *quic.Conn) {
	v, ok := conn.Context().Value(visitKey{}).(*visit)
	if !ok || !v.established() {
		_ = conn.CloseWithError(0, "")
		return
	}
	l := newLink(e, conn)
	l.creds = v.creds
	if v.relay != nil {
		l.relay, l.expect = true, v.relay.ID
		if !l.hasLeaf {
			_ = conn.CloseWithError(0, "") // at a relay's address, but no relay
			return
		}
	}
	if !e.adopt(l) {
		_ = conn.CloseWithError(0, "")
		return
	}
	l.mu.Lock()
	l.armLocked()
	l.mu.Unlock()

	s, state, err := l.awaitHello()
	if err != nil {
		// Say nothing and let firstUse close the link: who probes with another
		// network, another version or another protocol learns nothing
		// (SPEC.md §3.4).
		<-conn.Context().Done()
		l.finish(err)
		return
	}
	switch id, _, proven := l.Peer(); {
	case proven && l.relay:
		e.register(l)
	case proven && e.cfg.AllowGossip != nil && e.cfg.AllowGossip(id):
		e.registerFirst(l)
	}
	if !e.start(func() { l.acceptStreams() }) {
		l.finish(nil)
		return
	}
	l.finish(l.judge(l.readControl(s, state)))
}

// awaitHello takes the dialer's first stream, which must be the control stream
// with a good LINK_HELLO, and answers it.
func (l *Link) awaitHello() (*quic.Stream, control, error) {
	var state control
	ctx, cancel := context.WithTimeout(l.conn.Context(), helloTimeout)
	defer cancel()
	s, err := l.conn.AcceptStream(ctx)
	if err != nil {
		return nil, state, err
	}
	_ = s.SetReadDeadline(time.Now().Add(helloTimeout))
	c, err := readCell(s, make([]byte, cell.Size+cell.MaxTrim))
	if err != nil {
		return nil, state, err
	}
	h, _, err := state.take(c)
	if err != nil {
		return nil, state, err
	}
	if err := l.acceptHello(*h); err != nil {
		return nil, state, err
	}
	if Role(h.Role) == RoleClient {
		state.client = true
		l.shaper.Store(&shaper{link: l})
	}
	if err := l.sendHello(s); err != nil {
		return nil, state, err
	}
	if state.client {
		l.shaper.Load().begin(s, Profile(h.Profile))
	}
	return s, state, nil
}

var errNotTheRelay = errors.New("link: a relay's address, but another identity")

// acceptHello judges the LINK_HELLO of a node that dialed us (SPEC.md §3.3).
func (l *Link) acceptHello(h cell.Hello) error {
	if err := checkHello(h, l.e.cfg.Network, l.leaf, l.hasLeaf, time.Now()); err != nil {
		return err
	}
	if Role(h.Role) == RoleClient {
		return nil
	}
	id := directory.RelayID(h.Identity)
	if l.relay && id != l.expect || id == l.e.self {
		return errNotTheRelay
	}
	if v := l.e.cfg.Views.Current(); v != nil {
		if r, ok := v.ByLinkKey(l.leaf); ok && r.ID != id {
			return errNotTheRelay
		}
	}
	l.prove(id, Role(h.Role))
	return nil
}

// acceptStreams takes up the peer's streams one after the other, no faster than
// the peer's rate, and only then gives the credit of each back; what has not been
// taken up counts against the peer's stream limit, reset or not. So a peer that
// opens and resets streams gets no more of them than one that uses them
// (SPEC.md §5.3).
func (l *Link) acceptStreams() {
	limiter := rate.NewLimiter(clientStreamRate, clientStreamBurst)
	if l.relay {
		limiter = rate.NewLimiter(relayStreamRate, relayStreamBurst)
	}
	ctx := l.conn.Context()
	for {
		s, err := l.conn.AcceptStream(ctx)
		if err != nil {
			return
		}
		if err := limiter.Wait(ctx); err != nil {
			return
		}
		if l.shaper.Load() == nil {
			s.ReleaseStreamCredit() // as soon as the stream has ended
		}
		if !l.e.start(func() { l.serve(s) }) {
			return
		}
	}
}

// serve dispatches one stream by its first byte and ends it afterwards.
func (l *Link) serve(s *quic.Stream) {
	var c canceler = s
	detached, held := false, false
	defer func() {
		if !held {
			s.ReleaseStreamCredit()
		}
		if !detached {
			endIncoming(s, c)
		}
	}()
	var first [1]byte
	_ = s.SetReadDeadline(time.Now().Add(firstByteTimeout))
	if _, err := s.Peek(first[:]); err != nil {
		return
	}
	k := Kind(first[0])
	if k == KindControl {
		l.Close() // exactly one per link, and we have it
		return
	}
	st := newStream(l, s, k)
	c = st
	handler := l.e.cfg.Handlers[k]
	if handler == nil || !l.allowed(k) || !l.enter(k) {
		return
	}
	defer func() {
		if detached = st.detached; !detached {
			l.leave(k)
		}
	}()
	if k == KindGossip || k == KindRequest {
		if _, err := s.Read(first[:]); err != nil {
			return
		}
	}
	if k == KindCircuit && !st.findBulk() {
		return
	}
	if st.shaper != nil {
		held = true
		st.shaper.hold(st)
	}
	_ = s.SetReadDeadline(time.Time{})
	handler(l.conn.Context(), l, st)
}

// endIncoming ends an incoming stream after its handler: c is s, or what wraps
// it.
func endIncoming(s *quic.Stream, c canceler) {
	c.CancelRead(0)
	if !errors.Is(context.Cause(s.Context()), quic.ErrStreamClosed) {
		c.CancelWrite(0)
	}
}

// allowed reports whether the peer may use the kind at all (SPEC.md §4).
func (l *Link) allowed(k Kind) bool {
	if k != KindGossip {
		return k == KindCircuit || k == KindRequest
	}
	id, _, proven := l.Peer()
	if !proven {
		return false
	}
	if v := l.e.cfg.Views.Current(); v != nil {
		if _, ok := v.Relay(id); ok {
			return true
		}
	}
	return l.e.cfg.AllowGossip != nil && l.e.cfg.AllowGossip(id)
}

// enter counts an incoming stream, or refuses it by returning false.
func (l *Link) enter(k Kind) bool {
	if k == KindCircuit && l.e.isDraining() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n, most := l.countOf(k)
	if *n >= most {
		return false
	}
	*n++
	l.countLocked(1)
	return true
}

// leave takes an incoming stream off the count.
func (l *Link) leave(k Kind) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, _ := l.countOf(k)
	*n--
	l.countLocked(-1)
}

// countOf returns the counter of a kind and its limit; l.mu is held.
func (l *Link) countOf(k Kind) (n *int, most int) {
	switch k {
	case KindGossip:
		return &l.gossips, maxGossip
	case KindRequest:
		return &l.requests, maxRequests
	}
	if l.relay {
		return &l.circuits, relayCircuits
	}
	return &l.circuits, clientCircuits
}

func (e *Endpoint) isDraining() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.draining
}
