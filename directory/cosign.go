package directory

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
)

// AddCosign adds a signer's partial signature and the certificate for its online
// key. It verifies both, and that they are for this header, but not whether the
// signer is one of the network file's. A second one of the same signer changes
// nothing.
func (s *Snapshot) AddCosign(c *Cosign, rawCertificate []byte) error {
	cert, err := ParseCertificate(s.Header.Network, rawCertificate)
	if err != nil {
		return fmt.Errorf("add signature: %w", err)
	}
	switch {
	case c.Header != s.Hash():
		return fmt.Errorf("add signature: %w: of another header", ErrSignature)
	case c.Signer != cert.Signer:
		return fmt.Errorf("add signature: %w: of another signer", ErrBadCertificate)
	case !cert.Covers(s.Header.ValidAfter):
		return fmt.Errorf("add signature: %w: it is not valid at the snapshot's time", ErrBadCertificate)
	}
	text := signedText(labelHeader, s.Header.Network, s.doc.Body)
	if !ed25519.Verify(cert.Online[:], text, c.Signature[:]) {
		return fmt.Errorf("add signature: %w", ErrSignature)
	}
	at, known, err := s.place(cert.Signer)
	if known || err != nil {
		return err
	}
	s.certs = slices.Insert(slices.Clone(s.certs), at, bytes.Clone(rawCertificate))
	s.doc.Signatures = slices.Clone(s.doc.Signatures)
	s.doc.add(signature{Key: keyID(cert.Online), Sig: c.Signature})
	return nil
}

// Cosign signs the header as Sign does, and returns the message that tells the
// other signers, made on the votes for the given epoch; it is not signed itself
// yet.
func (s *Snapshot) Cosign(epoch uint64, certificate []byte, online ed25519.PrivateKey) (*Cosign, error) {
	if err := s.Sign(certificate, online); err != nil {
		return nil, err
	}
	cert, err := ParseCertificate(s.Header.Network, certificate)
	if err != nil {
		return nil, err
	}
	return &Cosign{
		Signer: cert.Signer, Epoch: epoch, Header: s.Hash(),
		Signature: signBody(labelHeader, s.Header.Network, s.doc.Body, online).Sig,
	}, nil
}

// Certificates returns the certificates of those that signed, rising by signer. The
// caller must not change them.
func (h *Head) Certificates() [][]byte { return h.certs }

// Signed returns how many signers' certificates the head bears. Before Verify it
// says nothing of their worth.
func (h *Head) Signed() int { return len(h.certs) }

// place returns where the certificate of a signer belongs, and whether there is
// one already.
func (s *Snapshot) place(signer [32]byte) (at int, known bool, err error) {
	for ; at < len(s.certs); at++ {
		o, err := ParseCertificate(s.Header.Network, s.certs[at])
		if err != nil {
			return 0, false, fmt.Errorf("certificates: %w", err)
		}
		if order := bytes.Compare(o.Signer[:], signer[:]); order >= 0 {
			return at, order == 0, nil
		}
	}
	return at, false, nil
}

// Unsigned returns a copy of the snapshot that nobody has signed yet.
func (s *Snapshot) Unsigned() *Snapshot {
	c := *s
	c.certs, c.witnesses, c.doc.Signatures = nil, nil, nil
	return &c
}
