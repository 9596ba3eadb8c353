package chat

import (
	"time"
)

// row reads a message of a conversation; nil if it is not there.
func (t *turn) row(conversation string, number uint64) (*messageRecord, error) {
	raw, err := t.tx.History(conversation).Get(number)
	if raw == nil || err != nil {
		return nil, err
	}
	rec := new(messageRecord)
	return rec, decode(raw, rec)
}

// putRow writes a message that is in a conversation.
func (t *turn) putRow(conversation string, number uint64, rec *messageRecord) error {
	return t.tx.History(conversation).Put(number, time.UnixMilli(rec.Time), encode(rec))
}

// find finds a message by its id; it fails with not_found.
func (t *turn) find(message string) (conversation string, number uint64, rec *messageRecord, err error) {
	conversation, number, ok := parseMessageID(message)
	if !ok || !t.isConversation(conversation) {
		return "", 0, nil, errNoMessage
	}
	if rec, err = t.row(conversation, number); err == nil && rec == nil {
		err = errNoMessage
	}
	return conversation, number, rec, err
}

var errNoMessage = &Error{Kind: KindNotFound, Text: "there is no such message"}

// isConversation tells whether there is a history of that id.
func (t *turn) isConversation(id string) bool {
	return id == NotesID || t.book.contacts[id] != nil || t.book.groups[id] != nil
}
