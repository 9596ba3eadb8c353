package chat

import (
	"context"
	"strings"
	"unicode/utf8"

	"hearsay/chat/session"
)

// markRecord is what happened to a message after it was written.
type markRecord struct {
	Earlier  []earlierRecord `cbor:"1,keyasint,omitempty"` // texts before edits, oldest first
	Gone     byte            `cbor:"2,keyasint,omitempty"` // one of the gone constants
	Edited   int64           `cbor:"3,keyasint,omitempty"` // Unix milliseconds of the last edit
	EditSeq  uint64          `cbor:"4,keyasint,omitempty"` // seq in which the contact sent it
	Mine     string          `cbor:"5,keyasint,omitempty"` // our reaction
	Theirs   string          `cbor:"6,keyasint,omitempty"` // the contact's
	ReactSeq uint64          `cbor:"7,keyasint,omitempty"` // seq in which the contact sent it or took it back

	Expiry   uint64 `cbor:"8,keyasint,omitempty"` // row of bucketExpiry; 0: never
	Counting bool   `cbor:"9,keyasint,omitempty"` // the clock runs; Expiry was the latest before
}

// earlierRecord is a text before an edit.
type earlierRecord struct {
	Text string `cbor:"1,keyasint"`
	Time int64  `cbor:"2,keyasint"` // Unix milliseconds
}

// The values of markRecord.Gone, and what they are called outside.
const (
	goneHere  byte = 1
	goneAsked byte = 2
	gonePeer  byte = 3
)

var goneNames = map[byte]string{goneHere: DeletedHere, goneAsked: DeletedAsked, gonePeer: DeletedPeer}

// Implementation constants: what edits of one message may keep on the disk.
const (
	maxEarlier     = 16       // texts; the oldest go first
	maxEarlierSize = 64 << 10 // bytes of them in sum
)

// mark returns the mark of a message, made if there is none.
func (rec *messageRecord) mark() *markRecord {
	if rec.Mark == nil {
		rec.Mark = &markRecord{}
	}
	return rec.Mark
}

// written tells whether a message is something that people wrote and that is
// still there: only that is reacted to.
func (rec *messageRecord) written() bool {
	return (rec.Kind == kindText || rec.Kind == kindFile) && (rec.Mark == nil || rec.Mark.Gone == 0)
}

// edit replaces the text and keeps the earlier one.
func (rec *messageRecord) edit(text string, at int64) {
	m := rec.mark()
	since := m.Edited
	if since == 0 {
		since = rec.Time
	}
	m.Earlier = append(m.Earlier, earlierRecord{Text: rec.Text, Time: since})
	size := 0
	for i := len(m.Earlier) - 1; i >= 0; i-- {
		if size += len(m.Earlier[i].Text); size > maxEarlierSize || len(m.Earlier)-i > maxEarlier {
			m.Earlier = append([]earlierRecord(nil), m.Earlier[i+1:]...)
			break
		}
	}
	rec.Text, m.Edited = text, at
}

// strike erases what a message says and all that was said about it.
func (rec *messageRecord) strike(gone byte) {
	m := rec.mark()
	rec.Text, rec.Reply, rec.ReplyTo, rec.File = "", nil, 0, ""
	m.Gone, m.Earlier, m.Edited, m.Mine, m.Theirs = gone, nil, 0, "", ""
}

// takeAmendment takes an edit, a deletion or a reaction of the contact. seq is
// the first of its message: what is older than what was done already changes
// nothing.
func (t *turn) takeAmendment(c *contact, m session.Message, seq uint64) error {
	a, err := session.ParseAmendment(m.Type, m.Content)
	if err != nil || m.Type == session.FrameReact && a.Text != "" && !isEmoji(a.Text) {
		return nil //nolint:nilerr // malformed: nobody to tell
	}
	number, rec, err := t.byID(c.id, a.Target, func(rec *messageRecord) bool { return amendable(m.Type, rec) })
	if err != nil {
		return err
	}
	if rec == nil { // it may come later than this
		return t.keepEarly(c, earlyRecord{Type: byte(m.Type), Target: a.Target, Seq: seq, Text: a.Text})
	}
	return t.amend(c, number, rec, m.Type, a.Text, seq)
}

// amendable tells whether the contact may amend a message: only its author edits
// or deletes, and what the program said is nobody's.
func amendable(kind session.FrameType, rec *messageRecord) bool {
	switch kind {
	case session.FrameEdit:
		return !rec.Out && rec.Kind == kindText
	case session.FrameRetract:
		return !rec.Out && rec.Kind != kindNotice
	}
	return rec.Kind == kindText || rec.Kind == kindFile
}

// amend does what the contact wishes with a message that it may amend.
func (t *turn) amend(c *contact, number uint64, rec *messageRecord, kind session.FrameType, text string, seq uint64) error {
	m := rec.mark()
	if m.Gone != 0 {
		return nil
	}
	switch kind {
	case session.FrameEdit:
		if seq <= m.EditSeq {
			return nil
		}
		m.EditSeq = seq
		if rec.Text == text {
			return t.putRow(c.id, number, rec)
		}
		rec.edit(text, t.now.UnixMilli())
		rec.Log = appendLog(rec.Log, logRecord{At: t.now.Unix(), What: logEdited, Text: "edited by " + c.rec.Name})
	case session.FrameRetract:
		if err := t.dropFile(rec); err != nil {
			return err
		}
		rec.strike(gonePeer)
		rec.Log = appendLog(rec.Log, logRecord{At: t.now.Unix(), What: logDeleted, Text: "deleted by " + c.rec.Name})
	case session.FrameReact:
		if seq <= m.ReactSeq {
			return nil
		}
		m.ReactSeq = seq
		if m.Theirs == text {
			return t.putRow(c.id, number, rec)
		}
		m.Theirs = text
	}
	return t.changed(c.id, number, rec)
}

// changed writes a message that was amended and tells it.
func (t *turn) changed(conversation string, number uint64, rec *messageRecord) error {
	if err := t.putRow(conversation, number, rec); err != nil {
		return err
	}
	m, err := t.shapeRow(conversation, number, rec)
	if err != nil {
		return err
	}
	t.publish(Event{Type: MessageChanged, Message: &m})
	return nil
}

// tell sends an amendment of ours to the contact.
func (t *turn) tell(c *contact, number uint64, kind session.FrameType, a session.Amendment) error {
	content, err := a.Append(nil, kind)
	if err != nil {
		return err
	}
	return t.wait(c, waitRecord{Type: byte(kind), Content: content, About: number})
}

// told enters in the ledger of a message that the contact has our amendment,
// when the last of its frames is acknowledged.
func (t *turn) told(c *contact, o *outgoing) error {
	if o.rec.About == 0 || len(c.siblings(o)) > 1 {
		return nil
	}
	what := map[session.FrameType]string{
		session.FrameEdit: "the edit", session.FrameRetract: "the request to delete it",
	}[session.FrameType(o.rec.Type)]
	if what == "" {
		return nil
	}
	return t.logRow(c.id, o.rec.About, logRecord{What: logTold, Text: what})
}

// React puts an emoji under a message, in place of an earlier one of ours; an
// empty one takes it away. It fails with not_found or refused (no single emoji,
// a deleted message, or one of a group).
func (m *Messenger) React(ctx context.Context, message, emoji string) error {
	if emoji != "" && !isEmoji(emoji) {
		return &Error{Kind: KindRefused, Text: "a reaction is one emoji"}
	}
	return m.do(ctx, func(t *turn) error {
		conversation, number, rec, err := t.find(message)
		if err != nil {
			return err
		}
		c, err := t.amendsIn(conversation)
		if err != nil {
			return err
		}
		if !rec.written() {
			return errNotWritten
		}
		if rec.mark().Mine == emoji {
			return nil
		}
		rec.Mark.Mine = emoji
		if err := t.changed(conversation, number, rec); err != nil || c == nil {
			return err
		}
		return t.tell(c, number, session.FrameReact, session.Amendment{Target: rec.ID, Text: emoji})
	})
}

// Edit replaces the text of a message of ours, for both sides; each keeps the
// earlier texts. It fails with not_found, refused (not a text of ours, deleted,
// failed, or of a group) or too_large.
func (m *Messenger) Edit(ctx context.Context, message, text string) error {
	switch {
	case text == "" || !utf8.ValidString(text):
		return &Error{Kind: KindRefused, Text: "a message needs a text in UTF-8"}
	case len(text) > session.MaxText:
		return &Error{Kind: KindTooLarge, Text: "the message is too long", Hint: "64 KiB of text at most"}
	}
	return m.do(ctx, func(t *turn) error {
		conversation, number, rec, err := t.find(message)
		if err != nil {
			return err
		}
		c, err := t.amendsIn(conversation)
		if err != nil {
			return err
		}
		switch {
		case !rec.written():
			return errNotWritten
		case !rec.Out || rec.Kind != kindText:
			return &Error{Kind: KindRefused, Text: "only a text of yours can be edited"}
		case rec.Final == finalFailed:
			return &Error{Kind: KindRefused, Text: "this message did not arrive", Hint: "send it again"}
		case rec.Text == text:
			return nil
		}
		rec.edit(text, t.now.UnixMilli())
		rec.Log = appendLog(rec.Log, logRecord{At: t.now.Unix(), What: logEdited, Text: "edited by you"})
		if err := t.changed(conversation, number, rec); err != nil || c == nil {
			return err
		}
		return t.tell(c, number, session.FrameEdit, session.Amendment{Target: rec.ID, Text: text})
	})
}

// Delete deletes a message from this disk; the row stays, without its text. If
// both, which only messages of ours can be, the contact's copy is asked to do so
// as well, which nobody can prove: a message that no block was made of yet is
// not sent at all instead. Without both, what is on its way still arrives. It
// fails with not_found or refused.
func (m *Messenger) Delete(ctx context.Context, message string, both bool) error {
	return m.do(ctx, func(t *turn) error {
		conversation, number, rec, err := t.find(message)
		switch {
		case err != nil:
			return err
		case rec.Mark != nil && rec.Mark.Gone != 0 && !(both && rec.Mark.Gone == goneHere):
			return errNotWritten
		case !both:
			return t.deleteHere(conversation, number, rec)
		case !rec.Out:
			return &Error{Kind: KindRefused, Text: "only a message of yours can be deleted for both"}
		}
		c, err := t.amendsIn(conversation)
		if err != nil {
			return err
		}
		if c == nil {
			return t.deleteHere(conversation, number, rec)
		}
		return t.deleteBoth(c, number, rec)
	})
}

// deleteHere deletes the text of a message from this disk alone.
func (t *turn) deleteHere(conversation string, number uint64, rec *messageRecord) error {
	if err := t.dropFileOf(t.book.contacts[conversation], number, rec); err != nil {
		return err
	}
	rec.strike(goneHere)
	rec.Log = appendLog(rec.Log, logRecord{At: t.now.Unix(), What: logDeleted, Text: "deleted from this machine alone"})
	return t.changed(conversation, number, rec)
}

// dropFileOf removes the file that a message offers. One of ours that the
// contact does not have whole ends with that.
func (t *turn) dropFileOf(c *contact, number uint64, rec *messageRecord) error {
	if rec.File == "" {
		return nil
	}
	if err := t.dropFile(rec); err != nil {
		return err
	}
	if c == nil || c.own[number] == nil {
		return nil
	}
	rec.Final, rec.Reason = finalFailed, "deleted before the contact had it"
	return t.cancel(c, number)
}

// deleteBoth deletes a message of ours here and asks the contact to do so.
func (t *turn) deleteBoth(c *contact, number uint64, rec *messageRecord) error {
	if err := t.dropFileOf(c, number, rec); err != nil {
		return err
	}
	if err := t.unsay(c, number); err != nil { // nor do its new texts matter any more
		return err
	}
	id, text := rec.ID, "asked "+c.rec.Name+"'s copy to delete it"
	unsent := c.waits(number)
	if unsent {
		text = "deleted before it was sent"
	}
	rec.strike(goneAsked)
	if unsent {
		if err := t.cancel(c, number); err != nil {
			return err
		}
		rec.Mark.Gone, rec.Final, rec.Reason = goneHere, finalFailed, text
	}
	rec.Log = appendLog(rec.Log, logRecord{At: t.now.Unix(), What: logDeleted, Text: text})
	if err := t.changed(c.id, number, rec); err != nil || unsent {
		return err
	}
	return t.tell(c, number, session.FrameRetract, session.Amendment{Target: id})
}

// waits tells whether no frame was made of a message yet.
func (c *contact) waits(number uint64) bool {
	for _, w := range c.waiting {
		if w.number == number && w.group == "" {
			return true
		}
	}
	return false
}

var errNotWritten = &Error{Kind: KindRefused, Text: "this message was deleted, or nobody wrote it"}

// amendsIn returns the contact who is told what becomes of messages of a
// conversation, nil for the notes; it refuses groups, and contacts who may not
// be written to.
func (t *turn) amendsIn(conversation string) (*contact, error) {
	switch {
	case conversation == NotesID:
		return nil, nil
	case strings.HasPrefix(conversation, "g_"):
		return nil, &Error{Kind: KindRefused, Text: "messages of groups cannot be changed for others"}
	}
	c := t.book.contacts[conversation]
	return c, c.mayWrite()
}
