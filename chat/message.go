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

// The kinds of messages. The empty one is a text.
const (
	KindMessageFile        = "file"        // offers a file
	KindMessageNotice      = "notice"      // said by the program, such as a change of keys
	KindMessageUnsupported = "unsupported" // of a later version
)

// Reaction is what one side put under a message. Each side has one at most.
type Reaction struct {
	From  string `json:"from"` // contact id, or "me"
	Emoji string `json:"emoji"`
}

// What became of the text of a message.
const (
	DeletedHere  = "here"      // from this disk alone
	DeletedAsked = "asked"     // from this disk, and the contact's copy was asked to delete it
	DeletedPeer  = "withdrawn" // by its author, who is the contact

	// DeletedExpired is told in message.changed alone: nothing is left of it.
	DeletedExpired = "disappeared"
)

// Message is one message of a conversation.
type Message struct {
	ID        string       `json:"id"`      // "m_…"
	Contact   string       `json:"contact"` // contact or group
	Direction string       `json:"direction"`
	Text      string       `json:"text"`
	Seq       uint64       `json:"seq"` // order in the conversation, both directions, rising
	Time      time.Time    `json:"time"`
	State     MessageState `json:"state"`
	Late      bool         `json:"late,omitempty"` // arrived after a later one was shown
	Copies    *Copies      `json:"copies,omitempty"`

	Kind      string     `json:"kind,omitempty"`
	Reply     string     `json:"reply,omitempty"`   // id of the message replied to
	Edited    bool       `json:"edited,omitempty"`  // Text is not the first one
	Deleted   string     `json:"deleted,omitempty"` // one of the Deleted constants; Text is empty
	Reactions []Reaction `json:"reactions,omitempty"`
	Expires   *time.Time `json:"expires,omitempty"`   // when it disappears; nil: never or not yet counting
	File      *File      `json:"file,omitempty"`      // of kind file
	Author    string     `json:"author,omitempty"`    // in a group, received: contact id of the member who wrote it
	Delivered *Copies    `json:"delivered,omitempty"` // in a group, sent: members who have it, of all
}

// HistoryEntry is one line of a message's ledger.
type HistoryEntry struct {
	Time   time.Time    `json:"time"`
	State  MessageState `json:"state"`  // in a group, of the copy of the member that Detail names
	Detail string       `json:"detail"` // in words
}

// Why is all that is known of a message's way.
type Why struct {
	History []HistoryEntry `json:"history"`
	NextTry *time.Time     `json:"next_try,omitempty"`
	Expires *time.Time     `json:"expires,omitempty"` // when the last relay that holds it may delete it
	Next    string         `json:"next,omitempty"`    // what is waited for, in words
	Earlier []Earlier      `json:"earlier,omitempty"` // texts before edits, oldest first
}

// Earlier is what a message said before an edit.
type Earlier struct {
	Time time.Time `json:"time"` // when it was written, or received
	Text string    `json:"text"`
}

// ConversationOf returns the contact or group that a message belongs to, by its
// id; ok is false if it is no id of a message. Whether there is such a message is
// another question.
func ConversationOf(message string) (id string, ok bool) {
	id, _, ok = parseMessageID(message)
	return id, ok
}

// NumberOf returns the number of a message in its conversation (Message.Seq), by its
// id; ok is false if it is no id of a message.
func NumberOf(message string) (number uint64, ok bool) {
	_, number, ok = parseMessageID(message)
	return number, ok
}

var kindNames = map[byte]string{kindFile: KindMessageFile, kindNotice: KindMessageNotice, kindUnsupported: KindMessageUnsupported}

// dress adds what became of a message after it was written, and what it is.
func (m *Message) dress(conversation string, rec *messageRecord) {
	m.Kind = kindNames[rec.Kind]
	if rec.ReplyTo != 0 {
		m.Reply = messageID(conversation, rec.ReplyTo)
	}
	if rec.Mark == nil {
		return
	}
	m.Edited, m.Deleted, m.Expires = rec.Mark.Edited != 0, goneNames[rec.Mark.Gone], rec.expires()
	if rec.Mark.Mine != "" {
		m.Reactions = append(m.Reactions, Reaction{From: "me", Emoji: rec.Mark.Mine})
	}
	if rec.Mark.Theirs != "" {
		m.Reactions = append(m.Reactions, Reaction{From: conversation, Emoji: rec.Mark.Theirs})
	}
}
