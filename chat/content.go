package chat

import "hearsay/chat/session"

// deliver takes a whole message of the contact, once; seq is that of its first
// frame, and late says that one with a higher seq was taken before. Content that does not parse changes nothing: the
// contact alone could write it, and nobody has to be told.
func (t *turn) deliver(c *contact, m session.Message, seq uint64, late bool) error {
	if t.unheard(c, m.Type) {
		return nil
	}
	switch m.Type {
	case session.FrameText:
		return t.takeText(c, m, late)
	case session.FrameEdit, session.FrameRetract, session.FrameReact:
		return t.takeAmendment(c, m, seq)
	case session.FrameTimer:
		return t.takeTimer(c, m)
	case session.FrameFile:
		return t.takeFile(c, m, late)
	case session.FrameFileCtl:
		return t.takeFileControl(c, m)
	case session.FrameQBad:
		return t.takeBadQueue(c, m.Content)
	case session.FrameResetKey:
		return t.takeResetKey(c, m.Content)
	case session.FrameIDRot:
		return t.takeRotation(c, m.Content)
	case session.FrameSASHash, session.FrameSASNonce, session.FrameSASOpen:
		return t.takeWords(c, m)
	case session.FrameGroup:
		return t.takeGroupText(c, m)
	case session.FrameGroupOp:
		return t.takeGroupOp(c, m)
	case session.FrameIntro:
		return t.takeIntro(c, m)
	case session.FrameBye:
		if len(m.Content) != 0 {
			return nil // malformed
		}
		return t.takeBye(c)
	}
	if m.Type.Control() {
		return nil // of a later version; it shows nothing
	}
	return t.addMessage(c, messageRecord{ID: m.ID, Late: late, Kind: kindUnsupported, Text: "[unsupported message]"})
}

// takeText shows a text of the contact.
func (t *turn) takeText(c *contact, m session.Message, late bool) error {
	text, err := session.ParseText(m.Content)
	if err != nil {
		return nil //nolint:nilerr // malformed: nothing to show
	}
	rec := messageRecord{ID: m.ID, Late: late, Text: text.Text, Reply: text.Reply, Timer: text.Timer}
	if rec.Reply != nil {
		// One that is deleted counts too: it would, had the deletion come later.
		rec.ReplyTo, _, err = t.byID(c.id, *rec.Reply, func(to *messageRecord) bool { return to.Kind == kindText || to.Kind == kindFile })
		if err != nil {
			return err
		}
	}
	return t.addMessage(c, rec)
}

// replies enters in a message of ours which message it replies to; an empty id
// is none.
func (t *turn) replies(conversation string, rec *messageRecord, message string) error {
	if message == "" {
		return nil
	}
	in, number, to, err := t.find(message)
	switch {
	case err != nil:
		return err
	case in != conversation:
		return &Error{Kind: KindRefused, Text: "the message that is replied to is of another conversation"}
	case !to.written():
		return errNotWritten
	}
	rec.ReplyTo = number
	if to.ID != [16]byte{} {
		id := to.ID
		rec.Reply = &id
	}
	return nil
}

// addMessage puts a received message, or what the program says, into the
// history of the contact and announces it.
func (t *turn) addMessage(c *contact, rec messageRecord) error {
	t.touch(c)
	if again, err := t.cameBefore(c, &rec); again || err != nil {
		return err
	}
	rec.Time = t.now.UnixMilli()
	number, err := t.addRow(c.id, &rec)
	if err != nil {
		return err
	}
	c.rec.Active = t.now.Unix()
	if rec.Reply != nil && rec.ReplyTo == 0 && rec.Kind == kindText {
		if err := t.keepEarly(c, earlyRecord{Type: byte(session.FrameText), Target: *rec.Reply, Number: number}); err != nil {
			return err
		}
	}
	shape := shapeMessage(c, number, rec)
	shape.File = t.fileShape(rec.File)
	t.publish(Event{Type: MessageReceived, Message: &shape})
	if rec.Late {
		return t.takeEarlyWishes(c, number)
	}
	return nil
}
