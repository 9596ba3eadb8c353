package chat

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"time"

	"hearsay/chat/session"
	"hearsay/directory"
)

// dropRecord is what is kept of the queues of last resort (SPEC.md §5.9). All
// times are Unix seconds.
type dropRecord struct {
	Heard int64  `cbor:"1,keyasint"`           // when a block of the contact last opened
	Read  int64  `cbor:"2,keyasint,omitempty"` // when they are read next; 0: not drawn
	Write int64  `cbor:"3,keyasint,omitempty"` // when they are written next; 0: not drawn
	Wrote uint32 `cbor:"4,keyasint,omitempty"` // protocol day of the last time
}

// Specification constants of the queues of last resort (SPEC.md §5.9).
const (
	dropSilence = 2 // days without a block of the contact
	dropWrites  = 2 // relays that are written to
	dropReads   = 4 // relays that are read
	dropSecrets = 2 // secrets that are read: of the session and of the one before
)

// heard notes that a block of the contact opened.
func (t *turn) heard(c *contact) {
	c.alive = t.now
	if c.rec.Drop == nil {
		c.rec.Drop = &dropRecord{}
	}
	d := c.rec.Drop
	d.Heard, d.Read, d.Write = t.now.Unix(), 0, 0
}

// protocolDay is the day that queues of last resort are named by.
func (t *turn) protocolDay() uint32 { return t.protocolHour() / 24 }

// silent tells whether nothing was heard of a contact for so long that it may
// have lost all queues of ours.
func (t *turn) silent(c *contact) bool {
	d := c.rec.Drop
	return d != nil && c.session != nil && !c.leftUs() && (c.rec.State == ContactActive || c.rec.State == ContactChanged) &&
		t.now.Unix()-d.Heard >= dropSilence*int64(t.m.timing().day.Seconds())
}

// tickDrop uses the queues of last resort when nothing else is left.
func (t *turn) tickDrop(c *contact) error {
	if c.rec.Drop == nil && c.session != nil {
		c.rec.Drop = &dropRecord{Heard: t.now.Unix()}
		t.touch(c)
	}
	if !t.silent(c) || t.m.views.Current() == nil {
		return nil
	}
	d, tm := c.rec.Drop, t.m.timing()
	day := int64(tm.day.Seconds())
	// After days in which this program did not run the queues come first.
	if d.Read == 0 || t.now.Unix()-d.Read > day {
		d.Read = t.now.Add(between(tm.day/96, tm.day/8)).Unix()
		t.touch(c)
	}
	if t.now.Unix() >= d.Read {
		t.roster = true
	}
	switch {
	case d.Wrote >= t.protocolDay() || !t.lostAll(c):
		d.Write = 0
	case d.Write == 0 || t.now.Unix()-d.Write > day:
		d.Write = t.now.Add(between(tm.day/96, tm.day/24)).Unix()
		t.touch(c)
	case t.now.Unix() >= d.Write:
		t.roster = true
		return t.offerQueues(c)
	}
	return nil
}

// lostAll tells whether none of the contact's queues can be written to, as far
// as we know.
func (t *turn) lostAll(c *contact) bool {
	for i := range c.slots {
		s := &c.slots[i]
		if s.addr.IsZero() || !t.m.listed(s.addr.Relay) || s.fails >= moveFailures && !s.full {
			continue
		}
		lost := false
		for _, o := range c.out {
			tried := o.rec.Tried[i]
			lost = lost || tried != nil && tried.SID == s.addr.SID && tried.Times >= moveFailures &&
				o.got[i] == nil && !s.worked.After(time.UnixMilli(tried.Last))
		}
		if !lost {
			return false
		}
	}
	return true
}

// offerQueues has a frame on its way for each of our queues, that names it.
func (t *turn) offerQueues(c *contact) error {
	if c.session.Dormant() || c.session.ResetPending() {
		return nil // the reset names them
	}
	for n := range c.rec.Own {
		q := &c.rec.Own[n]
		if !q.Made || t.queueOffer(c, n) != nil {
			continue
		}
		gen := t.nextGeneration(c)
		add := session.QAdd{Slot: byte(n), Generation: gen, Addr: q.addr()}
		err := t.sealControl(c, session.FrameQAdd, add.Append(nil))
		if errors.Is(err, session.ErrWindowFull) {
			return nil
		}
		if err != nil {
			return err
		}
		q.Gen, c.moving().Gen = gen, gen
	}
	return nil
}

// queueOffer returns the frame on its way that names our queue in a slot.
func (t *turn) queueOffer(c *contact, n int) *outgoing {
	for _, seq := range slices.Backward(c.order) {
		o := c.out[seq]
		if session.FrameType(o.rec.Type) != session.FrameQAdd {
			continue
		}
		if f, err := session.ParseFrame(o.rec.Body); err == nil {
			if add, err := session.ParseQAdd(f.Content); err == nil && int(add.Slot) == n && add.Generation == c.rec.Own[n].Gen {
				return o
			}
		}
	}
	return nil
}

// dropBlocks returns the inner blocks that lead the contact back to us, and the
// secrets of the queues that they go to: a reset goes to those of the sessions
// before, which the contact still knows.
func (t *turn) dropBlocks(c *contact) (inner [][]byte, secrets []session.Drop) {
	secrets = c.session.Drops(t.m.snapshotTime(t.now))
	if c.session.ResetPending() {
		secrets = secrets[1:]
		for _, seq := range c.order {
			if kind, err := session.ParseInner(c.out[seq].rec.Inner); err == nil && kind == session.InnerReset {
				inner = append(inner, c.out[seq].rec.Inner)
			}
		}
		return inner, secrets
	}
	for n := range c.rec.Own {
		if o := t.queueOffer(c, n); o != nil {
			inner = append(inner, o.rec.Inner)
		}
	}
	return inner, secrets[:1]
}

// dropQueue is a queue of last resort.
type dropQueue struct {
	owner  ed25519.PrivateKey
	keys   session.DropKeys
	relays []directory.RelayID // best place first
}

// dropAt finds the queue of a day.
func dropAt(view *directory.View, d session.Drop, day uint32, write bool, relays int) dropQueue {
	keys := d.Keys(day, write)
	q := dropQueue{owner: ed25519.NewKeyFromSeed(keys.Seed[:]), keys: keys}
	rid := mailboxRID(q.owner)
	type place struct {
		relay  directory.RelayID
		weight [32]byte
	}
	var places []place
	for _, r := range view.Relays() {
		if r.Flags&directory.FlagMailbox != 0 && r.Mailbox > 0 {
			places = append(places, place{r.ID, session.DropPlace(rid, r.ID)})
		}
	}
	slices.SortFunc(places, func(a, b place) int { return slices.Compare(b.weight[:], a.weight[:]) })
	for _, p := range places[:min(relays, len(places))] {
		q.relays = append(q.relays, p.relay)
	}
	return q
}

// takeDrop takes inner blocks out of a queue of last resort.
func (t *turn) takeDrop(c *contact, blocks [][]byte) error {
	t.touch(c)
	for _, inner := range blocks {
		if err := t.takeInner(c, inner); err != nil {
			return err
		}
	}
	if err := t.retryParked(c); err != nil {
		return err
	}
	if err := t.fill(c); err != nil {
		return err
	}
	t.oweAck(c)
	return t.release(c)
}

// readAgain draws when the queues of last resort of a contact are read next:
// daily, but all such reading together takes at most a quarter of the ticks.
func (t *turn) readAgain(c *contact) {
	d := c.rec.Drop
	if d == nil || !t.silent(c) {
		return
	}
	tm := t.m.timing()
	visits := 0
	for _, other := range t.book.contacts {
		if t.silent(other) {
			visits += min(dropSecrets, len(other.session.Drops(t.m.snapshotTime(t.now)))) * 2 * dropReads
		}
	}
	share := time.Duration(visits) * pollCells * pollShare * t.m.tick()
	d.Read = t.now.Add(max(between(tm.day*3/4, tm.day*11/12), between(share, share*3/2))).Unix()
	t.touch(c)
}

// dropWorkers adds what reads and writes them to what should run.
func (t *turn) dropWorkers(w *wanted) {
	for id, c := range t.book.contacts {
		d := c.rec.Drop
		if !t.silent(c) {
			continue
		}
		if d.Read != 0 && t.now.Unix() >= d.Read {
			w.others["drop/read/"+id] = (&dropReader{m: t.m, contact: id}).Run
		}
		if d.Write != 0 && t.now.Unix() >= d.Write {
			w.others["drop/write/"+id] = (&dropWriter{m: t.m, contact: id}).Run
		}
	}
}
