package tui

import (
	"context"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// saveCommand runs /save on the last file of the conversation that can be saved.
func (a *App) saveCommand(path string) tea.Cmd {
	e := a.selected()
	if e == nil {
		a.notice = "no conversation is open"
		return nil
	}
	c, id, name := a.chat, e.id, e.name
	return ask(a, nil, func(ctx context.Context) ([]chat.File, error) { return c.Files(ctx, id) }, func(list []chat.File, err error) tea.Cmd {
		if err != nil {
			a.notice = errorText(err)
			return nil
		}
		for _, f := range slices.Backward(list) {
			if f.Direction != chat.In || f.State == chat.FileFailed || f.Path != "" {
				continue
			}
			if path = strings.TrimSpace(path); path != "" {
				return a.lookAtTarget(nil, f, path)
			}
			return a.openSave(f)
		}
		a.notice = "there is no file of " + name + " to save"
		return nil
	})
}

// openSave asks where to save a file.
func (a *App) openSave(f chat.File) tea.Cmd {
	name := fileName(&f)
	switch {
	case f.Direction == chat.Out:
		a.notice = "you sent this file"
		return nil
	case f.State == chat.FileFailed:
		a.notice = "it failed: " + a.fileNote(&f)
		return nil
	case f.State == chat.FileComplete && f.Path != "":
		a.notice = "it was saved before: " + sanitizeLine(f.Path)
		return nil
	}
	text := "In a directory it is called " + name + ", with a number behind it if there is one already. Nothing is overwritten, and nothing is opened."
	if f.State != chat.FileComplete {
		text += " It is fetched first."
	}
	a.prompt(&promptDialog{
		title: "Save " + name, text: text, input: newInput("to: ", 40), verb: "save", files: true,
		submit: func(d *promptDialog, path string) tea.Cmd { return a.lookAtTarget(d, f, path) },
	}, a.saveDir())
	return nil
}

// saveDir is the directory that is proposed for saving.
func (a *App) saveDir() string {
	dir := a.cfg.SaveDir
	if dir == "" {
		return "./"
	}
	return strings.TrimSuffix(dir, "/") + "/"
}

// lookAtTarget checks where a file is to go, and asks how it should come if that is
// a question. d is the dialog that asked for the path, or nil.
func (a *App) lookAtTarget(d *promptDialog, f chat.File, path string) tea.Cmd {
	look := a.cfg.LocalFile
	if look == nil {
		return a.fetchOrSave(d, f, path)
	}
	return ask(a, d.orNil(), func(context.Context) (LocalFile, error) { return look(path) }, func(l LocalFile, err error) tea.Cmd {
		switch {
		case err != nil:
		case l.Exists && !l.Directory:
			err = &chat.Error{Kind: chat.KindExists, Text: "there is a file already: " + sanitizeLine(l.Path), Hint: "choose another name"}
		case !l.Exists && (!l.InDirectory || strings.HasSuffix(path, "/")):
			err = &chat.Error{Kind: chat.KindNotFound, Text: "there is no such directory for " + sanitizeLine(l.Path)}
		}
		if err != nil {
			a.tellOrNotice(d, err)
			return nil
		}
		return a.fetchOrSave(d, f, l.Path)
	})
}

// fetchOrSave saves what is here, and asks how a file that is not here should come.
func (a *App) fetchOrSave(d *promptDialog, f chat.File, path string) tea.Cmd {
	t := &travelDialog{
		title: "Fetch " + fileName(&f), name: fileName(&f) + " to " + sanitizeLine(path), size: f.Size, copies: 1, verb: "fetch", burst: f.Burst,
		about: []string{a.nameOf(f.Contact) + " learns that you have it when all of it is here."},
	}
	if f.State == chat.FileComplete || !t.choice(a) {
		return a.saveFile(d, nil, f, path)
	}
	if d != nil {
		a.drop(d)
	}
	t.run = func(t *travelDialog) tea.Cmd { return a.saveFile(nil, t, f, path) }
	a.push(t)
	return nil
}

// saveFile saves a file, or wishes it to be saved once it is fetched. d and t are
// the dialogs that asked, or nil; t chose how it comes.
func (a *App) saveFile(d *promptDialog, t *travelDialog, f chat.File, path string) tea.Cmd {
	c, name := a.chat, fileName(&f)
	chosen, burst := false, false
	if t != nil {
		t.busy, t.problem, chosen, burst = "a moment", "", true, t.burst
	}
	return a.do(nil, func(ctx context.Context) error {
		if chosen {
			if err := c.FetchFile(ctx, f.ID, burst); err != nil {
				return err
			}
		}
		return c.SaveFile(ctx, f.ID, path)
	}, func(err error) tea.Cmd {
		switch {
		case err != nil && t != nil && a.isOpen(t):
			t.busy, t.problem = "", errorText(err)
			return nil
		case err != nil && d != nil && a.isOpen(d):
			a.tellOrNotice(d, err)
			return nil
		case err != nil:
			a.notice = "not saved: " + errorText(err)
			return nil
		}
		if t != nil {
			a.drop(t)
		}
		if d != nil {
			a.drop(d)
		}
		if a.notice = name + " is saved"; f.State != chat.FileComplete {
			a.notice = name + " is fetched, and saved when all of it is here"
		}
		return nil
	})
}
