package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

func groupKeys() []binding {
	return []binding{
		{"group.add", []string{"a"}, "add, or make a group"},
		{"group.remove", []string{"x"}, "remove the member"},
		{"group.rename", []string{"r"}, "rename"},
		{"group.leave", []string{"l"}, "leave"},
		{"group.down", []string{"down", "j"}, "next"},
		{"group.up", []string{"up", "k"}, "previous"},
		{"group.mark", []string{"space"}, "mark a contact; members"},
		{"group.take", []string{"enter"}, "go on"},
	}
}

// groupDialog shows the members of a group, and what can be done with it.
type groupDialog struct {
	id      string
	at      int // index of the marked member
	busy    bool
	problem string
}

// openGroup shows members of a group, and what can be done with it.
func (a *App) openGroup(id string) tea.Cmd {
	if e := a.find(id); e == nil || e.group == nil {
		a.notice = "this is no group; /group list shows them"
		return nil
	}
	a.push(&groupDialog{id: id})
	return nil
}

func (d *groupDialog) mode() mode { return modeGroup }

// member returns the id of the marked member, or "".
func (d *groupDialog) member(g *chat.Group) string {
	if len(g.Members) == 0 {
		return ""
	}
	d.at = min(max(d.at, 0), len(g.Members)-1)
	return g.Members[d.at]
}

func (d *groupDialog) update(a *App, msg tea.Msg) tea.Cmd {
	k, ok := msg.(tea.KeyPressMsg)
	if !ok || d.busy {
		return nil
	}
	e := a.find(d.id)
	if e == nil || e.group == nil {
		return nil // it was erased
	}
	d.problem = ""
	member := d.member(e.group)
	act := a.keys.find(modeGroup, k.String())
	switch act {
	case "group.down":
		d.at++
	case "group.up":
		d.at--
	case "group.take":
		if member != "" {
			a.drop(d)
			return a.selectEntry(member)
		}
	case "group.leave":
		a.askLeave(e)
	case "group.add", "group.remove", "group.rename":
		if why := a.notAdmin(e.group); why != "" {
			d.problem = why
			return nil
		}
		switch {
		case act == "group.add":
			return a.openMembers(e)
		case act == "group.rename":
			return a.openGroupName(e)
		case member != "":
			a.askRemoveMember(e, member)
		}
	}
	return nil
}

// notAdmin says in words why a group cannot be changed from here; empty if it can.
func (a *App) notAdmin(g *chat.Group) string {
	switch {
	case g.State != chat.GroupActive:
		return "you are no member of this group any more"
	case !g.Admin && g.Administrator != "":
		return "only " + a.nameOf(g.Administrator) + " can do that, who administers this group"
	case !g.Admin:
		return "only the member who administers this group can do that"
	}
	return ""
}

// groupState says what a group is to us.
func (a *App) groupState(g *chat.Group) string {
	switch {
	case g.State == chat.GroupLeft:
		return "You left this group. Nothing is sent to it, and nothing of it comes."
	case g.State == chat.GroupRemoved:
		return "You were removed from this group. Nothing is sent to it, and nothing of it comes."
	case g.Admin:
		return "You administer this group: you alone add, remove and rename."
	case g.Administrator != "":
		return a.nameOf(g.Administrator) + " administers this group, and alone adds, removes and renames."
	}
	return "A member whom you do not know yet administers this group."
}

// pendingText says what members are with whom there is no session.
func pendingText(n int) string {
	who := "One further member is"
	if n > 1 {
		who = fmt.Sprintf("%d further members are", n)
	}
	return who + " not yet reachable: you have no session with them. Members introduce you by themselves; what you write waits for that."
}

func (d *groupDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	e := a.find(d.id)
	if e == nil || e.group == nil {
		s := newSheet("Group", w, 40)
		s.kept("This group is not here any more.")
		s.offers(a.closeOffer("close"))
		return s.draw(&a.theme, w, h)
	}
	g := e.group
	warning := ""
	if g.Warning != "" {
		warning = " " + a.theme.changed + " warning"
	}
	title := "Group " + a.theme.group + " "
	title += ansi.Truncate(e.name, max(6, min(w, 70)-6-ansi.StringWidth(title+warning)), a.theme.more) + warning
	s := newSheet(title, w, 70)
	s.text(a.groupState(g))
	if g.Warning != "" {
		s.kept(a.theme.warn.Render(a.theme.changed + " warning: " + sanitizeLine(g.Warning)))
	}
	s.blank()
	s.text(fmt.Sprintf("%d members, you included:", groupSize(g)))
	member := d.member(g)
	for _, id := range g.Members {
		s.item(a.memberLine(g, id, s.inner, id == member), id == member)
	}
	if g.Pending > 0 {
		s.kept(pendingText(g.Pending))
	}
	s.problem(&a.theme, d.problem)
	hints := []string{}
	switch {
	case d.busy:
		hints = append(hints, "a moment "+a.theme.more)
	case g.State != chat.GroupActive:
		hints = append(hints, a.offer("group.leave", "erase it"))
	case g.Admin:
		hints = append(hints, a.offer("group.add", "add"), a.offer("group.remove", "remove"), a.offer("group.rename", "rename"), a.offer("group.leave", "leave"))
	default:
		hints = append(hints, a.offer("group.leave", "leave"))
	}
	if member != "" && !d.busy {
		hints = append(hints, a.offer("group.take", "write alone"))
	}
	s.offers(append(hints, a.closeOffer("close"))...)
	return s.draw(&a.theme, w, h)
}

// memberLine is one member: the name, what the contact is, and whether they
// administer the group.
func (a *App) memberLine(g *chat.Group, id string, w int, marked bool) string {
	name, states := "somebody", []string{""}
	if e := a.find(id); e != nil {
		mark, word := a.entryState(e)
		name, states = e.name, []string{strings.TrimSpace(mark + " " + word), mark}
	}
	if id == g.Administrator {
		states = append([]string{states[0] + ", administers"}, states...)
	}
	for _, s := range states { // the fullest that leaves the name in sight
		room := w - 2 - ansi.StringWidth(s)
		if room >= min(12, ansi.StringWidth(name)) {
			return spread(a.rowMark(marked)+ansi.Truncate(name, room, a.theme.more), " "+s, w)
		}
	}
	return a.rowMark(marked) + ansi.Truncate(name, max(1, w-1), a.theme.more)
}

// askLeave asks before a group is left, or erased if it was.
func (a *App) askLeave(e *entry) {
	id, name := e.id, e.name
	title, yes, done := "Leave "+name, "leave", "you left "+name
	text := "All members are told, and nothing of it comes any more. What was written stays here until you erase the group."
	switch {
	case e.group.State != chat.GroupActive:
		title, yes, done = "Erase "+name, "erase", name+" is erased"
		text = "All that was written in it is erased from this disk. Nothing brings it back."
	case e.group.Admin:
		text += " You administer it: the member who was there first does from then on."
	}
	c := a.chat
	erased := e.group.State != chat.GroupActive
	a.confirm(title, text, yes, func() tea.Cmd {
		return a.do(nil, func(ctx context.Context) error { return c.LeaveGroup(ctx, id) }, func(err error) tea.Cmd {
			if err != nil {
				a.groupFailed(id, err)
				return nil
			}
			a.notice = done
			if erased {
				for _, d := range a.dialogs {
					if g, ok := d.(*groupDialog); ok && g.id == id {
						a.drop(g)
						break
					}
				}
				a.forget(id)
			}
			return a.loadPeople()
		})
	})
}

// askRemoveMember asks before a member is removed.
func (a *App) askRemoveMember(e *entry, contact string) {
	id, name, group := e.id, a.nameOf(contact), e.name
	c := a.chat
	text := "All members are told, and stop sending to " + name + ". What " + name + " has they keep. They stay your contact."
	a.confirm("Remove "+name+" from "+group, text, "remove", func() tea.Cmd {
		return a.do(nil, func(ctx context.Context) error { return c.RemoveMember(ctx, id, contact) }, func(err error) tea.Cmd {
			if err != nil {
				a.groupFailed(id, err)
				return nil
			}
			a.notice = name + " is removed from " + group
			return a.loadPeople()
		})
	})
}

// groupFailed shows an error in the dialog of the group, or as the notice.
func (a *App) groupFailed(id string, err error) {
	for _, d := range a.dialogs {
		if g, ok := d.(*groupDialog); ok && g.id == id {
			g.problem = errorText(err)
			return
		}
	}
	a.notice = errorText(err)
}

// openGroupName asks for another name of a group.
func (a *App) openGroupName(e *entry) tea.Cmd {
	id := e.id
	a.prompt(&promptDialog{
		title: "Rename " + e.name, text: "All members see the name.", input: newInput("name: ", 24), verb: "rename",
		submit: func(d *promptDialog, name string) tea.Cmd { return a.rename(d, id, name) },
	}, e.name)
	return nil
}

// groupCommand runs /group new|add|remove|rename|leave|list.
func (a *App) groupCommand(args string) tea.Cmd {
	verb, rest, _ := strings.Cut(strings.TrimSpace(args), " ")
	rest = strings.TrimSpace(rest)
	e := a.selected()
	if e != nil && e.group == nil {
		e = nil
	}
	switch {
	case verb == "new":
		return a.openNewGroup(rest)
	case verb == "list", verb == "" && e == nil:
		return a.openGroups()
	case !slices.Contains([]string{"", "add", "remove", "rename", "leave"}, verb):
		a.notice = "/group does not know " + sanitizeLine(verb) + ": there are new, add, remove, rename, leave and list"
		return nil
	case e == nil:
		a.notice = "this is no group; /group list shows them, /group new makes one"
		return nil
	case verb == "":
		return a.openGroup(e.id)
	case verb == "leave":
		a.askLeave(e)
		return nil
	}
	if why := a.notAdmin(e.group); why != "" {
		a.notice = why
		return nil
	}
	switch {
	case verb == "add" && rest == "":
		return a.openMembers(e)
	case verb == "remove" && rest == "":
		return a.openGroup(e.id)
	case verb == "rename" && rest == "":
		return a.openGroupName(e)
	case verb == "rename":
		return a.rename(nil, e.id, rest)
	}
	contact := a.named(rest)
	if contact == nil {
		return nil
	}
	if contact.contact == nil || contact.isNotes() {
		a.notice = "only contacts can be members"
		return nil
	}
	if verb == "remove" {
		a.askRemoveMember(e, contact.id)
		return nil
	}
	c, id, who, name := a.chat, e.id, contact.id, contact.name
	group := e.name
	return a.do(nil, func(ctx context.Context) error { return c.AddMember(ctx, id, who) }, func(err error) tea.Cmd {
		if err != nil {
			a.notice = errorText(err)
			return nil
		}
		a.notice = name + " is added to " + group
		return a.loadPeople()
	})
}
