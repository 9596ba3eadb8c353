// Package link keeps the QUIC connections between nodes: one connection per
// node pair, on which every circuit, gossip session and directory request is a
// stream of its own. SPEC.md beside this file owns the wire format.
//
// An Endpoint owns the socket of a relay or directory node, or makes a fresh
// one for each connection of a client. It guarantees to its users that
//
//   - a Link is encrypted by TLS 1.3 with X25519MLKEM768 and nothing else;
//   - a dialed Link leads to the identity that was asked for, proven by the
//     pinned TLS key or by a signature over the unpinned one;
//   - a relay that dials is known by its certificate, a client by nothing;
//   - between relays no stream can stall another, since the connection window
//     never binds;
//   - whoever floods the door or the streams spends his own share only;
//   - the cells of a client's link leave on the schedule of its profile, which
//     says nothing about what they carry.
//
// It does not read circuits: cells on a circuit stream belong to the handler.
package link

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net"
	"net/netip"

	"hearsay/directory"
)

// Kind is the first byte of a stream, which decides what the stream is.
type Kind byte

// The kinds of streams (SPEC.md §4). The first byte of a circuit
// and of a control stream is also the type byte of its first cell, so it is
// not consumed before the handler runs; the byte of the others is.
const (
	KindCircuit Kind = 0x01
	KindControl Kind = 0x04
	KindGossip  Kind = 0x20
	KindRequest Kind = 0x21
)

// Role is what a node says it is in LINK_HELLO (SPEC.md §3.1).
type Role byte

// The roles.
const (
	RoleClient    Role = 0
	RoleRelay     Role = 1
	RoleDirectory Role = 2
)

// Target says whom to dial and how the answer is recognised.
type Target struct {
	ID      directory.RelayID // identity wanted; only ID[:16] if Partial
	Partial bool              // ID holds 16 bytes, as a bootstrap names them
	LinkKey [32]byte          // pinned TLS leaf key; zero: any leaf, then a LINK_HELLO proof is required
	Addrs   []netip.AddrPort  // tried in order

	wanted func() bool // of Redial
}

// Identity are the keys of a node that others know. Clients have none.
type Identity struct {
	Key     ed25519.PrivateKey // the relay identity
	LinkKey ed25519.PrivateKey // TLS leaf key, listed in the descriptor
}

// Handler serves one stream that a peer opened. Its context ends with the link.
// When the handler returns, the endpoint stops reading, and resets the sending
// side unless the handler closed it. Handlers run in their own goroutines.
type Handler func(ctx context.Context, l *Link, s *Stream)

// Config configures an Endpoint. The zero value of an optional field means
// what its comment says.
type Config struct {
	Role     Role
	Network  directory.NetworkID
	Lab      bool      // lifts the per-prefix limits: all nodes share loopback
	Identity *Identity // nil for clients

	// Views gives the listed relays, by which peers are recognised. It may
	// hold no view yet.
	Views *directory.Views

	// Conn is the one socket of a relay or directory node, for listening and
	// dialing. A *net.UDPConn keeps GSO, ECN and batched reads. The endpoint
	// owns it and closes it at the end.
	Conn net.PacketConn

	// ListenPacket makes the fresh socket of each connection that a client
	// dials; it is closed with the connection. Required for clients, unused by
	// others.
	ListenPacket func() (net.PacketConn, error)

	// Profile shapes the links of a client from their beginning; see SetProfile.
	// Zero: Off. Unused by others.
	Profile Profile

	// Handlers serve incoming streams by kind; a kind without one is reset.
	Handlers map[Kind]Handler

	// AllowGossip decides, for a proven identity that is not a listed relay,
	// whether it may open gossip streams. Nil: nobody.
	AllowGossip func(id directory.RelayID) bool

	// StatelessResetKey and TokenGeneratorKey persist over restarts, so that
	// peers notice a crash in one round trip. Zero: random.
	StatelessResetKey [32]byte
	TokenGeneratorKey [32]byte

	Log *slog.Logger // nil: discard
}

// Errors that callers decide on.
var (
	ErrClosed      = errors.New("link: closed")
	ErrUnreachable = errors.New("link: relay unreachable")
	ErrWrongKey    = errors.New("link: the peer does not hold the expected key")
	ErrWrongNet    = errors.New("link: the peer belongs to another network")
	ErrDraining    = errors.New("link: the link takes no new streams")
	ErrUnwanted    = errors.New("link: the link is not wanted any more") // of Redial
)
