package tui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"hearsay/chat"
)

// start brings the profile up: the first run asks what it needs, a later one the
// passphrase.
func (p *plain) start() error {
	state := p.cfg.Home.State()
	if p.cfg.Notice != "" {
		p.say(p.cfg.Notice)
	}
	var pass []byte
	defer func() { clear(pass) }()
	if !state.Exists {
		restored, err := p.introduce()
		if err != nil {
			return err
		}
		if restored {
			state.Exists, state.Encrypted = true, true
		} else if pass, err = p.newPassphrase("passphrase of the new profile: "); err != nil {
			return err
		} else if pass == nil {
			p.say("There is no passphrase: the profile is protected by file mode alone.")
		}
	}
	link := ""
	for {
		if state.Encrypted && pass == nil {
			if p.cfg.Secret == nil {
				return chat.ErrPassphrase
			}
			var err error
			if pass, err = p.cfg.Secret("passphrase: "); err != nil {
				return err
			}
		}
		if !state.HasNetwork && link == "" {
			var err error
			if link, err = p.network(); err != nil {
				return err
			}
		}
		p.note("Opening the profile.")
		home := p.cfg.Home
		c, err := awaited(p, callTimeout, func(ctx context.Context) (Chat, error) { return home.Open(ctx, pass, link) })
		if err == nil {
			p.chat = c
			return p.opened()
		}
		if !p.cfg.Terminal || p.ctx.Err() != nil {
			return err
		}
		p.say("Not opened: " + errorText(err) + ".")
		if state.Encrypted {
			clear(pass)
			pass = nil
		}
		link = ""
		if !state.Encrypted && state.HasNetwork {
			return err // there is nothing to type again
		}
	}
}

// introduce says what hearsay does, and restores a backup if that is asked for.
func (p *plain) introduce() (restored bool, err error) {
	p.say("hearsay carries messages through three relays that do not know each other, sealed from end to end.")
	p.say("It hides what you write, and with whom. It does not hide that you use hearsay, and it cannot help when your computer, or your contact's, is in other hands. A small network hides few people among few.")
	p.say("A state is told only when it is proven: queued here, stored at relays, delivered to your contact.")
	p.say("The passphrase encrypts contacts and messages on this disk. There is no recovery.")
	if !p.cfg.Terminal {
		return false, nil
	}
	file, err := p.ask("Press enter to make a new profile, or type the name of a backup file to restore one.")
	if err != nil || file == "" {
		return false, err
	}
	if p.cfg.Secret == nil {
		return false, chat.ErrPassphrase
	}
	backup, err := p.cfg.Secret("passphrase of the backup: ")
	if err != nil {
		return false, err
	}
	defer clear(backup)
	pass, err := p.newPassphrase("passphrase of this profile: ")
	if err != nil {
		return false, err
	}
	defer clear(pass)
	home := p.cfg.Home
	if err := p.do(func(ctx context.Context) error { return home.Restore(ctx, file, backup, pass) }); err != nil {
		return false, err
	}
	p.say("Restored. The passphrase of this profile opens it.")
	return true, nil
}

// newPassphrase asks for a passphrase until it was typed twice; nil if none can be
// asked for.
func (p *plain) newPassphrase(prompt string) ([]byte, error) {
	if p.cfg.Secret == nil {
		return nil, nil
	}
	for {
		pass, err := p.cfg.Secret(prompt)
		if err != nil {
			return nil, err
		}
		if len(pass) == 0 {
			p.say("An empty passphrase protects nothing: type one.")
			continue
		}
		p.say("It is " + strength(string(pass)) + ".")
		again, err := p.cfg.Secret("again: ")
		same := bytes.Equal(pass, again)
		clear(again)
		if err != nil {
			return nil, err
		}
		if same {
			return pass, nil
		}
		clear(pass)
		p.say("The two differ: type it twice again.")
	}
}

// network asks for the link of the network.
func (p *plain) network() (string, error) {
	for {
		text, err := p.ask("Paste a network link, name a file that holds one, or type demo for a lab network on this computer.")
		if err != nil {
			return "", err
		}
		switch {
		case text == "" && p.ended:
			return "", chat.ErrNoNetwork
		case text == "":
		case strings.EqualFold(text, "demo"):
			p.say("Starting a lab network on this computer. It gives no anonymity.")
			home := p.cfg.Home
			link, err := awaited(p, 0, home.Demo)
			if err == nil {
				return link, nil
			}
			if !p.cfg.Terminal {
				return "", err
			}
			p.say("It did not start: " + errorText(err) + ".")
		default:
			return networkText(text), nil
		}
	}
}

// opened begins to follow an open profile.
func (p *plain) opened() error {
	p.follow()
	p.status = p.chat.Status()
	if p.status.Locked {
		p.locked = true
		p.say("hearsay is locked. /unlock opens it.")
		return nil
	}
	if err := p.load(); err != nil {
		return err
	}
	if p.status.Network != "" {
		p.note("Network: " + p.status.Network + labMark(p.status.Lab) + ".")
	}
	p.tick()
	if !p.status.Ready {
		p.note("Connection: " + plainHealth(p.status) + ".")
	}
	p.greet()
	return nil
}

// greet says who is there, and selects whom the caller named.
func (p *plain) greet() {
	if len(p.entries) == 1 { // the notes alone
		p.say("There is no directory of people. One of you makes an invite with /invite NAME, the other one takes it with /accept LINK NAME.")
	}
	p.tellUnread()
	if name := p.cfg.Contact; name != "" {
		p.cfg.Contact = ""
		for i := range p.entries {
			if e := &p.entries[i]; e.id == name || e.name == name {
				p.choose(e)
			}
		}
	}
	if p.cfg.Terminal {
		p.say("/help lists the commands. /to NAME selects whom you write to.")
	}
}

// tellStatus says how the connection stands.
func (p *plain) tellStatus() {
	s := p.status
	if s.Network != "" {
		p.say("Network: " + s.Network + labMark(s.Lab) + ".")
	}
	p.say("Connection: " + plainHealth(s) + ".")
}

// plainHealth says the health of a connection in a sentence.
func plainHealth(s chat.Status) string {
	why := ""
	if s.Why != "" {
		why = ": " + chat.PlainError(errors.New(s.Why))
	}
	switch s.Health {
	case chat.Connected:
		return "connected"
	case chat.Building:
		return "building circuits" + why
	case chat.Degraded:
		return "degraded, a copy or a queue is missing"
	case chat.StaleView:
		return "stale, the snapshot of the network is more than a day old: no new guards, no new queues"
	case chat.Offline:
		return "offline" + why
	}
	return "starting"
}

// tick looks at what changes without an event.
func (p *plain) tick() {
	if p.chat == nil {
		return
	}
	before := p.status
	p.status = p.chat.Status()
	p.idle()
	if p.locked {
		return
	}
	p.tellSteps()
	if p.status.Ready && !before.Ready || p.status.Ready && !p.said["ready"] {
		p.said["ready"] = true
		p.look.Reset(plainLooks)
		p.note(fmt.Sprintf("Connection: ready, %d relays are listed.", p.status.Relays))
	} else if p.said["ready"] && p.status.Health != before.Health {
		p.note("Connection: " + plainHealth(p.status) + ".")
	}
	for _, w := range p.status.Warnings {
		key := w.Kind + " " + w.Text
		if w.Kind == "stale" || w.Kind == "emergency" {
			key = w.Kind // its text counts the hours
		}
		if !p.said[key] {
			p.said[key] = true
			p.say("Warning: " + w.Text)
		}
	}
	if p.status.Outlook.NeedsConsent && !before.Outlook.NeedsConsent {
		p.say("The snapshot of the network is more than 3 days old: someone may be keeping newer ones from you. /consent uses it all the same, with the guards you have.")
	}
}

// idle locks a profile at which nobody typed for long, or whose computer slept.
// It is asked every few seconds, and before each line.
func (p *plain) idle() {
	wall := p.now().Round(0)
	slept := wall.Sub(p.looked) > plainAsleep
	unused := wall.Sub(p.used) >= p.prefs.LockAfter
	p.looked = wall
	if p.chat == nil || p.locked || !p.cfg.Terminal || p.prefs.LockAfter <= 0 || !p.status.Encrypted || !slept && !unused {
		return
	}
	ctx, cancel := p.within()
	defer cancel()
	if err := p.chat.Lock(ctx); err != nil {
		p.fail("Not locked: " + errorText(err) + ".")
		p.used = wall // it is tried again as late
		return
	}
	p.hide()
}

// tellSteps says which steps of the start were done or failed since.
func (p *plain) tellSteps() {
	if p.said["ready"] {
		return
	}
	for _, s := range p.status.Steps {
		key := s.Name + " " + s.State
		if s.State != "done" && s.State != "failed" || p.said[key] {
			continue
		}
		p.said[key] = true
		text := fmt.Sprintf("%s: %s, %.1f s", s.Name, s.State, s.Took.Seconds())
		if s.Detail != "" {
			text += ", " + chat.PlainError(errors.New(s.Detail))
		}
		p.note("Start: " + text + ".")
	}
}

// hide forgets everything that was decrypted. What was written stays on the
// terminal, which is not ours to clear.
func (p *plain) hide() {
	if p.locked {
		return
	}
	p.locked = true
	p.entries, p.current, p.early, p.folded, p.listed, p.shown, p.links = nil, "", nil, nil, nil, nil, nil
	p.waiting, p.told, p.last, p.recent, p.recentID = map[string]*plainSent{}, map[string]string{}, map[string]string{}, map[string]string{}, nil
	p.say("hearsay is locked. /unlock opens it. What was written above stays on this terminal: clear it there.")
}

// show ends what hide began.
func (p *plain) show() error {
	if !p.locked {
		return nil
	}
	p.locked = false
	p.used = p.now().Round(0)
	if err := p.load(); err != nil {
		return err
	}
	p.say("hearsay is open again. Nobody is selected: /to NAME selects somebody.")
	p.tellUnread()
	return nil
}

// within bounds a call that is made while a line or an event is taken.
func (p *plain) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(p.ctx, callTimeout)
}
