package chat

import (
	"context"
	"fmt"
	"time"

	"hearsay/chat/store"
)

// Implementation constants of what is kept of events (SPEC.md §8).
const (
	eventBlock  = 1 << 20             // event numbers reserved ahead on the disk
	eventKeep   = 30 * 24 * time.Hour // how long an event is kept
	eventLimit  = 65536               // events kept; stops a home without a reader from growing
	eventForget = 64                  // rows forgotten per transaction, so that none takes long
)

const (
	bucketEvents = "events"

	metaForgotten = "forgotten" // highest number of an event that is not kept any more
)

// eventRow holds the durable events of one transaction. Its number is that of
// the last of them. It names messages, and does not repeat them: what is deleted
// is gone from here too.
type eventRow struct {
	Time   int64         `cbor:"1,keyasint"` // Unix seconds
	Before uint64        `cbor:"2,keyasint"` // events in all rows that were ever written before
	Events []eventRecord `cbor:"3,keyasint"`
}

// eventRecord is one event of a row.
type eventRecord struct {
	Back         uint64 `cbor:"1,keyasint,omitempty"` // number of the row minus that of the event
	Type         byte   `cbor:"2,keyasint"`           // index in eventCodes
	Conversation string `cbor:"3,keyasint,omitempty"` // contact or group
	Number       uint64 `cbor:"4,keyasint,omitempty"` // of the message there
	State        string `cbor:"5,keyasint,omitempty"`
	Copies       []int  `cbor:"6,keyasint,omitempty"` // have, want; then members who have it, members
	Detail       string `cbor:"7,keyasint,omitempty"` // if not the usual one of the state
	ID           string `cbor:"8,keyasint,omitempty"` // of invite, file or request
	Verified     bool   `cbor:"9,keyasint,omitempty"`
	Words        string `cbor:"10,keyasint,omitempty"`
	Deleted      string `cbor:"11,keyasint,omitempty"`
}

// eventCodes gives the types of kept events their numbers on the disk.
var eventCodes = [...]EventType{
	1: MessageReceived, 2: MessageStateChanged, 3: MessageChanged, 4: ContactAdded, 5: ContactStateChanged, 6: ContactWords,
	7: ContactRemoved, 8: ConversationChanged, 9: RequestReceived, 10: GroupChanged, 11: InviteUsed, 12: FileProgress,
}

// eventLog is what the book knows of the rows of events.
type eventLog struct {
	written   uint64    // events in all rows ever written
	oldest    uint64    // number of the oldest row; 0: none
	before    uint64    // of the oldest row
	since     time.Time // of the oldest row
	forgotten uint64
}

// loadEvents reads what the book must know of the rows of events.
func (b *book) loadEvents(tx *store.Tx) error {
	l := &b.events
	if raw, err := tx.Bucket(bucketMeta).Get(metaKeys); err != nil {
		return err
	} else if raw != nil {
		if err := decode(raw, &b.keyEpochs); err != nil {
			return err
		}
	}
	raw, err := tx.Bucket(bucketMeta).Get(metaForgotten)
	if err != nil {
		return err
	}
	if raw != nil {
		if err := decode(raw, &l.forgotten); err != nil {
			return err
		}
	}
	rows := tx.Sequence(bucketEvents)
	last := func(_ uint64, raw []byte) (bool, error) {
		var row eventRow
		err := decode(raw, &row)
		l.written = row.Before + uint64(len(row.Events))
		return false, err
	}
	if err := rows.Down(1<<63, last); err != nil {
		return err
	}
	return l.first(rows)
}

// first notes the oldest row.
func (l *eventLog) first(rows *store.Sequence) error {
	l.oldest = 0
	return rows.Up(0, func(n uint64, raw []byte) (bool, error) {
		var row eventRow
		err := decode(raw, &row)
		l.oldest, l.before, l.since = n, row.Before, time.Unix(row.Time, 0)
		return false, err
	})
}

// reserveEvents reserves event numbers for this run, so that none that was told
// before a crash is used again. Events of before the home kept any are forgotten.
func reserveEvents(meta *store.Bucket) error {
	last := uint64(0)
	raw, err := meta.Get(metaEvents)
	if err != nil {
		return err
	}
	if raw != nil {
		if err := decode(raw, &last); err != nil {
			return err
		}
	}
	if raw, err = meta.Get(metaForgotten); err != nil {
		return err
	}
	if raw == nil {
		if err := meta.Put(metaForgotten, encode(last)); err != nil {
			return err
		}
	}
	return meta.Put(metaEvents, encode(last+eventBlock))
}

// newFeed returns the feed of a run, whose numbers reserveEvents has reserved.
func (m *Messenger) newFeed() *Feed {
	f := NewFeed(m.book.reserved - eventBlock)
	f.ceiling, f.source = m.book.reserved, m.replay
	return f
}

// logEvents numbers the events of the transaction and writes the durable ones,
// and reserves numbers before they run out.
func (t *turn) logEvents() error {
	last := t.m.feed.Last() + uint64(len(t.events))
	if last+eventBlock/2 > t.book.reserved {
		t.book.reserved = last + eventBlock
		if err := t.tx.Bucket(bucketMeta).Put(metaEvents, encode(t.book.reserved)); err != nil {
			return err
		}
	}
	if len(t.events) == 0 {
		return nil
	}
	first := t.m.feed.hold(len(t.events))
	row := eventRow{Time: t.now.Unix(), Before: t.book.events.written}
	number := uint64(0)
	for i := range t.events {
		ev := &t.events[i]
		ev.Seq = first + uint64(i)
		if rec, ok := recordEvent(ev); ok {
			rec.Back = ev.Seq // the number of the row is known at the end
			row.Events, number = append(row.Events, rec), ev.Seq
		}
	}
	if number == 0 {
		return nil
	}
	for i := range row.Events {
		row.Events[i].Back = number - row.Events[i].Back
	}
	rows := t.tx.Sequence(bucketEvents)
	if err := rows.Put(number, encode(row)); err != nil {
		return err
	}
	l := &t.book.events
	l.written += uint64(len(row.Events))
	if l.oldest == 0 {
		l.oldest, l.before, l.since = number, row.Before, t.now
	}
	return t.forgetEvents()
}

// forgetEvents removes the oldest rows while there are too many events, or they
// are too old.
func (t *turn) forgetEvents() error {
	l := &t.book.events
	rows := t.tx.Sequence(bucketEvents)
	for range eventForget {
		if l.oldest == 0 || l.written-l.before <= eventLimit && t.now.Sub(l.since) < eventKeep {
			return nil
		}
		l.forgotten = l.oldest
		if err := rows.Delete(l.oldest); err != nil {
			return err
		}
		if err := t.tx.Bucket(bucketMeta).Put(metaForgotten, encode(l.forgotten)); err != nil {
			return err
		}
		if err := l.first(rows); err != nil {
			return err
		}
	}
	return nil
}

// recordEvent returns what is kept of an event, if it is.
func recordEvent(ev *Event) (rec eventRecord, kept bool) {
	if !ev.durable() {
		return rec, false
	}
	for code, kind := range eventCodes {
		if kind == ev.Type {
			rec.Type = byte(code)
		}
	}
	if rec.Type == 0 {
		return rec, false
	}
	if m := ev.Message; m != nil {
		rec.Conversation, rec.Number, rec.Deleted = m.Contact, m.Seq, m.Deleted
		if ev.Type == MessageStateChanged {
			rec.State = string(m.State)
			for _, c := range []*Copies{m.Copies, m.Delivered} {
				if c != nil {
					rec.Copies = append(rec.Copies, c.Have, c.Want)
				}
			}
		}
	}
	if ev.Detail != stateDetail(MessageState(rec.State), ev.Message) {
		rec.Detail = ev.Detail
	}
	rec.Words = ev.Words
	switch {
	case ev.Contact != nil:
		rec.Conversation, rec.Verified = ev.Contact.ID, ev.Contact.Verified
		if ev.Type == ContactStateChanged {
			rec.State = string(ev.Contact.State)
		}
	case ev.Group != nil:
		rec.Conversation = ev.Group.ID
	}
	switch {
	case ev.Invite != "":
		rec.ID = ev.Invite
	case ev.Request != nil:
		rec.ID = ev.Request.ID
	case ev.Type == FileProgress:
		rec.ID, rec.State, rec.Conversation, rec.Number = ev.File.ID, string(ev.File.State), ev.File.Contact, uint64(ev.File.Done)
	}
	return rec, true
}

// stateDetail says in words what a state is proven by.
func stateDetail(state MessageState, m *Message) string {
	switch state {
	case Queued:
		return "on this machine only"
	case Stored:
		if m != nil && m.Copies != nil {
			return fmt.Sprintf("%d of %d relays signed for it", m.Copies.Have, m.Copies.Want)
		}
	case Delivered:
		return "acknowledged by the contact"
	}
	return ""
}

// replay reads kept events for a subscription that is behind.
func (m *Messenger) replay(ctx context.Context, after, upto uint64, limit int) (events []Event, reached uint64, err error) {
	err = m.look(ctx, func(t *turn) error {
		events, reached = nil, after
		if f := t.book.events.forgotten; after < f {
			events, reached = append(events, Event{Seq: f, Type: Resync, Oldest: f + 1}), f
		}
		return t.tx.Sequence(bucketEvents).Up(reached+1, func(number uint64, raw []byte) (bool, error) {
			var row eventRow
			if err := decode(raw, &row); err != nil {
				return false, err
			}
			for _, rec := range row.Events {
				seq := number - rec.Back
				if seq <= after || seq > upto {
					continue
				}
				ev, err := t.recallEvent(rec)
				if err != nil {
					return false, err
				}
				if ev != nil {
					ev.Seq = seq
					events = append(events, *ev)
				}
			}
			reached = min(number, upto)
			return len(events) < limit && reached < upto, nil
		})
	})
	if len(events) < limit {
		reached = max(reached, upto)
	}
	return events, reached, err
}

// recallEvent makes an event out of what was kept of it. What was deleted since
// has no event, but for its deletion.
func (t *turn) recallEvent(rec eventRecord) (*Event, error) {
	if int(rec.Type) >= len(eventCodes) || eventCodes[rec.Type] == "" {
		return nil, nil
	}
	ev := &Event{Type: eventCodes[rec.Type], Detail: rec.Detail, Words: rec.Words}
	switch ev.Type {
	case MessageReceived, MessageChanged:
		m, err := t.recallMessage(rec.Conversation, rec.Number)
		if err != nil {
			return nil, err
		}
		if m == nil && ev.Type == MessageReceived {
			return nil, nil
		}
		if m == nil {
			m = &Message{ID: messageID(rec.Conversation, rec.Number), Contact: rec.Conversation, Seq: rec.Number, Deleted: DeletedHere}
			if rec.Deleted != "" {
				m.Deleted = rec.Deleted
			}
		}
		ev.Message = m
	case MessageStateChanged:
		m := &Message{
			ID: messageID(rec.Conversation, rec.Number), Contact: rec.Conversation, Direction: Out, Seq: rec.Number, State: MessageState(rec.State),
		}
		if len(rec.Copies) >= 2 {
			m.Copies = &Copies{Have: rec.Copies[0], Want: rec.Copies[1]}
		}
		if len(rec.Copies) >= 4 {
			m.Delivered = &Copies{Have: rec.Copies[2], Want: rec.Copies[3]}
		}
		ev.Message = m
		if ev.Detail == "" {
			ev.Detail = stateDetail(m.State, m)
		}
	case RequestReceived:
		ev.Request = t.recallRequest(rec.ID)
		if ev.Request == nil {
			return nil, nil
		}
	case FileProgress:
		ev.File = t.recallFile(rec)
	default:
		return t.recallContact(ev, rec)
	}
	return ev, nil
}

// recallContact completes an event about a contact or a group; nil if it is gone
// and the event is not about that.
func (t *turn) recallContact(ev *Event, rec eventRecord) (*Event, error) {
	switch ev.Type {
	case GroupChanged:
		ev.Group = t.recallGroup(rec.Conversation)
		return ev, nil
	case ConversationChanged:
		if !t.isConversation(rec.Conversation) {
			return nil, nil
		}
		return t.conversationEvent(rec.Conversation)
	case ContactRemoved:
		ev.Contact = &Contact{ID: rec.Conversation}
		return ev, nil
	}
	ev.Invite = rec.ID
	c := t.book.contacts[rec.Conversation]
	if c == nil {
		return nil, nil
	}
	shape := shapeContact(c)
	if ev.Type == ContactStateChanged {
		shape.State, shape.Verified = ContactState(rec.State), rec.Verified
	}
	ev.Contact = &shape
	return ev, nil
}

// recallMessage returns a message as it is now, nil if it is gone.
func (t *turn) recallMessage(conversation string, number uint64) (*Message, error) {
	if !t.isConversation(conversation) {
		return nil, nil
	}
	rec, err := t.row(conversation, number)
	if rec == nil || err != nil {
		return nil, err
	}
	m, err := t.shapeRow(conversation, number, rec)
	return &m, err
}

// recallRequest returns a pending request, nil if it is gone.
func (t *turn) recallRequest(id string) *Request {
	r := t.book.requests[id]
	if r == nil {
		return nil
	}
	shape := shapeRequest(r)
	return &shape
}

// recallFile returns a transfer in the state that was told.
func (t *turn) recallFile(rec eventRecord) *File {
	shape := File{ID: rec.ID, Contact: rec.Conversation}
	if f := t.book.files[rec.ID]; f != nil {
		shape = t.book.shapeFile(f)
	}
	shape.State, shape.Done = FileState(rec.State), int64(rec.Number)
	return &shape
}

// recallGroup returns a group as it is now, or what is left of it.
func (t *turn) recallGroup(id string) *Group {
	if g := t.book.groups[id]; g != nil {
		shape := t.book.shapeGroup(g)
		return &shape
	}
	return &Group{ID: id}
}
