package relay

import (
	"context"
	"net/netip"
	"sync"

	"hearsay/circuit/link"
	"hearsay/directory/gossip"
)

// gossipHandlers serve the streams that carry gossip and directory requests.
func gossipHandlers(g *gossip.Node) map[link.Kind]link.Handler {
	quotas := &quotas{of: make(map[*link.Link]*gossip.Quota)}
	return map[link.Kind]link.Handler{
		link.KindGossip: func(ctx context.Context, l *link.Link, s *link.Stream) {
			if id, _, proven := l.Peer(); proven {
				g.ServeGossip(ctx, id, gossipStream{linkStream{s}, l}) // what ends it is the peer's business
			}
		},
		link.KindRequest: func(ctx context.Context, l *link.Link, s *link.Stream) {
			// None for listed relays and bootstraps. An identity that is merely proven
			// counts for nothing: anybody can make one up.
			var q *gossip.Quota
			if id, _, proven := l.Peer(); !proven || !g.Known(id) {
				q = quotas.get(l)
			}
			g.ServeLinkRequest(ctx, linkStream{s}, q)
		},
	}
}

// gossipStream tells gossip where a stream came from.
type gossipStream struct {
	linkStream
	l *link.Link
}

// RemoteAddr returns the address of the other end.
func (s gossipStream) RemoteAddr() netip.AddrPort { return s.l.RemoteAddr() }

// quotas keeps the quota of each link that has one while the link lives.
type quotas struct {
	mu sync.Mutex
	of map[*link.Link]*gossip.Quota
}

func (q *quotas) get(l *link.Link) *gossip.Quota {
	q.mu.Lock()
	defer q.mu.Unlock()
	for old := range q.of {
		select {
		case <-old.Done():
			delete(q.of, old)
		default:
		}
	}
	c := q.of[l]
	if c == nil {
		c = new(gossip.Quota)
		q.of[l] = c
	}
	return c
}
