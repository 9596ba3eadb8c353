package tui

import (
	"context"
	"fmt"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
)

// step is a pane of the first run, or the unlock pane of a later one.
type step int

const (
	stepIntro step = iota
	stepPassphrase
	stepNetwork
	stepStarting // named start-up steps
	stepContact
	stepUnlock
	stepNone // the conversation screen
)

// onboarding is the state of the panes before the conversation screen.
type onboarding struct {
	step       step
	passphrase textinput.Model
	again      textinput.Model
	onAgain    bool
	link       textinput.Model
	busy       bool
	problem    string
	fresh      bool // a new home: the first contact is offered
}

func newOnboarding(a *App, s HomeState) onboarding {
	secret := func(prompt string) textinput.Model {
		in := newInput(prompt, 40)
		in.EchoMode = textinput.EchoPassword
		in.EchoCharacter = a.theme.secret
		return in
	}
	o := onboarding{
		passphrase: secret("passphrase: "),
		again:      secret("     again: "),
		link:       newInput("> ", 66),
		fresh:      !s.Exists,
	}
	switch {
	case !s.Exists:
		o.step = stepIntro
	case s.Encrypted:
		o.step = stepUnlock
	case !s.HasNetwork:
		o.step = stepNetwork
	default:
		o.step = stepStarting
	}
	return o
}

// open opens the home with what was typed.
func (a *App) open() tea.Cmd {
	o := &a.first
	o.busy, o.problem = true, ""
	var pass []byte
	if v := o.passphrase.Value(); v != "" {
		pass = []byte(v)
	}
	link, home := networkText(o.link.Value()), a.home
	parent := a.ctx
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(parent, callTimeout)
		defer cancel()
		defer clear(pass)
		c, err := home.Open(ctx, pass, link)
		return openedMsg{c, err}
	}
}

// networkText returns what was typed or pasted as a network: a link, joined if it
// was copied from several lines, or the name of a file.
func networkText(s string) string {
	if l := joinLink(s); strings.HasPrefix(strings.ToUpper(l), "HEARSAY") {
		return l
	}
	return strings.TrimSpace(s)
}

func (a *App) opened(msg openedMsg) tea.Cmd {
	o := &a.first
	o.busy = false
	if msg.err != nil {
		o.problem = errorText(msg.err)
		if o.step == stepStarting {
			o.step = stepNetwork
		}
		return nil
	}
	o.passphrase.Reset()
	o.again.Reset()
	a.chat = msg.chat
	a.events = msg.chat.Subscribe()
	if o.step != stepStarting && o.fresh {
		o.step = stepStarting
	} else {
		o.step = stepNone
	}
	return tea.Batch(a.loadPeople(), a.loadStatus(), a.refresh(), a.nextEvents())
}

// updateFirst handles keys before the conversation screen.
func (a *App) updateFirst(msg tea.Msg) tea.Cmd {
	o := &a.first
	if o.busy {
		return nil
	}
	key := ""
	if k, ok := msg.(tea.KeyPressMsg); ok {
		key = k.String()
	}
	var cmd tea.Cmd
	switch o.step {
	case stepIntro:
		if key == "enter" {
			o.step = stepPassphrase
		}
	case stepPassphrase:
		switch key {
		case "esc":
			o.step, o.onAgain = stepIntro, false
		case "tab", "shift+tab", "up", "down":
			o.onAgain = !o.onAgain
		case "enter":
			return a.passphraseEntered()
		default:
			if o.onAgain {
				o.again, cmd = o.again.Update(msg)
			} else {
				o.passphrase, cmd = o.passphrase.Update(msg)
			}
		}
	case stepUnlock:
		switch key {
		case "esc":
			return a.quit()
		case "enter":
			if o.passphrase.Value() != "" && a.locked {
				return a.unlock()
			} else if o.passphrase.Value() != "" {
				return a.open()
			}
		default:
			o.passphrase, cmd = o.passphrase.Update(msg)
		}
	case stepNetwork:
		switch key {
		case "esc":
			if o.fresh {
				o.step = stepPassphrase
			}
		case "enter":
			if strings.TrimSpace(o.link.Value()) != "" {
				return a.open()
			}
		default:
			o.link, cmd = o.link.Update(msg)
		}
	case stepStarting:
		switch key {
		case "enter", "esc":
			o.step = stepContact
		}
	case stepContact:
		switch key {
		case "i":
			o.step = stepNone
			return a.openInvite("")
		case "p":
			o.step = stepNone
			return a.openAccept("")
		case "s", "enter":
			o.step = stepNone
		case "esc":
			o.step = stepStarting
		}
		if p, ok := msg.(tea.PasteMsg); ok && isInvite(p.Content) {
			o.step = stepNone
			return a.openAccept(p.Content)
		}
	}
	return cmd
}

func (a *App) passphraseEntered() tea.Cmd {
	o := &a.first
	o.problem = ""
	switch {
	case o.passphrase.Value() == "":
		o.problem = "type a passphrase: it protects your contacts and messages on this disk"
		o.onAgain = false
	case !o.onAgain:
		o.onAgain = true
	case o.again.Value() != o.passphrase.Value():
		o.problem = "the two differ; type it again"
		o.again.Reset()
	case a.homeState.HasNetwork:
		return a.open()
	default:
		o.step = stepNetwork
	}
	return nil
}

// strength says how a passphrase would stand against somebody who has the disk:
// the store makes each guess cost about a second.
func strength(s string) string {
	classes := 0
	for _, set := range []string{"abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"} {
		if strings.ContainsAny(s, set) {
			classes++
		}
	}
	switch n, words := len([]rune(s)), len(strings.Fields(s)); {
	case n == 0:
		return ""
	case n < 8 || n < 12 && classes < 2:
		return "weak"
	case n < 14 && words < 4:
		return "fair"
	default:
		return "strong, if nobody could guess it"
	}
}

func (a *App) viewFirst(w, h int) ([]string, *tea.Cursor) {
	o := &a.first
	var title string
	var lines []string
	var cur *tea.Cursor
	curRow := 0
	bw := min(w, 78)
	add := func(s string) {
		if s == "" {
			lines = append(lines, "")
			return
		}
		for _, l := range wrap(s, bw-4) {
			lines = append(lines, " "+l)
		}
	}
	switch o.step {
	case stepIntro:
		title = "hearsay · 1 of 4 · what it does"
		add("hearsay carries messages through three relays that do not know each other, sealed from end to end.")
		add("")
		add("It hides what you write, and with whom you write: no relay knows both ends, and no one keeps a list of contacts.")
		add("")
		add("It does not hide that you use hearsay. It cannot help when your computer, or your contact's, is in other hands. A small network hides few people among few.")
		add("")
		add("A state is shown only when it is proven: queued here, stored at relays, delivered to your contact.")
		add("")
		add("[enter] continue")
	case stepPassphrase:
		title = "hearsay · 2 of 4 · passphrase"
		add("It encrypts contacts and messages on this disk. There is no recovery.")
		add("")
		first := len(lines)
		add(o.passphrase.View())
		add(o.again.View())
		add("")
		if s := strength(o.passphrase.Value()); s != "" {
			add("strength: " + s)
		} else {
			add("")
		}
		add("")
		add("[enter] continue   [tab] other field   [esc] back")
		if o.onAgain {
			cur, curRow = o.again.Cursor(), first+2
		} else {
			cur, curRow = o.passphrase.Cursor(), first+1
		}
	case stepUnlock:
		title = "hearsay"
		if a.locked {
			title = "hearsay is locked"
		}
		add("")
		add(o.passphrase.View())
		add("")
		add("[enter] open   [esc] quit")
		cur, curRow = o.passphrase.Cursor(), 2
		if o.busy {
			add("")
			add("opening …")
		}
	case stepNetwork:
		title = "hearsay · 3 of 4 · network"
		add("Paste a network link. Who runs the network gives it to you; it starts with HEARSAY-NET:")
		add("")
		add(o.link.View())
		cur, curRow = o.link.Cursor(), len(lines)
		add("")
		if o.busy {
			add("opening …")
		} else {
			add("[enter] continue   [esc] back")
		}
	case stepStarting:
		title = "hearsay · 3 of 4 · network"
		if a.chat == nil {
			add("opening …")
			break
		}
		for i, s := range a.status.Steps {
			mark := map[string]string{"done": "✓", "running": "…", "failed": "!", "waiting": "-"}[s.State]
			took := ""
			if s.State == "done" || s.State == "running" {
				took = fmt.Sprintf("%.1f s", s.Took.Seconds())
			}
			lines = append(lines, fmt.Sprintf("  %d %-14s %s %7s   %s", i+1, s.Name, mark, took, sanitizeLine(s.Detail)))
		}
		add("")
		if a.status.Ready {
			add("[enter] continue")
		} else {
			add("[esc] finish later: hearsay goes on trying")
		}
	case stepContact:
		title = "hearsay · 4 of 4 · first contact"
		add("There is no directory of people. One of you makes an invite, the other one pastes it.")
		add("")
		add("[i] make an invite   [p] paste one   [s] skip   [esc] back")
	}
	if o.problem != "" {
		add("")
		for _, l := range wrap(o.problem, bw-4) {
			lines = append(lines, " "+a.theme.bad.Render(l))
		}
	}
	box := a.theme.boxed(title, "", lines, bw, min(h, len(lines)+3))
	if o.busy {
		cur = nil
	}
	return box, dialogCursor(cur, box, w, h, curRow)
}
