package chat

import (
	"crypto/rand"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat/session"
)

// TestOfferFlood: a contact who offers files and withdraws them leaves a bounded
// number of transfers; the messages stay.
func TestOfferFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		_, a := befriend(t, alice, bob)
		o := session.File{Copies: 1, Size: 5000, Relays: [][16]byte{{1}}, Name: "x"}
		content, err := o.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		flood := 0
		err = bob.do(t.Context(), func(t *turn) error {
			c := t.book.contacts[a]
			for flood < endedOffers+10 {
				flood++
				m := session.Message{Type: session.FrameFile, Content: content}
				_, _ = rand.Read(m.ID[:])
				if err := t.takeFile(c, m, false); err != nil {
					return err
				}
				ctl := session.FileControl{Op: session.FileCancel, File: m.ID}
				withdrawn, err := ctl.Append(nil)
				if err != nil {
					return err
				}
				if err := t.takeFileControl(c, session.Message{Type: session.FrameFileCtl, Content: withdrawn}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		list, err := bob.Files(t.Context(), a)
		if err != nil || len(list) != endedOffers {
			t.Errorf("%d transfers are kept: %v", len(list), err)
		}
		messages, err := bob.Messages(t.Context(), a, 0, 1000)
		if err != nil || len(messages) < flood {
			t.Errorf("%d messages of %d are left: %v", len(messages), flood, err)
		}
	})
}

// TestLargestFileWantedAgain: after its relays lost it, all of the largest file
// can be stored anew, and the receiver has room for where; and wants that change
// nothing tell nobody.
func TestLargestFileWantedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 6)
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		view := w.view()
		o := session.File{Copies: 2, Size: session.MaxFileSize, Name: "x"}
		for i := range 4 {
			o.Relays = append(o.Relays, view.Relays()[i].ID.Prefix())
		}
		offer, err := o.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		sent := &file{id: newID("f_"), rec: fileRecord{Contact: b, Out: true, State: FileStored, Offer: offer, Size: session.MaxFileSize}}
		got := &file{id: newID("f_"), rec: fileRecord{Contact: b, State: FileOffered, Offer: offer, Size: session.MaxFileSize}}
		sent.open(o)
		got.open(o)
		for _, p := range sent.parts {
			p.have = p.want
		}
		var all []session.FileRange
		for i := range o.Segments() {
			_, n := o.SegmentBlocks(i)
			all = append(all, session.FileRange{Segment: i, Count: uint16(n)})
		}
		if len(all) > wantMost*session.MaxFileRanges {
			t.Errorf("%d segments cannot be asked for", len(all))
		}
		want := func(t *turn) error {
			for at := 0; at < len(all); at += session.MaxFileRanges {
				if err := t.takeWant(sent, all[at:min(len(all), at+session.MaxFileRanges)]); err != nil {
					return err
				}
			}
			return nil
		}
		_ = alice.do(t.Context(), func(turn *turn) error {
			if err := want(turn); err != nil {
				return err
			}
			if n := len(sent.owed()); n != len(all) {
				t.Errorf("%d of %d segments are to be stored anew", n, len(all))
			}
			told := sent.told
			<-time.After(time.Second)
			turn.now = time.Now()
			if err := want(turn); err != nil || sent.told != told {
				t.Errorf("a want that changes nothing is told: %v", err)
			}
			for i := range sent.rec.Places { // told as they are stored
				p := &sent.rec.Places[i]
				ctl := session.FileControl{Op: session.FileMoved, Places: []session.FilePlace{{Segment: p.Segment, Count: 1, Copy: p.Copy, Relay: p.Relay}}}
				if err := turn.takeMoved(got, ctl); err != nil {
					return err
				}
			}
			for i := range o.Segments() {
				if n := len(got.places(i)); n != 3 {
					t.Fatalf("segment %d lies at %d places", i, n)
				}
			}
			return errNoFile // nothing of this is kept
		})
	})
}

// TestBurstForNothing: a contact who offers a file and stores nothing does not
// keep the link of who fetches it out of its slots; the file is fetched when it
// comes.
func TestBurstForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 6)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		if err := bob.SetCover(t.Context(), "normal"); err != nil {
			t.Fatal(err)
		}
		bob.net.mu.Lock()
		bob.net.grants = true
		bob.net.mu.Unlock()
		alice.transfers.circuits = newGate(0)
		if _, err := alice.SendFile(t.Context(), b, writeContent(t, "plan", content(slowAlways+1)), SendFileOptions{}); err != nil {
			t.Fatal(err)
		}
		offer := bob.offered(a)
		if err := bob.FetchFile(t.Context(), offer.ID, true); err != nil {
			t.Fatal(err)
		}
		bursts := func() int {
			bob.net.mu.Lock()
			defer bob.net.mu.Unlock()
			return bob.net.bursts
		}
		<-time.After(90 * time.Second)
		first := bursts()
		<-time.After(90 * time.Second)
		if n := bursts() - first; first == 0 || n > 0 || bob.transfers.burst.runs() {
			t.Errorf("%d bursts at first, %d later", first, n)
		}
		alice.crash() // its circuits are free now
		eventually(t, time.Hour, "complete", func() bool { return bob.file(offer.ID).State == FileComplete })
	})
}

// TestFetchOfExpired: who fetches a file that its sender gave up after 21 days is
// told, and does not wait for ever.
func TestFetchOfExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		alice.transfers.circuits = newGate(0)
		sent, err := alice.SendFile(t.Context(), b, writeContent(t, "plan", content(5000)), SendFileOptions{})
		if err != nil {
			t.Fatal(err)
		}
		offer := bob.offered(a)
		if err := bob.FetchFile(t.Context(), offer.ID, false); err != nil {
			t.Fatal(err)
		}
		_ = alice.do(t.Context(), func(t *turn) error {
			f := t.book.files[sent.ID]
			f.rec.Time -= t.m.timing().expire.Milliseconds()
			return t.saveFile(f)
		})
		eventually(t, time.Hour, "ended on both sides", func() bool {
			return alice.file(sent.ID).State == FileFailed && bob.file(offer.ID).State == FileFailed
		})
	})
}
