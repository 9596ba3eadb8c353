package chat

import "time"

// NotesID is the contact that never leaves this disk: what is written to it is
// kept, and nothing is sent. It is in the list of contacts once something was
// written to it or set for it.
const NotesID = "notes"

// addNote keeps a text. It is delivered as soon as it is on this disk, which is
// where it goes.
func (t *turn) addNote(text string, o SendOptions) (Message, error) {
	rec := messageRecord{Out: true, Text: text, Time: t.now.UnixMilli(), Final: finalDelivered}
	if err := t.replies(NotesID, &rec, o.Reply); err != nil {
		return Message{}, err
	}
	number, err := t.addRow(NotesID, &rec)
	if err != nil {
		return Message{}, err
	}
	m, err := t.shapeRow(NotesID, number, &rec)
	if err != nil {
		return Message{}, err
	}
	t.publish(Event{Type: MessageStateChanged, Message: &m, Detail: "kept on this machine"})
	return m, nil
}

// notes describes the contact of that name; nil while it was never used.
func (t *turn) notes() (*Contact, error) {
	last, err := t.tx.History(NotesID).Last()
	if err != nil {
		return nil, err
	}
	settings, err := t.conversation(NotesID)
	if err != nil || last == 0 && settings == nil {
		return nil, err
	}
	return &Contact{ID: NotesID, Name: NotesID, State: ContactActive, Settings: settings}, nil
}

// shapeRow turns a row of any conversation's history into what people and
// scripts see.
func (t *turn) shapeRow(conversation string, number uint64, rec *messageRecord) (Message, error) {
	if c := t.book.contacts[conversation]; c != nil {
		m := shapeMessage(c, number, *rec)
		m.File = t.fileShape(rec.File)
		return m, nil
	}
	if conversation == NotesID {
		m := Message{
			ID: messageID(NotesID, number), Contact: NotesID, Direction: Out, Text: rec.Text, Seq: number,
			Time: time.UnixMilli(rec.Time).UTC(), State: Delivered,
		}
		m.dress(NotesID, rec)
		return m, nil
	}
	list, err := t.groupMessages(conversation, number-1, 1)
	if err != nil || len(list) == 0 || list[0].Seq != number {
		return Message{ID: messageID(conversation, number), Contact: conversation, Seq: number}, err
	}
	return list[0], nil
}
