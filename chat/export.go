package chat

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
)

// exportPage is how many messages are read at a time, so that sending does not
// wait for a long conversation.
const exportPage = 500

// exportLine is a message in an exported file.
type exportLine struct {
	V int `json:"v"`
	Message
	Time string `json:"time"` // RFC 3339, UTC, milliseconds; in place of the message's
}

// Export writes a conversation with a contact, a group or the notes to a new
// file, one JSON object per line, oldest first, and returns how many messages it
// has. The file has mode 0600; one that is there is never overwritten, and one
// that could not be finished is removed. It fails with not_found, exists, io or
// the context's error.
func (m *Messenger) Export(ctx context.Context, conversation, path string) (int, error) {
	if _, err := m.Messages(ctx, conversation, 0, 1); err != nil {
		return 0, err // before a file is made
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return 0, &Error{Kind: KindExists, Text: "there is a file of that name", Hint: "choose another name; nothing is overwritten"}
	case err != nil:
		return 0, exportError(err)
	}
	n, err := m.exportTo(ctx, conversation, f)
	if err == nil {
		err = exportError(f.Sync())
	}
	if closed := f.Close(); err == nil {
		err = exportError(closed)
	}
	if err != nil {
		_ = os.Remove(path)
		return 0, err
	}
	return n, nil
}

func exportError(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: KindIO, Text: "cannot write the file: " + PlainError(err)}
}

func (m *Messenger) exportTo(ctx context.Context, conversation string, w io.Writer) (n int, err error) {
	out := bufio.NewWriterSize(w, 1<<16)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	after := uint64(0)
	for {
		page, err := m.Messages(ctx, conversation, after, exportPage)
		if err != nil {
			return n, err
		}
		if len(page) == 0 {
			return n, exportError(out.Flush())
		}
		for i := range page {
			line := exportLine{V: 1, Message: page[i], Time: page[i].Time.UTC().Format("2006-01-02T15:04:05.000Z")}
			if err := enc.Encode(line); err != nil {
				return n, exportError(err)
			}
			n++
		}
		after = page[len(page)-1].Seq
	}
}
