package tui

import (
	"context"
	"errors"
	"strings"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// travelDialog asks before a file is offered or fetched: what it is, what it takes,
// and whether it goes hidden in the slots of the cover profile or by a burst.
type travelDialog struct {
	title, name string
	size        int64
	burst       bool
	copies      int // that go out one after the other
	about       []string
	verb        string
	busy        string // what is under way
	problem     string
	run         func(d *travelDialog) tea.Cmd
}

func (d *travelDialog) mode() mode { return modeFile }

func (d *travelDialog) update(a *App, msg tea.Msg) tea.Cmd {
	k, ok := msg.(tea.KeyPressMsg)
	if !ok || d.busy != "" {
		return nil
	}
	switch a.keys.find(modeFile, k.String()) {
	case "file.take":
		return d.run(d)
	case "file.burst":
		if d.choice(a) {
			d.burst = !d.burst
		}
	}
	return nil
}

// choice tells whether there is one between hidden and burst.
func (d *travelDialog) choice(a *App) bool {
	return chat.MayBurst(d.size) && chat.FileTime(a.status.Cover, chat.FilePadded(d.size)) > 0
}

func (d *travelDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	s := newSheet(d.title, w, 70)
	padded := chat.FilePadded(d.size)
	took := chat.FileTime(a.status.Cover, padded)
	s.kept(d.name)
	s.kept(sizeText(d.size) + ", padded to " + sizeText(padded))
	if took > 0 {
		s.kept("at least " + hiddenFor(took) + " hidden")
	}
	s.blank()
	switch {
	case d.choice(a):
		hidden, burst := a.theme.on, a.theme.off
		if d.burst {
			hidden, burst = burst, hidden
		}
		s.text(hidden + " hidden: in the slots of cover " + a.status.Cover)
		s.text(burst + " burst: as fast as the link, and visible to the local network: whoever watches the link sees that something large moves, how large, and when")
	case took > 0:
		s.text("It goes hidden in the slots of cover " + a.status.Cover + ".")
	default:
		s.kept("There is no cover: whoever watches the link sees that something moves, how large, and when.")
	}
	if took > 0 && d.copies > 1 && !d.burst {
		s.text("A second copy goes out after the first, and takes as long again.")
	}
	s.blank()
	for _, t := range d.about {
		s.text(t)
	}
	s.problem(&a.theme, d.problem)
	switch {
	case d.busy != "":
		s.offers(d.busy+" "+a.theme.more, a.closeOffer("close"))
	case d.choice(a):
		now, instead := " hidden", "burst, visible"
		if d.burst {
			now, instead = ", visible", "hidden instead"
		}
		s.offers(a.offer("file.take", d.verb+now), a.offer("file.burst", instead), a.closeOffer("close"))
	default:
		s.offers(a.offer("file.take", d.verb), a.closeOffer("close"))
	}
	return s.draw(&a.theme, w, h)
}

// fileCommand runs /file: it asks before the file is offered.
func (a *App) fileCommand(path string) tea.Cmd {
	e := a.selected()
	switch {
	case e == nil:
		a.notice = "no conversation is open"
		return nil
	case e.group != nil:
		a.notice = "a file goes to one contact, not to a group"
		return nil
	case e.isNotes():
		a.notice = "the notes take no files: they never leave this disk"
		return nil
	}
	contact, name := e.id, e.name
	if path = strings.TrimSpace(path); path != "" {
		return a.lookAtFile(nil, contact, name, path)
	}
	a.promptFile(contact, name, "", "")
	return nil
}

// promptFile asks for the path of a file to offer, beginning with what was typed
// and what is wrong with it, if anything is.
func (a *App) promptFile(contact, name, path, problem string) {
	a.prompt(&promptDialog{
		title: "Offer a file to " + name, text: "You are shown what it takes before anything is sent.",
		input: newInput("file: ", 40), verb: "go on", files: true, problem: problem,
		submit: func(d *promptDialog, path string) tea.Cmd { return a.lookAtFile(d, contact, name, path) },
	}, path)
}

// lookAtFile finds out what a path names, and asks whether to offer it. d is the
// dialog that asked for the path, or nil.
func (a *App) lookAtFile(d *promptDialog, contact, name, path string) tea.Cmd {
	look := a.cfg.LocalFile
	if look == nil {
		a.tellOrNotice(d, errors.New("files cannot be offered from this screen"))
		return nil
	}
	return ask(a, d.orNil(), func(context.Context) (LocalFile, error) { return look(path) }, func(l LocalFile, err error) tea.Cmd {
		switch {
		case err != nil:
		case !l.Exists:
			err = &chat.Error{Kind: chat.KindNotFound, Text: "there is no such file: " + sanitizeLine(l.Path)}
		case l.Directory:
			err = &chat.Error{Kind: chat.KindRefused, Text: "this is a directory: " + sanitizeLine(l.Path), Hint: "make one file of it first"}
		case !l.Regular:
			err = &chat.Error{Kind: chat.KindRefused, Text: "this is no regular file: " + sanitizeLine(l.Path)}
		}
		switch {
		case err != nil && d == nil: // what was typed stays, to be mended
			a.promptFile(contact, name, path, errorText(err))
			return nil
		case err != nil:
			a.tellOrNotice(d, err)
			return nil
		case d != nil:
			a.drop(d)
		}
		a.push(&travelDialog{
			title: "Offer a file to " + name, name: sanitizeLine(l.Path), size: l.Size, copies: 2, verb: "offer",
			about: []string{
				name + " learns the name and the size, and fetches it only by saying so. You may both go offline.",
				"What the file says about its maker is not removed.",
			},
			run: func(t *travelDialog) tea.Cmd { return a.sendFile(t, contact, l.Path) },
		})
		return nil
	})
}

// sendFile offers a file and shows its message.
func (a *App) sendFile(d *travelDialog, contact, path string) tea.Cmd {
	d.busy, d.problem = "copying it", ""
	c, o := a.chat, chat.SendFileOptions{Burst: d.burst}
	return ask(a, nil, func(ctx context.Context) (*chat.Message, error) {
		f, err := c.SendFile(ctx, contact, path, o)
		if err != nil {
			return nil, err
		}
		const recent = 50 // its message is among the last ones
		list, err := c.MessagesBefore(ctx, contact, 0, recent)
		if err != nil {
			return nil, nil //nolint:nilerr // the file is offered; the timeline reads it when it is opened next
		}
		for i := range list {
			if list[i].File != nil && list[i].File.ID == f.ID {
				return &list[i], nil
			}
		}
		return nil, nil
	}, func(m *chat.Message, err error) tea.Cmd {
		d.busy = ""
		switch {
		case err != nil && a.isOpen(d):
			d.problem = errorText(err)
			return nil
		case err != nil:
			a.notice = "not offered: " + errorText(err)
			return nil
		}
		a.drop(d)
		if m == nil {
			a.notice = "the file is offered"
			return nil
		}
		return a.conversation(contact).sent(a, *m)
	})
}
