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
	stepRestore
	stepPassphrase
	stepNetwork
	stepStarting // named start-up steps
	stepContact
	stepUnlock
	stepNone // the conversation screen
)

// onboarding is the state of the panes before the conversation screen.
type onboarding struct {
	step     step
	form     form            // of the steps that ask for secrets
	secret   string          // chosen in step 2, until the home is open
	link     textinput.Model // of the network
	busy     string          // what is being done, and nothing can be typed; empty: nothing
	problem  string
	remark   string // why the profile is locked; empty: somebody did it
	scroll   int    // lines above, on a screen that is too small
	fresh    bool   // a new home: the first contact is offered
	restored bool   // from a backup: there are contacts
	demo     bool   // a demo: echo is the first contact
}

func introKeys() []binding {
	return []binding{
		{"intro.next", []string{"enter"}, "continue"},
		{"intro.restore", []string{"r"}, "restore a backup"},
		{"intro.down", []string{"down", "pgdown"}, "scroll on"},
		{"intro.up", []string{"up", "pgup"}, "scroll back"},
	}
}

func linkKeys() []binding {
	return []binding{
		{"link.next", []string{"enter"}, "use this network"},
		{"link.demo", []string{"d"}, "on empty input: a demo"},
	}
}

func startingKeys() []binding {
	return []binding{
		{"starting.next", []string{"enter"}, "continue"},
		{"starting.retry", []string{"r"}, "try again"},
		{"starting.doctor", []string{"d"}, "find out what is wrong"},
		{"starting.back", []string{"b"}, "another network"},
	}
}

func firstKeys() []binding {
	return []binding{
		{"first.invite", []string{"i"}, "make an invite"},
		{"first.paste", []string{"p"}, "paste one"},
		{"first.skip", []string{"s", "enter"}, "skip"},
	}
}

func newOnboarding(a *App, s HomeState) onboarding {
	o := onboarding{link: newInput("> ", 66), fresh: !s.Exists}
	switch {
	case !s.Exists:
		o.enter(a, stepIntro)
	case s.Encrypted:
		o.enter(a, stepUnlock)
	case !s.HasNetwork:
		o.enter(a, stepNetwork)
	default:
		o.enter(a, stepStarting)
	}
	return o
}

// enter shows a step, with empty fields.
func (o *onboarding) enter(a *App, s step) {
	o.step, o.problem, o.scroll, o.form = s, "", 0, form{}
	switch s {
	case stepPassphrase:
		o.form.fields = []textinput.Model{a.field("passphrase: ", true), a.field("     again: ", true)}
	case stepRestore:
		o.form.fields = []textinput.Model{
			a.field("  backup file: ", false), a.field("its passphrase: ", true),
			a.field("new passphrase: ", true), a.field("         again: ", true),
		}
	case stepUnlock:
		o.form.fields = []textinput.Model{a.field("passphrase: ", true)}
	}
}

// done forgets what was typed and shows the conversation screen.
func (o *onboarding) done(a *App) {
	o.enter(a, stepNone)
	o.secret = ""
	o.link.Reset()
}

// open opens the home with what was typed.
func (a *App) open() tea.Cmd {
	o := &a.first
	o.busy, o.problem = "opening …", ""
	secret := o.secret
	if o.step == stepUnlock {
		secret = o.form.value(0)
		o.form.forget(0)
	}
	var pass []byte
	if secret != "" {
		pass = []byte(secret)
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
	o.busy = ""
	if msg.err != nil {
		o.problem = secretError(msg.err)
		if o.step == stepStarting && !a.homeState.HasNetwork {
			o.step = stepNetwork
		}
		return nil
	}
	a.chat = msg.chat
	a.events = msg.chat.Subscribe()
	a.idle.touch(a.now())
	if o.fresh {
		o.secret = ""
		o.link.Reset()
		o.enter(a, stepStarting)
	} else {
		o.done(a)
	}
	return tea.Batch(a.loadPeople(), a.loadStatus(), a.refresh(), a.nextEvents())
}

// updateFirst handles keys before the conversation screen.
func (a *App) updateFirst(msg tea.Msg) tea.Cmd {
	o := &a.first
	if o.busy != "" {
		return nil
	}
	key := ""
	if k, ok := msg.(tea.KeyPressMsg); ok {
		key = k.String()
	}
	back := a.keys.find(modeEverywhere, key) == "close"
	switch o.step {
	case stepIntro:
		return a.introKey(a.keys.find(modeIntro, key))
	case stepPassphrase:
		if back {
			o.enter(a, stepIntro)
			return nil
		}
		return a.updatePassphrase(msg)
	case stepRestore:
		if back {
			o.enter(a, stepIntro)
			return nil
		}
		return a.updateRestore(msg)
	case stepUnlock:
		if back {
			return a.quit()
		}
		return a.updateUnlock(msg)
	case stepNetwork:
		if back {
			if o.fresh {
				o.enter(a, stepPassphrase)
			}
			return nil
		}
		return a.updateLink(msg, a.keys.find(modeLink, key))
	case stepStarting:
		return a.startingKey(a.keys.find(modeStarting, key), back)
	case stepContact:
		if p, ok := msg.(tea.PasteMsg); ok && findInvite(p.Content) != "" {
			o.done(a)
			return a.openAccept(p.Content)
		}
		return a.firstKey(a.keys.find(modeFirst, key), back)
	}
	return nil
}

func (a *App) introKey(act action) tea.Cmd {
	o := &a.first
	switch act {
	case "intro.next":
		o.enter(a, stepPassphrase)
	case "intro.restore":
		o.enter(a, stepRestore)
	case "intro.down":
		o.scroll++
	case "intro.up":
		o.scroll = max(0, o.scroll-1)
	}
	return nil
}

func (a *App) updatePassphrase(msg tea.Msg) tea.Cmd {
	o := &a.first
	before := o.form.at
	cmd, entered := o.form.update(a, msg)
	switch {
	case o.form.at != before && before == 0 && o.form.value(0) == "":
		o.problem, o.form.at = newSecret("", ""), 0
	case entered:
		if o.problem = newSecret(o.form.value(0), o.form.value(1)); o.problem != "" {
			o.form.forget(1)
			return nil
		}
		secret := o.form.value(0)
		if a.homeState.HasNetwork {
			o.secret = secret
			return a.open()
		}
		o.enter(a, stepNetwork)
		o.secret = secret
	case o.form.at != before:
		o.problem = ""
	}
	return cmd
}

func (a *App) updateRestore(msg tea.Msg) tea.Cmd {
	o := &a.first
	cmd, entered := o.form.update(a, msg)
	if !entered {
		return cmd
	}
	f := &o.form
	file := strings.TrimSpace(f.value(0))
	switch {
	case file == "":
		o.problem, f.at = "name the file that the backup is in", 0
		return nil
	case f.value(1) == "":
		o.problem, f.at = "type the passphrase that was given when the backup was made", 1
		return nil
	}
	if o.problem = newSecret(f.value(2), f.value(3)); o.problem != "" {
		f.forget(3)
		f.at = 2
		return nil
	}
	backup, secret, home := []byte(f.value(1)), f.value(2), a.home
	o.busy = "restoring: this may take a minute …"
	parent := a.ctx
	work := func(context.Context) error {
		defer clear(backup)
		pass := []byte(secret)
		defer clear(pass)
		return home.Restore(parent, file, backup, pass)
	}
	return a.do(nil, work, func(err error) tea.Cmd {
		o.busy = ""
		if err != nil {
			o.problem = errorText(err)
			return nil
		}
		o.secret, o.restored = secret, true
		a.homeState = HomeState{Exists: true, Encrypted: true, HasNetwork: true}
		return a.open()
	})
}

func (a *App) updateUnlock(msg tea.Msg) tea.Cmd {
	o := &a.first
	cmd, entered := o.form.update(a, msg)
	switch {
	case !entered || o.form.value(0) == "" && !(a.locked && a.idle.elsewhere):
		return cmd
	case a.locked && a.chat != nil:
		return a.unlock()
	default:
		return a.open()
	}
}

func (a *App) updateLink(msg tea.Msg, act action) tea.Cmd {
	o := &a.first
	empty := strings.TrimSpace(o.link.Value()) == ""
	switch {
	case act == "link.next":
		if !empty {
			return a.open()
		}
		return nil
	case act == "link.demo" && empty:
		return a.startDemo()
	}
	return typeInto(&o.link, msg)
}

// startDemo starts a network on this computer, and opens a profile on it.
func (a *App) startDemo() tea.Cmd {
	o := &a.first
	o.busy, o.problem = "starting a network on this computer …", ""
	return ask(a, nil, a.home.Demo, func(link string, err error) tea.Cmd {
		o.busy = ""
		if err != nil {
			o.problem = errorText(err)
			return nil
		}
		o.demo = true
		o.link.SetValue(link)
		return a.open()
	})
}

func (a *App) startingKey(act action, back bool) tea.Cmd {
	o := &a.first
	switch {
	case act == "starting.next", back:
		if a.chat == nil {
			return nil
		}
		if o.fresh && !o.demo && !o.restored {
			o.enter(a, stepContact)
		} else {
			o.done(a)
		}
	case act == "starting.retry":
		if a.chat == nil {
			return a.open()
		}
		o.problem = ""
		return a.do(nil, a.chat.NewCircuits, func(err error) tea.Cmd {
			if err != nil {
				o.problem = errorText(err)
			}
			return a.loadStatus()
		})
	case act == "starting.doctor" && a.chat != nil:
		return a.openDoctor()
	case act == "starting.back" && a.chat == nil:
		o.enter(a, stepNetwork)
	}
	return nil
}

func (a *App) firstKey(act action, back bool) tea.Cmd {
	o := &a.first
	switch {
	case act == "first.invite":
		o.done(a)
		return a.openInvite("")
	case act == "first.paste":
		o.done(a)
		return a.openAccept("")
	case act == "first.skip":
		o.done(a)
	case back:
		o.enter(a, stepStarting)
	}
	return nil
}

// drawFirst draws the panes before the conversation screen, and the dialogs that
// lie over them.
func (a *App) drawFirst(w, h int) ([]string, *tea.Cursor) {
	lines := make([]string, h)
	for i := range lines {
		lines[i] = fit("", w)
	}
	box, cur := a.viewFirst(w, h)
	lines = overlay(lines, box, w)
	for _, d := range a.dialogs {
		box, cur = d.view(a, w, h)
		lines = overlay(lines, box, w)
	}
	if a.quitArmed && a.notice != "" {
		lines[h-1] = a.theme.warn.Render(fit(" "+a.notice, w))
	}
	if a.theme.more != "…" { // the sign is of ambiguous width
		for i := range lines {
			lines[i] = strings.ReplaceAll(lines[i], "…", a.theme.more)
		}
	}
	return lines, cur
}

func (a *App) viewFirst(w, h int) ([]string, *tea.Cursor) {
	o := &a.first
	bw := min(w, 78)
	b := &formBox{a: a, w: bw}
	hint := a.offer
	dot := " " + a.theme.dot + " "
	title := "hearsay"
	switch o.step {
	case stepIntro:
		title += dot + "1 of 4" + dot + "what it does"
		a.drawIntro(b)
	case stepPassphrase:
		title += dot + "2 of 4" + dot + "passphrase"
		b.add("It encrypts contacts and messages on this disk. There is no recovery.")
		b.add("")
		b.form(&o.form)
		b.problem(o.problem)
		b.add("")
		if s := strength(o.form.value(0)); s != "" {
			b.add("strength: " + s)
		} else {
			b.add("")
		}
		b.add("")
		b.foot(o.busy, o.busy != "", hint("form.next", "continue")+"   "+hint("form.field", "other field")+"   [esc] back")
	case stepRestore:
		title += dot + "restore a backup"
		b.add("The profile that the backup was made of must not be used any more. Sessions with all contacts begin anew; they are told.")
		b.add("")
		b.form(&o.form)
		b.problem(o.problem)
		b.add("")
		if s := strength(o.form.value(2)); s != "" {
			b.add("strength of the new one: " + s)
			b.add("")
		}
		b.foot(o.busy, o.busy != "", hint("form.next", "continue")+"   "+hint("form.field", "next field")+"   [esc] back")
	case stepUnlock:
		return a.viewUnlock(w, h)
	case stepNetwork:
		title += dot + "3 of 4" + dot + "network"
		b.add("Paste a network link, or name a file that holds one. Who runs the network gives it to you.")
		b.add("")
		o.link.SetWidth(max(1, bw-7))
		o.link.SetCursor(o.link.Position())
		b.cursor, b.row, b.head = o.link.Cursor(), len(b.lines)+1, len(b.lines)
		b.lines = append(b.lines, " "+o.link.View())
		b.problem(o.problem)
		b.add("")
		b.foot(o.busy, o.busy != "", hint("link.next", "continue")+"   "+hint("link.demo", "demo on this computer, kept nowhere")+"   [esc] back")
	case stepStarting:
		title += dot + "3 of 4" + dot + "network"
		if a.status.Lab {
			title += dot + "LAB"
		}
		a.drawStarting(b)
	case stepContact:
		title += dot + "4 of 4" + dot + "first contact"
		b.add("There is no directory of people. One of you makes an invite, the other one pastes it.")
		b.add("")
		b.add(hint("first.invite", "make an invite") + "   " + hint("first.paste", "paste one") + "   " + hint("first.skip", "skip") + "   [esc] back")
	}
	if o.step == stepIntro && len(b.lines) > h-2 {
		o.scroll = min(o.scroll, len(b.lines)-(h-3))
		b.lines = append(b.lines[o.scroll:][:h-3], " "+hint("intro.down", "more")+" "+hint("intro.next", "continue"))
	}
	return b.box(title, w, h)
}

func (a *App) drawIntro(b *formBox) {
	b.add("hearsay carries messages through three relays that do not know each other, sealed from end to end.")
	b.add("")
	b.add("It hides what you write, and with whom you write: no relay knows both ends, and no one keeps a list of contacts.")
	b.add("")
	b.add("It does not hide that you use hearsay. It cannot help when your computer, or your contact's, is in other hands. A small network hides few people among few.")
	b.add("")
	b.add("A state is shown only when it is proven: queued here, stored at relays, delivered to your contact.")
	b.add("")
	b.add(a.offer("intro.next", "continue") + "   " + a.offer("intro.restore", "restore a backup"))
}

// drawStarting draws the named steps of the start-up with their times.
func (a *App) drawStarting(b *formBox) {
	o := &a.first
	if a.chat == nil {
		keys := a.offer("starting.retry", "retry")
		if !a.homeState.HasNetwork {
			keys += "   " + a.offer("starting.back", "back")
		}
		b.problem(o.problem)
		b.foot(o.busy, o.busy != "", keys)
		return
	}
	failed := false
	for i, s := range a.status.Steps {
		sign := map[string]string{"done": a.theme.delivered, "running": a.theme.more, "failed": a.theme.failed, "waiting": "-"}[s.State]
		took := ""
		if s.State != "waiting" {
			took = fmt.Sprintf("%.1f s", max(0, s.Took.Seconds()))
		}
		detail := sanitizeLine(s.Detail)
		if s.State == "failed" {
			failed = true
			detail = strings.TrimSpace("failed " + detail)
		}
		b.lines = append(b.lines, fmt.Sprintf("  %d %-14s %s %7s   %s", i+1, s.Name, sign, took, detail))
	}
	if a.status.Why != "" {
		b.add("")
		b.add(sanitizeLine(a.status.Why))
	}
	b.add("")
	keys := a.offer("starting.next", "continue")
	if !a.status.Ready {
		if failed {
			b.add("hearsay goes on trying by itself.")
		}
		keys = a.offer("starting.retry", "retry with new circuits") + "   "
		if a.cfg.Doctor != nil {
			keys += a.offer("starting.doctor", "doctor") + "   "
		}
		keys += "[esc] finish later"
	}
	b.problem(o.problem)
	b.foot("", false, keys)
}

// viewUnlock draws the lock screen, which shows nothing else.
func (a *App) viewUnlock(w, h int) ([]string, *tea.Cursor) {
	o := &a.first
	bw := min(w, 48)
	b := &formBox{a: a, w: bw}
	title := "hearsay opens with a passphrase"
	if a.locked {
		title = "hearsay is locked"
	}
	b.lines = append(b.lines, centre([]string{title}, bw-2, 1)...)
	b.form(&o.form)
	leave := "esc quits"
	if a.attached {
		leave = "esc detaches"
	}
	switch {
	case o.busy != "":
		leave = o.busy
		b.cursor = nil
	case o.problem != "":
		b.add(o.problem)
	case o.remark != "":
		b.add(o.remark)
	}
	b.lines = append(b.lines, centre([]string{leave}, bw-2, 1)...)
	return b.box("", w, h)
}
