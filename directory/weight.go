package directory

import "math/bits"

// maxWeightCode is the highest weight code (SPEC.md §10.3).
const maxWeightCode = 127

// mantissas are 1024·2^(i/4), rounded down.
var mantissas = [4]uint64{1024, 1218, 1448, 1722}

// Weight returns the weight that a code stands for, in 1/1024 B/s. Codes above
// 127 do not exist and give 0.
func Weight(code byte) uint64 {
	if code == 0 || code > maxWeightCode {
		return 0
	}
	return mantissas[(code-1)%4] << ((code - 1) / 4)
}

// WeightCode returns the code of the highest weight that is not above w.
func WeightCode(w uint64) byte {
	if w < mantissas[0] {
		return 0
	}
	shift := bits.Len64(w) - 11
	if shift > 31 {
		return maxWeightCode
	}
	code := byte(1)
	for i, m := range mantissas {
		if m<<shift <= w {
			code = byte(shift*4 + i + 1)
		}
	}
	return min(code, maxWeightCode)
}
