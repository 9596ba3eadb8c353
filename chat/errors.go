package chat

import "errors"

// Error is a failure that a person or a script decides on by its kind.
type Error struct {
	Kind string // one of the Kind constants
	Text string // lower case, no full stop
	Hint string // what to do; may be empty
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// The kinds of errors.
const (
	KindNotFound      = "not_found"
	KindRefused       = "refused"
	KindNoNetwork     = "no_network"
	KindWrongNetwork  = "wrong_network"
	KindTooLarge      = "too_large"
	KindInviteUsed    = "invite_used"
	KindInviteExpired = "invite_expired"
	KindLimit         = "limit"
	KindExists        = "exists"
	KindIO            = "io"
	KindKeyConflict   = "key_conflict"
	KindLocked        = "locked"
)

// KindOf returns the kind of an Error in the chain of err, else KindIO.
func KindOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindIO
}
