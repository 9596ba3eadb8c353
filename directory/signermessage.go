package directory

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"
)

// MaxSignerMessage bounds what one signer sends the others, in bytes: a vote with
// its certificate.
const MaxSignerMessage = 2 + maxCertificate + MaxVote

// SignerMessage is what signers tell each other while they make a snapshot,
// verified: exactly one of Vote, Echo and Cosign is set (SPEC.md §27). It is
// immutable.
type SignerMessage struct {
	Vote           *Vote
	Echo           *Echo
	Cosign         *Cosign
	Certificate    Certificate
	RawCertificate []byte
	raw            []byte
}

// SealSignerMessage joins a certificate and a signed vote, echo or partial
// signature.
func SealSignerMessage(certificate, document []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(certificate)))
	b = append(b, certificate...)
	return append(b, document...)
}

// ParseSignerMessage decodes a message and verifies certificate and signature:
// the signer is one of the network file in force at now, or of a newer version,
// and the certificate is valid at now.
func (c *Chain) ParseSignerMessage(raw []byte, now time.Time) (*SignerMessage, error) {
	if len(raw) > MaxSignerMessage {
		return nil, fmt.Errorf("parse signer's message: %w: %d bytes", ErrTooLarge, len(raw))
	}
	if len(raw) < 2 {
		return nil, fmt.Errorf("parse signer's message: %w: truncated", ErrBadVote)
	}
	n := int(binary.BigEndian.Uint16(raw))
	if n > maxCertificate || len(raw) < 2+n {
		return nil, fmt.Errorf("parse signer's message: %w: certificate", ErrBadVote)
	}
	raw = bytes.Clone(raw)
	m := &SignerMessage{RawCertificate: raw[2 : 2+n : 2+n], raw: raw}
	var err error
	if m.Certificate, err = ParseCertificate(c.id, m.RawCertificate); err != nil {
		return nil, fmt.Errorf("parse signer's message: %w", err)
	}
	switch {
	case !c.signsFrom(m.Certificate.Signer, now):
		return nil, fmt.Errorf("parse signer's message: %w: %v is no signer", ErrBadCertificate, keyID(m.Certificate.Signer))
	case !m.Certificate.Covers(now):
		return nil, fmt.Errorf("parse signer's message: %w: not valid now", ErrBadCertificate)
	}
	doc := raw[2+n:]
	kind, err := documentType(doc, MaxVote)
	if err != nil {
		return nil, fmt.Errorf("parse signer's message: %w", err)
	}
	switch labelPrefix + kind {
	case labelVote:
		m.Vote, err = ParseVote(c.id, doc, m.Certificate)
	case labelEcho:
		m.Echo, err = ParseEcho(c.id, doc, m.Certificate)
	case labelCosign:
		m.Cosign, err = ParseCosign(c.id, doc, m.Certificate)
	default:
		err = ErrWrongType
	}
	if err != nil {
		return nil, fmt.Errorf("parse signer's message: %w", err)
	}
	return m, nil
}

// documentType reads the type of a signed document.
func documentType(b []byte, limit int) (string, error) {
	var d document
	if err := decode(b, limit, &d); err != nil {
		return "", err
	}
	return d.Type, nil
}

// Raw returns the encoding. The caller must not change it.
func (m *SignerMessage) Raw() []byte { return m.raw }

// Signer returns the identity key of the signer.
func (m *SignerMessage) Signer() [32]byte { return m.Certificate.Signer }

// Epoch returns the epoch that the message is for.
func (m *SignerMessage) Epoch() uint64 {
	switch {
	case m.Vote != nil:
		return m.Vote.Epoch
	case m.Echo != nil:
		return m.Echo.Epoch
	}
	return m.Cosign.Epoch
}

// Hash names the message by the hash of its document's body.
func (m *SignerMessage) Hash() [32]byte {
	switch {
	case m.Vote != nil:
		return m.Vote.Hash()
	case m.Echo != nil:
		return m.Echo.Hash()
	}
	return m.Cosign.Hash()
}
