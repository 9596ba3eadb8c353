package session

import (
	"encoding/binary"
	"fmt"
)

// QBadUnwritable is the code of a QBad: the sender of it cannot write to the
// queue.
const QBadUnwritable byte = 1

// QBad is the content of a FrameQBad: the sender cannot use a queue that the
// receiver named, and asks for another one (SPEC.md §14.1).
type QBad struct {
	Slot       byte   // 0 or 1
	Generation uint32 // of the QAdd that named it; 0: it was in the bundle or request
	Code       byte   // QBadUnwritable
}

// Append appends the 6 bytes of q.
func (q QBad) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(append(b, q.Slot), q.Generation)
	return append(b, q.Code)
}

// ParseQBad parses the content of a FrameQBad.
func ParseQBad(b []byte) (QBad, error) {
	var q QBad
	r := reader{b: b}
	if q.Slot = r.byte(); q.Slot > 1 {
		r.fail()
	}
	q.Generation = r.uint32()
	if q.Code = r.byte(); q.Code != QBadUnwritable {
		r.fail()
	}
	if err := r.done(); err != nil {
		return QBad{}, fmt.Errorf("parse queue complaint: %w", err)
	}
	return q, nil
}

// Settled returns the seq up to which all of ours are settled: the peer has
// them, or knows that they were given up.
func (s *State) Settled() uint64 { return s.out.acked }
