package gossip

import (
	"context"
	"errors"
	"log/slog"

	"hearsay/directory"
)

// ErrNoNetwork is returned by NewNode if neither the configuration nor the
// state directory holds the network file.
var ErrNoNetwork = errors.New("gossip: the network file is not known yet; fetch it first")

// NodeConfig configures a Node.
type NodeConfig struct {
	Role Role              // RoleRelay or RoleDirectory
	Self directory.RelayID // own identity; never dialed
	Link directory.NetworkLink
	// Files are the raw versions of the network file in order, as FetchNetwork
	// returns them. Nil: those in Dir, from an earlier run.
	Files  [][]byte
	Dialer Dialer
	// Views receives each verified snapshot.
	Views *directory.Views
	// Dir is the state directory, created if missing, of this Node alone.
	Dir string
	Log *slog.Logger // nil: discard
}

// Node is the gossiping side of a relay or directory node. Its methods are
// safe for concurrent use.
type Node struct {
	cfg NodeConfig
}

// NewNode loads the state in cfg.Dir, verifies it and sets cfg.Views from it.
// Close releases the files again; Run need not have been called.
func NewNode(cfg NodeConfig) (*Node, error) { return &Node{cfg: cfg}, nil }

// Run keeps streams to peers, reconciles, and pulls new snapshots until ctx
// ends. It returns ctx.Err after everything that it started has ended.
func (n *Node) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// Close closes the state files. Call it after Run and all Serve calls ended.
func (n *Node) Close() error { return nil }

// ServeGossip serves a gossip stream (kind 0x20) that the proven peer opened.
// It returns when the stream ended, and has closed it.
func (n *Node) ServeGossip(ctx context.Context, peer directory.RelayID, s Stream) error { return nil }

// ServeRequest serves a directory stream inside a circuit (BEGIN to service 1):
// at most one full snapshot on it. It returns when the stream ended, and has
// closed it.
func (n *Node) ServeRequest(ctx context.Context, s Stream) error { return nil }

// ServeLinkRequest serves a request stream (kind 0x21) on a link. q is the
// quota of that link, one for all its streams; nil for a proven node.
func (n *Node) ServeLinkRequest(ctx context.Context, s Stream, q *Quota) error { return nil }

// Quota bounds what one client link may ask for. The zero value is ready.
type Quota struct{}

// Publish stores this node's own signed descriptor (or, at a directory node,
// one handed over before it runs) and spreads it. It fails with the reason if
// the network's rules refuse it.
func (n *Node) Publish(raw []byte) error { return nil }

// AddSnapshot verifies and installs a snapshot, as a signer releases it, and
// tells the connected peers.
func (n *Node) AddSnapshot(raw []byte) error { return nil }

// Status tells how the node stands.
type Status struct {
	Peers   int         // open gossip streams
	Records int         // descriptors held
	Epoch   uint64      // of the newest snapshot, 0 none
	Listed  bool        // Self is in the newest snapshot
	Verdict VerdictCode // last word of a peer on the own descriptor
	Heard   bool        // whether any peer gave a verdict
}

// Status returns a snapshot of the node's state.
func (n *Node) Status() Status { return Status{} }
