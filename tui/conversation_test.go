package tui

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// atMarta brings up a conversation of n messages.
func atMarta(t *testing.T, n, w, h int) (*driver, *fakeChat) {
	t.Helper()
	f := newFake()
	history(f, n)
	return drive(t, &fakeHome{state: readyHome, chat: f}, w, h), f
}

// event applies one event and what follows from it.
func (d *driver) event(typ chat.EventType, m chat.Message) {
	d.msg(eventsMsg{events: []chat.Event{{Type: typ, Message: &m}}})
}

// pane returns the rows of the timeline as they are drawn.
func (d *driver) pane() []string {
	w, h := d.a.timelineSize()
	rows := d.a.timeline(d.a.shown(), w, h)
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = strings.TrimRight(ansi.Strip(r), " ")
	}
	return out
}

// rowOf returns the row on which a text stands, or -1.
func (d *driver) rowOf(text string) int {
	return slices.IndexFunc(d.pane(), func(r string) bool { return strings.HasSuffix(strings.TrimSuffix(r, "✓ delivered"), text) })
}

func TestIncomingMessage(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.run(d.a.selectEntry("c_1"))
	in := chat.Message{ID: "m_50", Contact: "c_2", Direction: chat.In, Text: "psst", Seq: 1, Time: testNow, State: chat.Received}
	f.messages["c_2"] = []chat.Message{in}
	d.event(chat.MessageReceived, in)
	if d.a.find("c_2").unread != 1 {
		t.Error("it does not count as unread")
	}
	d.key("alt+a")
	d.has("psst")
	if d.a.find("c_2").unread != 0 || !f.called("MarkDisplayed c_2 1") {
		t.Errorf("still unread after it was shown: %q", f.calls)
	}
	d.event(chat.MessageReceived, in) // the same event again changes nothing
	if n := strings.Count(d.screen(), "psst"); n != 1 || d.a.find("c_2").unread != 0 {
		t.Errorf("the message stands %d times", n)
	}
}

// TestNothingUnread: the key says so, where it goes nowhere.
func TestNothingUnread(t *testing.T) {
	d := onMarta(t, newFake())
	d.key("alt+a")
	d.has("nothing is unread in other conversations")
	if d.a.current != "c_1" {
		t.Errorf("at %s", d.a.current)
	}
}

// TestWhatBecameOfMessages: what was changed, deleted or said by the program is
// shown as that, and never as the contact's own words.
func TestWhatBecameOfMessages(t *testing.T) {
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
	d.run(d.a.selectEntry("c_1"))
	msg := func(id string, seq uint64) chat.Message {
		return chat.Message{ID: id, Contact: "c_1", Direction: chat.In, Seq: seq, Time: testNow, State: chat.Received}
	}
	reply, mine, notice, goes, theirs := msg("m_90", 90), msg("m_91", 91), msg("m_92", 92), msg("m_93", 93), msg("m_94", 94)
	reply.Text, reply.Reply = "to that", "m_2"
	mine.Direction, mine.State, mine.Text = chat.Out, chat.Delivered, "in my name"
	notice.Kind, notice.Text = chat.KindMessageNotice, "marta has a new key"
	goes.Text, theirs.Text = "gone soon", "taken back"
	for _, m := range []chat.Message{reply, mine, notice, goes, theirs} {
		d.event(chat.MessageReceived, m)
	}
	reply.Text, reply.Edited, reply.Reactions = "to this", true, []chat.Reaction{{From: "me", Emoji: "👍"}, {From: "c_1", Emoji: "🎉"}}
	mine.Text, mine.Deleted = "", chat.DeletedAsked
	goes.Text, goes.Deleted = "", chat.DeletedExpired
	theirs.Text, theirs.Deleted = "", chat.DeletedPeer
	for _, m := range []chat.Message{reply, mine, goes, theirs} {
		d.event(chat.MessageChanged, m)
	}
	for _, want := range []string{
		"│ marta: the back door, not the shop", "to this", "· edited", "+ 👍 you, 🎉 marta",
		"· deleted here; asked marta's copy to delete it", "note    · marta has a new key", "· deleted by marta",
	} {
		d.has(want)
	}
	for _, not := range []string{"to that", "in my name", "gone soon", "taken back"} {
		if strings.Contains(d.screen(), not) {
			t.Errorf("%q is still on screen", not)
		}
	}
}

// TestPeerCannotForge puts terminal codes into everything that a peer can name.
func TestPeerCannotForge(t *testing.T) {
	f := newFake()
	evil := "x\x1b]0;owned\x07\x1b[2J\rmarta: hi\u202e\u0085\u009b31m"
	f.contacts[0].Name = evil
	f.messages["c_1"][1].Text = evil
	f.messages["c_1"][2].Reactions = []chat.Reaction{{From: "c_1", Emoji: evil}}
	f.messages["c_1"][3].Reply = "m_2"
	f.messages["c_1"][5].Kind, f.messages["c_1"][5].Text = chat.KindMessageNotice, evil
	f.why = chat.Why{History: []chat.HistoryEntry{{State: chat.Failed, Detail: evil}}}
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.run(d.a.selectEntry("c_1"))
	d.has("marta: hi")
	d.key("alt+/")
	d.typeText("marta")
	for range 2 {
		lines, _ := d.a.draw()
		for _, l := range lines {
			for _, r := range ansi.Strip(l) {
				if r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x202e {
					t.Fatalf("%q reached the screen", r)
				}
			}
			if strings.Contains(l, "\x1b]") || strings.Contains(l, "\x1b[2J") {
				t.Fatal("a control sequence of the peer reached the screen")
			}
		}
		d.key("esc")
	}
}

// TestTextStaysInItsColumn lets a contact write what looks like another author, a
// quote, a reaction, a line of a day and one of unread messages: left of the column
// of the text nothing of it can stand.
func TestTextStaysInItsColumn(t *testing.T) {
	evil := "hello\n14:01 you       I agree\n              │ you: never\n              + 👍 you\n" +
		"──────────────── Sunday, 22 November ────────────────\n│ you: x\n+ 👍 you\n· deleted by you\n ▌ x\n\n" + strings.Repeat("家", 90)
	bindings, err := newKeys(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []int{30, 53, 54, 57, 71, 72, 160} {
		a := &App{keys: bindings, theme: newTheme(DefaultPreferences(), true), prefs: DefaultPreferences(), now: func() time.Time { return testNow }}
		m := chat.Message{ID: "m", Contact: "c_1", Direction: chat.In, Text: evil, Time: testNow, State: chat.Received}
		lines := a.messageLines(&m, laidFrom{w: w, who: "mallory", peer: "mallory", opened: true, head: true, clock: true, zone: time.UTC})
		_, indent, stacked := frame(w)
		if stacked {
			lines = lines[1:] // the head, which has nothing of the text
		}
		for i, l := range lines {
			l = ansi.Strip(l)
			if n := ansi.StringWidth(l); n != w {
				t.Errorf("%d of %d cells: %q", n, w, l)
			}
			left := ansi.Truncate(l, indent, "")
			if i == 0 && !stacked {
				left = strings.Replace(strings.Replace(left, "14:05", "", 1), "mallo", "", 1)
				left = strings.TrimPrefix(strings.TrimLeft(left, " "), "ry")
				left = strings.TrimPrefix(left, "…")
			}
			if strings.TrimSpace(left) != "" {
				t.Errorf("at %d cells %q stands left of the text: %q", w, left, l)
			}
		}
	}
}

// TestNobodyIsCalledYou: a stranger may ask to be called like the words that this
// program uses itself.
func TestNobodyIsCalledYou(t *testing.T) {
	for _, name := range []string{"you", "You", "note"} {
		f := newFake()
		f.contacts[0].Name = name
		d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
		d.run(d.a.selectEntry("c_1"))
		d.has(fmt.Sprintf("14:01 %q", name))
	}
}

func TestScrollKeepsItsPlace(t *testing.T) {
	d, f := atMarta(t, 100, 80, 24)
	d.has("line 100")
	d.key("pgup", "pgup")
	before := d.pane()
	in := chat.Message{ID: "m_1_500", Contact: "c_1", Direction: chat.In, Text: "newest", Seq: 500, Time: testNow, State: chat.Received}
	f.messages["c_1"] = append(f.messages["c_1"], in)
	d.event(chat.MessageReceived, in)
	if after := d.pane(); !slices.Equal(after[:len(after)-1], before[:len(before)-1]) {
		t.Errorf("the pane moved:\n%s\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	d.has("↓ 1 new")
	if f.called("MarkDisplayed c_1 500") {
		t.Error("what is below the screen was told to be shown")
	}
	d.key("alt+home")
	d.has("line 1")
	d.key("alt+end")
	d.has("newest")
	d.has("── 1 unread ──")
	if !f.called("MarkDisplayed c_1 500") {
		t.Error("what was shown is not told")
	}
	if strings.Contains(d.screen(), "↓") {
		t.Error("there is nothing below the end")
	}
}

// TestStateBeforeItsMessage lets the event of a state come before the answer to
// sending.
func TestStateBeforeItsMessage(t *testing.T) {
	d, _ := atMarta(t, 3, 80, 24)
	c := d.a.shown()
	d.event(chat.MessageStateChanged, chat.Message{ID: "m_1_9", Contact: "c_1", State: chat.Delivered})
	d.run(c.sent(d.a, chat.Message{ID: "m_1_9", Contact: "c_1", Direction: chat.Out, Text: "quick", Seq: 9, Time: testNow, State: chat.Queued}))
	d.has("quick                           ✓ delivered")
}

// TestStatesGoBack follows a message of ours through its states.
func TestStatesGoBack(t *testing.T) {
	d, _ := atMarta(t, 3, 80, 24)
	m := chat.Message{ID: "m_1_9", Contact: "c_1", Direction: chat.Out, Text: "see you\nthere", Seq: 9, Time: testNow, State: chat.Queued}
	d.run(d.a.shown().sent(d.a, m))
	d.has("· queued")
	// The event of a state has no text and no time.
	for _, step := range []struct {
		m    chat.Message
		want string
	}{
		{chat.Message{State: chat.Stored, Copies: &chat.Copies{Have: 1, Want: 2}}, "› stored 1/2"},
		{chat.Message{State: chat.Stored, Copies: &chat.Copies{Have: 2, Want: 2}}, "» stored 2/2"},
		{chat.Message{State: chat.Stored, Copies: &chat.Copies{Have: 1, Want: 2}}, "› stored 1/2"}, // a relay was lost
		{chat.Message{State: chat.Queued}, "· queued"},
		{chat.Message{State: chat.Stored, Copies: &chat.Copies{Have: 2, Want: 2}, Delivered: &chat.Copies{Have: 3, Want: 4}}, "» stored ✓ 3/4"},
		{chat.Message{State: chat.Delivered, Delivered: &chat.Copies{Have: 4, Want: 4}}, "✓ 4/4 delivered"},
		{chat.Message{State: chat.Delivered}, "✓ delivered"},
	} {
		step.m.ID, step.m.Contact = m.ID, m.Contact
		d.event(chat.MessageStateChanged, step.m)
		d.has(step.want)
	}
	if n := strings.Count(d.screen(), "see you"); n != 1 {
		t.Errorf("the message stands %d times", n)
	}
}

// TestHistoryIsReadLazily goes through a long history: the window stays small, and
// nothing is missing in it.
func TestHistoryIsReadLazily(t *testing.T) {
	d, f := atMarta(t, 5000, 80, 24)
	c := d.a.shown()
	whole := func() {
		t.Helper()
		if len(c.messages) > 2*keepMessages+pageSize {
			t.Fatalf("the window holds %d messages", len(c.messages))
		}
		for i := 1; i < len(c.messages); i++ {
			if c.messages[i].Seq != c.messages[i-1].Seq+1 {
				t.Fatalf("after %d comes %d", c.messages[i-1].Seq, c.messages[i].Seq)
			}
		}
	}
	top := func() int {
		n := 0
		for _, r := range d.pane() {
			if at := strings.Index(r, "line "); at >= 0 {
				fmt.Sscanf(r[at:], "line %d", &n)
				return n
			}
		}
		return n
	}
	_, h := d.a.timelineSize()
	for last := top(); last > 2000; {
		d.key("pgup")
		if now := top(); now >= last || last-now > h {
			t.Fatalf("from %d one page back is %d", last, now)
		} else {
			last = now
		}
		whole()
	}
	if n := f.count("MessagesBefore"); n > 40 {
		t.Errorf("%d pages were read", n)
	}
	d.key("alt+home")
	d.has("line 1 ")
	whole()
	for last := top(); last < 2500; {
		d.key("pgdown")
		if now := top(); now <= last || now-last > h {
			t.Fatalf("from %d one page on is %d", last, now)
		} else {
			last = now
		}
		whole()
	}
	if c.last {
		t.Error("half of it reaches the end")
	}
	d.key("alt+end")
	d.has("line 5000")
	whole()
	d.run(d.a.jumpTo(f.messages["c_1"][1233]))
	d.has("line 1234")
	whole()
	if m := d.a.selectedMessage(); m == nil || m.Seq != 1234 {
		t.Error("it is not selected")
	}
}

// TestResizeKeepsTheMessageOnItsRow resizes with wrapped messages above and below.
func TestResizeKeepsTheMessageOnItsRow(t *testing.T) {
	f := newFake()
	history(f, 300)
	for i := range f.messages["c_1"] {
		m := &f.messages["c_1"][i]
		m.Text = strings.Repeat("word ", i*7%40) + m.Text
	}
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	for range 12 {
		d.key("pgup")
	}
	c := d.a.shown()
	id, row := c.at.id, c.at.row
	if row < 0 {
		t.Fatalf("row %d", row)
	}
	for _, size := range [][2]int{{100, 28}, {61, 17}, {200, 60}, {30, 8}, {80, 24}} {
		d.msg(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		v := d.a.place(c)
		i, _ := c.find(id)
		if at, want := slices.Index(v.owner, i), min(row, len(v.owner)-1); at != want {
			t.Errorf("at %v it stands on row %d, was on %d", size, at, row)
		}
	}
	d.key("alt+end")
	d.msg(tea.WindowSizeMsg{Width: 58, Height: 20})
	if v := d.a.place(c); !v.atEnd || c.at.held {
		t.Error("a resize leaves the end")
	}
}

// TestOpensAtTheFirstUnread: what was not on the screen is not told to be shown,
// whatever the reason.
func TestOpensAtTheFirstUnread(t *testing.T) {
	f := newFake()
	history(f, 1000)
	f.contacts[0].Settings.Displayed, f.contacts[0].Unread = 400, 515
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.has("── 515 unread ──")
	if r := d.rowOf("line 401"); r < 0 || r > firstUnreadAt+1 {
		t.Errorf("the first unread message is on row %d", r)
	}
	shown := func() uint64 { return d.a.find("c_1").settings.Displayed }
	_, h := d.a.timelineSize()
	if n := shown(); n < 401 || n > uint64(400+h) {
		t.Errorf("shown up to %d", n)
	}
	first := shown()
	d.key("alt+end")
	d.has("line 1000")
	if shown() != first {
		t.Errorf("the end was shown, and what was skipped is told to be: %d", shown())
	}
	if n := d.a.find("c_1").unread; n == 0 {
		t.Error("what was skipped is not unread")
	}
	d.key("alt+u")
	d.has("── 515 unread ──")
	for range 80 {
		d.key("pgdown")
	}
	if shown() != 1000 || d.a.find("c_1").unread != 0 {
		t.Errorf("shown up to %d, %d unread", shown(), d.a.find("c_1").unread)
	}
	d.key("alt+u")
	d.has("515 unread") // the line stays
	d.key("ctrl+n", "ctrl+p", "alt+end")
	if d.a.shown().unread.count != 0 {
		t.Error("the line stays after one left")
	}
}

// TestNobodyLooks: nothing is told to be shown behind a dialog, in a terminal that
// is blurred, too small or locked.
func TestNobodyLooks(t *testing.T) {
	for name, step := range map[string]func(d *driver){
		"blurred": func(d *driver) { d.msg(tea.BlurMsg{}) },
		"dialog":  func(d *driver) { d.key("alt+/") },
		"small":   func(d *driver) { d.msg(tea.WindowSizeMsg{Width: 29, Height: 24}) },
		"locked":  func(d *driver) { d.a.hide() },
		"first":   func(d *driver) { d.a.first.step = stepContact },
	} {
		d, f := atMarta(t, 10, 80, 24)
		step(d)
		in := chat.Message{ID: "m_1_11", Contact: "c_1", Direction: chat.In, Text: "newest", Seq: 11, Time: testNow, State: chat.Received}
		f.messages["c_1"] = append(f.messages["c_1"], in)
		d.event(chat.MessageReceived, in)
		if f.called("MarkDisplayed c_1 11") {
			t.Errorf("%s: told to be shown", name)
		}
		if name == "blurred" {
			d.has("── 1 unread ──")
			if d.a.find("c_1").unread != 1 {
				t.Error("not unread")
			}
			d.msg(tea.FocusMsg{})
			if !f.called("MarkDisplayed c_1 11") || d.a.find("c_1").unread != 0 {
				t.Error("not told once one looks")
			}
			d.has("── 1 unread ──")
		}
	}
}

// TestEventsWhileReading lets a page come that is older than the events before it.
func TestEventsWhileReading(t *testing.T) {
	d, f := atMarta(t, 10, 80, 24)
	c := d.a.shown()
	answer := c.readEnd(d.a, nil)()
	in := chat.Message{ID: "m_1_11", Contact: "c_1", Direction: chat.In, Text: "newest", Seq: 11, Time: testNow, State: chat.Received}
	d.event(chat.MessageReceived, in)
	edited := f.messages["c_1"][8]
	edited.Text, edited.Edited = "other words", true
	d.event(chat.MessageChanged, edited)
	gone := f.messages["c_1"][7]
	gone.Deleted = chat.DeletedExpired
	d.event(chat.MessageChanged, gone)
	d.msg(answer)
	d.has("newest")
	d.has("other words")
	if s := d.screen(); strings.Contains(s, "line 8") || strings.Count(s, "newest") != 1 {
		t.Errorf("the older page won:\n%s", s)
	}
	// A page that was asked for before a jump does not replace what the jump read.
	slow := c.readStart(d.a, nil)
	d.run(c.readEnd(d.a, nil))
	had := len(c.messages)
	f.messages["c_1"] = f.messages["c_1"][:1]
	d.run(slow)
	if len(c.messages) != had || c.reading != 0 || len(c.meanwhile) != 0 {
		t.Errorf("%d messages, had %d; %d reading", len(c.messages), had, c.reading)
	}
}

// TestReadErrorsAreSaid: a history that cannot be read is said so, once, and is
// tried again when one moves.
func TestReadErrorsAreSaid(t *testing.T) {
	d, f := atMarta(t, 2000, 80, 24)
	f.fail = map[string]error{"MessagesBefore": errors.New("the disk is gone")}
	for range 20 {
		d.key("pgup")
	}
	d.has("the disk is gone")
	n := f.count("MessagesBefore")
	for range 10 {
		d.msg(clockMsg{})
	}
	if f.count("MessagesBefore") != n {
		t.Error("it is read again without an end")
	}
	f.fail = nil
	for range 20 {
		d.key("pgup")
	}
	if strings.Contains(d.screen(), "disk") || f.count("MessagesBefore") == n {
		t.Error("it is not read again")
	}
	f.fail = map[string]error{"MessagesBefore": errors.New("the disk is gone")}
	f.messages["c_2"] = []chat.Message{{ID: "m_2_1", Contact: "c_2", Direction: chat.In, Text: "psst", Seq: 1, Time: testNow, State: chat.Received}}
	d.run(d.a.selectEntry("c_2"))
	d.has("This conversation cannot be read now")
	f.fail = nil
	d.key("pgup")
	d.has("psst")
}

// TestLongMessagesFold: one message of the largest size takes a bounded part of the
// screen, and all of it can be reached.
func TestLongMessagesFold(t *testing.T) {
	for name, text := range map[string]string{
		"lines":     strings.Repeat("\n", 64<<10),
		"words":     strings.Repeat("word ", 13000),
		"one word":  strings.Repeat("x", 64<<10),
		"combining": "a" + strings.Repeat("\u0301", 30000),
		"wide":      strings.Repeat("家", 21000),
	} {
		f := newFake()
		history(f, 5)
		f.messages["c_1"][4].Text = "begin" + text + "end of it"
		d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
		c := d.a.shown()
		l := newLayouter(d.a, c, 57)
		if n := len(l.body(4)); n > foldLines+3 {
			t.Errorf("%s: folded it takes %d lines", name, n)
		}
		if name == "combining" {
			continue // Sanitize leaves four of them: it is short
		}
		d.has("more: select it, enter shows all")
		d.key("up", "enter", "esc", "alt+end")
		d.has("end of it")
		d.key("alt+home", "pgdown")
		d.key("alt+end", "up", "enter", "esc")
		if n := len(l.body(4)); n > foldLines+3 {
			t.Errorf("%s: folded again it takes %d lines", name, n)
		}
	}
}

// TestWindowsAreGivenBack opens many conversations, and one of very long messages:
// what the screen holds does not grow with them, and drafts stay.
func TestWindowsAreGivenBack(t *testing.T) {
	f := newFake()
	history(f, 100)
	for i := range f.messages["c_1"] {
		f.messages["c_1"][i].Text = strings.Repeat("long ", 13000)
	}
	for i := range 60 {
		id := fmt.Sprint("c_z", i)
		f.contacts = append(f.contacts, chat.Contact{ID: id, Name: id, State: chat.ContactActive})
		f.messages[id] = []chat.Message{{ID: fmt.Sprintf("m_z%d_1", i), Contact: id, Direction: chat.In, Text: "hello from " + id, Seq: 1, Time: testNow, State: chat.Received}}
	}
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.run(d.a.selectEntry("c_1"))
	d.typeText("a draft")
	marta := d.a.shown()
	for i := range 60 {
		d.run(d.a.selectEntry(fmt.Sprint("c_z", i)))
		d.has(fmt.Sprint("hello from c_z", i))
	}
	held := 0
	for _, c := range d.a.conversations {
		if c.loaded {
			held++
		}
	}
	if held > keepWindows+1 || marta.loaded {
		t.Errorf("%d windows are held; of the long messages: %t", held, marta.loaded)
	}
	d.run(d.a.selectEntry("c_1"))
	d.has("long long")
	if d.a.composer.value() != "a draft" {
		t.Error("the draft is gone")
	}
}

// TestTimelineAgainstAList scrolls, resizes, selects, receives and deletes at
// random, and compares what stands on the screen with the history.
func TestTimelineAgainstAList(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 6 {
		f := newFake()
		history(f, 900)
		for i := range f.messages["c_1"] {
			m := &f.messages["c_1"][i]
			m.Text += strings.Repeat(" and so on", rnd.IntN(12))
		}
		d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
		next := uint64(901)
		for step := range 120 {
			op := rnd.IntN(12)
			inSight := func() bool {
				c := d.a.shown()
				i, ok := c.find(c.selected)
				return ok && slices.Contains(d.a.place(c).owner, i)
			}
			was := inSight() || op >= 4 && op <= 6
			switch op {
			case 0, 1, 2:
				d.key("pgup")
			case 3:
				d.key("pgdown")
			case 4:
				d.key("up")
			case 5:
				d.key("k")
			case 6:
				d.key("j")
			case 7:
				d.key("esc")
			case 8:
				d.msg(tea.WindowSizeMsg{Width: 30 + rnd.IntN(120), Height: 8 + rnd.IntN(50)})
			case 9:
				m := chat.Message{
					ID: fmt.Sprintf("m_1_%d", next), Contact: "c_1", Direction: chat.In, Seq: next, State: chat.Received,
					Text: fmt.Sprintf("line %d", next), Time: testNow,
				}
				next++
				f.messages["c_1"] = append(f.messages["c_1"], m)
				d.event(chat.MessageReceived, m)
			case 10:
				i := rnd.IntN(len(f.messages["c_1"]))
				m := f.messages["c_1"][i]
				f.messages["c_1"] = slices.Delete(f.messages["c_1"], i, i+1)
				m.Deleted = chat.DeletedExpired
				d.event(chat.MessageChanged, m)
			case 11:
				d.run(d.a.jumpTo(f.messages["c_1"][rnd.IntN(len(f.messages["c_1"]))]))
			}
			c := d.a.shown()
			v := d.a.place(c)
			if len(d.a.composer.value()) > 0 {
				d.key("ctrl+u")
			}
			all := f.messages["c_1"]
			at := slices.IndexFunc(all, func(m chat.Message) bool { return m.ID == c.messages[0].ID })
			for i := range c.messages {
				if at < 0 || at+i >= len(all) || all[at+i].ID != c.messages[i].ID {
					t.Fatalf("step %d, %d: the window is not a part of the history", step, op)
				}
			}
			if c.last && at+len(c.messages) != len(all) || c.first && at != 0 {
				t.Fatalf("step %d, %d: the window does not reach the ends", step, op)
			}
			if v.to < v.from {
				t.Fatalf("step %d, %d: nothing is on screen", step, op)
			}
			if !c.at.held && (!v.atEnd || !c.last) {
				t.Fatalf("step %d, %d: it follows, but not at the end", step, op)
			}
			if op > 3 && was && c.selected != "" && !inSight() {
				t.Fatalf("step %d, %d: the selected message is not in sight", step, op)
			}
			if blank := slices.Index(v.rows, ""); blank > 0 && v.rows[len(v.rows)-1] == "" && (!c.first || v.from > 0) {
				t.Fatalf("step %d, %d: there is room below, and more above", step, op)
			}
			d.screen()
		}
	}
}
