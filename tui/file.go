package tui

import (
	"context"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

func fileKeys() []binding {
	return []binding{
		{"file.take", []string{"enter"}, "go on"},
		{"file.burst", []string{"b", "space"}, "hidden, or a burst"},
	}
}

// LocalFile is what is known of a file that the person named.
type LocalFile struct {
	Path        string // absolute
	Exists      bool
	InDirectory bool // the directory in which it is, or would be, exists
	Directory   bool
	Regular     bool
	Size        int64
}

// ageRates stops showing rates that nothing was told of for a while.
func (a *App) ageRates() {
	if a.rates.expire(a.now()) {
		a.forgetLayout()
	}
}

// fileChanged takes the progress of a file. One that is not known was offered at
// another terminal.
func (a *App) fileChanged(f chat.File) tea.Cmd {
	a.rates.note(&f, a.now())
	c := a.conversations[f.Contact]
	if c == nil {
		return nil
	}
	c.hear(chat.Message{File: &f}, (*conversation).stepFile)
	known := slices.ContainsFunc(c.messages, func(m chat.Message) bool { return m.File != nil && m.File.ID == f.ID })
	if known || f.Direction == chat.In {
		return nil
	}
	return c.readNew(a, f.ID, 0)
}

// stepFile takes what an event says of the file of a message.
func (c *conversation) stepFile(told chat.Message) {
	for i := range c.messages {
		if have := c.messages[i].File; have != nil && have.ID == told.File.ID {
			merged := mergeFile(*have, *told.File)
			c.messages[i].File = &merged
		}
	}
}

// mergeFile takes what an event tells of a file that is known. A daemon's events
// leave out what does not change.
func mergeFile(have, told chat.File) chat.File {
	if told.Name != "" {
		return told
	}
	have.State, have.Done, have.Detail, have.Paused, have.Burst = told.State, told.Done, told.Detail, told.Paused, told.Burst
	if told.Path != "" {
		have.Path = told.Path
	}
	return have
}

// fileLines lays out a message that offers a file, below its head, in lines of at
// most w cells.
func (a *App) fileLines(m *chat.Message, w int) []string {
	f := m.File
	if f == nil { // it was forgotten; the text names it
		return wrap(chat.Sanitize(m.Text), w)
	}
	head, whole := a.fileHead(f, w)
	lines := []string{head}
	if !whole {
		lines = append(lines, a.fileStyled(f))
	}
	hints := strings.Join(a.fileHints(f, "message.save", "message.pause", "message.stop"), " ")
	if f.State == chat.FileSending || f.State == chat.FileFetching {
		bar := a.progressText(f, hints, w)
		if lines = append(lines, bar); strings.Contains(ansi.Strip(bar), hints) {
			hints = ""
		}
	}
	note := a.fileNote(f)
	switch {
	case note == "" && hints == "":
	case ansi.StringWidth(note)+2+ansi.StringWidth(hints) <= w:
		lines = append(lines, strings.TrimSpace(note+"  "+hints))
	default:
		if note != "" {
			lines = append(lines, wrap(note, w)...)
		}
		if hints != "" {
			lines = append(lines, wrap(hints, w)...)
		}
	}
	for i, l := range lines { // a character may be wider than the pane
		if ansi.StringWidth(l) > w {
			lines[i] = ansi.Truncate(l, w, "")
		}
	}
	return lines
}

// fileHead is the first line: name, size and, if there is room for the whole of it,
// state. A long name is cut in the middle, so that the kind of the file stays in
// sight.
func (a *App) fileHead(f *chat.File, w int) (line string, whole bool) {
	word := a.fileStyled(f)
	size := "  " + sizeText(f.Size)
	room := w - ansi.StringWidth(size) - ansi.StringWidth(word) - 2
	label := "file  "
	if room < 24 {
		label = ""
	}
	if room < 10 {
		return ansi.Truncate(a.cutMiddle(fileName(f), max(1, w-ansi.StringWidth(size)))+size, w, ""), false
	}
	return spread(label+a.cutMiddle(fileName(f), room-ansi.StringWidth(label))+size, " "+word, w), true
}

// cutMiddle cuts a text to w cells and keeps both ends.
func (a *App) cutMiddle(s string, w int) string {
	n := ansi.StringWidth(s)
	if n <= w {
		return s
	}
	if w < 5 {
		return ansi.Truncate(s, w, a.theme.more)
	}
	end := (w - 1) / 2
	return fit(ansi.Truncate(s, w-1-end, "")+a.theme.more, w-end) + ansi.TruncateLeft(s, n-end, "")
}

// fileAct does to the file of a message what a key asks for: message.save,
// message.pause or message.stop.
func (a *App) fileAct(act action, m *chat.Message) tea.Cmd {
	if m == nil || m.File == nil {
		a.notice = "there is no file in this message"
		return nil
	}
	f := *m.File
	switch act {
	case "message.save":
		return a.openSave(f)
	case "message.pause":
		return a.pauseFile(f)
	case "message.stop":
		return a.stopFile(f)
	}
	return nil
}

// pauseFile pauses a file, or goes on with it.
func (a *App) pauseFile(f chat.File) tea.Cmd {
	c := a.chat
	switch {
	case f.Paused:
		return a.do(nil, func(ctx context.Context) error { return c.FetchFile(ctx, f.ID, f.Burst) }, nil)
	case fileMoves(&f):
		return a.do(nil, func(ctx context.Context) error { return c.PauseFile(ctx, f.ID) }, nil)
	case f.State == chat.FileStored:
		a.notice = "relays hold all of it: there is nothing to pause"
	case f.State == chat.FileOffered:
		a.notice = "nothing of it is fetched yet: " + a.keys.of("message.save") + " does"
	default:
		a.notice = "this transfer has ended"
	}
	return nil
}

// stopFile asks before it ends a transfer.
func (a *App) stopFile(f chat.File) tea.Cmd {
	who, name := a.nameOf(f.Contact), fileName(&f)
	title, text, yes := "Stop "+name, "", "stop"
	switch {
	case f.State == chat.FileComplete || f.State == chat.FileFailed:
		a.notice = "this transfer has ended"
		return nil
	case f.Direction == chat.Out:
		text = who + " is told, and cannot fetch it any more. The copy that was made to send it is erased; your file stays."
	case f.State == chat.FileOffered:
		title, yes = "Discard "+name, "discard"
		text = "Nothing of it was fetched. " + who + " is told that you do not want it."
	default:
		text = "What was fetched is erased, and " + who + " is told. To have it after all, it must be offered again."
	}
	c := a.chat
	a.confirm(title, text, yes, func() tea.Cmd {
		return a.do(nil, func(ctx context.Context) error { return c.CancelFile(ctx, f.ID) }, nil)
	})
	return nil
}
