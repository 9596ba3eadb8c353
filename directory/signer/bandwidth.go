package signer

import (
	"context"

	"hearsay/directory"
)

// Meter measures relays through ordinary circuits.
type Meter interface {
	// Measure sends cells through a circuit that ends at the relay, which echoes
	// them, for four seconds at the given rate, and returns how many bytes a
	// second came back. Safe for concurrent use.
	Measure(ctx context.Context, relay directory.RelayID, rate uint64) (bytesPerSecond uint64, err error)
}

// bandwidths are this signer's measurements (SPEC.md §6).
type bandwidths struct{ meter Meter }

func newBandwidths(m Meter) *bandwidths { return &bandwidths{meter: m} }

// run measures at random times until ctx ends.
func (b *bandwidths) run(ctx context.Context, views *directory.Views) {}

// code returns the weight code of what was measured, 0 if nothing was.
func (b *bandwidths) code(relay directory.RelayID) byte { return 0 }
