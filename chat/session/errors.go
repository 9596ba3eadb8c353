package session

import "errors"

// What can be wrong with an invite link. Callers show these to people.
var (
	// ErrLinkFormat: the text is no contact link at all.
	ErrLinkFormat = errors.New("session: not a contact link")
	// ErrLinkCheck: it looks like one, but a character is wrong or missing.
	ErrLinkCheck = errors.New("session: mistyped contact link")
	// ErrOtherNetwork: the link or bundle belongs to another network.
	ErrOtherNetwork = errors.New("session: the link belongs to another network")
	// ErrExpired: the bundle's last day is over.
	ErrExpired = errors.New("session: the invite has expired")
)

// Why a blob, a container, a block or a frame was refused. State is unchanged
// whenever one of these is returned.
var (
	// ErrFormat: a length, version, reserved byte or field is wrong.
	ErrFormat = errors.New("session: malformed")
	// ErrAuth: a seal, a confirmation or a key agreement failed.
	ErrAuth = errors.New("session: does not authenticate")
	// ErrDuplicate: the ratchet has used this block's key already.
	ErrDuplicate = errors.New("session: block seen before")
	// ErrUndecryptable: no header key opens the block, or its post-quantum
	// epoch is not one that we can be in.
	ErrUndecryptable = errors.New("session: no key opens the block")
	// ErrLimit: taking the block would exceed a limit of the ratchet.
	ErrLimit = errors.New("session: limit exceeded")
	// ErrLater: the block opens, but its frame cannot be taken yet: its seq is
	// above the window or too many messages are incomplete.
	ErrLater = errors.New("session: frame cannot be taken yet")
	// ErrWindowFull: too many of our own frames are unacknowledged. Nothing was
	// sealed.
	ErrWindowFull = errors.New("session: send window full")
)

// Park reports whether a block refused with err is to be kept and tried again
// after the next change of the session. Others are to be dropped and counted.
func Park(err error) bool {
	return errors.Is(err, ErrUndecryptable) || errors.Is(err, ErrLimit) || errors.Is(err, ErrLater)
}
