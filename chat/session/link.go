package session

import (
	"crypto/sha3"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"hearsay/directory"
)

// Specification constants of links and blobs (SPEC.md §3).
const (
	LinkLength = 125  // characters
	BlobSize   = 2048 // bytes

	linkPrefix    = "HEARSAY:"
	linkVersion   = 1
	linkOneTime   = 1
	linkAddress   = 2
	linkSize      = 73
	linkCheckSize = 3
	blobPlainSize = BlobSize - nonceSize - tagSize
)

var linkText = base32.StdEncoding.WithPadding(base32.NoPadding)

// Link is the content of the link of an invite or address.
type Link struct {
	Address bool        // of a permanent address; Key is its root key
	Network [4]byte     // first bytes of the network id
	Relays  [2][16]byte // prefixes of the relays that hold the blob; the second may be zero
	Key     LinkKey
}

// String returns the text of 125 characters. It is a secret: never log it.
func (l Link) String() string {
	b := make([]byte, 0, linkSize)
	kind := byte(linkOneTime)
	if l.Address {
		kind = linkAddress
	}
	b = append(b, linkVersion, kind)
	b = append(b, l.Network[:]...)
	b = append(b, l.Relays[0][:]...)
	b = append(b, l.Relays[1][:]...)
	b = append(b, l.Key.b[:]...)
	c := hash(labelLinkCheck, b)
	b = append(b, c[:linkCheckSize]...)
	return linkPrefix + linkText.EncodeToString(b)
}

// LogValue never shows the link; String does, since that is its use.
func (Link) LogValue() slog.Value { return slog.StringValue(redacted) }

// ParseLink parses a link text: exactly what String returns. The errors are
// ErrLinkFormat, ErrLinkCheck and, for a good link of another network,
// ErrOtherNetwork. No error repeats the text.
func ParseLink(text string, network directory.NetworkID) (Link, error) {
	l, err := ReadLink(text)
	switch {
	case err != nil:
		return l, err
	case l.Network != [4]byte(network[:4]):
		return Link{}, ErrOtherNetwork
	case l.Address && !validRoot(l.Key.b):
		return Link{}, ErrLinkFormat
	}
	return l, nil
}

// ReadLink is ParseLink for a link of whatever network. It tells what a text is,
// not that it can be used: the root key of an address is not checked.
func ReadLink(text string) (Link, error) {
	var l Link
	rest, ok := strings.CutPrefix(text, linkPrefix)
	if !ok {
		return l, ErrLinkFormat
	}
	if len(text) != LinkLength {
		return l, ErrLinkCheck
	}
	b, err := linkText.DecodeString(rest)
	if err != nil || len(b) != linkSize || linkText.EncodeToString(b) != rest {
		return l, ErrLinkCheck
	}
	body, sum := b[:linkSize-linkCheckSize], b[linkSize-linkCheckSize:]
	c := hash(labelLinkCheck, body)
	if subtle.ConstantTimeCompare(c[:linkCheckSize], sum) != 1 {
		return l, ErrLinkCheck
	}
	l.Address = body[1] == linkAddress
	if body[0] != linkVersion || body[1] != linkOneTime && !l.Address {
		return l, ErrLinkFormat
	}
	l.Network = [4]byte(body[2:])
	l.Relays[0] = [16]byte(body[6:])
	l.Relays[1] = [16]byte(body[22:])
	copy(l.Key.b[:], body[38:])
	if l.Relays[0] == l.Relays[1] || l.Relays[0] == ([16]byte{}) {
		return Link{}, ErrLinkFormat
	}
	return l, nil
}

// linkKeyOf returns the key that names, opens and checks a bundle.
func linkKeyOf(bundle []byte) LinkKey {
	h := sha3.New256()
	io.WriteString(h, labelLinkKey)
	h.Write(bundle)
	return LinkKey{b: [32]byte(h.Sum(nil))}
}

// LID returns the name under which the relays keep the blob.
func (l Link) LID() (id [24]byte) {
	derive(id[:], l.Key.b[:], nil, labelLinkID)
	return id
}

// sealBlob seals an encoded bundle under the key of l.
func (l Link) sealBlob(rand io.Reader, bundle []byte) ([]byte, error) {
	blob := make([]byte, nonceSize, BlobSize)
	if _, err := io.ReadFull(rand, blob); err != nil {
		return nil, fmt.Errorf("seal blob: %w", err)
	}
	plain := make([]byte, blobPlainSize)
	copy(plain, bundle)
	var key [keySize]byte
	derive(key[:], l.Key.b[:], nil, labelLinkEncrypt)
	lid := l.LID()
	return seal(blob, key[:], blob[:nonceSize], plain, lid[:]), nil
}

// OpenBlob opens a blob fetched under LID and checks that it holds the very
// bundle that the link names, or one signed by the address that it names, of
// this network and not expired. The errors are
// ErrFormat, ErrAuth, ErrOtherNetwork and ErrExpired.
func (l Link) OpenBlob(now time.Time, network directory.NetworkID, blob []byte) (Bundle, error) {
	if len(blob) != BlobSize {
		return Bundle{}, fmt.Errorf("blob of %d bytes: %w", len(blob), ErrFormat)
	}
	var key [keySize]byte
	derive(key[:], l.Key.b[:], nil, labelLinkEncrypt)
	lid := l.LID()
	plain, err := open(nil, key[:], blob[:nonceSize], blob[nonceSize:], lid[:])
	if err != nil {
		return Bundle{}, fmt.Errorf("open blob: %w", err)
	}
	if l.Address {
		return l.openAddress(now, network, plain)
	}
	if !allZero(plain[BundleSize:]) {
		return Bundle{}, fmt.Errorf("blob padding: %w", ErrFormat)
	}
	u, err := ParseBundle(plain[:BundleSize])
	if err != nil {
		return Bundle{}, err
	}
	if !linkKeyOf(plain[:BundleSize]).Equal(l.Key) {
		return Bundle{}, fmt.Errorf("blob holds another bundle: %w", ErrAuth)
	}
	for i, q := range u.Queues {
		if q.Relay.Prefix() != l.Relays[i] {
			return Bundle{}, fmt.Errorf("bundle names other relays than its link: %w", ErrFormat)
		}
	}
	if err := u.check(now, network); err != nil {
		return Bundle{}, err
	}
	return u, nil
}
