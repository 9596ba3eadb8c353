package chat

import (
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"slices"
)

// oldQueues are queues of a contact that others took the place of, or those of
// the invite that it came by: they are read until the contact has left them for
// some time (SPEC.md §5.6).
type oldQueues struct {
	ID     uint32         `cbor:"1,keyasint"` // names their readers
	Queues [2]queueRecord `cbor:"2,keyasint"`
	Left   int64          `cbor:"3,keyasint,omitempty"` // Unix seconds; 0: the contact may still write there
	Empty  [2]int64       `cbor:"4,keyasint,omitempty"` // Unix seconds; when each was last read empty since it was left
}

// oldLimit bounds how many pairs of old queues of one contact are read: a
// contact that never answers does not have us read ever more.
const oldLimit = 6

// oldQueues finds a pair of old queues.
func (c *contact) oldQueues(id uint32) *oldQueues {
	for i := range c.rec.Old {
		if c.rec.Old[i].ID == id {
			return &c.rec.Old[i]
		}
	}
	return nil
}

// read yields all queues of ours that the contact may write to.
func (c *contact) read() iter.Seq[*queueRecord] {
	return func(yield func(*queueRecord) bool) {
		for i := range c.rec.Own {
			if q := &c.rec.Own[i]; q.exists() && !yield(q) {
				return
			}
		}
		for i := range c.rec.Old {
			for n := range c.rec.Old[i].Queues {
				if q := &c.rec.Old[i].Queues[n]; q.exists() && !yield(q) {
					return
				}
			}
		}
	}
}

// tag names a queue within this process, for circuits and workers.
func (q *queueRecord) tag() string {
	h := sha256.Sum256(q.Seed[:])
	return hex.EncodeToString(h[:8])
}

// inIsolation names the circuits on which a contact's queue is made and read.
func inIsolation(owner string, q *queueRecord) string { return "in/" + owner + "/" + q.tag() }

// putOld keeps a queue among those that are read on.
func (t *turn) putOld(c *contact, slotNumber int, q queueRecord) {
	id := uint32(1)
	for i := range c.rec.Old {
		id = max(id, c.rec.Old[i].ID+1)
	}
	old := oldQueues{ID: id}
	old.Queues[slotNumber] = q
	c.rec.Old = append(c.rec.Old, old)
	for len(c.rec.Old) > oldLimit {
		// The oldest that the contact never said to write to goes first.
		at := slices.IndexFunc(c.rec.Old, func(o oldQueues) bool { return !o.Queues[0].InUse && !o.Queues[1].InUse })
		t.dropOld(c, max(at, 0))
	}
}

// dropOld deletes a pair of old queues.
func (t *turn) dropOld(c *contact, at int) {
	t.discard(c.rec.Old[at].Queues[:]...)
	c.rec.Old = slices.Delete(c.rec.Old, at, at+1)
	t.touch(c)
	t.roster = true
}

// settleOld notes which old queues the contact has left: it said that it writes
// to those that took their place, and the first of these brought a block or had
// the time for it.
func (t *turn) settleOld(c *contact) {
	keep := int64(t.m.timing().oldKeep.Seconds())
	for i := range c.rec.Old {
		old := &c.rec.Old[i]
		if old.Left != 0 {
			continue
		}
		left := true
		for n := range old.Queues {
			q := &c.rec.Own[n]
			switch {
			case !old.Queues[n].exists():
			case q.exists():
				used := t.now.Unix()-c.moveSlot(n).QUse >= keep
				left = left && q.InUse && (n == 1 || q.Acked > 0 || used)
			default: // there is one mailbox relay only
				left = left && n == 1 && c.rec.Own[0].InUse
			}
		}
		if left {
			old.Left = t.now.Unix()
			t.touch(c)
			t.roster = true
		}
	}
}

// retire deletes old queues some time after the contact left them, if they were
// read empty since: this program may not have run meanwhile.
func (t *turn) retire(c *contact) error {
	t.settleOld(c)
	keep, dead := int64(t.m.timing().oldKeep.Seconds()), int64(t.m.timing().avoidFor.Seconds())
	for i := len(c.rec.Old) - 1; i >= 0; i-- {
		old := &c.rec.Old[i]
		if old.Left == 0 || t.now.Unix() < old.Left+keep {
			continue
		}
		view := t.m.views.Current()
		empty := view != nil
		for n := range old.Queues {
			if q := &old.Queues[n]; empty && q.exists() && q.Made {
				empty = old.Empty[n] >= old.Left+keep/2 || !listedIn(view, q.Relay)
			}
		}
		if empty || t.now.Unix() >= old.Left+dead {
			t.dropOld(c, i)
		}
	}
	return nil
}

// emptied notes that an old queue was read empty.
func (t *turn) emptied(key inboxKey, number int, seed [32]byte) error {
	c, _, q := t.book.inbox(key, number)
	if c == nil || q.Seed != seed || key.old == 0 {
		return nil
	}
	c.oldQueues(key.old).Empty[number] = t.now.Unix()
	t.touch(c)
	return nil
}
