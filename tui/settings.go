package tui

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

func settingsKeys() []binding {
	return []binding{
		{"settings.down", []string{"down", "j", "tab"}, "next setting"},
		{"settings.up", []string{"up", "k", "shift+tab"}, "previous setting"},
		{"settings.right", []string{"right", "space", "l"}, "next value"},
		{"settings.left", []string{"left", "h"}, "previous value"},
		{"settings.save", []string{"enter"}, "save"},
		{"settings.passphrase", []string{"p"}, "change the passphrase"},
	}
}

// setting is one row: a choice between few values.
type setting struct {
	name    string
	choices []string
	// at returns which one is chosen; set chooses one.
	at  func(d *settingsDialog) int
	set func(d *settingsDialog, i int)
}

// settingsDialog holds choices until they are saved.
type settingsDialog struct {
	prefs   Preferences
	cover   string
	row     int
	busy    bool
	problem string
}

// openSettings shows what can be chosen.
func (a *App) openSettings() tea.Cmd {
	a.push(&settingsDialog{prefs: a.prefs, cover: a.status.Cover})
	return nil
}

func (d *settingsDialog) mode() mode { return modeSettings }

// rows lists the settings. A value that the configuration holds and no choice
// names stands as the last choice.
func (d *settingsDialog) rows() []setting {
	yesNo := []string{"no", "yes"}
	flag := func(name string, of func(p *Preferences) *bool) setting {
		return setting{
			name, yesNo,
			func(d *settingsDialog) int {
				if *of(&d.prefs) {
					return 1
				}
				return 0
			},
			func(d *settingsDialog, i int) { *of(&d.prefs) = i == 1 },
		}
	}
	text := func(name string, values, words []string, of func(d *settingsDialog) *string) setting {
		return setting{
			name, words,
			func(d *settingsDialog) int { return slices.Index(values, *of(d)) },
			func(d *settingsDialog, i int) { *of(d) = values[i] },
		}
	}
	times := func(name string, values []time.Duration, words []string, of func(p *Preferences) *time.Duration) setting {
		return setting{
			name, words,
			func(d *settingsDialog) int { return slices.Index(values, *of(&d.prefs)) },
			func(d *settingsDialog, i int) { *of(&d.prefs) = values[i] },
		}
	}
	locks := []time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour, 0}
	words := []string{"5 min", "15 min", "1 h", "never"}
	if !slices.Contains(locks, d.prefs.LockAfter) {
		locks, words = append(locks, d.prefs.LockAfter), append(words, d.prefs.LockAfter.String())
	}
	return []setting{
		text("cover traffic", chat.Covers(), chat.Covers(), func(d *settingsDialog) *string { return &d.cover }),
		times("lock, if no key", locks, words, func(p *Preferences) *time.Duration { return &p.LockAfter }),
		text("notify", NotifyWays(), NotifyWays(), func(d *settingsDialog) *string { return &d.prefs.Notify }),
		flag("show names, text", func(p *Preferences) *bool { return &p.NotifyContent }),
		text("path in bar", PathStyles(), []string{"relay names", "number of hops"}, func(d *settingsDialog) *string { return &d.prefs.PathInBar }),
		text("theme", Themes(), Themes(), func(d *settingsDialog) *string { return &d.prefs.Theme }),
		flag("ascii", func(p *Preferences) *bool { return &p.ASCII }),
		flag("mouse", func(p *Preferences) *bool { return &p.Mouse }),
		flag("reduced motion", func(p *Preferences) *bool { return &p.ReducedMotion }),
		times("new conversations", DeleteTimes(), []string{"keep", "1 d", "7 d", "28 d"}, func(p *Preferences) *time.Duration { return &p.DeleteAfter }),
	}
}

// settingRemarks say what a setting means, where its name does not.
var settingRemarks = map[string]string{
	"cover traffic":     "It hides when you talk.",
	"lock, if no key":   "A computer that slept locks too. It needs a passphrase.",
	"notify":            "Only while you look elsewhere. auto: what the terminal knows, else the bell.",
	"show names, text":  "Else a notification says \"new message\" alone. Others may read your screen.",
	"mouse":             "The terminal's own selecting then needs shift.",
	"reduced motion":    "The cursor does not blink.",
	"new conversations": "Messages there disappear after that time, on both sides; contacts see it.",
}

func (d *settingsDialog) update(a *App, msg tea.Msg) tea.Cmd {
	k, ok := msg.(tea.KeyPressMsg)
	if !ok || d.busy {
		return nil
	}
	rows := d.rows()
	r := rows[d.row]
	n := len(r.choices)
	switch a.keys.find(modeSettings, k.String()) {
	case "settings.down":
		d.row = (d.row + 1) % len(rows)
	case "settings.up":
		d.row = (d.row + len(rows) - 1) % len(rows)
	case "settings.right":
		r.set(d, (r.at(d)+1)%n)
	case "settings.left":
		r.set(d, (max(0, r.at(d))+n-1)%n)
	case "settings.save":
		return d.save(a)
	case "settings.passphrase":
		return a.openPassphrase()
	}
	return nil
}

// save puts the choices in force and writes them to the configuration.
func (d *settingsDialog) save(a *App) tea.Cmd {
	d.problem = ""
	prefs, cover, keep, c := d.prefs, d.cover, a.cfg.SavePreferences, a.chat
	if cover == a.status.Cover {
		cover = ""
	}
	changed := !reflect.DeepEqual(prefs, a.prefs)
	d.busy = true
	return ask(a, d, func(ctx context.Context) (file string, err error) {
		if cover != "" {
			if err := c.SetCover(ctx, cover); err != nil {
				return "", err
			}
		}
		if changed && keep != nil {
			file, err = keep(prefs)
		}
		return file, err
	}, func(file string, err error) tea.Cmd {
		d.busy = false
		if err != nil {
			d.problem = errorText(err)
			return a.loadStatus()
		}
		a.prefer(prefs)
		a.drop(d)
		switch {
		case file != "":
			a.notice = "saved in " + sanitizeLine(file)
		case changed:
			a.notice = "in force until hearsay ends: there is no configuration to write to"
		case cover != "":
			a.notice = "cover is " + cover + " from now on; the home remembers it"
		}
		return a.loadStatus()
	})
}

func (d *settingsDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	bw := min(w, 78)
	var lines []string
	for i, r := range d.rows() {
		mark, at := " ", r.at(d)
		if i == d.row {
			mark = a.theme.glyphs.selected
		}
		line := mark + fit(r.name, 17) + " "
		room := bw - 2 - ansi.StringWidth(line)
		all := ""
		for j, c := range r.choices {
			sign := a.theme.off
			if j == at {
				sign = a.theme.on
			}
			all += sign + " " + c + "  "
		}
		all = strings.TrimRight(all, " ")
		if ansi.StringWidth(all) > room { // the chosen one alone
			all = "unknown"
			if at >= 0 {
				all = a.theme.on + " " + r.choices[at]
			}
		}
		line += all
		if i == d.row {
			line = a.theme.strong.Render(line)
		}
		lines = append(lines, line)
	}
	var tail []string
	say := func(s string, bad bool) {
		for _, l := range wrap(s, bw-4) {
			if bad {
				l = a.theme.bad.Render(l)
			}
			tail = append(tail, " "+l)
		}
	}
	remark := settingRemarks[d.rows()[d.row].name]
	if d.row == 0 && d.cover != "" {
		remark = fmt.Sprintf("It hides when you talk: %s is about %d MB a day. In force once saved.", d.cover, chat.CoverCost(d.cover))
	}
	keys := a.offer("settings.save", "save") + "  " + a.offer("settings.right", "change") + "  " + a.offer("settings.passphrase", "passphrase") + "  [esc] undo"
	switch {
	case d.busy:
		say("saving …", false)
	case d.problem != "":
		say(d.problem, true)
		say(keys, false)
	case h > 14:
		tail = append(tail, "")
		say(remark, false)
		for len(tail) < 2 {
			tail = append(tail, "")
		}
		say(keys, false)
	default:
		say(keys, false)
	}
	if room := h - 2; len(lines)+len(tail) > room { // the rows around the chosen one
		tail = tail[:min(len(tail), max(0, room-1))]
		n := room - len(tail)
		from := min(max(0, d.row-n/2), len(lines)-n)
		lines = lines[from : from+n]
	}
	lines = append(lines, tail...)
	return a.theme.boxed("Settings", "", lines, bw, min(h, len(lines)+2)), nil
}
