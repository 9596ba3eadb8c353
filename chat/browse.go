package chat

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"
)

// maxUnread bounds how far unread messages are counted.
const maxUnread = 999

// MessagesBefore returns the last messages of a contact, a group or the notes with
// a number below before, rising; before 0 means from the end. The limit is cut to
// 1..1000; 0 means 100. Screens read a history with it from its end.
func (m *Messenger) MessagesBefore(ctx context.Context, contact string, before uint64, limit int) ([]Message, error) {
	if limit == 0 {
		limit = defaultListed
	}
	limit = min(max(limit, 1), maxListed)
	from := uint64(math.MaxInt64)
	if before > 0 {
		from = min(before-1, from)
	}
	list := []Message{}
	err := m.look(ctx, func(t *turn) error {
		if !t.isConversation(contact) {
			if strings.HasPrefix(contact, "g_") {
				return errNoGroup
			}
			return errNoContact
		}
		g := t.book.groups[contact]
		if from == 0 {
			return nil
		}
		return t.tx.History(contact).Down(from, func(number uint64, raw []byte) (bool, error) {
			var rec messageRecord
			if err := decode(raw, &rec); err != nil {
				return false, err
			}
			if g != nil {
				list = append(list, t.shapeGroupMessage(g, number, rec))
				return len(list) < limit, nil
			}
			msg, err := t.shapeRow(contact, number, &rec)
			list = append(list, msg)
			return len(list) < limit, err
		})
	})
	slices.Reverse(list)
	return list, err
}

// recent tells what a list of conversations says of one: how many messages came
// since displayed, and when the last one was written.
func (t *turn) recent(id string, displayed uint64) (unread int, latest *time.Time, err error) {
	n := 0
	err = t.tx.History(id).Down(math.MaxInt64, func(number uint64, raw []byte) (bool, error) {
		if latest != nil && number <= displayed {
			return false, nil
		}
		var rec messageRecord
		if err := decode(raw, &rec); err != nil {
			return false, err
		}
		if latest == nil {
			at := time.UnixMilli(rec.Time).UTC()
			latest = &at
		}
		if number > displayed && !rec.Out && rec.Kind != kindNotice {
			unread++
		}
		n++
		return unread < maxUnread && n < 4*maxUnread, nil
	})
	return unread, latest, err
}

// displayed is up to where a conversation was shown; c may be nil.
func (c *Conversation) displayed() uint64 {
	if c == nil {
		return 0
	}
	return c.Displayed
}
