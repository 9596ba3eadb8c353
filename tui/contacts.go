package tui

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// contactColumn is the list of contacts and groups beside the conversation.
type contactColumn struct {
	hidden    bool
	filtering bool     // keys go to the filter
	filter    string   // shows those whose name holds it
	mark      listMark // the row that enter takes while filtering

	// words are those of comparisons that nobody has confirmed yet, by contact.
	words map[string]string

	// drawn are rows as they were drawn last: at most drawnRows, then it begins
	// anew. The screen is drawn after every event, and few of them change a row.
	drawn map[drawnRow]string
}

// drawnRows bounds what is kept of rows.
const drawnRows = 512

// drawnRow is all that the drawing of a row depends on. What the profile tells of
// a contact or group is never changed in place.
type drawnRow struct {
	contact  *chat.Contact
	group    *chat.Group
	name     string
	unread   int
	latest   time.Time
	settings chat.Conversation
	w        int
	marked   bool
	year     int
	day      int
	theme    string
	ascii    bool
	dark     bool
}

// maxFilter is how many characters of a name may be looked for.
const maxFilter = 64

// columnRow is one row: a conversation, or the strangers who wait.
type columnRow struct {
	entry    *entry
	requests bool
}

// columnRows are the rows that the filter leaves.
func (a *App) columnRows() []columnRow {
	var rows []columnRow
	c := &a.contacts
	if a.requests > 0 && c.filter == "" {
		rows = append(rows, columnRow{requests: true})
	}
	for i := range a.entries {
		if e := &a.entries[i]; c.filter == "" || strings.Contains(strings.ToLower(e.name), strings.ToLower(c.filter)) {
			rows = append(rows, columnRow{entry: e})
		}
	}
	return rows
}

// openFilter gives the keys to the filter. Without a column the switcher does the
// same.
func (a *App) openFilter() tea.Cmd {
	if a.layout().left == 0 {
		return a.openSwitcher()
	}
	c := &a.contacts
	c.filtering, c.filter, c.mark = true, "", listMark{id: a.current}
	c.mark.keep(rowIDs(a.columnRows()))
	return nil
}

// rowIDs are what the rows stand for.
func rowIDs(rows []columnRow) (ids []string) {
	for _, r := range rows {
		if r.entry == nil {
			ids = append(ids, "requests")
			continue
		}
		ids = append(ids, r.entry.id)
	}
	return ids
}

// filters tells whether keys go to the filter. A screen that became too small for
// the column ends it: nobody would see where they went.
func (a *App) filters() bool {
	if a.contacts.filtering && a.layout().left == 0 {
		a.contacts.stop()
	}
	return a.contacts.filtering
}

// stop ends the filter.
func (c *contactColumn) stop() { c.filtering, c.filter, c.mark = false, "", listMark{} }

// key takes a key while the filter is typed.
func (c *contactColumn) key(a *App, k tea.KeyPressMsg) tea.Cmd {
	if k.Text != "" {
		c.write(k.Text)
		return nil
	}
	rows := a.columnRows()
	ids := rowIDs(rows)
	c.mark.keep(ids)
	switch a.keys.find(modeContact, k.String()) {
	case "contact.down":
		c.mark.set(c.mark.at+1, ids)
	case "contact.up":
		c.mark.set(c.mark.at-1, ids)
	case "contact.take":
		at := c.mark.at
		c.stop()
		if at < len(rows) {
			return a.openRow(rows[at])
		}
	default:
		switch a.keys.find(modeComposer, k.String()) { // as wherever one writes
		case "delete.back":
			_, n := utf8.DecodeLastRuneInString(c.filter)
			c.filter, c.mark = c.filter[:len(c.filter)-n], listMark{}
		case "kill.start", "kill.word":
			c.filter, c.mark = "", listMark{}
		}
	}
	return nil
}

// write puts what was typed or pasted into the filter.
func (c *contactColumn) write(text string) {
	if text = sanitizeLine(text); utf8.RuneCountInString(c.filter+text) <= maxFilter {
		c.filter, c.mark = c.filter+text, listMark{}
	}
}

// openRow opens what a row of the column stands for.
func (a *App) openRow(r columnRow) tea.Cmd {
	if r.requests {
		return a.openRequests()
	}
	return a.selectEntry(r.entry.id)
}

// selectNext goes by rows of the list, which is a ring.
func (a *App) selectNext(by int) tea.Cmd {
	n := len(a.entries)
	for i := range a.entries {
		if a.entries[i].id == a.current {
			return a.selectEntry(a.entries[((i+by)%n+n)%n].id)
		}
	}
	return a.selectNumber(0)
}

// selectNumber goes to a row of the list, from 0.
func (a *App) selectNumber(i int) tea.Cmd {
	if i < 0 || i >= len(a.entries) {
		return nil
	}
	return a.selectEntry(a.entries[i].id)
}

// selectUnread goes to the next conversation with something unread.
func (a *App) selectUnread() tea.Cmd {
	for i := range a.entries {
		if e := &a.entries[i]; e.unread > 0 && e.id != a.current {
			return a.selectEntry(e.id)
		}
	}
	a.notice = "nothing is unread in other conversations"
	return nil
}

// headingRoom is what a heading leaves of its line for borders and counts.
const headingRoom = 18

// heading is the title of the conversation. A long name is cut, so that what is
// said about it by us is never pushed off the line.
func (a *App) heading() string {
	e := a.selected()
	if e == nil {
		return "no contact yet"
	}
	mark, word := a.entryState(e)
	state := strings.TrimSpace(mark + " " + word)
	if e.group != nil {
		state = fmt.Sprintf("(%d)", groupSize(e.group))
		if e.group.State != chat.GroupActive {
			state += " " + sanitizeLine(e.group.State)
		}
	}
	name := e.name
	if e.group != nil {
		name = a.theme.group + " " + name
	}
	room := max(8, a.paneWidth()-headingRoom-ansi.StringWidth(state))
	return strings.TrimSpace(ansi.Truncate(name, room, a.theme.more) + " " + state)
}

// groupSize counts the members of a group, oneself included.
func groupSize(g *chat.Group) int { return len(g.Members) + g.Pending + 1 }

// entryState says what a contact is by a sign and in words.
func (a *App) entryState(e *entry) (mark, word string) {
	switch {
	case e.isNotes():
		return "", "only on this disk"
	case e.contact == nil:
		return "", ""
	}
	return a.contactMark(*e.contact), contactWord(*e.contact)
}

// contactWord says what a contact is, in words.
func contactWord(c chat.Contact) string {
	switch {
	case c.Problem != "" && c.State == chat.ContactInvited:
		return "invite failed"
	case c.State == chat.ContactBlocked:
		return "blocked"
	case c.Problem != "":
		return "removed you"
	case c.State == chat.ContactInvited && c.Asked != "":
		return "asked"
	case c.State == chat.ContactInvited:
		return "invited"
	case c.State == chat.ContactChanged:
		return "key changed"
	case c.Verified:
		return "verified"
	}
	return "unverified"
}

// contactMark is the sign that stands with contactWord.
func (a *App) contactMark(c chat.Contact) string {
	switch {
	case c.Problem != "":
		return a.theme.failed
	case c.State == chat.ContactInvited:
		return a.theme.more
	case c.State == chat.ContactChanged:
		return a.theme.changed
	case c.State == chat.ContactBlocked:
		return a.theme.failed
	case c.Verified:
		return a.theme.verified
	}
	return a.theme.unverified
}

// drawContacts draws the column in h lines of w cells: the filter, strangers who
// wait, the conversations, and keys where there is room.
func (a *App) drawContacts(w, h int) []string {
	var lines []string
	rows, at, from, room := a.columnWindow(h)
	if room < h {
		lines = append(lines, a.filterLine(w))
	}
	var list []string
	for i := from; i < len(rows) && len(list) < room; i++ {
		list = append(list, a.rowLine(rows[i], w, i == at))
	}
	switch {
	case len(rows) == 0 && a.contacts.filter != "":
		list = append(list, fit(" nobody of that name", w))
	case len(a.entries) == 0 || len(a.entries) == 1 && a.entries[0].isNotes():
		list = append(list, fit(" no contacts yet", w))
	}
	lines = append(lines, list[:min(len(list), room)]...)
	hints := a.columnHints(w)
	for i := max(0, h-len(hints)); len(lines) < h; {
		if n := len(lines) - i; len(list)+len(hints)+2 <= h && n >= 0 {
			lines = append(lines, hints[n])
		} else {
			lines = append(lines, fit("", w))
		}
	}
	return lines[:h]
}

// columnWindow returns all rows, the marked one (-1: none), the first of them that
// is shown in a column of h lines, and how many there is room for. The line that is
// left is that of the filter.
func (a *App) columnWindow(h int) (rows []columnRow, at, from, room int) {
	room, at = h, -1
	if h >= 6 || a.contacts.filtering {
		room--
	}
	rows = a.columnRows()
	if a.contacts.filtering {
		a.contacts.mark.keep(rowIDs(rows))
	}
	for i, r := range rows {
		if a.rowMarked(r, i) {
			at = i
		}
	}
	return rows, at, max(0, min(at-room+1, len(rows)-room)), room // the marked one in sight
}

// clickContacts takes a click into the column; done tells whether it was one.
func (a *App) clickContacts(msg tea.MouseMsg) (cmd tea.Cmd, done bool) {
	click, ok := msg.(tea.MouseClickMsg)
	l := a.layout()
	if !ok || click.Button != tea.MouseLeft || !l.framed || click.X < 1 || click.X > l.left || click.Y < 1 || click.Y > l.rows {
		return nil, false
	}
	rows, _, from, room := a.columnWindow(l.rows)
	i := click.Y - 1
	if room < l.rows {
		if i--; i < 0 {
			return a.openFilter(), true
		}
	}
	if i += from; i >= len(rows) {
		return nil, true
	}
	a.contacts.stop()
	return a.openRow(rows[i]), true
}

// rowMarked tells whether a row is the one on screen, or the one that enter takes
// while the filter is typed.
func (a *App) rowMarked(r columnRow, i int) bool {
	if a.contacts.filtering {
		return i == a.contacts.mark.at
	}
	return r.entry != nil && r.entry.id == a.current
}

// rowLine draws a row, or takes it as it was drawn last.
func (a *App) rowLine(r columnRow, w int, marked bool) string {
	if r.requests {
		line := spread(a.rowMark(marked)+fmt.Sprintf("requests (%d)", a.requests), a.theme.dim.Render(a.keys.of("requests")), w)
		if marked {
			line = a.theme.strong.Render(line)
		}
		return line
	}
	e, now := r.entry, a.now()
	key := drawnRow{
		contact: e.contact, group: e.group, name: e.name, unread: e.unread, latest: e.latest, settings: e.settings,
		w: w, marked: marked, year: now.Year(), day: now.YearDay(), theme: a.theme.name, ascii: a.prefs.ASCII, dark: a.dark,
	}
	line, ok := a.contacts.drawn[key]
	if ok {
		return line
	}
	line = a.entryLine(e, w, marked)
	if marked {
		line = a.theme.strong.Render(line)
	}
	if len(a.contacts.drawn) >= drawnRows || a.contacts.drawn == nil {
		a.contacts.drawn = map[drawnRow]string{}
	}
	a.contacts.drawn[key] = line
	return line
}

func (a *App) filterLine(w int) string {
	if a.contacts.filtering {
		return fit("/ "+a.contacts.filter, w)
	}
	return a.theme.dim.Render(spread("/ filter", a.keys.of("contacts.filter"), w))
}

// filterCursor is where the cursor stands in the first line of the column while
// the filter is typed.
func (a *App) filterCursor(w int) (x int, ok bool) {
	return min(w-1, 2+ansi.StringWidth(a.contacts.filter)), a.contacts.filtering
}

// columnHints name the keys that are used most.
func (a *App) columnHints(w int) []string {
	var lines []string
	for _, h := range []struct {
		act  action
		does string
	}{{"switch", "switch"}, {"contact.unread", "next unread"}, {"invite", "invite"}, {"network", "network"}, {"help", "help"}} {
		lines = append(lines, a.theme.dim.Render(fit(fmt.Sprintf(" %-7s %s", a.keys.of(h.act), h.does), w)))
	}
	return lines
}

func (a *App) rowMark(marked bool) string {
	if marked {
		return a.theme.glyphs.selected
	}
	return " "
}

// entryLine draws one conversation: its name and state, what is unread, and when
// the last message came. What there is no room for goes in the order of how much
// it matters.
func (a *App) entryLine(e *entry, w int, marked bool) string {
	name := e.name
	if e.group != nil {
		name = a.theme.group + " " + name
	}
	states := a.entryStates(e)
	unread, when := "", whenText(e.latest, a.now())
	if e.unread > 0 {
		unread = fmt.Sprint(e.unread)
	}
	right := []string{strings.TrimSpace(unread + "  " + when), unread}
	if unread == "" {
		right = []string{when, ""}
	}
	// What is wrong with a contact matters more than when they wrote last.
	type candidate struct{ state, right string }
	var candidates []candidate
	for _, s := range states {
		candidates = append(candidates, candidate{s.text, right[0]})
		if s.matters {
			candidates = append(candidates, candidate{s.text, right[1]})
		}
	}
	for _, least := range []int{ansi.StringWidth(name), min(8, ansi.StringWidth(name)), 1} {
		for _, c := range candidates {
			room := w - 1 - ansi.StringWidth(c.right) - ansi.StringWidth(c.state)
			if c.state != "" {
				room--
			}
			if c.right != "" {
				room--
			}
			if room < least {
				continue
			}
			left := ansi.Truncate(name, room, a.theme.more)
			if c.state != "" {
				left += " " + c.state
			}
			return spread(a.rowMark(marked)+left, c.right, w)
		}
	}
	return fit(a.rowMark(marked)+name, w)
}

// rowState is what may stand behind a name; some of it matters more than the time
// of the last message.
type rowState struct {
	text    string
	matters bool
}

// entryStates are what may stand behind a name, the fullest first.
func (a *App) entryStates(e *entry) []rowState {
	var base []rowState
	switch {
	case e.group != nil:
		size := fmt.Sprintf("(%d)", groupSize(e.group))
		switch {
		case e.group.State != chat.GroupActive:
			base = []rowState{{sanitizeLine(e.group.State), true}}
		case e.group.Warning != "":
			base = []rowState{{size + " " + a.theme.failed + " warning", true}, {a.theme.failed, true}}
		default:
			base = []rowState{{size, true}}
		}
	case e.contact == nil || e.isNotes():
		base = []rowState{{"", true}}
	default:
		mark, word := a.contactMark(*e.contact), contactWord(*e.contact)
		switch word {
		case "verified", "unverified":
			base = []rowState{{mark, true}}
		case "key changed":
			base = []rowState{{mark + " " + word, false}, {mark + " changed", true}, {mark, true}}
		case "invite failed":
			base = []rowState{{mark + " " + word, true}, {mark + " failed", true}, {mark, true}}
		case "removed you":
			base = []rowState{{mark + " " + word, true}, {mark + " left", true}, {mark, true}}
		default:
			base = []rowState{{mark + " " + word, true}, {mark, true}}
		}
	}
	var flags []string
	if e.settings.Archived {
		flags = append(flags, "archived")
	}
	if e.settings.Muted {
		flags = append(flags, "muted")
	}
	var states []rowState
	if len(flags) > 1 {
		states = append(states, rowState{strings.TrimSpace(base[0].text + " " + strings.Join(flags, " ")), false})
	}
	if len(flags) > 0 {
		states = append(states, rowState{strings.TrimSpace(base[0].text + " " + flags[0]), false})
	}
	return append(states, base...)
}

// whenText says when a message came, as shortly as a list needs.
func whenText(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	t = t.In(now.Location())
	y, m, d := now.Date()
	today := time.Date(y, m, d, 0, 0, 0, 0, now.Location())
	switch {
	case !t.Before(today.AddDate(0, 0, 1)):
		return t.Format("2 Jan") // a clock was wrong
	case !t.Before(today):
		return t.Format("15:04")
	case !t.Before(today.AddDate(0, 0, -6)):
		return t.Format("Mon")
	case t.Year() == y:
		return t.Format("2 Jan")
	}
	return t.Format("2006")
}

// draftsLine names the other conversations with something unsent, or is empty.
func (a *App) draftsLine() string {
	var names []string
	for i := range a.entries {
		e := &a.entries[i]
		draft := e.settings.Draft
		if c := a.conversations[e.id]; c != nil {
			draft = c.draft
		}
		if draft != "" && e.id != a.current {
			names = append(names, e.name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "drafts: " + strings.Join(names, ", ")
}
