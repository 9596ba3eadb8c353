package directory

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Specification constants of relay tokens (SPEC.md §4).
const (
	TokenSize     = 104 // bytes
	MaxTokenUses  = 10  // relays that one token admits
	MaxTokenLife  = 30 * 24 * time.Hour
	tokenBodySize = TokenSize - ed25519.SignatureSize
)

// ErrBadToken is returned for a token that is malformed, forged, expired or of
// another network.
var ErrBadToken = errors.New("directory: relay token is not valid")

// Token admits relays to a network whose join mode is token. The zero Token is
// none.
type Token struct {
	Issuer  KeyID
	Nonce   [16]byte  // names the token in the ledger
	Expires time.Time // at most MaxTokenLife after its issue
	MaxUses int       // 1 to MaxTokenUses
	raw     [TokenSize]byte
}

// IssueToken makes a token signed by a root or signer identity key. The nonce
// must be random. It fails for uses outside 1 to 10.
func IssueToken(network NetworkID, key ed25519.PrivateKey, nonce [16]byte, expires time.Time, uses int) (Token, error) {
	if uses < 1 || uses > MaxTokenUses {
		return Token{}, fmt.Errorf("%w: %d uses, allowed are 1 to %d", ErrBadToken, uses, MaxTokenUses)
	}
	id := keyID(publicOf(key))
	b := make([]byte, 0, TokenSize)
	b = append(b, id[:]...)
	b = append(b, nonce[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(expires.Unix()))
	b = append(b, byte(uses), 0, 0, 0, 0, 0, 0, 0)
	b = append(b, ed25519.Sign(key, signedText(labelToken, network, b))...)
	return ParseToken(b)
}

// ParseToken reads the 104 bytes of a token. It verifies no signature.
func ParseToken(b []byte) (Token, error) {
	if len(b) != TokenSize {
		return Token{}, fmt.Errorf("%w: %d bytes, not %d", ErrBadToken, len(b), TokenSize)
	}
	t := Token{Issuer: KeyID(b[:8]), Nonce: [16]byte(b[8:24]), MaxUses: int(b[32]), raw: [TokenSize]byte(b)}
	expires := binary.BigEndian.Uint64(b[24:])
	switch {
	case expires > maxUnix:
		return Token{}, fmt.Errorf("%w: expiry out of range", ErrBadToken)
	case t.MaxUses < 1 || t.MaxUses > MaxTokenUses:
		return Token{}, fmt.Errorf("%w: %d uses", ErrBadToken, t.MaxUses)
	case [7]byte(b[33:40]) != [7]byte{}:
		return Token{}, fmt.Errorf("%w: padding", ErrBadToken)
	}
	t.Expires = time.Unix(int64(expires), 0)
	return t, nil
}

// Bytes returns the 104 bytes of the token.
func (t Token) Bytes() []byte { return t.raw[:] }

// Text returns the token as lower-case base32, for people and command lines.
// Whoever has it can start relays, so it is not the String method.
func (t Token) Text() string { return strings.ToLower(idText.EncodeToString(t.raw[:])) }

// String names the token without revealing it.
func (t Token) String() string { return "token of " + t.Issuer.String() }

// ParseTokenText reads what Text returns, in any case and ignoring white space.
func ParseTokenText(s string) (Token, error) {
	if len(s) > maxLinkText {
		return Token{}, fmt.Errorf("%w: too long", ErrBadToken)
	}
	b, err := decodeText(s)
	if err != nil {
		return Token{}, fmt.Errorf("%w: no base32 text", ErrBadToken)
	}
	return ParseToken(b)
}

// Verify checks the signature by one of the issuers, and the time: a token is
// good until Expires, and no token lives longer than 30 days.
func (t Token) Verify(network NetworkID, issuers [][32]byte, now time.Time) error {
	if err := t.verifySignature(network, issuers); err != nil {
		return err
	}
	switch {
	case !now.Before(t.Expires):
		return fmt.Errorf("%w: expired", ErrBadToken)
	case t.Expires.After(now.Add(MaxTokenLife + clockTolerance)):
		return fmt.Errorf("%w: lives longer than %v", ErrBadToken, MaxTokenLife)
	}
	return nil
}

func (t Token) verifySignature(network NetworkID, issuers [][32]byte) error {
	for _, pub := range issuers {
		if keyID(pub) != t.Issuer {
			continue
		}
		if !ed25519.Verify(pub[:], signedText(labelToken, network, t.raw[:tokenBodySize]), t.raw[tokenBodySize:]) {
			return fmt.Errorf("%w: signature", ErrBadToken)
		}
		return nil
	}
	return fmt.Errorf("%w: not issued by a root or signer of this network", ErrBadToken)
}
