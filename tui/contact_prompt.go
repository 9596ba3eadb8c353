package tui

import (
	"context"
	"strings"
	"unicode/utf8"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
)

// promptDialog asks for one line: a name, or a file.
type promptDialog struct {
	title, text, verb string
	input             textinput.Model
	files             bool // the line is a path, which can be completed
	found             []string
	busy              bool
	problem           string
	submit            func(d *promptDialog, value string) tea.Cmd
}

// prompt opens a promptDialog with a line to begin with.
func (a *App) prompt(d *promptDialog, value string) {
	d.input.SetValue(value)
	d.input.CursorEnd()
	a.push(d)
}

// orNil makes the dialog of a command that may have none.
func (d *promptDialog) orNil() dialog {
	if d == nil {
		return nil
	}
	return d
}

// tellOrNotice shows an error in the dialog that asked, or as the notice.
func (a *App) tellOrNotice(d *promptDialog, err error) {
	if d == nil {
		a.notice = errorText(err)
		return
	}
	d.busy, d.problem = false, errorText(err)
}

func (d *promptDialog) mode() mode { return modeContact }

func (d *promptDialog) update(a *App, msg tea.Msg) tea.Cmd {
	if d.busy {
		return nil
	}
	if k, ok := msg.(tea.KeyPressMsg); ok {
		switch a.pressed(modeContact, k) {
		case "contact.take":
			value := strings.TrimSpace(d.input.Value())
			if value == "" {
				d.problem = "type something, or close this"
				return nil
			}
			d.busy, d.problem, d.found = true, "", nil
			return d.submit(d, value)
		case "contact.complete":
			if d.files && a.cfg.Complete != nil {
				complete, typed := a.cfg.Complete, d.input.Value()
				return ask(a, d, func(context.Context) ([]string, error) { return showable(complete(typed)), nil }, func(found []string, _ error) tea.Cmd {
					if d.input.Value() == typed {
						d.complete(found)
					}
					return nil
				})
			}
			return nil
		case "contact.up", "contact.down":
			return nil
		}
	}
	d.found = nil
	return typeInto(&d.input, msg)
}

// complete puts what all found names have in common into the input.
func (d *promptDialog) complete(found []string) {
	d.found = nil
	if len(found) == 0 {
		return
	}
	common := found[0]
	for _, f := range found[1:] {
		for !strings.HasPrefix(f, common) || !utf8.ValidString(common) {
			common = common[:len(common)-1]
		}
	}
	if len(common) > len(d.input.Value()) {
		d.input.SetValue(common)
		d.input.CursorEnd()
	}
	if len(found) > 1 {
		d.found = found
	}
}

func (d *promptDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	s := newSheet(d.title, w, 64)
	s.input(&d.input, !d.busy)
	s.blank()
	s.text(d.text)
	for _, f := range d.found[:min(len(d.found), 8)] {
		s.item(sanitizeLine(f), false)
	}
	s.problem(&a.theme, d.problem)
	switch {
	case d.busy:
		s.offers("a moment "+a.theme.more, a.closeOffer("close"))
	case d.files && a.cfg.Complete != nil:
		s.offers(a.offer("contact.take", d.verb), a.offer("contact.complete", "complete"), a.closeOffer("close"))
	default:
		s.offers(a.offer("contact.take", d.verb), a.closeOffer("close"))
	}
	return s.draw(&a.theme, w, h)
}
