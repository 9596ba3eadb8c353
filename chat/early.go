package chat

import (
	"cmp"
	"slices"

	"hearsay/chat/session"
)

// bucketEarly holds, per contact, amendments and replies whose message has not
// come: it may be late.
const bucketEarly = "early/" // followed by a contact's id

// maxEarly is how many of them are kept per contact, so that a contact cannot
// fill the disk with amendments of nothing; the oldest go first.
const maxEarly = 64

// earlyRecord is one of them. They are forgotten after as long as blocks that no
// key opens.
type earlyRecord struct {
	Type   byte     `cbor:"1,keyasint"` // of the frame; a text: Number replies to Target
	Target [16]byte `cbor:"2,keyasint"`
	Seq    uint64   `cbor:"3,keyasint,omitempty"`
	Text   string   `cbor:"4,keyasint,omitempty"`
	Number uint64   `cbor:"5,keyasint,omitempty"`
}

func (t *turn) keepEarly(c *contact, rec earlyRecord) error {
	rows := t.tx.Sequence(bucketEarly + c.id)
	n, err := rows.Add(encode(rec))
	if err != nil {
		return err
	}
	if n > maxEarly {
		if err := rows.Delete(n - maxEarly); err != nil {
			return err
		}
	}
	_, err = t.putExpiry(t.now.Add(t.m.timing().parkKeep), expiryRecord{Conversation: c.id, Number: n, Early: true})
	return err
}

// takeEarlyWishes does to a message that came late what was wished before it came, in
// the order in which the contact wished it.
func (t *turn) takeEarlyWishes(c *contact, number uint64) error {
	rows := t.tx.Sequence(bucketEarly + c.id)
	if last, err := rows.Last(); last == 0 || err != nil {
		return err
	}
	rec, err := t.row(c.id, number)
	if rec == nil || err != nil {
		return err
	}
	type wish struct {
		earlyRecord
		row uint64
	}
	var wishes []wish
	err = rows.Up(0, func(n uint64, raw []byte) (bool, error) {
		w := wish{row: n}
		if err := decode(raw, &w.earlyRecord); err != nil {
			return false, err
		}
		if w.Target == rec.ID {
			wishes = append(wishes, w)
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(wishes, func(a, b wish) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, w := range wishes {
		kind := session.FrameType(w.Type)
		switch {
		case kind == session.FrameText:
			err = t.resolveReply(c, w.Number, number)
		case amendable(kind, rec):
			err = t.amend(c, number, rec, kind, w.Text, w.Seq)
		}
		if err != nil {
			return err
		}
		if err := rows.Delete(w.row); err != nil {
			return err
		}
	}
	return nil
}

// resolveReply notes what a message replies to, now that it is known.
func (t *turn) resolveReply(c *contact, number, to uint64) error {
	rec, err := t.row(c.id, number)
	if rec == nil || rec.Reply == nil || err != nil {
		return err
	}
	rec.ReplyTo = to
	return t.changed(c.id, number, rec)
}
