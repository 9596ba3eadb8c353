package chat

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestFloodOfDisappearing displays many messages at once whose author had them
// disappear: their clocks all end in one second, and nothing may take long.
func TestFloodOfDisappearing(t *testing.T) {
	const n = 2000
	m, contact := searchable(t, 0)
	err := m.do(t.Context(), func(t *turn) error {
		c := newContact("c_flooding")
		c.rec.Name, contact = "flooding", c.id
		t.book.contacts[c.id] = c
		t.touch(c)
		for i := range n {
			rec := messageRecord{Time: t.now.UnixMilli(), ID: [16]byte{1, byte(i), byte(i >> 8)}, Text: fmt.Sprint(i), Timer: 24 * 60 * 60}
			if _, err := t.addRow(c.id, &rec); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := m.MarkDisplayed(t.Context(), contact, n); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
	planned := 0
	err = m.look(t.Context(), func(t *turn) error {
		return each(t.tx, bucketExpiry, func(row uint64, raw []byte) error {
			planned++
			var due expiryRecord
			if err := decode(raw, &due); err != nil {
				return err
			}
			rec, err := t.row(due.Conversation, due.Number)
			if err == nil && (rec.Mark.Expiry != row || !rec.Mark.Counting) {
				return fmt.Errorf("message %d is planned for %d, and says %d", due.Number, row, rec.Mark.Expiry)
			}
			return err
		})
	})
	if err != nil || planned != n {
		t.Errorf("%d removals are planned, want %d: %v", planned, n, err)
	}
	if s := must(m.Contacts(t.Context())); s[0].Settings.Displayed != n {
		t.Errorf("displayed up to %d", s[0].Settings.Displayed)
	}
}

// TestEditOutlivesMessage edits a message that disappears, to a contact who is
// away: the new text goes from this disk with the message.
func TestEditOutlivesMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, a := befriend(t, alice, bob)
		one := day
		alice.set(b, ConversationChange{DisappearAfter: &one})
		sent := alice.say(b, "burn this")
		bob.theirs(a, "burn this")
		eventually(t, time.Minute, "delivered", func() bool { return alice.message(b, sent.ID).State == Delivered })
		bob.stop()
		alice.must(alice.Edit(t.Context(), sent.ID, "burn that"))
		alice.must(alice.React(t.Context(), sent.ID, "🔥"))
		<-time.After(time.Minute)
		if n := len(alice.onTheirWay(b)); n != 2 {
			t.Fatalf("%d frames on their way, want 2", n)
		}
		w.pass(day, alice)
		<-time.After(5 * time.Second)
		if !alice.gone(sent.ID) {
			t.Error("not gone")
		}
		if n := len(alice.onTheirWay(b)); n != 0 {
			t.Errorf("%d frames with what it said then are kept", n)
		}
	})
}
