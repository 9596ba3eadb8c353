package session

import (
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
)

// ResetPublicSize is the length of the content of a FrameResetKey in bytes.
const ResetPublicSize = 4 + keySize + xwingSize

// ResetKey is the private half of a reset key: with the public one the contact
// can begin a new session when the old one is lost (SPEC.md §7.5).
type ResetKey struct {
	id    uint32
	dh    *ecdh.PrivateKey
	xwing hpke.PrivateKey
}

// NewResetKey draws a reset key. id tells the contact's keys of ours apart and
// rises.
func NewResetKey(rand io.Reader, id uint32) (*ResetKey, error) {
	var seed [keySize]byte
	dh, err := newDH(rand)
	if err != nil {
		return nil, fmt.Errorf("new reset key: %w", err)
	}
	if _, err := io.ReadFull(rand, seed[:]); err != nil {
		return nil, fmt.Errorf("new reset key: %w", err)
	}
	defer clear(seed[:])
	xwing, err := hpke.MLKEM768X25519().NewPrivateKey(seed[:])
	if err != nil {
		return nil, fmt.Errorf("new reset key: %w", err)
	}
	return &ResetKey{id: id, dh: dh, xwing: xwing}, nil
}

// ID returns the number that a reset names the key by.
func (k *ResetKey) ID() uint32 { return k.id }

// Public returns what the contact gets in a FrameResetKey.
func (k *ResetKey) Public() ResetPublic {
	p := ResetPublic{ID: k.id, dh: [keySize]byte(k.dh.PublicKey().Bytes())}
	copy(p.xwing[:], k.xwing.PublicKey().Bytes())
	return p
}

// String never shows keys.
func (*ResetKey) String() string { return redacted }

// LogValue never shows keys.
func (*ResetKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format never shows keys, whatever the verb.
func (*ResetKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

const resetKeyVersion = 1

// Append appends the serialised key: secret, 69 bytes.
func (k *ResetKey) Append(b []byte) []byte {
	seed, err := k.xwing.Bytes()
	if err != nil {
		panic("session: X-Wing key without seed: " + err.Error()) // we made it from one
	}
	b = append(b, resetKeyVersion)
	b = binary.BigEndian.AppendUint32(b, k.id)
	b = append(b, k.dh.Bytes()...)
	return append(b, seed...)
}

// ParseResetKey parses what ResetKey.Append wrote; ErrFormat if anything is
// wrong.
func ParseResetKey(b []byte) (*ResetKey, error) {
	r := reader{b: b}
	if r.byte() != resetKeyVersion {
		r.fail()
	}
	k := &ResetKey{id: r.uint32(), dh: r.private()}
	seed := r.key()
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("parse reset key: %w", err)
	}
	var err error
	if k.xwing, err = hpke.MLKEM768X25519().NewPrivateKey(seed[:]); err != nil {
		return nil, fmt.Errorf("parse reset key: %w", ErrFormat)
	}
	return k, nil
}

// ResetPublic is the content of a FrameResetKey: the public half of a reset
// key, for the contact alone.
type ResetPublic struct {
	ID uint32

	dh    [keySize]byte
	xwing [xwingSize]byte
}

// Append appends the ResetPublicSize bytes of p.
func (p ResetPublic) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, p.ID)
	b = append(b, p.dh[:]...)
	return append(b, p.xwing[:]...)
}

// ParseResetPublic parses the content of a FrameResetKey; ErrFormat if anything
// is wrong, an X-Wing key that cannot be used included.
func ParseResetPublic(b []byte) (ResetPublic, error) {
	var p ResetPublic
	r := reader{b: b}
	p.ID = r.uint32()
	p.dh = r.key()
	copy(p.xwing[:], r.bytes(xwingSize))
	if err := r.done(); err != nil {
		return ResetPublic{}, fmt.Errorf("parse reset key: %w", err)
	}
	if _, err := hpke.MLKEM768X25519().NewPublicKey(p.xwing[:]); err != nil {
		return ResetPublic{}, fmt.Errorf("parse reset key: %w", ErrFormat)
	}
	return p, nil
}
