package mailbox

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"hearsay/directory"
)

// Sizes and the longest life of a custody certificate (SPEC.md §6).
const (
	CertificateSize = 32 + 4 + 4 + SigSize
	ReceiptSize     = 32 + CertificateSize + IDSize + MessageIDSize + 32 + 4 + 4 + SigSize
	certificateLife = 30 * 24 * time.Hour
	certificateBack = 3 * 24 * time.Hour // clients judge by snapshot time, which lags
)

// Errors of the verification of certificates and receipts.
var (
	ErrBadCertificate = errors.New("mailbox: custody key not certified by the relay")
	ErrBadReceipt     = errors.New("mailbox: custody receipt does not hold")
)

// Certificate is the relay identity's word that a custody key is its own, 104
// bytes: key 32, not before 4, not after 4 (Unix seconds), signature 64.
type Certificate struct {
	Key                 [32]byte // Ed25519
	NotBefore, NotAfter uint32
	Sig                 [SigSize]byte
}

// SignCertificate certifies key from now for the longest life allowed.
func SignCertificate(network directory.NetworkID, identity ed25519.PrivateKey, key [32]byte, now time.Time) Certificate {
	nb := now.Add(-certificateBack)
	c := Certificate{Key: key, NotBefore: uint32(nb.Unix()), NotAfter: uint32(nb.Add(certificateLife).Unix())}
	c.Sig = [SigSize]byte(ed25519.Sign(identity, c.text(network)))
	return c
}

func (c Certificate) text(network directory.NetworkID) []byte {
	b := append([]byte(labelCustodyCert), network[:]...)
	b = append(b, c.Key[:]...)
	b = binary.BigEndian.AppendUint32(b, c.NotBefore)
	return binary.BigEndian.AppendUint32(b, c.NotAfter)
}

// Append appends the 104 bytes to b.
func (c Certificate) Append(b []byte) []byte {
	b = append(b, c.Key[:]...)
	b = binary.BigEndian.AppendUint32(b, c.NotBefore)
	b = binary.BigEndian.AppendUint32(b, c.NotAfter)
	return append(b, c.Sig[:]...)
}

// ParseCertificate parses a certificate without verifying its signature.
func ParseCertificate(d []byte) (Certificate, error) {
	if len(d) != CertificateSize {
		return Certificate{}, ErrMalformed
	}
	return Certificate{
		Key: [32]byte(d), NotBefore: binary.BigEndian.Uint32(d[32:]), NotAfter: binary.BigEndian.Uint32(d[36:]),
		Sig: [SigSize]byte(d[40:]),
	}, nil
}

// Verify checks the certificate at the time now, which clients take from their
// snapshot. It returns ErrBadCertificate.
func (c Certificate) Verify(network directory.NetworkID, relay directory.RelayID, now time.Time) error {
	if !c.covers(now) || !verify([32]byte(relay), c.text(network), c.Sig) {
		return ErrBadCertificate
	}
	return nil
}

// covers tells whether the certificate's times are allowed and hold now.
func (c Certificate) covers(now time.Time) bool {
	t := now.Unix()
	return c.NotBefore < c.NotAfter &&
		int64(c.NotAfter)-int64(c.NotBefore) <= int64(certificateLife/time.Second) &&
		int64(c.NotBefore) <= t && t < int64(c.NotAfter)
}

// Receipt is a relay's proof that it took a block into custody, with all that is
// needed to check it up to the relay's identity. It names a SID, so it must not
// leave the machine of the sender.
type Receipt struct {
	Relay         directory.RelayID
	Custody       Certificate
	SID           SID
	ID            MessageID
	BlockHash     [32]byte // SHA-256 of the block
	Stored, Until uint32   // protocol hours since 1970; kept while now < Until
	Sig           [SigSize]byte
}

// NewReceipt puts together what a relay answered to a SEND. It verifies nothing.
func NewReceipt(relay directory.RelayID, custody Certificate, m *Send, ok OKSend) Receipt {
	return Receipt{
		Relay: relay, Custody: custody, SID: m.SID, ID: m.ID, BlockHash: sha256.Sum256(m.Block[:]),
		Stored: ok.Stored, Until: ok.Until, Sig: ok.Receipt,
	}
}

func (r *Receipt) text(network directory.NetworkID) []byte {
	b := append([]byte(labelCustody), network[:]...)
	b = append(b, r.Relay[:]...)
	b = append(b, r.SID[:]...)
	b = append(b, r.ID[:]...)
	b = append(b, r.BlockHash[:]...)
	b = binary.BigEndian.AppendUint32(b, r.Stored)
	return binary.BigEndian.AppendUint32(b, r.Until)
}

// sign sets the signature with the private custody key.
func (r *Receipt) sign(network directory.NetworkID, key ed25519.PrivateKey) {
	r.Sig = [SigSize]byte(ed25519.Sign(key, r.text(network)))
}

// Verify checks the receipt up to the relay's identity at the time now (snapshot
// time). It returns ErrBadCertificate or ErrBadReceipt. Whether the block is
// still to be held is another question: see Live.
func (r *Receipt) Verify(network directory.NetworkID, now time.Time) error {
	if err := r.Custody.Verify(network, r.Relay, now); err != nil {
		return err
	}
	return r.VerifyCertified(network, now)
}

// VerifyCertified is Verify for a receipt under a certificate that was verified
// for its relay before, as that of a stream's HELLO was: it looks at the times of
// the certificate again, and not at its signature, which is half of the cost.
func (r *Receipt) VerifyCertified(network directory.NetworkID, now time.Time) error {
	if !r.Custody.covers(now) {
		return ErrBadCertificate
	}
	if r.Stored >= r.Until || r.Until-r.Stored > 30*24 || !verify(r.Custody.Key, r.text(network), r.Sig) {
		return ErrBadReceipt
	}
	return nil
}

// Live tells whether the relay still owes the block at the time now.
func (r *Receipt) Live(now time.Time, lab bool) bool { return Hours(now, lab) < r.Until }

// Append appends the ReceiptSize bytes of the receipt's form on disk to b.
func (r *Receipt) Append(b []byte) []byte {
	b = append(b, r.Relay[:]...)
	b = r.Custody.Append(b)
	b = append(b, r.SID[:]...)
	b = append(b, r.ID[:]...)
	b = append(b, r.BlockHash[:]...)
	b = binary.BigEndian.AppendUint32(b, r.Stored)
	b = binary.BigEndian.AppendUint32(b, r.Until)
	return append(b, r.Sig[:]...)
}

// ParseReceipt parses what Append wrote. It verifies nothing.
func ParseReceipt(d []byte) (Receipt, error) {
	if len(d) != ReceiptSize {
		return Receipt{}, ErrMalformed
	}
	c, err := ParseCertificate(d[32 : 32+CertificateSize])
	if err != nil {
		return Receipt{}, err
	}
	r := Receipt{Relay: directory.RelayID(d), Custody: c}
	d = d[32+CertificateSize:]
	r.SID, r.ID, r.BlockHash = SID(d), MessageID(d[24:]), [32]byte(d[32:])
	r.Stored, r.Until = binary.BigEndian.Uint32(d[64:]), binary.BigEndian.Uint32(d[68:])
	r.Sig = [SigSize]byte(d[72:])
	return r, nil
}
