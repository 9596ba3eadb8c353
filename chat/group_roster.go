package chat

import (
	"fmt"
	"slices"
	"time"

	"hearsay/chat/session"
)

// takeGroupOp takes an operation of a group. Only the admin changes the roster,
// and who that is the roster says itself (SPEC.md §11.2).
func (t *turn) takeGroupOp(c *contact, m session.Message) error {
	op, err := session.ParseGroupOp(m.Content)
	if err != nil {
		return nil //nolint:nilerr // malformed: nothing changes
	}
	g := t.book.groups[groupID(op.Group)]
	if op.Form == session.GroupOps && (g == nil || g.rec.State != GroupActive) {
		return t.joinGroup(c, g, op)
	}
	if g == nil || g.rec.State != GroupActive {
		return nil
	}
	switch op.Form {
	case session.GroupOps:
		return t.takeOps(c, g, op)
	case session.GroupLeave:
		return t.takeLeave(c, g)
	case session.GroupWant:
		return t.serveOps(c, g, op.Epoch)
	case session.GroupKnown:
		return t.takeKnown(c, g, op)
	}
	return nil
}

// joinGroup takes that a contact put us into a group: it sends all operations,
// the last of which make it the admin and us a member.
func (t *turn) joinGroup(c *contact, old *group, op session.GroupOp) error {
	roster := &session.Roster{}
	for _, raw := range op.Ops {
		if roster.Apply(raw) != nil {
			return nil // they do not fit together
		}
	}
	if op.Epoch != 1 || roster.Group != op.Group || roster.Admin == op.You || !roster.Has(op.You) {
		return nil
	}
	if old != nil && !old.goesOn(c.id, roster) {
		t.publish(Event{Type: ErrorEvent, Kind: KindRefused, Detail: c.rec.Name + " wants to put you into a group that you were in, but does not know its members of then; erase what you have of it first"})
		return nil
	}
	active, theirs, ended := 0, 0, 0
	for _, g := range t.book.groups {
		switch mine := g.rec.Adder == c.id; {
		case g.rec.State == GroupActive:
			if active++; mine {
				theirs++
			}
		case mine && g != old:
			ended++
		}
	}
	if active >= groupLimit || theirs >= groupPerContact || theirs+ended >= 2*groupPerContact || old == nil && len(t.book.groups) >= 2*groupLimit {
		t.publish(Event{Type: ErrorEvent, Kind: KindLimit, Detail: c.rec.Name + " wants to put you into one more group; there are too many: leave some, or erase those that are over"})
		return nil
	}
	g := newGroup(groupID(op.Group))
	if old != nil { // left or removed before: what was said stays, all else begins anew
		if err := t.dropGroupRows(old, false); err != nil {
			return err
		}
	}
	g.roster = roster
	g.rec.State, g.rec.Me, g.rec.Since, g.rec.Adder = GroupActive, op.You, t.now.Unix(), c.id
	for _, id := range roster.Members {
		if id == op.You {
			continue
		}
		m := memberRecord{ID: id}
		if id == roster.Admin {
			m.Contact = c.id
		}
		g.rec.Members = append(g.rec.Members, m)
	}
	for _, id := range roster.Former {
		g.rec.Members = append(g.rec.Members, memberRecord{ID: id, Gone: true})
	}
	if err := t.enterGroup(g); err != nil {
		return err
	}
	for i, raw := range op.Ops {
		if err := t.tx.Sequence(bucketGroupOps+g.id).Put(uint64(i)+1, raw); err != nil {
			return err
		}
	}
	text := c.rec.Name + " added you to this group"
	if err := t.groupNotice(g, text); err != nil {
		return err
	}
	t.groupChanged(g, text)
	return t.meet(g)
}

// goesOn tells whether a roster that a contact shows is that of a group which we
// were in and which went on since. Who was no member, or has another list of those
// days, could else write below what was said among others.
func (g *group) goesOn(contact string, roster *session.Roster) bool {
	m, epoch := g.of(contact), g.roster.Epoch()
	return m != nil && g.roster.Has(m.ID) && roster.Hash(epoch) == g.roster.Hash(epoch)
}

// enterGroup enters a new group into the book.
func (t *turn) enterGroup(g *group) error {
	t.book.order++
	g.rec.Order = t.book.order
	t.book.groups[g.id] = g
	if err := t.tx.Bucket(bucketMeta).Put(metaOrder, encode(t.book.order)); err != nil {
		return err
	}
	return t.saveGroup(g)
}

// dropGroupRows removes the rows of a group; its history only if all.
func (t *turn) dropGroupRows(g *group, all bool) error {
	for _, name := range []string{bucketGroupOps, bucketGroupGraph, bucketGroupFlight, bucketGroupHeld} {
		if err := t.tx.Sequence(name + g.id).Drop(); err != nil {
			return err
		}
	}
	if !all {
		return nil
	}
	delete(t.book.groups, g.id)
	return t.tx.Bucket(bucketGroup).Delete(g.id)
}

// takeOps takes operations of the roster.
func (t *turn) takeOps(c *contact, g *group, op session.GroupOp) error {
	sender := g.current(c.id)
	if sender == nil {
		return nil
	}
	for i, raw := range op.Ops {
		epoch := uint64(op.Epoch) + uint64(i)
		mine := uint64(g.roster.Epoch())
		admin := sender.ID == g.roster.Admin
		switch {
		case epoch > mine+1:
			return t.behind(g, sender, uint32(min(epoch, 1<<32-1)))
		case !admin:
			return nil // not theirs to say
		case epoch <= mine:
			if g.roster.HashAt(uint32(epoch), raw) != g.roster.Hash(uint32(epoch)) {
				return t.warnGroup(g, fmt.Sprintf("%s, who administers this group, sent two different lists of its members; do not rely on who is in it", c.rec.Name))
			}
		default:
			if err := t.applyOp(g, raw, c.rec.Name); err != nil {
				return err
			}
			if g.rec.State != GroupActive {
				return nil
			}
		}
	}
	return nil
}

// applyOp applies an operation of the admin, whom actor names. One that does not
// fit changes nothing.
func (t *turn) applyOp(g *group, raw []byte, actor string) error {
	op, err := session.ParseRosterOp(raw)
	if err != nil || g.roster.Apply(raw) != nil {
		return nil //nolint:nilerr // a malformed word of the admin changes nothing
	}
	epoch := g.roster.Epoch()
	if err := t.tx.Sequence(bucketGroupOps+g.id).Put(uint64(epoch), raw); err != nil {
		return err
	}
	name := t.book.memberName(g, op.Member)
	text := ""
	switch op.Kind {
	case session.RosterAdd:
		if g.member(op.Member) == nil {
			g.rec.Members = append(g.rec.Members, memberRecord{ID: op.Member})
		}
		text = actor + " added " + t.book.memberName(g, op.Member)
	case session.RosterRemove, session.RosterLeft:
		if text = actor + " removed " + name; op.Kind == session.RosterLeft {
			text = name + " left"
		}
		if op.Member == g.rec.Me {
			return t.endGroup(g, GroupRemoved, actor+" removed you from this group")
		}
		if m := g.member(op.Member); m != nil {
			told := m.Gone
			m.Gone = true
			if err := t.dropCopies(g, m); err != nil {
				return err
			}
			if told {
				text = "" // when they said so themselves
			}
		}
	case session.RosterRename:
		text = fmt.Sprintf("%s named the group %q", actor, SanitizeName(op.Name))
	case session.RosterAdmin:
		if text = name + " administers this group now"; op.Member == g.rec.Me {
			text = "you administer this group now"
		}
	}
	if err := t.saveGroup(g); err != nil {
		return err
	}
	if text != "" {
		if err := t.groupNotice(g, text); err != nil {
			return err
		}
	}
	t.groupChanged(g, text)
	if op.Kind == session.RosterAdmin && op.Member == g.rec.Me {
		return t.takeOver(g, epoch+1)
	}
	return nil
}

// takeOver is the first thing that a new admin does: it removes those who said
// that they leave, and owes its operations to those whom it does not know yet.
func (t *turn) takeOver(g *group, from uint32) error {
	for i := range g.rec.Members {
		if m := &g.rec.Members[i]; g.here(m) && m.Contact == "" {
			m.OpsFrom = from
		}
	}
	for i := range g.rec.Members {
		if m := &g.rec.Members[i]; m.Gone && g.roster.Has(m.ID) {
			if err := t.writeLeft(g, m); err != nil {
				return err
			}
		}
	}
	return t.saveGroup(g)
}

// endGroup ends our part in a group.
func (t *turn) endGroup(g *group, state, text string) error {
	g.rec.State = state
	for i := range g.rec.Members {
		if err := t.dropCopies(g, &g.rec.Members[i]); err != nil {
			return err
		}
	}
	for _, row := range sortedKeys(g.held) {
		if err := t.showGroup(g, g.held[row], false); err != nil {
			return err
		}
	}
	g.gapEnds = time.Time{}
	if err := t.saveGroup(g); err != nil {
		return err
	}
	if err := t.groupNotice(g, text); err != nil {
		return err
	}
	t.groupChanged(g, text)
	return nil
}

// takeLeave takes that a member leaves: nothing is sent to it from now on. The
// admin writes it into the roster.
func (t *turn) takeLeave(c *contact, g *group) error {
	m := g.current(c.id)
	if m == nil {
		return nil
	}
	if err := t.stopSending(g, m, c.rec.Name+" left"); err != nil {
		return err
	}
	if m.ID == g.roster.Admin {
		return t.warnGroup(g, c.rec.Name+", who administered this group, left it: nobody can change it any more")
	}
	if g.admin() {
		return t.writeLeft(g, m)
	}
	return nil
}

// writeLeft writes into the roster that a member left. If the roster cannot be
// changed, all stopped sending all the same.
func (t *turn) writeLeft(g *group, m *memberRecord) error {
	err := t.issueOp(g, session.RosterOp{Kind: session.RosterLeft, Member: m.ID})
	if isRefusal(err) {
		return nil
	}
	return err
}

// stopSending ends what goes to a member.
func (t *turn) stopSending(g *group, m *memberRecord, text string) error {
	m.Gone = true
	if err := t.dropCopies(g, m); err != nil {
		return err
	}
	if err := t.saveGroup(g); err != nil {
		return err
	}
	if err := t.groupNotice(g, text); err != nil {
		return err
	}
	t.groupChanged(g, text)
	return nil
}

// issueOp changes the roster of a group that we administer, and tells all whom
// it concerns. It fails with limit.
func (t *turn) issueOp(g *group, op session.RosterOp) error {
	if _, who := g.ahead(); who != nil && !(op.Kind == session.RosterRemove && g.claims(op.Member)) {
		name := t.book.memberName(g, who.ID)
		return &Error{
			Kind: KindRefused, Text: name + " knows a newer list of members than this device, or says so",
			Hint: "if this profile was set back, make a new group; if not, remove " + name,
		}
	}
	raw := op.Append(nil)
	before := slices.Clone(g.roster.Members)
	check := *g.roster
	if err := check.Apply(raw); err != nil {
		return &Error{Kind: KindLimit, Text: "the group cannot be changed any more: it has 32 members, or had 512 changes", Hint: "make a new group"}
	}
	if err := t.applyOp(g, raw, "you"); err != nil {
		return err
	}
	for _, id := range before { // who is removed learns it too
		if m := g.member(id); m != nil && op.Kind != session.RosterCreate {
			if err := t.sendOps(g, m, g.roster.Epoch()); err != nil {
				return err
			}
		}
	}
	return nil
}

// sendOps sends a member the operations from an epoch on.
func (t *turn) sendOps(g *group, m *memberRecord, from uint32) error {
	c := t.book.contacts[m.Contact]
	if c == nil {
		if m.OpsFrom == 0 {
			m.OpsFrom = from
		}
		return t.saveGroup(g)
	}
	op := session.GroupOp{Group: g.roster.Group, Form: session.GroupOps, Epoch: from, You: m.ID, Ops: g.roster.Ops(from - 1)}
	if len(op.Ops) == 0 {
		return nil
	}
	return t.wait(c, waitRecord{Type: byte(session.FrameGroupOp), Content: op.Append(nil)})
}

// serveOps answers a member who misses operations.
func (t *turn) serveOps(c *contact, g *group, have uint32) error {
	m := g.current(c.id)
	if m == nil || !g.admin() || have >= g.roster.Epoch() || t.now.Sub(g.served[c.id]) < t.m.timing().maintain {
		return nil
	}
	g.served[c.id] = t.now
	return t.sendOps(g, m, have+1)
}

// compareRoster compares what a member says about the roster with ours. That of
// an epoch is one and the same for all, unless the admin told them different
// things.
func (t *turn) compareRoster(g *group, c *contact, epoch uint32, hash [16]byte) error {
	if epoch > g.roster.Epoch() {
		return t.behind(g, g.current(c.id), epoch)
	}
	if own := g.roster.Hash(epoch); [16]byte(own[:16]) == hash {
		return nil
	}
	who := t.book.memberName(g, g.roster.Admin)
	if g.roster.Admin == g.rec.Me {
		return t.warnGroup(g, c.rec.Name+" has another list of members than you made")
	}
	return t.warnGroup(g, fmt.Sprintf("%s, who administers this group, told members different things about who is in it: %s has another list than you", who, c.rec.Name))
}

// warnGroup shows that something is wrong with a roster.
func (t *turn) warnGroup(g *group, text string) error {
	if g.rec.Warning == text {
		return nil
	}
	g.rec.Warning = text
	if err := t.saveGroup(g); err != nil {
		return err
	}
	if err := t.groupNotice(g, text); err != nil {
		return err
	}
	t.groupChanged(g, text)
	return nil
}

// ahead is the highest epoch above ours that a member named, and who did; 0 and
// nil if none did.
func (g *group) ahead() (epoch uint32, who *memberRecord) {
	for i := range g.rec.Members {
		m := &g.rec.Members[i]
		if g.here(m) && m.Ahead > g.roster.Epoch() && m.Ahead > epoch {
			epoch, who = m.Ahead, m
		}
	}
	return epoch, who
}

// claims tells whether a member named an epoch above ours.
func (g *group) claims(id session.MemberID) bool {
	m := g.member(id)
	return m != nil && m.Ahead > g.roster.Epoch()
}

// behind notes that a member says to know operations which we do not. It may
// lie: that is the member's word alone, and goes with the member.
func (t *turn) behind(g *group, m *memberRecord, epoch uint32) error {
	if epoch > session.MaxOpsPerFrame {
		return nil // no roster has so many
	}
	if _, who := g.ahead(); who == nil {
		g.rec.AheadAt = t.now.Unix()
	}
	m.Ahead = max(m.Ahead, epoch)
	if err := t.saveGroup(g); err != nil {
		return err
	}
	return t.catchUp(g)
}

// catchUp asks the admin for operations that others have, and warns if they do
// not come. The longer they have not come, the longer until it asks again: the
// admin may be away, or never have made them.
func (t *turn) catchUp(g *group) error {
	_, who := g.ahead()
	if who == nil {
		return nil
	}
	patience := t.groupTimer(groupBehind)
	waited := t.now.Sub(time.Unix(g.rec.AheadAt, 0))
	if waited >= patience {
		name, says := t.book.memberName(g, g.roster.Admin), t.book.memberName(g, who.ID)
		text := name + ", who administers this group, told others of changes to its members, but not you"
		switch {
		case g.roster.Admin == g.rec.Me:
			text = says + " says that there is a newer list of members than this device knows: it was set back, or " + says + " lies"
		case who.ID != g.roster.Admin:
			text += ": so " + says + " says"
		}
		if err := t.warnGroup(g, text); err != nil {
			return err
		}
	}
	admin := g.member(g.roster.Admin)
	if admin == nil || t.now.Sub(g.wantAt) < min(max(patience/4, waited/2), t.groupTimer(groupAskAgain)) {
		return nil
	}
	c := t.book.contacts[admin.Contact]
	if c == nil || c.cutOff() {
		return nil
	}
	g.wantAt = t.now
	op := session.GroupOp{Group: g.roster.Group, Form: session.GroupWant, Epoch: g.roster.Epoch()}
	return t.wait(c, waitRecord{Type: byte(session.FrameGroupOp), Content: op.Append(nil)})
}
