package chat

import (
	"context"
	"crypto/rand"
	"slices"

	"hearsay/chat/session"
)

// checkGroupName checks the name of a group, which all members see.
func checkGroupName(name string) (string, error) {
	name, refused := checkName(name)
	if refused != nil {
		return "", refused
	}
	if name == "" {
		return "", &Error{Kind: KindRefused, Text: "a group needs a name"}
	}
	return name, nil
}

// mayJoin refuses contacts who cannot be put into a group.
func (t *turn) mayJoin(contact string) (*contact, error) {
	c := t.book.contacts[contact]
	switch {
	case c == nil:
		return nil, errNoContact
	case c.rec.Claim != nil && c.rec.Claim.Failed != "":
		return nil, &Error{Kind: c.rec.Claim.Failed, Text: "the invite of " + c.rec.Name + " did not work", Hint: "ask for a new invite"}
	}
	return c, c.mayWrite()
}

// CreateGroup makes a group of contacts and tells them. The name is sent to all
// members. It fails with not_found, refused (no name or nobody, or a contact who
// may not be written to) or limit (32 members, oneself included; 64 groups).
func (m *Messenger) CreateGroup(ctx context.Context, name string, contacts []string) (Group, error) {
	return m.CreateGroupOnce(ctx, name, contacts, "")
}

// CreateGroupOnce is CreateGroup; with a key that was used in the last 30 days it
// returns the group that was made then, as it is now.
func (m *Messenger) CreateGroupOnce(ctx context.Context, name string, contacts []string, key string) (Group, error) {
	name, err := checkGroupName(name)
	if err != nil {
		return Group{}, err
	}
	var shape Group
	err = m.do(ctx, func(t *turn) error {
		id, err := t.once(key, callText("group.create", append([]string{name}, contacts...)...), func() (string, error) {
			g, err := t.createGroup(name, contacts)
			if err != nil {
				return "", err
			}
			return g.id, nil
		})
		if err == nil {
			shape = *t.recallGroup(id)
		}
		return err
	})
	return shape, err
}

func (t *turn) createGroup(name string, contacts []string) (*group, error) {
	op := session.RosterOp{Kind: session.RosterCreate, Name: name, Members: []session.MemberID{randomMember()}}
	_, _ = rand.Read(op.Group[:])
	g := newGroup(groupID(op.Group))
	g.rec.State, g.rec.Me, g.rec.Since = GroupActive, op.Members[0], t.now.Unix()
	for i, id := range contacts {
		if slices.Contains(contacts[:i], id) {
			continue
		}
		if _, err := t.mayJoin(id); err != nil {
			return nil, err
		}
		m := memberRecord{ID: randomMember(), Contact: id}
		g.rec.Members, op.Members = append(g.rec.Members, m), append(op.Members, m.ID)
	}
	active := 0
	for _, other := range t.book.groups {
		if other.rec.State == GroupActive {
			active++
		}
	}
	switch {
	case len(op.Members) < 2:
		return nil, &Error{Kind: KindRefused, Text: "a group needs at least one contact"}
	case len(op.Members) > session.MaxGroupMembers:
		return nil, &Error{Kind: KindLimit, Text: "a group has 32 members at most, yourself included"}
	case active >= groupLimit:
		return nil, &Error{Kind: KindLimit, Text: "there are too many groups", Hint: "leave one first"}
	}
	raw := op.Append(nil)
	if err := g.roster.Apply(raw); err != nil {
		return nil, err
	}
	if err := t.enterGroup(g); err != nil {
		return nil, err
	}
	if err := t.tx.Sequence(bucketGroupOps+g.id).Put(1, raw); err != nil {
		return nil, err
	}
	if err := t.groupNotice(g, "you made this group"); err != nil {
		return nil, err
	}
	t.groupChanged(g, "you made this group")
	for i := range g.rec.Members {
		if err := t.sendOps(g, &g.rec.Members[i], 1); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// changeGroup runs a change of a group that we administer.
func (m *Messenger) changeGroup(ctx context.Context, id string, change func(t *turn, g *group) error) error {
	return m.do(ctx, func(t *turn) error {
		g := t.book.groups[id]
		switch {
		case g == nil:
			return errNoGroup
		case g.rec.State != GroupActive:
			return &Error{Kind: KindRefused, Text: "you are no member of this group any more"}
		case !g.admin():
			return &Error{Kind: KindRefused, Text: "only the admin of a group can do that", Hint: "ask " + t.book.memberName(g, g.roster.Admin)}
		}
		return change(t, g)
	})
}

// AddMember adds a contact to a group that we administer. It fails with
// not_found, refused, exists or limit.
func (m *Messenger) AddMember(ctx context.Context, id, contact string) error {
	return m.changeGroup(ctx, id, func(t *turn, g *group) error {
		c, err := t.mayJoin(contact)
		if err != nil {
			return err
		}
		if g.current(contact) != nil {
			return &Error{Kind: KindExists, Text: c.rec.Name + " is a member already"}
		}
		before := slices.Clone(g.rec.Members)
		if old := g.of(contact); old != nil {
			old.Contact = ""
		}
		member := memberRecord{ID: randomMember(), Contact: contact}
		g.rec.Members = append(g.rec.Members, member)
		if err := t.issueOp(g, session.RosterOp{Kind: session.RosterAdd, Member: member.ID}); err != nil {
			g.rec.Members = before
			return err
		}
		return t.sendOps(g, g.member(member.ID), 1)
	})
}

// RemoveMember removes a contact from a group that we administer: everybody
// stops sending to them. What they have they keep. It fails with not_found,
// refused or limit.
func (m *Messenger) RemoveMember(ctx context.Context, id, contact string) error {
	return m.changeGroup(ctx, id, func(t *turn, g *group) error {
		member := g.of(contact)
		if member == nil || !g.roster.Has(member.ID) {
			return &Error{Kind: KindNotFound, Text: "there is no such member"}
		}
		return t.issueOp(g, session.RosterOp{Kind: session.RosterRemove, Member: member.ID})
	})
}

// RenameGroup gives a group that we administer another name, for all. It fails
// with not_found, refused or limit.
func (m *Messenger) RenameGroup(ctx context.Context, id, name string) error {
	name, err := checkGroupName(name)
	if err != nil {
		return err
	}
	return m.changeGroup(ctx, id, func(t *turn, g *group) error {
		if g.roster.Name == name {
			return nil
		}
		return t.issueOp(g, session.RosterOp{Kind: session.RosterRename, Name: name})
	})
}

// LeaveGroup leaves a group; if we administer it, the member who was there first
// does so from then on. A group that was left, or that we were removed from, is
// erased with its history. It fails with not_found.
func (m *Messenger) LeaveGroup(ctx context.Context, id string) error {
	return m.do(ctx, func(t *turn) error {
		g := t.book.groups[id]
		if g == nil {
			return errNoGroup
		}
		if g.rec.State != GroupActive {
			return t.eraseGroup(g)
		}
		if g.admin() {
			for _, id := range g.roster.Members {
				if next := g.member(id); next != nil && g.here(next) && t.book.contacts[next.Contact] != nil {
					err := t.issueOp(g, session.RosterOp{Kind: session.RosterAdmin, Member: id})
					if err != nil && !isRefusal(err) {
						return err
					}
					break
				}
			}
		}
		leave := session.GroupOp{Group: g.roster.Group, Form: session.GroupLeave}
		for i := range g.rec.Members {
			member := &g.rec.Members[i]
			c := t.book.contacts[member.Contact]
			if c == nil || !g.here(member) {
				continue
			}
			if err := t.wait(c, waitRecord{Type: byte(session.FrameGroupOp), Content: leave.Append(nil)}); err != nil {
				return err
			}
		}
		return t.endGroup(g, GroupLeft, "you left this group")
	})
}

// eraseGroup removes a group from this disk.
func (t *turn) eraseGroup(g *group) error {
	if err := t.dropGroupRows(g, true); err != nil {
		return err
	}
	if err := t.tx.History(g.id).Drop(); err != nil {
		return err
	}
	t.publish(Event{Type: GroupChanged, Group: &Group{ID: g.id, Members: []string{}, State: g.rec.State}, Detail: "erased"})
	return t.dropConversation(g.id)
}
