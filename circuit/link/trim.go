package link

import "hearsay/circuit/cell"

// trim returns how many zero bytes follow a cell that is sent in a tick at an
// offset of a stream. The header of a STREAM frame takes more bytes the higher
// both are; with the trim, all packets that carry one cell have one size
// (SPEC.md §8.2).
func trim(id, offset uint64) int {
	t := cell.MaxTrim + 1 - varint(id)
	if offset > 0 {
		t -= varint(offset) // at 0 the field is left out
	}
	return max(t, 0)
}

// resetSize is the size of QUIC's RESET_STREAM frame with the code 0 for a
// stream that ends at an offset.
func resetSize(id, offset uint64) int { return 2 + varint(id) + varint(offset) }

// varint returns the bytes that QUIC takes for a number.
func varint(v uint64) int {
	switch {
	case v < 1<<6:
		return 1
	case v < 1<<14:
		return 2
	case v < 1<<30:
		return 4
	}
	return 8
}
