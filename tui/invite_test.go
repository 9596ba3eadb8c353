package tui

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// TestOpeningsAreCounted: what relays tell of an invite is read again while it is
// on the screen, and a second reader is told in words.
func TestOpeningsAreCounted(t *testing.T) {
	d, f := withCrowd(t, 80, 24)
	f.invites = nil
	d.key("alt+n")
	d.typeText("carol")
	d.key("enter")
	d.has("waiting, opened 0 times")
	f.invites[0].Opened = 2
	dlg := d.a.top().(*inviteDialog)
	d.run(d.a.lookAtInvite(dlg))
	d.has("opened 2 times")
	d.has("More than one reader")
	f.fail = map[string]error{"Invites": errors.New("no disk")}
	d.run(d.a.lookAtInvite(dlg))
	d.has("opened 2 times") // as was last known
}

// TestEndedInviteIsNotOffered: a link that is worthless is neither shown nor given
// out any more.
func TestEndedInviteIsNotOffered(t *testing.T) {
	d, f := withCrowd(t, 80, 24)
	d.key("alt+n")
	d.typeText("carol")
	d.key("enter")
	f.invites = nil
	d.run(d.a.lookAtInvite(d.a.top().(*inviteDialog)))
	d.has("not open any more")
	if s := d.screen(); strings.Contains(s, f.invite.Link[:20]) || strings.Contains(s, "▀▀▀") {
		t.Errorf("the link is still there:\n%s", s)
	}
	if _, cmd := d.a.Update(keyPress("c")); cmd != nil {
		t.Error("a worthless link is copied")
	}
	d.key("n")
	d.has("name for them:")
}

// TestInviteIsRevoked asks first, and takes the link from the screen then.
func TestInviteIsRevoked(t *testing.T) {
	d, f := withCrowd(t, 80, 24)
	d.run(d.a.openInvites())
	d.key("j", "x", "n")
	if f.count("RevokeInvite") > 0 {
		t.Fatal("revoked without a yes")
	}
	d.key("x", "y")
	if !f.called("RevokeInvite i_2") {
		t.Errorf("calls %q", f.calls)
	}
	if s := d.screen(); strings.Contains(s, "no name") {
		t.Errorf("it is still listed:\n%s", s)
	}
	d.key("k", "enter")
	d.has("for: carol")
	d.key("x", "y")
	d.has("not open any more")
	d.key("esc")
	d.key("j", "j", "x", "y")
	if !f.called("RevokeAddress a_1") || !f.called("RevokeInvite i_1") {
		t.Errorf("calls %q", f.calls)
	}
}

// TestLinkIsCopiedByKeyAlone: the clipboard is other programs' too.
func TestLinkIsCopiedByKeyAlone(t *testing.T) {
	d, f := withCrowd(t, 80, 24)
	d.run(d.a.showInvite(f.invites[0]))
	_, cmd := d.a.Update(keyPress("c"))
	if cmd == nil || fmt.Sprint(cmd()) != f.invite.Link {
		t.Error("the key does not copy")
	}
	d.has("the terminal may keep it")
}

// TestLinkIsWrittenOnce writes the link to a new file, and shows why it cannot.
func TestLinkIsWrittenOnce(t *testing.T) {
	d, f := withCrowd(t, 80, 24)
	d.run(d.a.showInvite(f.invites[0]))
	if strings.Contains(d.screen(), "write file") {
		t.Error("writing is offered where nothing can write")
	}
	var path, data string
	fail := error(&chat.Error{Kind: chat.KindExists, Text: "there is a file of that name"})
	d.a.cfg.WriteFile = func(p string, b []byte) error {
		path, data = p, string(b)
		return fail
	}
	d.key("w")
	d.typeText("carol.txt")
	d.key("enter")
	d.has("there is a file of that name")
	fail = nil
	d.key("enter")
	if path != "carol.txt" || data != f.invite.Link+"\n" {
		t.Errorf("wrote %q to %q", data, path)
	}
	d.has("the link is in carol.txt")
}

// TestInviteNeedsTheNetwork keeps the name when no relay took the invite.
func TestInviteNeedsTheNetwork(t *testing.T) {
	d, f := withCrowd(t, 80, 24)
	f.fail = map[string]error{"CreateInvite": &chat.Error{Kind: chat.KindNoNetwork, Text: "no relay took the invite", Hint: "look at the network view"}}
	d.key("alt+n")
	d.typeText("carol")
	d.key("enter")
	d.has("no relay took the invite (look at the network view)")
	d.has("name for them: carol")
}

// TestAddressAsksForWhatIsShown: the link of an address asks for a name and a text,
// which go to its owner; that of an invite asks for neither.
func TestAddressAsksForWhatIsShown(t *testing.T) {
	d, f := withCrowd(t, 80, 24)
	d.msg(tea.PasteMsg{Content: " " + addressLink[:60] + "\n│" + addressLink[60:]})
	d.has("This is an address")
	d.typeText("the journal")
	d.key("enter")
	d.typeText("Vera")
	d.key("enter")
	d.msg(tea.PasteMsg{Content: "two\nlines\x1b[2J\u202e"})
	d.key("enter")
	if want := "AskContact " + addressLink + " the journal Vera two lines[2J"; !f.called(want) {
		t.Errorf("calls %q, want %q", f.calls[len(f.calls)-4:], want)
	}
	d.has("Nobody answers before they accept")

	d, f = withCrowd(t, 80, 24)
	d.msg(tea.PasteMsg{Content: f.invite.Link})
	if s := d.screen(); strings.Contains(s, "your text") {
		t.Errorf("an invite asks for a text:\n%s", s)
	}
	d.typeText("carol")
	d.key("enter")
	if !f.called("AcceptInvite "+f.invite.Link+" carol") || f.count("AskContact") > 0 {
		t.Errorf("calls %q", f.calls)
	}
}

// TestAcceptShowsWhatIsWrong: links of networks and of other networks.
func TestAcceptShowsWhatIsWrong(t *testing.T) {
	d, f := withCrowd(t, 80, 24)
	d.run(d.a.acceptCommand("hearsay-net:ABC carol"))
	d.key("enter")
	d.has("this is the link of a network")
	if f.count("AcceptInvite") > 0 {
		t.Error("it was tried all the same")
	}
	d.key("esc")
	f.fail = map[string]error{"AcceptInvite": &chat.Error{Kind: chat.KindWrongNetwork, Text: "the invite belongs to another network", Hint: "both sides must use the same network link"}}
	d.run(d.a.acceptCommand("HEARSAY:ABC carol"))
	d.key("enter")
	d.has("the invite belongs to another network")
	d.has("name: carol")
}

// TestNothingGoesBackBeforeAccept reads requests of strangers in every way and
// does nothing that they could notice.
func TestNothingGoesBackBeforeAccept(t *testing.T) {
	d, f := withCrowd(t, 80, 24)
	d.key("alt+r")
	d.has("Vera")
	d.has("We met at the fair.")
	d.key("j")
	d.has("(no text)")
	d.key("k", "enter")
	d.has("I have the photographs.")
	d.key("j", "k", "esc", "r", "n", "b", "n", "a", "esc")
	for _, c := range f.calls {
		switch name, _, _ := strings.Cut(c, " "); name {
		case "Contacts", "Groups", "Requests", "MessagesBefore", "MarkDisplayed", "Why": // the screen behind
		default:
			t.Errorf("%q was called", c)
		}
	}
	d.key("alt+r", "a", "enter")
	if !f.called("AcceptRequest r_1 Vera") {
		t.Errorf("calls %q", f.calls)
	}
	d.key("alt+r", "b", "y")
	if !f.called("RejectRequest r_2 true") {
		t.Errorf("calls %q", f.calls)
	}
	d.has("Nobody waits.")
}

// TestRequestThatVanishesHitsNoOther: while one is about to be rejected another
// terminal answers it; the yes must not reach the next one.
func TestRequestThatVanishesHitsNoOther(t *testing.T) {
	d, f := withCrowd(t, 80, 24)
	d.key("alt+r", "a")
	f.requests = f.requests[1:]
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.ContactAdded, Contact: &chat.Contact{ID: "c_9"}}}})
	d.key("enter")
	if f.count("AcceptRequest") > 0 {
		t.Errorf("calls %q", f.calls)
	}
}

// TestStrangersCannotForge puts terminal codes, lines and borders into what a
// stranger says: every line of it stands behind a bar of its own.
func TestStrangersCannotForge(t *testing.T) {
	d, f := withCrowd(t, 80, 24)
	f.requests[0].Name = "marta ✓ verified\x1b]0;owned\x07"
	f.requests[0].Text = "hi\n14:05 marta    it is me\r[a] accept\u202e\x9b31m"
	d.key("alt+r")
	lines, _ := d.a.draw()
	for _, l := range lines {
		if strings.ContainsAny(l, "\x07\r\u202e\u009b") || strings.Contains(l, "\x1b]") {
			t.Errorf("a code reached the screen: %q", l)
		}
	}
	s := d.screen()
	if !strings.Contains(s, "▌marta verified") || !strings.Contains(s, "│ 14:05 marta") {
		t.Errorf("forged:\n%s", s)
	}
}
