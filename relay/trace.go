package relay

import (
	"net/netip"

	"hearsay/circuit/cell"
	"hearsay/directory"
)

// Trace sees what a relay sees. It exists for tests that show what each relay
// of a path learns; nothing else may implement it, since it handles client
// addresses. Methods are called concurrently, must not block and must copy
// what they keep.
type Trace interface {
	// Opened is called for each new circuit, with the address of the link's
	// other end and its proven identity, zero for a client.
	Opened(circuit uint64, from netip.AddrPort, prev directory.RelayID)
	// Extended is called when the next hop has answered.
	Extended(circuit uint64, next directory.RelayID)
	// Cell is called for each cell received and sent on the circuit's streams.
	Cell(circuit uint64, way Way, c []byte)
	// Message is called for each message that this hop opened or sealed as its
	// own.
	Message(circuit uint64, way Way, m cell.Message)
	// Closed is called once per circuit, with the class of the reason.
	Closed(circuit uint64, why string)
}

// Way says where a cell or message of a circuit was going at a relay.
type Way int

// The ways.
const (
	FromClientSide Way = iota // received from the hop towards the client
	ToNextHop                 // sent to the next hop
	FromNextHop               // received from the next hop
	ToClientSide              // sent towards the client
)
