package tui

import (
	"context"
	"fmt"
	"strings"
	"time"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// inviteDialog makes and shows a one-time invite, or a permanent address.
type inviteDialog struct {
	permanent bool // an address
	name      textinput.Model
	asking    bool // the name is being typed
	ended     bool // it was used, revoked or has expired: the link is worthless
	used      bool // somebody came by it
	invite    chat.Invite
	address   chat.Address
	problem   string
	code      []string // QR rows, of the theme that was in force
}

// inviteLook is how often an open dialog looks whether somebody opened the link:
// no event tells it.
const inviteLook = 5 * time.Second

// newInput makes an input with the real cursor.
func newInput(prompt string, width int) textinput.Model {
	in := textinput.New()
	in.Prompt = prompt
	in.SetVirtualCursor(false)
	in.SetWidth(width)
	in.CharLimit = 1024
	in.KeyMap.Paste.SetEnabled(false) // it would run a program to read the clipboard; terminals paste themselves
	in.Focus()
	return in
}

// openInvite asks for a name, if none is given, and makes a one-time invite.
func (a *App) openInvite(name string) tea.Cmd {
	d := &inviteDialog{name: newInput("name for them: ", 24), asking: name == ""}
	d.name.SetValue(sanitizeLine(name))
	a.push(d)
	if d.asking {
		return nil
	}
	return a.createInvite(d)
}

// openAddress asks for a label and makes a permanent address.
func (a *App) openAddress() tea.Cmd {
	a.push(&inviteDialog{permanent: true, name: newInput("label: ", 24), asking: true})
	return nil
}

// showInvite shows an invite that was made before.
func (a *App) showInvite(inv chat.Invite) tea.Cmd {
	d := &inviteDialog{invite: inv, name: newInput("name for them: ", 24)}
	d.code = a.qrLines(inv.Link)
	a.push(d)
	return a.lookAtInvite(d)
}

// showAddress shows an address that was made before.
func (a *App) showAddress(addr chat.Address) tea.Cmd {
	d := &inviteDialog{permanent: true, address: addr, name: newInput("label: ", 24)}
	d.code = a.qrLines(addr.Link)
	a.push(d)
	return a.lookAtInvite(d)
}

// link is the link on the screen, empty while there is none.
func (d *inviteDialog) link() string {
	if d.permanent {
		return d.address.Link
	}
	return d.invite.Link
}

func (a *App) createInvite(d *inviteDialog) tea.Cmd {
	d.asking, d.problem = false, ""
	c, name, permanent := a.chat, strings.TrimSpace(d.name.Value()), d.permanent
	parent := a.ctx // it ends by itself, behind cover traffic after minutes
	type made struct {
		invite  chat.Invite
		address chat.Address
	}
	return ask(a, d, func(context.Context) (m made, err error) {
		if permanent {
			m.address, err = c.CreateAddress(parent, name)
		} else {
			m.invite, err = c.CreateInvite(parent, name)
		}
		return m, err
	}, func(m made, err error) tea.Cmd {
		if err != nil {
			d.problem, d.asking = errorText(err), true
			return nil
		}
		d.invite, d.address = m.invite, m.address
		d.code = a.qrLines(d.link())
		return a.lookAtInvite(d)
	})
}

// lookAtInvite reads again what is known of the link, now and while the dialog is
// open.
func (a *App) lookAtInvite(d *inviteDialog) tea.Cmd {
	c, id, permanent := a.chat, d.invite.ID+d.address.ID, d.permanent
	type state struct {
		open    bool
		invite  chat.Invite
		address chat.Address
	}
	return ask(a, d, func(ctx context.Context) (s state, err error) {
		if permanent {
			list, err := c.Addresses(ctx)
			for _, x := range list {
				if x.ID == id {
					return state{open: true, address: x}, nil
				}
			}
			return s, err
		}
		list, err := c.Invites(ctx)
		for _, x := range list {
			if x.ID == id {
				return state{open: true, invite: x}, nil
			}
		}
		return s, err
	}, func(s state, err error) tea.Cmd {
		switch {
		case id != d.invite.ID+d.address.ID || d.ended:
			return nil
		case err != nil: // asked again below
		case !s.open:
			d.ended = true
			return nil
		default:
			d.invite, d.address = s.invite, s.address
		}
		session := a.session
		return a.after(inviteLook, resultMsg{asked: d, session: session, then: func() tea.Cmd { return a.lookAtInvite(d) }})
	})
}

func (d *inviteDialog) mode() mode { return modeInvite }

// event tells when the invite was used.
func (d *inviteDialog) event(_ *App, ev chat.Event) tea.Cmd {
	if ev.Type == chat.InviteUsed && d.invite.ID != "" && ev.Invite == d.invite.ID {
		d.used, d.ended = true, true
	}
	return nil
}

func (d *inviteDialog) update(a *App, msg tea.Msg) tea.Cmd {
	if d.asking {
		if k, ok := msg.(tea.KeyPressMsg); ok && a.pressed(modeInvite, k) == "invite.make" {
			return a.createInvite(d)
		}
		return typeInto(&d.name, msg)
	}
	k, ok := msg.(tea.KeyPressMsg)
	if !ok || d.link() == "" {
		return nil
	}
	switch act := a.keys.find(modeInvite, k.String()); {
	case act == "invite.new":
		d.invite, d.address, d.code, d.used, d.ended, d.problem = chat.Invite{}, chat.Address{}, nil, false, false, ""
		d.name.Reset()
		d.asking = true
	case d.ended:
	case act == "invite.copy":
		a.notice = "copied; the terminal may keep it"
		d.problem = ""
		return tea.SetClipboard(d.link())
	case act == "invite.write" && a.cfg.WriteFile != nil:
		return a.askWriteLink(d)
	case act == "invite.revoke":
		return a.askRevoke(d.invite, d.address, func() { d.ended = true })
	}
	return nil
}

// askWriteLink asks for the file that gets the link.
func (a *App) askWriteLink(d *inviteDialog) tea.Cmd {
	write, link := a.cfg.WriteFile, d.link()
	a.prompt(&promptDialog{
		title: "Write the link to a file", text: "Whoever reads the file can use the link. Nothing is overwritten.",
		input: newInput("file: ", 40), verb: "write", files: true,
		submit: func(p *promptDialog, path string) tea.Cmd {
			return a.do(p, func(context.Context) error { return write(path, []byte(link+"\n")) }, func(err error) tea.Cmd {
				if err != nil {
					a.tellOrNotice(p, err)
					return nil
				}
				a.drop(p)
				a.notice = "the link is in " + sanitizeLine(path)
				return nil
			})
		},
	}, "")
	return nil
}

// askRevoke asks before it revokes an invite or an address; then runs once it is
// done.
func (a *App) askRevoke(inv chat.Invite, addr chat.Address, then func()) tea.Cmd {
	c := a.chat
	work := func(ctx context.Context) error { return c.RevokeInvite(ctx, inv.ID) }
	title, text := "Revoke the invite", "Its keys are erased at once: whoever has the link cannot use it any more."
	if addr.ID != "" {
		work = func(ctx context.Context) error { return c.RevokeAddress(ctx, addr.ID) }
		title, text = "Revoke the address", "Nobody can ask through this link any more, on whatever paper it stands. Contacts made through it and requests that came by it stay."
	}
	a.confirm(title, text, "revoke", func() tea.Cmd {
		return a.do(nil, work, func(err error) tea.Cmd {
			if err != nil {
				a.notice = errorText(err)
				return nil
			}
			then()
			return nil
		})
	})
	return nil
}

// Size of the dialog, and least width of what stands beside a code.
const (
	inviteWidth, inviteHeight = 80, 24
	inviteSide                = 24
)

func (d *inviteDialog) title() string {
	if d.permanent {
		return "An address of yours"
	}
	return "Invite a contact"
}

func (d *inviteDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	if d.link() == "" {
		return d.viewMaking(a, w, h)
	}
	if !d.permanent && !a.now().Before(d.invite.Expires) {
		d.ended = true
	}
	bw, bh := min(w, inviteWidth), min(h, inviteHeight)
	codeWidth := 0
	if len(d.code) > 0 && !d.ended {
		codeWidth = ansi.StringWidth(d.code[0])
	}
	showCode := codeWidth > 0 && bh-2 >= len(d.code) && bw-2 >= codeWidth+inviteSide
	side := bw - 4
	if showCode {
		side = bw - 2 - codeWidth - 3
	}
	text := d.side(a, side, bh-2)
	var lines []string
	for i := range max(len(text), len(d.code)) {
		t := ""
		if i < len(text) {
			t = text[i]
		}
		if !showCode {
			if i < len(text) {
				lines = append(lines, " "+t)
			}
			continue
		}
		code := strings.Repeat(" ", codeWidth)
		if i < len(d.code) {
			code = d.code[i]
		}
		lines = append(lines, code+" "+a.theme.v+" "+t)
	}
	if !showCode {
		bh = min(bh, len(lines)+2)
	}
	return a.theme.boxed(d.title(), "", lines, bw, bh), nil
}

// side is what stands beside the code, in at most room lines: what the keys do and
// the link are there whatever the room.
func (d *inviteDialog) side(a *App, w, room int) []string {
	s := &sheet{inner: w}
	if d.ended {
		switch {
		case d.used:
			s.kept("used: your contact is here")
		case d.permanent:
			s.kept("This address is revoked.")
		default:
			s.kept("This invite is not open any more: it was used, revoked, or has expired.")
		}
		s.offers(a.offer("invite.new", "new"), a.closeOffer("close"))
	} else {
		d.sideOpen(a, s)
	}
	lines, _, _ := s.layout(room)
	return lines
}

func (d *inviteDialog) sideOpen(a *App, s *sheet) {
	network := "Network: " + sanitizeLine(a.status.Network) + labMark(a.status.Lab)
	if d.permanent {
		s.text(network)
		s.blank()
		s.text("Whoever has this link can ask to be your contact. You see each request; nothing goes back before you accept it.")
		s.text(fmt.Sprintf("Each request costs at least %d bits of work.", d.address.Effort))
	} else {
		s.text("One use. Expires in " + untilText(d.invite.Expires.Sub(a.now())) + ".")
		s.text(network)
		s.blank()
		s.text("Show it to one person, face to face if you can. Whoever gets it first can answer in their name; every opening is counted below.")
	}
	s.blank()
	for _, l := range chunks(d.link(), s.inner) {
		s.must(a.theme.accent.Render(l))
	}
	s.blank()
	if d.permanent {
		if d.address.Label != "" {
			s.text("label: " + sanitizeLine(d.address.Label))
		}
		s.text("state: " + sanitizeLine(d.address.State))
	} else {
		if d.invite.Name != "" {
			s.text("for: " + plainName(d.invite.Name))
		}
		s.text("state: " + openedText(d.invite))
		if d.invite.Opened > 1 {
			s.problem(&a.theme, "More than one reader: revoke it, and give a new one over another channel.")
		}
	}
	if a.notice != "" {
		s.text(a.notice)
	}
	write := ""
	if a.cfg.WriteFile != nil {
		write = a.offer("invite.write", "write file")
	}
	s.offers(a.offer("invite.copy", "copy"), write, a.offer("invite.new", "new"), a.offer("invite.revoke", "revoke"), a.closeOffer("close; it stays valid"))
}

// openedText says what relays told of an invite.
func openedText(inv chat.Invite) string {
	switch inv.Opened {
	case 0:
		return "waiting, opened 0 times"
	case 1:
		return "opened once"
	}
	return fmt.Sprintf("opened %d times", inv.Opened)
}

func (d *inviteDialog) viewMaking(a *App, w, h int) ([]string, *tea.Cursor) {
	s := newSheet(d.title(), w, 60)
	thing := "invite"
	if d.permanent {
		thing = "address"
	}
	if d.asking {
		s.input(&d.name, true)
		s.blank()
		if d.permanent {
			s.text("A label for you alone. An address stays: print it, put it on a page. Strangers can ask through it, at the price of some work.")
		} else {
			s.text("A local name; it is never sent. Without one they get a number.")
		}
		s.problem(&a.theme, d.problem)
		s.offers(a.offer("invite.make", "make the "+thing), a.closeOffer("close"))
	} else {
		s.kept("Asking two mailbox relays to keep the " + thing + " " + a.theme.more)
		if c := a.status.Cover; c != "" && c != "off" {
			s.text("Behind cover traffic that may take some minutes.")
		}
		s.offers(a.closeOffer("close"))
	}
	return s.draw(&a.theme, w, h)
}

// chunks cuts a long word into lines of w cells.
func chunks(s string, w int) []string {
	var out []string
	for len(s) > w && w > 0 {
		out = append(out, s[:w])
		s = s[w:]
	}
	return append(out, s)
}

// untilText says a duration in the two largest units.
func untilText(d time.Duration) string {
	switch {
	case d <= 0:
		return "no time"
	case d >= 24*time.Hour:
		return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d min", int(d.Minutes())+1)
}

func labMark(lab bool) string {
	if lab {
		return " (LAB: no anonymity)"
	}
	return ""
}
