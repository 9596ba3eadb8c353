package tui

import (
	"context"
	"errors"
	"strings"

	"hearsay/chat"
)

// group runs /group. All but new and list are about the group that is selected.
func (p *plain) group(args string) error {
	verb, rest, _ := strings.Cut(args, " ")
	rest = strings.TrimSpace(rest)
	switch verb {
	case "", "list":
		n := 0
		for i := range p.entries {
			if e := &p.entries[i]; e.group != nil {
				n++
				p.say(e.called() + ": " + p.groupText(*e.group) + ". Members: " + p.members(e.group) + ".")
			}
		}
		if n == 0 {
			p.say("There are no groups. /group new NAME makes one.")
		}
		return nil
	case "new":
		return p.newGroup(rest)
	}
	e, err := p.target("")
	if err != nil {
		return err
	}
	if e.group == nil {
		return errors.New("no group is selected: /to NAME selects one")
	}
	id := e.id
	switch verb {
	case "add", "remove":
		who, err := p.lookup(rest)
		if err != nil {
			return err
		}
		if who.contact == nil || who.isNotes() {
			return errors.New("only contacts can be in a group")
		}
		member, called := who.id, who.called()
		if verb == "remove" {
			if yes, err := p.confirm("Remove " + called + " from " + e.called() + "? The members are told."); !yes || err != nil {
				return err
			}
		}
		err = p.do(func(ctx context.Context) error {
			if verb == "add" {
				return p.chat.AddMember(ctx, id, member)
			}
			return p.chat.RemoveMember(ctx, id, member)
		})
		if err != nil {
			return err
		}
	case "rename":
		if rest == "" {
			return errors.New("say the new name, which all members see: /group rename NAME")
		}
		if err := p.do(func(ctx context.Context) error { return p.chat.RenameGroup(ctx, id, rest) }); err != nil {
			return err
		}
	case "leave":
		if yes, err := p.confirm("Leave " + e.called() + "? The members are told; the messages stay here."); !yes || err != nil {
			return err
		}
		if err := p.do(func(ctx context.Context) error { return p.chat.LeaveGroup(ctx, id) }); err != nil {
			return err
		}
	default:
		return errors.New("write /group new, add, remove, rename, leave or list")
	}
	if err := p.load(); err != nil {
		return err
	}
	if e := p.find(id); e != nil {
		p.say(e.called() + ": " + p.groupText(*e.group) + ". Members: " + p.members(e.group) + ".")
	}
	return nil
}

// members names the members of a group.
func (p *plain) members(g *chat.Group) string {
	names := []string{"you"}
	for _, id := range g.Members {
		names = append(names, p.nameOf(id))
	}
	return strings.Join(names, ", ")
}

// newGroup makes a group of the contacts that are named, with commas between.
func (p *plain) newGroup(name string) error {
	if name == "" {
		return errors.New("say how it is called, which all members see: /group new NAME")
	}
	list, err := p.ask("Who is in it? Type names of contacts, with commas between.")
	if err != nil {
		return err
	}
	if p.locked {
		return nil
	}
	var ids []string
	for one := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(one) == "" {
			continue
		}
		e, err := p.lookup(one)
		if err != nil {
			return err
		}
		if e.contact == nil || e.isNotes() {
			return errors.New("only contacts can be in a group")
		}
		ids = append(ids, e.id)
	}
	if len(ids) == 0 {
		return errors.New("nobody was named: the group was not made")
	}
	g, err := awaited(p, callTimeout, func(ctx context.Context) (chat.Group, error) { return p.chat.CreateGroupOnce(ctx, name, ids, "") })
	if err != nil {
		return err
	}
	if err := p.load(); err != nil {
		return err
	}
	if e := p.find(g.ID); e != nil {
		p.choose(e)
	}
	return nil
}
