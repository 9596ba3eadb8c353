package tui

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"hearsay/chat"
)

// fileText says a file, how far it has come, and what it takes where that is still a
// question.
func (p *plain) fileText(f chat.File) string {
	text := fileName(&f) + ", " + sizeText(f.Size) + ", "
	switch {
	case f.Paused:
		text += "paused"
	case f.State == chat.FileOffered:
		text += "offered, not fetched, " + p.costs(f.Size) + "; /save fetches it"
	case f.State == chat.FileComplete && f.Direction == chat.Out:
		text += "complete, your contact has it"
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

// costs says what a file takes on its way.
func (p *plain) costs(size int64) string {
	padded := chat.FilePadded(size)
	text := "padded to " + sizeText(padded)
	if took := chat.FileTime(p.status.Cover, padded); took > 0 {
		text += ", at least " + hiddenFor(took) + " hidden in cover " + p.status.Cover
	}
	return text
}

// pace asks how a file should come or go, where there is a choice; ok is false if it
// should not.
func (p *plain) pace(question string, size int64) (burst, ok bool, err error) {
	if !chat.MayBurst(size) || chat.FileTime(p.status.Cover, chat.FilePadded(size)) == 0 {
		ok, err = p.confirm(question)
		return false, ok && !p.locked, err
	}
	answer, err := p.ask(question + " Type yes for hidden in the cover traffic; fast for a burst, which whoever watches this computer's network can see; anything else for no.")
	if err != nil {
		return false, false, err
	}
	answer = strings.ToLower(answer)
	if answer != "yes" && answer != "fast" || p.locked {
		p.say("Not done.")
		return false, false, nil
	}
	return answer == "fast", true, nil
}

// local looks at a file that was named, if the program can.
func (p *plain) local(path string) (LocalFile, error) {
	if p.cfg.LocalFile == nil {
		return LocalFile{Path: path, Exists: true, Regular: true, InDirectory: true}, nil
	}
	return awaited(p, callTimeout, func(context.Context) (LocalFile, error) { return p.cfg.LocalFile(path) })
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
	id, called := e.id, e.called()
	l, err := p.local(path)
	switch {
	case err != nil:
		return err
	case !l.Exists:
		return errors.New("there is no such file: " + l.Path)
	case !l.Regular:
		return errors.New("this is no file that can be sent: " + l.Path)
	}
	what := l.Path
	if p.cfg.LocalFile != nil {
		what += " (" + sizeText(l.Size) + ", " + p.costs(l.Size) + ")"
	}
	burst, ok, err := p.pace("Offer "+what+" to "+called+"? They learn its name and size, and fetch it only by saying so.", l.Size)
	if err != nil || !ok {
		return err
	}
	f, err := awaited(p, 0, func(ctx context.Context) (chat.File, error) {
		return p.chat.SendFile(ctx, id, l.Path, chat.SendFileOptions{Burst: burst})
	})
	if err != nil {
		return err
	}
	p.fileChanged(f)
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
		if yes, err := p.confirm("Stop " + fileName(&f) + "? What has arrived of it is deleted."); !yes || err != nil {
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
	of := "" // all
	if e := p.selected(); e != nil && e.contact != nil && !e.isNotes() {
		of = e.id
	}
	list, err := p.chat.Files(ctx, of)
	if err != nil {
		return err
	}
	p.shown = list
	p.sayf("Files: %d.", len(list))
	for i, f := range list {
		whose := "from "
		if f.Direction == chat.Out {
			whose = "to "
		}
		p.sayf("%d. %s%s: %s", i+1, whose, p.nameOf(f.Contact), p.fileText(f))
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
		path = fileName(&f)
		if dir := p.cfg.SaveDir; dir != "" {
			path = strings.TrimSuffix(dir, "/") + "/" + path
		}
	}
	l, err := p.local(path)
	switch {
	case err != nil:
		return err
	case p.cfg.LocalFile == nil:
	case l.Exists && !l.Directory:
		return errors.New("there is a file already: " + l.Path)
	case !l.InDirectory:
		return errors.New("there is no such directory for " + l.Path)
	}
	if f.State == chat.FileOffered {
		burst, ok, err := p.pace("Fetch "+fileName(&f)+" ("+sizeText(f.Size)+", "+p.costs(f.Size)+") to "+l.Path+"? "+p.nameOf(f.Contact)+" learns that you have it when all of it is here.", f.Size)
		if err != nil || !ok {
			return err
		}
		if err := p.do(func(ctx context.Context) error { return p.chat.FetchFile(ctx, f.ID, burst) }); err != nil {
			return err
		}
	}
	if err := p.do(func(ctx context.Context) error { return p.chat.SaveFile(ctx, f.ID, l.Path) }); err != nil {
		return err
	}
	if f.State == chat.FileComplete {
		p.say("Saved as " + l.Path + ".")
	} else {
		p.say("It is saved as " + l.Path + " once all of it is here.")
	}
	return nil
}

// fileChanged tells of another state of a file.
func (p *plain) fileChanged(f chat.File) {
	state := plainFileState(f)
	if p.told[f.ID] == state {
		return
	}
	if _, ok := p.told[f.ID]; !ok {
		p.remind(f.ID)
	}
	p.told[f.ID] = state
	whose := p.nameOf(f.Contact)
	if f.Direction == chat.Out {
		whose = "you to " + whose
	}
	p.at(p.now(), whose, "", "file "+p.fileText(f))
}

func plainFileState(f chat.File) string {
	return fmt.Sprint(f.State, f.Paused, f.Path)
}
