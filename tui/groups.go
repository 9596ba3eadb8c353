package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// groupsDialog lists all groups.
type groupsDialog struct{ at int }

// openGroups lists all groups.
func (a *App) openGroups() tea.Cmd {
	a.push(&groupsDialog{})
	return nil
}

func (d *groupsDialog) mode() mode { return modeGroup }

// groups are the entries of groups, in the order of the contact list.
func (a *App) groups() (list []*entry) {
	for i := range a.entries {
		if a.entries[i].group != nil {
			list = append(list, &a.entries[i])
		}
	}
	return list
}

func (d *groupsDialog) update(a *App, msg tea.Msg) tea.Cmd {
	k, ok := msg.(tea.KeyPressMsg)
	if !ok {
		return nil
	}
	list := a.groups()
	d.at = min(max(d.at, 0), max(0, len(list)-1))
	act := a.keys.find(modeGroup, k.String())
	switch {
	case act == "group.add":
		a.drop(d)
		return a.openNewGroup("")
	case len(list) == 0:
	case act == "group.down":
		d.at = min(d.at+1, len(list)-1)
	case act == "group.up":
		d.at = max(d.at-1, 0)
	case act == "group.mark":
		return a.openGroup(list[d.at].id)
	case act == "group.leave":
		a.askLeave(list[d.at])
	case act == "group.take":
		a.drop(d)
		return a.selectEntry(list[d.at].id)
	}
	return nil
}

func (d *groupsDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	s := newSheet("Groups", w, 70)
	list := a.groups()
	d.at = min(max(d.at, 0), max(0, len(list)-1))
	if len(list) == 0 {
		s.kept("No groups yet. A group is a conversation of up to 32, each of whom sends to each.")
	}
	for i, e := range list {
		s.item(a.groupLine(e, s.inner, i == d.at), i == d.at)
	}
	if len(list) == 0 {
		s.offers(a.offer("group.add", "new group"), a.closeOffer("close"))
	} else {
		leave := a.offer("group.leave", "leave")
		if list[d.at].group.State != chat.GroupActive {
			leave = a.offer("group.leave", "erase")
		}
		s.offers(a.offer("group.take", "show"), a.offer("group.mark", "members"), a.offer("group.add", "new group"), leave, a.closeOffer("close"))
	}
	return s.draw(&a.theme, w, h)
}

// groupLine is one group: name, size, and what is to know of it, the most important
// first.
func (a *App) groupLine(e *entry, w int, marked bool) string {
	g := e.group
	var words []string
	switch g.State {
	case chat.GroupLeft:
		words = append(words, "you left")
	case chat.GroupRemoved:
		words = append(words, "you were removed")
	}
	if g.Warning != "" {
		words = append(words, a.theme.changed+" warning")
	}
	if g.Admin {
		words = append(words, "you administer it")
	}
	if g.Pending > 0 {
		words = append(words, fmt.Sprintf("%d not yet reachable", g.Pending))
	}
	size := fmt.Sprintf(" (%d)", groupSize(g))
	for n := len(words); ; n-- {
		right := ""
		if n > 0 {
			right = "  " + strings.Join(words[:n], ", ")
		}
		room := w - 1 - ansi.StringWidth(size) - ansi.StringWidth(right)
		if room >= min(12, ansi.StringWidth(e.name)+2) || n == 0 {
			return spread(a.rowMark(marked)+ansi.Truncate(a.theme.group+" "+e.name, max(1, room), a.theme.more)+size, right, w)
		}
	}
}
