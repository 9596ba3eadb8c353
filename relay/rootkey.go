package relay

import (
	"bytes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

// Sizes of a sealed root key (SPEC.md §7.5).
const (
	rootHead   = 16
	rootSalt   = 16
	rootNonce  = chacha20poly1305.NonceSizeX
	sealedRoot = rootHead + rootSalt + rootNonce + 32 + chacha20poly1305.Overhead
)

// Errors of root keys that callers decide on.
var (
	// ErrNoRoot is returned for a home without a root key: it was moved away.
	ErrNoRoot = errors.New("relay: there is no root key in this home")
	// ErrHasRoot is returned for a home whose keys a new one would replace.
	ErrHasRoot = errors.New("relay: this home has a founder's keys already")
)

func public(k keyFile) [32]byte {
	return [32]byte(ed25519.NewKeyFromSeed(k.secret[:]).Public().(ed25519.PublicKey))
}

// sealRoot encodes the root key: as a plain key file, or sealed by a passphrase
// (SPEC.md §7.5).
func sealRoot(k keyFile, passphrase []byte) []byte {
	if len(passphrase) == 0 {
		return k.append(nil)
	}
	k.kind = keyRootSealed
	b := k.append(nil)[:rootHead]
	b = append(b, make([]byte, rootSalt+rootNonce)...)
	rand.Read(b[rootHead:])
	aead, nonce, extra := rootAEAD(b, passphrase)
	return aead.Seal(b, nonce, k.secret[:], extra)
}

// openRoot reads the root key of a home. It fails with ErrPassphrase if it is
// sealed and none is given.
func (h *home) openRoot(passphrase []byte) (keyFile, error) {
	b, err := h.read(fileRoot)
	if err != nil {
		return keyFile{}, err
	}
	if b == nil {
		return keyFile{}, ErrNoRoot
	}
	if len(b) < 2 || keyKind(b[1]) != keyRootSealed {
		k, err := parseKeyFile(b, keyRoot)
		if err != nil {
			return k, fmt.Errorf("%w: %s", err, h.path(fileRoot))
		}
		return k, nil
	}
	if len(b) != sealedRoot {
		return keyFile{}, fmt.Errorf("%w: %s", errKeyFile, h.path(fileRoot))
	}
	if len(passphrase) == 0 {
		return keyFile{}, ErrPassphrase
	}
	aead, nonce, extra := rootAEAD(b, passphrase)
	seed, err := aead.Open(nil, nonce, b[rootHead+rootSalt+rootNonce:], extra)
	if err != nil {
		return keyFile{}, ErrWrongPassphrase
	}
	plain := append(bytes.Clone(b[:rootHead]), seed...)
	plain[1] = byte(keyRoot)
	return parseKeyFile(plain, keyRoot)
}

// rootAEAD returns the cipher of a root key, from the passphrase and the salt
// in b, the nonce, and the additional data.
func rootAEAD(b, passphrase []byte) (aead cipher.AEAD, nonce, extra []byte) {
	const times, memoryKiB, threads = 3, 256 << 10, 4
	salt := b[rootHead : rootHead+rootSalt]
	key := argon2.IDKey(passphrase, salt, times, memoryKiB, threads, chacha20poly1305.KeySize)
	defer clear(key)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic("relay: " + err.Error()) // the key has 32 bytes
	}
	return aead, b[rootHead+rootSalt : rootHead+rootSalt+rootNonce], append([]byte(labelRoot), b[:rootHead]...)
}

// RootSealed tells whether the root key of a home needs a passphrase.
func RootSealed(dir string) bool {
	b, err := (&home{dir: dir}).read(fileRoot)
	return err == nil && len(b) > 1 && keyKind(b[1]) == keyRootSealed
}
