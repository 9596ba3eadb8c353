package chat

import (
	"context"
	"time"

	"hearsay/chat/session"
)

// Conversation is what people set for a conversation with a contact or group.
type Conversation struct {
	DisappearAfter time.Duration `json:"disappear_after,omitempty"` // 0: off, else 1, 7 or 28 days
	Muted          bool          `json:"muted,omitempty"`
	Archived       bool          `json:"archived,omitempty"`
	Pinned         bool          `json:"pinned,omitempty"`
	Draft          string        `json:"draft,omitempty"`
}

// ConversationChange changes what is not nil.
type ConversationChange struct {
	DisappearAfter *time.Duration
	Muted          *bool
	Archived       *bool
	Pinned         *bool
	Draft          *string
}

// settingsRecord is what people set for a conversation.
type settingsRecord struct{}

func (*turn) takeTimer(*contact, session.Message) error { return nil }

// SetConversation changes the settings of a contact or group. The time after
// which messages disappear is told to the other side.
func (m *Messenger) SetConversation(context.Context, string, ConversationChange) error {
	return errUnbuilt
}

// NotesID is the contact that never leaves this disk.
const NotesID = "notes"

// tickExpiry removes messages whose time is over.
func (*turn) tickExpiry() error { return nil }
