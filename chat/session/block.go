package session

import "time"

// Sizes of blocks in bytes.
const (
	BlockSize     = 1024
	InnerSize     = 984
	ContainerSize = 3856
)

// InnerType says what an inner block holds.
type InnerType byte

// The types of inner blocks.
const (
	InnerDummy   InnerType = 0 // to be thrown away
	InnerRatchet InnerType = 1 // State.Open
	InnerRequest InnerType = 2 // RequestAssembler.Add
)

// ParseInner returns the type of an inner block; ErrFormat for a wrong length,
// version, type or reserved byte.
func ParseInner(inner []byte) (InnerType, error) { return 0, errStub }

// Seal seals an inner block for the queue. The result depends on inner and a
// alone. ErrFormat if inner has not InnerSize bytes.
func (a QAddr) Seal(inner []byte) (block []byte, id [8]byte, err error) {
	return nil, id, errStub
}

// MessageID returns the id under which the relay knows the block of inner.
func (a QAddr) MessageID(inner []byte) [8]byte { return [8]byte{} }

// OpenBlock opens a block fetched from the queue: ErrFormat or ErrAuth if it
// was not sealed by Seal for this queue.
func OpenBlock(key QueueKey, sid [24]byte, block []byte) (inner []byte, err error) {
	return nil, errStub
}

// SplitContainer cuts a container into its four inner blocks.
func SplitContainer(container []byte) ([][]byte, error) { return nil, errStub }

// RequestAssembler puts contact requests together, for one queue. The zero
// value is ready.
type RequestAssembler struct{}

// Add takes an inner block of type InnerRequest and returns the container once
// its four parts are there, else nil.
func (a *RequestAssembler) Add(now time.Time, inner []byte) (container []byte, err error) {
	return nil, errStub
}

// Append appends the serialised assembler.
func (a *RequestAssembler) Append(b []byte) []byte { return b }

// ParseRequestAssembler parses what Append wrote.
func ParseRequestAssembler(b []byte) (*RequestAssembler, error) { return nil, errStub }
