package directory

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
)

// Specification constants of founder cards (SPEC.md §2.5).
const (
	maxCard    = 512 // bytes
	cardPrefix = "HEARSAY-CARD:"
)

// Errors of founder cards.
var (
	ErrBadCard = errors.New("directory: not a founder card")
	// ErrNoProof is returned for a card that its keys did not sign: whoever made
	// it need not have them.
	ErrNoProof = errors.New("directory: the card does not prove that its maker has the keys")
)

// Card is what a founder hands to the one who drafts the network file: public
// keys, a name, and where the founder's process will listen, if it does.
type Card struct {
	Root, Signer [32]byte // Ed25519 public keys
	Label        string   // 1 to 32 bytes
	// Bootstrap is nil if the founder's process only dials out.
	Bootstrap *Bootstrap
	// Lab says that the keys were made for a lab network, perhaps without a
	// passphrase: they serve in no other.
	Lab bool
}

type cardBody struct {
	V         uint64          `cbor:"1,keyasint"`
	Root      [32]byte        `cbor:"2,keyasint"`
	Signer    [32]byte        `cbor:"3,keyasint"`
	Label     string          `cbor:"4,keyasint"`
	Bootstrap *bootstrapEntry `cbor:"5,keyasint,omitempty"`
	Lab       bool            `cbor:"6,keyasint,omitempty"`
}

// Sign makes the card of the two keys, whose public halves become Root and
// Signer.
func (c Card) Sign(root, signer ed25519.PrivateKey) ([]byte, error) {
	c.Root, c.Signer = publicOf(root), publicOf(signer)
	if err := c.check(); err != nil {
		return nil, err
	}
	b := cardBody{V: 1, Root: c.Root, Signer: c.Signer, Label: c.Label, Lab: c.Lab}
	if c.Bootstrap != nil {
		b.Bootstrap = &bootstrapEntry{ID: c.Bootstrap.ID, Addr: appendAddr(nil, c.Bootstrap.Addr)}
	}
	body, err := encode(&b)
	if err != nil {
		return nil, err
	}
	return sealDocument(labelCard, NetworkID{}, body, root, signer)
}

// ParseCard reads a card in its binary or its text form and verifies that both
// keys signed it.
func ParseCard(b []byte) (*Card, error) {
	raw, err := unarmor(cardPrefix, b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCard, err)
	}
	var d document
	if err := decode(raw, maxCard, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCard, err)
	}
	if labelPrefix+d.Type != labelCard {
		return nil, fmt.Errorf("%w: %w", ErrBadCard, ErrWrongType)
	}
	c, err := parseCardBody(d.Body)
	if err != nil {
		return nil, err
	}
	for _, pub := range [][32]byte{c.Root, c.Signer} {
		if !d.signedBy(labelCard, NetworkID{}, pub) {
			return nil, ErrNoProof
		}
	}
	if len(d.Signatures) != 2 || bytes.Compare(d.Signatures[0].Key[:], d.Signatures[1].Key[:]) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrBadCard, ErrNotCanonical)
	}
	return c, nil
}

func parseCardBody(raw []byte) (*Card, error) {
	var b cardBody
	if err := decode(raw, maxCard, &b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadCard, err)
	}
	if b.V != 1 {
		return nil, fmt.Errorf("%w: format %d; a newer program may know it", ErrBadCard, b.V)
	}
	c := &Card{Root: b.Root, Signer: b.Signer, Label: b.Label, Lab: b.Lab}
	if b.Bootstrap != nil {
		a, err := parseAddr(b.Bootstrap.Addr)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadCard, err)
		}
		c.Bootstrap = &Bootstrap{ID: b.Bootstrap.ID, Addr: a}
	}
	return c, c.check()
}

func (c *Card) check() error {
	if c.Label == "" || !plainText(c.Label, maxLabel) {
		return fmt.Errorf("%w: a founder's name has 1 to %d bytes and no control characters", ErrBadCard, maxLabel)
	}
	if err := checkFounders([]FounderKey{{Public: c.Root}}, []FounderKey{{Public: c.Signer}}); err != nil {
		return fmt.Errorf("%w: %w", ErrBadCard, err)
	}
	if c.Bootstrap == nil {
		return nil
	}
	if err := CheckAddr(c.Bootstrap.Addr, c.Lab); err != nil {
		return fmt.Errorf("%w: %w", ErrBadCard, err)
	}
	return nil
}

// CardText returns the text form of a card: HEARSAY-CARD: and base32.
func CardText(raw []byte) string { return armor(cardPrefix, raw) }
