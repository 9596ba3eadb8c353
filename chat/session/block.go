package session

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
)

// Sizes of blocks in bytes.
const (
	BlockSize = 1024 // what a relay keeps
	InnerSize = BlockSize - nonceSize - tagSize

	prefixSize = 4
)

// InnerType says what an inner block holds.
type InnerType byte

// The types of inner blocks.
const (
	InnerDummy   InnerType = 0 // to be thrown away
	InnerRatchet InnerType = 1 // State.Open
	InnerRequest InnerType = 2 // RequestAssembler.Add
	InnerReset   InnerType = 3 // RequestAssembler.AddReset
)

const innerVersion = 1

// ParseInner returns the type of an inner block; ErrFormat for a wrong length,
// version, type or reserved byte (SPEC.md §5.1).
func ParseInner(inner []byte) (InnerType, error) {
	if len(inner) != InnerSize {
		return 0, fmt.Errorf("inner block of %d bytes: %w", len(inner), ErrFormat)
	}
	if inner[0] != innerVersion {
		return 0, fmt.Errorf("inner block of version %d: %w", inner[0], ErrFormat)
	}
	t := InnerType(inner[1])
	switch t {
	case InnerDummy, InnerRatchet:
		if inner[2] != 0 || inner[3] != 0 {
			return 0, fmt.Errorf("inner block: reserved byte: %w", ErrFormat)
		}
	case InnerRequest, InnerReset:
		if inner[2] >= chunkCount || inner[3] != chunkCount {
			return 0, fmt.Errorf("inner block: chunk number: %w", ErrFormat)
		}
	default:
		return 0, fmt.Errorf("inner block of type %d: %w", t, ErrFormat)
	}
	return t, nil
}

// outerKeys are the three keys of a queue (SPEC.md §5.2).
type outerKeys struct{ out, nonce, id [keySize]byte }

func (k QueueKey) outer() (o outerKeys) {
	var b [3 * keySize]byte
	derive(b[:], k.b[:], nil, labelQueue)
	copy(o.out[:], b[:])
	copy(o.nonce[:], b[keySize:])
	copy(o.id[:], b[2*keySize:])
	clear(b[:])
	return o
}

// Seal seals an inner block for the queue. The result depends on inner and a
// alone. ErrFormat if inner has not InnerSize bytes.
func (a QAddr) Seal(inner []byte) (block []byte, id [8]byte, err error) {
	if len(inner) != InnerSize {
		return nil, id, fmt.Errorf("inner block of %d bytes: %w", len(inner), ErrFormat)
	}
	k := a.Key.outer()
	h := sha256.Sum256(inner)
	n := mac(k.nonce[:], h[:])
	m := mac(k.id[:], h[:])
	block = make([]byte, nonceSize, BlockSize)
	copy(block, n[:])
	block = seal(block, k.out[:], block[:nonceSize], inner, a.SID[:])
	return block, [8]byte(m[:8]), nil
}

// MessageID returns the id under which the relay knows the block of inner.
func (a QAddr) MessageID(inner []byte) [8]byte {
	k := a.Key.outer()
	h := sha256.Sum256(inner)
	m := mac(k.id[:], h[:])
	return [8]byte(m[:8])
}

// OpenBlock opens a block fetched from the queue: ErrFormat or ErrAuth if it
// was not sealed by QAddr.Seal for this queue. The nonce is recomputed, so that
// an inner block has one outside only and its message id can be trusted.
func OpenBlock(key QueueKey, sid [24]byte, block []byte) (inner []byte, err error) {
	if len(block) != BlockSize {
		return nil, fmt.Errorf("block of %d bytes: %w", len(block), ErrFormat)
	}
	k := key.outer()
	inner, err = open(nil, k.out[:], block[:nonceSize], block[nonceSize:], sid[:])
	if err != nil {
		return nil, fmt.Errorf("open block: %w", err)
	}
	h := sha256.Sum256(inner)
	n := mac(k.nonce[:], h[:])
	if subtle.ConstantTimeCompare(n[:nonceSize], block[:nonceSize]) != 1 {
		return nil, fmt.Errorf("open block: nonce: %w", ErrAuth)
	}
	return inner, nil
}
