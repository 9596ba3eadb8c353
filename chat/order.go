package chat

import (
	"time"

	"hearsay/chat/session"
)

// release shows held messages: in the order of their seqs, without waiting for
// a missing one longer than the gap is held (SPEC.md §5.3).
func (t *turn) release(c *contact) error {
	c.gapEnds = time.Time{}
	if c.session == nil {
		return nil
	}
	cumulative, gap := c.session.Received()
	if !gap {
		c.gapSince = time.Time{}
	} else if c.gapSince.IsZero() {
		c.gapSince = t.now
	}
	hold := t.m.timing().gapHold
	messages := c.heldMessages()
	free := uint64(0) // messages up to this first seq need not wait
	for _, m := range messages {
		if m.complete && t.now.Sub(m.since) >= hold {
			free = m.first
		}
	}
	for _, m := range messages {
		inOrder := m.first <= cumulative+1 || m.frames[0].Type.Control()
		switch {
		case !m.complete:
		case inOrder || m.first <= free || c.rec.Passed == cumulative+1:
			if !inOrder {
				c.rec.Passed = cumulative + 1
			}
			if err := t.show(c, m); err != nil {
				return err
			}
		default:
			if at := m.since.Add(hold); c.gapEnds.IsZero() || at.Before(c.gapEnds) {
				c.gapEnds = at
			}
		}
	}
	return t.storeHeld(c)
}

// heldMessage is a message among the held frames.
type heldMessage struct {
	first    uint64
	frames   []session.Frame
	since    time.Time // arrival of its last frame
	complete bool
}

// heldMessages joins the held frames, in the order of their first seq.
func (c *contact) heldMessages() []*heldMessage {
	byFirst := make(map[uint64]*heldMessage)
	for _, seq := range sortedKeys(c.held) {
		h := c.held[seq]
		first := seq - uint64(h.rec.Index)
		m := byFirst[first]
		if m == nil {
			m = &heldMessage{first: first}
			byFirst[first] = m
		}
		m.frames = append(m.frames, session.Frame{
			Type: session.FrameType(h.rec.Type), Index: h.rec.Index, Count: h.rec.Count, Seq: seq, ID: h.rec.ID, Content: h.rec.Content,
		})
		if h.since.After(m.since) {
			m.since = h.since
		}
		m.complete = len(m.frames) == int(h.rec.Count)
	}
	messages := make([]*heldMessage, 0, len(byFirst))
	for _, first := range sortedKeys(byFirst) {
		messages = append(messages, byFirst[first])
	}
	return messages
}

// show puts a message into the history and forgets its frames.
func (t *turn) show(c *contact, m *heldMessage) error {
	t.touch(c)
	for _, f := range m.frames {
		if err := t.dropHeld(c, f.Seq); err != nil {
			return err
		}
	}
	whole, err := session.Join(m.frames)
	if err != nil {
		return nil //nolint:nilerr // the contact sent fragments that do not fit: nothing to show
	}
	late := m.first < c.rec.Shown
	if !whole.Type.Control() {
		c.rec.Shown = max(c.rec.Shown, m.first)
	}
	return t.deliver(c, whole, m.first, late)
}

// storeHeld writes those frames that still wait.
func (t *turn) storeHeld(c *contact) error {
	for _, seq := range sortedKeys(c.held) {
		h := c.held[seq]
		if h.stored {
			continue
		}
		if err := t.tx.Sequence(bucketHeld+c.id).Put(seq, encode(h.rec)); err != nil {
			return err
		}
		h.stored = true
	}
	return nil
}

func (t *turn) dropHeld(c *contact, seq uint64) error {
	h := c.held[seq]
	delete(c.held, seq)
	if h == nil || !h.stored {
		return nil
	}
	return t.tx.Sequence(bucketHeld + c.id).Delete(seq)
}
