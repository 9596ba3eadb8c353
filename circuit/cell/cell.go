// Package cell encodes and decodes what travels on links and circuits: the
// fixed-size cell, the fragments of a hop handshake, the relay messages inside
// the onion, the handshake options, and the bodies of control cells.
//
// The package is pure: it does no I/O and keeps no state but that of the
// assemblers. Decoding is strict: one encoding per value, exact lengths, every
// unused byte zero. SPEC.md beside this file owns the formats.
package cell

import (
	"bytes"
	"errors"
	"fmt"
)

// Specification constants (SPEC.md §2, §3). All are bytes unless said.
const (
	Size       = 1152              // a cell on the wire
	HeaderSize = 4                 // type, flags, fragment, trim
	BodySize   = Size - HeaderSize // 1148
	MaxTrim    = 17                // zero bytes that may follow a cell on a shaped link

	Slots  = 4  // hops that one onion holds
	Stride = 17 // bytes that each layer takes: tag 16, flag 1

	CreateSize  = 1256 // CREATE message, in two cells
	CreatedSize = 1152 // CREATED message, in two cells
)

// ErrFormat is wrapped by every decoding error of this package. What exactly
// was wrong is for tests and counters; a peer only ever sees the circuit or
// link end.
var ErrFormat = errors.New("cell: malformed")

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrFormat, what) }

// CipherSize returns L, the ciphertext bytes of the layer at a slot, 0 to 3
// (SPEC.md §3).
func CipherSize(slot int) int { return BodySize - Stride*slot }

// PayloadSize returns P, the bytes of a relay message with its padding inside
// the layer at a slot, 0 to 3.
func PayloadSize(slot int) int { return CipherSize(slot) - Stride }

// Type is the first byte of a cell.
type Type byte

// The cell types (SPEC.md §2.1).
const (
	Pad       Type = 0
	Create    Type = 1
	Created   Type = 2
	Relay     Type = 3
	LinkHello Type = 4
	Shape     Type = 5
	GoAway    Type = 6
)

// Fragment bytes: index in the high nibble, total in the low.
const (
	FirstOfTwo  = 0x02
	SecondOfTwo = 0x12
)

// Header is the first four bytes of a cell.
type Header struct {
	Type     Type
	Fragment byte // FirstOfTwo or SecondOfTwo in CREATE and CREATED, else 0
	Trim     byte // zero bytes that follow the cell on its stream, at most MaxTrim
}

// ParseHeader checks and returns the header of the cell that c starts with.
// c must hold at least HeaderSize bytes, else the error is ErrFormat. It
// checks the body only of PAD and GOAWAY, and only if c holds the whole cell:
// those bodies are zero.
func ParseHeader(c []byte) (Header, error) {
	if len(c) < HeaderSize {
		return Header{}, malformed("short header")
	}
	h := Header{Type: Type(c[0]), Fragment: c[2], Trim: c[3]}
	if c[1] != 0 {
		return Header{}, malformed("flags")
	}
	if h.Trim > MaxTrim {
		return Header{}, malformed("trim")
	}
	switch h.Type {
	case Create, Created:
		if h.Fragment != FirstOfTwo && h.Fragment != SecondOfTwo {
			return Header{}, malformed("fragment")
		}
	case Pad, GoAway:
		if h.Fragment != 0 || len(c) >= Size && !isZero(c[HeaderSize:Size]) {
			return Header{}, malformed("padding")
		}
	case Relay, LinkHello, Shape:
		if h.Fragment != 0 {
			return Header{}, malformed("fragment")
		}
	default:
		return Header{}, malformed("type")
	}
	return h, nil
}

// Put writes the header into the first four bytes of c.
func (h Header) Put(c []byte) {
	_ = c[HeaderSize-1]
	c[0], c[1], c[2], c[3] = byte(h.Type), 0, h.Fragment, h.Trim
}

// Body returns the 1148 body bytes of a whole cell; it aliases c.
func Body(c []byte) []byte { return c[HeaderSize:Size:Size] }

// zeros is what unused bytes are compared with; never written.
var zeros [Size]byte

// isZero reports whether all bytes are zero; b has at most Size bytes.
func isZero(b []byte) bool { return bytes.Equal(b, zeros[:len(b)]) }
