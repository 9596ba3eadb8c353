package directory

import (
	"crypto/ed25519"
	"crypto/sha512"
	"errors"

	"filippo.io/edwards25519"
)

// ErrBadRootKey is returned for the root key of an address that cannot be
// blinded: it is no point of prime order.
var ErrBadRootKey = errors.New("directory: root key of the address is not usable")

// BlindedKey is the public key under which a permanent address is found in one
// period: nobody who does not know the address links two of them (SPEC.md §21).
type BlindedKey [32]byte

// BlindingKey signs the address records of one period.
type BlindingKey struct {
	scalar *edwards25519.Scalar // a'
	prefix [32]byte             // p'
	public BlindedKey           // A'
}

// String hides the key.
func (*BlindingKey) String() string { return "blinding key" }

// GoString hides the key.
func (*BlindingKey) GoString() string { return "blinding key" }

// Public returns the blinded key that verifies what the key signs.
func (k *BlindingKey) Public() BlindedKey { return k.public }

// Blind derives from an address's root key A the key of a period. It refuses a
// key of small order and one with torsion: under such a key several texts would
// name one address.
func Blind(network NetworkID, root [32]byte, period uint64) (BlindedKey, error) {
	if checkKey(root) != nil {
		return BlindedKey{}, ErrBadRootKey
	}
	a, err := new(edwards25519.Point).SetBytes(root[:])
	if err != nil || !torsionFree(a) {
		return BlindedKey{}, ErrBadRootKey
	}
	h := blindingFactor(network, root, period)
	return BlindedKey(new(edwards25519.Point).ScalarMult(h, a).Bytes()), nil
}

// NewBlindingKey derives from an address's secret root key the key that signs in
// a period. It fails for a key that is not of ed25519.PrivateKeySize bytes.
func NewBlindingKey(network NetworkID, root ed25519.PrivateKey, period uint64) (*BlindingKey, error) {
	if len(root) != ed25519.PrivateKeySize {
		return nil, ErrBadRootKey
	}
	expanded := sha512.Sum512(root.Seed())
	a, err := new(edwards25519.Scalar).SetBytesWithClamping(expanded[:32])
	if err != nil {
		return nil, ErrBadRootKey
	}
	public := publicOf(root)
	if [32]byte(new(edwards25519.Point).ScalarBaseMult(a).Bytes()) != public {
		return nil, ErrBadRootKey
	}
	k := &BlindingKey{scalar: new(edwards25519.Scalar).Multiply(blindingFactor(network, public, period), a)}
	k.public = BlindedKey(new(edwards25519.Point).ScalarBaseMult(k.scalar).Bytes())
	prefix := labelled512(labelBlindNonce, expanded[32:], u64(period))
	copy(k.prefix[:], prefix[:])
	return k, nil
}

// Sign signs a message; crypto/ed25519 verifies it under Public. The nonce
// depends on the message, since two messages under one nonce would reveal the
// address's secret key.
func (k *BlindingKey) Sign(message []byte) [ed25519.SignatureSize]byte {
	r := hashScalar(k.prefix[:], k.public[:], message)
	point := new(edwards25519.Point).ScalarBaseMult(r).Bytes()
	challenge := hashScalar(point, k.public[:], message)
	s := new(edwards25519.Scalar).MultiplyAdd(challenge, k.scalar, r)
	return [ed25519.SignatureSize]byte(append(point, s.Bytes()...))
}

// verify tells whether the blinded key made the signature.
func (p BlindedKey) verify(message []byte, signature [ed25519.SignatureSize]byte) bool {
	return checkKey(p) == nil && ed25519.Verify(p[:], message, signature[:])
}

// blindingFactor is h: the blinded key is h times the root key.
func blindingFactor(network NetworkID, root [32]byte, period uint64) *edwards25519.Scalar {
	h := labelled512(labelBlind, network[:], root[:], u64(period))
	return scalarOf(h)
}

// torsionFree tells whether L·A is the identity, L being the order of the base
// point: L−1 times A plus A.
func torsionFree(a *edwards25519.Point) bool {
	one, _ := new(edwards25519.Scalar).SetCanonicalBytes(append([]byte{1}, make([]byte, 31)...))
	minusOne := new(edwards25519.Scalar).Negate(one) // L−1
	p := new(edwards25519.Point).ScalarMult(minusOne, a)
	return p.Add(p, a).Equal(edwards25519.NewIdentityPoint()) == 1
}

// hashScalar is SHA-512 of the parts modulo L.
func hashScalar(parts ...[]byte) *edwards25519.Scalar {
	h := sha512.New()
	for _, p := range parts {
		h.Write(p)
	}
	return scalarOf([64]byte(h.Sum(nil)))
}

func scalarOf(wide [64]byte) *edwards25519.Scalar {
	s, _ := new(edwards25519.Scalar).SetUniformBytes(wide[:]) // fails only for other lengths
	return s
}

// labelled512 is labelled with SHA-512.
func labelled512(label string, parts ...[]byte) [64]byte {
	h := sha512.New()
	h.Write([]byte(label))
	h.Write([]byte{0})
	for _, p := range parts {
		h.Write(p)
	}
	return [64]byte(h.Sum(nil))
}
