package session

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	keySize   = 32
	nonceSize = chacha20poly1305.NonceSizeX
	tagSize   = chacha20poly1305.Overhead
)

// derive fills out with HKDF-SHA256.
func derive(out, secret, salt []byte, info string) {
	k, err := hkdf.Key(sha256.New, secret, salt, info, len(out))
	if err != nil {
		panic("session: hkdf: " + err.Error()) // only for lengths above 8160
	}
	copy(out, k)
	clear(k)
}

// mac returns HMAC-SHA256 over the parts.
func mac(key []byte, parts ...[]byte) (sum [32]byte) {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

// hash returns SHA-256 over a label and the parts.
func hash(label string, parts ...[]byte) (sum [32]byte) {
	h := sha256.New()
	io.WriteString(h, label)
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

// seal appends XChaCha20-Poly1305 of plain to dst.
func seal(dst, key, nonce, plain, aad []byte) []byte {
	a, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic("session: " + err.Error()) // only for a key that is not 32 bytes
	}
	return a.Seal(dst, nonce, plain, aad)
}

// open appends the opened sealed to dst; ErrAuth without detail if it fails.
func open(dst, key, nonce, sealed, aad []byte) ([]byte, error) {
	a, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic("session: " + err.Error()) // only for a key that is not 32 bytes
	}
	p, err := a.Open(dst, nonce, sealed, aad)
	if err != nil {
		return nil, ErrAuth
	}
	return p, nil
}

// newDH draws an X25519 private key.
func newDH(rand io.Reader) (*ecdh.PrivateKey, error) {
	var b [keySize]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return nil, fmt.Errorf("draw key: %w", err)
	}
	return ecdh.X25519().NewPrivateKey(b[:])
}

// agree returns DH(private, public). It refuses points of low order, whose
// result would not depend on the private key (SPEC.md §1).
func agree(private *ecdh.PrivateKey, public []byte) ([]byte, error) {
	p, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("key agreement: %w", ErrAuth)
	}
	s, err := private.ECDH(p)
	if err != nil {
		return nil, fmt.Errorf("key agreement: %w", ErrAuth)
	}
	return s, nil
}
