package tui

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"hearsay/chat"
)

// plainBytes says a size in words.
func plainBytes(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}

// plainFileText says a file and how far it has come.
func plainFileText(f chat.File) string {
	text := chat.SanitizeFileName(f.Name) + ", " + plainBytes(f.Size) + ", "
	switch {
	case f.Paused:
		text += "paused"
	case f.State == chat.FileOffered:
		text += "offered, not fetched; /save fetches it"
	case f.State == chat.FileComplete && f.Direction == chat.Out:
		text += "your contact has it"
	case f.State == chat.FileComplete:
		text += "complete"
	default:
		text += string(f.State)
	}
	if f.Size > 0 && (f.State == chat.FileSending || f.State == chat.FileFetching) {
		text += fmt.Sprintf(", %d %%", min(100, f.Done*100/f.Size))
	}
	if f.Path != "" {
		text += ", saved as " + f.Path
	}
	if f.Detail != "" {
		text += ", " + f.Detail
	}
	return text
}

// file offers a file, once the person has read what that means.
func (p *plain) file(path string) error {
	e, err := p.target("")
	if err != nil {
		return err
	}
	if path == "" {
		return errors.New("say which: /file PATH")
	}
	if e.contact == nil || e.isNotes() {
		return errors.New("a file goes to one contact, not to a group or to notes")
	}
	id := e.id
	answer, err := p.ask("Offer " + path + " to " + e.called() + "? A copy is kept here until it is delivered. Type yes to send it hidden in the cover traffic, which is slow; fast to send it in a burst, which whoever watches this computer's network can see; anything else for no.")
	if err != nil {
		return err
	}
	answer = strings.ToLower(answer)
	if answer != "yes" && answer != "fast" || p.locked {
		p.say("Not sent.")
		return nil
	}
	f, err := awaited(p, 0, func(ctx context.Context) (chat.File, error) {
		return p.chat.SendFile(ctx, id, path, chat.SendFileOptions{Burst: answer == "fast"})
	})
	if err != nil {
		return err
	}
	text := p.clock(p.now()) + " you to " + e.called() + ": file " + plainFileText(f)
	if f.Padded > 0 {
		text += ", " + plainBytes(f.Padded) + " on its way"
		if d := chat.FileTime(p.status.Cover, f.Padded); d > 0 && !f.Burst {
			text += ", about " + untilText(d) + " at this cover profile"
		}
	}
	p.told[f.ID] = plainFileState(f)
	p.say(text)
	return nil
}

// files lists the files of the conversation that is selected, or of all, and
// pauses, resumes or stops one.
func (p *plain) files(args string) error {
	verb, number, _ := strings.Cut(args, " ")
	if verb == "" {
		return p.listFiles()
	}
	n, err := numbered(strings.TrimSpace(number), len(p.shown), "/files")
	if err != nil {
		return err
	}
	f := p.shown[n]
	switch verb {
	case "pause":
		err = p.do(func(ctx context.Context) error { return p.chat.PauseFile(ctx, f.ID) })
	case "resume":
		err = p.do(func(ctx context.Context) error { return p.chat.FetchFile(ctx, f.ID, f.Burst) })
	case "stop":
		if yes, err := p.confirm("Stop " + chat.SanitizeFileName(f.Name) + "? What has arrived of it is deleted."); !yes || err != nil {
			return err
		}
		err = p.do(func(ctx context.Context) error { return p.chat.CancelFile(ctx, f.ID) })
	default:
		return errors.New("write /files, or pause, resume or stop with a number")
	}
	if err == nil {
		p.say("Done.")
	}
	return err
}

func (p *plain) listFiles() error {
	ctx, cancel := p.within()
	defer cancel()
	list, err := p.chat.Files(ctx, p.current)
	if err != nil {
		return err
	}
	p.shown = list
	p.sayf("%d files.", len(list))
	for i, f := range list {
		whose := "from "
		if f.Direction == chat.Out {
			whose = "to "
		}
		p.sayf("%d. %s%s: %s", i+1, whose, p.nameOf(f.Contact), plainFileText(f))
	}
	return nil
}

// save fetches and saves a file: the last one that was offered here, or one by its
// number.
func (p *plain) save(args string) error {
	var f chat.File
	path := args
	word, rest, _ := strings.Cut(args, " ")
	if _, err := strconv.Atoi(word); err == nil && len(p.shown) > 0 {
		n, err := numbered(word, len(p.shown), "/files")
		if err != nil {
			return err
		}
		f, path = p.shown[n], strings.TrimSpace(rest)
	} else {
		e, err := p.target("")
		if err != nil {
			return err
		}
		ctx, cancel := p.within()
		defer cancel()
		list, err := p.chat.Files(ctx, e.id)
		if err != nil {
			return err
		}
		for _, one := range list {
			if one.Direction == chat.In && one.State != chat.FileFailed && (f.ID == "" || one.Time.After(f.Time)) {
				f = one
			}
		}
		if f.ID == "" {
			return errors.New("no file was offered here")
		}
	}
	if path == "" {
		path = chat.SanitizeFileName(f.Name)
	}
	if err := p.do(func(ctx context.Context) error { return p.chat.SaveFile(ctx, f.ID, path) }); err != nil {
		return err
	}
	p.say("It is saved as " + path + " once all of it is here. A file that is there is never overwritten.")
	return nil
}

// fileChanged tells of another state of a file.
func (p *plain) fileChanged(f chat.File) {
	state := plainFileState(f)
	if p.told[f.ID] == state {
		return
	}
	p.told[f.ID] = state
	whose := p.nameOf(f.Contact)
	if f.Direction == chat.Out {
		whose = "you to " + whose
	}
	p.at(p.now(), whose, "", "file "+plainFileText(f))
}

func plainFileState(f chat.File) string {
	return fmt.Sprint(f.State, f.Paused, f.Path)
}
