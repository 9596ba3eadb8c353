package directory

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
)

// Specification constants of network links (SPEC.md §5).
const (
	linkPrefix    = "HEARSAY-NET:"
	linkNetwork   = 1  // type byte: a network
	linkToken     = 2  // type byte: a network, a relay token and its secret key
	maxBootstraps = 16 // in a file and in a link
	linkHead      = 1 + 32 + 3
)

// maxLinkText bounds a text before it is decoded, in bytes, white space
// included.
const maxLinkText = 4096

// ErrBadLink is returned for a text that is no network link.
var ErrBadLink = errors.New("directory: not a network link")

// Bootstrap is a process that serves the network file and snapshots: its UDP
// address and the first 16 bytes of its identity key.
type Bootstrap struct {
	ID   [16]byte
	Addr netip.AddrPort
}

// NetworkLink is the text by which people hand a network to each other. Its
// String is public for a link without token; with a token it admits relays.
type NetworkLink struct {
	ID         NetworkID
	Bootstraps []Bootstrap // 1 to 16
	Token      []byte      // 136 bytes of an Invitation in a relay link, else nil
}

// String returns the link text: HEARSAY-NET: and upper-case base32.
func (l NetworkLink) String() string {
	return linkPrefix + idText.EncodeToString(l.bytes())
}

func (l NetworkLink) bytes() []byte {
	b := make([]byte, 0, linkHead+len(l.Token)+len(l.Bootstraps)*35)
	kind := byte(linkNetwork)
	if l.Token != nil {
		kind = linkToken
	}
	b = append(b, kind)
	b = append(b, l.ID[:]...)
	b = append(b, 0, 0, 0)
	b = append(b, l.Token...)
	for _, s := range l.Bootstraps {
		family := byte(4)
		if s.Addr.Addr().Is6() {
			family = 6
		}
		b = append(b, family)
		b = appendAddr(b, s.Addr)
		b = append(b, s.ID[:]...)
	}
	check := linkCheck(b)
	copy(b[33:36], check[:])
	return b
}

// linkCheck hashes all bytes but the check itself.
func linkCheck(b []byte) [3]byte {
	h := sha256.New()
	h.Write(b[:33])
	h.Write(b[36:])
	return [3]byte(h.Sum(nil))
}

// ParseNetworkLink parses a link text in any case, ignoring white space. Its
// errors are fit for people and never repeat the text.
func ParseNetworkLink(text string) (NetworkLink, error) {
	var l NetworkLink
	if len(text) > maxLinkText {
		return l, fmt.Errorf("%w: too long", ErrBadLink)
	}
	text = strip(text)
	if len(text) < len(linkPrefix) || !strings.EqualFold(text[:len(linkPrefix)], linkPrefix) {
		return l, fmt.Errorf("%w: it does not begin with %s", ErrBadLink, linkPrefix)
	}
	b, err := decodeText(text[len(linkPrefix):])
	if err != nil || len(b) < linkHead {
		return l, fmt.Errorf("%w: it is incomplete or mistyped", ErrBadLink)
	}
	if check := linkCheck(b); !bytes.Equal(check[:], b[33:36]) {
		return l, fmt.Errorf("%w: a character is missing or mistyped", ErrBadLink)
	}
	l.ID = NetworkID(b[1:33])
	rest := b[linkHead:]
	switch b[0] {
	case linkNetwork:
	case linkToken:
		if len(rest) < InvitationSize {
			return NetworkLink{}, fmt.Errorf("%w: the token is incomplete", ErrBadLink)
		}
		if _, err := ParseInvitation(rest[:InvitationSize]); err != nil {
			return NetworkLink{}, fmt.Errorf("%w: %w", ErrBadLink, err)
		}
		l.Token = bytes.Clone(rest[:InvitationSize])
		rest = rest[InvitationSize:]
	default:
		return NetworkLink{}, fmt.Errorf("%w: unknown type %d; a newer program may know it", ErrBadLink, b[0])
	}
	if l.Bootstraps, err = parseLinkBootstraps(rest); err != nil {
		return NetworkLink{}, err
	}
	return l, nil
}

func parseLinkBootstraps(b []byte) ([]Bootstrap, error) {
	var list []Bootstrap
	for len(b) > 0 {
		size := 0
		switch b[0] {
		case 4:
			size = 6
		case 6:
			size = 18
		default:
			return nil, fmt.Errorf("%w: unknown kind of address", ErrBadLink)
		}
		if len(b) < 1+size+16 || len(list) == maxBootstraps {
			return nil, fmt.Errorf("%w: its list of addresses is broken", ErrBadLink)
		}
		a, err := parseAddr(b[1 : 1+size])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadLink, err)
		}
		// Whether loopback is allowed is known only with the network file.
		if err := CheckAddr(a, true); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadLink, err)
		}
		list = append(list, Bootstrap{ID: [16]byte(b[1+size:]), Addr: a})
		b = b[1+size+16:]
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: it names no address", ErrBadLink)
	}
	return list, nil
}

// strip removes white space, which mail and paper put into long texts. What is
// not ASCII becomes a character that no link has, lest case folding make it one.
func strip(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		if r > unicode.MaxASCII {
			return '?'
		}
		return r
	}, s)
}

// decodeText reads base32 in any case without padding and refuses unused bits
// that are not zero.
func decodeText(s string) ([]byte, error) {
	s = strings.ToUpper(strip(s))
	b, err := idText.DecodeString(s)
	if err != nil {
		return nil, err
	}
	if idText.EncodeToString(b) != s {
		return nil, ErrNotCanonical
	}
	return b, nil
}
