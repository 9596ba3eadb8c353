package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"hearsay/directory"
)

// dialKey tells dials apart. Two callers that want the same relay by the same
// pinned key share one dial.
type dialKey struct {
	id  [16]byte
	pin [32]byte
}

// dial is one attempt under way, which all its waiters share.
type dial struct {
	cancel  context.CancelFunc
	done    chan struct{} // closed when link and err are set
	link    *Link
	err     error
	waiters int // guarded by Endpoint.mu; the dial ends with the last one
}

// matches reports whether an identity is the wanted one.
func (t *Target) matches(id directory.RelayID) bool {
	if t.Partial {
		return id.Prefix() == t.ID.Prefix()
	}
	return id == t.ID
}

// Link returns the live link to the wanted identity, or dials its addresses in
// order. The link is proven: by the pinned key, or else by a LINK_HELLO. Errors
// wrap ErrUnreachable, ErrWrongKey, ErrWrongNet or ErrClosed, or are those of
// ctx. A link that drains is not returned; a new one is dialed beside it.
func (e *Endpoint) Link(ctx context.Context, t Target) (*Link, error) {
	if e.self != (directory.RelayID{}) && t.matches(e.self) {
		return nil, fmt.Errorf("%w: that is this node itself", ErrUnreachable)
	}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil, ErrClosed
	}
	if l := e.liveLocked(&t); l != nil {
		e.mu.Unlock()
		return l, nil
	}
	key := dialKey{id: t.ID.Prefix(), pin: t.LinkKey}
	d := e.dials[key]
	if d == nil {
		d = e.startDialLocked(key, t)
	}
	d.waiters++
	e.mu.Unlock()

	select {
	case <-d.done:
		return d.link, d.err
	case <-ctx.Done():
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if d.waiters--; d.waiters == 0 {
		d.cancel()
		if e.dials[key] == d {
			delete(e.dials, key) // who comes now must not share its failure
		}
	}
	return nil, ctx.Err()
}

func (e *Endpoint) startDialLocked(key dialKey, t Target) *dial {
	ctx, cancel := context.WithCancel(e.ctx)
	d := &dial{cancel: cancel, done: make(chan struct{})}
	e.dials[key] = d
	e.wg.Go(func() {
		defer cancel()
		l, err := e.dialAll(ctx, t)
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.dials[key] == d {
			delete(e.dials, key)
		}
		d.link, d.err = l, err
		close(d.done)
	})
	return d
}

// dialAll tries the addresses in order and returns the kept link or the most
// telling error.
func (e *Endpoint) dialAll(ctx context.Context, t Target) (*Link, error) {
	err := ErrUnreachable
	for _, a := range t.Addrs {
		l, e2 := e.dialOne(ctx, t, a)
		if e2 == nil {
			return l, nil
		}
		e.log.Debug("dial failed", e.relayAttr(t.ID), slog.String(keyReason, reason(e2)))
		switch {
		case e.ctx.Err() != nil:
			return nil, ErrClosed
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(e2, ErrWrongNet) || errors.Is(e2, ErrWrongKey) && !errors.Is(err, ErrWrongNet):
			err = e2
		case errors.Is(err, ErrUnreachable):
			err = e2
		}
	}
	return nil, err
}

// dialOne connects to one address and says LINK_HELLO.
func (e *Endpoint) dialOne(ctx context.Context, t Target, a netip.AddrPort) (*Link, error) {
	tr, conf, release := e.tr, relayConfig(), func() {}
	creds := e.creds.Load()
	if creds == nil {
		pc, err := e.cfg.ListenPacket()
		if err != nil {
			return nil, fmt.Errorf("%w: no socket", ErrUnreachable)
		}
		tr, conf = newTransport(), dialingClientConfig()
		tr.Conn = pc
		release = func() { _ = tr.Close(); _ = pc.Close() }
	}
	conn, err := tr.Dial(ctx, net.UDPAddrFromAddrPort(a), dialTLS(t.LinkKey, creds), conf)
	if err != nil {
		release()
		return nil, dialError(err)
	}
	l := newLink(e, conn)
	l.dialed, l.relay, l.creds, l.target, l.release = true, creds != nil, creds, &t, release
	if creds == nil {
		l.shaper.Store(&shaper{link: l, asks: true})
	}
	if t.LinkKey != ([32]byte{}) && !t.Partial {
		l.peer, l.role, l.proven = t.ID, RoleRelay, true
	}
	if !e.adopt(l) {
		l.Close()
		release()
		return nil, ErrClosed
	}
	return e.greet(ctx, l)
}

// dialError sorts the failures of a QUIC handshake.
func dialError(err error) error {
	if errors.Is(err, ErrWrongKey) {
		return ErrWrongKey
	}
	return fmt.Errorf("%w: %s", ErrUnreachable, reason(err))
}

// greet opens the control stream, and waits for the answer if the peer's key
// was not pinned.
func (e *Endpoint) greet(ctx context.Context, l *Link) (*Link, error) {
	s, err := l.conn.OpenStreamSync(ctx)
	if err == nil {
		err = l.sendHello(s)
	}
	if err != nil {
		l.finish(err)
		return nil, fmt.Errorf("%w: %s", ErrUnreachable, reason(err))
	}
	why := make(chan error, 1) // why the control stream ended
	serving := e.start(func() {
		_ = s.SetReadDeadline(time.Now().Add(helloTimeout))
		err := l.readControl(s, control{client: l.creds == nil})
		why <- err
		l.finish(err)
	})
	if !serving {
		l.finish(nil)
		return nil, ErrClosed
	}
	if _, _, proven := l.Peer(); !proven {
		select {
		case <-l.welcome:
		case err := <-why:
			if errors.Is(err, ErrWrongNet) || errors.Is(err, ErrWrongKey) {
				return nil, err
			}
			if errors.Is(err, errHelloProof) {
				return nil, ErrWrongKey
			}
			return nil, fmt.Errorf("%w: no answer to LINK_HELLO: it is of another network, or knows another relay at the address of this one", ErrUnreachable)
		case <-ctx.Done():
			l.Close()
			return nil, ctx.Err()
		}
	}
	if l.relay && !e.start(func() { l.acceptStreams() }) {
		l.Close()
		return nil, ErrClosed
	}
	if l.target.wanted != nil && !l.target.wanted() {
		l.Close()
		return nil, ErrUnwanted
	}
	return e.register(l), nil
}
