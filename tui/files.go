package tui

import (
	"context"
	"slices"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

func filesKeys() []binding {
	return []binding{
		{"files.down", []string{"down", "j"}, "next file"},
		{"files.up", []string{"up", "k"}, "previous file"},
		{"files.save", []string{"s"}, "fetch or save"},
		{"files.pause", []string{"p"}, "pause or go on"},
		{"files.stop", []string{"x"}, "stop or discard"},
	}
}

// filesDialog lists the files of one conversation, or of all, the newest first.
type filesDialog struct {
	contact string // empty: of all
	files   []chat.File
	at      int
	loaded  bool
	problem string
}

// openFiles lists the files of the conversation on screen, or of all.
func (a *App) openFiles() tea.Cmd {
	d := &filesDialog{}
	if e := a.selected(); e != nil && e.contact != nil && !e.isNotes() {
		d.contact = e.id
	}
	a.notice = ""
	a.push(d)
	return d.load(a)
}

func (d *filesDialog) mode() mode { return modeFiles }

// load reads the list anew.
func (d *filesDialog) load(a *App) tea.Cmd {
	c, contact := a.chat, d.contact
	return ask(a, d, func(ctx context.Context) ([]chat.File, error) { return c.Files(ctx, contact) }, func(list []chat.File, err error) tea.Cmd {
		if d.loaded = true; err != nil {
			d.problem = errorText(err)
			return nil
		}
		slices.Reverse(list)
		marked := ""
		if d.at < len(d.files) {
			marked = d.files[d.at].ID
		}
		d.files, d.at = list, 0
		for i := range list {
			if list[i].ID == marked {
				d.at = i
			}
		}
		return nil
	})
}

// event follows the progress of files.
func (d *filesDialog) event(a *App, ev chat.Event) tea.Cmd {
	if ev.Type != chat.FileProgress || ev.File == nil {
		return nil
	}
	for i := range d.files {
		if d.files[i].ID == ev.File.ID {
			d.files[i] = mergeFile(d.files[i], *ev.File)
			return nil
		}
	}
	if d.contact != "" && ev.File.Contact != d.contact {
		return nil
	}
	return d.load(a)
}

func (d *filesDialog) update(a *App, msg tea.Msg) tea.Cmd {
	k, ok := msg.(tea.KeyPressMsg)
	if !ok || len(d.files) == 0 {
		return nil
	}
	f := d.files[d.at]
	a.notice = ""
	switch a.keys.find(modeFiles, k.String()) {
	case "files.down":
		d.at = min(d.at+1, len(d.files)-1)
	case "files.up":
		d.at = max(d.at-1, 0)
	case "files.save":
		return a.openSave(f)
	case "files.pause":
		return a.pauseFile(f)
	case "files.stop":
		return a.stopFile(f)
	}
	return nil
}

func (d *filesDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	title := "Files"
	if d.contact != "" {
		title = "Files of " + a.nameOf(d.contact)
	}
	s := newSheet(title, w, 76)
	switch {
	case !d.loaded:
		s.kept("reading " + a.theme.more)
	case len(d.files) == 0 && d.problem == "":
		s.kept("No files yet. /file offers one.")
	}
	for i := range d.files {
		s.item(d.line(a, &d.files[i], s.inner, i == d.at), i == d.at)
	}
	hints := []string{}
	if d.at < len(d.files) {
		f := &d.files[d.at]
		s.blank()
		if f.State == chat.FileSending || f.State == chat.FileFetching {
			s.kept(a.progressText(f, "", s.inner))
		}
		if note := a.fileNote(f); note != "" {
			s.kept(note)
		}
		hints = a.fileHints(f, "files.save", "files.pause", "files.stop")
	}
	if a.notice != "" {
		s.text(a.notice)
	}
	s.problem(&a.theme, d.problem)
	s.offers(append(hints, a.closeOffer("close"))...)
	return s.draw(&a.theme, w, h)
}

// line is one file of the list in w cells.
func (d *filesDialog) line(a *App, f *chat.File, w int, marked bool) string {
	who := "received"
	switch out := f.Direction == chat.Out; {
	case d.contact == "" && out:
		who = "to " + a.nameOf(f.Contact)
	case d.contact == "":
		who = "from " + a.nameOf(f.Contact)
	case out:
		who = "sent"
	}
	word := a.fileStyled(f)
	right := "  " + who + "  " + sizeText(f.Size) + "  " + word
	for _, shorter := range []string{"  " + sizeText(f.Size) + "  " + word, "  " + word} {
		if w-ansi.StringWidth(right) >= 16 {
			break
		}
		right = shorter
	}
	room := max(1, w-1-ansi.StringWidth(right))
	return spread(a.rowMark(marked)+a.cutMiddle(fileName(f), room), right, w)
}
