package tui

import (
	"context"
	"fmt"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

func requestKeys() []binding {
	return []binding{
		{"request.accept", []string{"a"}, "accept"},
		{"request.reject", []string{"r"}, "reject, unseen by them"},
		{"request.block", []string{"b"}, "reject and block"},
		{"request.down", []string{"down", "j"}, "next"},
		{"request.up", []string{"up", "k"}, "previous"},
		{"request.take", []string{"enter"}, "read it whole; take the name"},
	}
}

// requestDialog lists strangers who asked through an address. Nothing goes back to
// them before one is accepted.
type requestDialog struct {
	loaded  bool
	list    []chat.Request
	at      int
	naming  bool // the name of the one to accept is being typed
	name    textinput.Model
	busy    bool
	problem string
}

// openRequests lists strangers who asked through an address.
func (a *App) openRequests() tea.Cmd {
	d := &requestDialog{name: newInput("name for them: ", 24)}
	a.push(d)
	return d.load(a)
}

func (d *requestDialog) load(a *App) tea.Cmd {
	c := a.chat
	return ask(a, d, func(ctx context.Context) ([]chat.Request, error) { return c.Requests(ctx) }, func(list []chat.Request, err error) tea.Cmd {
		d.busy = false
		if err != nil {
			d.problem = errorText(err)
			return nil
		}
		id := ""
		if d.at < len(d.list) {
			id = d.list[d.at].ID
		}
		d.loaded, d.list, a.requests = true, list, len(list)
		at := -1
		for i := range list {
			if list[i].ID == id {
				at = i
			}
		}
		if at < 0 { // the one that was marked is gone: no key may hit another by surprise
			at, d.naming = max(0, min(d.at, len(list)-1)), false
		}
		d.at = at
		return nil
	})
}

// event reads the list anew when somebody else asks.
func (d *requestDialog) event(a *App, ev chat.Event) tea.Cmd {
	if ev.Type == chat.RequestReceived || ev.Type == chat.ContactAdded {
		return d.load(a)
	}
	return nil
}

func (d *requestDialog) mode() mode { return modeRequests }

func (d *requestDialog) update(a *App, msg tea.Msg) tea.Cmd {
	if d.busy || d.at >= len(d.list) {
		return nil
	}
	r := d.list[d.at]
	if d.naming {
		if k, ok := msg.(tea.KeyPressMsg); ok && a.pressed(modeRequests, k) == "request.take" {
			return d.accept(a, r.ID)
		}
		return typeInto(&d.name, msg)
	}
	k, ok := msg.(tea.KeyPressMsg)
	if !ok {
		return nil
	}
	d.problem = ""
	switch a.keys.find(modeRequests, k.String()) {
	case "request.down":
		d.at = min(d.at+1, len(d.list)-1)
	case "request.up":
		d.at = max(d.at-1, 0)
	case "request.accept":
		d.naming = true
		d.name.SetValue("")
		if r.Name != "" {
			d.name.SetValue(plainName(r.Name))
		}
		d.name.CursorEnd()
	case "request.take":
		a.openText("Request of "+askedName(r), chat.Sanitize(r.Text))
	case "request.reject":
		a.confirm("Reject "+askedName(r), "They are told nothing, and may ask again.", "reject", func() tea.Cmd { return d.reject(a, r.ID, false) })
	case "request.block":
		a.confirm("Reject and block "+askedName(r), "They are told nothing. Whoever asks with the same key again is never shown.", "block", func() tea.Cmd { return d.reject(a, r.ID, true) })
	}
	return nil
}

// askedName is what a stranger calls themselves.
func askedName(r chat.Request) string {
	if chat.SanitizeName(r.Name) == "" {
		return "somebody without a name"
	}
	return plainName(r.Name)
}

func (d *requestDialog) accept(a *App, id string) tea.Cmd {
	c, name := a.chat, chat.SanitizeName(d.name.Value())
	if name == "" {
		d.problem = "give them a name of yours"
		return nil
	}
	d.busy, d.problem = true, ""
	return act(a, d, func(ctx context.Context) (chat.Contact, error) { return c.AcceptRequest(ctx, id, name) }, func(contact chat.Contact, err error) tea.Cmd {
		d.busy = false
		if err != nil {
			d.problem = errorText(err)
			return nil
		}
		a.drop(d)
		a.wanted = contact.ID
		a.notice = plainName(contact.Name) + " is your contact now, and learns it"
		return a.loadPeople()
	})
}

func (d *requestDialog) reject(a *App, id string, block bool) tea.Cmd {
	c := a.chat
	d.busy = true
	return a.do(d, func(ctx context.Context) error { return c.RejectRequest(ctx, id, block) }, func(err error) tea.Cmd {
		d.busy = false
		if err != nil {
			d.problem = errorText(err)
			return nil
		}
		return d.load(a)
	})
}

func (d *requestDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	s := newSheet("Requests of strangers", w, 76)
	if d.at >= len(d.list) {
		s.kept(choice(d.loaded || d.problem != "", "Nobody waits.", "reading "+a.theme.more))
		s.problem(&a.theme, d.problem)
		s.offers(a.closeOffer("close"))
		return s.draw(&a.theme, w, h)
	}
	r := d.list[d.at]
	if d.naming {
		s.text("Accepting " + askedName(r) + ". The name is yours alone; it is never sent.")
		s.blank()
		s.input(&d.name, !d.busy)
		s.problem(&a.theme, d.problem)
		s.offers(a.offer("request.take", "accept"), a.closeOffer("close"))
		return s.draw(&a.theme, w, h)
	}
	s.text("Nothing was sent back to them. Names and texts are what they say of themselves.")
	s.blank()
	for i := range d.list {
		mark := " "
		if i == d.at {
			mark = a.theme.glyphs.selected
		}
		x := &d.list[i]
		right := fmt.Sprintf(" %s %s %d bits of work", x.Time.In(a.now().Location()).Format("2 Jan 15:04"), a.theme.dot, x.Effort)
		if ansi.StringWidth(right) > s.inner/2 {
			right = " " + whenText(x.Time, a.now())
		}
		s.item(spread(mark+askedName(*x), right, s.inner), i == d.at)
	}
	s.blank()
	text := chat.Sanitize(r.Text)
	if text == "" {
		text = "(no text)"
	}
	for i, l := range wrap(text, max(1, s.inner-2)) {
		kind := rowText
		if i == 0 {
			kind = rowKept
		}
		s.rows = append(s.rows, sheetRow{text: a.theme.v + " " + l, kind: kind})
	}
	s.problem(&a.theme, d.problem)
	s.offers(a.offer("request.accept", "accept"), a.offer("request.reject", "reject"), a.offer("request.block", "reject and block"),
		a.offer("request.take", "read it whole"), a.closeOffer("later"))
	return s.draw(&a.theme, w, h)
}
