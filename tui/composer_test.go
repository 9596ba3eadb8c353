package tui

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// TestReadlineKeys writes a line with each key of the composer.
func TestReadlineKeys(t *testing.T) {
	for _, c := range []struct{ keys, want string }{
		{"ctrl+a X", "one two-three|Xfour"},
		{"home X", "one two-three|Xfour"},
		{"end X", "one two-three|fourX"},
		{"ctrl+home ctrl+e X", "one two-threeX|four"},
		{"ctrl+home X", "Xone two-three|four"},
		{"ctrl+home ctrl+end X", "one two-three|fourX"},
		{"ctrl+u X", "one two-three|X"},
		{"ctrl+u ctrl+y ctrl+y", "one two-three|fourfour"},
		{"left left ctrl+u", "one two-three|ur"},
		{"ctrl+w", "one two-three|"},
		{"ctrl+w backspace ctrl+w ctrl+w", ""},
		{"ctrl+w backspace ctrl+w ctrl+w ctrl+y", "one two-three"}, // two cuts are one
		{"up alt+b X", "Xone two-three|four"},
		{"alt+b alt+b X", "one two-Xthree|four"},
		{"ctrl+home alt+f X", "oneX two-three|four"},
		{"ctrl+home alt+f alt+f X", "one twoX-three|four"},
		{"ctrl+home alt+d", " two-three|four"},
		{"ctrl+home alt+k", "|four"},
		{"ctrl+home alt+k alt+k", "four"},
		{"ctrl+home alt+k alt+k ctrl+end ctrl+y", "fourone two-three|"},
		{"ctrl+home right ctrl+f X", "onXe two-three|four"},
		{"ctrl+b left X", "one two-three|foXur"},
		{"ctrl+home ctrl+d delete", "e two-three|four"},
		{"backspace ctrl+h", "one two-three|fo"}, // an old terminal's backspace
		{"up X", "one Xtwo-three|four"},
		{"up up X", "one Xtwo-three|four"}, // there is no line above
		{"up down X", "one two-three|fourX"},
		{"alt+enter X", "one two-three|four|X"},
		{"shift+enter X", "one two-three|four|X"},
	} {
		d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, 80, 24)
		d.typeText("one two-three")
		d.key("ctrl+j")
		d.typeText("four")
		d.screen() // rows are known once they were drawn
		d.key(strings.Fields(c.keys)...)
		if got := strings.ReplaceAll(d.a.composer.value(), "\n", "|"); got != c.want {
			t.Errorf("%s: %q, want %q", c.keys, got, c.want)
		}
		d.screen()
	}
}

// TestTextBufferRows breaks texts into rows, and finds the cursor in them again.
func TestTextBufferRows(t *testing.T) {
	for _, text := range []string{
		"", "a", "one two three four", strings.Repeat("x", 50), "家族家族家族家族", "e\u0301e\u0301e\u0301 👨‍👩‍👧 👍🏽",
		"a  b   c          d", "\n\n", "a\n", strings.Repeat("ab ", 40), "wide 家 and\nnarrow",
	} {
		for w := 2; w < 24; w++ {
			var b textBuffer
			b.set(text)
			at := 0
			for i, r := range b.layout(w) {
				if r.from < at || r.to < r.from {
					t.Fatalf("%q in %d: row %d is %v", text, w, i, r)
				}
				at = r.to
				used := 0
				for _, c := range b.cells[r.from:r.to] {
					used += c.w
				}
				if used > w+1 {
					t.Errorf("%q in %d: row %d has %d cells", text, w, i, used)
				}
			}
			if at != len(b.cells) {
				t.Errorf("%q in %d: %d of %d characters are laid out", text, w, at, len(b.cells))
			}
			for b.at = 0; b.at < len(b.cells); b.at++ {
				lines, x, y := b.view(w, 3)
				if y < 0 || y >= len(lines) || x > w+1 {
					t.Fatalf("%q in %d at %d: cursor %d,%d", text, w, b.at, x, y)
				}
			}
		}
	}
}

// TestCursorStandsWhereTextIsTyped checks the cursor of the terminal.
func TestCursorStandsWhereTextIsTyped(t *testing.T) {
	for _, size := range sizes {
		d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, size[0], size[1])
		d.typeText("hello wörld 家")
		_, cur := d.a.draw()
		line := strings.Split(d.screen(), "\n")[cur.Y]
		if before := ansi.Truncate(line, cur.X, ""); !strings.HasSuffix(before, "家") {
			t.Errorf("%v: the cursor stands behind %q", size, before)
		}
	}
}

// TestHostileInput: nothing that is typed or pasted moves the cursor, and what is
// sent is what was on the screen.
func TestHostileInput(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.msg(tea.PasteMsg{Content: "a\x1b[31mb\x00\x07\u202ec\u200b\u0085\u009bd\te\rf"})
	d.screen()
	d.key("enter")
	if got := f.sent(); len(got) != 1 || got[0] != "a[31mbcd    e\nf" {
		t.Errorf("sent %q", got)
	}
	var b textBuffer
	for range 1000 {
		b.insert("\u0301")
		b.insert("\u200d")
	}
	b.insert("x")
	for range 1000 {
		b.insert("\u0301")
	}
	if n := len(b.value()); n > 64 {
		t.Errorf("%d bytes of marks are kept", n)
	}
}

// TestPasteOfManyLinesAsks: it is never sent by itself, and nothing of it is
// there before the person agreed.
func TestPasteOfManyLinesAsks(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.msg(tea.PasteMsg{Content: "rm -rf x\ny\nz\n"})
	if got := d.a.composer.value(); got != "rm -rf x\ny\nz\n" || len(f.sent()) > 0 {
		t.Errorf("three lines: %q, sent %q", got, f.sent())
	}
	d.key("ctrl+c")
	d.msg(tea.PasteMsg{Content: "1\r\n2\r\n3\r\n4\r\n"})
	d.has("4 lines")
	if d.a.composer.value() != "" {
		t.Error("it was pasted before anybody agreed")
	}
	d.key("n")
	if d.a.composer.value() != "" {
		t.Error("it was pasted against the wish of the person")
	}
	d.msg(tea.PasteMsg{Content: "1\n2\n3\n4"})
	d.key("y")
	if got := d.a.composer.value(); got != "1\n2\n3\n4" || len(f.sent()) > 0 {
		t.Errorf("%q, sent %q", got, f.sent())
	}
	d.key("ctrl+c")
	d.msg(tea.PasteMsg{Content: strings.Repeat("x", maxPaste+1)})
	d.has("nothing was pasted")
	d.msg(tea.PasteMsg{Content: strings.Repeat("x", maxText+2)})
	d.has("too long by 2 bytes")
	d.key("enter")
	d.has("too long")
	if len(f.sent()) > 0 || len(d.a.composer.value()) != maxText+2 {
		t.Error("a text that is too long was sent, or cut")
	}
}

// TestInviteInPaste finds an invite in other text, and gives the text back.
func TestInviteInPaste(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	text := "hi, here is how to reach me: " + f.invite.Link + ". See you!"
	d.msg(tea.PasteMsg{Content: text})
	if _, open := d.a.top().(*acceptDialog); !open {
		t.Fatalf("no dialog:\n%s", d.screen())
	}
	d.key("esc", "ctrl+y")
	if got := d.a.composer.value(); got != text {
		t.Errorf("yank brings %q", got)
	}
	d.key("ctrl+c", "f1")
	d.msg(tea.PasteMsg{Content: strings.ToLower(f.invite.Link)})
	if _, open := d.a.top().(*acceptDialog); !open {
		t.Error("an invite is not known when it is pasted over a dialog")
	}
	for _, no := range []string{"HEARSAY:", "see HEARSAY:AEAQ for more", "HEARSAY-NET:" + strings.Repeat("A", 80), "ſHEARSAY:" + strings.Repeat("1", 80)} {
		if got := findInvite("x " + no); got != "" {
			t.Errorf("%q is taken for an invite in %q", got, no)
		}
	}
}

// holdSend lets sends wait in the tests: their commands are run by hand.
func holdSend(d *driver, text string) tea.Cmd {
	d.typeText(text)
	_, cmd := d.a.Update(keyPress("enter"))
	return cmd
}

// TestSendsKeepTheirOrder: the next text is handed over when the one before is on
// the disk, whatever the order in which commands run.
func TestSendsKeepTheirOrder(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	first := holdSend(d, "first")
	for i := range 5 {
		if cmd := holdSend(d, fmt.Sprint("text ", i)); cmd != nil {
			t.Fatal("a second text is on its way beside the first")
		}
	}
	d.run(first)
	if got := strings.Join(f.sent(), ","); got != "first,text 0,text 1,text 2,text 3,text 4" {
		t.Errorf("sent %s", got)
	}
}

// TestRefusedTextsAreKept: the first one comes back into the composer, those behind
// it wait, and none overtakes or is lost; the key stays the same, so that a text
// whose answer was lost is not sent twice.
func TestRefusedTextsAreKept(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	f.fail = map[string]error{"Send": errors.New("the disk is full")}
	first := holdSend(d, "//one")
	holdSend(d, "two")
	d.typeText("half of three")
	d.run(first)
	d.has("the disk is full")
	d.has("2 not sent")
	if got := d.a.composer.value(); got != "half of three" {
		t.Errorf("the composer holds %q", got)
	}
	d.msg(refreshMsg{}) // drafts go to the disk
	id := d.a.current
	for _, c := range f.contacts {
		if c.ID == id && c.Settings.Draft != "//one\ntwo\nhalf of three" {
			t.Errorf("the draft is %q", c.Settings.Draft)
		}
	}
	if n := d.a.composer.out[id].held[0]; n.key == "" || len(n.key) > 64 {
		t.Errorf("the key is %q", n.key)
	}
	key := d.a.composer.out[id].held[0].key
	d.key("ctrl+r")
	d.has("not sent: /one")
	f.fail = nil
	d.key("enter")
	if got := d.a.composer.value(); got != "//one" || d.a.composer.again.key != key {
		t.Errorf("the composer holds %q", got)
	}
	d.key("enter")
	if got := strings.Join(f.sent(), ","); got != "/one" {
		t.Errorf("sent %s", got)
	}
	d.has("1 not sent")
	d.key("ctrl+y")
	if got := d.a.composer.value(); got != "half of three" {
		t.Errorf("yank brings %q", got)
	}
}

// TestRefusedElsewhere: a text that is refused after one went to another conversation
// waits in its own, and the notice says which.
func TestRefusedElsewhere(t *testing.T) {
	f := newFake()
	withLatest(f)
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	f.fail = map[string]error{"Send": errors.New("the disk is full")}
	first := holdSend(d, "for marta")
	d.key("ctrl+n")
	d.run(first)
	d.has("not sent to marta: the disk is full")
	if d.a.composer.value() != "" {
		t.Errorf("the text went to another conversation: %q", d.a.composer.value())
	}
	d.key("ctrl+p")
	d.has("1 not sent")
	d.key("ctrl+r", "enter")
	if got := d.a.composer.value(); got != "for marta" {
		t.Errorf("the composer holds %q", got)
	}
}

// TestLockedComposer: nothing can be written to a contact whose key changed, and
// the reason stands there in words; commands work.
func TestLockedComposer(t *testing.T) {
	for name, c := range map[string]struct {
		change func(c *chat.Contact)
		says   string
	}{
		"changed": {func(c *chat.Contact) { c.State = chat.ContactChanged }, "nothing is sent until you compare"},
		"blocked": {func(c *chat.Contact) { c.State = chat.ContactBlocked }, "You blocked marta: nothing is sent"},
		"invite":  {func(c *chat.Contact) { c.Problem = "the invite was used before, perhaps not by you" }, "Nothing can be sent: the invite was used"},
	} {
		f := newFake()
		withLatest(f)
		c.change(&f.contacts[0])
		d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
		d.has(c.says)
		d.typeText("secret")
		d.msg(tea.PasteMsg{Content: "secret"})
		d.key("ctrl+j", "enter")
		if d.a.composer.value() != "" || len(f.sent()) > 0 {
			t.Errorf("%s: the composer holds %q, sent %q", name, d.a.composer.value(), f.sent())
		}
		d.typeText("/help")
		d.key("enter")
		d.has("Help")
	}
	for state, says := range map[string]string{chat.GroupLeft: "You left this group", chat.GroupRemoved: "You were removed"} {
		f := newFake()
		f.contacts, f.groups = nil, []chat.Group{{ID: "g_1", Name: "printers", State: state}}
		d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
		d.a.selectEntry("g_1")
		d.has(says)
	}
	// A draft from before is not sent either.
	f := newFake()
	withLatest(f)
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
	d.typeText("written before")
	f.contacts[0].State = chat.ContactChanged
	d.run(d.a.loadPeople())
	d.key("enter")
	if len(f.sent()) > 0 || d.a.composer.value() != "written before" {
		t.Errorf("sent %q, the composer holds %q", f.sent(), d.a.composer.value())
	}
}

// TestEditAndReply: an edit leaves the draft alone, a reply names its message, and
// esc ends both.
func TestEditAndReply(t *testing.T) {
	f := newFake()
	withLatest(f)
	f.messages["c_1"][2].Text = "/thanks"
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.typeText("a draft")
	d.a.startEdit(&d.a.shown().messages[2])
	d.has("edit: /thanks")
	d.msg(refreshMsg{})
	if s := f.contacts[0].Settings; s == nil || s.Draft != "a draft" {
		t.Errorf("the draft on the disk is %+v", s)
	}
	d.typeText(" again")
	f.fail = map[string]error{"Edit": errors.New("too late")}
	d.key("enter")
	d.has("too late")
	if got := d.a.composer.value(); got != "//thanks again" {
		t.Errorf("the composer holds %q", got)
	}
	f.fail = nil
	d.key("enter")
	if !f.called("Edit m_3 /thanks again") || d.a.composer.value() != "a draft" {
		t.Errorf("%q, the composer holds %q", f.calls, d.a.composer.value())
	}
	d.a.startEdit(&d.a.shown().messages[2])
	d.typeText("!")
	d.key("esc")
	if d.a.composer.value() != "a draft" || d.a.composer.edit != "" {
		t.Error("esc does not end the edit")
	}
	d.key("ctrl+y")
	if got := d.a.composer.value(); got != "a draft//thanks!" {
		t.Errorf("yank brings %q", got)
	}
	d.key("ctrl+c")
	d.typeText("a draft")
	d.a.startReply(&d.a.shown().messages[1])
	d.has("reply to: the back door")
	d.key("esc", "enter")
	d.typeText("this")
	d.a.startReply(&d.a.shown().messages[1])
	d.key("enter")
	if !f.called("Send c_1 a draft") || !f.called("Send c_1 this m_2") || len(f.sent()) != 2 {
		t.Errorf("%q", f.calls)
	}
}

// TestBlocksAreCounted compares the counter with the sizes of the format.
func TestBlocksAreCounted(t *testing.T) {
	plain := &entry{contact: &chat.Contact{}}
	for _, c := range []struct{ bytes, want int }{{0, 1}, {1, 1}, {803, 1}, {804, 2}, {1607, 2}, {1608, 3}, {maxText, 82}} {
		if got := blocks(strings.Repeat("x", c.bytes), false, plain); got != c.want {
			t.Errorf("%d bytes are %d blocks, want %d", c.bytes, got, c.want)
		}
	}
	if got := blocks(strings.Repeat("x", 803), true, plain); got != 2 {
		t.Errorf("a reply of 803 bytes is %d blocks", got)
	}
}

// TestHistoryBringsBackWhatWasSent in this conversation only.
func TestHistoryBringsBackWhatWasSent(t *testing.T) {
	f := newFake()
	withLatest(f)
	f.messages["c_1"][2].Text = "/slash"
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.typeText("half")
	d.key("ctrl+r")
	if s := d.screen(); strings.Contains(s[strings.Index(s, "Sent before"):], "back door, not") {
		t.Errorf("what was received is listed:\n%s", s)
	}
	d.typeText("SLASH")
	d.key("enter")
	if got := d.a.composer.value(); got != "//slash" || len(f.sent()) > 0 {
		t.Errorf("the composer holds %q, sent %q", got, f.sent())
	}
	d.key("enter")
	if got := f.sent(); len(got) != 1 || got[0] != "/slash" {
		t.Errorf("sent %q", got)
	}
	d.key("ctrl+n", "ctrl+r")
	d.has("you sent nothing here yet")
}

// TestLockDropsWhatWasTyped: nothing that was written, cut or refused is kept in
// memory while the profile is locked.
func TestLockDropsWhatWasTyped(t *testing.T) {
	f := newFake()
	f.fail = map[string]error{"Send": errors.New("the disk is full")}
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.typeText("refused")
	d.key("enter")
	d.typeText("cut")
	d.key("ctrl+u")
	d.typeText("typed")
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.ProfileLocked}}})
	c := d.a.composer
	if c.text.cut != "" || !c.text.empty() || len(c.out) > 0 || c.again != (pending{}) || len(d.a.dialogs) > 0 {
		t.Errorf("kept: %+v", c)
	}
}

// TestHostileNamesInLists puts what a peer may say into the lists over the
// conversation: every line of them fits.
func TestHostileNamesInLists(t *testing.T) {
	for _, hostile := range hostileTexts {
		for _, size := range [][2]int{sizes[1], sizes[3]} {
			f := newFake()
			withLatest(f)
			f.contacts[1].Name = hostile.text
			f.messages["c_1"][2].Text, f.messages["c_1"][1].Text = hostile.text, hostile.text
			d := drive(t, &fakeHome{state: readyHome, chat: f}, size[0], size[1])
			d.key("ctrl+k")
			harmless(d, hostile.name+" switcher")
			d.key("esc", "ctrl+r")
			harmless(d, hostile.name+" history")
			d.key("esc")
			d.typeText("/verify ")
			harmless(d, hostile.name+" palette")
			d.key("ctrl+c")
			d.a.startReply(&d.a.shown().messages[1])
			harmless(d, hostile.name+" reply")
			d.a.startEdit(&d.a.shown().messages[2])
			harmless(d, hostile.name+" edit")
			d.key("esc")
			d.msg(tea.PasteMsg{Content: strings.Repeat(hostile.text+"\n", 5)})
			harmless(d, hostile.name+" paste")
			d.key("y")
			harmless(d, hostile.name+" pasted")
		}
	}
}
