package chat

import (
	"context"
	"slices"
	"strings"
	"time"

	"hearsay/relay/mailbox"
)

// Retry tries at once what waits of a message that is queued or stored at too few
// relays (SPEC.md §6.2). A failed message stays failed: its user writes it again.
// It fails with not_found, or refused if nothing can be tried.
func (m *Messenger) Retry(ctx context.Context, message string) error {
	return m.do(ctx, func(t *turn) error {
		conversation, number, rec, err := t.find(message)
		if err != nil {
			return err
		}
		switch {
		case !rec.Out:
			return refuseRetry("this message was written to you", "")
		case conversation == NotesID:
			return refuseRetry("a note stays on this machine", "")
		case rec.Final == finalDelivered:
			return refuseRetry("this message is delivered", "")
		case rec.Final == finalFailed:
			return refuseRetry("this message has failed for good", "write it again")
		}
		tried, stored := false, true
		for _, c := range t.book.sorted() {
			if !strings.HasPrefix(conversation, "g_") && c.id != conversation || c.cutOff() {
				continue
			}
			hurried, waits, err := t.hurry(c, conversation, number)
			if err != nil {
				return err
			}
			tried, stored = tried || hurried, stored && !waits
		}
		if tried {
			return nil
		}
		if c := t.book.contacts[conversation]; c != nil {
			switch {
			case c.cutOff():
				return refuseRetry("nothing is sent to this contact", "unblock it first")
			case c.rec.State == ContactChanged:
				return refuseRetry("the contact's key has changed", "compare the new one first")
			case c.rec.State == ContactInvited:
				return refuseRetry("it goes when the contact answers the invite", "")
			}
		}
		if stored {
			return refuseRetry("all copies are stored: it waits until the contact fetches it", "")
		}
		return refuseRetry("it is on its way already, or waits for what was sent before", "")
	})
}

func refuseRetry(text, hint string) error {
	return &Error{Kind: KindRefused, Text: text, Hint: hint}
}

// hurry has the queues of a contact that a message still lacks a copy at tried
// now, and tells whether one is. What never left keeps the moment that was drawn
// for it, which is seconds away: two copies that leave together would show two
// relays that they belong together (SPEC.md §5.2). waits tells that something of
// the message is not stored there.
func (t *turn) hurry(c *contact, conversation string, number uint64) (hurried, waits bool, err error) {
	group := ""
	if c.id != conversation {
		group = conversation
	}
	waits = slices.ContainsFunc(c.waiting, func(w waiting) bool { return w.number == number && w.group == group })
	for slotNumber := range c.slots {
		s := &c.slots[slotNumber]
		lacks := false
		for _, seq := range c.order {
			o := c.out[seq]
			if o.rec.Number != number || o.rec.Group != group || s.addr.IsZero() {
				continue
			}
			if g := o.got[slotNumber]; g != nil && g.sid == mailbox.SID(s.addr.SID) && t.holds(g) {
				continue
			}
			waits = true
			again, err := t.again(c, o, slotNumber)
			if err != nil {
				return false, false, err
			}
			lacks = lacks || again || t.now.Before(s.rests)
		}
		if !lacks {
			continue
		}
		hurried = true
		s.rests = time.Time{} // its failures stay counted: the next wait is no shorter
		wake(c.wakes.write[slotNumber])
	}
	return hurried, waits, nil
}

// again has a frame that left in vain leave again now, unless that is about to
// happen or it did so as often as it may.
func (t *turn) again(c *contact, o *outgoing, slotNumber int) (bool, error) {
	tried := o.rec.Tried[slotNumber]
	if tried == nil || tried.SID != c.slots[slotNumber].addr.SID || tried.Times+o.rec.Reseals > repeatLimit || !t.dueAt(c, o, slotNumber).After(t.now) {
		return false, nil
	}
	now := *tried
	now.Soon, now.Next = t.now.UnixMilli(), t.now.UnixMilli()
	o.rec.Tried[slotNumber] = &now
	return true, t.saveOutgoing(c, o)
}
