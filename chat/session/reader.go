package session

import (
	"encoding/binary"
)

// reader takes fixed fields off a byte slice. After the first that is missing
// it yields zeros and done reports it, so that a parser reads like its table.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() { r.bad = true }

// bytes returns the next n bytes; they alias the input. Once r has failed they
// are zeros.
func (r *reader) bytes(n int) []byte {
	if r.bad || len(r.b) < n {
		r.bad = true
		return make([]byte, n)
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) byte() byte         { return r.bytes(1)[0] }
func (r *reader) uint16() uint16     { return binary.BigEndian.Uint16(r.bytes(2)) }
func (r *reader) uint32() uint32     { return binary.BigEndian.Uint32(r.bytes(4)) }
func (r *reader) uint64() uint64     { return binary.BigEndian.Uint64(r.bytes(8)) }
func (r *reader) key() [keySize]byte { return [keySize]byte(r.bytes(keySize)) }

// bool reads a byte that is 0 or 1.
func (r *reader) bool() bool {
	v := r.byte()
	if v > 1 {
		r.fail()
	}
	return v == 1
}

// zero reads n bytes that have to be zero.
func (r *reader) zero(n int) {
	if !allZero(r.bytes(n)) {
		r.fail()
	}
}

// done returns ErrFormat if a field was missing or wrong or bytes are left.
func (r *reader) done() error {
	if r.bad || len(r.b) != 0 {
		return ErrFormat
	}
	return nil
}

func allZero(b []byte) bool {
	var v byte
	for _, c := range b {
		v |= c
	}
	return v == 0
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}
