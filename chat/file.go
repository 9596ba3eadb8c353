package chat

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"hearsay/chat/session"
	"hearsay/directory"
)

// FileState is how far the transfer of a file has come.
type FileState string

// The states of a file.
const (
	FileOffered  FileState = "offered"  // received offer: nothing was fetched
	FileSending  FileState = "sending"  // not all of it is at relays
	FileStored   FileState = "stored"   // relays hold all of it
	FileFetching FileState = "fetching" // the user asked for it
	FileComplete FileState = "complete" // fetched and its hash is right; or the contact said so
	FileFailed   FileState = "failed"
)

// File is one file that is sent or offered.
type File struct {
	ID        string    `json:"id"` // "f_…"
	Contact   string    `json:"contact"`
	Direction string    `json:"direction"`
	Name      string    `json:"name"` // sanitized base name
	Size      int64     `json:"size"` // bytes
	Padded    int64     `json:"padded,omitempty"`
	Done      int64     `json:"done"` // bytes at relays, or fetched
	State     FileState `json:"state"`
	Time      time.Time `json:"time"`
	Burst     bool      `json:"burst,omitempty"`  // visible to the local network, and fast
	Detail    string    `json:"detail,omitempty"` // why it failed or waits, in words
	Path      string    `json:"path,omitempty"`   // where it was saved
	Paused    bool      `json:"paused,omitempty"` // by PauseFile: nothing moves until FetchFile
}

// SendFileOptions configure SendFile. The zero value is what most want.
type SendFileOptions struct {
	Key   string // idempotency key, up to 64 bytes
	Burst bool   // not in the slots of the cover profile
}

// Limits of files (SPEC.md §13).
const (
	defaultFileLimit = 64 << 20
	slowAlways       = 256 << 10 // smaller files never leave the slots: nobody need choose
	openOffers       = 100       // of one contact, unanswered; stops a list that nobody can read
)

// fileLimit is the largest file in bytes that is sent or fetched.
func (m *Messenger) fileLimit() int64 {
	if m.cfg.FileLimit <= 0 {
		return defaultFileLimit
	}
	return min(m.cfg.FileLimit, session.MaxFileSize)
}

var (
	errNoFile     = &Error{Kind: KindNotFound, Text: "there is no such file"}
	errFileEnded  = &Error{Kind: KindRefused, Text: "this transfer has ended"}
	errFileBehind = &Error{Kind: KindRefused, Text: "this file was sent, not received"}
)

// SendFile copies the file at path into the spool of the home and offers it to a
// contact; it returns when both are on the disk. The file itself is not read
// again. Being offline is no error. It fails with not_found, refused (no regular
// file, a group, a contact that is blocked or changed), too_large, key_conflict
// or io (a full disk among them).
func (m *Messenger) SendFile(ctx context.Context, contact, path string, o SendFileOptions) (File, error) {
	what := "file.send\x00" + contact + "\x00" + path
	var sent File
	known := false
	err := m.look(ctx, func(t *turn) error {
		id, err := t.madeUnder(o.Key, what)
		if f := t.book.files[id]; err == nil && f != nil {
			sent, known = t.book.shapeFile(f), true
			return nil
		}
		if err == nil {
			_, err = t.mayOffer(contact)
		}
		return err
	})
	if err != nil || known {
		return sent, err
	}
	f := &file{id: newID("f_"), wake: make(chan struct{}, 1)}
	f.rec = fileRecord{Contact: contact, Out: true, State: FileSending, Burst: o.Burst}
	_, _ = rand.Read(f.rec.Key[:])
	if err := m.spoolFrom(f, path); err != nil {
		return File{}, err
	}
	kept := false
	err = m.do(ctx, func(t *turn) error {
		id, err := t.once(o.Key, what, func() (string, error) { return f.id, t.sendFile(f) })
		if err != nil {
			return err
		}
		if old := t.book.files[id]; old != nil {
			sent, kept = t.book.shapeFile(old), id == f.id
		}
		return nil
	})
	if err != nil || !kept {
		_ = m.transfers.spools.remove(f.id)
	}
	return sent, err
}

// mayOffer refuses contacts that take no files.
func (t *turn) mayOffer(contact string) (*contact, error) {
	c := t.book.contacts[contact]
	switch {
	case c == nil && t.book.groups[contact] != nil:
		return nil, &Error{Kind: KindRefused, Text: "a file goes to one contact, not to a group"}
	case c == nil:
		return nil, errNoContact
	case c.rec.Claim != nil && c.rec.Claim.Failed != "":
		return nil, &Error{Kind: c.rec.Claim.Failed, Text: "the invite of this contact did not work", Hint: "ask for a new invite"}
	}
	return c, c.mayWrite()
}

// spoolFrom copies the file at path into the spool of f.
func (m *Messenger) spoolFrom(f *file, path string) error {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Error{Kind: KindNotFound, Text: "there is no such file: " + Sanitize(path)}
	case err != nil:
		return diskError(err)
	case !st.Mode().IsRegular():
		return &Error{Kind: KindRefused, Text: "this is no regular file: " + Sanitize(path)}
	case st.Size() > m.fileLimit():
		return errFileTooLarge(m.fileLimit())
	}
	in, err := os.Open(path)
	if err != nil {
		return diskError(err)
	}
	defer in.Close()
	size, sum, err := m.transfers.spools.fill(f.id, f.rec.Key, in, m.fileLimit())
	if err != nil {
		return diskError(err)
	}
	f.rec.Name, f.rec.Size, f.rec.Hash = offeredName(filepath.Base(path)), int64(size), sum
	return nil
}

// offeredName cuts a name to what FILE can carry; the end, with the kind of the
// file, stays.
func offeredName(name string) string {
	name = SanitizeFileName(name)
	for runes := []rune(name); len(name) > session.MaxFileName; name = string(runes) {
		runes = slices.Delete(runes, len(runes)/2, len(runes)/2+1)
	}
	if name == "" {
		return "file"
	}
	return name
}

// sendFile writes a spooled file and the message that offers it.
func (t *turn) sendFile(f *file) error {
	c, err := t.mayOffer(f.rec.Contact)
	if err != nil {
		return err
	}
	if f.rec.Burst = f.rec.Burst && f.rec.Size > slowAlways; f.rec.Size > session.MaxFileSize {
		return errFileTooLarge(session.MaxFileSize)
	}
	_, _ = rand.Read(f.rec.Msg[:])
	f.rec.Time = t.now.UnixMilli()
	rec := messageRecord{Out: true, Time: f.rec.Time, ID: f.rec.Msg, Kind: kindFile, Text: offerText(f.rec.Name, f.rec.Size), File: f.id, Timer: c.timer()}
	if f.rec.Number, err = t.addRow(c.id, &rec); err != nil {
		return err
	}
	c.own[f.rec.Number] = &ownMessage{number: f.rec.Number, state: Queued, copies: Copies{Want: c.want()}}
	c.rec.Active = t.now.Unix()
	t.touch(c)
	t.book.files[f.id] = f
	t.publishState(c, f.rec.Number, Queued, c.own[f.rec.Number].copies, "")
	t.roster = true
	if err := t.offer(f); err != nil {
		return err
	}
	t.tellFile(f, true)
	return t.saveFile(f)
}

// offerText stands for the file where only texts are shown.
func offerText(name string, size int64) string {
	return fmt.Sprintf("[file: %s, %s]", name, byteText(size))
}

// offer draws the relays of a file and queues the message that offers it. While
// there is no snapshot that may be used for it, it does nothing.
func (t *turn) offer(f *file) error {
	c, view := t.book.contacts[f.rec.Contact], t.m.views.Current()
	if c == nil || view == nil || mayPlace(view) != nil || len(f.rec.Offer) > 0 {
		return nil
	}
	o := session.File{Size: uint64(f.rec.Size), Hash: f.rec.Hash, Name: f.rec.Name, Until: t.protocolHour() + fileHours, Copies: 2}
	avoid := c.relays()
	taken, avoid := avoid[:0:0], slices.Clone(avoid)
	for len(taken) < fileRelays {
		id, ok := t.m.drawRelay(view, taken, avoid)
		if !ok {
			break
		}
		taken = append(taken, id)
		o.Relays = append(o.Relays, id.Prefix())
	}
	if len(taken) == 0 {
		return nil
	}
	o.Copies = byte(min(session.MaxFileCopies, len(taken)))
	var err error
	if o.Key, err = session.NewFileKey(rand.Reader); err != nil {
		return err
	}
	if f.rec.Offer, err = o.Append(nil); err != nil {
		return err
	}
	f.open(o)
	if err := t.saveFile(f); err != nil {
		return err
	}
	return t.wait(c, waitRecord{Type: byte(session.FrameFile), Number: f.rec.Number, ID: f.rec.Msg, Content: f.rec.Offer})
}

// fileHours is how long relays keep the blocks of files, in protocol hours.
const fileHours = 72

// FetchFile begins to fetch an offered file, or goes on with one that was paused,
// in either direction. burst leaves the slots of the cover profile, which whoever
// watches the link can see; small files never do. It fails with not_found, refused
// or too_large.
func (m *Messenger) FetchFile(ctx context.Context, id string, burst bool) error {
	return m.do(ctx, func(t *turn) error { return t.fetchFile(id, burst) })
}

func (t *turn) fetchFile(id string, burst bool) error {
	f := t.book.files[id]
	switch {
	case f == nil:
		return errNoFile
	case f.rec.Out && !f.rec.Paused:
		return errFileBehind
	case f.rec.State == FileComplete:
		return nil
	case f.rec.State == FileFailed:
		return errFileEnded
	case !f.rec.Out && f.rec.Size > t.m.fileLimit():
		return errFileTooLarge(t.m.fileLimit())
	}
	f.rec.Burst = burst && f.rec.Size > slowAlways
	t.resumeFile(f)
	if f.rec.State == FileOffered {
		f.rec.State = FileFetching
		_, _ = rand.Read(f.rec.Key[:])
		t.tellFile(f, true)
	}
	t.roster = true
	wake(f.wake)
	return t.saveFile(f)
}

// SaveFile writes a file to path, or into the directory that path names, under
// the file's own name; it never overwrites. If the file is not complete yet, it
// is fetched, paused or not, and written when it is: SaveFile returns then once
// the wish is on the disk. It fails with not_found, refused, too_large, exists or io. Once
// written, the copy in the home is erased.
func (m *Messenger) SaveFile(ctx context.Context, id, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return diskError(err)
	}
	later := false
	err = m.do(ctx, func(t *turn) error {
		f := t.book.files[id]
		if f == nil || f.rec.Out || f.rec.State == FileFailed || f.rec.State == FileComplete {
			return nil // told below
		}
		if f.rec.State == FileOffered {
			if err := t.fetchFile(id, false); err != nil {
				return err
			}
		}
		later, f.rec.Wish = true, path
		t.resumeFile(f)
		return t.saveFile(f)
	})
	if err != nil || later {
		return err
	}
	return m.writeFile(ctx, id, path)
}

// CancelFile ends a transfer, erases what is spooled and tells the contact.
func (m *Messenger) CancelFile(ctx context.Context, id string) error {
	err := m.do(ctx, func(t *turn) error {
		f := t.book.files[id]
		switch {
		case f == nil:
			return errNoFile
		case f.final():
			return errFileEnded
		}
		if err := t.control(f, session.FileControl{Op: session.FileCancel}); err != nil {
			return err
		}
		return t.endFile(f, FileFailed, "cancelled")
	})
	m.eraseSpools()
	return err
}

// Files lists transfers, all or those of a contact, oldest first.
func (m *Messenger) Files(ctx context.Context, contact string) ([]File, error) {
	list := []File{}
	err := m.look(ctx, func(t *turn) error {
		if contact != "" && t.book.contacts[contact] == nil && t.book.groups[contact] == nil {
			return errNoContact
		}
		for _, id := range slices.Sorted(maps.Keys(t.book.files)) {
			if f := t.book.files[id]; contact == "" || f.rec.Contact == contact {
				list = append(list, t.book.shapeFile(f))
			}
		}
		return nil
	})
	slices.SortStableFunc(list, func(a, b File) int { return a.Time.Compare(b.Time) })
	return list, err
}

// stillOwed tells whether a protocol hour is still to come.
func (t *turn) stillOwed(until uint32) bool { return t.protocolHour() < until }

// relays are those of the queues of a contact, in both directions.
func (c *contact) relays() (ids []directory.RelayID) {
	for i := range c.rec.Own {
		ids = append(ids, c.rec.Own[i].Relay)
	}
	for i := range c.slots {
		ids = append(ids, c.slots[i].addr.Relay)
	}
	return ids
}
