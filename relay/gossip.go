package relay

import (
	"context"
	"sync"

	"github.com/quic-go/quic-go"

	"hearsay/circuit/link"
	"hearsay/directory/gossip"
)

// gossipHandlers serve the streams that carry gossip and directory requests.
func gossipHandlers(g *gossip.Node) map[link.Kind]link.Handler {
	quotas := &quotas{of: make(map[*link.Link]*gossip.Quota)}
	return map[link.Kind]link.Handler{
		link.KindGossip: func(ctx context.Context, l *link.Link, s *quic.Stream) {
			if id, _, proven := l.Peer(); proven {
				g.ServeGossip(ctx, id, linkStream{s}) // what ends it is the peer's business
			}
		},
		link.KindRequest: func(ctx context.Context, l *link.Link, s *quic.Stream) {
			var q *gossip.Quota
			if _, _, proven := l.Peer(); !proven {
				q = quotas.get(l)
			}
			g.ServeLinkRequest(ctx, linkStream{s}, q)
		},
	}
}

// quotas keeps the quota of each client's link while the link lives.
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
