package chat

import (
	"time"

	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// custody is what counts of a receipt that was verified when it came.
type custody struct {
	relay directory.RelayID
	sid   mailbox.SID
	until uint32 // protocol hours

	// Whether the relay is listed, as of view, so that each receipt is looked up
	// once per snapshot.
	view   *directory.View
	listed bool
}

// parse reads the receipts of a stored frame.
func (o *outgoing) parse() error {
	for i, raw := range o.rec.Receipts {
		o.got[i] = nil
		if len(raw) == 0 {
			continue
		}
		r, err := mailbox.ParseReceipt(raw)
		if err != nil {
			return err
		}
		o.got[i] = &custody{relay: r.Relay, sid: r.SID, until: r.Until}
	}
	return nil
}

// holds tells whether the copy of a slot is still proven: its relay is listed
// and owes the block.
func (t *turn) holds(g *custody) bool {
	if g == nil || t.protocolHour() >= g.until {
		return false
	}
	view := t.m.views.Current()
	if view == nil {
		return true // nothing newer is known than when the receipt was verified
	}
	if view != g.view {
		g.view, g.listed = view, listedIn(view, g.relay)
	}
	return g.listed
}

// protocolHour is the hour of the turn.
func (t *turn) protocolHour() uint32 {
	if t.hour == 0 {
		t.hour = mailbox.Hours(t.m.snapshotTime(t.now), t.m.isLab())
	}
	return t.hour
}

func listedIn(view *directory.View, id directory.RelayID) bool {
	_, listed := view.Relay(id)
	return listed
}

// copies counts the relays that provably hold a frame.
func (t *turn) copies(o *outgoing) int {
	n := 0
	for _, g := range o.got {
		if t.holds(g) {
			n++
		}
	}
	return n
}

// settle compares what is proven about each message on its way with what was
// last told, and tells the difference (SPEC.md §6). It looks at those with frames
// in the outbox, or with some that left it: nothing changes about others, of
// which there may be thousands, but how many copies are wanted.
func (t *turn) settle(c *contact) error {
	defer clear(c.ended)
	if err := t.settleGroups(c); err != nil {
		return err
	}
	defer clear(c.left)
	if len(c.own) == 0 {
		return nil
	}
	least := make(map[uint64]int, len(c.out))
	for _, o := range c.out {
		if n := o.rec.Number; n != 0 && o.rec.Group == "" {
			k := t.copies(o)
			if low, ok := least[n]; !ok || k < low {
				least[n] = k
			}
		}
	}
	want := c.want()
	if c.wants != want {
		c.wants = want
		for number := range c.own {
			c.left[number] = struct{}{}
		}
	}
	for number, have := range least {
		delete(c.left, number)
		if err := t.tellCopies(c, number, have, want); err != nil {
			return err
		}
	}
	if len(c.left) == 0 {
		return nil
	}
	for _, w := range c.waiting {
		if _, ok := c.left[w.number]; ok && w.group == "" {
			delete(c.left, w.number)
			if err := t.tellCopies(c, w.number, 0, want); err != nil {
				return err
			}
		}
	}
	for _, number := range sortedKeys(c.left) { // the contact has every frame
		if c.own[number] == nil || t.book.awaitsFile(c, number) {
			continue // failed or deleted; or delivered when the contact has the file
		}
		if err := t.finalize(c, number, finalDelivered, ""); err != nil {
			return err
		}
	}
	return nil
}

// tellCopies tells how many relays hold a message on its way, if that changed.
func (t *turn) tellCopies(c *contact, number uint64, have, want int) error {
	own := c.own[number]
	if own == nil {
		return nil
	}
	state, copies := Queued, Copies{Have: have, Want: want}
	if have > 0 {
		state = Stored
	}
	if copies.Have < own.copies.Have {
		if err := t.logLost(c, number); err != nil {
			return err
		}
	}
	shown := own.state != state || copies.Have != own.copies.Have
	own.state, own.copies = state, copies
	if shown {
		t.publishState(c, number, state, copies, "")
	}
	return nil
}

// finalize ends a message's way: delivered or failed for the given reason.
func (t *turn) finalize(c *contact, number uint64, final byte, reason string) error {
	delete(c.own, number)
	rec, err := t.row(c.id, number)
	if rec == nil || err != nil {
		return err // it disappeared, or was removed, meanwhile
	}
	rec.Final, rec.Reason = final, reason
	t.logEnd(c, number, rec)
	if final == finalDelivered {
		if err := t.startClock(c.id, number, rec); err != nil {
			return err
		}
	}
	if err := t.putRow(c.id, number, rec); err != nil {
		return err
	}
	m := shapeMessage(c, number, *rec)
	t.publishState(c, number, m.State, *m.Copies, reason)
	return nil
}

func (t *turn) publishState(c *contact, number uint64, state MessageState, copies Copies, detail string) {
	m := &Message{ID: messageID(c.id, number), Contact: c.id, Direction: Out, Seq: number, State: state, Copies: &copies}
	if detail == "" {
		detail = stateDetail(state, m)
	}
	t.publish(Event{Type: MessageStateChanged, Message: m, Detail: detail})
}

// shapeMessage turns a row of the history into what people and scripts see.
func shapeMessage(c *contact, number uint64, rec messageRecord) Message {
	m := Message{
		ID: messageID(c.id, number), Contact: c.id, Direction: In, Text: rec.Text, Seq: number,
		Time: time.UnixMilli(rec.Time).UTC(), State: Received, Late: rec.Late,
	}
	m.dress(c.id, &rec)
	if !rec.Out {
		return m
	}
	m.Direction, m.State, m.Copies = Out, Queued, &Copies{Want: c.want()}
	switch own := c.own[number]; {
	case rec.Final == finalDelivered:
		m.State = Delivered
	case rec.Final == finalFailed:
		m.State = Failed
	case own != nil:
		copies := own.copies
		m.State, m.Copies = own.state, &copies
	}
	return m
}

// onlyHere counts the messages that exist on this machine only.
func (b *book) onlyHere() int {
	if b.locked {
		return b.queued
	}
	n := 0
	for _, c := range b.contacts {
		for _, own := range c.own {
			if own.state == Queued {
				n++
			}
		}
	}
	return n + b.groupsOnlyHere()
}
