package directory

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Specification constants of vouches (SPEC.md §4.2).
const (
	VouchSize    = 136 // bytes
	MaxVouchLife = 180 * 24 * time.Hour
	maxVouches   = 2 // in one descriptor
	vouchPrefix  = "HEARSAY-VOUCH:"
	vouchText    = VouchSize - ed25519.SignatureSize
)

// Errors of vouches.
var (
	// ErrBadVouch is returned for a vouch that is malformed, forged, expired, of
	// another network or for another relay.
	ErrBadVouch = errors.New("directory: vouch is not valid")
	// ErrNoVoucher is returned when none of those who vouch has a listed relay.
	ErrNoVoucher = errors.New("directory: none of those who vouch for the relay has a listed relay")
)

// Vouch is the word of an operator, by a family key, for another relay.
type Vouch struct {
	Voucher   [32]byte // family key
	Relay     RelayID
	Expires   time.Time // whole seconds; at most MaxVouchLife after its making
	Signature [64]byte
}

// SignVouch vouches for a relay with a family key.
func SignVouch(network NetworkID, family ed25519.PrivateKey, relay RelayID, expires time.Time) Vouch {
	v := Vouch{Voucher: publicOf(family), Relay: relay, Expires: time.Unix(expires.Unix(), 0)}
	copy(v.Signature[:], ed25519.Sign(family, signedText(labelVouch, network, v.Append(nil)[:vouchText])))
	return v
}

// Append appends the 136 bytes of the vouch.
func (v Vouch) Append(b []byte) []byte {
	b = append(b, v.Voucher[:]...)
	b = append(b, v.Relay[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(v.Expires.Unix()))
	return append(b, v.Signature[:]...)
}

// ParseVouch reads exactly one vouch. It verifies no signature.
func ParseVouch(b []byte) (Vouch, error) {
	if len(b) != VouchSize {
		return Vouch{}, fmt.Errorf("%w: %d bytes, not %d", ErrBadVouch, len(b), VouchSize)
	}
	expires := binary.BigEndian.Uint64(b[64:])
	if expires > maxUnix {
		return Vouch{}, fmt.Errorf("%w: expiry out of range", ErrBadVouch)
	}
	return Vouch{Voucher: [32]byte(b), Relay: RelayID(b[32:64]), Expires: time.Unix(int64(expires), 0), Signature: [64]byte(b[72:])}, nil
}

// Text returns the text form: HEARSAY-VOUCH: and base32. It is no secret: it
// serves the one relay that it names.
func (v Vouch) Text() string { return armor(vouchPrefix, v.Append(nil)) }

// ParseVouchText reads what Text returns, in any case and ignoring white space,
// or the 136 bytes.
func ParseVouchText(b []byte) (Vouch, error) {
	raw, err := unarmor(vouchPrefix, b)
	if err != nil {
		return Vouch{}, fmt.Errorf("%w: %w", ErrBadVouch, err)
	}
	return ParseVouch(raw)
}

// Verify checks a vouch for the relay at the time now. Whether the voucher may
// vouch is a matter of the snapshot and of the ledger.
func (v Vouch) Verify(network NetworkID, id RelayID, now time.Time) error {
	switch {
	case v.Relay != id:
		return fmt.Errorf("%w: it is for another relay", ErrBadVouch)
	case !now.Before(v.Expires):
		return fmt.Errorf("%w: expired", ErrBadVouch)
	case v.Expires.After(now.Add(MaxVouchLife + clockTolerance)):
		return fmt.Errorf("%w: lives longer than 180 days", ErrBadVouch)
	case checkKey(v.Voucher) != nil:
		return fmt.Errorf("%w: key", ErrBadVouch)
	case !ed25519.Verify(v.Voucher[:], signedText(labelVouch, network, v.Append(nil)[:vouchText]), v.Signature[:]):
		return fmt.Errorf("%w: signature", ErrBadVouch)
	}
	return nil
}

// VouchAdmission returns the admission field of the descriptor of a relay that
// joins by one or two vouches (SPEC.md §4.4).
func VouchAdmission(vouches ...Vouch) ([]byte, error) {
	list := slices.Clone(vouches)
	slices.SortFunc(list, func(a, b Vouch) int { return bytes.Compare(a.Voucher[:], b.Voucher[:]) })
	list = slices.CompactFunc(list, func(a, b Vouch) bool { return a.Voucher == b.Voucher })
	if len(list) < 1 || len(list) > maxVouches {
		return nil, fmt.Errorf("%w: %d of them, allowed are 1 to %d", ErrBadVouch, len(list), maxVouches)
	}
	b := []byte{byte(JoinVouch)}
	for _, v := range list {
		b = v.Append(b)
	}
	return b, nil
}

// parseVouches reads the vouches of an admission field, without its first byte.
func parseVouches(b []byte) ([]Vouch, error) {
	if len(b) == 0 || len(b)%VouchSize != 0 || len(b) > maxVouches*VouchSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrBadVouch, len(b))
	}
	var list []Vouch
	for ; len(b) > 0; b = b[VouchSize:] {
		v, err := ParseVouch(b[:VouchSize])
		if err != nil {
			return nil, err
		}
		if n := len(list); n > 0 && bytes.Compare(list[n-1].Voucher[:], v.Voucher[:]) >= 0 {
			return nil, fmt.Errorf("%w: order", ErrBadVouch)
		}
		list = append(list, v)
	}
	return list, nil
}
