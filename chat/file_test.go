package chat

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat/session"
)

// content is bytes that do not repeat.
func content(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// writeContent puts a file into a directory of its own.
func writeContent(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (u *user) file(id string) File {
	u.t.Helper()
	list, err := u.Files(context.Background(), "")
	if err != nil {
		u.t.Fatal(err)
	}
	for _, f := range list {
		if f.ID == id {
			return f
		}
	}
	return File{}
}

// offered waits for the offer of a file and returns it.
func (u *user) offered(contact string) File {
	u.t.Helper()
	var f File
	eventually(u.t, time.Minute, "offered", func() bool {
		list, _ := u.Files(context.Background(), contact)
		for _, x := range list {
			if x.Direction == In && x.State == FileOffered {
				f = x
			}
		}
		return f.ID != ""
	})
	return f
}

// spooled are the names in the spool of a home.
func (u *user) spooled() []string {
	list, _ := os.ReadDir(filepath.Join(u.home, spoolDir))
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// TestFile sends a file to a contact, who saves it.
func TestFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 6)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		want := content(100_000)
		sent, err := alice.SendFile(t.Context(), b, writeContent(t, "..plan\u202e.pdf", want), SendFileOptions{Key: "k", Burst: true})
		if err != nil || sent.State != FileSending || sent.Burst || sent.Name != "plan.pdf" {
			t.Fatalf("%+v, %v", sent, err)
		}
		offer := bob.offered(a)
		if offer.Name != "plan.pdf" || offer.Size != 100_000 || offer.Padded != 104*session.FileBlockSize {
			t.Errorf("offer %+v", offer)
		}
		if m := bob.message(a, bob.offerMessage(a)); m.Kind != KindMessageFile || m.File == nil || m.File.ID != offer.ID {
			t.Errorf("the message is %+v", m)
		}
		eventually(t, time.Minute, "stored", func() bool { return alice.file(sent.ID).State == FileStored && alice.file(sent.ID).Detail == "" })
		if m := alice.message(b, alice.offerMessage(b)); m.State == Delivered || m.Text != "[file: plan.pdf, 98 KiB]" {
			t.Errorf("the offer is %+v before the file arrived", m)
		}
		if names := bob.spooled(); len(names) != 0 {
			t.Errorf("fetched without being asked: %q", names)
		}
		target := filepath.Join(t.TempDir(), "saved")
		if err := bob.SaveFile(t.Context(), offer.ID, target); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "saved", func() bool { return bob.file(offer.ID).Path == target })
		got, err := os.ReadFile(target)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		eventually(t, time.Minute, "complete at the sender", func() bool { return alice.file(sent.ID).State == FileComplete })
		eventually(t, time.Minute, "delivered", func() bool { return alice.settled(b, Delivered) })
		eventually(t, time.Minute, "spools erased", func() bool { return len(alice.spooled())+len(bob.spooled()) == 0 })
		if err := bob.SaveFile(t.Context(), offer.ID, target); KindOf(err) != KindExists {
			t.Errorf("saved twice: %v", err)
		}
		if again, err := alice.SendFile(t.Context(), b, sentPath, SendFileOptions{Key: "k"}); KindOf(err) != KindKeyConflict {
			t.Errorf("another file under the same key: %+v, %v", again, err)
		}
		checkProgress(t, alice, sent.ID)
		if s := bob.file(offer.ID); s.State != FileComplete || s.Done != s.Size {
			t.Errorf("received file is %+v", s)
		}
	})
}

const sentPath = "another"

// offerMessage is the id of the only message that offers a file.
func (u *user) offerMessage(contact string) string {
	list, _ := u.Messages(context.Background(), contact, 0, 1000)
	for _, m := range list {
		if strings.HasPrefix(m.Text, "[file: ") {
			return m.ID
		}
	}
	return ""
}

// checkProgress checks that progress rises, and is not told too often.
func checkProgress(t *testing.T, u *user, id string) {
	t.Helper()
	var last *File
	told := 0
	for _, ev := range u.events() {
		if ev.Type != FileProgress || ev.File.ID != id {
			continue
		}
		if told++; last != nil && ev.File.Done < last.Done {
			t.Errorf("progress falls from %d to %d", last.Done, ev.File.Done)
		}
		last = ev.File
	}
	if last == nil || last.State != FileComplete || told > 12 {
		t.Errorf("told %d times, at last %+v", told, last)
	}
}
