package chat

import (
	"context"
	"crypto/rand"

	"hearsay/chat/session"
)

// lifeRecord is what is kept of the life of a contact.
type lifeRecord struct {
	Introduced string       `cbor:"1,keyasint,omitempty"` // name of who introduced them for a group
	Before     ContactState `cbor:"2,keyasint,omitempty"` // state when they were blocked
	Bye        int64        `cbor:"3,keyasint,omitempty"` // Unix seconds; when they said that they removed us
	By         string       `cbor:"4,keyasint,omitempty"` // id of who introduced them
}

// life returns what is kept of the life of a contact, made if there is nothing.
func (c *contact) life() *lifeRecord {
	if c.rec.Life == nil {
		c.rec.Life = &lifeRecord{}
	}
	return c.rec.Life
}

// introducedBy is the name of who introduced the contact, or "".
func (c *contact) introducedBy() string {
	if c.rec.Life == nil {
		return ""
	}
	return c.rec.Life.Introduced
}

// leftUs tells whether the contact removed us.
func (c *contact) leftUs() bool { return c.rec.Life != nil && c.rec.Life.Bye != 0 }

// cutOff tells whether nothing at all is sent to the contact.
func (c *contact) cutOff() bool { return c.rec.State == ContactBlocked || c.leftUs() }

// inviteFailed tells whether the contact will never answer.
func (c *contact) inviteFailed() bool { return c.rec.Claim != nil && c.rec.Claim.Failed != "" }

// unheard tells whether a message of the contact is dropped since it is blocked.
// What keeps session and queues alive is taken, so that unblocking works. A
// contact who writes after a farewell was set back to a time before it.
func (t *turn) unheard(c *contact, kind session.FrameType) bool {
	if c.rec.State == ContactBlocked {
		switch kind {
		case session.FrameSASHash, session.FrameSASNonce, session.FrameSASOpen:
			return true
		}
		return !kind.Control() && kind != session.FrameBye
	}
	if c.leftUs() && kind != session.FrameBye {
		c.rec.Life.Bye = 0
		t.contactChanged(c)
	}
	return false
}

// takeBye takes that the contact removed us: what is on its way fails.
func (t *turn) takeBye(c *contact) error {
	if c.leftUs() {
		return nil
	}
	c.life().Bye = t.now.Unix()
	t.contactChanged(c)
	if err := t.failOutgoing(c, c.rec.Name+" removed you from their contacts"); err != nil {
		return err
	}
	if c.rec.State == ContactBlocked {
		return nil
	}
	return t.addNotice(c, c.rec.Name+" removed you from their contacts: what you write does not reach them any more")
}

// failOutgoing fails all messages on their way to a contact.
func (t *turn) failOutgoing(c *contact, reason string) error {
	t.touch(c)
	copies := make(map[logKey]struct{})
	for _, w := range c.waiting {
		copies[logKey{w.group, w.number}] = struct{}{}
	}
	for _, o := range c.out {
		copies[logKey{o.rec.Group, o.rec.Number}] = struct{}{}
	}
	if err := t.withdraw(c, func(number uint64, _ string) bool { return number != 0 }); err != nil {
		return err
	}
	for _, number := range sortedKeys(c.own) {
		if err := t.finalize(c, number, finalFailed, reason); err != nil {
			return err
		}
	}
	for k := range copies {
		if k.group == "" {
			continue
		}
		if err := t.failGroupCopy(c, k.group, k.number, reason); err != nil {
			return err
		}
	}
	return nil
}

// contactChanged announces the state of a contact.
func (t *turn) contactChanged(c *contact) {
	t.touch(c)
	shape := shapeContact(c)
	t.publish(Event{Type: ContactStateChanged, Contact: &shape})
}

// changeContact runs a change of a contact.
func (m *Messenger) changeContact(ctx context.Context, id string, change func(t *turn, c *contact) error) error {
	return m.do(ctx, func(t *turn) error {
		c := t.book.contacts[id]
		if c == nil {
			return errNoContact
		}
		return change(t, c)
	})
}

// RenameContact gives a contact another name, which stays on this disk. It fails
// with not_found, refused (no name), too_large or exists.
func (m *Messenger) RenameContact(ctx context.Context, id, name string) error {
	name, refused := checkName(name)
	switch {
	case refused != nil:
		return refused
	case name == "":
		return &Error{Kind: KindRefused, Text: "a contact needs a name"}
	}
	return m.changeContact(ctx, id, func(t *turn, c *contact) error {
		switch {
		case c.rec.Name == name:
			return nil
		case t.book.nameTaken(name, c.id):
			return &Error{Kind: KindExists, Text: "there is a contact or an invite of that name", Hint: "choose another name"}
		}
		c.rec.Name = name
		t.contactChanged(c)
		return nil
	})
}

// BlockContact drops what a contact sends from now on, and sends nothing, not
// even acknowledgements: to the contact it looks as if we were away. Messages on
// their way fail. It fails with not_found or refused (there is no session yet).
func (m *Messenger) BlockContact(ctx context.Context, id string) error {
	return m.changeContact(ctx, id, func(t *turn, c *contact) error {
		switch c.rec.State {
		case ContactBlocked:
			return nil
		case ContactActive, ContactChanged:
		default:
			return &Error{Kind: KindRefused, Text: "this contact has not answered yet", Hint: "remove the contact instead"}
		}
		if err := t.failOutgoing(c, "you blocked "+c.rec.Name); err != nil {
			return err
		}
		c.life().Before, c.rec.State = c.rec.State, ContactBlocked
		t.contactChanged(c)
		return nil
	})
}

// UnblockContact ends what BlockContact began. What the contact sent meanwhile
// does not come back. It fails with not_found.
func (m *Messenger) UnblockContact(ctx context.Context, id string) error {
	return m.changeContact(ctx, id, func(t *turn, c *contact) error {
		if c.rec.State != ContactBlocked {
			return nil
		}
		if c.rec.State = c.life().Before; c.rec.State != ContactChanged {
			c.rec.State = ContactActive
		}
		c.rec.Life.Before = ""
		t.contactChanged(c)
		if c.session != nil {
			t.oweAck(c)
		}
		return t.fill(c)
	})
}

// RemoveContact tells the contact so, has relays delete the queues, and erases
// keys, history, files and drafts at once. Telling is given up after a day,
// deleting once the relays have forgotten the queues by themselves; both outlive
// restarts. It fails with not_found.
func (m *Messenger) RemoveContact(ctx context.Context, id string) error {
	return m.changeContact(ctx, id, func(t *turn, c *contact) error {
		if err := t.sayBye(c); err != nil {
			return err
		}
		return t.erase(c)
	})
}

// sayBye leaves a sealed farewell behind, if the contact is to hear one: a
// blocked one learns nothing.
func (t *turn) sayBye(c *contact) error {
	if c.session == nil || c.cutOff() {
		return nil
	}
	for _, seq := range sortedKeys(c.out) {
		if seq < requestSeq {
			c.session.GiveUp(seq) // there is room for one frame more
		}
	}
	sealed, err := c.session.Seal(rand.Reader, t.now, session.Message{Type: session.FrameBye})
	if err != nil || len(sealed) != 1 {
		return nil //nolint:nilerr // before the first answer no more frames may go: the contact hears nothing
	}
	f := &farewellRecord{Inner: sealed[0].Inner, Ends: t.now.Add(t.groupTimer(farewellLife)).Unix()}
	for i := range c.slots {
		if a := c.slots[i].addr; !a.IsZero() {
			f.Peers = append(f.Peers, farewellPeer{Addr: a.Append(nil), Next: t.now.Add(between(0, t.m.timing().secondCopy)).Unix()})
		}
	}
	if len(f.Peers) == 0 {
		return nil
	}
	return t.addFarewell(f)
}

// erase removes a contact from this disk, and has its queues deleted.
func (t *turn) erase(c *contact) error {
	if err := t.unbind(c); err != nil {
		return err
	}
	for q := range c.read() {
		t.discard(*q)
	}
	for n := range c.rec.Own {
		if next := c.moveSlot(n).Next; next != nil {
			t.discard(*next)
		}
	}
	for _, name := range []string{bucketContact, bucketSession, bucketReset} {
		if err := t.tx.Bucket(name).Delete(c.id); err != nil {
			return err
		}
	}
	for _, name := range []string{bucketOutbox, bucketWaiting, bucketHeld, bucketSeen, bucketParked, bucketGaveUp} {
		if err := t.tx.Sequence(name + c.id).Drop(); err != nil {
			return err
		}
	}
	if err := t.dropFiles(c); err != nil {
		return err
	}
	if err := t.dropConversation(c.id); err != nil {
		return err
	}
	if err := t.tx.History(c.id).Drop(); err != nil {
		return err
	}
	delete(t.book.contacts, c.id)
	delete(t.dirty, c)
	t.m.forgetPath(c.id)
	t.roster = true
	t.publish(Event{Type: ContactRemoved, Contact: &Contact{ID: c.id, Name: c.rec.Name}})
	return nil
}

// forgetPath forgets which circuit served a contact.
func (m *Messenger) forgetPath(contact string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.served, contact)
}
