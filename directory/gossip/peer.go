package gossip

import (
	"context"
	"io"
	"net/netip"
	"time"

	"hearsay/directory"
)

// Peer is a node to dial: a listed relay, or a bootstrap, of which only the
// first 16 bytes of the identity are known.
type Peer struct {
	ID      directory.RelayID // the identity wanted; only ID[:16] if Partial
	Partial bool              // ID holds 16 bytes, as a bootstrap names them
	LinkKey [32]byte          // TLS leaf key from the snapshot; zero: unknown
	Addrs   []netip.AddrPort  // tried in order
}

// Stream is one reliable byte stream to a peer: a QUIC stream, a stream inside
// a circuit, or a pipe. Read and Write are each called by one goroutine at a
// time. A deadline in the past must unblock both. Close ends both directions;
// it is called once Read and Write have returned.
type Stream interface {
	io.Reader
	io.Writer
	Close() error
	SetDeadline(t time.Time) error
}

// Dialer opens streams to peers over authenticated links. The kind byte of the
// stream is already written when a method returns. The identity that is
// returned was proven by the peer and fits the one wanted. Implementations are
// safe for concurrent use.
type Dialer interface {
	// Gossip opens a stream of kind 0x20.
	Gossip(ctx context.Context, p Peer) (Stream, directory.RelayID, error)
	// Request opens a stream of kind 0x21.
	Request(ctx context.Context, p Peer) (Stream, directory.RelayID, error)
}

// CircuitDialer opens directory streams to relays over three-hop circuits, which
// the relay cannot tell from those of clients. Implementations are safe for
// concurrent use.
type CircuitDialer interface {
	// RequestOver opens a directory stream (BEGIN to service 1) to the relay
	// through a circuit that is used for nothing else.
	RequestOver(ctx context.Context, relay directory.RelayID) (Stream, error)
}

// bootstrapPeer is the peer that a network file or link names.
func bootstrapPeer(b directory.Bootstrap) Peer {
	p := Peer{Partial: true, Addrs: []netip.AddrPort{b.Addr}}
	copy(p.ID[:], b.ID[:])
	return p
}

// relayPeer is the peer that a snapshot lists.
func relayPeer(r *directory.Relay) Peer {
	return Peer{ID: r.ID, LinkKey: r.LinkKey, Addrs: r.Addrs}
}
