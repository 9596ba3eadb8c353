package directory

import (
	"encoding/binary"
	"time"
)

// maxSRVs is how many shared random values a header holds.
const maxSRVs = 10

// SRV is the shared random value of a round.
type SRV struct {
	Round uint64
	Value [32]byte
}

// srvRound returns the number of the round that t is in: rounds last a day and
// begin at 00:00 UTC.
func srvRound(lab bool, t time.Time) uint64 {
	return uint64(t.Unix()) / uint64(Scale(lab, 24*time.Hour)/time.Second)
}

// firstSRV is the value of a round before signers have drawn one together. It
// is predictable (SPEC.md §9.3).
func firstSRV(network NetworkID, round uint64) SRV {
	n := binary.BigEndian.AppendUint64(nil, round)
	return SRV{Round: round, Value: labelled(labelSRV, []byte("first"), network[:], n)}
}

// srvsAt returns the values of the last rounds up to t, oldest first, none
// before the founding.
func srvsAt(c *Chain, t time.Time) []SRV {
	lab := c.Current().Lab
	last := srvRound(lab, t)
	first := min(srvRound(lab, c.Founded()), last)
	if last-first >= maxSRVs {
		first = last - maxSRVs + 1
	}
	var list []SRV
	for r := first; r <= last; r++ {
		list = append(list, firstSRV(c.id, r))
	}
	return list
}
