package session

import (
	"io"
	"time"

	"hearsay/directory"
)

// Sizes of invites in bytes.
const (
	BundleSize = 1592
	BlobSize   = 2048
	LinkLength = 125 // characters
)

// Invite is the inviter's private half of a one-time invite.
type Invite struct{}

// NewInvite makes the keys of a one-time invite for the two queues (the second
// may be zero), valid up to and including the day of expires (UTC).
func NewInvite(rand io.Reader, network directory.NetworkID, queues [2]QAddr, expires time.Time) (*Invite, error) {
	return nil, errStub
}

// ParseInvite parses what Append wrote.
func ParseInvite(b []byte) (*Invite, error) { return nil, errStub }

// Append appends the serialised invite: secret.
func (i *Invite) Append(b []byte) []byte { return b }

// Bundle returns the public half.
func (i *Invite) Bundle() Bundle { return Bundle{} }

// Link returns the link that opens the invite.
func (i *Invite) Link() Link { return Link{} }

// SealBlob seals the bundle for the relays named in the link: BlobSize bytes,
// different at each call.
func (i *Invite) SealBlob(rand io.Reader) ([]byte, error) { return nil, errStub }

// Accept opens a contact request. The caller refuses it if it has seen Core
// before, and deletes the invite in the transaction that stores the state.
func (i *Invite) Accept(rand io.Reader, now time.Time, cfg Config, container []byte) (*Accepted, error) {
	return nil, errStub
}

// Accepted is a contact request that proved itself.
type Accepted struct {
	State  *State
	Core   [32]byte // SHA-256 of the request core: refuse one seen within 35 days
	Queues [2]QAddr // where to write to the guest; the second may be zero
	Name   string   // what the guest calls itself; may be empty; not sanitised
	Hello  string   // not sanitised
}

// Config says in which kind of network a session lives.
type Config struct {
	Lab bool // timers run ten times as fast
}

// Bundle is the public half of a one-time invite, 1592 bytes when encoded.
type Bundle struct {
	Network directory.NetworkID
	Queues  [2]QAddr // the second may be zero
	Expires uint32   // last day, in days since 1970
}

// ParseBundle parses exactly BundleSize bytes.
func ParseBundle(b []byte) (Bundle, error) { return Bundle{}, errStub }

// Append appends the bundle.
func (u Bundle) Append(b []byte) []byte { return b }

// Link is the content of an invite link.
type Link struct {
	Network [4]byte     // first bytes of the network id
	Relays  [2][16]byte // prefixes of the relays that hold the blob; the second may be zero
	Key     LinkKey
}

// ParseLink parses a link text: exactly what String returns. It returns
// ErrOtherNetwork if the link is good but for another network.
func ParseLink(text string, network directory.NetworkID) (Link, error) { return Link{}, errStub }

// String returns the text of 125 characters. It is a secret: never log it.
func (l Link) String() string { return "" }

// LID returns the name under which the relays keep the blob.
func (l Link) LID() [24]byte { return [24]byte{} }

// OpenBlob opens a blob fetched under LID and checks that it holds the very
// bundle that the link names, of this network and not expired.
func (l Link) OpenBlob(now time.Time, network directory.NetworkID, blob []byte) (Bundle, error) {
	return Bundle{}, errStub
}

// Request is the guest's answer to a bundle.
type Request struct {
	State     *State
	Container []byte // ContainerSize bytes; repeats send the same
}

// RequestConfig is what the guest tells the inviter.
type RequestConfig struct {
	Config
	Queues [2]QAddr // the guest's own queues; the second may be zero
	Name   string   // at most 63 bytes of UTF-8
	Hello  string   // at most 510 bytes of UTF-8
}

// Request makes the guest's session and the container for the inviter.
func (u Bundle) Request(rand io.Reader, now time.Time, cfg RequestConfig) (*Request, error) {
	return nil, errStub
}
