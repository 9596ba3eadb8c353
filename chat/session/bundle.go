package session

import (
	"crypto/hpke"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"time"

	"hearsay/directory"
)

// BundleSize is the length of an encoded one-time bundle in bytes.
const BundleSize = 1592

const (
	bundleVersion = 1
	bundleOneTime = 1
	saltSize      = 32
	xwingSize     = 1216 // X-Wing public key
	encSize       = 1120 // X-Wing encapsulation
)

// Bundle is the public half of a one-time invite (SPEC.md §2.2) or of a permanent
// address (§2.3). It comes from ParseBundle, Link.OpenBlob, Link.OpenRecord,
// Invite.Bundle or Address.Bundle.
type Bundle struct {
	Network directory.NetworkID
	Queues  [2]QAddr // the second may be zero
	Expires uint32   // last day, in days since 1970

	ik, dh  [keySize]byte
	xwing   [xwingSize]byte
	salt    [saltSize]byte
	address addressPart // zero: of a one-time invite
}

// ParseBundle parses exactly BundleSize bytes, or the AddressSize of an address;
// ErrFormat if anything is wrong, ErrAuth if an address is not signed by its
// root key.
func ParseBundle(b []byte) (Bundle, error) {
	parse := parseBundle
	if len(b) == AddressSize {
		parse = parseAddress
	}
	u, err := parse(b)
	if err != nil {
		return Bundle{}, fmt.Errorf("parse bundle: %w", err)
	}
	return u, nil
}

func parseBundle(b []byte) (Bundle, error) {
	var u Bundle
	r := reader{b: b}
	if r.byte() != bundleVersion || r.byte() != bundleOneTime {
		r.fail()
	}
	r.zero(2)
	u.Network = r.key()
	u.ik = r.key()
	u.dh = r.key()
	copy(u.xwing[:], r.bytes(xwingSize))
	queues := r.bytes(2 * QAddrSize)
	u.Expires = r.uint32()
	u.salt = [saltSize]byte(r.bytes(saltSize))
	if err := r.done(); err != nil {
		return u, err
	}
	var err error
	if u.Queues, err = parsePair(queues); err != nil {
		return u, err
	}
	if _, err := hpke.MLKEM768X25519().NewPublicKey(u.xwing[:]); err != nil {
		return u, ErrFormat
	}
	return u, nil
}

// Append appends the BundleSize or AddressSize bytes of u.
func (u Bundle) Append(b []byte) []byte {
	if u.IsAddress() {
		return append(u.appendUnsigned(b), u.address.sig[:]...)
	}
	b = append(b, bundleVersion, bundleOneTime, 0, 0)
	b = append(b, u.Network[:]...)
	b = append(b, u.ik[:]...)
	b = append(b, u.dh[:]...)
	b = append(b, u.xwing[:]...)
	b = u.Queues[0].Append(b)
	b = u.Queues[1].Append(b)
	b = binary.BigEndian.AppendUint32(b, u.Expires)
	return append(b, u.salt[:]...)
}

// check refuses a bundle of another network or after its last day.
func (u Bundle) check(now time.Time, network directory.NetworkID) error {
	if subtle.ConstantTimeCompare(u.Network[:], network[:]) != 1 {
		return ErrOtherNetwork
	}
	if unixDay(now) > u.Expires {
		return ErrExpired
	}
	return nil
}
