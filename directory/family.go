package directory

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Specification constants of family certificates (SPEC.md §7.2).
const (
	familySize   = 136 // bytes of a certificate that is carried by hand
	familyPrefix = "HEARSAY-FAMILY:"
	// MaxFamilies is how many families a relay may belong to.
	MaxFamilies = maxFamilies
)

// ErrBadFamily is returned for a family certificate that is malformed, forged,
// of another network or for another relay.
var ErrBadFamily = errors.New("directory: family certificate is not valid")

// Family is a certificate by which an operator declares relays to be one's own.
type Family struct {
	Key       [32]byte // Ed25519, the family's name
	Expires   time.Time
	Signature [64]byte
}

// SignFamily certifies with a family key that the relay belongs to the family.
func SignFamily(network NetworkID, family ed25519.PrivateKey, relay RelayID, expires time.Time) Family {
	f := Family{Key: publicOf(family), Expires: time.Unix(expires.Unix(), 0)}
	copy(f.Signature[:], ed25519.Sign(family, signedText(labelFamily, network, f.text(relay))))
	return f
}

// Append appends the 136 bytes by which a certificate travels by hand: key,
// relay, expiry and signature.
func (f *Family) Append(b []byte, relay RelayID) []byte {
	b = append(b, f.Key[:]...)
	b = append(b, f.text(relay)...)
	return append(b, f.Signature[:]...)
}

// Text returns the text form of the certificate: HEARSAY-FAMILY: and base32. It
// is no secret: it serves the one relay that it names.
func (f *Family) Text(relay RelayID) string { return armor(familyPrefix, f.Append(nil, relay)) }

// ParseFamily reads the text form or the 136 bytes of a certificate, verifies
// it, and returns the relay that it is for.
func ParseFamily(network NetworkID, b []byte) (Family, RelayID, error) {
	raw, err := unarmor(familyPrefix, b)
	if err != nil {
		return Family{}, RelayID{}, fmt.Errorf("%w: %w", ErrBadFamily, err)
	}
	if len(raw) != familySize {
		return Family{}, RelayID{}, fmt.Errorf("%w: %d bytes, not %d", ErrBadFamily, len(raw), familySize)
	}
	expires := binary.BigEndian.Uint64(raw[64:])
	if expires > maxUnix {
		return Family{}, RelayID{}, fmt.Errorf("%w: expiry out of range", ErrBadFamily)
	}
	f := Family{Key: [32]byte(raw), Expires: time.Unix(int64(expires), 0), Signature: [64]byte(raw[72:])}
	id := RelayID(raw[32:64])
	if checkKey(f.Key) != nil || !f.verify(network, id) {
		return Family{}, RelayID{}, fmt.Errorf("%w: %w", ErrBadFamily, ErrSignature)
	}
	return f, id, nil
}

// verify tells whether the family key claims the relay.
func (f *Family) verify(network NetworkID, id RelayID) bool {
	return ed25519.Verify(f.Key[:], signedText(labelFamily, network, f.text(id)), f.Signature[:])
}

func (f *Family) text(id RelayID) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(nil), id[:]...), uint64(f.Expires.Unix()))
}
