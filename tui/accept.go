package tui

import (
	"context"
	"fmt"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// acceptDialog takes a link and a name and adds the contact. With the link of an
// address it also takes what the owner is shown: a name and a text.
type acceptDialog struct {
	link, name, as, text textinput.Model
	at                   int // the field that is typed in
	busy                 bool
	problem              string
}

// openAccept opens the dialog with a link, or empty.
func (a *App) openAccept(link string) tea.Cmd {
	d := &acceptDialog{link: newInput("link: ", 48), name: newInput("name: ", 24), as: newInput("your name for them: ", 24), text: newInput("your text: ", 40)}
	d.link.SetValue(readLink(link))
	if link != "" {
		d.at = 1
	}
	a.push(d)
	return nil
}

// fields are the inputs that the link asks for.
func (d *acceptDialog) fields() []*textinput.Model {
	f := []*textinput.Model{&d.link, &d.name}
	if d.isAddress() {
		f = append(f, &d.as, &d.text)
	}
	return f
}

// isAddress tells whether the link is one of an address, at which a person decides
// about each request.
func (d *acceptDialog) isAddress() bool { return chat.IsAddressLink(d.typedLink()) }

// typedLink is the link as the profile reads it, however it was copied.
func (d *acceptDialog) typedLink() string { return strings.ToUpper(readLink(d.link.Value())) }

// accept adds the contact. Nothing waits for the network here.
func (a *App) accept(d *acceptDialog) tea.Cmd {
	link, name := d.typedLink(), strings.TrimSpace(d.name.Value())
	as, text := strings.TrimSpace(d.as.Value()), strings.TrimSpace(d.text.Value())
	address := d.isAddress()
	if strings.HasPrefix(link, "HEARSAY-NET:") {
		d.problem, d.at = "this is the link of a network, not of a person: your contact makes an invite, or has an address", 0
		return nil
	}
	d.busy, d.problem = true, ""
	c := a.chat
	return act(a, d, func(ctx context.Context) (chat.Contact, error) {
		if address {
			return c.AskContact(ctx, link, name, as, text)
		}
		return c.AcceptInvite(ctx, link, name)
	}, func(contact chat.Contact, err error) tea.Cmd {
		d.busy = false
		if err != nil {
			d.problem = errorText(err)
			return nil
		}
		a.drop(d)
		a.wanted = contact.ID
		if address {
			a.notice = "the request is on this disk; this computer works for it, then sends it. Nobody answers before they accept: you may wait for days"
		}
		return a.loadPeople()
	})
}

// acceptCommand runs /accept LINK NAME.
func (a *App) acceptCommand(args string) tea.Cmd {
	link, name, _ := strings.Cut(args, " ")
	cmd := a.openAccept(link)
	if d, ok := a.top().(*acceptDialog); ok {
		d.name.SetValue(sanitizeLine(strings.TrimSpace(name)))
		d.name.CursorEnd()
	}
	return cmd
}

func (d *acceptDialog) mode() mode { return modeAccept }

func (d *acceptDialog) update(a *App, msg tea.Msg) tea.Cmd {
	if d.busy {
		return nil
	}
	fields := d.fields()
	d.at = min(d.at, len(fields)-1)
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		switch a.pressed(modeAccept, msg) {
		case "accept.take":
			if d.at < len(fields)-1 {
				d.at++
				return nil
			}
			return a.accept(d)
		case "accept.field":
			d.at = (d.at + 1) % len(fields)
			return nil
		case "accept.back":
			d.at = (d.at + len(fields) - 1) % len(fields)
			return nil
		}
		return typeInto(fields[d.at], msg)
	case tea.PasteMsg:
		if link := findInvite(msg.Content); link != "" { // whatever stands around it
			d.link.SetValue(link)
			d.at = max(d.at, 1)
			return nil
		}
		if d.at == 0 {
			msg.Content = joinLink(msg.Content)
		}
		return typeInto(fields[d.at], msg)
	}
	return nil
}

func (d *acceptDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	s := newSheet("Add a contact", w, 66)
	fields := d.fields()
	d.at = min(d.at, len(fields)-1)
	if d.isAddress() {
		s.text("This is an address: its owner sees your name and text, which nobody else can read, and decides. Both may stay empty.")
	} else {
		s.text("Paste the link that your contact made, and give them a name.")
	}
	for i, f := range fields {
		s.input(f, i == d.at && !d.busy)
	}
	if d.isAddress() {
		s.text(fmt.Sprintf("%d of %d bytes. The request costs this computer some seconds of work, so that nobody can send many.", len(d.text.Value()), chat.MaxAskText))
	}
	s.problem(&a.theme, d.problem)
	switch {
	case d.busy:
		s.offers("Writing it down "+a.theme.more, a.closeOffer("close"))
	case d.at < len(fields)-1:
		s.offers(a.offer("accept.take", "go on"), a.offer("accept.field", "next field"), a.closeOffer("close"))
	case d.isAddress():
		s.offers(a.offer("accept.take", "ask"), a.offer("accept.field", "next field"), a.closeOffer("close"))
	default:
		s.offers(a.offer("accept.take", "add"), a.offer("accept.field", "next field"), a.closeOffer("close"))
	}
	return s.draw(&a.theme, w, h)
}
