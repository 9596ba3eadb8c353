package directory

import (
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

// NetworkID names a network for ever: it is the hash of the body of version 1
// of its network file (SPEC.md §2).
type NetworkID [32]byte

// RelayID is a relay's Ed25519 identity public key, 32 bytes.
type RelayID [32]byte

// ErrBadRelayID is returned by ParseRelayID for a text that is no relay id.
var ErrBadRelayID = errors.New("directory: a relay id is 52 characters of lower-case base32")

var idText = base32.StdEncoding.WithPadding(base32.NoPadding)

// String returns the one text form of a relay id: 52 characters of lower-case
// base32 without padding.
func (id RelayID) String() string {
	return strings.ToLower(idText.EncodeToString(id[:]))
}

// Prefix returns the first 16 bytes, by which a network file names a bootstrap
// and an invite link names a mailbox relay.
func (id RelayID) Prefix() [16]byte {
	return [16]byte(id[:16])
}

// ParseRelayID parses the text form. It accepts exactly what String returns.
func ParseRelayID(s string) (RelayID, error) {
	var id RelayID
	if len(s) != 52 {
		return id, ErrBadRelayID
	}
	b, err := idText.DecodeString(strings.ToUpper(s))
	if err != nil || len(b) != len(id) {
		return id, ErrBadRelayID
	}
	copy(id[:], b)
	if id.String() != s {
		return RelayID{}, ErrBadRelayID
	}
	return id, nil
}

// String returns the lower-case base32 text of the network id.
func (n NetworkID) String() string {
	return strings.ToLower(idText.EncodeToString(n[:]))
}

// GoString keeps %#v short in test failures.
func (n NetworkID) GoString() string { return fmt.Sprintf("NetworkID(%x…)", n[:4]) }
