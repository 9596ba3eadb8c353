package tui

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// hostileTexts are what somebody may put wherever they choose the words.
var hostileTexts = []struct{ name, text string }{
	{"erase", "\x1b[2J\x1b[H\x1b[31mred\x1b[5m"},
	{"title", "\x1b]0;OWNED\a\x1b]2;OWNED\x1b\\"},
	{"clipboard", "\x1b]52;c;T1dORUQ=\a"},
	{"link", "\x1b]8;;https://example.org/OWNED\x1b\\here\x1b]8;;\x1b\\"},
	{"notification", "\x1b]777;notify;OWNED;OWNED\a\x1b]99;;OWNED\x1b\\"},
	{"raw C1", "a\x9b2Jb\x9d0;OWNED\x9cc"},
	{"C1", "a\u009b2Jb\u009d0;OWNED\u009cc\u0090q\u009c\u0085d"},
	{"device", "\x1bP+q544e\x1b\\\x1b_OWNED\x1b\\\x1b^OWNED\x1b\\\x1bXOWNED\x1b\\"},
	{"reset", "\x1bc\x1b7\x1b8\x1b(0\x0e\x0f\x05\a\b\v\f\x7f\x00"},
	{"half", "\x1b["},
	{"author by return", "hi\r14:06 marta   OWNED"},
	{"author by newline", "hi\n14:06 marta   OWNED\n14:06 you     OWNED\r\n── Sunday, 22 November ──\u202814:07 you     OWNED\u202914:07 you     OWNED"},
	{"bidi", "\u202egnihton\u202c \u2066x\u2069 \u200e\u200f\u061c abc \u05d0\u05d1\u05d2"},
	{"zero width", "a\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e\u034fb\u3164\u115f\u1160\u17b4\u2800"},
	{"tags", "\U0001f3f4\U000e0067\U000e0062\U000e007f \U000e0041 \ue000 \uffff \ufdd0"},
	{"broken UTF-8", "\xff\xfe\xc0\xaf\xed\xa0\x80\xf8\x88\x80\x80\x80 \xc3"},
	{"wide", "漢字かなカナ한글 ＦＵＬＬ ﷽ 𒐫 ⸻"},
	{"emoji", "👨\u200d👩\u200d👧\u200d👦 🇩🇪🇫🇷🇩 ❤\ufe0f ☺\ufe0f 1\ufe0f\u20e3 👍\U0001f3fd 🏳\ufe0f\u200d🌈 ✈\ufe0e"},
	{"jamo", "ᄀᄀᄀ각ᆨᆨᆨ하ퟀ"},
	{"joined letters", "ن\u200dن\u200cن क्ष ക്\u200d ำำ ຳ"},
	{"tabs", "\ta\tb\t\tc"},
	{"blanks", "   \u00a0\u2003\u3000 x        "},
	{"marks", "e" + strings.Repeat("\u0301", 10_000) + "f" + strings.Repeat("\u20dd\u0488\ufe0f", 1000)},
	{"joiners", strings.Repeat("👩\u200d", 2000)},
	{"long word", strings.Repeat("W", 5000)},
	{"long wide word", strings.Repeat("漢", 3000)},
	{"64 KiB", strings.Repeat("lorem ipsum dolor\n", 64<<10/18)},
	{"64 KiB of newlines", strings.Repeat("\n", 64<<10)},
	{"64 KiB word", strings.Repeat("W", 64<<10)},
	{"nothing", "\u200b\u200b"},
}

// hostileFake puts a text into every field that somebody else can choose: the
// beginning of it where chat bounds the length.
func hostileFake(long string) *fakeChat {
	f := newFake()
	s := long[:min(len(long), 300)]
	id := strings.Repeat("a", 52)
	f.status.Network = s
	f.status.Why = s
	for i := range f.status.Steps {
		f.status.Steps[i].Detail = s
	}
	f.status.Outlook.NeedsConsent = true
	f.path = chat.Path{Relays: []string{s, s, s}, Mailbox: s, RTT: time.Second, Open: true}
	at := testNow.Add(-time.Hour)
	for i := range f.contacts {
		c := &f.contacts[i]
		c.Name, c.Introduced, c.Latest, c.SafetyNumber = s+fmt.Sprint(i), s, &at, strings.TrimSpace(strings.Repeat("12345 ", 12))
		c.Settings = &chat.Conversation{Draft: s}
	}
	f.contacts = append(f.contacts,
		chat.Contact{ID: "c_4", Name: s, State: chat.ContactInvited, Problem: s},
		chat.Contact{ID: "c_5", Name: s, State: chat.ContactChanged, SafetyNumber: f.contacts[0].SafetyNumber},
		chat.Contact{ID: "c_6", Name: s, State: chat.ContactBlocked},
	)
	file := &chat.File{ID: "f_1", Contact: "c_1", Direction: chat.In, Name: s, Size: 2 << 20, Padded: 2 << 20, State: chat.FileOffered, Time: at, Detail: s, Path: s}
	f.files = []chat.File{*file, {ID: "f_2", Contact: "c_1", Direction: chat.Out, Name: s, Size: 9, State: chat.FileFailed, Time: at, Detail: s, Path: s}}
	f.groups = []chat.Group{{ID: "g_1", Name: s, Members: []string{"c_1", "c_2"}, Pending: 1, State: chat.GroupActive, Admin: true, Warning: s}}
	f.requests = []chat.Request{{ID: "r_1", Name: s, Text: s, Time: at, Effort: 20}}
	f.invites = []chat.Invite{{ID: "i_1", Link: f.invite.Link, Name: s, Expires: f.invite.Expires, State: s}}
	f.addrs = []chat.Address{{ID: "a_1", Link: f.invite.Link, Label: s, State: s}}
	f.invite.Name = s
	f.why = chat.Why{
		History: []chat.HistoryEntry{{Time: at, State: chat.Queued, Detail: s}, {Time: at, State: chat.Stored, Detail: s}},
		Next:    s, Earlier: []chat.Earlier{{Time: at, Text: long}},
	}
	relay := chat.RelayView{ID: id, Name: s, Guard: true, Mailbox: true, Address: s, Family: s, Marks: []string{s}, Role: s}
	f.view = chat.NetworkView{
		Network: s, Epoch: 412, SnapshotAge: time.Minute, Signatures: 2, Signers: 3, Threshold: 2, Relays: []chat.RelayView{relay},
		Circuits: []chat.CircuitView{{ID: "1", Purpose: "send", Relays: []string{s, s, s}, Destination: s, State: "open"}},
		Guard:    s, GuardSince: at, Layer2: []string{s}, Cover: "off", NextMove: testNow.Add(time.Hour),
	}
	in := func(n uint64, id string) chat.Message {
		return chat.Message{ID: fmt.Sprint("m_", n), Contact: id, Direction: chat.In, Text: long, Seq: n, Time: at, State: chat.Received}
	}
	for _, conversation := range []string{"c_1", "g_1"} {
		plain, edited, reply, reacted, notice, offer, deleted, answer := in(1, conversation), in(2, conversation), in(3, conversation), in(4, conversation), in(5, conversation), in(6, conversation), in(7, conversation), in(8, conversation)
		edited.Edited, edited.Late = true, true
		reply.Reply = "m_1"
		reacted.Reactions = []chat.Reaction{{From: "c_1", Emoji: s}, {From: "me", Emoji: s}}
		notice.Kind = chat.KindMessageNotice
		offer.Kind, offer.File = chat.KindMessageFile, file
		deleted.Deleted, deleted.Text = chat.DeletedPeer, ""
		answer.Direction, answer.State, answer.Reply = chat.Out, chat.Failed, "m_1"
		f.messages[conversation] = []chat.Message{plain, edited, reply, reacted, notice, offer, deleted, answer}
		if conversation == "g_1" {
			for i := range f.messages[conversation] {
				f.messages[conversation][i].Author = "c_2"
			}
		}
	}
	return f
}

// hostileEvents are what comes while one watches.
func hostileEvents(f *fakeChat) []chat.Event {
	s := f.status.Network
	m := chat.Message{ID: "m_90", Contact: "c_1", Direction: chat.In, Text: f.messages["c_1"][0].Text, Seq: 90, Time: testNow, State: chat.Received}
	changed := m
	changed.Edited, changed.Text = true, m.Text+s
	file, group, request := chat.File{}, chat.Group{}, chat.Request{}
	if len(f.files) > 0 && len(f.groups) > 0 && len(f.requests) > 0 { // keys may have answered them
		file, group, request = f.files[0], f.groups[0], f.requests[0]
	}
	return []chat.Event{
		{Type: chat.MessageReceived, Message: &m},
		{Type: chat.MessageChanged, Message: &changed},
		{Type: chat.MessageStateChanged, Message: &chat.Message{ID: "m_8", Contact: "c_1", State: chat.Failed}, Detail: s},
		{Type: chat.FileProgress, File: &file},
		{Type: chat.RequestReceived, Request: &request},
		{Type: chat.GroupChanged, Group: &group, Detail: s},
		{Type: chat.ContactWords, Contact: &f.contacts[0], Words: s},
		{Type: chat.ContactStateChanged, Contact: &f.contacts[1]},
		{Type: chat.ErrorEvent, Kind: s, Detail: s},
	}
}

// harmless checks all that the program shows now: lines that fit, no control but
// styles, a cursor inside, a title that names nobody.
func harmless(d *driver, where string) {
	d.t.Helper()
	lines, cur := d.a.draw()
	if len(lines) != d.a.height {
		d.t.Errorf("%s: %d lines on a screen of %d", where, len(lines), d.a.height)
	}
	for i, l := range lines {
		if n := ansi.StringWidth(l); n != d.a.width {
			d.t.Errorf("%s: line %d has %d cells, want %d: %.200q", where, i, n, d.a.width, ansi.Strip(l))
			break
		}
	}
	if err := onlyStyle(lines); err != nil {
		d.t.Errorf("%s: %.300v", where, err)
	}
	if cur != nil && (cur.X < 0 || cur.Y < 0 || cur.X >= d.a.width || cur.Y >= d.a.height) {
		d.t.Errorf("%s: the cursor is at %d,%d on %dx%d", where, cur.X, cur.Y, d.a.width, d.a.height)
	}
	if title := d.a.View().WindowTitle; !regexp.MustCompile(`^hearsay( \(\d+\))?$`).MatchString(title) {
		d.t.Errorf("%s: the title is %.100q", where, title)
	}
}

// everywhere opens screens by their commands, looks at each, tries its keys, and
// closes it: one in so many commands, from the nth on.
func everywhere(d *driver, nth, in int, look func(where string)) {
	d.run(d.a.selectEntry("c_1"))
	look("conversation")
	for i, c := range commandTable() {
		if i%in != nth%in || c.name == "/quit" {
			continue
		}
		for _, args := range []string{"", " a", " list", " new a", " HEARSAY:AEAQ a"} {
			if args != "" && c.args == "" {
				break
			}
			for _, r := range c.name + args {
				d.msg(tea.KeyPressMsg{Code: r, Text: string(r)})
			}
			d.key("enter")
			look(c.name + args)
			if top := d.a.top(); top != nil {
				for _, g := range d.a.keys.groups {
					if g.mode != top.mode() {
						continue
					}
					for _, b := range g.bindings {
						d.key(b.keys[0])
						look(c.name + args + " " + b.keys[0])
					}
				}
			}
			if d.a.locked {
				d.typeText("passphrase")
				d.key("enter")
			}
			for range 4 {
				d.key("esc")
			}
			d.key("ctrl+c", "esc")
		}
	}
	d.key("up")
	look("selected message")
	for _, g := range d.a.keys.groups {
		switch g.mode {
		case modeMessage, modeMoving, modePanels:
		default:
			continue
		}
		for _, b := range g.bindings {
			d.key("esc", "esc", "up", b.keys[0])
			look("key " + b.keys[0])
		}
	}
	d.key("esc", "esc", "esc")
}

// TestHostileTextStaysInItsPlace puts each hostile text into every field and opens
// every screen.
func TestHostileTextStaysInItsPlace(t *testing.T) {
	for i, h := range hostileTexts {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			for _, size := range [][2]int{{100, 28}, {58, 20}} {
				f := hostileFake(h.text)
				d := drive(t, &fakeHome{state: readyHome, chat: f}, size[0], size[1])
				look := func(where string) {
					if !t.Failed() {
						harmless(d, fmt.Sprint(size, " ", where))
					}
				}
				if len(h.text) < 1000 {
					everywhere(d, i+size[0], 9, look)
				}
				for _, ev := range hostileEvents(f) {
					d.msg(eventsMsg{events: []chat.Event{ev}})
					look("after " + string(ev.Type))
				}
				d.msg(eventsMsg{err: errors.New(h.text)})
				look("after the end of events")
				for _, id := range []string{"g_1", "c_4", "c_5", "c_6", "c_1"} {
					d.run(d.a.selectEntry(id))
					look("conversation " + id)
				}
				d.msg(tea.PasteMsg{Content: h.text})
				look("pasted")
				d.key("esc", "enter", "pgup", "pgup", "pgdown")
				look("scrolled")
				if t.Failed() {
					return
				}
			}
		})
	}
}

// TestHostileTextOnTheRealRenderer does so on the terminal: nothing sets its title
// or its clipboard, and no row is touched by what stands in another, on terminals
// that count cells as the renderer does.
func TestHostileTextOnTheRealRenderer(t *testing.T) {
	for i, h := range hostileTexts {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			f := hostileFake(h.text)
			d := drive(t, &fakeHome{state: readyHome, chat: f}, sizes[i%2][0], sizes[i%2][1])
			var steps []func()
			for _, ev := range hostileEvents(f) {
				steps = append(steps, func() { d.msg(eventsMsg{events: []chat.Event{ev}}) })
			}
			steps = append(steps, func() { d.key("pgup") }, func() { d.key("f1") }, func() { d.key("esc", "f3") }, func() { d.key("esc", "pgdown") })
			method := []ansi.Method{ansi.WcWidth, ansi.GraphemeWidth}[i/2%2]
			term := rendered(t, d, method, steps...)
			sameScreen(t, d, term)
			if len(term.clipboard)+len(term.notified) > 0 {
				t.Errorf("clipboard %q, notified %q", term.clipboard, term.notified)
			}
			for _, title := range term.titles {
				if strings.Contains(title, "OWNED") {
					t.Errorf("title %q", title)
				}
			}
		})
	}
}

// TestWidthsThatTerminalsDispute draws hostile text on a terminal that counts the
// cells of emoji otherwise than the renderer believes: what stands in one row spills
// into no other.
func TestWidthsThatTerminalsDispute(t *testing.T) {
	for _, h := range hostileTexts {
		if len(h.text) > 1000 {
			continue
		}
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			f := hostileFake(h.text + strings.Repeat(" "+h.text, 5))
			d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
			var steps []func()
			for _, ev := range hostileEvents(f) {
				steps = append(steps, func() { d.msg(eventsMsg{events: []chat.Event{ev}}) })
			}
			steps = append(steps, func() { d.run(d.a.selectEntry("g_1")) }, func() { d.key("pgup") }, func() { d.key("f3") }, func() { d.key("esc", "pgdown") })
			sameScreen(t, d, renderedOn(t, d, ansi.WcWidth, ansi.GraphemeWidth, steps...))
		})
	}
}

// TestPeerCannotForgeAnAuthor looks for lines that begin as only this program
// begins them, at every width.
func TestPeerCannotForgeAnAuthor(t *testing.T) {
	forged := regexp.MustCompile(`^[ │▌|*]?(14:0[67]|── Sunday)`)
	for w := minWidth; w <= 100; w++ {
		f := newFake()
		f.messages["c_1"] = nil
		for i, h := range hostileTexts {
			if strings.HasPrefix(h.name, "author") {
				f.messages["c_1"] = append(f.messages["c_1"], chat.Message{
					ID: fmt.Sprint("m_", i), Contact: "c_1", Direction: chat.In, Text: h.text, Seq: uint64(i + 1), Time: testNow.Add(-time.Hour), State: chat.Received,
				})
			}
		}
		d := drive(t, &fakeHome{state: readyHome, chat: f}, w, 40)
		d.run(d.a.selectEntry("c_1"))
		left := 0
		if column := d.a.layout().left; column > 0 {
			left = column + 2
		}
		seen := 0
		for _, l := range strings.Split(d.screen(), "\n") {
			seen += strings.Count(l, "OWNED")
			if l = ansi.TruncateLeft(l, left, ""); forged.MatchString(l) {
				t.Errorf("width %d: %q", w, l)
			}
		}
		if seen < 5 {
			t.Errorf("width %d: %d of the texts are on screen", w, seen)
		}
		if t.Failed() {
			t.Log(d.screen())
			return
		}
	}
}

// TestASCIIIsPure opens every screen of an ordinary profile in ASCII.
func TestASCIIIsPure(t *testing.T) {
	d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, 100, 28)
	d.a.prefs.ASCII = true
	d.a.theme = newTheme(d.a.prefs, true)
	d.a.forgetLayout()
	everywhere(d, 0, 1, func(where string) {
		lines, _ := d.a.draw()
		for _, l := range lines {
			if i := strings.IndexFunc(l, func(r rune) bool { return r >= 0x80 }); i >= 0 {
				t.Errorf("%s: %q", where, ansi.Strip(l))
				return
			}
		}
	})
}
