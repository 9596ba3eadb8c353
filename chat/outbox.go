package chat

import (
	"bytes"
	"crypto/rand"
	"errors"
	"iter"
	"slices"
	"time"

	"hearsay/chat/session"
	"hearsay/relay/mailbox"
)

// enqueue writes a message of ours to the history and to the queue of messages
// to be sealed, and seals what may be sealed. content is what the frames carry.
func (t *turn) enqueue(c *contact, rec messageRecord, kind session.FrameType, content []byte) (Message, error) {
	rec.Out, rec.Time = true, t.now.UnixMilli()
	if rec.ID == [16]byte{} {
		_, _ = rand.Read(rec.ID[:])
	}
	number, err := t.addRow(c.id, &rec)
	if err != nil {
		return Message{}, err
	}
	c.own[number] = &ownMessage{number: number, state: Queued, copies: Copies{Want: c.want()}}
	c.rec.Active = t.now.Unix()
	t.publishState(c, number, Queued, c.own[number].copies, "")
	if err := t.wait(c, waitRecord{Type: byte(kind), Number: number, ID: rec.ID, Content: content}); err != nil {
		return Message{}, err
	}
	return shapeMessage(c, number, rec), nil
}

// wait puts a message behind those that are not sealed yet, and seals what may
// be sealed. It also serves messages without a row in the history.
func (t *turn) wait(c *contact, w waitRecord) error {
	if w.ID == [16]byte{} {
		_, _ = rand.Read(w.ID[:])
	}
	row, err := t.tx.Sequence(bucketWaiting + c.id).Add(encode(w))
	if err != nil {
		return err
	}
	c.waiting = append(c.waiting, w.waiting(row))
	t.touch(c)
	return t.fill(c)
}

// waiting is what is kept in memory of a row.
func (w *waitRecord) waiting(row uint64) waiting {
	return waiting{row: row, number: w.Number, group: w.Group, says: says(w.Type, w.About), need: session.Fragments(w.Content)}
}

// says returns the number of the message whose new text or reaction a frame
// carries, 0 if it carries neither.
func says(kind byte, about uint64) uint64 {
	if kind := session.FrameType(kind); kind == session.FrameEdit || kind == session.FrameReact {
		return about
	}
	return 0
}

// unwait takes the first message that is not sealed yet out of its queue.
func (t *turn) unwait(c *contact) error {
	row := c.waiting[0].row
	c.waiting = c.waiting[1:]
	return t.tx.Sequence(bucketWaiting + c.id).Delete(row)
}

// fill seals the session's own messages and then as many waiting ones as the
// window takes. Ratchet step, frames and rows are one transaction, before
// anything is sent.
func (t *turn) fill(c *contact) error {
	if c.session == nil {
		return nil
	}
	for {
		sealed, err := c.session.Control(rand.Reader, t.now)
		if errors.Is(err, session.ErrWindowFull) || err == nil && len(sealed) == 0 {
			break
		}
		if err != nil {
			return err
		}
		if err := t.addOutgoing(c, sealed, waitRecord{}); err != nil {
			return err
		}
	}
	if err := t.announce(c); err != nil {
		return err
	}
	for len(c.waiting) > 0 && c.rec.State != ContactChanged {
		if !c.fits(c.waiting[0].need) {
			return nil
		}
		var w waitRecord
		raw, err := t.tx.Sequence(bucketWaiting + c.id).Get(c.waiting[0].row)
		if err != nil {
			return err
		}
		if err := decode(raw, &w); err != nil {
			return err
		}
		need := session.Fragments(w.Content)
		if !c.fits(need) {
			return nil
		}
		sealed, err := c.session.Seal(rand.Reader, t.now, session.Message{Type: session.FrameType(w.Type), ID: w.ID, Content: w.Content})
		if errors.Is(err, session.ErrWindowFull) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := t.addOutgoing(c, sealed, w); err != nil {
			return err
		}
		if err := t.unwait(c); err != nil {
			return err
		}
		c.rec.Early += need
	}
	return nil
}

// fits tells whether so many frames of a message may be sealed now.
func (c *contact) fits(frames int) bool {
	return c.session.Room(false) >= frames && (c.rec.State != ContactInvited || c.rec.Early+frames <= earlyBlocks)
}

// sealControl seals a control message of ours.
func (t *turn) sealControl(c *contact, kind session.FrameType, content []byte) error {
	m := session.Message{Type: kind, Content: content}
	_, _ = rand.Read(m.ID[:])
	sealed, err := c.session.Seal(rand.Reader, t.now, m)
	if err != nil {
		return err
	}
	return t.addOutgoing(c, sealed, waitRecord{})
}

// trySeal is sealControl if the window has room.
func (t *turn) trySeal(c *contact, kind session.FrameType, content []byte) error {
	if err := t.sealControl(c, kind, content); !errors.Is(err, session.ErrWindowFull) {
		return err
	}
	return nil
}

// addOutgoing writes the sealed frames of a message to the outbox.
func (t *turn) addOutgoing(c *contact, sealed []session.Sealed, w waitRecord) error {
	t.touch(c)
	for _, s := range sealed {
		if s.Seq == 0 {
			c.ack, c.ackTries = s.Inner, 0
			continue
		}
		o := &outgoing{seq: s.Seq, rec: outRecord{
			Type: byte(s.Type), Number: w.Number, Group: w.Group, Inner: s.Inner, Body: s.Body, Sealed: t.now.Unix(), About: w.About,
		}}
		if err := t.putOutgoing(c, o); err != nil {
			return err
		}
	}
	return nil
}

func (t *turn) putOutgoing(c *contact, o *outgoing) error {
	t.spread(c, o)
	t.holdSecond(o)
	c.addOut(o)
	return t.saveOutgoing(c, o)
}

// spread draws when each copy of a frame goes out: the first at once to the
// queue that the contact has pushed to it, the second after a random wait
// (SPEC.md §5.2), on steps of that queue: steps of the wall clock would show by
// how much it is off, the same for all contacts. While the second queue stands
// in for the first, a frame waits there for those before it, which were to go
// to the first.
func (t *turn) spread(c *contact, o *outgoing) {
	first := t.firstSlot(c)
	o.due[first] = t.now
	wait := t.m.timing().secondCopy
	step := wait / secondSteps
	phase := c.slots[1-first].phase
	second := t.now.Add(between(0, wait-step) - phase).Truncate(step).Add(step + phase)
	o.due[1-first] = t.now.Add(second.Sub(t.now)) // whatever becomes of the wall clock
	if first == 0 {
		return
	}
	for _, seq := range c.order {
		if before := c.out[seq]; before.got == [2]*custody{} && before.due[first].After(o.due[first]) {
			o.due[first] = before.due[first]
		}
	}
}

// firstSlot is the queue that the first copy goes to: the first one, which the
// contact has pushed to it, or the second while the first cannot be used.
func (t *turn) firstSlot(c *contact) int {
	if !c.slots[1].addr.IsZero() && !t.usable(c, 0) && t.usable(c, 1) {
		return 1
	}
	return 0
}

// usable tells whether a queue of the contact can be written to now.
func (t *turn) usable(c *contact, slotNumber int) bool {
	s := &c.slots[slotNumber]
	if s.addr.IsZero() || t.now.Before(s.rests) {
		return false
	}
	view := t.m.views.Current()
	return view == nil || listedIn(view, s.addr.Relay)
}

func (t *turn) saveOutgoing(c *contact, o *outgoing) error {
	return t.tx.Sequence(bucketOutbox+c.id).Put(o.seq, encode(o.rec))
}

func (t *turn) dropOutgoing(c *contact, seq uint64) error {
	o := c.out[seq]
	c.dropOut(seq)
	if o != nil {
		if o.rec.Number != 0 && o.rec.Group == "" {
			c.left[o.rec.Number] = struct{}{}
		}
		if err := t.leaveLog(c, o); err != nil {
			return err
		}
	}
	return t.tx.Sequence(bucketOutbox + c.id).Delete(seq)
}

// job is one block for one queue.
type job struct {
	seq   uint64 // 0: a pure acknowledgement
	inner []byte
}

// work is what a writer has to do.
type work struct {
	addr session.QAddr // zero: nothing can be written now
	jobs []job
	next time.Time // when to look again; zero: when woken
	// A text that somebody typed just now is among the jobs, and nothing failed
	// yet: a relay that refuses does not have us build with precedence.
	fresh bool
}

// due returns what may be sent to a slot now beside what is on its way, in the
// order of the frames, as much as a window takes.
func (t *turn) due(c *contact, slotNumber int, busy []*parcel) work {
	s := &c.slots[slotNumber]
	w := work{addr: s.addr}
	if w.addr.IsZero() || c.cutOff() {
		return work{}
	}
	if t.now.Before(s.rests) {
		return work{next: s.rests}
	}
	if view := t.m.views.Current(); view != nil && !listedIn(view, s.addr.Relay) {
		return work{} // a new snapshot wakes the writer
	}
	for seq := range c.sendOrder() {
		o := c.out[seq]
		if g := o.got[slotNumber]; g != nil && g.sid == mailbox.SID(s.addr.SID) && t.holds(g) {
			continue
		}
		if at := t.dueAt(c, o, slotNumber); at.After(t.now) {
			if w.next.IsZero() || at.Before(w.next) {
				w.next = at
			}
			continue
		}
		if len(busy)+len(w.jobs) < mailbox.SendWindow && !underway(busy, seq, o.rec.Inner) {
			w.jobs = append(w.jobs, job{seq, o.rec.Inner})
			w.fresh = w.fresh || o.rec.Number != 0 && s.fails == 0 && t.now.Sub(time.Unix(o.rec.Sealed, 0)) < freshText
		}
	}
	if c.ack != nil && slotNumber == c.ackSlot(t.now) && len(busy)+len(w.jobs) <= mailbox.SendWindow && !underway(busy, 0, c.ack) {
		w.jobs = append(w.jobs, job{0, c.ack})
	}
	return w
}

// underway tells whether a block is on its way.
func underway(busy []*parcel, seq uint64, inner []byte) bool {
	return slices.ContainsFunc(busy, func(p *parcel) bool { return p.seq == seq && bytes.Equal(p.inner, inner) })
}

// sendOrder yields the seqs of the outbox: the blocks of a request first.
func (c *contact) sendOrder() iter.Seq[uint64] {
	n, _ := slices.BinarySearch(c.order, requestSeq)
	return func(yield func(uint64) bool) {
		for _, part := range [...][]uint64{c.order[n:], c.order[:n]} {
			for _, seq := range part {
				if !yield(seq) {
					return
				}
			}
		}
	}
}

// ackSlot is the queue that takes pure acknowledgements: the first one, or the
// second while the first rests.
func (c *contact) ackSlot(now time.Time) int {
	if now.Before(c.slots[0].rests) && !c.slots[1].addr.IsZero() {
		return 1
	}
	return 0
}

// sent is what came of a job.
type sent struct {
	job
	receipt *mailbox.Receipt // verified; nil: none
}

// record takes the receipts that a writer got from a queue.
func (t *turn) record(c *contact, slotNumber int, results []sent) error {
	t.touch(c)
	for _, r := range results {
		if r.receipt == nil {
			continue
		}
		if r.seq == 0 {
			if c.ack != nil && slices.Equal(c.ack, r.inner) {
				c.ack, c.rec.AckDue = nil, false
			}
			continue
		}
		o := c.out[r.seq]
		if o == nil || !slices.Equal(o.rec.Inner, r.inner) {
			continue // acknowledged or sealed anew meanwhile
		}
		o.rec.Receipts[slotNumber] = r.receipt.Append(nil)
		o.got[slotNumber] = &custody{relay: r.receipt.Relay, sid: r.receipt.SID, until: r.receipt.Until}
		c.slots[slotNumber].worked = t.now
		t.logReceipt(c, o, slotNumber)
		if err := t.saveOutgoing(c, o); err != nil {
			return err
		}
	}
	return nil
}

// rest keeps a slot from being tried for a while.
func (c *contact) rest(slotNumber int, until time.Time, reason string, full bool) {
	s := &c.slots[slotNumber]
	s.rests, s.reason, s.full = until, reason, full
}

// acked takes the peer's proof that frames arrived.
func (t *turn) acked(c *contact, seqs []uint64) error {
	for _, seq := range seqs {
		o := c.out[seq]
		if o == nil {
			continue
		}
		if err := t.told(c, o); err != nil {
			return err
		}
		if err := t.dropOutgoing(c, seq); err != nil {
			return err
		}
		c.keepDoubted(o)
	}
	if len(seqs) > 0 {
		for i := range c.slots {
			if s := &c.slots[i]; s.full {
				s.rests, s.full = time.Time{}, false // the contact reads: there is room again
			}
		}
		c.notePassed()
	}
	return t.ackedLate(c, seqs)
}

// maintain gives up frames that nobody acknowledged in time, and seals anew
// those that both relays dropped.
func (t *turn) maintain(c *contact) error {
	if c.session == nil {
		return nil
	}
	if stalled := c.session.Stalled(); stalled != c.stalled {
		if c.stalled = stalled; stalled {
			t.m.log.Warn("pq stalled") // never who
		}
	}
	tm := t.m.timing()
	for _, seq := range slices.Clone(c.order) {
		o := c.out[seq]
		if o == nil || seq >= requestSeq || t.now.Sub(time.Unix(o.rec.Sealed, 0)) < tm.expire {
			continue
		}
		t.touch(c)
		if err := t.giveUp(c, o, "no acknowledgement in time"); err != nil {
			return err
		}
	}
	for _, seq := range c.session.Missing() {
		o := c.out[seq]
		if o == nil || len(o.rec.Body) == 0 || o.rec.Reseals >= repeatLimit || !t.spent(c, o) {
			continue
		}
		last := time.Unix(max(o.rec.Sealed, o.rec.Last), 0)
		wait := tm.reseal
		if o.rec.Last != 0 {
			wait = tm.resealGap
		}
		if t.now.Sub(last) < wait {
			continue
		}
		s, err := c.session.Reseal(rand.Reader, t.now, o.rec.Body)
		if err != nil {
			return err
		}
		t.touch(c)
		if err := t.dropped(c, o); err != nil {
			return err
		}
		o.rec.Inner, o.rec.Receipts, o.rec.Tried, o.got = s.Inner, [2][]byte{}, [2]*triedRecord{}, [2]*custody{}
		o.rec.Reseals++
		o.rec.Log = appendLog(o.rec.Log, logRecord{At: t.now.Unix(), What: logResealed})
		o.rec.Last = t.now.Unix()
		if err := t.putOutgoing(c, o); err != nil {
			return err
		}
	}
	return nil
}

// giveUp fails the message of a frame, with all its frames.
func (t *turn) giveUp(c *contact, o *outgoing, reason string) error {
	for _, seq := range slices.Clone(c.order) {
		other := c.out[seq]
		if seq != o.seq && (o.rec.Number == 0 || other.rec.Number != o.rec.Number || other.rec.Group != o.rec.Group) {
			continue
		}
		c.session.GiveUp(seq)
		if err := t.noteGaveUp(c, other); err != nil {
			return err
		}
		if err := t.dropOutgoing(c, seq); err != nil {
			return err
		}
	}
	if o.rec.Group != "" {
		return t.failGroupCopy(c, o.rec.Group, o.rec.Number, reason)
	}
	if o.rec.Number == 0 || c.own[o.rec.Number] == nil {
		return nil
	}
	return t.finalize(c, o.rec.Number, finalFailed, reason)
}
