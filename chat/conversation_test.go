package chat

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/chat/session"
	"hearsay/relay/mailbox"
)

const day = 24 * time.Hour

func (u *user) set(contact string, change ConversationChange) {
	u.t.Helper()
	u.must(u.SetConversation(context.Background(), contact, change))
}

// gone tells whether nothing is left of a message on the disk of u: no row, no
// planned removal, nothing to be sent.
func (u *user) gone(message string) bool {
	u.t.Helper()
	left := false
	u.must(u.look(context.Background(), func(t *turn) error {
		conversation, number, ok := parseMessageID(message)
		if !ok {
			u.t.Fatalf("id %q", message)
		}
		rec, err := t.row(conversation, number)
		if err != nil {
			return err
		}
		left = rec != nil
		c := t.book.contacts[conversation]
		for _, o := range c.out {
			left = left || o.rec.Number == number
		}
		for _, w := range c.waiting {
			left = left || w.number == number
		}
		return each(t.tx, bucketExpiry, func(_ uint64, raw []byte) error {
			var due expiryRecord
			err := decode(raw, &due)
			left = left || !due.Early && due.Conversation == conversation && due.Number == number
			return err
		})
	}))
	return !left
}

// pass lets time pass with all relays and the given users stopped, since nothing
// happens then that costs real time, and starts them again.
func (w *fakeWorld) pass(d time.Duration, users ...*user) {
	for _, u := range users {
		u.stop()
	}
	for _, r := range w.relays {
		w.stop(r)
	}
	<-time.After(d)
	for _, r := range w.relays {
		w.start(r)
	}
	for _, u := range users {
		u.start()
	}
}

// TestDisappearing sets a time and looks when messages go: the sender's clock
// starts at delivered, the receiver's when the message was first displayed.
func TestDisappearing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		stays := alice.say(b, "this stays")
		bob.theirs(a, "this stays")
		one := day
		alice.set(b, ConversationChange{DisappearAfter: &one})
		alice.theirs(b, "you set messages to disappear after 1 day")
		bob.theirs(a, "alice set messages to disappear after 1 day")
		if s := bob.contact(a).Settings; s == nil || s.DisappearAfter != day {
			t.Errorf("bob's setting is %+v", s)
		}

		sent := alice.say(b, "burn this")
		atBob := bob.theirs(a, "burn this")
		eventually(t, time.Minute, "delivered", func() bool { return alice.message(b, sent.ID).State == Delivered })
		delivered := time.Now()
		if at := alice.message(b, sent.ID).Expires; at == nil || at.Sub(delivered).Abs() > day+2*time.Second || delivered.Add(day).Sub(*at) > 2*time.Second {
			t.Errorf("expires at %v, delivered at %v", at, delivered)
		}
		if at := bob.message(a, atBob.ID).Expires; at != nil {
			t.Errorf("expires at %v without having been displayed", at)
		}
		sleep := func(d time.Duration) {
			t.Helper()
			w.pass(d, alice, bob)
			<-time.After(5 * time.Second)
		}
		sleep(2 * time.Hour)
		bob.must(bob.MarkDisplayed(t.Context(), a, atBob.Seq))
		shown := time.Now()
		sleep(time.Until(delivered.Add(day - time.Minute)))
		bob.must(bob.MarkDisplayed(t.Context(), a, atBob.Seq)) // the first display counts
		if alice.gone(sent.ID) {
			t.Error("gone at alice too early")
		}
		sleep(time.Minute)
		if !alice.gone(sent.ID) {
			t.Error("not gone at alice after a day")
		}
		sleep(time.Until(shown.Add(day - time.Minute)))
		if bob.gone(atBob.ID) {
			t.Error("gone at bob too early")
		}
		<-time.After(time.Until(shown.Add(day + 10*time.Second)))
		if !bob.gone(atBob.ID) {
			t.Error("not gone at bob a day after it was displayed")
		}
		told := false
		for _, ev := range bob.events() {
			told = told || ev.Type == MessageChanged && ev.Message.ID == atBob.ID && ev.Message.Deleted == DeletedExpired && ev.Message.Text == ""
		}
		if !told {
			t.Error("bob was not told")
		}
		if m := alice.message(b, stays.ID); m.Text != "this stays" {
			t.Errorf("what was written before is %+v", m)
		}
	})
}

// TestDisappearsAtTheLatest checks the bound for what is never delivered and for
// what is never displayed.
func TestDisappearsAtTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		one := day
		alice.set(b, ConversationChange{DisappearAfter: &one})
		unseen := alice.say(b, "never looked at")
		atBob := bob.theirs(a, "never looked at")
		bob.stop()
		never := alice.say(b, "never delivered")
		w.pass(alice.timing().expire+time.Minute, alice)
		eventually(t, time.Minute, "given up", func() bool { return alice.message(b, never.ID).State == Failed })
		if m := alice.message(b, never.ID); m.Expires != nil {
			t.Errorf("never delivered: %+v", m)
		}
		w.pass(day, alice, bob)
		<-time.After(5 * time.Second)
		if !alice.gone(unseen.ID) || !alice.gone(never.ID) {
			t.Error("something is left at alice")
		}
		if !bob.gone(atBob.ID) {
			t.Error("what bob never displayed is not gone")
		}
	})
}

// TestTimersSetAtOnce has both sides set another time at once: both come to the
// shorter one. What is malformed or older changes nothing.
func TestTimersSetAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		<-time.After(time.Minute)
		setting := func(u *user, contact string) time.Duration {
			if s := u.contact(contact).Settings; s != nil {
				return s.DisappearAfter
			}
			return 0
		}
		for _, c := range []struct{ alice, bob, both time.Duration }{{28 * day, day, day}, {0, 7 * day, 7 * day}} {
			alice.net.cut(false)
			bob.net.cut(false)
			alice.set(b, ConversationChange{DisappearAfter: &c.alice})
			bob.set(a, ConversationChange{DisappearAfter: &c.bob})
			alice.net.cut(true)
			bob.net.cut(true)
			last, back := alice.say(b, "last"), bob.say(a, "last")
			eventually(t, time.Minute, "exchanged", func() bool {
				return alice.message(b, last.ID).State == Delivered && bob.message(a, back.ID).State == Delivered
			})
			if x, y := setting(alice, b), setting(bob, a); x != c.both || y != c.both {
				t.Errorf("alice has %v, bob %v; want %v", x, y, c.both)
			}
		}
		for _, bad := range [][]byte{nil, {0, 0, 0, 1, 0, 0, 0, 99}, session.Timer{Seconds: 0, Change: 1}.Append(nil), make([]byte, 8), make([]byte, 9)} {
			bob.inject(a, session.FrameTimer, bad)
		}
		last := bob.say(a, "over")
		eventually(t, time.Minute, "delivered", func() bool { return bob.message(a, last.ID).State == Delivered })
		if x := setting(alice, b); x != 7*day {
			t.Errorf("alice has %v", x)
		}
		hour := time.Hour
		if err := alice.SetConversation(t.Context(), b, ConversationChange{DisappearAfter: &hour}); KindOf(err) != KindRefused {
			t.Errorf("an hour: %v", err)
		}
	})
}

// TestSettings sets what stays on this disk, and reads it after a crash.
func TestSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		<-time.After(time.Minute)
		sent := w.count(mailbox.CmdSend)
		yes, no, draft := true, false, "see you at the usual\nplace"
		alice.events()
		alice.set(b, ConversationChange{Muted: &yes, Archived: &yes, Pinned: &yes})
		alice.set(b, ConversationChange{Archived: &no})
		alice.set(b, ConversationChange{Draft: &draft})
		changes := 0
		for _, ev := range alice.events() {
			if ev.Type == ConversationChanged && ev.Contact.ID == b && ev.Contact.Settings.Muted {
				changes++
			}
		}
		if changes != 2 {
			t.Errorf("%d changes were told, want 2: a draft is no news", changes)
		}
		alice.crash()
		if s := alice.contact(b).Settings; s == nil || *s != (Conversation{Muted: true, Pinned: true, Draft: draft}) {
			t.Errorf("settings %+v", s)
		}
		draft = ""
		alice.set(b, ConversationChange{Draft: &draft, Muted: &no, Pinned: &no})
		if s := alice.contact(b).Settings; s != nil {
			t.Errorf("settings %+v after all was taken back", s)
		}
		long := strings.Repeat("x", session.MaxText+1)
		if err := alice.SetConversation(t.Context(), b, ConversationChange{Draft: &long}); KindOf(err) != KindTooLarge {
			t.Errorf("a long draft: %v", err)
		}
		if err := alice.SetConversation(t.Context(), "c_none", ConversationChange{Muted: &yes}); KindOf(err) != KindNotFound {
			t.Errorf("no contact: %v", err)
		}
		<-time.After(time.Minute)
		if n := w.count(mailbox.CmdSend); n != sent {
			t.Errorf("%d blocks were sent", n-sent)
		}
	})
}

// commands counts what all relays got.
func (w *fakeWorld) commands() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen)
}

// TestNotesStayHere writes, edits and deletes notes: nothing reaches a relay.
func TestNotesStayHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice := w.user(t)
		if list, err := alice.Contacts(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("contacts %v, error %v", list, err)
		}
		<-time.After(time.Minute)
		before := w.commands()
		note := alice.say(NotesID, "the green door")
		if note.State != Delivered || note.Contact != NotesID {
			t.Errorf("note %+v", note)
		}
		wait := alice.StartSend(t.Context(), NotesID, "or the red one", SendOptions{Reply: note.ID})
		reply, err := wait()
		alice.must(err)
		alice.must(alice.Edit(t.Context(), note.ID, "the blue door"))
		alice.must(alice.React(t.Context(), note.ID, "✅"))
		alice.must(alice.Delete(t.Context(), reply.ID, true))
		alice.must(alice.MarkDisplayed(t.Context(), NotesID, 9))
		yes := true
		alice.set(NotesID, ConversationChange{Pinned: &yes})
		one := day
		if err := alice.SetConversation(t.Context(), NotesID, ConversationChange{DisappearAfter: &one}); KindOf(err) != KindRefused {
			t.Errorf("a time for notes: %v", err)
		}
		alice.crash()
		if m := alice.message(NotesID, note.ID); m.Text != "the blue door" || !m.Edited || len(m.Reactions) != 1 {
			t.Errorf("note %+v", m)
		}
		if m := alice.message(NotesID, reply.ID); m.Deleted != DeletedHere || m.Reply != "" {
			t.Errorf("deleted note %+v", m)
		}
		c := alice.contact(NotesID)
		if c.Name != NotesID || c.State != ContactActive || c.Settings == nil || !c.Settings.Pinned || c.Settings.Displayed != 2 {
			t.Errorf("contact %+v", c)
		}
		why, err := alice.Why(t.Context(), note.ID)
		if err != nil || why.History[0].State != Delivered || why.NextTry != nil {
			t.Errorf("why %+v, error %v", why, err)
		}
		if found, err := alice.Search(t.Context(), "BLUE", "", 0); err != nil || len(found) != 1 || found[0].ID != note.ID {
			t.Errorf("found %v, error %v", found, err)
		}
		<-time.After(time.Minute)
		if n := w.commands(); n != before {
			t.Errorf("%d commands to relays", n-before)
		}
		if _, err := alice.CreateInvite(t.Context(), "Notes"); KindOf(err) != KindExists {
			t.Errorf("a contact named notes: %v", err)
		}
	})
}
