package tui

import (
	"fmt"
	"testing"
	"time"

	"hearsay/chat"
)

// TestEndTwiceMarksAsRead: who jumps over a flood keeps it as unread, until they
// ask for the end once more.
func TestEndTwiceMarksAsRead(t *testing.T) {
	f := newFake()
	for i := range 200 {
		f.messages["c_1"] = append(f.messages["c_1"], chat.Message{ID: fmt.Sprint("m_f", i), Contact: "c_1", Direction: chat.In, Text: "flood", Seq: uint64(100 + i), Time: testNow.Add(-time.Hour), State: chat.Received})
	}
	f.contacts[0].Settings = &chat.Conversation{Displayed: 8}
	f.contacts[0].Unread = 200
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.key("alt+end")
	if n := d.a.find("c_1").unread; n < 100 {
		t.Fatalf("%d are unread after the jump", n)
	}
	d.key("alt+end")
	if n := d.a.find("c_1").unread; n != 0 {
		t.Errorf("%d are unread", n)
	}
	d.has("marked as read")
	if !f.called("MarkDisplayed c_1 299") {
		t.Error("the profile is not told")
	}
}
