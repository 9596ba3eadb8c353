package relay

import (
	"context"
	"errors"

	"hearsay/circuit/link"
	"hearsay/directory"
	"hearsay/directory/gossip"
)

// dialer opens gossip and request streams over the links of an endpoint.
type dialer struct{ endpoint *link.Endpoint }

// Gossip opens a stream of kind 0x20.
func (d *dialer) Gossip(ctx context.Context, p gossip.Peer) (gossip.Stream, directory.RelayID, error) {
	return d.open(ctx, p, link.KindGossip)
}

// Request opens a stream of kind 0x21.
func (d *dialer) Request(ctx context.Context, p gossip.Peer) (gossip.Stream, directory.RelayID, error) {
	return d.open(ctx, p, link.KindRequest)
}

func (d *dialer) open(ctx context.Context, p gossip.Peer, k link.Kind) (gossip.Stream, directory.RelayID, error) {
	l, s, err := openStream(ctx, d.endpoint.Link, link.Target{ID: p.ID, Partial: p.Partial, LinkKey: p.LinkKey, Addrs: p.Addrs}, k)
	if err != nil {
		return nil, directory.RelayID{}, err
	}
	id, _, _ := l.Peer()
	return linkStream{s}, id, nil
}

// openStream gets the link to a node and opens a stream on it. A link that
// began to drain in between is replaced once.
func openStream(ctx context.Context, dial func(context.Context, link.Target) (*link.Link, error), t link.Target, k link.Kind) (*link.Link, *link.Stream, error) {
	for try := 0; ; try++ {
		l, err := dial(ctx, t)
		if err != nil {
			return nil, nil, err
		}
		wait, cancel := context.WithTimeout(ctx, openStreamTimeout)
		s, err := l.Open(wait, k)
		cancel()
		if err == nil {
			return l, s, nil
		}
		if try > 0 || ctx.Err() != nil || !errors.Is(err, link.ErrDraining) && !errors.Is(err, link.ErrClosed) {
			return nil, nil, err
		}
	}
}

// linkStream is a stream on a link as gossip wants it.
type linkStream struct{ *link.Stream }

// Close ends both directions.
func (s linkStream) Close() error {
	s.CancelRead(0)
	return s.Stream.Close()
}
