package chat

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat/session"
)

// inject has u send the contact a message of any type, as a program that keeps
// to no rules could.
func (u *user) inject(contact string, kind session.FrameType, content []byte) {
	u.t.Helper()
	err := u.do(context.Background(), func(t *turn) error {
		return t.wait(t.book.contacts[contact], waitRecord{Type: byte(kind), Content: content})
	})
	if err != nil {
		u.t.Fatal(err)
	}
}

// frameID is the id that the frames of a message carry.
func (u *user) frameID(message string) (id [16]byte) {
	u.t.Helper()
	err := u.look(context.Background(), func(t *turn) error {
		_, _, rec, err := t.find(message)
		if err == nil {
			id = rec.ID
		}
		return err
	})
	if err != nil {
		u.t.Fatal(err)
	}
	return id
}

// theirs finds the copy of a text that the other side has.
func (u *user) theirs(contact, text string) Message {
	u.t.Helper()
	var found Message
	eventually(u.t, time.Minute, text, func() bool {
		list, _ := u.Messages(context.Background(), contact, 0, 1000)
		for _, m := range list {
			if m.Text == text {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

func (u *user) must(err error) {
	u.t.Helper()
	if err != nil {
		u.t.Fatal(err)
	}
}

// TestAmend replies, reacts, edits and deletes, and looks at both sides.
func TestAmend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		first := alice.say(b, "how many copies?")
		atBob := bob.theirs(a, "how many copies?")

		wait := bob.StartSend(t.Context(), a, "four hundred", SendOptions{Reply: atBob.ID})
		reply, err := wait()
		bob.must(err)
		if reply.Reply != atBob.ID {
			t.Errorf("the reply is to %q", reply.Reply)
		}
		if m := alice.theirs(b, "four hundred"); m.Reply != first.ID {
			t.Errorf("the reply arrives as one to %q", m.Reply)
		}
		if _, err := alice.StartSend(t.Context(), b, "?", SendOptions{Reply: "m_x_1"})(); KindOf(err) != KindNotFound {
			t.Errorf("reply to nothing: %v", err)
		}

		bob.must(bob.React(t.Context(), atBob.ID, "👍"))
		bob.must(bob.React(t.Context(), atBob.ID, "❤️"))
		eventually(t, time.Minute, "the second reaction", func() bool {
			r := alice.message(b, first.ID).Reactions
			return len(r) == 1 && r[0] == Reaction{From: b, Emoji: "❤️"}
		})
		alice.must(alice.React(t.Context(), first.ID, "😀"))
		eventually(t, time.Minute, "both reactions", func() bool {
			return slices.Equal(bob.message(a, atBob.ID).Reactions, []Reaction{{"me", "❤️"}, {a, "😀"}})
		})
		bob.must(bob.React(t.Context(), atBob.ID, ""))
		eventually(t, time.Minute, "a reaction taken back", func() bool { return len(alice.message(b, first.ID).Reactions) == 1 })
		for _, bad := range []string{"yes", "👍👍", "\u202e👍", "a"} {
			if err := bob.React(t.Context(), atBob.ID, bad); KindOf(err) != KindRefused {
				t.Errorf("reaction %q: %v", bad, err)
			}
		}

		alice.must(alice.Edit(t.Context(), first.ID, "how many books?"))
		alice.must(alice.Edit(t.Context(), first.ID, "how many leaflets?"))
		eventually(t, time.Minute, "the edit", func() bool { return bob.message(a, atBob.ID).Text == "how many leaflets?" })
		if m := bob.message(a, atBob.ID); !m.Edited || m.Seq != atBob.Seq {
			t.Errorf("edited as %+v", m)
		}
		eventually(t, time.Minute, "alice knows", func() bool {
			why, err := alice.Why(t.Context(), first.ID)
			return err == nil && slices.ContainsFunc(why.History, func(e HistoryEntry) bool { return e.Detail == "the contact has the edit" })
		})
		for u, id := range map[*user]string{alice: first.ID, bob: atBob.ID} {
			why, err := u.Why(t.Context(), id)
			if err != nil || len(why.Earlier) != 2 || why.Earlier[0].Text != "how many copies?" || why.Earlier[1].Text != "how many books?" {
				t.Errorf("earlier texts %v, error %v", why.Earlier, err)
			}
		}
		if err := bob.Edit(t.Context(), atBob.ID, "mine now"); KindOf(err) != KindRefused {
			t.Errorf("editing another's text: %v", err)
		}
		if err := bob.Delete(t.Context(), atBob.ID, true); KindOf(err) != KindRefused {
			t.Errorf("deleting another's text for both: %v", err)
		}

		alice.must(alice.Delete(t.Context(), first.ID, true))
		eventually(t, time.Minute, "the deletion", func() bool { return bob.message(a, atBob.ID).Deleted == DeletedPeer })
		for _, m := range []Message{alice.message(b, first.ID), bob.message(a, atBob.ID)} {
			if m.Text != "" || m.Reactions != nil || m.Edited {
				t.Errorf("left of a deleted message: %+v", m)
			}
		}
		why, err := bob.Why(t.Context(), atBob.ID)
		if err != nil || why.Earlier != nil || why.History[len(why.History)-1].Detail != "deleted by alice" {
			t.Errorf("why at bob %+v, error %v", why, err)
		}
		why, _ = alice.Why(t.Context(), first.ID)
		if !slices.ContainsFunc(why.History, func(e HistoryEntry) bool { return e.Detail == "asked bob's copy to delete it" }) {
			t.Errorf("why at alice %+v", why)
		}
		if err := alice.React(t.Context(), first.ID, "👍"); KindOf(err) != KindRefused {
			t.Errorf("reaction to a deleted message: %v", err)
		}

		bob.must(bob.Delete(t.Context(), reply.ID, false))
		if m := bob.message(a, reply.ID); m.Deleted != DeletedHere || m.Text != "" {
			t.Errorf("deleted here: %+v", m)
		}
		<-time.After(time.Minute)
		if m := alice.theirs(b, "four hundred"); m.Deleted != "" {
			t.Errorf("deleted there as well: %+v", m)
		}
	})
}

// TestAttackForeignAmendments has a contact edit and delete what the other side
// wrote, react in other ways than with one emoji, amend notices, and name
// messages that are not there, more than may be kept.
func TestAttackForeignAmendments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		mine := alice.say(b, "the back door")
		bob.theirs(a, "the back door")
		week := 7 * 24 * time.Hour
		alice.must(alice.SetConversation(t.Context(), b, ConversationChange{DisappearAfter: &week}))
		notice := alice.theirs(b, "you set messages to disappear after 7 days")
		id := alice.frameID(mine.ID)
		said := bob.say(a, "I said this")
		atAlice := alice.theirs(b, "I said this")
		before, err := alice.Messages(t.Context(), b, 0, 10)
		alice.must(err)

		bob.inject(a, session.FrameEdit, append(id[:], "the front door"...))
		bob.inject(a, session.FrameRetract, id[:])
		bob.inject(a, session.FrameReact, append(id[:], "not an emoji"...))
		bob.inject(a, session.FrameReact, append(id[:], "👍👍"...))
		bob.inject(a, session.FrameReact, append(id[:], "\u202e👍"...))
		for _, kind := range []session.FrameType{session.FrameEdit, session.FrameRetract, session.FrameReact} {
			bob.inject(a, kind, make([]byte, 16)) // notices have no id
			bob.inject(a, kind, append(make([]byte, 16), "👍"...))
			bob.inject(a, kind, nil)
			bob.inject(a, kind, id[:15])
		}
		bob.must(bob.do(t.Context(), func(t *turn) error {
			for i := range maxEarly + 9 {
				nothing := append(binary.BigEndian.AppendUint64(make([]byte, 8), uint64(i+1)), "nothing"...)
				if err := t.wait(t.book.contacts[a], waitRecord{Type: byte(session.FrameEdit), Content: nothing}); err != nil {
					return err
				}
			}
			return nil
		}))
		// A second message under the id of alice's: bob may edit his own alone.
		bob.must(bob.do(t.Context(), func(t *turn) error {
			content, _ := session.Text{Text: "twin"}.Append(nil)
			return t.wait(t.book.contacts[a], waitRecord{Type: byte(session.FrameText), ID: id, Content: content})
		}))
		alice.theirs(b, "twin")
		bob.inject(a, session.FrameEdit, append(id[:], "twin, edited"...))
		alice.theirs(b, "twin, edited")
		last := bob.say(a, "done")
		eventually(t, time.Minute, "delivered", func() bool { return bob.message(a, last.ID).State == Delivered })
		alice.theirs(b, "done")

		after, err := alice.Messages(t.Context(), b, 0, 10)
		alice.must(err)
		for i, m := range before {
			if after[i].Text != m.Text || after[i].Edited || after[i].Deleted != "" || after[i].Reactions != nil {
				t.Errorf("amended: %+v", after[i])
			}
		}
		if m := alice.message(b, notice.ID); m.Kind != KindMessageNotice {
			t.Errorf("the notice is %+v", m)
		}
		rows := 0
		alice.must(alice.look(t.Context(), func(t *turn) error {
			return each(t.tx, bucketEarly+b, func(uint64, []byte) error { rows++; return nil })
		}))
		if rows == 0 || rows > maxEarly {
			t.Errorf("%d amendments of nothing are kept", rows)
		}

		// An edit names the first message, never an edit of it; and what was
		// deleted stays so.
		edit := [16]byte{7: 1, 15: 9}
		bob.must(bob.do(t.Context(), func(t *turn) error {
			own := bob.frameIDIn(t, said.ID)
			return t.wait(t.book.contacts[a], waitRecord{Type: byte(session.FrameEdit), ID: edit, Content: append(own[:], "edited once"...)})
		}))
		eventually(t, time.Minute, "edited once", func() bool { return alice.message(b, atAlice.ID).Text == "edited once" })
		bob.inject(a, session.FrameEdit, append(edit[:], "edited twice"...))
		bob.must(bob.Delete(t.Context(), said.ID, true))
		eventually(t, time.Minute, "deleted", func() bool { return alice.message(b, atAlice.ID).Deleted == DeletedPeer })
		own := bob.frameID(said.ID)
		bob.inject(a, session.FrameEdit, append(own[:], "back again"...))
		bob.inject(a, session.FrameReact, append(own[:], "👍"...))
		last = bob.say(a, "done again")
		eventually(t, time.Minute, "delivered", func() bool { return bob.message(a, last.ID).State == Delivered })
		if m := alice.message(b, atAlice.ID); m.Text != "" || m.Deleted != DeletedPeer || m.Reactions != nil {
			t.Errorf("a deleted message came back: %+v", m)
		}
	})
}

func (u *user) frameIDIn(t *turn, message string) [16]byte {
	u.t.Helper()
	_, _, rec, err := t.find(message)
	if err != nil {
		u.t.Error(err)
		return [16]byte{}
	}
	return rec.ID
}

// onTheirWay returns the blocks to a contact that carry what people did.
func (u *user) onTheirWay(contact string) (inners [][]byte) {
	u.t.Helper()
	u.must(u.look(context.Background(), func(t *turn) error {
		c := t.book.contacts[contact]
		for _, seq := range c.order {
			if kind := session.FrameType(c.out[seq].rec.Type); seq < requestSeq && !kind.Control() {
				inners = append(inners, c.out[seq].rec.Inner)
			}
		}
		return nil
	}))
	return inners
}

// hand gives u a block of a contact, as if a relay had.
func (u *user) hand(contact string, inner []byte) {
	u.t.Helper()
	u.must(u.do(context.Background(), func(t *turn) error {
		c := t.book.contacts[contact]
		t.touch(c)
		if err := t.takeInner(c, inner); err != nil {
			return err
		}
		return t.release(c)
	}))
}

// TestAmendmentsOutOfOrder hands a contact's messages over so that amendments
// come before what they amend, and older ones after newer ones.
func TestAmendmentsOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		<-time.After(time.Minute)
		bob.net.cut(false)
		alice.net.cut(false)
		m := alice.say(b, "first")                                                         // 0
		alice.must(alice.Edit(t.Context(), m.ID, "second"))                                // 1
		alice.must(alice.Edit(t.Context(), m.ID, "third"))                                 // 2
		alice.must(alice.React(t.Context(), m.ID, "👍"))                                    // 3
		alice.must(alice.React(t.Context(), m.ID, ""))                                     // 4
		gone := alice.say(b, "never seen")                                                 // 5
		alice.must(alice.Delete(t.Context(), gone.ID, true))                               // 6
		_, err := alice.StartSend(t.Context(), b, "an answer", SendOptions{Reply: m.ID})() // 7
		alice.must(err)
		inners := alice.onTheirWay(b)
		if len(inners) != 8 {
			t.Fatalf("%d frames on their way", len(inners))
		}
		for _, i := range []int{7, 4, 2, 6, 3, 1, 5, 0} {
			bob.hand(a, inners[i])
			<-time.After(bob.timing().gapHold + time.Second)
			bob.crash()
			bob.net.cut(false)
		}
		list, err := bob.Messages(t.Context(), a, 0, 10)
		bob.must(err)
		if len(list) != 3 {
			t.Fatalf("%d messages: %+v", len(list), list)
		}
		answer, deleted, edited := list[0], list[1], list[2]
		if edited.Text != "third" || !edited.Edited || edited.Reactions != nil {
			t.Errorf("edited: %+v", edited)
		}
		if deleted.Text != "" || deleted.Deleted != DeletedPeer {
			t.Errorf("deleted: %+v", deleted)
		}
		if answer.Reply != edited.ID {
			t.Errorf("the answer is to %q, not %q", answer.Reply, edited.ID)
		}
		// The message is there, and two edits of it change places.
		alice.must(alice.Edit(t.Context(), m.ID, "fourth"))
		alice.must(alice.Edit(t.Context(), m.ID, "fifth"))
		inners = alice.onTheirWay(b)[len(inners):]
		for _, i := range []int{1, 0} {
			bob.hand(a, inners[i])
			<-time.After(bob.timing().gapHold + time.Second)
		}
		if m := bob.message(a, edited.ID); m.Text != "fifth" {
			t.Errorf("after edits that changed places: %q", m.Text)
		}
		bob.must(bob.look(t.Context(), func(t *turn) error {
			return each(t.tx, bucketEarly+a, func(n uint64, _ []byte) error { bob.t.Errorf("wish %d is kept", n); return nil })
		}))
	})
}

// TestDeleteBeforeSending deletes for both what no block was made of yet: it is
// never sent, and nothing is asked of the contact.
func TestDeleteBeforeSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		inv, err := alice.CreateInvite(t.Context(), "bob")
		alice.must(err)
		bob.net.cut(false)
		c, err := bob.AcceptInvite(t.Context(), inv.Link, "alice")
		bob.must(err)
		regret := bob.say(c.ID, "I regret this")
		bob.say(c.ID, "hello")
		bob.must(bob.Delete(t.Context(), regret.ID, true))
		m := bob.message(c.ID, regret.ID)
		if m.Deleted != DeletedHere || m.State != Failed {
			t.Errorf("deleted before it was sent: %+v", m)
		}
		bob.crash()
		eventually(t, 2*time.Minute, "hello", func() bool {
			list, _ := alice.Contacts(t.Context())
			return len(list) == 1 && len(alice.texts(list[0].ID, In)) > 0
		})
		<-time.After(time.Minute)
		if got := alice.texts(alice.only(), In); !slices.Equal(got, []string{"hello"}) {
			t.Errorf("alice got %q", got)
		}
	})
}

// TestDeleteFile deletes an offer that the contact has not seen: nothing of the
// file is left, and it does not count as delivered.
func TestDeleteFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		<-time.After(time.Minute)
		bob.stop()
		path := filepath.Join(t.TempDir(), "plan.pdf")
		alice.must(os.WriteFile(path, make([]byte, 5000), 0o600))
		for _, both := range []bool{false, true} {
			f, err := alice.SendFile(t.Context(), b, path, SendFileOptions{})
			alice.must(err)
			<-time.After(10 * time.Second)
			list, err := alice.Messages(t.Context(), b, 0, 10)
			alice.must(err)
			m := list[len(list)-1]
			if m.Kind != KindMessageFile {
				t.Fatalf("the offer is %+v", m)
			}
			alice.must(alice.Delete(t.Context(), m.ID, both))
			<-time.After(time.Minute)
			m = alice.message(b, m.ID)
			if m.State != Failed || m.Text != "" || m.Deleted == "" {
				t.Errorf("deleted for both %v: %+v", both, m)
			}
			if files, err := alice.Files(t.Context(), b); err != nil || len(files) != 0 {
				t.Errorf("files %v, error %v", files, err)
			}
			if left, err := filepath.Glob(filepath.Join(alice.home, "*", "*"+f.ID+"*")); err != nil || left != nil {
				t.Errorf("left of the file: %v, error %v", left, err)
			}
		}
	})
}

// TestEarlierTextsBounded edits one message often, with long texts.
func TestEarlierTextsBounded(t *testing.T) {
	rec := &messageRecord{Text: "0"}
	for i := range 40 {
		rec.edit(strings.Repeat("x", 1000*(i%9)), int64(i+1))
	}
	size := 0
	for _, e := range rec.Mark.Earlier {
		size += len(e.Text)
	}
	if n := len(rec.Mark.Earlier); n != maxEarlier || size > maxEarlierSize || rec.Mark.Earlier[n-1].Time != 39 {
		t.Errorf("%d earlier texts of %d bytes", n, size)
	}
	for range 3 {
		rec.edit(strings.Repeat("y", session.MaxText), 50)
	}
	if n := len(rec.Mark.Earlier); n != 1 {
		t.Errorf("%d earlier texts of 64 KiB", n)
	}
}

func TestEmoji(t *testing.T) {
	for _, s := range []string{"👍", "❤", "❤️", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "3️⃣", "#⃣", "☺️", "✅", "⌛", "©️", "🅰️"} {
		if !isEmoji(s) {
			t.Errorf("%q is no emoji", s)
		}
	}
	for _, s := range []string{
		"", "a", "3", "👍👍", "👍 ", " 👍", "👍a", "🇩", "🇩🇪🇩", "\u200d👍", "👍\u200d", "👍\u202e", "\ufe0f", "🏽", "👍🏽🏽",
		"\n", "\x1b[31m", "ä", "\ufffd", "\xff", "👍\u0301", strings.Repeat("👩\u200d", 20) + "👩", "¿", "∑",
	} {
		if isEmoji(s) {
			t.Errorf("%q is taken for an emoji", s)
		}
	}
}
