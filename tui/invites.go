package tui

import (
	"context"
	"fmt"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

func inviteKeys() []binding {
	return []binding{
		{"invite.make", []string{"enter"}, "make it"},
		{"invite.copy", []string{"c"}, "copy the link"},
		{"invite.write", []string{"w"}, "write it to a file"},
		{"invite.new", []string{"n"}, "another one"},
		{"invite.revoke", []string{"x"}, "revoke"},
	}
}

func invitesKeys() []binding {
	return []binding{
		{"invites.down", []string{"down", "j"}, "next"},
		{"invites.up", []string{"up", "k"}, "previous"},
		{"invites.show", []string{"enter"}, "show it"},
		{"invites.revoke", []string{"x"}, "revoke"},
		{"invites.invite", []string{"n"}, "new invite"},
		{"invites.address", []string{"a"}, "new address"},
	}
}

func acceptKeys() []binding {
	return []binding{
		{"accept.take", []string{"enter"}, "go on"},
		{"accept.field", []string{"tab", "down"}, "next field"},
		{"accept.back", []string{"shift+tab", "up"}, "field before"},
	}
}

// invitesDialog lists the open invites and the addresses.
type invitesDialog struct {
	loaded    bool
	invites   []chat.Invite
	addresses []chat.Address
	at        int
	problem   string
}

// openInvites lists invites and addresses of our own.
func (a *App) openInvites() tea.Cmd {
	d := &invitesDialog{}
	a.push(d)
	return tea.Batch(d.load(a), d.look(a))
}

// look reads the lists again while the dialog is open.
func (d *invitesDialog) look(a *App) tea.Cmd {
	session := a.session
	return a.after(inviteLook, resultMsg{asked: d, session: session, then: func() tea.Cmd { return tea.Batch(d.load(a), d.look(a)) }})
}

func (d *invitesDialog) load(a *App) tea.Cmd {
	c := a.chat
	type lists struct {
		invites   []chat.Invite
		addresses []chat.Address
	}
	return ask(a, d, func(ctx context.Context) (l lists, err error) {
		if l.invites, err = c.Invites(ctx); err != nil {
			return l, err
		}
		l.addresses, err = c.Addresses(ctx)
		return l, err
	}, func(l lists, err error) tea.Cmd {
		if err != nil {
			d.problem = errorText(err)
			return nil
		}
		id := d.marked()
		d.loaded, d.invites, d.addresses, d.problem = true, l.invites, l.addresses, ""
		d.at = max(0, min(d.at, len(l.invites)+len(l.addresses)-1))
		for i := range l.invites {
			if l.invites[i].ID == id {
				d.at = i
			}
		}
		for i := range l.addresses {
			if l.addresses[i].ID == id {
				d.at = len(l.invites) + i
			}
		}
		return nil
	})
}

// marked is the id of the row that keys act on.
func (d *invitesDialog) marked() string {
	switch n := len(d.invites); {
	case d.at < n:
		return d.invites[d.at].ID
	case d.at < n+len(d.addresses):
		return d.addresses[d.at-n].ID
	}
	return ""
}

// event reads the lists anew when one of them changed.
func (d *invitesDialog) event(a *App, ev chat.Event) tea.Cmd {
	if ev.Type == chat.InviteUsed || ev.Type == chat.ErrorEvent && ev.Kind == chat.KindInviteUsed {
		return d.load(a)
	}
	return nil
}

func (d *invitesDialog) mode() mode { return modeInvites }

func (d *invitesDialog) update(a *App, msg tea.Msg) tea.Cmd {
	k, ok := msg.(tea.KeyPressMsg)
	if !ok {
		return nil
	}
	n := len(d.invites) + len(d.addresses)
	var inv chat.Invite
	var addr chat.Address
	switch {
	case d.at < len(d.invites):
		inv = d.invites[d.at]
	case d.at < n:
		addr = d.addresses[d.at-len(d.invites)]
	}
	switch a.keys.find(modeInvites, k.String()) {
	case "invites.down":
		d.at = max(0, min(d.at+1, n-1))
	case "invites.up":
		d.at = max(0, d.at-1)
	case "invites.invite":
		a.drop(d)
		return a.openInvite("")
	case "invites.address":
		a.drop(d)
		return a.openAddress()
	case "invites.show":
		switch {
		case inv.ID != "":
			return a.showInvite(inv)
		case addr.ID != "":
			return a.showAddress(addr)
		}
	case "invites.revoke":
		if inv.ID != "" || addr.ID != "" {
			return a.askRevoke(inv, addr, func() { d.gone(inv.ID + addr.ID) })
		}
	}
	return nil
}

// gone takes what was revoked out of the list.
func (d *invitesDialog) gone(id string) {
	for i := range d.invites {
		if d.invites[i].ID == id {
			d.invites = append(d.invites[:i:i], d.invites[i+1:]...)
			break
		}
	}
	for i := range d.addresses {
		if d.addresses[i].ID == id {
			d.addresses = append(d.addresses[:i:i], d.addresses[i+1:]...)
			break
		}
	}
	d.at = max(0, min(d.at, len(d.invites)+len(d.addresses)-1))
}

func (d *invitesDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	s := newSheet("Invites and addresses", w, 76)
	row := func(i int, kind, name string, right ...string) {
		mark := " "
		if i == d.at {
			mark = a.theme.glyphs.selected
		}
		left := fit(kind, 9) + name
		if s.inner < 40 {
			left, right = name, []string{kind}
		}
		if len(right) > 1 && ansi.StringWidth(right[0])+ansi.StringWidth(right[1]) < s.inner-25 {
			right[0] += " " + a.theme.dot + " " + right[1]
		}
		s.item(spread(mark+left, " "+ansi.Truncate(right[0], s.inner-18, a.theme.more), s.inner), i == d.at)
	}
	switch {
	case !d.loaded && d.problem == "":
		s.kept("reading " + a.theme.more)
	case d.loaded:
		s.text("An invite is for one person, once. An address stays, and strangers can ask through it.")
		s.blank()
		for i, inv := range d.invites {
			name := "no name"
			if inv.Name != "" {
				name = plainName(inv.Name)
			}
			row(i, "invite", name, openedText(inv), untilText(inv.Expires.Sub(a.now()))+" left")
		}
		for i, addr := range d.addresses {
			label := "no label"
			if addr.Label != "" {
				label = plainName(addr.Label)
			}
			row(len(d.invites)+i, "address", label, sanitizeLine(addr.State), fmt.Sprintf("%d bits of work", addr.Effort))
		}
		if len(d.invites)+len(d.addresses) == 0 {
			s.kept("None is open.")
		}
	}
	s.problem(&a.theme, d.problem)
	if a.notice != "" {
		s.problem(&a.theme, a.notice)
	}
	some := len(d.invites)+len(d.addresses) > 0
	s.offers(choice(some, a.offer("invites.show", "show"), ""), choice(some, a.offer("invites.revoke", "revoke"), ""),
		a.offer("invites.invite", "new invite"), a.offer("invites.address", "new address"), a.closeOffer("close"))
	return s.draw(&a.theme, w, h)
}
