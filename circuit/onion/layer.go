package onion

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"

	"hearsay/circuit/cell"
)

// RekeyInterval is the number of cells after which a direction changes its key
// (SPEC.md §3.3).
const RekeyInterval = 64

// ErrLayer says that a cell did not open or is not allowed at this hop. The
// circuit must be destroyed, without telling the reason.
var ErrLayer = errors.New("onion: cell does not open")

const (
	flagRelayed = 0 // for a hop further on
	flagOwn     = 1 // for, or from, this hop
)

// Tag is the authentication tag of one hop's layer on one cell, 16 bytes. A
// SENDME proves with it that the cell was received (SPEC.md §3.4).
type Tag [16]byte

// direction is one direction of one layer: key, counter, and the tag of the
// last cell.
type direction struct {
	key   [32]byte
	aead  cipher.AEAD
	count uint64
	nonce [chacha20poly1305.NonceSize]byte
	tag   Tag
}

// nextKeys has room for keys that are being made, so that a change of keys
// allocates nothing but the cipher. They are zero.
var nextKeys = sync.Pool{New: func() any { return new([32 + chacha20poly1305.Overhead]byte) }}

func (d *direction) init(key *[32]byte) {
	d.key = *key
	d.setKey()
}

func (d *direction) setKey() {
	a, err := chacha20poly1305.New(d.key[:])
	if err != nil {
		panic("onion: " + err.Error()) // the key has 32 bytes
	}
	d.aead = a
}

// advance counts a cell and changes the key after every RekeyInterval cells.
func (d *direction) advance() {
	d.count++
	binary.LittleEndian.PutUint64(d.nonce[4:], d.count)
	if d.count%RekeyInterval != 0 {
		return
	}
	binary.LittleEndian.PutUint64(d.nonce[4:], math.MaxUint64)
	next := nextKeys.Get().(*[32 + chacha20poly1305.Overhead]byte)
	d.aead.Seal(next[:0], d.nonce[:], next[:32], nil)
	binary.LittleEndian.PutUint64(d.nonce[4:], d.count)
	copy(d.key[:], next[:32])
	clear(next[:])
	nextKeys.Put(next)
	d.setKey()
}

// seal encrypts buf[:n] in place; the tag follows it.
func (d *direction) seal(buf []byte, n int) {
	d.aead.Seal(buf[:0], d.nonce[:], buf[:n], nil)
	copy(d.tag[:], buf[n:n+chacha20poly1305.Overhead])
	d.advance()
}

// open decrypts buf, whose last 16 bytes are the tag, in place.
func (d *direction) open(buf []byte) error {
	var tag Tag
	copy(tag[:], buf[len(buf)-chacha20poly1305.Overhead:])
	if _, err := d.aead.Open(buf[:0], d.nonce[:], buf, nil); err != nil {
		return ErrLayer
	}
	d.tag = tag
	d.advance()
	return nil
}

// erase overwrites the key that we own. The AEAD keeps a copy until it is
// collected, which Go does not let us overwrite.
func (d *direction) erase() {
	clear(d.key[:])
	d.aead = nil
}

// Layer is the state that a hop and the client share after the handshake. A
// relay uses OpenForward and the SealBackward methods; a client hands its
// layers to a Client. One goroutine may use the forward and another one the
// backward direction.
type Layer struct {
	slot     int
	forward  direction
	backward direction
}

func newLayer(slot int, forward, backward *[32]byte) *Layer {
	l := &Layer{slot: slot}
	l.forward.init(forward)
	l.backward.init(backward)
	return l
}

// fillTail fills the tail that a layer freed. The bytes need not be secret for
// long, only unpredictable to the neighbours: they must not become a channel
// across an honest hop (SPEC.md §3.2). The generator is the runtime's: ChaCha8,
// one per thread, seeded by the system, which erases its key as it goes and
// costs a circuit no memory.
func fillTail(b []byte) {
	var x [cell.Slots*cell.Stride + 7]byte
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(x[i:], rand.Uint64())
	}
	copy(b, x[:])
}

// Slot returns the hop index of the layer, 0 to 3.
func (l *Layer) Slot() int { return l.slot }

// OpenForward removes this relay's layer from the body (cell.BodySize bytes)
// of a cell that came from the client's side, in place. If mine is true,
// payload is the relay message for this hop (cell.PayloadSize bytes, aliasing
// body); else the body is ready to be sent to the next hop. On ErrLayer the
// circuit must be destroyed.
func (l *Layer) OpenForward(body []byte) (payload []byte, mine bool, err error) {
	body = body[:cell.BodySize]
	n := cell.CipherSize(l.slot)
	if err := l.forward.open(body[:n]); err != nil {
		return nil, false, err
	}
	p := cell.PayloadSize(l.slot)
	switch body[0] {
	case flagOwn:
		return body[1 : 1+p : 1+p], true, nil
	case flagRelayed:
		copy(body, body[1:1+p])
		fillTail(body[p:])
		return nil, false, nil
	}
	return nil, false, ErrLayer
}

// SealBackward adds this relay's layer to a body that came from the next hop,
// in place.
func (l *Layer) SealBackward(body []byte) {
	body = body[:cell.BodySize]
	p := cell.PayloadSize(l.slot)
	copy(body[1:1+p], body[:p])
	l.sealBackward(body, flagRelayed)
}

// SealBackwardOwn fills body with a message from this relay to the client and
// adds the layer. It returns an error of cell.Message.Put.
func (l *Layer) SealBackwardOwn(body []byte, m cell.Message) error {
	body = body[:cell.BodySize]
	p := cell.PayloadSize(l.slot)
	if err := m.Put(body[1 : 1+p]); err != nil {
		return err
	}
	l.sealBackward(body, flagOwn)
	return nil
}

func (l *Layer) sealBackward(body []byte, flag byte) {
	body[0] = flag
	l.backward.seal(body, 1+cell.PayloadSize(l.slot))
	fillTail(body[cell.CipherSize(l.slot):])
}

// ForwardTag returns the tag of the last cell opened by OpenForward.
func (l *Layer) ForwardTag() Tag { return l.forward.tag }

// BackwardTag returns the tag of the last cell that this relay sealed.
func (l *Layer) BackwardTag() Tag { return l.backward.tag }

// Erase overwrites the keys; the layer must not be used again.
func (l *Layer) Erase() {
	l.forward.erase()
	l.backward.erase()
}
