package relay

import (
	"hearsay/directory"
	"hearsay/directory/gossip"
)

// Circuits are the circuits of a node itself, for tests that need a network.
type Circuits = circuits

// NewCircuits is newCircuits.
var NewCircuits = newCircuits

// PathOf returns the hops of the circuit under a stream of RequestOver.
func PathOf(s gossip.Stream) []directory.RelayID { return s.(*circuitStream).circuit.Info().Path }
