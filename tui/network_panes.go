package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// drawn is what the rows of the panes were made for: the view runs after every
// event, and a network may have thousands of relays.
type drawn struct {
	at              time.Time // of the view
	minute          int64
	left, right     int
	width           int
	find, path      string
	theme           string
	dark            bool
	ascii, noColour bool
}

// draw makes the rows of both panes, unless they stand already.
func (d *networkDialog) draw(a *App, lw, rw int) {
	if !d.known {
		return
	}
	now := drawn{d.at, a.now().Unix() / 60, lw, rw, a.width, d.find, d.path, a.theme.name, a.dark, a.prefs.ASCII, a.prefs.NoColor}
	if now == d.drawn && !d.fresh {
		return
	}
	d.drawn, d.fresh, d.box = now, false, nil
	d.rows[paneCircuits] = d.leftRows(a, lw-2)
	d.rows[paneRelays] = d.rightRows(a, rw-1)
}

// leftRows lists circuits and queues, and says what is missing.
func (d *networkDialog) leftRows(a *App, w int) []line {
	v := &d.net
	rows := []line{{text: a.theme.strong.Render(fmt.Sprintf("Circuits %d", len(v.Circuits)))}}
	if len(v.Circuits) == 0 {
		rows = append(rows, line{text: "none: nothing can be sent or fetched now"})
	}
	for i := range v.Circuits {
		rows = append(rows, line{text: d.circuitText(a, i, w), circuit: &v.Circuits[i]})
	}
	add := func(title, text string) {
		for i, l := range wrap(text, max(10, w-8)) {
			if i > 0 {
				title = ""
			}
			rows = append(rows, line{text: fit(title, 8) + l})
		}
	}
	rows = append(rows, line{})
	queues := fmt.Sprintf("%d held, 2 copies each", v.Queues)
	if v.Single > 0 {
		queues += fmt.Sprintf(", %d with one copy", v.Single)
	}
	if v.Queues == 0 {
		queues = "none yet: the first contact or invite makes one"
	}
	add("Queues", queues)
	if !v.NextMove.IsZero() {
		in := v.NextMove.Sub(a.now())
		when := "next move in " + ageText(in)
		if in <= 0 {
			when = "one is moving now"
		}
		add("", when)
	}
	if v.Burst > 0 {
		add("Burst", "goes on for "+ageText(v.Burst)+": whoever watches this line can see it")
	}
	for i, m := range v.Missing {
		add(head("Missing", i), m)
	}
	for i, m := range v.Warnings {
		add(head("Mind", i), m)
	}
	return rows
}

// head is the title of the first of several rows.
func head(title string, i int) string {
	if i > 0 {
		return ""
	}
	return title
}

// circuitText is one row about a circuit.
func (d *networkDialog) circuitText(a *App, i, w int) string {
	c := &d.net.Circuits[i]
	names := slices.Clone(c.Relays)
	state := ""
	switch {
	case c.State == "open":
		state = a.theme.good.Render("ok")
		if c.RTT > 0 {
			state = fmt.Sprintf("%d ms ", max(1, c.RTT.Milliseconds())) + state
		}
	case c.State == "building" && len(c.Relays) < 3:
		state = a.theme.warn.Render(fmt.Sprintf("building %d of 3", len(c.Relays)))
	case c.State == "building":
		state = a.theme.warn.Render("building, mailbox")
	default:
		state = a.theme.warn.Render(c.State)
	}
	if c.State == "building" {
		names = append(names, a.theme.more)
	} else if c.Destination != "" {
		names = append(names, c.Destination)
	}
	number := fmt.Sprintf("%-2d ", i+1)
	purpose := fit(c.Purpose, 10) + " "
	room := w - ansi.StringWidth(state) - 1
	for _, s := range []string{
		number + purpose + strings.Join(names, " "+a.theme.hop+" "),
		number + purpose + strings.Join(names, a.theme.hop),
		number + strings.Join(names, a.theme.hop),
		strings.Join(names, a.theme.hop),
	} {
		if ansi.StringWidth(s) <= room {
			return spread(s, " "+state, w)
		}
	}
	return spread(a.cut(number+strings.Join(names, a.theme.hop), room), " "+state, w)
}

// rightRows says whom we stay with and lists relays.
func (d *networkDialog) rightRows(a *App, w int) []line {
	v := &d.net
	var rows []line
	text := func(s string) {
		for _, l := range wrap(s, max(10, w)) {
			rows = append(rows, line{text: l})
		}
	}
	text(a.theme.strong.Render(fmt.Sprintf("Relays %d", v.Listed)) + fmt.Sprintf("  mailboxes %d  guards %d", v.Mailboxes, v.Guards))
	title := d.title(a, min(a.width, networkWide)-6)
	for _, s := range []string{d.snapshot(a), d.signed()} {
		if !strings.Contains(title, s) {
			text(s)
		}
	}
	guard := "none yet"
	if v.Guard != "" {
		guard = v.Guard
		if !v.GuardSince.IsZero() {
			guard += " (up to " + ageText(a.now().Sub(v.GuardSince)) + ")"
		}
	}
	text("yours: guard " + guard)
	if len(v.Layer2) > 0 {
		text("       layer 2: " + strings.Join(v.Layer2, " "))
	}
	family := "no declared family on your paths"
	if v.Family > 0 {
		family = fmt.Sprintf("largest family on your paths: %d %%", int(v.Family*100+0.5))
	}
	text(family)
	text("clock " + skewText(v.ClockSkew) + "  cover " + v.Cover + fmt.Sprintf(" %d MB/day", v.CoverMB))
	if v.Lends != nil {
		text(lentText(v.Lends))
	}
	rows = append(rows, line{text: a.theme.rule(d.listTitle(), w)})
	found := 0
	for i := range v.Relays {
		r := &v.Relays[i]
		if !d.shows(r) {
			continue
		}
		found++
		rows = append(rows, line{relay: r})
	}
	if found == 0 {
		rows = append(rows, line{text: "no relay is found so"})
	}
	if n := v.Listed - len(v.Relays); n > 0 && d.path == "" {
		rows = append(rows, line{text: fmt.Sprintf("and %d more are listed, not shown", n)})
	}
	return rows
}

// relayText is one row about a relay, made when it is drawn: there may be
// thousands.
func (a *App) relayText(r *chat.RelayView) string {
	what := rolesText(r)
	if r.Role != "" {
		what = a.theme.accent.Render("your " + r.Role)
	}
	mark := ""
	if i := slices.IndexFunc(r.Marks, func(m string) bool { return m != "unmeasured" }); i >= 0 {
		mark = a.theme.warn.Render(" ! " + r.Marks[i])
	}
	return a.fitted(r.Name, 16) + " " + what + mark
}

// rolesText says what a relay may be used for.
func rolesText(r *chat.RelayView) string {
	var roles []string
	if r.Guard {
		roles = append(roles, "guard")
	}
	if r.Mailbox {
		roles = append(roles, "mailbox")
	}
	if len(roles) == 0 {
		return "middle"
	}
	return strings.Join(roles, ", ")
}

// listTitle says which relays are listed.
func (d *networkDialog) listTitle() string {
	switch {
	case d.find != "":
		return "with " + sanitizeLine(d.find)
	case d.path != "":
		for i := range d.net.Circuits {
			if d.net.Circuits[i].ID == d.path {
				return fmt.Sprintf("of circuit %d", i+1)
			}
		}
	}
	return "all"
}

// shows tells whether a relay is in the list.
func (d *networkDialog) shows(r *chat.RelayView) bool {
	if d.find == "" && d.path != "" {
		for _, c := range d.net.Circuits {
			if c.ID == d.path {
				return c.Destination == r.Name || slices.Contains(c.Relays, r.Name)
			}
		}
		return true // the circuit is gone
	}
	all := strings.Join(append([]string{r.Name, r.ID, r.Address, r.Family, r.Role}, append(r.Standing, r.Marks...)...), "\n")
	return strings.Contains(strings.ToLower(all), strings.ToLower(strings.TrimSpace(d.find)))
}
