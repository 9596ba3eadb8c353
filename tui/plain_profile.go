package tui

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hearsay/chat"
)

// tellConnection says in short how things stand.
func (p *plain) tellConnection(string) error {
	p.status = p.chat.Status()
	p.tellStatus()
	p.say("Traffic: " + coverText(p.status.Cover) + ".")
	p.sayf("Messages on this disk alone: %d.", p.status.Queued)
	if e := p.selected(); e != nil {
		p.say("You write to " + e.called() + ".")
		if path, ok := p.chat.Path(e.id); ok {
			p.say("Last path: " + plainPath(path) + ".")
		}
	} else {
		p.say("Nobody is selected.")
	}
	return nil
}

// networkView writes what there is to know of the network, or builds circuits anew.
func (p *plain) networkView(args string) error {
	switch args {
	case "":
	case "new":
		if err := p.do(func(ctx context.Context) error { return p.chat.NewCircuits(ctx) }); err != nil {
			return err
		}
		p.say("Circuits are built anew, over the same guards.")
		return nil
	default:
		return errors.New("write /network, or /network new")
	}
	v, err := awaited(p, callTimeout, func(ctx context.Context) (chat.NetworkView, error) { return p.chat.NetworkView(ctx) })
	if err != nil {
		return err
	}
	lines := []string{
		"Network " + v.Network + labMark(v.Lab) + fmt.Sprintf(": snapshot %d, %s old, signed by %d of %d, needs %d.", v.Epoch, untilText(v.SnapshotAge), v.Signatures, v.Signers, v.Threshold),
		fmt.Sprintf("Relays: %d. Mailbox relays: %d. Possible guards: %d.", max(v.Listed, len(v.Relays)), v.Mailboxes, v.Guards),
	}
	if v.Guard != "" {
		guard := "Your guard: " + v.Guard
		if !v.GuardSince.IsZero() {
			guard += ", for at most " + untilText(p.now().Sub(v.GuardSince)) // the time is kept inexactly
		}
		lines = append(lines, guard+". Layer 2: "+strings.Join(v.Layer2, ", ")+".")
	}
	family := "No declared family is on your paths."
	if v.Family > 0 {
		family = fmt.Sprintf("Largest family on your paths: %d %%.", int(v.Family*100+0.5))
	}
	lines = append(lines, family,
		fmt.Sprintf("Clock: %+d s against the snapshot. Cover: %s, about %d MB a day.", int(v.ClockSkew.Seconds()), v.Cover, v.CoverMB),
		fmt.Sprintf("Queues: %d, %d of them with one copy alone.", v.Queues, v.Single))
	if !v.NextMove.IsZero() {
		lines = append(lines, "Next move of a queue in "+untilText(v.NextMove.Sub(p.now()))+".")
	}
	if v.Burst > 0 {
		lines = append(lines, "A burst goes on, for "+untilText(v.Burst)+" at most: your local network can see it.")
	}
	if v.Lends != nil {
		lines = append(lines, "Relay: "+lentText(v.Lends)+".")
	}
	lines = append(lines, fmt.Sprintf("Circuits: %d.", len(v.Circuits)))
	for i, c := range v.Circuits {
		line := fmt.Sprintf("%d. %s: %s", i+1, c.Purpose, cmp.Or(strings.Join(c.Relays, ", "), "no relay yet"))
		if c.Destination != "" {
			line += ", then " + c.Destination
		}
		line += ", " + c.State
		if c.RTT > 0 {
			line += fmt.Sprintf(", %d ms", max(1, c.RTT.Milliseconds()))
		}
		lines = append(lines, line)
	}
	for _, s := range v.Missing {
		lines = append(lines, "Missing: "+s)
	}
	for _, s := range v.Warnings {
		lines = append(lines, "Warning: "+s)
	}
	p.write(lines...)
	return nil
}

// cover says the cover profiles, or chooses one.
func (p *plain) cover(name string) error {
	if name == "" {
		p.say("Traffic: " + coverText(p.chat.Status().Cover) + ".")
		return nil
	}
	if !slices.Contains(chat.Covers(), name) {
		return errors.New("there are " + strings.Join(chat.Covers(), ", "))
	}
	if err := p.do(func(ctx context.Context) error { return p.chat.SetCover(ctx, name) }); err != nil {
		return err
	}
	p.status.Cover = name
	p.sayf("Cover is %s from now on, about %d MB a day.", name, chat.CoverCost(name))
	return nil
}

// consent takes an old snapshot.
func (p *plain) consent(string) error {
	if err := p.do(func(ctx context.Context) error { return p.chat.Consent(ctx) }); err != nil {
		return err
	}
	p.say("The old snapshot is used until a newer one comes or you quit.")
	return nil
}

// settings says what was chosen.
func (p *plain) settings(string) error {
	lock := "never"
	if d := p.prefs.LockAfter; d > 0 {
		lock = fmt.Sprintf("after %d min without a line, and after the computer slept", int(d.Minutes()))
	}
	p.status = p.chat.Status()
	p.write(
		"Cover traffic: "+p.status.Cover+". /cover changes it.",
		"Lock: "+lock+".",
		"Passphrase: "+yesNo(p.status.Encrypted)+". /passphrase changes it.",
		"In new conversations messages disappear: "+plainDays(p.prefs.DeleteAfter)+".",
		"What else can be chosen is of the screens. All of it stands in the configuration file: hearsay --help says where.",
	)
	return nil
}

// secret asks for a passphrase.
func (p *plain) secret(prompt string) ([]byte, error) {
	if p.cfg.Secret == nil {
		return nil, errors.New("a passphrase is typed at a terminal: this input is none")
	}
	return p.cfg.Secret(prompt)
}

// passphrase changes the passphrase.
func (p *plain) passphrase(string) error {
	var old []byte
	var err error
	if p.chat.Status().Encrypted {
		if old, err = p.secret("present passphrase: "); err != nil {
			return err
		}
		defer clear(old)
	} else if p.cfg.Secret == nil {
		_, err := p.secret("")
		return err
	}
	next, err := p.newPassphrase("new passphrase: ")
	if err != nil {
		return err
	}
	defer clear(next)
	if err := p.do(func(ctx context.Context) error { return p.chat.ChangePassphrase(ctx, old, next) }); err != nil {
		return err
	}
	p.say("The passphrase is another one now. A copy of the profile that was made before still opens with the old one.")
	return nil
}

// backup writes a backup.
func (p *plain) backup(path string) error {
	if path == "" {
		return errors.New("say where to: /backup PATH")
	}
	if p.cfg.Secret == nil {
		_, err := p.secret("")
		return err
	}
	file, err := p.local(path) // a daemon has another working directory
	if err != nil {
		return err
	}
	history, err := p.ask("Type yes to put the messages into it too, or anything else for contacts alone.")
	if err != nil {
		return err
	}
	pass, err := p.newPassphrase("passphrase of the backup: ")
	if err != nil {
		return err
	}
	defer clear(pass)
	with := strings.EqualFold(history, "yes")
	_, err = awaited(p, 0, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, p.chat.Backup(ctx, file.Path, pass, with)
	})
	if err != nil {
		return err
	}
	p.say("The backup was written. Without its passphrase nobody opens it.")
	return nil
}

// lock locks the profile, on all terminals.
func (p *plain) lock(string) error {
	if p.locked {
		p.say("hearsay is locked already. /unlock opens it.")
		return nil
	}
	if err := p.do(func(ctx context.Context) error { return p.chat.Lock(ctx) }); err != nil {
		return err
	}
	p.hide() // its event may be on its way
	return nil
}

// unlock opens a locked profile.
func (p *plain) unlock(string) error {
	if !p.locked {
		p.say("hearsay is open.")
		return nil
	}
	pass, err := p.secret("passphrase: ")
	if err != nil {
		return err
	}
	defer clear(pass)
	if err := p.do(func(ctx context.Context) error { return p.chat.Unlock(ctx, pass) }); err != nil {
		return err
	}
	return p.show()
}

// wipe destroys the profile.
func (p *plain) wipe(string) error {
	answer, err := p.ask("This destroys the keys, contacts and messages of this profile, at once and for good. There is no way back. Type WIPE in capitals to do it.")
	if err != nil {
		return err
	}
	if answer != "WIPE" {
		p.say("Not done.")
		return nil
	}
	if err := p.do(func(ctx context.Context) error { return p.chat.Wipe(ctx) }); err != nil {
		return err
	}
	p.say("The profile is gone.")
	return errPlainQuit
}

// doctor runs the checks.
func (p *plain) doctor(string) error {
	if p.cfg.Doctor == nil {
		return errors.New("there is no doctor here: run hearsay doctor")
	}
	p.say("Looking. This may take a minute.")
	checks, err := awaited(p, 0, p.cfg.Doctor)
	count := map[string]int{}
	for _, c := range checks {
		count[c.Result]++
		text := c.Name + ": " + c.Result
		if c.Detail != "" {
			text += ", " + c.Detail
		}
		if c.Fix != "" {
			text += ". To mend it: " + c.Fix
		}
		p.say(text)
	}
	if err != nil {
		return err
	}
	var sums []string
	for _, result := range slices.Sorted(maps.Keys(count)) {
		sums = append(sums, fmt.Sprintf("%d %s", count[result], result))
	}
	p.say("Checks: " + strings.Join(sums, ", ") + ".")
	return nil
}
