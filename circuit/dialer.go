package circuit

import (
	"context"
	"errors"
	"sync"

	"hearsay/circuit/link"
	"hearsay/directory"
	"hearsay/directory/gossip"
)

// errNoGossip: only relays and directory nodes gossip.
var errNoGossip = errors.New("circuit: clients do not gossip")

// dialer opens directory requests for a client. A link to a node that is not
// a guard lasts as long as the requests on it: who asks there shows himself.
type dialer struct {
	endpoint *link.Endpoint
	pool     *Pool

	mu   sync.Mutex
	open map[*link.Link]int // requests by link
}

var _ gossip.Dialer = (*dialer)(nil)

// Gossip always fails.
func (d *dialer) Gossip(context.Context, gossip.Peer) (gossip.Stream, directory.RelayID, error) {
	return nil, directory.RelayID{}, errNoGossip
}

// Request opens a stream for directory requests.
func (d *dialer) Request(ctx context.Context, p gossip.Peer) (gossip.Stream, directory.RelayID, error) {
	l, err := d.endpoint.Link(ctx, link.Target{ID: p.ID, Partial: p.Partial, LinkKey: p.LinkKey, Addrs: p.Addrs})
	if err != nil {
		return nil, directory.RelayID{}, err
	}
	id, _, proven := l.Peer()
	if !proven {
		return nil, directory.RelayID{}, link.ErrWrongKey
	}
	d.mu.Lock()
	d.open[l]++
	d.mu.Unlock()
	s, err := l.Open(ctx, link.KindRequest)
	if err != nil {
		d.leave(l, id)
		return nil, directory.RelayID{}, err
	}
	return &requestStream{Stream: s, leave: func() { d.leave(l, id) }}, id, nil
}

// leave counts a request that is over, and closes a link that is of no more
// use.
func (d *dialer) leave(l *link.Link, id directory.RelayID) {
	d.mu.Lock()
	d.open[l]--
	last := d.open[l] == 0
	if last {
		delete(d.open, l)
	}
	d.mu.Unlock()
	if last && !d.pool.usesLink(id) {
		l.GoAway()
	}
}

// requestStream is a QUIC stream whose Close ends both directions.
type requestStream struct {
	*link.Stream
	once  sync.Once
	leave func()
}

// Close ends the stream in both directions; what was written is still sent.
func (s *requestStream) Close() error {
	err := s.Stream.Close()
	s.CancelRead(0)
	s.once.Do(s.leave)
	return err
}
