package store

import (
	stdcipher "crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

// Specification constants of rows (SPEC.md §3).
const (
	nameSize = 16
	rowUnit  = 128 // values are padded to a multiple

	maxValue = 16 << 20 // bytes; stops a slip from filling memory
)

// name is the hashed name of a bucket or row.
type name [nameSize]byte

// kind separates the names of sets of rows.
type kind byte

const (
	kindBucket   kind = 'b'
	kindSequence kind = 's'
	kindHistory  kind = 'h'
	kindNetwork  kind = 'n'
	kindBox      kind = 'x'
)

func (k *keyTable) hash(label string, parts ...[]byte) (n name) {
	h := hmac.New(sha256.New, k.meta[:])
	io.WriteString(h, label)
	for _, p := range parts {
		h.Write(p)
	}
	copy(n[:], h.Sum(nil))
	return n
}

func (k *keyTable) bucketName(kind kind, s string) name {
	return k.hash(labelBucketName, []byte{byte(kind)}, []byte(s))
}

func (k *keyTable) rowName(bucket name, key string) name {
	return k.hash(labelRowName, bucket[:], []byte(key))
}

func cipher(key [keySize]byte) stdcipher.AEAD {
	a, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		panic("store: " + err.Error()) // only for a key that is not 32 bytes
	}
	return a
}

// rowAAD binds a row to its place.
func rowAAD(bucket name, key []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte(labelRow), schema)
	b = append(b, bucket[:]...)
	return append(b, key...)
}

// sealRow appends nonce and sealed, padded value to dst.
func sealRow(dst []byte, k [keySize]byte, bucket name, key, value []byte) ([]byte, error) {
	if len(value) > maxValue {
		return nil, fmt.Errorf("store: value of %d bytes", len(value))
	}
	plain := padValue(value)
	at := len(dst)
	dst = append(dst, make([]byte, nonceSize)...)
	nonce := dst[at:]
	if _, err := io.ReadFull(rand.Reader, nonce); err != nil {
		return nil, err
	}
	return cipher(k).Seal(dst, nonce, plain, rowAAD(bucket, key)), nil
}

// openRow opens what sealRow made; ErrDamaged if it is not that, or lay
// elsewhere.
func openRow(k [keySize]byte, bucket name, key, sealed []byte) ([]byte, error) {
	if len(sealed) < nonceSize+tagSize {
		return nil, fmt.Errorf("row: %w", ErrDamaged)
	}
	plain, err := cipher(k).Open(nil, sealed[:nonceSize], sealed[nonceSize:], rowAAD(bucket, key))
	if err != nil {
		return nil, fmt.Errorf("row: %w", ErrDamaged)
	}
	return unpadValue(plain)
}

// padValue puts the length before the value and zeros behind it.
func padValue(value []byte) []byte {
	n := 4 + len(value)
	p := make([]byte, 0, n+rowUnit)
	p = binary.BigEndian.AppendUint32(p, uint32(len(value)))
	p = append(p, value...)
	return append(p, make([]byte, -n&(rowUnit-1))...)
}

// unpadValue undoes padValue and accepts nothing else.
func unpadValue(plain []byte) ([]byte, error) {
	if len(plain) == 0 || len(plain)%rowUnit != 0 {
		return nil, fmt.Errorf("row: %w", ErrDamaged)
	}
	n := binary.BigEndian.Uint32(plain)
	if n > maxValue || int(n) > len(plain)-4 || len(plain)-4-int(n) >= rowUnit {
		return nil, fmt.Errorf("row: %w", ErrDamaged)
	}
	for _, c := range plain[4+n:] {
		if c != 0 {
			return nil, fmt.Errorf("row: %w", ErrDamaged)
		}
	}
	return plain[4 : 4+n : 4+n], nil
}
