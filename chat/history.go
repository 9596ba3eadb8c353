package chat

import (
	"encoding/binary"
	"slices"
	"time"

	"hearsay/chat/store"
)

// The index of a history finds a message by the id that its frames carry, which
// the other side names it by. Each row of it has the first 8 bytes of the ids of
// 256 messages that follow each other: adding a message rewrites one row that
// was written just before, and a search through a long history reads few rows.
const (
	bucketIndex = "index/" // followed by a conversation's id

	indexSpan  = 256 // messages in one row
	indexEntry = 8   // bytes of an id
	maxMatches = 8   // messages looked at for one id: a contact may give many the same
)

// indexTail is the last row of an index, so that adding reads nothing.
type indexTail struct {
	row   uint64
	value []byte
}

// addRow puts a message behind the others of a conversation.
func (t *turn) addRow(conversation string, rec *messageRecord) (number uint64, err error) {
	if c := t.book.contacts[conversation]; c != nil && rec.Kind == kindFile && rec.Timer == 0 {
		rec.Timer = c.timer() // offers carry no time: what holds at either side decides there
	}
	if number, err = t.tx.History(conversation).Add(t.now, encode(rec)); err != nil {
		return 0, err
	}
	if err := t.indexRow(conversation, number, rec.ID); err != nil {
		return 0, err
	}
	if rec.Timer == 0 {
		return number, nil
	}
	if err := t.limit(conversation, number, rec); err != nil {
		return 0, err
	}
	return number, t.putRow(conversation, number, rec)
}

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

// indexRow enters a message into the index of its conversation.
func (t *turn) indexRow(conversation string, number uint64, id [16]byte) error {
	rows := t.tx.Sequence(bucketIndex + conversation)
	tail := t.book.tails[conversation]
	if row := number / indexSpan; tail == nil || tail.row != row {
		value, err := rows.Get(row)
		if err != nil {
			return err
		}
		tail = &indexTail{row: row, value: value}
		if t.book.tails == nil {
			t.book.tails = make(map[string]*indexTail)
		}
		t.book.tails[conversation] = tail
	}
	at := int(number%indexSpan) * indexEntry
	if len(tail.value) < at+indexEntry {
		tail.value = append(tail.value, make([]byte, at+indexEntry-len(tail.value))...)
	}
	copy(tail.value[at:], id[:indexEntry])
	return rows.Put(tail.row, tail.value)
}

// byID finds the newest message of a conversation that carries an id and is fit
// for what is asked; number is 0 if there is none.
func (t *turn) byID(conversation string, id [16]byte, fit func(*messageRecord) bool) (number uint64, rec *messageRecord, err error) {
	prefix := binary.BigEndian.Uint64(id[:])
	if prefix == 0 {
		return 0, nil, nil // of messages without an id
	}
	matches := 0
	err = t.tx.Sequence(bucketIndex+conversation).Down(^uint64(0), func(row uint64, value []byte) (bool, error) {
		if len(value)%indexEntry != 0 || len(value) > indexSpan*indexEntry {
			return false, store.ErrDamaged
		}
		for at := len(value) - indexEntry; at >= 0; at -= indexEntry {
			if binary.BigEndian.Uint64(value[at:]) != prefix {
				continue
			}
			n := row*indexSpan + uint64(at/indexEntry)
			found, err := t.row(conversation, n)
			if err != nil {
				return false, err
			}
			if found != nil && found.ID == id && fit(found) {
				number, rec = n, found
				return false, nil
			}
			if matches++; matches >= maxMatches {
				return false, nil
			}
		}
		return true, nil
	})
	return number, rec, err
}

// forgetMessage removes a message from this disk, with all that is still to be
// sent of it.
func (t *turn) forgetMessage(conversation string, number uint64, rec *messageRecord) error {
	if c := t.book.contacts[conversation]; c != nil {
		if err := t.cancel(c, number); err != nil {
			return err
		}
	}
	if err := t.unlimit(rec); err != nil {
		return err
	}
	if err := t.dropFile(rec); err != nil {
		return err
	}
	return t.tx.History(conversation).Delete(number)
}

// cancel takes what was not acknowledged of a message out of the way to the
// contact, and what was to become of it: it would be on this disk, and go out,
// after the message is gone. The session tells the contact to wait for it no
// longer.
func (t *turn) cancel(c *contact, number uint64) error {
	if err := t.unsay(c, number); err != nil {
		return err
	}
	err := t.takeWaiting(c, func(w *waiting) bool { return w.number == number && w.group == "" })
	if err != nil {
		return err
	}
	for _, seq := range slices.Clone(c.order) {
		o := c.out[seq]
		if (o.rec.Number != number || o.rec.Group != "") && says(o.rec.Type, o.rec.About) != number {
			continue
		}
		c.session.GiveUp(seq)
		if err := t.dropOutgoing(c, seq); err != nil {
			return err
		}
	}
	delete(c.own, number)
	c.endLog("", number)
	t.touch(c)
	return nil
}

// unsay drops new texts of a message, and our reactions to it, of which no frame
// was made yet.
func (t *turn) unsay(c *contact, number uint64) error {
	return t.takeWaiting(c, func(w *waiting) bool { return w.says == number })
}

// takeWaiting drops what is chosen of what is not sealed yet.
func (t *turn) takeWaiting(c *contact, chosen func(*waiting) bool) error {
	if !slices.ContainsFunc(c.waiting, func(w waiting) bool { return chosen(&w) }) {
		return nil
	}
	t.touch(c)
	var kept []waiting
	for _, w := range c.waiting {
		if !chosen(&w) {
			kept = append(kept, w)
		} else if err := t.tx.Sequence(bucketWaiting + c.id).Delete(w.row); err != nil {
			return err
		}
	}
	c.waiting = kept
	return nil
}

// dropConversation removes what this file and its neighbours keep beside the
// rows of a history: who removes a contact or a group calls it.
func (t *turn) dropConversation(id string) error {
	delete(t.book.tails, id)
	for _, bucket := range []string{bucketIndex, bucketEarly} {
		if err := t.tx.Sequence(bucket + id).Drop(); err != nil {
			return err
		}
	}
	for _, bucket := range []string{bucketDraft, bucketSettings} {
		if err := t.tx.Bucket(bucket).Delete(id); err != nil {
			return err
		}
	}
	return nil
}

// dropFile removes the transfer that a message offers from this disk.
func (t *turn) dropFile(rec *messageRecord) error {
	return t.dropTransfer(rec.File)
}
