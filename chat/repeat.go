package chat

import (
	"time"

	"hearsay/chat/session"
)

// triedRecord is what is kept of a frame that left for a queue of the contact
// and was not signed for there. All times are Unix milliseconds.
type triedRecord struct {
	SID   [24]byte `cbor:"1,keyasint"` // of the queue
	Times int      `cbor:"2,keyasint"` // it left so often, the first time included
	Last  int64    `cbor:"3,keyasint"`
	Soon  int64    `cbor:"4,keyasint"`           // next time while no relay signed for it
	Next  int64    `cbor:"5,keyasint,omitempty"` // next time while one did; 0: never
}

// never is later than all that is waited for.
var never = time.Unix(1<<40, 0)

// dueAt returns when a frame without a receipt goes to a queue of the contact.
// The first time is drawn by spread. Repeats have a schedule of their own, few
// of them, so that a relay which swallows frames does not get a signal out of
// us, again and again, whose time it chooses (SPEC.md §5.8).
func (t *turn) dueAt(c *contact, o *outgoing, slotNumber int) time.Time {
	s := &c.slots[slotNumber]
	tried := o.rec.Tried[slotNumber]
	if tried == nil || tried.SID != s.addr.SID {
		return o.due[slotNumber]
	}
	if tried.Times+o.rec.Reseals > repeatLimit {
		return never
	}
	if t.copies(o) == 0 {
		return time.UnixMilli(tried.Soon)
	}
	last, at := time.UnixMilli(tried.Last), never
	if tried.Next != 0 {
		at = time.UnixMilli(tried.Next)
	}
	if c.alive.After(last) || s.worked.After(last) || o.passed {
		if sooner := last.Add(t.m.timing().resealGap); sooner.Before(at) {
			at = sooner
		}
	}
	return at
}

// spent tells whether nothing more is to be expected of the copies of a frame:
// each was signed for or repeated as often as it may be.
func (t *turn) spent(c *contact, o *outgoing) bool {
	for i := range c.slots {
		s, tried := &c.slots[i], o.rec.Tried[i]
		switch {
		case s.addr.IsZero():
		case o.got[i] != nil && o.got[i].sid == s.addr.SID && t.holds(o.got[i]):
		case tried != nil && tried.SID == s.addr.SID && tried.Times+o.rec.Reseals > repeatLimit:
		default:
			return false
		}
	}
	return true
}

// noteTries notes that frames left for a queue and were not signed for.
func (t *turn) noteTries(c *contact, slotNumber int, addr session.QAddr, seqs []uint64) error {
	tm := t.m.timing()
	for _, seq := range seqs {
		if seq == 0 { // a pure acknowledgement: the next block brings a new one
			if c.ackTries++; c.ackTries > repeatLimit {
				c.ack = nil
			}
			continue
		}
		o := c.out[seq]
		if o == nil {
			continue
		}
		tried := o.rec.Tried[slotNumber]
		if tried == nil || tried.SID != addr.SID {
			tried = &triedRecord{SID: addr.SID}
		} else {
			again := *tried
			tried = &again
		}
		tried.Times++
		tried.Last = t.now.UnixMilli()
		tried.Soon = t.now.Add(vary(tm.repeatSoon << (2 * min(tried.Times-1, repeatLimit)))).UnixMilli()
		tried.Next = 0
		age := t.now.Sub(time.Unix(o.rec.Sealed, 0))
		for _, after := range tm.repeatLate {
			if after > age*5/4 {
				tried.Next = time.Unix(o.rec.Sealed, 0).Add(vary(after)).UnixMilli()
				break
			}
		}
		o.rec.Tried[slotNumber] = tried
		if err := t.saveOutgoing(c, o); err != nil {
			return err
		}
	}
	return nil
}

// vary changes a duration by up to a quarter.
func vary(d time.Duration) time.Duration { return between(d*3/4, d*5/4) }

// notePassed marks the frames that the contact lacks although it has three later
// ones.
func (c *contact) notePassed() {
	for _, seq := range c.session.Missing() {
		if o := c.out[seq]; o != nil {
			o.passed = true
		}
	}
}

// dropped notes that relays which signed for a frame did not give it to the
// contact: it is told, and they get no queue of ours for a while.
func (t *turn) dropped(c *contact, o *outgoing) error {
	for i, g := range o.got {
		if g == nil || g.sid != c.slots[i].addr.SID {
			continue
		}
		t.avoid(c, g.relay)
		if err := t.complain(c, i); err != nil {
			return err
		}
	}
	return nil
}

// complain tells the contact that its queue in a slot cannot be used: once a day,
// since it does not act on more, and not while a complaint is on its way, so that
// a relay does not have us send one after the other.
func (t *turn) complain(c *contact, slotNumber int) error {
	p := &c.rec.Peer[slotNumber]
	if c.session == nil || c.rec.State != ContactActive || c.slots[slotNumber].addr.IsZero() {
		return nil
	}
	for _, o := range c.out {
		if session.FrameType(o.rec.Type) == session.FrameQBad {
			return nil
		}
	}
	if !t.daily(&p.Bad) {
		return nil
	}
	t.touch(c)
	bad := session.QBad{Slot: byte(slotNumber), Generation: p.Gen, Code: session.QBadUnwritable}
	return t.trySeal(c, session.FrameQBad, bad.Append(nil))
}

// gaveUpRecord is a frame that was given up and that the contact may still turn
// out to have.
type gaveUpRecord struct {
	Number uint64 `cbor:"1,keyasint"`           // of the message in the history
	Group  string `cbor:"2,keyasint,omitempty"` // whose history that is; empty: the contact's
}

const bucketGaveUp = "gaveup/"

// noteGaveUp remembers what a given-up frame belonged to.
func (t *turn) noteGaveUp(c *contact, o *outgoing) error {
	if o.rec.Number == 0 {
		return nil
	}
	g := gaveUpRecord{Number: o.rec.Number, Group: o.rec.Group}
	c.gaveUp[o.seq] = g
	return t.tx.Sequence(bucketGaveUp+c.id).Put(o.seq, encode(g))
}

func (t *turn) forgetGaveUp(c *contact, seq uint64) error {
	delete(c.gaveUp, seq)
	return t.tx.Sequence(bucketGaveUp + c.id).Delete(seq)
}

// ackedLate takes the proof that frames arrived which had been given up: a
// message with all of them is delivered after all. What the contact knows to be
// given up is forgotten.
func (t *turn) ackedLate(c *contact, seqs []uint64) error {
	if len(c.gaveUp) == 0 {
		return nil
	}
	missing := make(map[gaveUpRecord]int) // frames that were not acknowledged
	for _, g := range c.gaveUp {
		missing[g]++
	}
	for _, seq := range seqs {
		g, ok := c.gaveUp[seq]
		if !ok {
			continue
		}
		if err := t.forgetGaveUp(c, seq); err != nil {
			return err
		}
		if missing[g]--; missing[g] > 0 {
			continue
		}
		if err := t.deliverLate(c, g); err != nil {
			return err
		}
	}
	settled := c.session.Settled()
	lost := make(map[gaveUpRecord]bool)
	for seq, g := range c.gaveUp {
		lost[g] = lost[g] || seq <= settled
	}
	for _, seq := range sortedKeys(c.gaveUp) {
		if lost[c.gaveUp[seq]] {
			if err := t.forgetGaveUp(c, seq); err != nil {
				return err
			}
		}
	}
	return nil
}

// deliverLate turns a failed message, or a failed copy of one to a group, into a
// delivered one.
func (t *turn) deliverLate(c *contact, g gaveUpRecord) error {
	if g.Group != "" {
		return t.takeLateCopy(c, g.Group, g.Number)
	}
	if row, err := t.row(c.id, g.Number); row == nil || err != nil {
		return err // deleted meanwhile
	}
	return t.finalize(c, g.Number, finalDelivered, "")
}

// unwritable tells the contact that one of its queues cannot be written to, once
// its relay refused a few times or could not be reached for long while others
// could. A full queue is no such case: the contact alone can empty it.
func (t *turn) unwritable(c *contact, slotNumber int, full bool) error {
	s := &c.slots[slotNumber]
	if full || s.fails < moveFailures || !t.m.listed(s.addr.Relay) {
		return nil
	}
	if !s.refused && (t.now.Sub(s.since) < t.m.timing().moveFail || !t.m.othersWork(s.addr.Relay, s.since)) {
		return nil
	}
	return t.complain(c, slotNumber)
}
