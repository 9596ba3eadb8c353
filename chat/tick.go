package chat

import (
	"cmp"
	"crypto/rand"
	"maps"
	"slices"
	"time"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}

// deadline returns when the keeper has something to do by itself.
func (b *book) deadline(m *Messenger) time.Time {
	next := minTime(time.Now().Add(time.Hour), b.expiry)
	switch {
	case b.locked:
		return time.Now().Add(time.Hour)
	case b.boxed, b.restored != 0 && m.views.Current() != nil:
		return time.Now()
	}
	if at := b.groupDeadline(); !at.IsZero() {
		next = minTime(next, at)
	}
	for _, c := range b.contacts {
		if c.controls.IsZero() {
			return time.Now()
		}
		for _, at := range []time.Time{c.ackAt, c.gapEnds, c.controls} {
			if !at.IsZero() && at.Before(next) {
				next = at
			}
		}
	}
	return next
}

// tick does what is due by the clock.
func (t *turn) tick() error {
	if t.book.boxed {
		if err := t.unbox(); err != nil {
			return err
		}
	}
	if t.book.restored != 0 && t.m.views.Current() != nil {
		if err := t.endRestore(); err != nil {
			return err
		}
	}
	for id, i := range t.book.invites {
		if t.m.snapshotTime(t.now).Unix() > i.rec.Expires {
			t.discard(i.rec.Queues[:]...)
			delete(t.book.invites, id)
			if err := t.tx.Bucket(bucketInvite).Delete(id); err != nil {
				return err
			}
			t.roster = true
		}
	}
	for _, due := range []func() error{t.tickFiles, t.tickGroups, t.tickExpiry, t.tickAddresses, t.forgetEvents, t.forgetKeys} {
		if err := due(); err != nil {
			return err
		}
	}
	for _, c := range t.book.contacts {
		if !c.ackAt.IsZero() && !t.now.Before(c.ackAt) {
			if err := t.acknowledge(c); err != nil {
				return err
			}
		}
		if !c.gapEnds.IsZero() && !t.now.Before(c.gapEnds) {
			if err := t.release(c); err != nil {
				return err
			}
		}
		if !t.now.Before(c.controls) {
			c.controls = t.now.Add(t.m.timing().maintain)
			if err := t.maintain(c); err != nil {
				return err
			}
			if err := t.retire(c); err != nil {
				return err
			}
			if err := t.repeatRequest(c); err != nil {
				return err
			}
			for _, due := range []func(*contact) error{t.tickMove, t.tickReset, t.tickDrop} {
				if err := due(c); err != nil {
					return err
				}
			}
			for i := range c.slots {
				if err := t.followQueue(c, i); err != nil {
					return err
				}
				if err := t.tellUse(c, i); err != nil {
					return err
				}
			}
			if err := t.fill(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// acknowledge seals a pure acknowledgement if one is still owed.
func (t *turn) acknowledge(c *contact) error {
	c.ackAt = time.Time{}
	if c.session == nil || !c.session.AckOwed() && !c.session.SyncDue() && !c.rec.AckDue {
		return nil
	}
	s, err := c.session.SealAck(rand.Reader, t.now)
	if err != nil {
		return err
	}
	c.ack, c.ackTries, c.rec.AckDue, c.ackLast = s.Inner, 0, true, t.now
	t.touch(c)
	return nil
}

// oweAck plans a pure acknowledgement, unless one is planned.
func (t *turn) oweAck(c *contact) {
	if !c.ackAt.IsZero() || !c.session.AckOwed() && !c.session.SyncDue() {
		return
	}
	tm := t.m.timing()
	c.ackAt = t.now.Add(between(tm.ackMin, tm.ackMax))
	if earliest := c.ackLast.Add(tm.ackGap); c.ackAt.Before(earliest) {
		c.ackAt = earliest
	}
}
