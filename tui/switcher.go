package tui

import (
	"fmt"
	"slices"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// switcherDialog goes to a conversation by a part of its name.
type switcherDialog struct {
	name textinput.Model
	mark listMark
}

// listMark is the marked row of a list that events put in another order: the mark
// stays on what it was on.
type listMark struct {
	at int
	id string // what it was on when the list was drawn; empty: whatever is there
}

// keep finds the marked row again, by the ids of the rows.
func (m *listMark) keep(ids []string) {
	if i := slices.Index(ids, m.id); i >= 0 && m.id != "" {
		m.at = i
	}
	m.set(m.at, ids)
}

// set marks a row, or the nearest that there is.
func (m *listMark) set(at int, ids []string) {
	m.at, m.id = max(0, min(at, len(ids)-1)), ""
	if m.at < len(ids) {
		m.id = ids[m.at]
	}
}

// switcherRows bounds its list on the screen.
const switcherRows = 12

func switcherKeys() []binding {
	return []binding{
		{"switcher.down", []string{"down", "ctrl+n", "tab"}, "next"},
		{"switcher.up", []string{"up", "ctrl+p", "shift+tab"}, "previous"},
		{"switcher.take", []string{"enter"}, "go there"},
	}
}

// openSwitcher asks for a part of a name and goes to that conversation. Called
// again it goes on to the next one.
func (a *App) openSwitcher() tea.Cmd {
	if d, open := a.top().(*switcherDialog); open {
		d.move(1, d.found(a))
		return nil
	}
	if len(a.entries) == 0 {
		a.notice = "no contact yet: " + a.keys.of("invite") + " makes an invite, or paste one"
		return nil
	}
	a.push(&switcherDialog{name: newInput("> ", 30)})
	return nil
}

func (d *switcherDialog) mode() mode { return modeSwitcher }

// found lists the ids that fit what was typed, the best first; without anything
// typed the one before is the first, so that two keys go back and forth.
func (d *switcherDialog) found(a *App) []string {
	want := strings.ToLower(strings.TrimSpace(d.name.Value()))
	var by [4][]string
	for i := range a.entries {
		e := &a.entries[i]
		switch rank, ok := matches(want, strings.ToLower(e.name)); {
		case !ok, want == "" && (e.id == a.current || e.id == a.previous):
		default:
			by[rank] = append(by[rank], e.id)
		}
	}
	list := slices.Concat(by[0], by[1], by[2], by[3])
	if want == "" {
		if a.find(a.previous) != nil && a.previous != a.current {
			list = slices.Insert(list, 0, a.previous)
		}
		if a.find(a.current) != nil {
			list = append(list, a.current)
		}
	}
	return list
}

func (d *switcherDialog) move(by int, list []string) {
	d.mark.keep(list)
	if n := len(list); n > 0 {
		d.mark.set(((d.mark.at+by)%n+n)%n, list)
	}
}

func (d *switcherDialog) update(a *App, msg tea.Msg) tea.Cmd {
	if k, ok := msg.(tea.KeyPressMsg); ok {
		list := d.found(a)
		switch a.keys.find(modeSwitcher, k.String()) {
		case "switcher.down":
			d.move(1, list)
			return nil
		case "switcher.up":
			d.move(-1, list)
			return nil
		case "switcher.take":
			if d.mark.keep(list); len(list) > 0 {
				a.dropFrom(0) // whatever lies below was about another conversation
				return a.selectEntry(list[d.mark.at])
			}
			return nil
		}
	}
	if _, mouse := msg.(tea.MouseMsg); mouse {
		return nil
	}
	cmd := typeInto(&d.name, msg)
	d.mark = listMark{}
	return cmd
}

func (d *switcherDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	bw := min(w, 44)
	d.name.SetWidth(bw - 6)
	lines := []string{" " + d.name.View()}
	list := d.found(a)
	d.mark.keep(list)
	if len(list) == 0 {
		lines = append(lines, a.theme.dim.Render(" no name is like that"))
	}
	from, to := listWindow(len(list), d.mark.at, min(h-3, switcherRows))
	for i := from; i < to; i++ {
		e := a.find(list[i])
		left, right := e.name, ""
		if e.group != nil {
			left = a.theme.group + " " + left
		}
		switch {
		case e.id == a.current:
			right = "here"
		case e.unread > 0:
			right = fmt.Sprintf("%d unread", e.unread)
		}
		lines = append(lines, a.listRow(spread(left, " "+right, bw-4), i == d.mark.at, bw-2))
	}
	closes := "[" + a.keys.of("close") + "] close"
	foot := firstFit(bw-4, "["+a.keys.of("switcher.take")+"] go there  "+closes, closes)
	box := a.theme.boxed("Switch to", foot, lines, bw, min(h, len(lines)+2))
	return box, dialogCursor(d.name.Cursor(), box, w, h, 1)
}

// listWindow returns which rows of a list of n are shown in a number of rows, so
// that the row at is among them.
func listWindow(n, at, rows int) (from, to int) {
	rows = max(0, min(rows, n))
	from = max(0, min(at-rows/2, n-rows))
	return from, from + rows
}

// listRow draws one row of a list in w cells; on: it is the chosen one.
func (a *App) listRow(text string, on bool, w int) string {
	if on {
		return a.theme.strong.Render(fit(a.theme.glyphs.selected+text, w))
	}
	return fit(" "+text, w)
}

// firstFit returns the first of several texts that has at most w cells, or the last.
func firstFit(w int, texts ...string) string {
	for _, s := range texts {
		if ansi.StringWidth(s) <= w {
			return s
		}
	}
	return texts[len(texts)-1]
}
