package tui

import (
	"context"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
)

// backupTime bounds the writing of a backup.
const backupTime = 10 * time.Minute

// backupDialog writes the profile to one encrypted file.
type backupDialog struct {
	form
	path    string
	history bool
	busy    bool
	problem string
}

// backupCommand writes a backup to a path, for which it asks a passphrase.
func (a *App) backupCommand(path string) tea.Cmd {
	path = strings.TrimSpace(path)
	if path == "" {
		a.notice = "say where to: /backup PATH"
		return nil
	}
	d := &backupDialog{path: path, history: true}
	d.fields = append(d.fields, a.field("passphrase: ", true), a.field("     again: ", true), a.field("messages too, yes or no: ", false))
	d.fields[2].SetValue("yes")
	a.push(d)
	return nil
}

func (d *backupDialog) mode() mode { return modeForm }

func (d *backupDialog) update(a *App, msg tea.Msg) tea.Cmd {
	if d.busy {
		return nil
	}
	cmd, entered := d.form.update(a, msg)
	if !entered {
		return cmd
	}
	if d.problem = newSecret(d.value(0), d.value(1)); d.problem != "" {
		d.at = 0
		d.fields[1].Reset()
		return nil
	}
	switch strings.ToLower(strings.TrimSpace(d.value(2))) {
	case "yes", "y":
		d.history = true
	case "no", "n":
		d.history = false
	default:
		d.problem = "type yes or no: are the messages to be in it?"
		return nil
	}
	secret, path, history, c, local := []byte(d.value(0)), d.path, d.history, a.chat, a.cfg.LocalFile
	d.busy = true
	parent := a.ctx
	return act(a, nil, func(context.Context) (string, error) { // a long history takes longer than other calls
		ctx, cancel := context.WithTimeout(parent, backupTime)
		defer cancel()
		defer clear(secret)
		if local != nil { // a daemon has another working directory
			f, err := local(path)
			if err != nil {
				return "", err
			}
			path = f.Path
		}
		return path, c.Backup(ctx, path, secret, history)
	}, func(path string, err error) tea.Cmd {
		d.busy = false
		switch {
		case err != nil && a.isOpen(d):
			d.problem = errorText(err)
			return nil
		case err != nil:
			a.notice = "no backup was written: " + errorText(err)
			return nil
		}
		a.drop(d)
		a.notice = "the backup is written to " + sanitizeLine(path) + "; whoever has it and its passphrase can pose as you"
		return nil
	})
}

func (d *backupDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	b := a.newFormBox(min(w, 66), "One file with your identities, contacts, groups and queues, encrypted with a passphrase of its own. Whoever has both can pose as you.")
	b.add("file: " + sanitizeLine(d.path))
	b.add("")
	b.form(&d.form)
	b.problem(d.problem)
	b.add("")
	if s := strength(d.value(0)); s != "" {
		b.add("strength: " + s)
		b.add("")
	}
	b.foot("writing …", d.busy, a.offer("form.next", "continue")+"   "+a.offer("form.field", "other field")+"   [esc] close")
	return b.box("Backup", w, h)
}
