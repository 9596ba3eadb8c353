package chat

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"hearsay/chat/session"
)

// Conversation is what people set for a conversation with a contact or group.
type Conversation struct {
	DisappearAfter time.Duration `json:"disappear_after,omitempty"` // 0: off, else 1, 7 or 28 days
	Muted          bool          `json:"muted,omitempty"`
	Archived       bool          `json:"archived,omitempty"`
	Pinned         bool          `json:"pinned,omitempty"`
	Draft          string        `json:"draft,omitempty"`
	Displayed      uint64        `json:"displayed,omitempty"` // messages up to this number were shown
}

// ConversationChange changes what is not nil.
type ConversationChange struct {
	DisappearAfter *time.Duration
	Muted          *bool
	Archived       *bool
	Pinned         *bool
	Draft          *string
}

// settingsRecord is what people set for a conversation.
type settingsRecord struct {
	Timer     uint32 `cbor:"1,keyasint,omitempty"` // seconds after which messages disappear; 0: never
	Change    uint32 `cbor:"2,keyasint,omitempty"` // of the timer, by either side
	Muted     bool   `cbor:"3,keyasint,omitempty"`
	Archived  bool   `cbor:"4,keyasint,omitempty"`
	Pinned    bool   `cbor:"5,keyasint,omitempty"`
	Displayed uint64 `cbor:"6,keyasint,omitempty"` // messages up to this number were shown
}

const (
	bucketSettings = "settings" // of groups and of the notes; those of a contact lie with the contact
	bucketDraft    = "draft"    // by conversation: a row of its own, since a contact's row is written often
)

// settings returns what was set for a conversation.
func (t *turn) settings(id string) (settingsRecord, error) {
	var s settingsRecord
	if c := t.book.contacts[id]; c != nil {
		if c.rec.Settings != nil {
			s = *c.rec.Settings
		}
		return s, nil
	}
	raw, err := t.tx.Bucket(bucketSettings).Get(id)
	if raw == nil || err != nil {
		return s, err
	}
	return s, decode(raw, &s)
}

func (t *turn) saveSettings(id string, s settingsRecord) error {
	if c := t.book.contacts[id]; c != nil {
		c.rec.Settings = &s
		t.touch(c)
		return nil
	}
	return t.tx.Bucket(bucketSettings).Put(id, encode(s))
}

// conversation describes what was set for a conversation, for contact and group
// lists; nil if nothing was.
func (t *turn) conversation(id string) (*Conversation, error) {
	s, err := t.settings(id)
	if err != nil {
		return nil, err
	}
	draft, err := t.tx.Bucket(bucketDraft).Get(id)
	if err != nil {
		return nil, err
	}
	v := Conversation{
		DisappearAfter: time.Duration(s.Timer) * time.Second, Muted: s.Muted, Archived: s.Archived, Pinned: s.Pinned,
		Draft: string(draft), Displayed: s.Displayed,
	}
	if v == (Conversation{}) {
		return nil, nil
	}
	return &v, nil
}

// timer is after how many seconds what is written to a contact now disappears.
func (c *contact) timer() uint32 {
	if c.rec.Settings == nil {
		return 0
	}
	return c.rec.Settings.Timer
}

// SetConversation changes the settings of a contact, a group or the notes. The
// time after which messages disappear is told to the other side; messages that
// were written before keep theirs. It fails with not_found, refused (a time that
// is not offered, or where none can be set) or too_large.
func (m *Messenger) SetConversation(ctx context.Context, id string, change ConversationChange) error {
	if change.Draft != nil {
		switch draft := *change.Draft; {
		case len(draft) > session.MaxText:
			return &Error{Kind: KindTooLarge, Text: "the draft is too long", Hint: "64 KiB of text at most"}
		case !utf8.ValidString(draft):
			return &Error{Kind: KindRefused, Text: "a draft is a text in UTF-8"}
		}
	}
	return m.do(ctx, func(t *turn) error {
		if !t.isConversation(id) {
			return errNoContact
		}
		s, err := t.settings(id)
		if err != nil {
			return err
		}
		before := s
		if change.DisappearAfter != nil {
			if err := t.setTimer(id, &s, *change.DisappearAfter); err != nil {
				return err
			}
		}
		for _, set := range []struct {
			to *bool
			at *bool
		}{{change.Muted, &s.Muted}, {change.Archived, &s.Archived}, {change.Pinned, &s.Pinned}} {
			if set.to != nil {
				*set.at = *set.to
			}
		}
		if change.Draft != nil {
			if err := t.setDraft(id, *change.Draft); err != nil {
				return err
			}
		}
		if s == before {
			return nil
		}
		if err := t.saveSettings(id, s); err != nil {
			return err
		}
		return t.conversationChanged(id)
	})
}

func (t *turn) setDraft(id, text string) error {
	if text == "" {
		return t.tx.Bucket(bucketDraft).Delete(id)
	}
	return t.tx.Bucket(bucketDraft).Put(id, []byte(text))
}

// setTimer sets after how long messages to a contact disappear, and tells the
// contact. The caller saves s.
func (t *turn) setTimer(id string, s *settingsRecord, after time.Duration) error {
	seconds := after / time.Second
	if after%time.Second != 0 || seconds < 0 || seconds > 1<<31 || !session.ValidTimer(uint32(seconds)) {
		return &Error{Kind: KindRefused, Text: "messages cannot be set to disappear after that time", Hint: "choose 0 (never), or 1, 7 or 28 days"}
	}
	c := t.book.contacts[id]
	switch {
	case c == nil:
		return &Error{Kind: KindRefused, Text: "only messages between two people can be set to disappear"}
	case s.Timer == uint32(seconds):
		return nil
	}
	if err := c.mayWrite(); err != nil {
		return err
	}
	s.Timer, s.Change = uint32(seconds), s.Change+1
	if err := t.addNotice(c, "you set messages to disappear "+timerWords(s.Timer)); err != nil {
		return err
	}
	return t.wait(c, waitRecord{Type: byte(session.FrameTimer), Content: session.Timer{Seconds: s.Timer, Change: s.Change}.Append(nil)})
}

func timerWords(seconds uint32) string {
	switch days := seconds / (24 * 60 * 60); days {
	case 0:
		return "never"
	case 1:
		return "after 1 day"
	default:
		return fmt.Sprintf("after %d days", days)
	}
}

// takeTimer takes that the contact set after how long messages disappear. Both
// sides may do so at once: the higher number of change holds, and of two that
// are equal the shorter time, so that both come to the same.
func (t *turn) takeTimer(c *contact, m session.Message) error {
	timer, err := session.ParseTimer(m.Content)
	if err != nil {
		return nil //nolint:nilerr // malformed: nobody to tell
	}
	s, err := t.settings(c.id)
	if err != nil || timer.Change < s.Change || timer.Change == s.Change && timer.Seconds-1 >= s.Timer-1 { // 0 is the longest
		return err
	}
	was := s.Timer
	s.Timer, s.Change = timer.Seconds, timer.Change
	if err := t.saveSettings(c.id, s); err != nil || s.Timer == was {
		return err
	}
	if err := t.addNotice(c, c.rec.Name+" set messages to disappear "+timerWords(s.Timer)); err != nil {
		return err
	}
	return t.conversationChanged(c.id)
}

// addNotice shows a line of the program's own in the conversation with a
// contact.
func (t *turn) addNotice(c *contact, text string) error {
	return t.addMessage(c, messageRecord{Kind: kindNotice, Text: text})
}

// conversationChanged tells what was set for a conversation.
func (t *turn) conversationChanged(id string) error {
	ev, err := t.conversationEvent(id)
	if err == nil {
		t.publish(*ev)
	}
	return err
}

// conversationEvent makes the event of what is set for a conversation.
func (t *turn) conversationEvent(id string) (*Event, error) {
	settings, err := t.conversation(id)
	if err != nil {
		return nil, err
	}
	ev := &Event{Type: ConversationChanged}
	switch c := t.book.contacts[id]; {
	case c != nil:
		shape := shapeContact(c)
		shape.Settings = settings
		ev.Contact = &shape
	case id == NotesID:
		ev.Contact = &Contact{ID: NotesID, Name: NotesID, State: ContactActive, Settings: settings}
	default:
		ev.Group = &Group{ID: id, Settings: settings}
	}
	return ev, nil
}

// MarkDisplayed notes that the messages of a contact, a group or the notes up to
// a number were shown to the user. It starts the time of those of the contact
// that are to disappear. A program that never calls it still loses them, at the
// latest when their time has passed after the longest that delivery may take.
func (m *Messenger) MarkDisplayed(ctx context.Context, id string, upto uint64) error {
	for done := false; !done; {
		err := m.do(ctx, func(t *turn) (err error) {
			done, err = t.markDisplayed(id, upto)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// displayBatch is how many clocks are started in one transaction, so that
// sending does not wait for who displays a flood.
const displayBatch = 256

// markDisplayed does a part of MarkDisplayed, and tells whether it was the last.
func (t *turn) markDisplayed(id string, upto uint64) (done bool, err error) {
	if !t.isConversation(id) {
		return false, errNoContact
	}
	s, err := t.settings(id)
	if err != nil {
		return false, err
	}
	last, err := t.tx.History(id).Last()
	if upto = min(upto, last); err != nil || upto <= s.Displayed {
		return true, err
	}
	reached := upto
	if !strings.HasPrefix(id, "g_") && id != NotesID {
		if reached, err = t.startClocks(id, s.Displayed+1, upto); err != nil {
			return false, err
		}
	}
	s.Displayed = reached
	return reached == upto, t.saveSettings(id, s)
}

// startClocks starts the time of the received messages in a range, of as many as
// a transaction takes, and returns the number up to which it came.
func (t *turn) startClocks(id string, from, upto uint64) (reached uint64, err error) {
	var numbers []uint64
	var recs []*messageRecord
	reached = upto
	err = t.tx.History(id).Up(from, func(n uint64, raw []byte) (bool, error) {
		if n > upto {
			return false, nil
		}
		rec := new(messageRecord)
		if err := decode(raw, rec); err != nil {
			return false, err
		}
		if !rec.Out && rec.Timer != 0 && !rec.mark().Counting {
			numbers, recs = append(numbers, n), append(recs, rec)
		}
		if len(numbers) == displayBatch {
			reached = n
			return false, nil
		}
		return true, nil
	})
	if err != nil {
		return 0, err
	}
	for i, n := range numbers {
		if err := t.startClock(id, n, recs[i]); err != nil {
			return 0, err
		}
		if err := t.changed(id, n, recs[i]); err != nil {
			return 0, err
		}
	}
	return reached, nil
}
