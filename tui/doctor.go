package tui

import (
	"context"
	"fmt"
	"slices"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
)

func doctorKeys() []binding {
	return []binding{
		{"doctor.again", []string{"r"}, "look again"},
		{"doctor.down", []string{"down", "j", "pgdown"}, "scroll on"},
		{"doctor.up", []string{"up", "k", "pgup"}, "scroll back"},
	}
}

// doctorDialog shows what the checks found, and what to do.
type doctorDialog struct {
	checks  []Check
	known   bool
	asking  bool
	problem string
	scroll  int
}

// openDoctor runs the checks of the program that runs the screens.
func (a *App) openDoctor() tea.Cmd {
	if a.cfg.Doctor == nil {
		a.notice = "there are no checks here; run hearsay doctor beside it"
		return nil
	}
	d := &doctorDialog{}
	a.push(d)
	return d.look(a)
}

func (d *doctorDialog) mode() mode { return modeDoctor }

func (d *doctorDialog) look(a *App) tea.Cmd {
	if d.asking {
		return nil
	}
	d.asking, d.problem = true, ""
	run := a.cfg.Doctor
	return ask(a, d, func(ctx context.Context) ([]Check, error) { return run(ctx) }, func(list []Check, err error) tea.Cmd {
		d.asking = false
		if err != nil {
			d.problem = errorText(err)
			return nil
		}
		d.checks, d.known, d.scroll = list, true, 0
		return nil
	})
}

func (d *doctorDialog) update(a *App, msg tea.Msg) tea.Cmd {
	k, ok := msg.(tea.KeyPressMsg)
	if !ok {
		return nil
	}
	switch a.keys.find(modeDoctor, k.String()) {
	case "doctor.again":
		return d.look(a)
	case "doctor.down":
		d.scroll++
	case "doctor.up":
		d.scroll = max(0, d.scroll-1)
	}
	return nil
}

func (d *doctorDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	w = min(w, 80)
	in := w - 2
	var rows []string
	bad := 0
	for _, c := range d.checks {
		style := map[string]lipgloss.Style{"ok": a.theme.good, "warning": a.theme.warn, "failed": a.theme.bad}[c.Result]
		if c.Result == "warning" || c.Result == "failed" {
			bad++
		}
		rows = append(rows, fit(" "+style.Render(fit(sanitizeLine(c.Result), 8))+sanitizeLine(c.Name), in))
		set := func(lead, text string) {
			if text == "" {
				return
			}
			for i, l := range wrap(sanitizeLine(text), in-9-len(lead)) {
				if i > 0 {
					lead = fit("", len(lead))
				}
				rows = append(rows, "         "+lead+l)
			}
		}
		set("", c.Detail)
		if c.Result != "ok" {
			set("do: ", c.Fix)
		}
	}
	head := " all is well"
	switch {
	case d.asking:
		head = " looking " + a.theme.more
	case d.problem != "":
		head = " " + a.cut("it cannot be looked: "+d.problem, in-2)
	case bad == 1:
		head = fmt.Sprintf(" 1 of %d checks needs you", len(d.checks))
	case bad > 0:
		head = fmt.Sprintf(" %d of %d checks need you", bad, len(d.checks))
	}
	room := max(1, h-4)
	d.scroll = min(d.scroll, max(0, len(rows)-room))
	scrolls := len(rows) > room
	rows = append([]string{a.theme.strong.Render(head)}, rows[d.scroll:min(len(rows), d.scroll+room)]...)
	k := a.keys
	keys := []string{"[" + k.of("doctor.again") + "] look again", "[" + k.of("close") + "] close"}
	if scrolls {
		keys = slices.Insert(keys, 1, "["+k.of("doctor.down")+"] scroll")
	}
	rows = append(rows, " "+keyLine(in-2, keys...))
	return a.theme.boxed("Doctor", "", rows, w, len(rows)+2), nil
}
