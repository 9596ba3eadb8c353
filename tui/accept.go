package tui

import (
	"context"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// acceptDialog takes a link and a name and adds the contact.
type acceptDialog struct {
	link, name textinput.Model
	onName     bool
	busy       bool
	problem    string
}

func (a *App) openAccept(link string) tea.Cmd {
	d := &acceptDialog{link: newInput("link: ", 48), name: newInput("name: ", 24)}
	d.link.SetValue(joinLink(link))
	d.onName = link != ""
	a.push(d)
	return nil
}

func (a *App) accept(d *acceptDialog) tea.Cmd {
	d.busy, d.problem = true, ""
	c := a.chat
	link, name := joinLink(d.link.Value()), strings.TrimSpace(d.name.Value())
	return ask(a, d, func(ctx context.Context) (chat.Contact, error) {
		return c.AcceptInvite(ctx, link, name)
	}, func(contact chat.Contact, err error) tea.Cmd {
		d.busy = false
		if err != nil {
			d.problem = errorText(err)
			return nil
		}
		a.drop(d)
		a.wanted = contact.ID
		return a.loadPeople()
	})
}

// acceptCommand runs /accept LINK NAME.
func (a *App) acceptCommand(args string) tea.Cmd {
	link, name, _ := strings.Cut(args, " ")
	cmd := a.openAccept(link)
	if d, ok := a.top().(*acceptDialog); ok {
		d.name.SetValue(strings.TrimSpace(name))
	}
	return cmd
}

func (d *acceptDialog) mode() mode { return modeAccept }

func (d *acceptDialog) update(a *App, msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		if d.busy {
			return nil
		}
		switch a.keys.find(modeAccept, msg.String()) {
		case "accept.take":
			if !d.onName {
				d.onName = true
				return nil
			}
			return a.accept(d)
		case "accept.field":
			d.onName = !d.onName
			return nil
		}
		return d.typed(msg)
	case tea.PasteMsg:
		return d.typed(msg)
	}
	return nil
}

func (d *acceptDialog) typed(msg tea.Msg) tea.Cmd {
	var cmd tea.Cmd
	if d.onName {
		d.name, cmd = d.name.Update(msg)
	} else {
		d.link, cmd = d.link.Update(msg)
	}
	return cmd
}

func (d *acceptDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	lines := []string{
		"",
		" Paste the link that your contact made, and give them a name.",
		" " + d.link.View(),
		" " + d.name.View(),
		"",
		" [enter] add   [tab] other field   [esc] close",
	}
	if d.busy {
		lines[5] = " Writing it down …"
	}
	if d.problem != "" {
		lines = append(lines, "")
		for _, l := range wrap(d.problem, 62) {
			lines = append(lines, " "+a.theme.bad.Render(l))
		}
	}
	box := a.theme.boxed("Add a contact", "", lines, min(w, 66), min(h, len(lines)+3))
	if d.busy {
		return box, nil
	}
	if d.onName {
		return box, dialogCursor(d.name.Cursor(), box, w, h, 4)
	}
	return box, dialogCursor(d.link.Cursor(), box, w, h, 3)
}
