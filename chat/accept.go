package chat

import (
	"fmt"
	"slices"
	"strings"

	"hearsay/chat/session"
)

// takeEarly takes an inner block that came to an invite. It returns the contact
// once the request is whole and proved itself.
func (t *turn) takeEarly(i *invite, inner []byte) (*contact, error) {
	kind, err := session.ParseInner(inner)
	if err != nil {
		return nil, err
	}
	switch kind {
	case session.InnerRatchet:
		known := slices.ContainsFunc(i.rec.Parked, func(p []byte) bool { return slices.Equal(p, inner) })
		if !known && len(i.rec.Parked) < parkedLimit {
			i.rec.Parked = append(i.rec.Parked, inner)
		}
		return nil, nil
	case session.InnerRequest:
		container, err := i.parts.Add(t.now, inner)
		i.rec.Parts = i.parts.Append(nil)
		if err != nil || container == nil {
			return nil, err
		}
		return t.accept(i, container)
	}
	return nil, nil
}

// accept makes a contact of the first valid request of an invite, in the
// transaction that deletes the invite's private keys.
func (t *turn) accept(i *invite, container []byte) (*contact, error) {
	accepted, err := i.secret.Accept(t.m.snapshotTime(t.now), session.Config{Lab: t.m.isLab()}, container)
	if err != nil {
		t.m.log.Info("a contact request does not hold")
		return nil, err
	}
	c := newContact(newID("c_"))
	c.session = accepted.State
	c.rec = contactRecord{Name: t.book.freeName(i.rec.Name, i.id), State: ContactActive, Old: []oldQueues{{ID: 1, Queues: i.rec.Queues}}, Active: t.now.Unix()}
	for n, a := range accepted.Queues {
		if !a.IsZero() {
			c.rec.Peer[n].Addr = a.Append(nil)
		}
	}
	if err := c.address(); err != nil {
		return nil, err
	}
	if err := t.addContact(c); err != nil {
		return nil, err
	}
	if err := t.introduced(c, i.id); err != nil {
		return nil, err
	}
	delete(t.book.invites, i.id)
	if err := t.tx.Bucket(bucketInvite).Delete(i.id); err != nil {
		return nil, err
	}
	t.roster, t.met = true, true
	shape := shapeContact(c)
	t.publish(Event{Type: InviteUsed, Invite: i.id, Contact: &shape})
	t.publish(Event{Type: ContactAdded, Contact: &shape})
	for _, inner := range i.rec.Parked {
		if err := t.takeInner(c, inner); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// addContact enters a new contact.
func (t *turn) addContact(c *contact) error {
	t.book.order++
	c.rec.Order = t.book.order
	t.book.contacts[c.id] = c
	t.touch(c)
	return t.tx.Bucket(bucketMeta).Put(metaOrder, encode(t.book.order))
}

// freeName returns the wanted name, with a number if another contact or open
// invite than except has it; unnamed contacts get a number.
func (b *book) freeName(wanted, except string) string {
	if wanted == "" {
		wanted = "contact"
	} else if !b.nameTaken(wanted, except) {
		return wanted
	}
	for n := 1; ; n++ {
		if name := fmt.Sprintf("%s %d", wanted, n); !b.nameTaken(name, except) {
			return name
		}
	}
}

func (b *book) nameTaken(name, except string) bool {
	if strings.EqualFold(name, NotesID) {
		return true // what is meant for this disk alone must not go to somebody of that name
	}
	for id, c := range b.contacts {
		if id != except && strings.EqualFold(c.rec.Name, name) {
			return true
		}
	}
	for id, i := range b.invites {
		if id != except && i.rec.Name != "" && strings.EqualFold(i.rec.Name, name) {
			return true
		}
	}
	return false
}

func (t *turn) saveInvite(i *invite) error {
	return t.tx.Bucket(bucketInvite).Put(i.id, encode(i.rec))
}
