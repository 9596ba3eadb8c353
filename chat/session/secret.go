package session

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// QueueKey is the 32-byte key shared by the owner and the one writer of a
// queue; it seals the outside of every block.
type QueueKey struct {
	_ [0]func() // no ==: comparison is constant time, by Equal
	b [32]byte
}

// NewQueueKey draws a key from rand.
func NewQueueKey(rand io.Reader) (QueueKey, error) {
	var k QueueKey
	_, err := io.ReadFull(rand, k.b[:])
	return k, err
}

// QueueKeyFrom wraps stored bytes.
func QueueKeyFrom(b [32]byte) QueueKey { return QueueKey{b: b} }

// Bytes returns a copy, to store it.
func (k QueueKey) Bytes() [32]byte { return k.b }

// Equal compares in constant time.
func (k QueueKey) Equal(o QueueKey) bool { return subtle.ConstantTimeCompare(k.b[:], o.b[:]) == 1 }

// String, LogValue and Format never show the key.
func (QueueKey) String() string { return redacted }

// LogValue never shows the key.
func (QueueKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format never shows the key, whatever the verb.
func (QueueKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// Capability is the 32-byte send capability of a queue, chosen by its owner.
type Capability struct {
	_ [0]func()
	b [32]byte
}

// NewCapability draws a capability from rand.
func NewCapability(rand io.Reader) (Capability, error) {
	var c Capability
	_, err := io.ReadFull(rand, c.b[:])
	return c, err
}

// CapabilityFrom wraps stored bytes.
func CapabilityFrom(b [32]byte) Capability { return Capability{b: b} }

// Bytes returns a copy, to authenticate a send with it or to store it.
func (c Capability) Bytes() [32]byte { return c.b }

// Equal compares in constant time.
func (c Capability) Equal(o Capability) bool {
	return subtle.ConstantTimeCompare(c.b[:], o.b[:]) == 1
}

// String never shows the capability.
func (Capability) String() string { return redacted }

// LogValue never shows the capability.
func (Capability) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format never shows the capability, whatever the verb.
func (Capability) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LinkKey is the 32-byte key in an invite link; it names, opens and checks the
// bundle (SPEC.md §3).
type LinkKey struct {
	_ [0]func()
	b [32]byte
}

// Equal compares in constant time.
func (k LinkKey) Equal(o LinkKey) bool { return subtle.ConstantTimeCompare(k.b[:], o.b[:]) == 1 }

// String never shows the key.
func (LinkKey) String() string { return redacted }

// LogValue never shows the key.
func (LinkKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format never shows the key, whatever the verb.
func (LinkKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }
