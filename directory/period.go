package directory

import "time"

// labScale is by how much the periods of descriptors, epochs, views and the
// ledger shrink in a lab network: an hour becomes ten seconds (SPEC.md §13).
const labScale = 360

// Scale returns the period d, or in a lab network the 360th part of it.
func Scale(lab bool, d time.Duration) time.Duration {
	if lab {
		return d / labScale
	}
	return d
}
