package chat

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"hearsay/chat/session"
)

// groupHeld is a message of a group that waits for those before it.
type groupHeld struct {
	row   uint64
	rec   groupHeldRecord
	since time.Time
	text  session.GroupText
}

// groupHeldRecord is the row of a groupHeld.
type groupHeldRecord struct {
	Member  session.MemberID `cbor:"1,keyasint"`
	Contact string           `cbor:"2,keyasint"`
	ID      [16]byte         `cbor:"3,keyasint"`
	Content []byte           `cbor:"4,keyasint"`
}

func (h *groupHeld) parse(raw []byte) (err error) {
	if err := decode(raw, &h.rec); err != nil {
		return err
	}
	h.text, err = session.ParseGroupText(h.rec.Content)
	return err
}

// takeGroupText takes a text to a group. Its author is the contact whose session
// brought it: the id that the frame carries must be the one that the content has
// when that member wrote it, and who is no member is not heard (SPEC.md §11.4).
func (t *turn) takeGroupText(c *contact, m session.Message) error {
	text, err := session.ParseGroupText(m.Content)
	if err != nil {
		return nil //nolint:nilerr // malformed: nothing to show
	}
	g := t.book.groups[groupID(text.Group)]
	if g == nil || g.rec.State != GroupActive {
		return nil
	}
	member := g.current(c.id)
	if member == nil {
		t.m.log.Info("a message to a group of who is no member")
		return nil
	}
	if id, err := text.ID(member.ID); err != nil || id != m.ID {
		t.m.log.Info("a message to a group that its author did not write")
		return nil //nolint:nilerr // as above
	}
	if err := t.compareRoster(g, c, text.Epoch, text.Roster); err != nil {
		return err
	}
	if _, known := g.graph[m.ID]; known {
		return nil
	}
	for _, h := range g.held {
		if h.rec.ID == m.ID {
			return nil
		}
	}
	h := &groupHeld{since: t.now, text: text, rec: groupHeldRecord{Member: member.ID, Contact: c.id, ID: m.ID, Content: m.Content}}
	if h.row, err = t.tx.Sequence(bucketGroupHeld + g.id).Add(encode(h.rec)); err != nil {
		return err
	}
	g.held[h.row] = h
	return t.releaseGroup(g)
}

// releaseGroup shows the messages that need not wait any more: by depth, and
// those of one depth by author.
func (t *turn) releaseGroup(g *group) error {
	hold := t.m.timing().gapHold
	for {
		var ready, over []*groupHeld
		for _, row := range sortedKeys(g.held) {
			switch h := g.held[row]; {
			case !g.waits(h):
				ready = append(ready, h)
			case t.now.Sub(h.since) >= hold || len(g.held) > groupHeldLimit:
				over = append(over, h)
			}
		}
		missing := false
		if len(ready) == 0 && len(over) > 0 {
			// What the first of them waits for does not come in time; whether
			// the others still wait then is seen anew.
			slices.SortFunc(over, func(x, y *groupHeld) int { return cmp.Compare(g.depth(x), g.depth(y)) })
			ready, missing = over[:1], true
		}
		if len(ready) == 0 {
			break
		}
		slices.SortFunc(ready, func(x, y *groupHeld) int {
			return cmp.Or(cmp.Compare(g.depth(x), g.depth(y)), bytes.Compare(x.rec.Member[:], y.rec.Member[:]), cmp.Compare(x.text.Seq, y.text.Seq))
		})
		if err := t.showGroup(g, ready[0], missing); err != nil {
			return err
		}
	}
	g.gapEnds = time.Time{}
	for _, h := range g.held {
		if at := h.since.Add(hold); g.gapEnds.IsZero() || at.Before(g.gapEnds) {
			g.gapEnds = at
		}
	}
	return nil
}

// waits tells whether a message before this one has not come: one that it names,
// or one of the same author. Who has just joined knows none of those before.
func (g *group) waits(h *groupHeld) bool {
	if m := g.member(h.rec.Member); m != nil && m.Last != 0 && h.text.Seq > m.Last+1 {
		return true
	}
	if len(g.graph) == 0 {
		return false
	}
	return slices.ContainsFunc(h.text.Parents, func(p [16]byte) bool { _, known := g.graph[p]; return !known })
}

// depth is one more than that of the deepest message before this one. One that
// is not known counts as coming after all that was shown.
func (g *group) depth(h *groupHeld) uint64 {
	depth := uint64(1)
	for _, p := range h.text.Parents {
		d, known := g.graph[p]
		if !known {
			d = g.rec.Depth + 1
		}
		depth = max(depth, d+1)
	}
	return depth
}

// showGroup puts a message into the history of its group. missing says that one
// before it has not come.
func (t *turn) showGroup(g *group, h *groupHeld, missing bool) error {
	delete(g.held, h.row)
	if err := t.tx.Sequence(bucketGroupHeld + g.id).Delete(h.row); err != nil {
		return err
	}
	depth := g.depth(h)
	m := g.member(h.rec.Member)
	skipped := m != nil && m.Last != 0 && h.text.Seq > m.Last+1
	switch {
	case !missing:
	case skipped:
		if err := t.groupNotice(g, t.book.memberName(g, h.rec.Member)+" wrote something here before that has not arrived"); err != nil {
			return err
		}
	case t.now.Unix()-g.rec.Since >= int64(t.groupTimer(groupSettle).Seconds()) && t.now.Sub(g.noticed) >= t.groupTimer(groupNoticeAgain):
		g.noticed = t.now // whoever names what never was cannot fill the screen with it
		if err := t.groupNotice(g, "a message that other members have has not arrived"); err != nil {
			return err
		}
	}
	if m != nil {
		m.Last = max(m.Last, h.text.Seq)
	}
	late := depth < g.rec.Depth
	if err := t.noteGroup(g, headRecord{h.rec.ID, depth}, h.text.Parents); err != nil {
		return err
	}
	if c := t.book.contacts[h.rec.Contact]; c != nil {
		t.touch(c)
		c.rec.Active = t.now.Unix()
	}
	rec := messageRecord{
		ID: h.rec.ID, Text: h.text.Text.Text, Reply: h.text.Text.Reply, Late: late,
		Group: &groupOrigin{Author: h.rec.Contact, Seq: h.text.Seq, Depth: depth},
	}
	if rec.Reply != nil {
		var err error
		if rec.ReplyTo, _, err = t.byID(g.id, *rec.Reply, (*messageRecord).written); err != nil {
			return err
		}
	}
	return t.addGroupRow(g, rec)
}

// tickGroups does what is due by the clock.
func (t *turn) tickGroups() error {
	for _, g := range t.book.groups {
		if g.rec.State != GroupActive {
			continue
		}
		if !g.gapEnds.IsZero() && !t.now.Before(g.gapEnds) {
			if err := t.releaseGroup(g); err != nil {
				return err
			}
		}
		if t.now.Before(g.lookAt) {
			continue
		}
		g.lookAt = t.now.Add(t.m.timing().maintain)
		for _, due := range []func(*group) error{t.catchUp, t.meet} {
			if err := due(g); err != nil {
				return err
			}
		}
		if err := t.sendOwed(g); err != nil {
			return err
		}
	}
	return nil
}

// groupDeadline is when tickGroups has something to do, zero if not.
func (b *book) groupDeadline() (next time.Time) {
	for _, g := range b.groups {
		if g.rec.State != GroupActive {
			continue
		}
		for _, at := range []time.Time{g.gapEnds, g.lookAt} {
			if !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	return next
}
