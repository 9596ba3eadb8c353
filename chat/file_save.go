package chat

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"hearsay/chat/store"
)

// maxNames is how many names are tried in a directory, such as "plan (2).pdf".
const maxNames = 100

// writeFile writes a complete file to path or into the directory there, checks
// its hash again, and erases it from the home.
func (m *Messenger) writeFile(ctx context.Context, id, path string) error {
	var rec fileRecord
	err := m.look(ctx, func(t *turn) error {
		f := t.book.files[id]
		switch {
		case f == nil:
			return errNoFile
		case f.rec.Out:
			return errFileBehind
		case f.rec.State != FileComplete:
			return errFileEnded
		case f.rec.Key == [32]byte{}:
			return &Error{Kind: KindExists, Text: "the file was saved before, to " + Sanitize(f.rec.Path)}
		}
		rec = f.rec
		return nil
	})
	if err != nil {
		return err
	}
	saved, err := m.exportFile(id, &rec, path)
	if err != nil {
		m.noteUnsaved(ctx, id, err)
		return err
	}
	err = m.do(context.WithoutCancel(ctx), func(t *turn) error {
		f := t.book.files[id]
		if f == nil {
			return nil
		}
		f.rec.Path, f.rec.Wish, f.rec.Key, f.rec.Reason, f.erase = saved, "", [32]byte{}, "", true
		t.roster = true
		t.tellFile(f, true)
		return t.saveFile(f)
	})
	m.eraseSpools()
	return err
}

// noteUnsaved tells why a file lies in the home still.
func (m *Messenger) noteUnsaved(ctx context.Context, id string, reason error) {
	_ = m.do(context.WithoutCancel(ctx), func(t *turn) error {
		f := t.book.files[id]
		if f == nil {
			return nil
		}
		f.rec.Wish, f.rec.Reason = "", "not saved: "+reason.Error()
		t.tellFile(f, true)
		return t.saveFile(f)
	})
}

// exportFile writes the content under a temporary name, syncs it, and gives it its
// name if no other file has it.
func (m *Messenger) exportFile(id string, rec *fileRecord, path string) (saved string, err error) {
	p, err := m.transfers.spools.reopen(id, rec.Key, uint64(rec.Size))
	if err != nil {
		return "", diskError(err)
	}
	defer p.Close()
	dir, names := filepath.Dir(path), []string{filepath.Base(path)}
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		dir, names = path, namesIn(rec.Name)
	} else if _, err := os.Lstat(path); err == nil {
		return "", errFileThere(path)
	}
	out, err := os.CreateTemp(dir, ".hearsay-*.part") // mode 0600
	if err != nil {
		return "", diskError(err)
	}
	defer func() { _ = os.Remove(out.Name()) }()
	sum, err := p.copyTo(out)
	if err == nil && sum != rec.Hash {
		err = errSpoolDamaged
	}
	if err == nil {
		err = out.Sync()
	}
	if e := out.Close(); err == nil {
		err = e
	}
	if err != nil {
		return "", diskError(err)
	}
	for _, name := range names {
		saved = filepath.Join(dir, name)
		if err = nameFile(out.Name(), saved); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return "", errFileThere(saved)
	}
	if err != nil {
		return "", diskError(err)
	}
	_ = store.SyncDir(dir) // before the spool goes; not every file system can
	return saved, nil
}

// nameFile gives a file a name that nothing has; fs.ErrExist if it is taken.
// Where there are no hard links the name is taken first.
func nameFile(temporary, name string) error {
	err := os.Link(temporary, name)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(temporary, name)
}

// namesIn are the names to be tried in a directory.
func namesIn(name string) []string {
	names := []string{name}
	ext := filepath.Ext(name)
	for n := 2; n < maxNames; n++ {
		names = append(names, fmt.Sprintf("%s (%d)%s", strings.TrimSuffix(name, ext), n, ext))
	}
	return names
}

func errFileThere(path string) *Error {
	return &Error{Kind: KindExists, Text: "there is a file already: " + Sanitize(path), Hint: "choose another name"}
}
