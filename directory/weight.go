package directory

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
