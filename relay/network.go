package relay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"hearsay/circuit/link"
	"hearsay/directory"
	"hearsay/directory/gossip"
)

// fileNetwork holds the network's id and file versions, so that a restart
// works without the link and without the network.
const fileNetwork = "network"

// ErrNoNetwork is returned for a home that no network was given to yet.
var ErrNoNetwork = errors.New("relay: which network? this home knows none yet")

// saveNetwork remembers the network: id 32, then for each version length u32
// and document.
func (h *home) saveNetwork(id directory.NetworkID, raws [][]byte) error {
	b := append([]byte(nil), id[:]...)
	for _, raw := range raws {
		b = binary.BigEndian.AppendUint32(b, uint32(len(raw)))
		b = append(b, raw...)
	}
	return h.write(fileNetwork, b)
}

// loadNetwork returns the remembered network, or nil if there is none.
func (h *home) loadNetwork(now time.Time) (*directory.Chain, error) {
	b, err := h.read(fileNetwork)
	if b == nil || err != nil {
		return nil, err
	}
	id, raws, err := parseNetwork(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, h.path(fileNetwork))
	}
	return directory.VerifyChain(id, raws, now)
}

var errNetworkFile = errors.New("relay: remembered network is damaged")

func parseNetwork(b []byte) (id directory.NetworkID, raws [][]byte, err error) {
	if len(b) < 32 {
		return id, nil, errNetworkFile
	}
	id, b = directory.NetworkID(b[:32]), b[32:]
	for len(b) > 0 {
		if len(b) < 4 {
			return id, nil, errNetworkFile
		}
		n := binary.BigEndian.Uint32(b)
		if n == 0 || uint64(n) > uint64(len(b)-4) {
			return id, nil, errNetworkFile
		}
		raws = append(raws, b[4:4+n])
		b = b[4+n:]
	}
	if len(raws) == 0 {
		return id, nil, errNetworkFile
	}
	return id, raws, nil
}

// fetchNetwork gets the network file from the bootstraps of a link, as an
// anonymous client: the node's own socket opens only when the network's rules
// are known. It tries again until ctx ends.
func fetchNetwork(ctx context.Context, l directory.NetworkLink, listen func() (net.PacketConn, error), log *slog.Logger) (*directory.Chain, error) {
	e, err := link.New(link.Config{Role: link.RoleClient, Network: l.ID, ListenPacket: listen, Log: log})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		chain, _, err := gossip.FetchNetwork(ctx, &dialer{e}, l)
		if err == nil {
			return chain, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		log.Warn("no bootstrap of the network answers; trying again", logError, err, "wait", wait)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, err
		}
	}
}
