package chat

import (
	"time"
)

// bucketExpiry orders what is to be removed from this disk by time: the number
// of a row is the Unix second shifted by expiryShift, and a running number.
const (
	bucketExpiry = "expiry"
	expiryShift  = 24

	// expiryBatch is how much is removed in one transaction, so that sending
	// does not wait for a long list.
	expiryBatch = 256
)

// expiryRecord names what is removed.
type expiryRecord struct {
	Conversation string `cbor:"1,keyasint"`
	Number       uint64 `cbor:"2,keyasint"`           // of the message
	Early        bool   `cbor:"3,keyasint,omitempty"` // Number is of a row in bucketEarly
}

// putExpiry plans a removal and returns its row.
func (t *turn) putExpiry(at time.Time, rec expiryRecord) (uint64, error) {
	rows := t.tx.Sequence(bucketExpiry)
	var key uint64
	for {
		t.book.planned++ // goes on from one second to the next: to look for a free number would take long in a full one
		key = uint64(max(at.Unix(), 1))<<expiryShift | t.book.planned%(1<<expiryShift)
		old, err := rows.Get(key)
		if err != nil {
			return 0, err
		}
		if old == nil {
			break
		}
	}
	if t.book.expiry.IsZero() || at.Before(t.book.expiry) {
		t.book.expiry = at
	}
	return key, rows.Put(key, encode(rec))
}

// limit plans the removal of a new message that disappears: at the latest when
// its time has passed after the longest that delivery may take (SPEC.md §10.3).
// The caller writes rec.
func (t *turn) limit(conversation string, number uint64, rec *messageRecord) (err error) {
	latest := time.UnixMilli(rec.Time).Add(t.m.timing().expire + time.Duration(rec.Timer)*time.Second)
	rec.mark().Expiry, err = t.putExpiry(latest, expiryRecord{Conversation: conversation, Number: number})
	return err
}

// unlimit takes back a planned removal. The caller writes or removes rec.
func (t *turn) unlimit(rec *messageRecord) error {
	if rec.Mark == nil || rec.Mark.Expiry == 0 {
		return nil
	}
	row := rec.Mark.Expiry
	rec.Mark.Expiry = 0
	return t.tx.Sequence(bucketExpiry).Delete(row)
}

// startClock starts the time after which a message disappears: ours when it was
// delivered, the contact's when it was first displayed. The caller writes rec.
func (t *turn) startClock(conversation string, number uint64, rec *messageRecord) error {
	if rec.Timer == 0 || rec.mark().Counting {
		return nil
	}
	rec.Mark.Counting = true
	at := t.now.Add(time.Duration(rec.Timer) * time.Second)
	if latest := time.Unix(int64(rec.Mark.Expiry>>expiryShift), 0); !at.Before(latest) {
		return nil
	}
	if err := t.unlimit(rec); err != nil {
		return err
	}
	var err error
	rec.Mark.Expiry, err = t.putExpiry(at, expiryRecord{Conversation: conversation, Number: number})
	return err
}

// expires returns when a message disappears; nil if never, or if its clock does
// not run yet.
func (rec *messageRecord) expires() *time.Time {
	if rec.Mark == nil || rec.Mark.Expiry == 0 || !rec.Mark.Counting {
		return nil
	}
	at := time.Unix(int64(rec.Mark.Expiry>>expiryShift), 0).UTC()
	return &at
}

// tickExpiry removes messages whose time is over.
func (t *turn) tickExpiry() error {
	if t.now.Before(t.book.expiry) {
		return nil
	}
	rows := t.tx.Sequence(bucketExpiry)
	var due []uint64
	var recs []expiryRecord
	next := t.now.Add(time.Hour)
	err := rows.Up(0, func(n uint64, raw []byte) (bool, error) {
		if at := time.Unix(int64(n>>expiryShift), 0); at.After(t.now) || len(due) == expiryBatch {
			next = minTime(next, at)
			return false, nil
		}
		var rec expiryRecord
		due, recs = append(due, n), append(recs, rec)
		return true, decode(raw, &recs[len(recs)-1])
	})
	if err != nil {
		return err
	}
	t.book.expiry = next
	for i, n := range due {
		if err := rows.Delete(n); err != nil {
			return err
		}
		if err := t.expire(n, recs[i]); err != nil {
			return err
		}
	}
	return nil
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// expire removes one thing whose time is over.
func (t *turn) expire(row uint64, due expiryRecord) error {
	if due.Early {
		return t.tx.Sequence(bucketEarly + due.Conversation).Delete(due.Number)
	}
	rec, err := t.row(due.Conversation, due.Number)
	if rec == nil || err != nil {
		return err
	}
	if rec.Mark == nil || rec.Mark.Expiry != row || !t.isConversation(due.Conversation) {
		return nil // planned anew, or the contact was removed
	}
	m, err := t.shapeRow(due.Conversation, due.Number, rec)
	if err != nil {
		return err
	}
	if err := t.forgetMessage(due.Conversation, due.Number, rec); err != nil {
		return err
	}
	m.Text, m.Reply, m.Reactions, m.File, m.Deleted = "", "", nil, nil, DeletedExpired
	t.publish(Event{Type: MessageChanged, Message: &m})
	return nil
}
