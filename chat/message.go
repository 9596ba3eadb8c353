package chat

import "time"

// MessageState is what is proven about a message (SPEC.md §6).
type MessageState string

// The states of a message. Received marks messages of the other side.
const (
	Queued    MessageState = "queued"
	Stored    MessageState = "stored"
	Delivered MessageState = "delivered"
	Failed    MessageState = "failed"
	Received  MessageState = "received"
)

// The directions of a message.
const (
	In  = "in"
	Out = "out"
)

// Copies counts the relays that hold a message by verified receipts.
type Copies struct {
	Have int `json:"have"`
	Want int `json:"want"`
}

// Message is one message of a conversation.
type Message struct {
	ID        string       `json:"id"` // "m_…"
	Contact   string       `json:"contact"`
	Direction string       `json:"direction"`
	Text      string       `json:"text"`
	Seq       uint64       `json:"seq"` // order in the conversation, both directions, rising
	Time      time.Time    `json:"time"`
	State     MessageState `json:"state"`
	Late      bool         `json:"late,omitempty"` // arrived after a later one was shown
	Copies    *Copies      `json:"copies,omitempty"`
}
