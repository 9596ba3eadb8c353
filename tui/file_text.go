package tui

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// sizeText says a number of bytes.
func sizeText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%d KiB", (n+1<<9)>>10)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// partText says how much of a size is done, in one unit.
func partText(done, size int64) string {
	switch {
	case size < 1<<10:
		return fmt.Sprintf("%d of %d bytes", done, size)
	case size < 1<<20:
		return fmt.Sprintf("%d of %s", done>>10, sizeText(size))
	}
	return fmt.Sprintf("%.1f of %s", float64(done/(1<<20/10))/10, sizeText(size)) // never more than is there
}

// hiddenFor says a duration in the two largest units, rounded up to a minute.
func hiddenFor(d time.Duration) string {
	m := int((d + time.Minute - 1) / time.Minute)
	switch {
	case m < 60:
		return fmt.Sprintf("%d min", max(1, m))
	case m < 48*60:
		return fmt.Sprintf("%d h %d min", m/60, m%60)
	}
	return fmt.Sprintf("%d d %d h", m/(24*60), m/60%24)
}

// costText says what a transfer takes at the cover profile in force.
func (a *App) costText(size int64) string {
	padded := chat.FilePadded(size)
	s := "padded to " + sizeText(padded)
	switch took := chat.FileTime(a.status.Cover, padded); {
	case took == 0 && a.status.Cover == "":
		return s
	case took == 0:
		return s + ", no cover"
	case chat.MayBurst(size):
		return s + ", at least " + hiddenFor(took) + " hidden in cover " + a.status.Cover + ", or a burst"
	default:
		return s + ", at least " + hiddenFor(took) + " in cover " + a.status.Cover
	}
}

// fileName is the name of a file on one line.
func fileName(f *chat.File) string {
	if name := sanitizeLine(chat.SanitizeFileName(f.Name)); name != "" {
		return name
	}
	return "file"
}

// fileMoves tells whether a file is on its way.
func fileMoves(f *chat.File) bool {
	return (f.State == chat.FileSending || f.State == chat.FileFetching) && !f.Paused
}

// fileWord says the state of a file in a word or two.
func (a *App) fileWord(f *chat.File) string {
	in := f.Direction == chat.In
	switch {
	case f.State == chat.FileFailed:
		return a.theme.failed + " failed"
	case f.State == chat.FileComplete && !in:
		return a.theme.delivered + " delivered"
	case f.State == chat.FileComplete && f.Path != "":
		return a.theme.delivered + " saved"
	case f.State == chat.FileComplete:
		return a.theme.delivered + " fetched"
	case f.Paused:
		return "paused"
	case f.Burst && (f.State == chat.FileSending || f.State == chat.FileFetching):
		return string(f.State) + ", burst"
	case f.State == chat.FileStored:
		return a.theme.all + " stored"
	}
	return string(f.State)
}

// fileStyled colours the word of a state.
func (a *App) fileStyled(f *chat.File) string {
	word := a.fileWord(f)
	switch {
	case f.State == chat.FileFailed:
		return a.theme.bad.Render(word)
	case f.State == chat.FileComplete:
		return a.theme.good.Render(word)
	case f.Paused:
		return a.theme.warn.Render(word)
	}
	return a.theme.accent.Render(word)
}

// fileNote says in a sentence what is to know of a file beside its progress; empty
// if that is all.
func (a *App) fileNote(f *chat.File) string {
	who, detail := a.nameOf(f.Contact), sanitizeLine(f.Detail)
	switch {
	case f.State == chat.FileFailed && detail == "":
		return "the transfer failed"
	case f.State == chat.FileFailed:
		return detail
	case f.State == chat.FileOffered:
		return a.costText(f.Size)
	case f.State == chat.FileStored && detail != "":
		return detail + "; " + who + " has not got it yet"
	case f.State == chat.FileStored:
		return "relays hold all of it; " + who + " has not got it yet"
	case f.State == chat.FileComplete && f.Direction == chat.In && f.Path != "":
		return "in " + sanitizeLine(f.Path)
	case f.State == chat.FileComplete && f.Direction == chat.In && detail != "":
		return detail
	}
	if f.State == chat.FileComplete {
		return ""
	}
	return detail
}

// fileHints names the keys that act on a file, by what they do now.
func (a *App) fileHints(f *chat.File, save, pause, stop action) []string {
	var hints []string
	add := func(act action, does string) { hints = append(hints, a.offer(act, does)) }
	in := f.Direction == chat.In
	switch {
	case f.State == chat.FileFailed:
	case f.State == chat.FileComplete:
		if in && f.Path == "" {
			add(save, "save")
		}
	case f.State == chat.FileOffered:
		add(save, "save")
		add(stop, "discard")
	case f.Paused:
		add(pause, "go on")
		add(stop, "stop")
	case fileMoves(f):
		add(pause, "pause")
		add(stop, "stop")
	default:
		add(stop, "stop")
	}
	return hints
}

// progressText draws how far a file is in at most w cells: the bar and as much
// about it as there is room for, hints last. The percentage is always there.
func (a *App) progressText(f *chat.File, hints string, w int) string {
	percent := 0
	if f.Size > 0 {
		percent = int(min(f.Done, f.Size) * 100 / f.Size)
	}
	part := partText(f.Done, f.Size)
	rate := ""
	if r, ok := a.rates.of(f.ID, a.now()); ok && fileMoves(f) {
		rate = sizeText(r) + "/s"
	}
	join := func(parts ...string) string {
		var s []string
		for _, p := range parts {
			if p != "" {
				s = append(s, p)
			}
		}
		return strings.Join(s, "  ")
	}
	const least, most = 6, 15
	for _, text := range []string{join(part, rate, hints), join(part, rate), join(part), rate, ""} {
		number := fmt.Sprintf("%3d%%", percent)
		room := w - ansi.StringWidth(join(number, text)) - 2
		if room < least && (text != "" || room < 1) {
			continue
		}
		n := min(room, most)
		done := n * percent / 100
		bar := a.theme.accent.Render(strings.Repeat(a.theme.barDone, done)) + a.theme.dim.Render(strings.Repeat(a.theme.barLeft, n-done))
		return join(bar+" "+number, text)
	}
	return fmt.Sprintf("%d%%", percent)
}
