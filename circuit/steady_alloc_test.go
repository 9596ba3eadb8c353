//go:build !race

package circuit

import (
	"testing"

	"hearsay/circuit/cell"
)

// TestNoAllocationPerCell: neither way allocates for a cell, but for the new
// key that each layer takes after every 64. (The race detector empties pools at
// random, which allocates.)
func TestNoAllocationPerCell(t *testing.T) {
	s := newSteady(t)
	for range 8 {
		s.upload() // queues and pools grow to their size
	}
	const rekeys = 3 // in 64 cells, one for each layer
	if n := testing.AllocsPerRun(200, func() { s.upload(); s.upload() }); n > rekeys {
		t.Errorf("%v allocations for 64 cells sent", n)
	}
	var in [2][batchCells * cell.Size]byte
	s.arrive(in[0][:])
	s.download(in[0][:])
	// Those of the rig, which makes the cells, take new keys too.
	n := testing.AllocsPerRun(200, func() {
		s.arrive(in[0][:])
		s.arrive(in[1][:])
		s.download(in[0][:])
		s.download(in[1][:])
	})
	if n > 2*rekeys {
		t.Errorf("%v allocations for 64 cells received", n)
	}
}
