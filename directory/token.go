package directory

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Specification constants of relay tokens (SPEC.md §4.1).
const (
	TokenSize      = 104 // bytes
	InvitationSize = TokenSize + ed25519.SeedSize
	MaxTokenUses   = 10 // relays that one token admits
	MaxTokenLife   = 30 * 24 * time.Hour
	tokenBodySize  = TokenSize - ed25519.SignatureSize
	tokenProofSize = TokenSize + 32 + ed25519.SignatureSize
)

// Errors of tokens.
var (
	// ErrBadToken is returned for a token that is malformed, forged, expired, of
	// another network, or shown by a relay that its holder did not admit.
	ErrBadToken = errors.New("directory: relay token is not valid")
	// ErrNoIssuer is returned for a token by somebody who may issue none: no
	// founder, nor an inviter whom the network file names at that time.
	ErrNoIssuer = errors.New("directory: the relay token was not issued by a founder or inviter of this network")
)

// Token admits relays to a network whose join mode is token, if they have its
// secret key too. The token itself is public among relays. The zero Token is
// none.
type Token struct {
	Issuer  KeyID
	Nonce   [16]byte  // names the token in the ledger; hash of its public key
	Expires time.Time // at most MaxTokenLife after its issue
	MaxUses int       // 1 to MaxTokenUses
	raw     [TokenSize]byte
}

// Invitation is a token with its secret key, as founders and inviters hand it to
// operators. Whoever has it can bring relays in; a relay shows what Admission
// returns and keeps the secret. It prints as the token's issuer.
type Invitation struct {
	Token  Token
	secret [ed25519.SeedSize]byte
}

// IssueToken makes a token signed by a root, signer or inviter key, and its
// secret key of the given seed, which must be random and used once. It fails for
// uses outside 1 to 10.
func IssueToken(network NetworkID, issuer ed25519.PrivateKey, seed [32]byte, expires time.Time, uses int) (Invitation, error) {
	if uses < 1 || uses > MaxTokenUses {
		return Invitation{}, fmt.Errorf("%w: %d uses, allowed are 1 to %d", ErrBadToken, uses, MaxTokenUses)
	}
	id := keyID(publicOf(issuer))
	nonce := tokenNonce(publicOf(ed25519.NewKeyFromSeed(seed[:])))
	b := make([]byte, 0, TokenSize)
	b = append(b, id[:]...)
	b = append(b, nonce[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(expires.Unix()))
	b = append(b, byte(uses), 0, 0, 0, 0, 0, 0, 0)
	b = append(b, ed25519.Sign(issuer, signedText(labelToken, network, b))...)
	t, err := ParseToken(b)
	return Invitation{Token: t, secret: seed}, err
}

// tokenNonce binds a token to its key pair.
func tokenNonce(key [32]byte) [16]byte {
	h := labelled(labelTokenKey, key[:])
	return [16]byte(h[:16])
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

// String names the token by its issuer.
func (t Token) String() string { return "token of " + t.Issuer.String() }

// ParseInvitation reads the 136 bytes of a token and its secret key, which must
// belong together. It verifies no signature.
func ParseInvitation(b []byte) (Invitation, error) {
	if len(b) != InvitationSize {
		return Invitation{}, fmt.Errorf("%w: %d bytes, not %d", ErrBadToken, len(b), InvitationSize)
	}
	t, err := ParseToken(b[:TokenSize])
	if err != nil {
		return Invitation{}, err
	}
	i := Invitation{Token: t, secret: [32]byte(b[TokenSize:])}
	if tokenNonce(publicOf(i.key())) != t.Nonce {
		return Invitation{}, fmt.Errorf("%w: its secret key is another token's", ErrBadToken)
	}
	return i, nil
}

func (i Invitation) key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(i.secret[:]) }

// Bytes returns the 136 bytes of the invitation, which are secret.
func (i Invitation) Bytes() []byte { return slices.Concat(i.Token.raw[:], i.secret[:]) }

// Text returns the invitation as lower-case base32, for people and command
// lines. Whoever has it can start relays, so it is not the String method.
func (i Invitation) Text() string { return strings.ToLower(idText.EncodeToString(i.Bytes())) }

// String names the invitation without revealing it.
func (i Invitation) String() string { return "invitation by " + i.Token.Issuer.String() }

// GoString redacts.
func (i Invitation) GoString() string { return i.String() }

// ParseInvitationText reads what Text returns, in any case and ignoring white
// space.
func ParseInvitationText(s string) (Invitation, error) {
	if len(s) > maxLinkText {
		return Invitation{}, fmt.Errorf("%w: too long", ErrBadToken)
	}
	b, err := decodeText(s)
	if err != nil {
		return Invitation{}, fmt.Errorf("%w: no base32 text", ErrBadToken)
	}
	return ParseInvitation(b)
}

// Admission returns the admission field of the descriptor of a relay that joins
// by this invitation (SPEC.md §4.4).
func (i Invitation) Admission(network NetworkID, id RelayID) []byte {
	key := i.key()
	b := append([]byte{byte(JoinToken)}, i.Token.raw[:]...)
	b = append(b, key.Public().(ed25519.PublicKey)...)
	return append(b, ed25519.Sign(key, signedText(labelTokenUse, network, id[:]))...)
}

// TokenProof is what a relay shows to join by token: the token, its public key,
// and the signature by which its holder admitted this very relay. So nobody who
// reads the descriptor can spend the uses that are left.
type TokenProof struct {
	Token     Token
	Key       [32]byte
	Signature [64]byte
}

// parseTokenProof reads the proof in an admission field, without its first byte.
func parseTokenProof(b []byte) (TokenProof, error) {
	if len(b) != tokenProofSize {
		return TokenProof{}, fmt.Errorf("%w: %d bytes, not %d", ErrBadToken, len(b), tokenProofSize)
	}
	t, err := ParseToken(b[:TokenSize])
	return TokenProof{Token: t, Key: [32]byte(b[TokenSize:]), Signature: [64]byte(b[TokenSize+32:])}, err
}

// Verify checks the proof of a relay at the time now: the token is by an issuer
// who may issue at that time, lives no longer than 30 days, has not expired, and
// its holder admitted this relay.
func (p TokenProof) Verify(rules Rules, id RelayID, now time.Time) error {
	switch {
	case !now.Before(p.Token.Expires):
		return fmt.Errorf("%w: expired", ErrBadToken)
	case p.Token.Expires.After(now.Add(MaxTokenLife + clockTolerance)):
		return fmt.Errorf("%w: lives longer than %v", ErrBadToken, MaxTokenLife)
	}
	return p.verifySignatures(rules, id, now)
}

func (p TokenProof) verifySignatures(rules Rules, id RelayID, now time.Time) error {
	if tokenNonce(p.Key) != p.Token.Nonce || checkKey(p.Key) != nil {
		return fmt.Errorf("%w: its key is another token's", ErrBadToken)
	}
	issuer, err := rules.issuer(p.Token.Issuer, now)
	if err != nil {
		return err
	}
	if !ed25519.Verify(issuer[:], signedText(labelToken, rules.Network, p.Token.raw[:tokenBodySize]), p.Token.raw[tokenBodySize:]) {
		return fmt.Errorf("%w: signature", ErrBadToken)
	}
	if !ed25519.Verify(p.Key[:], signedText(labelTokenUse, rules.Network, id[:]), p.Signature[:]) {
		return fmt.Errorf("%w: its holder did not admit this relay", ErrBadToken)
	}
	return nil
}

// issuer returns the key of that id that may issue tokens at the time now.
func (r Rules) issuer(id KeyID, now time.Time) ([32]byte, error) {
	for _, pub := range r.Issuers {
		if keyID(pub) == id {
			return pub, nil
		}
	}
	for _, i := range r.Inviters {
		if keyID(i.Public) != id {
			continue
		}
		if !now.Before(i.Expires) {
			return [32]byte{}, fmt.Errorf("%w: %s was an inviter until %s", ErrNoIssuer, i.Label, i.Expires.UTC().Format(time.DateOnly))
		}
		return i.Public, nil
	}
	return [32]byte{}, ErrNoIssuer
}

// Inviter returns the delegated inviter who issued the token, and false if a
// founder did.
func (r Rules) Inviter(t Token) (Inviter, bool) {
	for _, i := range r.Inviters {
		if keyID(i.Public) == t.Issuer {
			return i, true
		}
	}
	return Inviter{}, false
}
