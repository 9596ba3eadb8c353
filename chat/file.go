package chat

import (
	"context"
	"time"

	"hearsay/chat/session"
	"hearsay/chat/store"
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
}

// SendFileOptions configure SendFile. The zero value is what most want.
type SendFileOptions struct {
	Key   string // idempotency key, up to 64 bytes
	Burst bool   // not in the slots of the cover profile
}

// file is one transfer, owned by the keeper.
type file struct{}

func (*book) loadFiles(*store.Tx) error { return nil }

func (*turn) takeFile(*contact, session.Message, bool) error { return nil }

func (*turn) takeFileControl(*contact, session.Message) error { return nil }

// SendFile copies the file at path into the spool and offers it to a contact.
func (m *Messenger) SendFile(context.Context, string, string, SendFileOptions) (File, error) {
	return File{}, errUnbuilt
}

// FetchFile begins to fetch an offered file. burst leaves the slots of the cover
// profile.
func (m *Messenger) FetchFile(context.Context, string, bool) error { return errUnbuilt }

// SaveFile writes a file to path once it is complete, fetching it first if it was
// not; it never overwrites.
func (m *Messenger) SaveFile(context.Context, string, string) error { return errUnbuilt }

// CancelFile ends a transfer.
func (m *Messenger) CancelFile(context.Context, string) error { return errUnbuilt }

// Files lists transfers, all or those of a contact, oldest first.
func (m *Messenger) Files(context.Context, string) ([]File, error) { return nil, errUnbuilt }

// fileWorkers adds the transfers that need the network to what should run.
func (*turn) fileWorkers(*wanted) {}

// tickFiles does what is due by the clock.
func (*turn) tickFiles() error { return nil }
