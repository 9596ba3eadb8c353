package mailbox

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// Work shows that somebody computed hashes for a queue, 40 bytes: SID 24, bits
// 1, zero 7, counter 8 (SPEC.md §3.17). It pays for one request to the queue of an
// address.
type Work struct {
	SID     SID
	Bits    byte
	Counter uint64
}

// Append appends the data to b.
func (m Work) Append(b []byte) []byte {
	b = append(b, m.SID[:]...)
	b = append(b, m.Bits, 0, 0, 0, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint64(b, m.Counter)
}

// ParseWork parses the data of a WORK.
func ParseWork(d []byte) (Work, error) {
	if len(d) != 40 || !zero(d[25:32]) {
		return Work{}, malformed(CmdWork)
	}
	return Work{SID: SID(d), Bits: d[24], Counter: binary.BigEndian.Uint64(d[32:])}, nil
}

// CheckWork tells whether the hash of counter has at least want leading zero
// bits (SPEC.md §5). It costs one hash.
func CheckWork(nonce [32]byte, id [IDSize]byte, counter uint64, want int) bool {
	var text [len(labelWork) + 32 + IDSize + 8]byte
	return workBits(workText(text[:0], nonce, id), counter) >= want
}

// FindWork finds a counter for which CheckWork holds. Each bit doubles the
// time; it looks at stop every 2^16 hashes (some 5 ms) and gives up when it is
// closed. A nil stop never ends it.
func FindWork(stop <-chan struct{}, nonce [32]byte, id [IDSize]byte, want int) (uint64, bool) {
	return FindWorkFrom(stop, nonce, id, want, 0)
}

// FindWorkFrom is FindWork beginning at a counter: one WORK after another on the
// same stream needs rising ones.
func FindWorkFrom(stop <-chan struct{}, nonce [32]byte, id [IDSize]byte, want int, from uint64) (uint64, bool) {
	var buf [len(labelWork) + 32 + IDSize + 8]byte
	text := workText(buf[:0], nonce, id)
	for c := from; ; c++ {
		if workBits(text, c) >= want {
			return c, true
		}
		if c&0xFFFF == 0xFFFF {
			select {
			case <-stop:
				return 0, false
			default:
			}
		}
	}
}

func workText(b []byte, nonce [32]byte, id [IDSize]byte) []byte {
	b = append(b, labelWork...)
	b = append(b, nonce[:]...)
	return append(b, id[:]...)
}

func workBits(text []byte, counter uint64) int {
	h := sha256.Sum256(binary.BigEndian.AppendUint64(text, counter))
	n := 0
	for _, b := range h {
		n += bits.LeadingZeros8(b)
		if b != 0 {
			break
		}
	}
	return n
}
