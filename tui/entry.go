package tui

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// entry is one row of the contact list: a contact, a group or the notes.
type entry struct {
	id, name string // name is sanitised, one line
	contact  *chat.Contact
	group    *chat.Group
	settings chat.Conversation
	unread   int
	latest   time.Time // of the last message; zero: none
}

// isNotes tells whether the entry is the notes to oneself.
func (e *entry) isNotes() bool { return e.id == chat.NotesID }

// people are the lists that the contact column is made of.
type people struct {
	contacts []chat.Contact
	groups   []chat.Group
	requests int
}

// peopleReading is a reading of the lists that is on its way.
type peopleReading struct {
	session  int // that asked: what is asked for by one, no other gets
	underWay bool
	again    bool // something happened since it began
}

// loadPeople reads contacts, groups and requests anew. One reading is on its way at a
// time: of two the earlier one may come last, and would take back what the later one
// told.
func (a *App) loadPeople() tea.Cmd {
	switch {
	case a.chat == nil || a.locked:
		return nil
	case a.reading.session == a.session && a.reading.underWay:
		a.reading.again = true
		return nil
	}
	a.reading = peopleReading{session: a.session, underWay: true}
	c := a.chat
	return ask(a, nil, func(ctx context.Context) (people, error) {
		var p people
		var err error
		if p.contacts, err = c.Contacts(ctx); err != nil {
			return p, err
		}
		if p.groups, err = c.Groups(ctx); err != nil {
			return p, err
		}
		rs, err := c.Requests(ctx)
		p.requests = len(rs)
		return p, err
	}, a.applyPeople)
}

// applyPeople takes the lists, and reads them again if more happened meanwhile: that
// they may lack.
func (a *App) applyPeople(p people, err error) tea.Cmd {
	again := a.reading.again
	a.reading = peopleReading{}
	var more tea.Cmd
	if again {
		more = a.loadPeople()
	}
	if err != nil {
		a.notice = errorText(err)
		return more
	}
	return tea.Batch(a.showPeople(p), more)
}

func (a *App) showPeople(p people) tea.Cmd {
	name := a.nameOf(a.current)
	a.requests = p.requests
	a.entries = p.entries()
	a.takeDrafts()
	if a.current != "" && a.selected() == nil {
		a.removed(a.current, name)
	}
	if a.wanted != "" {
		for _, e := range a.entries {
			if e.id == a.wanted || e.name == a.wanted {
				a.wanted = ""
				return a.selectEntry(e.id)
			}
		}
	}
	if a.selected() == nil {
		a.current = ""
		for _, e := range a.entries {
			if !e.isNotes() {
				return a.selectEntry(e.id)
			}
		}
	}
	return nil
}

// entries makes one list of contacts, groups and notes, in order.
func (p *people) entries() []entry {
	var list []entry
	notes := false
	for i := range p.contacts {
		c := &p.contacts[i]
		e := entry{id: c.ID, name: plainName(c.Name), contact: c, unread: c.Unread}
		if c.Latest != nil {
			e.latest = *c.Latest
		}
		if c.Settings != nil {
			e.settings = *c.Settings
		}
		notes = notes || e.isNotes()
		list = append(list, e)
	}
	for i := range p.groups {
		g := &p.groups[i]
		e := entry{id: g.ID, name: plainName(g.Name), group: g, unread: g.Unread}
		if g.Latest != nil {
			e.latest = *g.Latest
		}
		if g.Settings != nil {
			e.settings = *g.Settings
		}
		list = append(list, e)
	}
	if !notes {
		// The profile lists them once something was written; people find them here.
		list = append(list, entry{id: chat.NotesID, name: chat.NotesID, contact: &chat.Contact{ID: chat.NotesID, Name: chat.NotesID, State: chat.ContactActive}})
	}
	sortEntries(list)
	return list
}

// sortEntries puts pinned ones first, then those with something unread, then by
// the last message; archived ones and notes without a word come last.
func sortEntries(list []entry) {
	rank := func(e *entry) int {
		switch {
		case e.settings.Archived, e.isNotes() && e.latest.IsZero():
			return 3
		case e.settings.Pinned:
			return 0
		case e.unread > 0 && !e.settings.Muted:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(list, func(x, y entry) int {
		return cmp.Or(cmp.Compare(rank(&x), rank(&y)), y.latest.Compare(x.latest), strings.Compare(x.name, y.name))
	})
}

// plainName is a name as screens show it: one harmless line without the signs that
// tell verified contacts from others, which a stranger could choose as a part of
// the name. A name that is nothing else becomes "somebody".
func plainName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch r {
		case '✓', '✔', '✅', '☑', '🗸', '🗹', '√', '‼', '▌':
			return -1
		}
		return r
	}, chat.SanitizeName(name))
	if name = chat.SanitizeName(name); name == "" {
		return "somebody"
	}
	return name
}

// named returns the entry of that name, whatever its case; without a name the one
// on screen. If there is none, it says so.
func (a *App) named(name string) *entry {
	name = strings.TrimSpace(name)
	if name == "" {
		if e := a.selected(); e != nil {
			return e
		}
		a.notice = "no conversation is open"
		return nil
	}
	for i := range a.entries {
		if e := &a.entries[i]; e.name == name || strings.EqualFold(e.name, name) || e.contact != nil && e.contact.Name == name {
			return e
		}
	}
	a.notice = "nobody is called " + sanitizeLine(name)
	return nil
}

// wrote puts a conversation in its place after a message of ours.
func (a *App) wrote(id string, at time.Time) {
	if e := a.find(id); e != nil && e.latest.Before(at) {
		e.latest = at
		sortEntries(a.entries)
	}
}

// selected returns the entry on screen, or nil.
func (a *App) selected() *entry { return a.find(a.current) }

// find returns the entry of a contact, a group or the notes, or nil.
func (a *App) find(id string) *entry {
	for i := range a.entries {
		if a.entries[i].id == id {
			return &a.entries[i]
		}
	}
	return nil
}

// nameOf returns the name of a contact or group as screens show it, or "somebody".
func (a *App) nameOf(id string) string {
	if e := a.find(id); e != nil {
		return e.name
	}
	return "somebody"
}
