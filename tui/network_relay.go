package tui

import (
	"fmt"
	"strings"
	"time"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// relayDialog is a page about one relay.
type relayDialog struct {
	title  string
	lines  []string // not yet wrapped
	scroll int
}

func (d *relayDialog) mode() mode { return modeNetwork }

func (d *relayDialog) update(a *App, msg tea.Msg) tea.Cmd {
	if k, ok := msg.(tea.KeyPressMsg); ok {
		switch a.keys.find(modeNetwork, k.String()) {
		case "network.down", "network.on":
			d.scroll++
		case "network.up", "network.back":
			d.scroll = max(0, d.scroll-1)
		}
	}
	return nil
}

func (d *relayDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	w = min(w, 72)
	lines, all := a.page(d.lines, w, h-3, &d.scroll)
	keys := []string{"[" + a.keys.of("close") + "] close"}
	if !all {
		keys = append([]string{"[" + a.keys.of("network.down") + "] scroll"}, keys...)
	}
	lines = append(lines, " "+keyLine(w-4, keys...))
	return a.theme.boxed(a.cut(d.title, w-6), "", lines, w, len(lines)+2), nil
}

// page wraps lines for a box of w cells and returns at most room of them from
// *scroll on, which it keeps within what there is; all tells that these are all of
// them. What stands before a tab is a label.
func (a *App) page(lines []string, w, room int, scroll *int) (rows []string, all bool) {
	for _, l := range lines {
		label, text, labelled := strings.Cut(l, "\t")
		if !labelled {
			label, text = "", l
		}
		lead, in := "", ""
		if labelled {
			lead, in = fit(label, 9), strings.Repeat(" ", 9)
		}
		if labelled && w < 40 { // no room beside labels
			if label != "" {
				rows = append(rows, " "+label)
			}
			lead, in = "  ", "  "
		}
		for i, part := range wrap(text, max(1, w-4-len(in))) {
			if i > 0 {
				lead = in
			}
			rows = append(rows, " "+lead+part)
		}
	}
	room = max(1, room)
	all = len(rows) <= room
	*scroll = min(*scroll, max(0, len(rows)-room))
	return rows[*scroll:min(len(rows), *scroll+room)], all
}

// findDialog narrows the list of relays while somebody types.
type findDialog struct {
	network *networkDialog
	input   textinput.Model
}

func (d *findDialog) mode() mode { return modeNetwork }

func (d *findDialog) update(a *App, msg tea.Msg) tea.Cmd {
	if k, ok := msg.(tea.KeyPressMsg); ok && a.keys.find(modeNetwork, k.String()) == "network.relay" {
		a.drop(d)
		return nil
	}
	cmd := typeInto(&d.input, msg)
	n := d.network
	n.find, n.path, n.pane = d.input.Value(), "", paneRelays
	n.draw(a, n.leftWidth(a.width-2), n.rightWidth(a.width-2))
	n.toRelay()
	return cmd
}

func (d *findDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	w = min(w, 40)
	box := a.theme.boxed("find a relay", "", []string{" " + d.input.View()}, w, 3)
	return box, dialogCursor(d.input.Cursor(), box, a.width, a.height, 1)
}

// standingText is what the signers found.
func standingText(r *chat.RelayView) string {
	if len(r.Standing) == 0 {
		return "middle"
	}
	return strings.Join(r.Standing, ", ")
}

// about is what is known of a relay.
func (d *networkDialog) about(a *App, r chat.RelayView) []string {
	lines := []string{"id\t" + r.ID, "address\t" + r.Address}
	switch r.Role {
	case "guard":
		lines = append(lines, "to you\tyour guard: it knows the address of this computer, and not with whom you write")
	case "layer 2":
		lines = append(lines, "to you\tone of your layer-2 guards: it knows your guard, and not you")
	default:
		lines = append(lines, "to you\tone of many")
	}
	if r.Family == "" {
		lines = append(lines, "family\tnone declared")
	} else {
		lines = append(lines, fmt.Sprintf("family\t%s, %d listed: no path has two of them if it can be avoided", r.Family, r.Families))
		for _, other := range d.net.Relays {
			if other.Family == r.Family && other.ID != r.ID {
				lines = append(lines, "\t"+other.Name)
			}
		}
	}
	on := []string{}
	for i, c := range d.net.Circuits {
		for j, name := range append(append([]string{}, c.Relays...), c.Destination) {
			if name == r.Name {
				on = append(on, fmt.Sprintf("%d (%s, %s)", i+1, c.Purpose, [...]string{"guard", "layer 2", "middle", "mailbox"}[min(j, 3)]))
			}
		}
	}
	if len(on) == 0 {
		on = []string{"none"}
	}
	lines = append(lines, "circuits\t"+strings.Join(on, ", "), "", "The name is made of the id, for people. Relays have no other name.")
	return lines
}

// ruleTexts say for what signers give a flag (directory/sybil/SPEC.md §10).
var ruleTexts = map[string]string{
	"guard":       "it runs long and steadily, is fast enough, and has been listed for weeks: it may meet clients first",
	"mailbox":     "it has run for days and offers to keep messages: queues may lie there",
	"stable":      "it runs as long without a break as the typical relay, or for days",
	"placement":   "it was listed before the time of placing began: addresses may be kept there",
	"witness":     "it watches the signers and signs what it saw",
	"cache":       "it hands out snapshots",
	"vouched":     "somebody answers for it, or the network takes relays by token or list alone",
	"watched":     "the signers suspect it: it is neither guard nor mailbox",
	"middle only": "the signers suspect it strongly: it is only ever in the middle of a path",
	"unmeasured":  "too few signers measured how fast it is: it counts as a slow one",
}

// whyListed explains what the snapshot says of a relay.
func (d *networkDialog) whyListed(r chat.RelayView) []string {
	lines := []string{fmt.Sprintf("The snapshot lists it; %d of %d signers signed that (%d must).", d.net.Signatures, d.net.Signers, d.net.Threshold)}
	if d.net.ByFounders {
		lines[0] = fmt.Sprintf("The snapshot lists it; %d of %d founders signed that in an emergency: nobody measured it.", d.net.Signatures, d.net.Signers)
	}
	lines = append(lines, "")
	if len(r.Standing) == 0 {
		lines = append(lines, "middle: it is listed and has no other standing")
	}
	for _, s := range r.Standing {
		lines = append(lines, ruleText(s))
	}
	lines = append(lines, "")
	if len(r.Marks) == 0 {
		lines = append(lines, "No marks stand against it.")
	}
	for _, s := range r.Marks {
		lines = append(lines, "mark: "+ruleText(s))
	}
	if d.net.Lab {
		lines = append(lines, "", "This is a LAB network: relays have standing without the times that a real network asks for.")
	} else {
		lines = append(lines, "", "Networks that are small or young ask for less.")
	}
	return append(lines, "", "A snapshot does not hold the values that were measured, nor since when a relay is listed. A directory does:",
		"hearsay-directory why", r.ID)
}

func ruleText(flag string) string {
	if t := ruleTexts[flag]; t != "" {
		return flag + ": " + t
	}
	return sanitizeLine(flag)
}

// skewText says how far this computer's clock is from the network's.
func skewText(d time.Duration) string {
	switch {
	case d == 0:
		return "right"
	case d > 0:
		return "+" + ageText(d)
	}
	return ageText(d)
}
