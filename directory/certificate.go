package directory

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"
)

// Specification constants of signer certificates (SPEC.md §6).
const (
	MaxCertificateLife = 90 * 24 * time.Hour
	// CertificateRenewal is the age at which a signer renews its certificate.
	CertificateRenewal = 60 * 24 * time.Hour
	maxCertificate     = 256
)

// ErrBadCertificate is returned for a signer certificate that breaks a rule.
var ErrBadCertificate = errors.New("directory: signer certificate is not valid")

// Certificate says that an online key signs snapshots for a signer of the
// network file. Of two certificates the one with the higher Seq counts.
type Certificate struct {
	Signer              [32]byte // identity key, as in the network file
	Online              [32]byte // Ed25519
	NotBefore, NotAfter time.Time
	Seq                 uint64
}

type certificateBody struct {
	Signer    [32]byte `cbor:"1,keyasint"`
	Online    [32]byte `cbor:"2,keyasint"`
	NotBefore uint64   `cbor:"3,keyasint"`
	NotAfter  uint64   `cbor:"4,keyasint"`
	Seq       uint64   `cbor:"5,keyasint"`
}

// Sign signs the certificate with the signer's identity key, whose public half
// becomes Signer.
func (c Certificate) Sign(network NetworkID, identity ed25519.PrivateKey) ([]byte, error) {
	c.Signer = publicOf(identity)
	if err := c.check(); err != nil {
		return nil, err
	}
	body, err := encode(&certificateBody{
		Signer: c.Signer, Online: c.Online, NotBefore: uint64(c.NotBefore.Unix()), NotAfter: uint64(c.NotAfter.Unix()), Seq: c.Seq,
	})
	if err != nil {
		return nil, err
	}
	return sealDocument(labelCert, network, body, identity)
}

// ParseCertificate decodes a certificate and verifies its signature by the
// identity key it names. Whether that key is a signer's is the caller's matter.
func ParseCertificate(network NetworkID, raw []byte) (Certificate, error) {
	d, err := openDocument(labelCert, raw, maxCertificate)
	if err != nil {
		return Certificate{}, fmt.Errorf("%w: %w", ErrBadCertificate, err)
	}
	var b certificateBody
	if err := decode(d.Body, maxCertificate, &b); err != nil {
		return Certificate{}, fmt.Errorf("%w: %w", ErrBadCertificate, err)
	}
	if b.NotBefore > maxUnix || b.NotAfter > maxUnix {
		return Certificate{}, fmt.Errorf("%w: time out of range", ErrBadCertificate)
	}
	c := Certificate{
		Signer: b.Signer, Online: b.Online, Seq: b.Seq,
		NotBefore: time.Unix(int64(b.NotBefore), 0), NotAfter: time.Unix(int64(b.NotAfter), 0),
	}
	if err := c.check(); err != nil {
		return Certificate{}, err
	}
	if len(d.Signatures) != 1 || !d.signedBy(labelCert, network, c.Signer) {
		return Certificate{}, fmt.Errorf("parse certificate: %w", ErrSignature)
	}
	return c, nil
}

func (c Certificate) check() error {
	for _, k := range [][32]byte{c.Signer, c.Online} {
		if err := checkKey(k); err != nil {
			return fmt.Errorf("%w: %w", ErrBadCertificate, err)
		}
	}
	switch {
	case c.NotBefore.Unix() < 0 || !c.NotAfter.After(c.NotBefore):
		return fmt.Errorf("%w: it ends before it begins", ErrBadCertificate)
	case c.NotAfter.Sub(c.NotBefore) > MaxCertificateLife:
		return fmt.Errorf("%w: it lives longer than 90 days", ErrBadCertificate)
	case c.Seq == 0:
		return fmt.Errorf("%w: number 0", ErrBadCertificate)
	}
	return nil
}

// Covers tells whether the certificate is valid at t.
func (c Certificate) Covers(t time.Time) bool {
	return !t.Before(c.NotBefore) && !t.After(c.NotAfter)
}
