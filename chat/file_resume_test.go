package chat

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat/session"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// sends notes all SENDs and polls of files that relays got: a FILE's blocks have
// small numbers for message ids, those of chats are hashes.
type sends struct {
	mu     sync.Mutex
	blocks map[[32]byte][mailbox.BlockSize]byte // by queue and block
	again  map[[32]byte]int                     // how often after the first time
	relays map[directory.RelayID]int
	other  int
}

func (s *sends) watch(w *fakeWorld) {
	s.blocks, s.again, s.relays = make(map[[32]byte][mailbox.BlockSize]byte), make(map[[32]byte]int), make(map[directory.RelayID]int)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = func(relay directory.RelayID, c mailbox.Command, data []byte) {
		if c != mailbox.CmdSend {
			return
		}
		m, err := mailbox.ParseSend(data)
		if err != nil || binary.BigEndian.Uint64(m.ID[:]) >= 1<<32 {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		key := [32]byte(append(append([]byte{}, m.SID[:]...), m.ID[:]...))
		if old, ok := s.blocks[key]; ok {
			s.again[key]++
			if old != m.Block {
				s.other++
			}
		}
		s.blocks[key] = m.Block
		s.relays[relay]++
	}
}

func (s *sends) counts() (blocks, again, other int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.again {
		again += n
	}
	return len(s.blocks), again, s.other
}

// TestNonceNeverTwice kills the sender again and again while it stores a file
// that changes on the disk meanwhile: no key and nonce pair ever encrypts two
// plaintexts. A queue has one key, and the message id is the nonce.
func TestNonceNeverTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 6)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		var s sends
		s.watch(w)
		want := content(200_000)
		path := writeContent(t, "changing", want)
		sent, err := alice.SendFile(t.Context(), b, path, SendFileOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content(201_000)[1000:], 0o600); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			<-time.After(250 * time.Millisecond)
			alice.crash()
		}
		offer := bob.offered(a)
		target := filepath.Join(t.TempDir(), "saved")
		if err := bob.SaveFile(t.Context(), offer.ID, target); err != nil {
			t.Fatal(err)
		}
		eventually(t, 5*time.Minute, "complete", func() bool { return alice.file(sent.ID).State == FileComplete && bob.file(offer.ID).Path != "" })
		if got, _ := os.ReadFile(target); !bytes.Equal(got, want) {
			t.Errorf("%d bytes were saved, not those that were sent", len(got))
		}
		blocks, again, other := s.counts()
		if other != 0 {
			t.Errorf("%d blocks were sealed twice to different bytes", other)
		}
		if again == 0 || blocks < 208 {
			t.Errorf("%d blocks, %d again: the crashes hit nothing", blocks, again)
		}
	})
}

// TestFileResumes kills each side once in the middle, and for good one relay that
// holds a copy: the file arrives whole, and only what was not proven or not in
// the spool goes again.
func TestFileResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 7)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		var s sends
		s.watch(w)
		want := content(560_000) // 556 blocks, padded to 576: two segments
		sent, err := alice.SendFile(t.Context(), b, writeContent(t, "plan", want), SendFileOptions{})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "half is at relays", func() bool { return alice.file(sent.ID).Done > 300_000 })
		alice.crash()
		if f := alice.file(sent.ID); f.Done < 200_000 {
			t.Errorf("progress fell to %d", f.Done)
		}
		eventually(t, time.Minute, "stored", func() bool { return alice.file(sent.ID).Detail == "" && alice.file(sent.ID).State == FileStored })
		blocks, again, _ := s.counts()
		if blocks != 2*576 || again > 400 {
			t.Errorf("%d blocks were stored, %d of them again", blocks, again)
		}
		var dead directory.RelayID
		_ = alice.look(t.Context(), func(t *turn) error {
			f := t.book.files[sent.ID]
			dead, _ = listedPrefix(t.m.views.Current(), f.offer.Relays[0])
			return nil
		})
		w.stop(w.relay(dead))
		offer := bob.offered(a)
		// More than that does not come before the crash.
		before := w.blocksDelivered() + 400
		w.setDrop(func(toRelay bool, _ directory.RelayID, c mailbox.Command) bool {
			return !toRelay && c == mailbox.CmdMsg && w.delivered >= before
		})
		if err := bob.FetchFile(t.Context(), offer.ID, false); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "half was fetched", func() bool { return bob.file(offer.ID).Done > 300_000 })
		bob.crash()
		w.setDrop(nil)
		w.mu.Lock()
		w.delivered = 0
		w.mu.Unlock()
		held := bob.file(offer.ID).Done
		if held < 150_000 || held > 500_000 {
			t.Errorf("of what was fetched %d bytes are left", held)
		}
		eventually(t, 5*time.Minute, "fetched", func() bool { return bob.file(offer.ID).State == FileComplete })
		if most := (576*1008-int(held))/session.FileBlockSize + 64; w.blocksDelivered() > most {
			t.Errorf("%d blocks were fetched after the crash, want at most %d", w.blocksDelivered(), most)
		}
		target := filepath.Join(t.TempDir(), "saved")
		if err := bob.SaveFile(t.Context(), offer.ID, target); err != nil {
			t.Fatal(err)
		}
		got, _ := os.ReadFile(target)
		if sha256.Sum256(got) != sha256.Sum256(want) {
			t.Error("another file was saved")
		}
		eventually(t, time.Minute, "complete at the sender", func() bool { return alice.file(sent.ID).State == FileComplete })
	})
}

// TestFileLostByRelays has both relays that hold a file lose their disks: the
// receiver asks for it again, and the sender stores it elsewhere.
func TestFileLostByRelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 6)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		sent, err := alice.SendFile(t.Context(), b, writeContent(t, "plan", content(60_000)), SendFileOptions{})
		if err != nil {
			t.Fatal(err)
		}
		offer := bob.offered(a)
		eventually(t, time.Minute, "stored", func() bool { return alice.file(sent.ID).State == FileStored && alice.file(sent.ID).Detail == "" })
		var holders []directory.RelayID
		_ = alice.do(t.Context(), func(t *turn) error {
			f := t.book.files[sent.ID]
			for _, at := range f.places(0) {
				id, _ := listedPrefix(t.m.views.Current(), at.relay)
				holders = append(holders, id)
			}
			return nil
		})
		stored := func(without ...directory.RelayID) (n int) {
			_ = alice.do(t.Context(), func(t *turn) error {
				kept := t.m.views
				t.m.views = &directory.Views{}
				t.m.views.Set(w.view(without...))
				n = t.stored(t.book.files[sent.ID])
				t.m.views = kept
				return nil
			})
			return n
		}
		if stored() != 2 || stored(holders[0]) != 1 || stored(holders...) != 0 {
			t.Error("copies at relays that are not listed count")
		}
		for _, id := range holders {
			r := w.relay(id)
			w.stop(r)
			r.dir = t.TempDir()
			w.start(r)
		}
		if err := bob.FetchFile(t.Context(), offer.ID, false); err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Minute, "fetched", func() bool { return bob.file(offer.ID).State == FileComplete })
		eventually(t, time.Minute, "complete at the sender", func() bool { return alice.file(sent.ID).State == FileComplete })
	})
}

// TestFileExpired fetches a file after relays deleted it.
func TestFileExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 6)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		sent, err := alice.SendFile(t.Context(), b, writeContent(t, "plan", content(50_000)), SendFileOptions{})
		if err != nil {
			t.Fatal(err)
		}
		offer := bob.offered(a)
		<-time.After(73 * time.Minute) // hours of a lab
		eventually(t, 10*time.Minute, "not called stored any more", func() bool { return alice.file(sent.ID).State == FileSending })
		if err := bob.FetchFile(t.Context(), offer.ID, false); err != nil {
			t.Fatal(err)
		}
		eventually(t, 30*time.Minute, "fetched", func() bool { return bob.file(offer.ID).State == FileComplete })
	})
}

// TestFileJunk has one relay of a file hand out other bytes: the blocks come from
// the other copy, and nothing of the junk reaches the file.
func TestFileJunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 6)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		want := content(60_000)
		sent, err := alice.SendFile(t.Context(), b, writeContent(t, "plan", want), SendFileOptions{})
		if err != nil {
			t.Fatal(err)
		}
		offer := bob.offered(a)
		eventually(t, time.Minute, "stored", func() bool { return alice.file(sent.ID).State == FileStored && alice.file(sent.ID).Detail == "" })
		var liar directory.RelayID
		_ = alice.look(t.Context(), func(t *turn) error {
			liar, _ = listedPrefix(t.m.views.Current(), t.book.files[sent.ID].offer.Relays[0])
			return nil
		})
		lies := 0
		w.mu.Lock()
		w.forge = func(relay directory.RelayID, c mailbox.Command, data []byte) {
			if relay == liar && c == mailbox.CmdMsg {
				data[len(data)-1] ^= 1
				lies++
			}
		}
		w.mu.Unlock()
		if err := bob.FetchFile(t.Context(), offer.ID, false); err != nil {
			t.Fatal(err)
		}
		eventually(t, 5*time.Minute, "fetched", func() bool { return bob.file(offer.ID).State == FileComplete })
		if lies == 0 {
			t.Error("the liar was not asked")
		}
	})
}
