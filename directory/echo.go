package directory

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
)

// Specification constants of echoes and partial signatures (SPEC.md §27).
const (
	maxEcho    = 1024 // bytes
	maxCosign  = 512  // bytes
	maxAttempt = 250
)

// Echo says which votes a signer has in hand for a snapshot, or, in later
// attempts, which of them count and what header follows.
type Echo struct {
	Signer  [32]byte // identity key
	Epoch   uint64   // that the votes are for
	Attempt uint8    // 0 for the first, rising with each retry
	Votes   [][32]byte
	// Header is what the signer computed from these votes and will sign if k
	// signers say the same. Zero with attempt 0, which tells what came.
	Header [32]byte
	hash   [32]byte
	raw    []byte
}

type echoBody struct {
	V       uint64     `cbor:"1,keyasint"`
	Signer  [32]byte   `cbor:"2,keyasint"`
	Epoch   uint64     `cbor:"3,keyasint"`
	Attempt uint64     `cbor:"4,keyasint"`
	Votes   [][32]byte `cbor:"5,keyasint"`
	Header  []byte     `cbor:"6,keyasint,omitempty"`
}

// Sign signs the echo with the signer's online key and returns the document.
func (e *Echo) Sign(network NetworkID, online ed25519.PrivateKey) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	b := echoBody{V: 1, Signer: e.Signer, Epoch: e.Epoch, Attempt: uint64(e.Attempt), Votes: e.Votes}
	if e.Header != [32]byte{} {
		b.Header = e.Header[:]
	}
	body, err := encode(&b)
	if err != nil {
		return nil, err
	}
	if e.raw, err = sealDocument(labelEcho, network, body, online); err != nil {
		return nil, err
	}
	e.hash = (&document{Body: body}).hash()
	return e.raw, nil
}

// ParseEcho decodes an echo and verifies its signature by the online key that
// the certificate names. The caller has checked the certificate.
func ParseEcho(network NetworkID, raw []byte, c Certificate) (*Echo, error) {
	d, err := openDocument(labelEcho, raw, maxEcho)
	if err != nil {
		return nil, fmt.Errorf("parse echo: %w", err)
	}
	var b echoBody
	if err := decode(d.Body, maxEcho, &b); err != nil {
		return nil, fmt.Errorf("parse echo: %w", err)
	}
	if b.V != 1 || b.Attempt > maxAttempt {
		return nil, fmt.Errorf("%w: format", ErrBadVote)
	}
	e := &Echo{Signer: b.Signer, Epoch: b.Epoch, Attempt: uint8(b.Attempt), Votes: b.Votes, hash: d.hash(), raw: bytes.Clone(raw)}
	if e.Header, err = optionalHash(b.Header); err != nil {
		return nil, fmt.Errorf("parse echo: %w", err)
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	if e.Signer != c.Signer || len(d.Signatures) != 1 || !d.signedBy(labelEcho, network, c.Online) {
		return nil, fmt.Errorf("parse echo: %w", ErrSignature)
	}
	return e, nil
}

// Hash names the echo: the SHA-256 of its body.
func (e *Echo) Hash() [32]byte { return e.hash }

// Raw returns the signed document, nil before Sign.
func (e *Echo) Raw() []byte { return e.raw }

func (e *Echo) check() error {
	switch {
	case e.Epoch == 0 || e.Epoch > maxUnix:
		return fmt.Errorf("%w: epoch", ErrBadVote)
	case e.Attempt > maxAttempt:
		return fmt.Errorf("%w: attempt", ErrBadVote)
	case len(e.Votes) > maxFounders || !rising(e.Votes):
		return fmt.Errorf("%w: votes", ErrBadVote)
	case (e.Attempt == 0) != (e.Header == [32]byte{}):
		return fmt.Errorf("%w: header", ErrBadVote)
	}
	return nil
}

// Cosign is one signer's signature under a header, by itself: those of k signers
// make a snapshot.
type Cosign struct {
	Signer    [32]byte // identity key
	Epoch     uint64   // of the votes on which it was signed; not before the header's
	Header    [32]byte // its hash
	Signature [ed25519.SignatureSize]byte
	hash      [32]byte
	raw       []byte
}

type cosignBody struct {
	V         uint64                      `cbor:"1,keyasint"`
	Signer    [32]byte                    `cbor:"2,keyasint"`
	Epoch     uint64                      `cbor:"3,keyasint"`
	Header    [32]byte                    `cbor:"4,keyasint"`
	Signature [ed25519.SignatureSize]byte `cbor:"5,keyasint"`
}

// Sign signs the message with the signer's online key and returns the document.
// Signature is that of the header; persist the header before this is sent.
func (s *Cosign) Sign(network NetworkID, online ed25519.PrivateKey) ([]byte, error) {
	if s.Epoch == 0 || s.Epoch > maxUnix {
		return nil, fmt.Errorf("%w: epoch", ErrBadVote)
	}
	body, err := encode(&cosignBody{V: 1, Signer: s.Signer, Epoch: s.Epoch, Header: s.Header, Signature: s.Signature})
	if err != nil {
		return nil, err
	}
	if s.raw, err = sealDocument(labelCosign, network, body, online); err != nil {
		return nil, err
	}
	s.hash = (&document{Body: body}).hash()
	return s.raw, nil
}

// ParseCosign decodes a partial signature and verifies the document's own
// signature by the online key that the certificate names. Whether the signature
// under the header verifies is told by Snapshot.AddCosign.
func ParseCosign(network NetworkID, raw []byte, c Certificate) (*Cosign, error) {
	d, err := openDocument(labelCosign, raw, maxCosign)
	if err != nil {
		return nil, fmt.Errorf("parse partial signature: %w", err)
	}
	var b cosignBody
	if err := decode(d.Body, maxCosign, &b); err != nil {
		return nil, fmt.Errorf("parse partial signature: %w", err)
	}
	if b.V != 1 || b.Epoch == 0 || b.Epoch > maxUnix {
		return nil, fmt.Errorf("%w: format", ErrBadVote)
	}
	if b.Signer != c.Signer || len(d.Signatures) != 1 || !d.signedBy(labelCosign, network, c.Online) {
		return nil, fmt.Errorf("parse partial signature: %w", ErrSignature)
	}
	return &Cosign{
		Signer: b.Signer, Epoch: b.Epoch, Header: b.Header, Signature: b.Signature, hash: d.hash(), raw: bytes.Clone(raw),
	}, nil
}

// Hash names the message: the SHA-256 of its body.
func (s *Cosign) Hash() [32]byte { return s.hash }

// Raw returns the signed document, nil before Sign.
func (s *Cosign) Raw() []byte { return s.raw }
