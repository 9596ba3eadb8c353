package gossip

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hearsay/directory"
)

// ErrNoBootstrap is returned by FetchNetwork if no bootstrap of the link gave
// the network file. The reasons are joined to it.
var ErrNoBootstrap = errors.New("gossip: no bootstrap of the network link gave the network file")

// FetchNetwork fetches all versions of the network file from the bootstraps of
// a link and verifies them against the id in it. It tries the bootstraps in
// turn until one answers with a chain that verifies, and returns the chain and
// its raw versions. Its errors are fit for people.
func FetchNetwork(ctx context.Context, d Dialer, link directory.NetworkLink) (*directory.Chain, [][]byte, error) {
	var reasons []error
	for i, b := range link.Bootstraps {
		c, err := fetchNetwork(ctx, d, bootstrapPeer(b), link.ID)
		if err == nil {
			return c, c.Raw(1), nil
		}
		reasons = append(reasons, fmt.Errorf("bootstrap %d: %w", i+1, err))
	}
	return nil, nil, errors.Join(append([]error{ErrNoBootstrap}, reasons...)...)
}

func fetchNetwork(ctx context.Context, d Dialer, p Peer, id directory.NetworkID) (*directory.Chain, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	a, err := ask(ctx, d, p, id)
	if err != nil {
		return nil, err
	}
	defer a.close()
	raws, err := a.files(1)
	if err != nil {
		return nil, err
	}
	return directory.VerifyChain(id, raws, time.Now())
}
