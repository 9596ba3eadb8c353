package chat

import (
	"errors"
	"fmt"

	"hearsay/relay/mailbox"
)

// Failures of the mailbox protocol that come from this side of the stream or
// from a relay that does not keep to it.
var (
	errMailboxClosed   = errors.New("mailbox stream closed")
	errMailboxTwice    = errors.New("queue is subscribed to on this stream")
	errMailboxProtocol = errors.New("mailbox relay broke the protocol")
)

// mailboxRefusal is a relay's ERR.
type mailboxRefusal struct {
	Command  mailbox.Command
	Code     mailbox.Code
	Argument uint16 // CodeBusy: seconds to wait; CodeWork: bits; CodeVersion: highest
}

// Error names command and code.
func (e *mailboxRefusal) Error() string {
	return fmt.Sprintf("mailbox relay refused %s: %s", e.Command, e.Code)
}

// mailboxRefusedWith tells whether err is a relay's refusal with the code.
func mailboxRefusedWith(err error, code mailbox.Code) bool {
	var r *mailboxRefusal
	return errors.As(err, &r) && r.Code == code
}

// mailboxEnded is the reason of a subscription that the relay ended.
type mailboxEnded struct {
	Reason mailbox.EndReason
}

// Error says why in words.
func (e *mailboxEnded) Error() string {
	switch e.Reason {
	case mailbox.EndTakenOver:
		return "the relay says that this queue was opened elsewhere"
	case mailbox.EndDeleted:
		return "the relay says that this queue was deleted"
	}
	return "the relay says that this queue has expired"
}

func mailboxProtocolError(what string) error {
	return fmt.Errorf("%w: %s", errMailboxProtocol, what)
}
