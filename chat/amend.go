package chat

import (
	"context"

	"hearsay/chat/session"
)

// markRecord is what happened to a message after it was written.
type markRecord struct {
	Earlier []earlierRecord `cbor:"1,keyasint,omitempty"` // texts before edits, oldest first
	Gone    byte            `cbor:"2,keyasint,omitempty"` // one of the gone constants
}

// earlierRecord is a text before an edit.
type earlierRecord struct {
	Text string `cbor:"1,keyasint"`
	Time int64  `cbor:"2,keyasint"` // Unix milliseconds
}

func (*turn) takeAmendment(*contact, session.Message) error { return nil }

// React puts an emoji under a message, in place of an earlier one of ours; an
// empty one takes it away.
func (m *Messenger) React(context.Context, string, string) error { return errUnbuilt }

// Edit replaces the text of a message of ours, for both sides.
func (m *Messenger) Edit(context.Context, string, string) error { return errUnbuilt }

// Delete deletes a message from this disk and, if both and it is ours, asks the
// other side to do so.
func (m *Messenger) Delete(context.Context, string, bool) error { return errUnbuilt }
