package gossip

import (
	"context"
	"log/slog"

	"hearsay/directory"
)

// FetchNetwork fetches all versions of the network file from the bootstraps of
// a link and verifies them against the id in it. It tries the bootstraps in
// turn until one answers with a chain that verifies, and returns the chain and
// its raw versions. Its errors are fit for people.
func FetchNetwork(ctx context.Context, d Dialer, link directory.NetworkLink) (*directory.Chain, [][]byte, error) {
	return nil, nil, ErrNoNetwork
}

// State persists what a Client must know after a restart. The chat store
// implements it, encrypted; circuit.State has the same shape.
type State interface {
	// Load returns the value, or nil if there is none.
	Load(name string) ([]byte, error)
	Save(name string, value []byte) error
}

// ClientConfig configures a Client.
type ClientConfig struct {
	Link   directory.NetworkLink
	Dialer Dialer
	// Views receives each verified snapshot.
	Views *directory.Views
	State State
	// Guard names the guard in use, from which documents are fetched once there
	// is one. Nil, or false: the bootstraps.
	Guard func() (Peer, bool)
	// NoPath tells that no path can be built now, so that a newer snapshot is
	// sought at once and not on the schedule. Nil: while fewer than four relays
	// are listed.
	NoPath func() bool
	Log    *slog.Logger // nil: discard
}

// Client keeps a client's view of the network fresh.
type Client struct {
	cfg ClientConfig
}

// NewClient loads the state and, if it holds a snapshot that is still of use,
// sets cfg.Views from it, so that a restart works without the network.
func NewClient(cfg ClientConfig) (*Client, error) { return &Client{cfg: cfg}, nil }

// Run fetches the network file and snapshots on the public schedule until ctx
// ends, and returns ctx.Err.
func (c *Client) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
