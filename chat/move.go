package chat

import (
	"context"
	"time"

	"hearsay/chat/session"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// moveRecord is what is kept of queues that move (SPEC.md §5.6).
type moveRecord struct {
	Slots [2]moveSlot    `cbor:"1,keyasint"`
	Avoid []avoidedRelay `cbor:"2,keyasint,omitempty"`
	Gen   uint32         `cbor:"3,keyasint,omitempty"` // highest generation that was given out
}

// moveSlot is the moving of one of our two queues of a contact. All times are
// Unix seconds.
type moveSlot struct {
	Due  int64        `cbor:"1,keyasint,omitempty"` // of the next planned move; 0: not drawn
	Next *queueRecord `cbor:"2,keyasint,omitempty"` // to take the place of the queue; without a relay: to be drawn
	Last int64        `cbor:"3,keyasint,omitempty"` // when the queue took its place
	QUse int64        `cbor:"4,keyasint,omitempty"` // when the contact said that it writes there
	Word int64        `cbor:"5,keyasint,omitempty"` // last move on what only the contact can know

	// What limits moves that were not planned.
	Used  int   `cbor:"6,keyasint,omitempty"`
	Since int64 `cbor:"7,keyasint,omitempty"`

	// Looks at the second queue that found blocks which the first one, though
	// subscribed to, had not brought.
	Missed   int   `cbor:"8,keyasint,omitempty"`
	MissedAt int64 `cbor:"9,keyasint,omitempty"`
}

// avoidedRelay is a relay that lost blocks of the contact's or ours.
type avoidedRelay struct {
	Relay directory.RelayID `cbor:"1,keyasint"`
	Until int64             `cbor:"2,keyasint"` // Unix seconds
}

// Implementation constants of moving.
const (
	avoidLimit  = 8 // relays avoided for one contact: it could name all but its own
	missedLooks = 3 // within a day, see moveSlot.Missed
)

// The reasons for a move that is not planned, as they are told.
const (
	moveUnlisted = "its relay left the network"
	moveUnread   = "its relay cannot be reached"
	moveVanished = "its relay does not know it any more"
	moveDraining = "its relay is about to stop"
	moveUnsent   = "the contact cannot write to it"
	moveDropped  = "its relay loses messages"
	moveRestored = "this profile was restored"
)

// moving returns what is kept of the moves of a contact.
func (c *contact) moving() *moveRecord {
	if c.rec.Move == nil {
		c.rec.Move = &moveRecord{}
	}
	return c.rec.Move
}

func (c *contact) moveSlot(n int) *moveSlot { return &c.moving().Slots[n] }

// told tells whether the contact knows the queue in a slot, or soon will.
func (c *contact) told(n int) bool {
	q := &c.rec.Own[n]
	return c.session != nil && q.exists() && q.Made && (q.InUse || q.Gen != 0)
}

// moveNow has a queue replaced at once, if that is not under way and does not
// happen too often.
func (t *turn) moveNow(c *contact, n int, why string) {
	s := c.moveSlot(n)
	if s.Next != nil || !c.told(n) || c.rec.State == ContactBlocked {
		return
	}
	// tickMove or the next failure comes back to what cannot be done now.
	if view := t.m.views.Current(); view != nil && mayPlace(view) == nil {
		if _, ok := t.drawNext(c, n, view, directory.RelayID{}); !ok {
			return // that there is no place must not count as a move
		}
	}
	if !t.spend(&s.Used, &s.Since) {
		return
	}
	s.Next = &queueRecord{}
	t.touch(c)
	t.roster = true
	t.m.log.Info("a queue moves", reasonKey, why)
}

// moveAll has both queues of a contact replaced, as after a restore.
func (t *turn) moveAll(c *contact) {
	for n := range c.rec.Own {
		t.moveNow(c, n, moveRestored)
	}
}

// spend takes one of a burst that is given back one by one.
func (t *turn) spend(used *int, since *int64) bool {
	every := int64(t.m.timing().queueFollow.Seconds())
	if back := (t.now.Unix() - *since) / every; *used > 0 && back > 0 {
		*used = int(max(0, int64(*used)-back))
		*since += back * every
	}
	if *used >= queueBurst {
		return false
	}
	if *used == 0 {
		*since = t.now.Unix()
	}
	*used++
	return true
}

// daily tells whether what may happen once a day may happen now, and notes it.
func (t *turn) daily(last *int64) bool {
	if t.now.Unix()-*last < int64(t.m.timing().day.Seconds()) {
		return false
	}
	*last = t.now.Unix()
	return true
}

// tickMove moves queues whose time has come.
func (t *turn) tickMove(c *contact) error {
	if c.session == nil || c.rec.State != ContactActive || c.leftUs() {
		return nil
	}
	view := t.m.views.Current()
	if view == nil || mayPlace(view) != nil {
		return nil
	}
	for n := range c.rec.Own {
		q, s := &c.rec.Own[n], c.moveSlot(n)
		if !c.told(n) || s.Next != nil {
			continue
		}
		if !listedIn(view, q.Relay) {
			t.moveNow(c, n, moveUnlisted)
			continue
		}
		t.planMove(c, n, view)
	}
	return nil
}

// planMove begins a planned move: none while another is open, and none soon
// after the other queue moved. Those that came due while this program did not
// run are spread, so that no relay sees all contacts move at once.
func (t *turn) planMove(c *contact, n int, view *directory.View) {
	tm := t.m.timing()
	s, other := c.moveSlot(n), c.moveSlot(1-n)
	late := t.now.Sub(time.Unix(s.Due, 0))
	switch {
	case s.Due == 0, -late > tm.lifeMax+tm.moveApart: // drawn while the clock was ahead
		t.drawLife(c, n)
		return
	case late < 0:
		return
	case late > tm.moveApart:
		s.Due = t.now.Add(between(0, tm.lifeMin/4)).Unix()
		t.touch(c)
		return
	}
	open := s.Next != nil || other.Next != nil
	for i := range c.rec.Own {
		open = open || c.rec.Own[i].exists() && !c.rec.Own[i].InUse
	}
	switch {
	case open || t.m.mailboxRelays(view) < 3:
		t.drawLife(c, n)
	case t.now.Sub(time.Unix(other.Last, 0)) < tm.moveApart:
		s.Due = t.now.Add(tm.moveApart).Unix()
		t.touch(c)
	default:
		s.Next = &queueRecord{}
		t.touch(c)
		t.roster = true
	}
}

// drawLife draws how long a queue is used, never to end near the other's.
func (t *turn) drawLife(c *contact, n int) {
	tm := t.m.timing()
	s, other := c.moveSlot(n), c.moveSlot(1-n)
	for {
		due := t.now.Add(between(tm.lifeMin, tm.lifeMax))
		if apart := due.Sub(time.Unix(other.Due, 0)); apart.Abs() >= tm.moveApart {
			s.Due = due.Unix()
			t.touch(c)
			return
		}
	}
}

// moved puts a queue that was made in the place of another one, which is read
// on, and tells the contact.
func (t *turn) moved(c *contact, n int, q queueRecord) error {
	t.touch(c)
	s := c.moveSlot(n)
	s.Next, s.Last, s.QUse = nil, t.now.Unix(), 0
	s.Missed, s.MissedAt = 0, 0
	t.drawLife(c, n)
	if old := c.rec.Own[n]; old.exists() {
		c.moving().Gen = max(c.moving().Gen, old.Gen)
		t.putOld(c, n, old)
	}
	q.Gen, q.InUse, q.Acked = 0, false, 0
	c.rec.Own[n] = q
	t.roster = true
	return t.fill(c)
}

// settleMove notes that the contact writes to a queue.
func (t *turn) settleMove(c *contact, n int) {
	c.moveSlot(n).QUse = t.now.Unix()
	t.settleOld(c)
	t.roster = true
}

// avoid places no queue of the contact on a relay for a while, and moves ours
// away from there.
func (t *turn) avoid(c *contact, relay directory.RelayID) {
	m := c.moving()
	until := t.now.Add(t.m.timing().avoidFor).Unix()
	at := -1
	for i := range m.Avoid {
		if m.Avoid[i].Relay == relay {
			at = i
		}
	}
	if at < 0 {
		if len(m.Avoid) >= avoidLimit {
			m.Avoid = m.Avoid[1:]
		}
		m.Avoid = append(m.Avoid, avoidedRelay{Relay: relay})
		at = len(m.Avoid) - 1
	}
	m.Avoid[at].Until = until
	t.touch(c)
	for n := range c.rec.Own {
		if s := c.moveSlot(n); c.rec.Own[n].Relay == relay && s.Next == nil && t.daily(&s.Word) {
			t.moveNow(c, n, moveDropped)
		}
	}
}

// noteRead notes that blocks came out of a queue, fresh of them for the first
// time. If that was a look at the second queue while the first one is subscribed
// to, the first one lost them: after a few of these it moves.
func (t *turn) noteRead(c *contact, key inboxKey, number, fresh int) {
	t.settleOld(c)
	if fresh == 0 || number != 1 || key.old != 0 || key.owner != c.id || !c.rec.Own[0].InUse {
		return
	}
	tm := t.m.timing()
	s := c.moveSlot(0)
	since := t.now.Unix() - s.MissedAt
	if t.m.pushedFor(key) < tm.listGap || s.Missed > 0 && since < int64(tm.listGap.Seconds()) {
		return
	}
	if since > int64(tm.day.Seconds()) {
		s.Missed = 0
	}
	s.Missed++
	s.MissedAt = t.now.Unix()
	t.touch(c)
	if s.Missed >= missedLooks {
		s.Missed = 0
		t.avoid(c, c.rec.Own[0].Relay)
	}
}

// vanished notes that a relay does not know one of our queues any more.
func (t *turn) vanished(key inboxKey, number int, seed [32]byte) error {
	c, _, q := t.book.inbox(key, number)
	switch {
	case c == nil || q.Seed != seed:
		return nil
	case key.old != 0:
		*q = queueRecord{} // nothing is left to be read or deleted
		t.roster = true
	case c.told(number):
		t.moveNow(c, number, moveVanished)
	default:
		q.Made = false
	}
	t.touch(c)
	return nil
}

// fails notes that one of our queues cannot be used, for a reason.
func (t *turn) fails(key inboxKey, number int, seed [32]byte, why string) error {
	if c, _, q := t.book.inbox(key, number); c != nil && q.Seed == seed && key.old == 0 {
		t.moveNow(c, number, why)
	}
	return nil
}

// takeBadQueue takes the contact's word that it cannot write to a queue of ours.
// Nothing else shows that, so it is believed once a day and slot.
func (t *turn) takeBadQueue(c *contact, content []byte) error {
	bad, err := session.ParseQBad(content)
	if err != nil {
		return nil //nolint:nilerr // a contact's malformed word changes nothing
	}
	n := int(bad.Slot)
	s := c.moveSlot(n)
	if q := &c.rec.Own[n]; !c.told(n) || q.Gen != bad.Generation || s.Next != nil || !t.daily(&s.Word) {
		return nil
	}
	t.moveNow(c, n, moveUnsent)
	return nil
}

// mover makes the queues that are to take the place of others.
type mover struct {
	m       *Messenger
	contact string
}

// Run works until nothing of the contact moves any more, or ctx ends.
func (w *mover) Run(ctx context.Context) {
	var failed [2]int // in a row, at the relay that was drawn
	for fails := 0; ctx.Err() == nil; {
		again := false
		for n := range 2 {
			q, ok := w.plan(ctx, n, failed[n] >= redrawAfter)
			if !ok {
				continue
			}
			if q.exists() {
				made, err := w.m.makeQueue(ctx, q, mailbox.KindChat, mailbox.LID{}, inIsolation(w.contact, &q))
				if err == nil {
					q.SID, q.Made = made.SID, true
					failed[n] = 0
					_ = w.m.do(ctx, func(t *turn) error { return t.finishMove(w.contact, n, q) })
					continue
				}
				if failed[n]++; ctx.Err() == nil {
					w.m.log.Debug("making a queue to move to", errorKey, err)
				}
			}
			again = true
		}
		if !again {
			return
		}
		fails++
		tm := w.m.timing()
		timer := time.NewTimer(backoff(fails, tm.retryMin, tm.retryMax))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// plan returns the queue that is to be made for a slot, without a relay if none
// can be had now, and false if nothing is to be made.
func (w *mover) plan(ctx context.Context, n int, redraw bool) (q queueRecord, ok bool) {
	err := w.m.do(ctx, func(t *turn) error {
		c := t.book.contacts[w.contact]
		if c == nil || c.moveSlot(n).Next == nil {
			return nil
		}
		s := c.moveSlot(n)
		if !s.Next.exists() || redraw {
			view := t.m.views.Current()
			if view == nil || mayPlace(view) != nil {
				ok = true
				return nil
			}
			if redraw && s.Next.exists() {
				t.discard(*s.Next)
			}
			relay, found := t.drawNext(c, n, view, s.Next.Relay)
			if !found { // the queue stays where it is
				s.Next = nil
				t.drawLife(c, n)
				return nil
			}
			next := newQueue(relay)
			s.Next = &next
			t.touch(c)
		}
		q, ok = *s.Next, true
		return nil
	})
	return q, ok && err == nil
}

// drawNext draws the relay that a queue moves to. What is to be avoided is given
// up in this order: relays that lost blocks, the queue's own one if it is
// needed, relays of the contact's queues, families and prefixes.
func (t *turn) drawNext(c *contact, n int, view *directory.View, failed directory.RelayID) (directory.RelayID, bool) {
	other, own := c.rec.Own[1-n].Relay, c.rec.Own[n].Relay
	var near []directory.RelayID
	for i := range c.slots {
		if !c.slots[i].addr.IsZero() {
			near = append(near, c.slots[i].addr.Relay)
		}
	}
	for i := range c.rec.Old {
		near = append(near, c.rec.Old[i].Queues[0].Relay, c.rec.Old[i].Queues[1].Relay)
	}
	bad := []directory.RelayID{other, own, failed}
	for _, a := range c.moving().Avoid {
		if a.Until > t.now.Unix() {
			bad = append(bad, a.Relay)
		}
	}
	for _, taken := range [][]directory.RelayID{bad, {other, own, failed}, {other, own}, {other}} {
		if relay, ok := t.m.drawRelay(view, taken, near); ok {
			return relay, true
		}
	}
	return directory.RelayID{}, false
}

// finishMove takes a queue that was made into use.
func (t *turn) finishMove(id string, n int, q queueRecord) error {
	c := t.book.contacts[id]
	if c == nil || c.moveSlot(n).Next == nil || c.moveSlot(n).Next.Seed != q.Seed {
		t.discard(q)
		return nil
	}
	return t.moved(c, n, q)
}
