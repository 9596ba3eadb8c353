package tui

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// withStory brings up the conversation of story, at its end.
func withStory(t *testing.T, w, h int) (*driver, *fakeChat) {
	t.Helper()
	f := newFake()
	story(f)
	d := drive(t, &fakeHome{state: readyHome, chat: f}, w, h)
	d.key("alt+end")
	return d, f
}

// selectText selects the message with a text, as keys do.
func (d *driver) selectText(text string) {
	d.t.Helper()
	d.key("esc", "up")
	for range 30 {
		if m := d.a.selectedMessage(); m != nil && strings.Contains(m.Text, text) {
			return
		}
		d.key("k")
	}
	d.t.Fatalf("%q cannot be selected", text)
}

func TestSelectMovesAndLeaves(t *testing.T) {
	d, _ := withStory(t, 80, 24)
	d.key("up")
	if m := d.a.selectedMessage(); m == nil || m.Seq != 10 {
		t.Fatalf("selected %+v", m)
	}
	d.key("k", "k")
	if m := d.a.selectedMessage(); m.Seq != 8 {
		t.Errorf("selected %d", m.Seq)
	}
	d.key("j", "j", "j") // below the last one one writes again
	if d.a.shown().selected != "" || d.a.shown().at.held {
		t.Error("still selected below the end")
	}
	d.typeText("jk")
	if d.a.composer.value() != "jk" {
		t.Errorf("the composer holds %q", d.a.composer.value())
	}
}

// TestKeysOfAMessage presses each key where it acts and where it cannot, which is
// said.
func TestKeysOfAMessage(t *testing.T) {
	d, f := withStory(t, 80, 24)
	for _, step := range []struct{ text, key, want, call string }{
		{"street lamp", "w", "", "Why m_1_10"},
		{"street lamp", "r", "tried again now", "Retry m_1_10"},
		{"back door", "r", "only a message of yours can be tried again", ""},
		{"how many", "r", "it is delivered already", ""},
		{"back door", "e", "only a text of yours can be edited", ""},
		{"an early one", "e", "it did not arrive: send it again", ""},
		{"new phone", "q", "this is a note of the program", ""},
		{"new phone", "+", "this is a note of the program", ""},
		{"back door", "s", "there is no file in this message", ""},
		{"back door", "q", "reply to: ", ""},
		{"street lamp", "e", "edit: ", ""},
	} {
		d.a.notice, f.calls = "", nil
		d.selectText(step.text)
		d.key(step.key)
		if step.want != "" {
			d.has(step.want)
		}
		if step.call != "" && !f.called(step.call) {
			t.Errorf("%s on %q: calls %q", step.key, step.text, f.calls)
		}
		d.key("esc", "esc", "esc", "ctrl+u")
	}
	d.selectText("four")
	d.key("enter")
	if m := d.a.selectedMessage(); m == nil || m.Text != "how many copies?" {
		t.Errorf("enter goes to %+v", m)
	}
}

// TestReplyToWhatIsNotHere goes to a message far back.
func TestReplyToWhatIsNotHere(t *testing.T) {
	f := newFake()
	history(f, 2000)
	f.messages["c_1"][1998].Reply = "m_1_17"
	f.messages["c_1"][1999].Reply = "m_1_18"
	f.messages["c_1"][17].ID = "m_1_x" // it is gone
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.has("│ marta: line 17")
	d.has("│ a message that is gone")
	d.key("up", "k", "enter")
	if m := d.a.selectedMessage(); m == nil || m.Seq != 17 {
		t.Fatalf("enter goes to %+v", m)
	}
	d.has("line 17")
	if f.count("MessagesBefore") > 8 {
		t.Errorf("calls %q", f.calls)
	}
}

// TestClipboardOnlyOnAKey: the clipboard is set by the key alone, to the text as it
// is shown, and it is said.
func TestClipboardOnlyOnAKey(t *testing.T) {
	f := newFake()
	history(f, 5)
	f.messages["c_1"][4].Text = "rm -rf\x1b[D\x1b]52;c;ZXZpbA==\x07 x"
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.key("up")
	_, cmd := d.a.Update(keyPress("y"))
	if cmd == nil {
		t.Fatal("nothing is copied")
	}
	if got, want := fmt.Sprint(cmd()), "rm -rf[D]52;c;ZXZpbA== x"; got != want {
		t.Errorf("copied %q, want %q", got, want)
	}
	d.has("handed to the terminal's clipboard; the terminal may")
	lines, _ := d.a.draw()
	if strings.Contains(strings.Join(lines, ""), "\x1b]52") {
		t.Error("a text sets the clipboard")
	}
}

func TestDelete(t *testing.T) {
	d, f := withStory(t, 80, 24)
	d.selectText("back door")
	d.key("d")
	if strings.Contains(d.screen(), "for both") {
		t.Error("what marta wrote is offered to be deleted for both")
	}
	d.key("b")
	if f.count("Delete") > 0 {
		t.Error("it was asked for")
	}
	d.key("esc", "d", "m")
	if !f.called("Delete m_1_8 false") {
		t.Errorf("calls %q", f.calls)
	}
	d.selectText("thanks")
	f.fail = map[string]error{"Delete": errors.New("the disk is full")}
	d.key("d", "b")
	d.has("the disk is full")
	f.fail = nil
	d.key("b")
	if !f.called("Delete m_1_9 true") || len(d.a.dialogs) > 0 {
		t.Errorf("calls %q", f.calls)
	}
	m := f.messages["c_1"][8]
	m.Text, m.Deleted = "", chat.DeletedAsked
	d.event(chat.MessageChanged, m)
	d.key("d")
	d.has("it is deleted already")
}

func TestReact(t *testing.T) {
	d, f := withStory(t, 80, 24)
	d.selectText("back door")
	d.key("+", "3")
	if !f.called("React m_1_8 ❤") {
		t.Errorf("calls %q", f.calls)
	}
	d.key("+", "down", "enter")
	if !f.called("React m_1_8 👎") {
		t.Errorf("calls %q", f.calls)
	}
	d.selectText("four")
	d.key("+")
	d.has("1 👍 yes, good  (yours)")
	f.fail = map[string]error{"React": errors.New("a reaction is one emoji")}
	d.msg(tea.PasteMsg{Content: "no\x1b[2J emoji\n"})
	d.key("enter")
	d.has("a reaction is one emoji")
	f.fail = nil
	d.key("backspace")
	d.key("0")
	if !f.called("React m_1_4 \x00") && !f.called("React m_1_4 ") {
		t.Errorf("calls %q", f.calls)
	}
	d.a.find("c_1").group = &chat.Group{ID: "c_1"}
	d.selectText("back door")
	d.key("+")
	d.has("there are no reactions in groups")
}

// TestSearch searches while one types, here and everywhere, and goes to the hit.
func TestSearch(t *testing.T) {
	f := newFake()
	history(f, 1500)
	f.messages["c_2"] = []chat.Message{{ID: "m_2_1", Contact: "c_2", Direction: chat.In, Text: "line 77 of another", Seq: 1, Time: testNow.AddDate(-1, 0, 0), State: chat.Received}}
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.key("alt+/")
	d.has("type what to look for")
	d.typeText("line 77")
	d.has("line 77 of another")
	d.has("everywhere")
	d.key("tab")
	d.has("in marta")
	if strings.Contains(d.screen(), "of another") {
		t.Error("what is not here is found here")
	}
	d.key("enter")
	if m := d.a.selectedMessage(); m == nil || m.Seq != 77 {
		t.Fatalf("it goes to %+v", m)
	}
	d.has("line 77")
	d.key("esc")
	d.run(d.a.openSearch("of another"))
	d.key("enter")
	if m := d.a.selectedMessage(); d.a.current != "c_2" || m == nil || m.ID != "m_2_1" {
		t.Errorf("it goes to %q, %+v", d.a.current, m)
	}
	d.run(d.a.openSearch("nowhere"))
	d.has("nothing found")
	f.fail = map[string]error{"Search": errors.New("the disk is gone")}
	d.typeText("!")
	d.has("the disk is gone")
	d.key("enter")
	d.has("the disk is gone")
}

// TestSearchOneAtATime types faster than searches answer: one runs at a time, and
// what it found for an earlier text is not shown.
func TestSearchOneAtATime(t *testing.T) {
	d, f := atMarta(t, 50, 80, 24)
	d.key("alt+/")
	var answers []tea.Cmd
	for _, r := range "line 4" {
		_, cmd := d.a.Update(tea.KeyPressMsg{Code: r, Text: string(r)})
		if cmd != nil {
			answers = append(answers, cmd)
		}
	}
	if len(answers) != 1 {
		t.Fatalf("%d searches run at a time", len(answers))
	}
	d.has("searching")
	d.run(answers[0])
	d.has("line 40")
	if n := f.count("Search"); n != 2 {
		t.Errorf("%d searches", n)
	}
	d.key("esc")
	_, late := d.a.Update(keyPress("alt+/"))
	d.run(late)
	d.a.Update(tea.KeyPressMsg{Code: 'l', Text: "l"})
	d.key("esc")
	if len(d.a.dialogs) > 0 {
		t.Error("it stays open")
	}
}

// TestMouse clicks and turns the wheel.
func TestMouse(t *testing.T) {
	for _, size := range [][2]int{{100, 28}, {80, 24}, {58, 20}} {
		d, _ := atMarta(t, 300, size[0], size[1])
		x, y, w, h := d.a.paneBounds()
		lines := strings.Split(d.screen(), "\n")
		if !strings.Contains(lines[y+h-1], "line 300") {
			t.Errorf("at %v the pane ends with %q", size, lines[y+h-1])
		}
		d.msg(tea.MouseClickMsg{X: x + w/2, Y: y + h - 2, Button: tea.MouseLeft})
		if m := d.a.selectedMessage(); m == nil || m.Seq != 299 {
			t.Errorf("at %v the click selects %+v", size, m)
		}
		d.key("esc")
		d.msg(tea.MouseWheelMsg{X: x + 1, Y: y + 1, Button: tea.MouseWheelUp})
		d.has("line 297")
		if strings.Contains(d.screen(), "line 298") {
			t.Error("the wheel does not turn")
		}
		d.msg(tea.MouseClickMsg{X: x + w - 2, Y: y + h - 1, Button: tea.MouseLeft})
		d.has("line 300")
		d.msg(tea.MouseClickMsg{X: 0, Y: 0, Button: tea.MouseLeft})
		d.msg(tea.MouseWheelMsg{X: x + 1, Y: y + 1, Button: tea.MouseWheelDown})
		d.has("line 300")
	}
}

// TestGroupTimeline names the authors of a group and counts who has a message.
func TestGroupTimeline(t *testing.T) {
	goldens(t, "timeline-group", func(f *fakeChat) {
		latest := testNow
		f.groups = []chat.Group{{ID: "g_1", Name: "printers", Members: []string{"c_1", "c_2"}, State: chat.GroupActive, Latest: &latest, Settings: &chat.Conversation{Displayed: 9}}}
		m := func(n uint64, minute int, author, text string) chat.Message {
			return chat.Message{
				ID: fmt.Sprintf("m_g_1_%d", n), Contact: "g_1", Direction: chat.In, Author: author, Text: text, Seq: n,
				Time: testNow.Add(time.Duration(minute) * time.Minute), State: chat.Received,
			}
		}
		ms := []chat.Message{m(1, -9, "c_1", "who has the key?"), m(2, -8, "c_2", "not me"), m(3, -8, "c_2", "ask bob"), m(4, -7, "c_9", "who is bob?"), m(5, -5, "", "I do"), m(6, 0, "", "it is under the stone")}
		ms[4].Direction, ms[4].State, ms[4].Delivered = chat.Out, chat.Delivered, &chat.Copies{Have: 2, Want: 2}
		ms[5].Direction, ms[5].State, ms[5].Delivered = chat.Out, chat.Stored, &chat.Copies{Have: 1, Want: 2}
		ms[5].Copies = &chat.Copies{Have: 2, Want: 2}
		f.messages["g_1"] = ms
	}, func(d *driver) { d.run(d.a.selectEntry("g_1")) })
}

// TestASCIITimeline: nothing but ASCII is drawn around texts in ASCII.
func TestASCIITimeline(t *testing.T) {
	f := newFake()
	story(f)
	f.messages["c_1"][3].Reactions = nil
	prefs := DefaultPreferences()
	prefs.ASCII = true
	a, err := New(t.Context(), Config{Home: &fakeHome{state: readyHome, chat: f}, Preferences: &prefs, Now: func() time.Time { return testNow }})
	if err != nil {
		t.Fatal(err)
	}
	a.noWaiting = true
	d := &driver{t, a}
	d.msg(tea.WindowSizeMsg{Width: 80, Height: 24})
	d.run(a.open())
	ascii := func(lines []string) {
		t.Helper()
		for _, l := range lines {
			if l = ansi.Strip(l); strings.ContainsFunc(l, func(r rune) bool { return r > 126 }) {
				t.Errorf("not ASCII: %q", l)
			}
		}
	}
	ascii(d.pane())
	d.key("pgup", "pgup", "up", "k")
	ascii(d.pane())
	for _, open := range []string{"d", "+", "alt+/"} {
		d.key(open)
		box, _ := a.top().view(a, 80, 24)
		ascii(box)
		d.key("esc")
	}
}

// TestMarkUp styles what is marked and changes no character.
func TestMarkUp(t *testing.T) {
	th := newTheme(DefaultPreferences(), true)
	for text, styled := range map[string]string{
		"a *bold* word":                         "*bold*",
		"_all of it_":                           "_all of it_",
		"run `go test ./...` now":               "`go test ./...`",
		"(*this*), too":                         "*this*",
		"2*3*4 and snake_case_name":             "",
		"* a list\n* of two":                    "",
		"** nothing ** and __init__":            "",
		"https://example.org/_a_/*b* and so on": "",
		"*never\nclosed*":                       "",
		"*家 family* 👨‍👩‍👧":                      "*家 family*",
	} {
		for _, w := range []int{80, 9} {
			lines := wrap(text, w)
			marked := th.markUp(text, lines)
			got := ""
			for i := range lines {
				if ansi.Strip(marked[i]) != lines[i] {
					t.Errorf("%q became %q", lines[i], marked[i])
				}
				for rest := marked[i]; ; {
					from := strings.Index(rest, "\x1b[")
					if from < 0 {
						break
					}
					rest = rest[from:]
					rest = rest[strings.IndexByte(rest, 'm')+1:]
					to := strings.Index(rest, "\x1b[")
					got += rest[:to]
					rest = rest[to:]
					rest = rest[strings.IndexByte(rest, 'm')+1:]
				}
			}
			if want := styled; strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
				t.Errorf("in %q at %d %q is styled, want %q", text, w, got, want)
			}
		}
	}
}

// FuzzMarkUp: styling neither loses nor moves a character of a wrapped text, and
// every line ends as it began.
func FuzzMarkUp(f *testing.F) {
	f.Add("a *b* _c d_ `e`", 5)
	f.Add("*家族* 👨‍👩‍👧\n\n  *x", 3)
	f.Fuzz(func(t *testing.T, text string, w int) {
		th := newTheme(DefaultPreferences(), true)
		text = chat.Sanitize(text)
		lines := wrap(text, 1+abs(w)%100)
		for i, l := range th.markUp(text, lines) {
			if ansi.Strip(l) != lines[i] || ansi.StringWidth(l) != ansi.StringWidth(lines[i]) {
				t.Fatalf("%q became %q", lines[i], l)
			}
		}
	})
}

func abs(n int) int {
	if n < 0 {
		return -(n + 1)
	}
	return n
}

// TestLongMessagesDoNotSlowDialogs: a contact may fill a search with messages of 64
// KiB, and every event draws the screen: dialogs hold no more of a text than they
// show.
func TestLongMessagesDoNotSlowDialogs(t *testing.T) {
	f := newFake()
	long := strings.Repeat("näxt ", 6000) + "the needle" + strings.Repeat(" and more", 3000)
	f.messages["c_1"] = append(f.messages["c_1"], chat.Message{
		ID: "m_9", Contact: "c_1", Direction: chat.Out, Text: long, Seq: 9, Time: testNow, State: chat.Queued,
	})
	d := onMarta(t, f)
	d.key("alt+/")
	d.typeText("needle")
	d.has("näxt the needle and more")
	if hits := d.a.top().(*searchDialog).hits; len(hits) != 1 || len(hits[0].Text) > 2*aroundBytes+10 {
		t.Errorf("%d hits, the first of %d bytes", len(hits), len(hits[0].Text))
	}
	d.key("esc", "ctrl+r")
	d.has("näxt näxt")
	if s := d.a.top().(*historyDialog).all[0]; len(s.fold) > foldBytes || s.text != long {
		t.Errorf("the filter looks through %d bytes, and the text has %d", len(s.fold), len(s.text))
	}
	d.key("esc", "up", "w")
	if n := len(d.a.top().(*whyDialog).title); n > 4*(shortWidth+1) {
		t.Errorf("a title of %d bytes", n)
	}
	d.key("esc", "d")
	if n := len(d.a.top().(*deleteDialog).text); n > 4*(shortWidth+1) {
		t.Errorf("a question of %d bytes", n)
	}
}

// TestEnterFollowsAReplyThatFits: a reply that just fits is not taken for a folded
// one, of which enter shows the rest.
func TestEnterFollowsAReplyThatFits(t *testing.T) {
	for _, w := range []int{100, 80, 50} {
		f := newFake()
		d := drive(t, &fakeHome{state: readyHome, chat: f}, w, 28)
		room := textRoom(d.a.paneWidth(), "")
		line := strings.Repeat("x", room) + " "
		f.messages["c_1"] = append(f.messages["c_1"], chat.Message{
			ID: "m_9", Contact: "c_1", Direction: chat.In, Text: strings.TrimSpace(strings.Repeat(line, foldLines)), Reply: "m_1", Seq: 9, Time: testNow, State: chat.Received,
		})
		d.run(d.a.selectEntry("c_1"))
		d.key("up", "enter")
		if m := d.a.selectedMessage(); m == nil || m.ID != "m_1" {
			t.Errorf("width %d: enter goes to %+v", w, m)
		}
	}
}
