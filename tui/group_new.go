package tui

import (
	"context"
	"fmt"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// maxMembers is how many others a group holds.
const maxMembers = 31

// membersDialog marks contacts: for a new group, whose name is asked for first, or
// to be added to one.
type membersDialog struct {
	group   string // empty: a new one
	name    textinput.Model
	naming  bool
	marked  map[string]bool
	mark    listMark // of the candidates
	key     string   // of this wish, so that a second try makes no second group
	busy    bool
	problem string
}

// openNewGroup asks for the name and the members of a new group.
func (a *App) openNewGroup(name string) tea.Cmd {
	d := &membersDialog{name: newInput("name: ", 24), naming: name == "", marked: map[string]bool{}}
	d.name.SetValue(sanitizeLine(name))
	d.name.CursorEnd()
	d.changed(a)
	a.push(d)
	return nil
}

// openMembers asks whom to add to a group.
func (a *App) openMembers(e *entry) tea.Cmd {
	a.push(&membersDialog{group: e.id, name: newInput("", 1), marked: map[string]bool{}})
	return nil
}

func (d *membersDialog) mode() mode { return modeGroup }

// changed notes that another group is wished for.
func (d *membersDialog) changed(a *App) {
	d.key, d.problem = fmt.Sprintf("group %d %d", a.now().UnixNano(), len(d.marked)), ""
}

// candidates are the contacts that are no members yet.
func (d *membersDialog) candidates(a *App) (list []*entry) {
	in := map[string]bool{}
	if e := a.find(d.group); e != nil && e.group != nil {
		for _, id := range e.group.Members {
			in[id] = true
		}
	}
	for i := range a.entries {
		if e := &a.entries[i]; e.contact != nil && !e.isNotes() && !in[e.id] {
			list = append(list, e)
		}
	}
	return list
}

func idsOf(list []*entry) (ids []string) {
	for _, e := range list {
		ids = append(ids, e.id)
	}
	return ids
}

// room is how many may be marked.
func (d *membersDialog) room(a *App) int {
	if e := a.find(d.group); e != nil && e.group != nil {
		return maxMembers + 1 - groupSize(e.group)
	}
	return maxMembers
}

func (d *membersDialog) update(a *App, msg tea.Msg) tea.Cmd {
	if d.busy {
		return nil
	}
	k, ok := msg.(tea.KeyPressMsg)
	if d.naming {
		switch {
		case !ok:
		case a.pressed(modeGroup, k) == "group.take":
			if strings.TrimSpace(d.name.Value()) == "" {
				d.problem = "a group needs a name"
				return nil
			}
			d.naming, d.problem = false, ""
			return nil
		case a.pressed(modeGroup, k) != "":
			return nil
		}
		d.changed(a)
		return typeInto(&d.name, msg)
	}
	if !ok {
		return nil
	}
	list := d.candidates(a)
	ids := idsOf(list)
	d.mark.keep(ids)
	act := a.keys.find(modeGroup, k.String())
	switch {
	case act == "group.rename" && d.group == "":
		d.naming = true
	case len(list) == 0:
	case act == "group.down":
		d.mark.set(d.mark.at+1, ids)
	case act == "group.up":
		d.mark.set(d.mark.at-1, ids)
	case act == "group.mark":
		d.toggle(a, list[d.mark.at])
	case act == "group.take":
		return d.take(a, list)
	}
	return nil
}

// toggle marks a contact, or takes the mark away.
func (d *membersDialog) toggle(a *App, e *entry) {
	d.problem = ""
	switch why := cannotJoin(e.contact); {
	case d.marked[e.id]:
		delete(d.marked, e.id)
	case why != "":
		d.problem = e.name + " cannot join: " + why
		return
	case len(d.marked) >= d.room(a):
		d.problem = "a group has 32 members at most, yourself included"
		return
	default:
		d.marked[e.id] = true
	}
	d.changed(a)
}

// cannotJoin says in words why a contact cannot be a member; empty if they can.
func cannotJoin(c *chat.Contact) string {
	switch {
	case c.Problem != "":
		return sanitizeLine(c.Problem)
	case c.State == chat.ContactChanged:
		return "their key changed; compare the safety number first"
	case c.State == chat.ContactBlocked:
		return "they are blocked"
	}
	return ""
}

// take makes the group, or adds to it.
func (d *membersDialog) take(a *App, list []*entry) tea.Cmd {
	var ids, names []string
	for _, e := range list {
		if d.marked[e.id] {
			ids, names = append(ids, e.id), append(names, e.name)
		}
	}
	if len(ids) == 0 {
		d.problem = "mark somebody first: " + a.keys.of("group.mark") + " does"
		return nil
	}
	d.busy, d.problem = true, ""
	c := a.chat
	if d.group == "" {
		name, key := strings.TrimSpace(d.name.Value()), d.key
		return ask(a, nil, func(ctx context.Context) (chat.Group, error) { return c.CreateGroupOnce(ctx, name, ids, key) }, func(g chat.Group, err error) tea.Cmd {
			if d.busy = false; err != nil {
				d.failed(a, err)
				return nil
			}
			a.drop(d)
			a.wanted = g.ID
			a.notice = "the group is made; its members are told"
			return a.loadPeople()
		})
	}
	group := d.group
	return a.do(nil, func(ctx context.Context) error {
		for i, id := range ids { // those before the failure are members
			if err := c.AddMember(ctx, group, id); err != nil && chat.KindOf(err) != chat.KindExists {
				return fmt.Errorf("%s: %w", names[i], err)
			}
		}
		return nil
	}, func(err error) tea.Cmd {
		if d.busy = false; err != nil {
			d.failed(a, err)
			return a.loadPeople()
		}
		a.drop(d)
		a.notice = strings.Join(names, ", ") + " added; all members are told"
		return a.loadPeople()
	})
}

// failed shows an error in the dialog, or as the notice if it was closed.
func (d *membersDialog) failed(a *App, err error) {
	if !a.isOpen(d) {
		a.notice = errorText(err)
		return
	}
	d.problem = errorText(err)
}

func (d *membersDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	title := "New group"
	if d.group != "" {
		title = "Add to " + a.nameOf(d.group)
	}
	s := newSheet(title, w, 66)
	if d.group == "" {
		s.input(&d.name, d.naming && !d.busy)
		s.text("All members see the name.")
		s.blank()
	}
	list := d.candidates(a)
	d.mark.keep(idsOf(list))
	for i, e := range list {
		at := i == d.mark.at && !d.naming
		s.item(d.line(a, e, s.inner, at), at)
	}
	switch {
	case len(list) == 0 && d.group == "":
		s.kept("You have no contacts yet.")
	case len(list) == 0:
		s.kept("All your contacts are members.")
	case d.group == "":
		s.text("Every member sees who the others are, and gets a session of their own with each. You administer the group.")
	default:
		s.text("All members are told. What was written before they do not see.")
	}
	s.problem(&a.theme, d.problem)
	verb := fmt.Sprintf("make it with %d", len(d.marked))
	if d.group != "" {
		verb = fmt.Sprintf("add %d", len(d.marked))
	}
	switch {
	case d.busy:
		s.offers("a moment "+a.theme.more, a.closeOffer("close"))
	case d.naming:
		s.offers(a.offer("group.take", "go on"), a.closeOffer("close"))
	case len(list) == 0:
		s.offers(a.closeOffer("close"))
	case d.group == "":
		s.offers(a.offer("group.mark", "mark"), a.offer("group.take", verb), a.offer("group.rename", "name"), a.closeOffer("close"))
	default:
		s.offers(a.offer("group.mark", "mark"), a.offer("group.take", verb), a.closeOffer("close"))
	}
	return s.draw(&a.theme, w, h)
}

// line is one contact that may be marked.
func (d *membersDialog) line(a *App, e *entry, w int, at bool) string {
	sign := "[ ] "
	if d.marked[e.id] {
		sign = "[x] "
	}
	mark, word := a.entryState(e)
	state := "  " + strings.TrimSpace(mark+" "+word)
	room := max(1, w-1-ansi.StringWidth(sign)-ansi.StringWidth(state))
	return spread(a.rowMark(at)+sign+ansi.Truncate(e.name, room, a.theme.more), state, w)
}
