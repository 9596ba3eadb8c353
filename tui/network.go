package tui

import (
	"context"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

func networkKeys() []binding {
	return []binding{
		{"network.circuits", []string{"n"}, "new circuits"},
		{"network.relay", []string{"enter"}, "about this relay"},
		{"network.why", []string{"w"}, "why it is listed"},
		{"network.pane", []string{"tab"}, "other pane"},
		{"network.find", []string{"/"}, "find a relay"},
		{"network.down", []string{"down", "j"}, "next"},
		{"network.up", []string{"up", "k"}, "previous"},
		{"network.on", []string{"pgdown"}, "a page on"},
		{"network.back", []string{"pgup"}, "a page back"},
	}
}

// The panes of the network view.
const (
	paneCircuits = iota
	paneRelays
)

// Widths of the network view: two panes stand side by side from the first on, and
// the left one is not wider than the second.
const (
	twoPanes    = 76
	widestLeft  = 53
	networkWide = 100
)

// networkDialog shows circuits, relays and guards.
type networkDialog struct {
	net     chat.NetworkView
	known   bool
	at      time.Time // of the view
	asking  bool      // a view is being fetched
	stale   bool      // something happened since it was asked for
	problem string    // why there is no view, or what came of a key
	pane    int
	row     [2]int    // the cursor, by pane
	find    string    // relays are shown that this is found in
	path    string    // id of the circuit whose relays are shown; empty: all
	height  int       // of the last view, for pages
	rows    [2][]line // of the last view
	drawn   drawn     // what rows were made for
	fresh   bool      // net is newer than rows
	box     []string  // the last view,
	boxed   boxKey    // and what it was made for
}

// line is a row of a pane, and what keys act on there.
type line struct {
	text    string // of no relay
	circuit *chat.CircuitView
	relay   *chat.RelayView
}

// openNetwork opens the network view.
func (a *App) openNetwork() tea.Cmd {
	if a.chat == nil {
		return nil
	}
	d := &networkDialog{}
	a.push(d)
	return d.load(a)
}

func (d *networkDialog) mode() mode { return modeNetwork }

// load fetches the view, once at a time.
func (d *networkDialog) load(a *App) tea.Cmd {
	if d.asking {
		d.stale = true
		return nil
	}
	d.asking, d.stale = true, false
	c := a.chat
	return ask(a, d, func(ctx context.Context) (chat.NetworkView, error) { return c.NetworkView(ctx) }, func(v chat.NetworkView, err error) tea.Cmd {
		d.asking = false
		if err != nil {
			d.problem = errorText(err)
			return nil
		}
		if !d.known {
			d.problem = ""
		}
		d.net, d.known, d.at = cleanView(v), true, a.now()
		d.fresh = true
		d.draw(a, d.leftWidth(a.width-2), d.rightWidth(a.width-2))
		if d.row[paneRelays] == 0 {
			d.toRelay()
		}
		if d.row[paneCircuits] == 0 && len(v.Circuits) > 0 {
			d.row[paneCircuits] = 1
		}
		if d.stale {
			return d.load(a)
		}
		return nil
	})
}

// freezeNetwork has open network views say that nobody looks any more.
func (a *App) freezeNetwork() {
	for _, open := range a.dialogs {
		if d, ok := open.(*networkDialog); ok {
			d.problem = "the daemon has ended: nothing of this is true any more"
			if d.known {
				d.problem = "the daemon has ended: this is how it stood at " + d.at.Format("15:04:05")
			}
		}
	}
}

// event has the view fetched anew when something changes in it.
func (d *networkDialog) event(a *App, ev chat.Event) tea.Cmd {
	switch ev.Type {
	case chat.CircuitBuilt, chat.CircuitClosed, chat.GuardChanged, chat.NetworkReady:
		return d.load(a)
	}
	return nil
}

func (d *networkDialog) update(a *App, msg tea.Msg) tea.Cmd {
	k, ok := msg.(tea.KeyPressMsg)
	if !ok {
		return nil
	}
	page := max(1, d.height-1)
	switch a.keys.find(modeNetwork, k.String()) {
	case "network.circuits":
		return d.newCircuits(a)
	case "network.relay":
		d.enter(a)
	case "network.why":
		if r := d.relay(); r != nil {
			a.push(&relayDialog{title: "why " + r.Name + " is listed", lines: d.whyListed(*r)})
		}
	case "network.pane":
		d.pane = 1 - d.pane
	case "network.find":
		f := &findDialog{network: d, input: newInput("find: ", 18)}
		f.input.SetValue(d.find)
		a.push(f)
	case "network.down":
		d.move(1)
	case "network.up":
		d.move(-1)
	case "network.on":
		d.move(page)
	case "network.back":
		d.move(-page)
	}
	return nil
}

// newCircuits has all circuits replaced, and says what came of it.
func (d *networkDialog) newCircuits(a *App) tea.Cmd {
	c := a.chat
	d.problem = "asking for new circuits" + a.theme.more
	return a.do(d, func(ctx context.Context) error { return c.NewCircuits(ctx) }, func(err error) tea.Cmd {
		if err != nil {
			d.problem = errorText(err)
			return nil
		}
		d.problem = "circuits are replaced, one after the other, over the same guards"
		return d.load(a)
	})
}

// enter opens what the cursor is on: a relay, or the relays of a circuit.
func (d *networkDialog) enter(a *App) {
	if r := d.relay(); r != nil {
		a.push(&relayDialog{title: r.Name, lines: d.about(a, *r)})
		return
	}
	if c := d.circuit(); c != nil {
		d.path, d.find, d.pane = c.ID, "", paneRelays
		d.draw(a, d.leftWidth(a.width-2), d.rightWidth(a.width-2))
		d.toRelay()
	}
}

func (d *networkDialog) move(by int) {
	d.row[d.pane] = min(max(0, d.row[d.pane]+by), max(0, len(d.rows[d.pane])-1))
}

// toRelay puts the cursor of the right pane on the first relay.
func (d *networkDialog) toRelay() {
	for i, l := range d.rows[paneRelays] {
		if l.relay != nil {
			d.row[paneRelays] = i
			return
		}
	}
}

// relay returns the relay under the cursor, or nil.
func (d *networkDialog) relay() *chat.RelayView {
	if d.pane != paneRelays || d.row[d.pane] >= len(d.rows[d.pane]) {
		return nil
	}
	return d.rows[d.pane][d.row[d.pane]].relay
}

// circuit returns the circuit under the cursor, or nil.
func (d *networkDialog) circuit() *chat.CircuitView {
	if d.pane != paneCircuits || d.row[d.pane] >= len(d.rows[d.pane]) {
		return nil
	}
	return d.rows[d.pane][d.row[d.pane]].circuit
}

// leftWidth and rightWidth share out w cells inside the frame.
func (d *networkDialog) leftWidth(w int) int {
	if w+2 < twoPanes {
		return w
	}
	return min(widestLeft, (min(w, networkWide-2)-1)*52/97)
}

func (d *networkDialog) rightWidth(w int) int {
	if w+2 < twoPanes {
		return w
	}
	return min(w, networkWide-2) - 1 - d.leftWidth(w)
}

func (d *networkDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	w = min(w, networkWide)
	d.draw(a, d.leftWidth(w-2), d.rightWidth(w-2))
	key := boxKey{d.drawn, d.row, d.pane, d.problem, d.known, w, h}
	if d.box == nil || key != d.boxed {
		d.box = d.compose(a, w, h)
		d.boxed = boxKey{d.drawn, d.row, d.pane, d.problem, d.known, w, h} // cursors may have been moved to what there is
	}
	return d.box, nil
}

// boxKey is what the box depends on.
type boxKey struct {
	drawn   drawn
	row     [2]int
	pane    int
	problem string
	known   bool
	w, h    int
}

// compose puts the panes into their box.
func (d *networkDialog) compose(a *App, w, h int) []string {
	in := w - 2
	lw, rw := d.leftWidth(in), d.rightWidth(in)
	foot := 1
	if d.problem != "" {
		foot++
	}
	room := max(1, h-2-foot)
	d.height = room
	var lines []string
	switch {
	case !d.known:
		d.height = 1
		if d.problem == "" {
			lines = append(lines, " reading "+a.theme.more)
		}
		room = min(room, 3)
	case w >= twoPanes:
		left := d.pick(a, paneCircuits, lw, room)
		right := d.pick(a, paneRelays, rw, room-detailRows)
		for len(right) < room-detailRows {
			right = append(right, "")
		}
		right = append(right, d.detail(a, rw)...)
		for i := range room {
			lines = append(lines, a.at(left, i, lw)+a.theme.v+a.at(right, i, rw))
		}
	default:
		lines = d.pick(a, d.pane, in, room)
	}
	for len(lines) < room {
		lines = append(lines, "")
	}
	if d.problem != "" {
		lines = append(lines, a.theme.warn.Render(" "+a.cut(d.problem, in-1)))
	}
	lines = append(lines, " "+d.keys(a, in-2))
	return a.theme.boxed(d.title(a, w-6), "", lines, w, len(lines)+2)
}

// keys names the keys that there is room for, the most important first where there
// is little.
func (d *networkDialog) keys(a *App, w int) string {
	key := func(act action, does string) string { return "[" + a.keys.of(act) + "] " + does }
	enter, other := "relay", "circuits"
	if d.pane == paneCircuits {
		enter, other = "its relays", "relays"
	}
	circuits, relay, why := key("network.circuits", "new circuits"), key("network.relay", enter), key("network.why", "why listed")
	pane, find, end := key("network.pane", other), key("network.find", "find"), key("close", "close")
	if d.pane == paneCircuits {
		return keyLine(w, pane, circuits, relay, find, end)
	}
	return keyLine(w, pane, relay, why, find, circuits, end)
}

// at returns a row of a pane at its width.
func (a *App) at(rows []string, i, w int) string {
	if i < len(rows) {
		return a.fitted(rows[i], w)
	}
	return fit("", w)
}

// pick draws the rows of a pane around its cursor.
func (d *networkDialog) pick(a *App, pane, w, room int) []string {
	rows := d.rows[pane]
	d.row[pane] = min(d.row[pane], max(0, len(rows)-1))
	room = max(1, room)
	from := max(0, min(d.row[pane]-room/2, len(rows)-room))
	out := make([]string, 0, room)
	for i := from; i < min(len(rows), from+room); i++ {
		mark := " "
		if i == d.row[pane] && pane == d.pane {
			mark = a.theme.glyphs.selected
		}
		text := rows[i].text
		if r := rows[i].relay; r != nil {
			text = a.relayText(r)
		}
		out = append(out, mark+a.fitted(text, w-1))
	}
	return out
}

// detailRows are kept below the relays for the one under the cursor.
const detailRows = 3

// detail says the most important of the relay under the cursor.
func (d *networkDialog) detail(a *App, w int) []string {
	i := d.row[paneRelays]
	if i >= len(d.rows[paneRelays]) || d.rows[paneRelays][i].relay == nil {
		return []string{a.theme.rule("", w)}
	}
	r := d.rows[paneRelays][i].relay
	family := "no family"
	if r.Family != "" {
		family = fmt.Sprintf("%s (%d)", r.Family, r.Families)
	}
	marks := "no marks"
	if len(r.Marks) > 0 {
		marks = a.theme.warn.Render("marks: " + strings.Join(r.Marks, ", "))
	}
	return []string{
		a.theme.rule(r.Name, w),
		" " + standingText(r),
		" " + r.Address + "   " + family + "   " + marks,
	}
}
