package tui

import (
	"fmt"
	"time"

	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// title says which network this is and how far its snapshot can be trusted, as
// fully as w cells allow.
func (d *networkDialog) title(a *App, w int) string {
	if !d.known {
		return "Network"
	}
	v, dot := d.net, " "+a.theme.dot+" "
	name := "Network" + dot + v.Network
	if v.Lab {
		name = "Network" + dot + "LAB" + dot + v.Network
	}
	for _, s := range []string{name + dot + d.snapshot(a) + ", " + d.signed(), name + dot + d.snapshot(a), name} {
		if ansi.StringWidth(s) <= w {
			return s
		}
	}
	return a.cut(name, w)
}

// snapshot says number and age of the snapshot.
func (d *networkDialog) snapshot(a *App) string {
	age := d.net.SnapshotAge + max(0, a.now().Sub(d.at))
	return fmt.Sprintf("snapshot %d, %s old", d.net.Epoch, ageText(age))
}

// signed says who signed the snapshot.
func (d *networkDialog) signed() string {
	v := d.net
	who := ""
	if v.ByFounders {
		who = " founders, in an emergency"
	}
	return fmt.Sprintf("signed by %d of %d%s (needs %d)", v.Signatures, v.Signers, who, v.Threshold)
}

// keyLine joins keys that fit into w cells; the last one always stands.
func keyLine(w int, keys ...string) string {
	last := keys[len(keys)-1]
	line := ""
	for _, k := range keys[:len(keys)-1] {
		if ansi.StringWidth(line+k+"   "+last) > w {
			continue
		}
		line += k + "   "
	}
	return line + last
}

// cut shortens a text to w cells, with a mark of what is left out.
func (a *App) cut(s string, w int) string { return ansi.Truncate(s, max(0, w), a.theme.more) }

// fitted is fit with the mark of the theme for what is cut.
func (a *App) fitted(s string, w int) string { return fit(a.cut(s, w), w) }

// ageText says a span of time in its largest unit, rounded down.
func ageText(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + ageText(-d)
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d d", d/(24*time.Hour))
}

// cleanView makes every text of a view harmless, once.
func cleanView(v chat.NetworkView) chat.NetworkView {
	all := func(list []string) []string {
		clean := make([]string, len(list))
		for i, s := range list {
			clean[i] = sanitizeLine(s)
		}
		return clean
	}
	v.Network, v.Guard, v.Cover = sanitizeLine(v.Network), sanitizeLine(v.Guard), sanitizeLine(v.Cover)
	v.Layer2, v.Missing, v.Warnings = all(v.Layer2), all(v.Missing), all(v.Warnings)
	relays, circuits := make([]chat.RelayView, len(v.Relays)), make([]chat.CircuitView, len(v.Circuits))
	for i, r := range v.Relays {
		r.ID, r.Name, r.Address, r.Family, r.Role = sanitizeLine(r.ID), sanitizeLine(r.Name), sanitizeLine(r.Address), sanitizeLine(r.Family), sanitizeLine(r.Role)
		r.Standing, r.Marks = all(r.Standing), all(r.Marks)
		relays[i] = r
	}
	for i, c := range v.Circuits {
		c.Purpose, c.Destination, c.State, c.Relays = sanitizeLine(c.Purpose), sanitizeLine(c.Destination), sanitizeLine(c.State), all(c.Relays)
		circuits[i] = c
	}
	v.Relays, v.Circuits = relays, circuits
	return v
}
