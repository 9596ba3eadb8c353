package session

import (
	"bytes"
	"crypto/subtle"
	"fmt"

	"hearsay/directory"
)

// QAddrSize is the length of an encoded QAddr in bytes.
const QAddrSize = 120

// QAddr is all that a contact needs to write to one queue (SPEC.md §2). The
// zero QAddr stands for no queue: where a format has room for two, the second
// may be zero.
type QAddr struct {
	Relay      directory.RelayID
	SID        [24]byte // the queue's name for senders
	Capability Capability
	Key        QueueKey
}

// IsZero reports whether a names no queue.
func (a QAddr) IsZero() bool {
	var zero [QAddrSize]byte
	return subtle.ConstantTimeCompare(a.Append(nil), zero[:]) == 1
}

// Equal compares in constant time.
func (a QAddr) Equal(o QAddr) bool {
	return subtle.ConstantTimeCompare(a.Append(nil), o.Append(nil)) == 1
}

// Append appends the 120 bytes of a.
func (a QAddr) Append(b []byte) []byte {
	b = append(b, a.Relay[:]...)
	b = append(b, a.SID[:]...)
	b = append(b, a.Capability.b[:]...)
	return append(b, a.Key.b[:]...)
}

// ParseQAddr parses exactly 120 bytes. It returns the zero QAddr for zeros and
// ErrFormat if relay or SID alone are zero.
func ParseQAddr(b []byte) (QAddr, error) {
	var a QAddr
	if len(b) != QAddrSize {
		return a, fmt.Errorf("queue address of %d bytes: %w", len(b), ErrFormat)
	}
	copy(a.Relay[:], b)
	copy(a.SID[:], b[32:])
	copy(a.Capability.b[:], b[56:])
	copy(a.Key.b[:], b[88:])
	if a.IsZero() {
		return a, nil
	}
	if a.Relay == (directory.RelayID{}) || bytes.Equal(a.SID[:], make([]byte, 24)) {
		return QAddr{}, fmt.Errorf("queue address without relay or queue: %w", ErrFormat)
	}
	return a, nil
}

// parsePair parses two queue addresses, of which the second may be zero.
func parsePair(b []byte) ([2]QAddr, error) {
	var p [2]QAddr
	var err error
	if p[0], err = ParseQAddr(b[:QAddrSize]); err != nil {
		return p, err
	}
	if p[1], err = ParseQAddr(b[QAddrSize:]); err != nil {
		return p, err
	}
	return p, checkPair(p)
}

// checkPair stops a pair that is no pair: the first is needed, and two copies
// on one relay would be one (SPEC.md §2).
func checkPair(p [2]QAddr) error {
	if p[0].IsZero() {
		return fmt.Errorf("no queue address: %w", ErrFormat)
	}
	if p[0].Relay == p[1].Relay {
		return fmt.Errorf("both queues on one relay: %w", ErrFormat)
	}
	return nil
}
