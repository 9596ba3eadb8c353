package tui

import (
	"context"
	"fmt"
	"strings"
	"time"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"rsc.io/qr"

	"hearsay/chat"
)

// inviteDialog makes and shows a one-time invite.
type inviteDialog struct {
	name    textinput.Model
	asking  bool // the name is being typed
	invite  chat.Invite
	used    bool
	problem string
	code    []string // QR rows
}

func newInput(prompt string, width int) textinput.Model {
	in := textinput.New()
	in.Prompt = prompt
	in.SetVirtualCursor(false)
	in.SetWidth(width)
	in.CharLimit = 1024
	in.Focus()
	return in
}

func (a *App) openInvite(name string) tea.Cmd {
	d := &inviteDialog{name: newInput("name for them: ", 24), asking: name == ""}
	d.name.SetValue(name)
	a.push(d)
	if d.asking {
		return nil
	}
	return a.createInvite(d)
}

func (a *App) createInvite(d *inviteDialog) tea.Cmd {
	d.asking, d.problem = false, ""
	c, name := a.chat, strings.TrimSpace(d.name.Value())
	parent := a.ctx // it ends by itself, behind cover traffic after minutes
	return ask(a, d, func(context.Context) (chat.Invite, error) {
		return c.CreateInvite(parent, name)
	}, func(inv chat.Invite, err error) tea.Cmd {
		if err != nil {
			d.problem, d.asking = errorText(err), true
			return nil
		}
		d.invite, d.code = inv, qrRows(inv.Link)
		return nil
	})
}

func (d *inviteDialog) mode() mode { return modeInvite }

// event tells when the invite was used.
func (d *inviteDialog) event(_ *App, ev chat.Event) tea.Cmd {
	if ev.Type == chat.InviteUsed && d.invite.ID != "" && ev.Invite == d.invite.ID {
		d.used = true
	}
	return nil
}

func (d *inviteDialog) update(a *App, msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		if d.asking {
			if msg.String() == "enter" {
				return a.createInvite(d)
			}
			var cmd tea.Cmd
			d.name, cmd = d.name.Update(msg)
			return cmd
		}
		if a.keys.find(modeInvite, msg.String()) == "invite.copy" && d.invite.Link != "" {
			a.notice = "copied; the terminal may keep it"
			return tea.SetClipboard(d.invite.Link)
		}
	case tea.PasteMsg:
		if d.asking {
			var cmd tea.Cmd
			d.name, cmd = d.name.Update(msg)
			return cmd
		}
	}
	return nil
}

func (d *inviteDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	if d.invite.Link == "" {
		lines := []string{""}
		if d.asking {
			lines = append(lines, " "+d.name.View(), "", " A local name; it is never sent.", " [enter] make the invite   [esc] close")
		} else {
			lines = append(lines, " Asking two mailbox relays to keep the invite …")
			if c := a.status.Cover; c != "" && c != "off" {
				lines = append(lines, " Behind cover traffic that may take some minutes.")
			}
			lines = append(lines, "", " [esc] close")
		}
		if d.problem != "" {
			lines = append(lines, "")
			for _, l := range wrap(d.problem, 56) {
				lines = append(lines, " "+a.theme.bad.Render(l))
			}
		}
		box := a.theme.boxed("Invite a contact", "", lines, min(w, 60), min(h, len(lines)+3))
		var cur *tea.Cursor
		if d.asking {
			cur = dialogCursor(d.name.Cursor(), box, w, h, 2)
		}
		return box, cur
	}
	bw, bh := min(w, 80), min(h, 24)
	state := "waiting for its answer"
	if d.used {
		state = "used: your contact is here"
	}
	showCode := len(d.code) > 0 && bh-2 >= len(d.code) && bw-2 >= 41+24
	side := bw - 4
	if showCode {
		side = bw - 2 - 41 - 3
	}
	var text []string
	if bh < 16 { // the link before the words about it
		text = append(text, "[c] copy   [esc] close")
		text = append(text, chunks(d.invite.Link, side)...)
	}
	add := func(s string) { text = append(text, wrap(s, side)...) }
	add("One use. Expires in " + untilText(d.invite.Expires.Sub(a.now())) + ".")
	add("Network: " + chat.Sanitize(a.status.Network) + labMark(a.status.Lab))
	add("")
	add("Show it to one person, face to face if you can. Whoever gets it first can answer in their name.")
	add("")
	if bh >= 16 {
		for _, l := range chunks(d.invite.Link, side) {
			text = append(text, a.theme.accent.Render(l))
		}
		add("")
	}
	if d.invite.Name != "" {
		add("for: " + chat.Sanitize(d.invite.Name))
	}
	add("state: " + state)
	add("")
	if d.used {
		add("[esc] close")
	} else {
		add("[c] copy   [esc] close; it stays valid")
	}
	var lines []string
	for i := range max(len(text), len(d.code)) {
		t := ""
		if i < len(text) {
			t = text[i]
		}
		if !showCode {
			lines = append(lines, " "+t)
			continue
		}
		code := strings.Repeat(" ", 41)
		if i < len(d.code) {
			code = a.theme.qr.Render(d.code[i])
		}
		lines = append(lines, code+" │ "+t)
	}
	return a.theme.boxed("Invite a contact", "", lines, bw, bh), nil
}

// qrRows draws a code in half blocks, two rows of cells to a line, with a quiet
// zone of two. Level L: an invite link gives 41 by 21 cells.
func qrRows(text string) []string {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return nil // longer than any code holds: the text is shown alone
	}
	const quiet = 2
	black := func(x, y int) bool { return code.Black(x-quiet, y-quiet) }
	n := code.Size + 2*quiet
	var rows []string
	for y := 0; y < n; y += 2 {
		var b strings.Builder
		for x := range n {
			switch top, bottom := black(x, y), y+1 < n && black(x, y+1); {
			case top && bottom:
				b.WriteString("█")
			case top:
				b.WriteString("▀")
			case bottom:
				b.WriteString("▄")
			default:
				b.WriteString(" ")
			}
		}
		rows = append(rows, b.String())
	}
	return rows
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
