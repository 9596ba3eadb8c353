package directory

import (
	"bytes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// Specification constants of address records (SPEC.md §22).
const (
	// MaxAddressBundle bounds what an address record holds, in bytes.
	MaxAddressBundle = AddressBlobSize - chacha20poly1305.NonceSizeX - chacha20poly1305.Overhead
	// AddressBlobSize is the size of the sealed part of an address record.
	AddressBlobSize = 2048
	// AddressRecordSize is the size of an address record.
	AddressRecordSize = addressHead + AddressBlobSize + ed25519.SignatureSize
	addressHead       = 32 + 8 + 8
)

// Errors of address records.
var (
	ErrBadAddressRecord = errors.New("directory: address record is not valid")
	ErrAddressSealed    = errors.New("directory: address record does not open under this address")
)

// AddressRecord is what the owner of a permanent address puts on relays for one
// period. Relays can neither read it nor link it with those of other periods.
type AddressRecord struct {
	Key      BlindedKey
	Period   uint64
	Revision uint64 // 1, 2, …; rises within the period
	blob     [AddressBlobSize]byte
	sig      [ed25519.SignatureSize]byte
}

// SealAddressRecord makes the record of a period. The bundle, of at most
// MaxAddressBundle bytes, is padded with zeros; the nonce is random and used
// once.
func SealAddressRecord(network NetworkID, root ed25519.PrivateKey, period, revision uint64, bundle []byte, nonce [chacha20poly1305.NonceSizeX]byte) (*AddressRecord, error) {
	if len(bundle) > MaxAddressBundle || revision == 0 {
		return nil, fmt.Errorf("%w: bundle of %d bytes, revision %d", ErrBadAddressRecord, len(bundle), revision)
	}
	key, err := NewBlindingKey(network, root, period)
	if err != nil {
		return nil, err
	}
	r := &AddressRecord{Key: key.Public(), Period: period, Revision: revision}
	aead, err := addressAEAD(network, publicOf(root), period)
	if err != nil {
		return nil, err
	}
	padded := make([]byte, MaxAddressBundle)
	copy(padded, bundle)
	copy(r.blob[:], nonce[:])
	aead.Seal(r.blob[len(nonce):len(nonce)], nonce[:], padded, r.head(nil))
	r.sig = key.Sign(r.signed(network))
	return r, nil
}

// ParseAddressRecord reads exactly one record and verifies its signature. It
// tells nothing about the period, which CheckPeriod does.
func ParseAddressRecord(network NetworkID, b []byte) (*AddressRecord, error) {
	if len(b) != AddressRecordSize {
		return nil, fmt.Errorf("%w: %d bytes, not %d", ErrBadAddressRecord, len(b), AddressRecordSize)
	}
	r := &AddressRecord{
		Key: BlindedKey(b), Period: binary.BigEndian.Uint64(b[32:]), Revision: binary.BigEndian.Uint64(b[40:]),
		blob: [AddressBlobSize]byte(b[addressHead:]), sig: [ed25519.SignatureSize]byte(b[addressHead+AddressBlobSize:]),
	}
	if r.Revision == 0 || r.Period > maxUnix {
		return nil, fmt.Errorf("%w: revision or period", ErrBadAddressRecord)
	}
	if !r.Key.verify(r.signed(network), r.sig) {
		return nil, fmt.Errorf("parse address record: %w", ErrSignature)
	}
	return r, nil
}

// Append appends the encoding: 2,160 bytes.
func (r *AddressRecord) Append(b []byte) []byte {
	b = r.head(b)
	b = append(b, r.blob[:]...)
	return append(b, r.sig[:]...)
}

// Open returns what the owner of the address has sealed, with its padding:
// MaxAddressBundle bytes. It fails if the record is not of this address, network
// and period.
func (r *AddressRecord) Open(network NetworkID, root [32]byte) ([]byte, error) {
	key, err := Blind(network, root, r.Period)
	if err != nil {
		return nil, err
	}
	if key != r.Key {
		return nil, ErrAddressSealed
	}
	aead, err := addressAEAD(network, root, r.Period)
	if err != nil {
		return nil, err
	}
	const n = chacha20poly1305.NonceSizeX
	bundle, err := aead.Open(nil, r.blob[:n], r.blob[n:], r.head(nil))
	if err != nil {
		return nil, ErrAddressSealed
	}
	return bundle, nil
}

// Supersedes tells whether a relay that holds old keeps r in its place: it is of
// the same key and period and has a higher revision.
func (r *AddressRecord) Supersedes(old *AddressRecord) bool {
	return r.Key == old.Key && r.Period == old.Period && r.Revision > old.Revision
}

// Same tells whether both are the same bytes.
func (r *AddressRecord) Same(o *AddressRecord) bool {
	return bytes.Equal(r.Append(nil), o.Append(nil))
}

// CheckPeriod tells whether a relay takes the record at the time of its newest
// snapshot: it is of the present period or, once that one's random value is
// known, of the next.
func (r *AddressRecord) CheckPeriod(lab bool, at time.Time) error {
	if p := PlacementPeriod(lab, at); r.Period != p && (r.Period != p+1 || at.Before(PlacementKnown(lab, p+1))) {
		return fmt.Errorf("%w: period %d while period %d lasts", ErrBadAddressRecord, r.Period, p)
	}
	return nil
}

// Forgotten returns when a relay forgets the record: 9 periods after the
// beginning of its own.
func (r *AddressRecord) Forgotten(lab bool) time.Time {
	return PlacementStart(lab, r.Period+placementPeriods)
}

func (r *AddressRecord) head(b []byte) []byte {
	b = append(b, r.Key[:]...)
	b = binary.BigEndian.AppendUint64(b, r.Period)
	return binary.BigEndian.AppendUint64(b, r.Revision)
}

func (r *AddressRecord) signed(network NetworkID) []byte {
	return signedText(labelAddressSign, network, append(r.head(make([]byte, 0, addressHead+AddressBlobSize)), r.blob[:]...))
}

// addressAEAD derives the key under which the records of a period are sealed:
// whoever knows the address knows it (SPEC.md §22.2).
func addressAEAD(network NetworkID, root [32]byte, period uint64) (cipher.AEAD, error) {
	info := append([]byte(labelAddressSeal), 0)
	info = append(info, network[:]...)
	info = append(info, u64(period)...)
	key, err := hkdf.Key(sha256.New, root[:], nil, string(info), chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("address record: %w", err)
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("address record: %w", err)
	}
	return aead, nil
}
