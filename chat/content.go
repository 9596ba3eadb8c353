package chat

import "hearsay/chat/session"

// deliver takes a whole message of the contact, once; late says that one with a
// higher seq was taken before. Content that does not parse changes nothing: the
// contact alone could write it, and nobody has to be told.
func (t *turn) deliver(c *contact, m session.Message, late bool) error {
	switch m.Type {
	case session.FrameText:
		return t.takeText(c, m, late)
	case session.FrameEdit, session.FrameRetract, session.FrameReact:
		return t.takeAmendment(c, m)
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
	return t.addMessage(c, messageRecord{ID: m.ID, Late: late, Text: text.Text, Reply: text.Reply, Timer: text.Timer})
}

// addMessage puts a received message into the history of the contact and
// announces it.
func (t *turn) addMessage(c *contact, rec messageRecord) error {
	t.touch(c)
	rec.Time = t.now.UnixMilli()
	number, err := t.tx.History(c.id).Add(t.now, encode(rec))
	if err != nil {
		return err
	}
	c.rec.Active = t.now.Unix()
	shape := shapeMessage(c, number, rec)
	t.publish(Event{Type: MessageReceived, Message: &shape})
	return nil
}
