package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/term"

	"hearsay/chat"
	"hearsay/cmd/program"
	"hearsay/directory"
)

// Names of the checks.
const (
	checkModes     = "file modes"
	checkDisk      = "disk"
	checkStore     = "store"
	checkFile      = "network file"
	checkSnapshot  = "snapshot"
	checkClock     = "clock"
	checkGuard     = "guard"
	checkCircuit   = "circuit"
	checkPaths     = "paths"
	checkMailboxes = "mailboxes"
	checkTerminal  = "terminal"
)

// clockLimit is how far a clock may be off before nothing works.
const clockLimit = 36 * time.Hour

// modes checks that nobody else may read the home or what lies in it.
func (d *doctor) modes() {
	c := check{Name: checkModes, Result: checkOK, Detail: "nobody else may read the profile"}
	if runtime.GOOS == "windows" {
		d.skip("Windows has no such modes", checkModes)
		return
	}
	open := 0
	err := filepath.WalkDir(d.home, func(path string, e fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = e.Info()
		}
		switch {
		case errors.Is(err, fs.ErrNotExist) && path != d.home:
			return nil // who has the profile open removed it meanwhile
		case err != nil:
			return err
		}
		if info.Mode().Type()&^fs.ModeDir == 0 && info.Mode().Perm()&0o077 != 0 {
			if open++; open == 1 {
				c.Detail = fmt.Sprintf("others may read %s, mode %04o", d.inHome(path), info.Mode().Perm())
			}
		}
		return nil
	})
	switch {
	case err != nil:
		c.Result, c.Detail, c.Fix = checkFailed, noPath(err), "let this account read the directory and all in it"
	case open > 0:
		if open > 1 {
			c.Detail += fmt.Sprintf(", and %d more", open-1)
		}
		c.Result, c.Fix = checkFailed, "chmod -R go= DIR, which your --home or `hearsay profile list` names: keys lie there"
	}
	d.report(c, program.ExitRefused)
}

// inHome names a file without saying where the profile lies: that may be its name.
func (d *doctor) inHome(path string) string {
	rel, err := filepath.Rel(d.home, path)
	if err != nil || rel == "." {
		return "the profile's directory"
	}
	return rel
}

// noPath is the text of an error of a file without the file.
func noPath(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Op + ": " + p.Err.Error()
	}
	return err.Error()
}

// open checks that the store opens; inspected is what looking at it said. It
// returns nil without an error if it does not, which is a failed check.
func (d *doctor) open(ctx context.Context, cfg chat.Config, state chat.HomeState, inspected error, passphraseFile string) (*profile, error) {
	rest := []string{checkFile, checkSnapshot, checkClock, checkGuard, checkCircuit, checkPaths, checkMailboxes}
	err := inspected
	if err == nil && state.Encrypted {
		if cfg.Passphrase, err = program.ReadPassphrase(passphraseFile, "passphrase: ", false); err != nil {
			return nil, err
		}
	}
	var p *profile
	if err == nil {
		if err = chat.CheckHome(cfg.Home); errors.Is(err, chat.ErrHomeInUse) {
			err = nil // opening it tells by whom
		}
	}
	if err == nil {
		p, err = openProfile(cfg)
	}
	if err == nil {
		if err := d.store(ctx, p); err != nil {
			return nil, errors.Join(err, p.stop())
		}
		return p, nil
	}
	// The exit code is that of any other command that cannot open the profile.
	var e *program.Error
	c := check{Name: checkStore, Result: checkFailed, Detail: chat.PlainError(err)}
	code := program.ExitFailure
	if errors.As(chatError(err), &e) {
		code, c.Detail, c.Fix = e.Code, chat.PlainError(e.Err), e.Hint
	}
	d.report(c, code)
	d.skip("the store does not open", rest...)
	d.terminal()
	return nil, nil
}

// connected checks the way through the network.
func (d *doctor) connected(ctx context.Context, p statusSource) error {
	end := time.Now().Add(d.network)
	left := func() time.Duration { return time.Until(end) }
	rest := []string{checkFile, checkSnapshot, checkClock, checkGuard, checkCircuit, checkPaths, checkMailboxes}
	stop := func(c check) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.Result = checkFailed
		d.report(c, program.ExitNoNetwork)
		d.skip("the "+c.Name+" is missing", rest[1:]...)
		d.terminal()
		return nil
	}

	st, ok := d.await(ctx, p, left(), func(st chat.Status) bool { return st.Network != "" })
	if !ok {
		c, _ := d.unreachable(ctx, p, check{Name: checkFile, Detail: or(stepDetail(st, checkFile), "no directory of the network answers"), Fix: "look at this computer's connection; UDP must get out"})
		return stop(c)
	}
	d.name, d.lab = st.Network, st.Lab
	c := check{Name: checkFile, Result: checkOK, Detail: st.Network}
	if st.Lab {
		c.Result, c.Detail, c.Fix = checkWarning, st.Network+": LAB, no anonymity", "use another network for what matters"
	}
	d.report(c, 0)

	rest = rest[1:]
	st, ok = d.await(ctx, p, left(), func(st chat.Status) bool {
		return st.Relays > 0 && (st.Health != chat.StaleView || st.ClockSkew != 0) // a skew is told by a snapshot that just came
	})
	if !ok && st.Relays == 0 {
		c, _ := d.unreachable(ctx, p, check{Name: checkSnapshot, Detail: "no snapshot of the network came", Fix: "look at this computer's connection; UDP must get out"})
		return stop(c)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	d.report(snapshotCheck(st, ok), 0)
	d.clock(st, ok)

	rest = rest[2:]
	st, ok = d.await(ctx, p, max(left(), time.Second), func(st chat.Status) bool { return openCircuit(st) != nil })
	guard := check{Name: checkGuard, Result: checkOK, Detail: "answers"}
	if !ok {
		c := check{Name: checkGuard, Detail: or(st.Why, "no guard answers"), Fix: "look at this computer's connection; the network may also block UDP"}
		if st.Outlook.NeedsConsent {
			c.Fix = "look at this computer's connection; or open `hearsay` and enter /consent, but whoever keeps snapshots from you wants that"
		}
		c, answered := d.unreachable(ctx, p, c)
		if !answered || st.Outlook.NeedsConsent {
			return stop(c)
		}
		guard.Detail = "its computer answers"
	}
	d.report(guard, 0)

	rest = rest[1:]
	if !ok {
		return stop(check{Name: checkCircuit, Detail: or(st.Why, "none could be built"), Fix: "wait and run it again: relays on the way may be busy or gone"})
	}
	d.reached = true
	d.report(check{Name: checkCircuit, Result: checkOK, Detail: "stands, over " + count(len(openCircuit(st)), "relay", "relays")}, 0)
	d.paths(st)
	return d.mailboxes(ctx, p)
}

// snapshotCheck is the check of snapshots; fresh says that none newer is needed.
func snapshotCheck(st chat.Status, fresh bool) check {
	c := check{Name: checkSnapshot, Result: checkOK, Detail: fmt.Sprintf("epoch %d, %s, %s old", st.Epoch, count(st.Relays, "relay", "relays"), st.SnapshotAge.Round(time.Second))}
	if !fresh {
		c.Result, c.Detail = checkWarning, c.Detail+"; "+staleWords(st.SnapshotAge)
		c.Fix = "none newer can be had: look at the connection and at this computer's clock, or ask who runs the network"
	}
	if w := st.Warnings; len(w) > 0 {
		c.Result, c.Detail = checkWarning, c.Detail+"; "+warningTexts(w)
		c.Fix = or(c.Fix, "ask who runs the network, by another way than this network")
	}
	return c
}

// staleWords says what the age of a snapshot means (circuit/path/SPEC.md §1).
func staleWords(age time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case age > 7*day:
		return "stale: over 7 days old, so no circuit is built with it"
	case age > 3*day:
		return "stale: over 3 days old, so circuits need your consent; none is built after 7 days"
	case age > day:
		return "stale: over a day old, so no new guard is chosen; circuits need your consent after 3 days"
	}
	return "stale: a newer one is due"
}

// warningTexts joins what stands against the network's directory.
func warningTexts(list []chat.Warning) string {
	texts := make([]string, len(list))
	for i, w := range list {
		texts[i] = w.Text
	}
	return strings.Join(texts, "; ")
}

// paths says how well relays can be chosen.
func (d *doctor) paths(st chat.Status) {
	o := st.Outlook.Operator
	c := check{Name: checkPaths, Result: checkOK, Detail: "no declared operator has both ends of a circuit"}
	if o.Both > 0 {
		c.Detail = fmt.Sprintf("%s, %s, has both ends of %.1f %% of the network's circuits", o.Name, count(o.Relays, "relay", "relays"), 100*o.Both)
	}
	if w := st.Outlook.Warnings; len(w) > 0 {
		c.Result, c.Detail, c.Fix = checkWarning, strings.Join(w, "; "), "nothing here mends it: more relays of more operators do"
	}
	d.report(c, 0)
}

// clock compares the clock with a fresh snapshot.
func (d *doctor) clock(st chat.Status, fresh bool) {
	c := check{Name: checkClock, Result: checkOK, Detail: "agrees with the network"}
	off := st.ClockSkew
	way := "ahead of"
	if off < 0 {
		way = "behind"
	}
	switch {
	case !fresh:
		d.skip("only a new snapshot tells", checkClock)
		return
	case off > 0 && st.Health == chat.StaleView:
		c.Result = checkWarning
		c.Detail = fmt.Sprintf("%s ahead of the newest snapshot: either the clock is wrong, or the network has published none since", off.Round(time.Second))
		c.Fix = "compare this computer's clock with another one"
		d.report(c, 0)
		return
	case off.Abs() > clockLimit:
		c.Result = checkFailed
	case off != 0:
		c.Result = checkWarning
	}
	if off != 0 {
		c.Detail, c.Fix = fmt.Sprintf("%s %s the network", off.Abs().Round(time.Second), way), "set this computer's clock"
	}
	d.report(c, program.ExitFailure)
}

// mailboxes checks that every subscription stands, and then the terminal.
func (d *doctor) mailboxes(ctx context.Context, p statusSource) error {
	st, ok := d.await(ctx, p, d.mail, func(st chat.Status) bool { return st.Ready })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	d.report(mailCheck(st, ok), program.ExitNoNetwork)
	d.terminal()
	return nil
}

// mailCheck is the check of mailboxes; ready says that all stood in time.
func mailCheck(st chat.Status, ready bool) check {
	c := check{Name: checkMailboxes, Result: checkOK, Detail: "all stand"} // how many a profile has is its own business
	if !ready {
		c.Detail = fmt.Sprintf("%d of %d stand", st.Standing, st.Due)
	}
	switch {
	case !ready && st.Cover != "off": // it cannot be told yet
		c.Result, c.Fix = checkWarning, "wait some minutes: cover traffic leaves room for few circuits at once"
	case !ready:
		c.Result, c.Fix = checkFailed, "wait: a mailbox relay may be away, and messages wait at the other one"
	case st.Due == 0:
		c.Detail = "no contact or invite has one yet"
	}
	return c
}

// terminal checks that there is one for the screens.
func (d *doctor) terminal() {
	const width, height = 30, 8
	if !isTerminal() {
		d.skip("there is none; scripts use `hearsay rpc`", checkTerminal)
		return
	}
	w, h, err := term.GetSize(int(os.Stdout.Fd()))
	c := check{Name: checkTerminal, Result: checkOK, Detail: fmt.Sprintf("%dx%d", w, h)}
	switch {
	case err != nil:
		c.Result, c.Detail, c.Fix = checkWarning, err.Error(), "use another terminal"
	case w < width || h < height:
		c.Result, c.Fix = checkWarning, fmt.Sprintf("make it larger: at least %dx%d", width, height)
	case os.Getenv("TERM") == "dumb":
		c.Result, c.Fix = checkWarning, "TERM is dumb: use a terminal that moves its cursor"
	}
	d.report(c, 0)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func stepOf(st chat.Status, name string) chat.Step {
	for _, s := range st.Steps {
		if s.Name == name {
			return s
		}
	}
	return chat.Step{}
}

func stepDetail(st chat.Status, name string) string { return stepOf(st, name).Detail }

// openCircuit returns the path of an open circuit, or nil.
func openCircuit(st chat.Status) []directory.RelayID {
	for _, c := range st.Circuits {
		if c.State == "open" {
			return c.Path
		}
	}
	return nil
}

// relayNames returns the words for relays of one path.
func relayNames(path []directory.RelayID) []string {
	names := directory.RelayNames(path)
	words := make([]string, len(path))
	for i, id := range path {
		words[i] = names[id]
	}
	return words
}
