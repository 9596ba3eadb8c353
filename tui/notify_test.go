package tui

import (
	"fmt"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// unknownOSC is what a terminal answers that the library does not know: it passes
// such answers on as texts of its own type.
type unknownOSC string

// incoming is the event of a message.
func incoming(contact, text string) eventsMsg {
	m := chat.Message{ID: "m_n", Contact: contact, Direction: chat.In, Text: text, Seq: 90, Time: testNow, State: chat.Received}
	return eventsMsg{events: []chat.Event{{Type: chat.MessageReceived, Message: &m}}}
}

// notified returns what a message makes the App write to the terminal.
func notified(t *testing.T, d *driver, m chat.Message) string {
	t.Helper()
	return rawOf(d.a.notices.message(d.a, m))
}

// rawOf collects what commands write to the terminal.
func rawOf(cmd tea.Cmd) string {
	if cmd == nil {
		return ""
	}
	switch m := cmd().(type) {
	case tea.BatchMsg:
		out := ""
		for _, c := range m {
			out += rawOf(c)
		}
		return out
	case tea.RawMsg:
		return fmt.Sprint(m.Msg)
	}
	return ""
}

// TestNotificationsTakeWhatTheTerminalKnows: OSC 99 where it answered, OSC 777
// where its name says so, else the bell; nothing while somebody looks.
func TestNotificationsTakeWhatTheTerminalKnows(t *testing.T) {
	const kitty = "\x1b]99;i=hearsay:d=1;hearsay: new message\x1b\\"
	const rxvt = "\x1b]777;notify;hearsay;new message\x1b\\"
	answer := unknownOSC("\x1b]99;i=hearsay:p=?;p=title,body:a=focus\x1b\\")
	for _, c := range []struct {
		way     string
		env     tea.EnvMsg
		answers bool
		want    string
	}{
		{"auto", tea.EnvMsg{"TERM=xterm-kitty"}, true, kitty},
		{"auto", tea.EnvMsg{"TERM=foot"}, false, rxvt},
		{"auto", tea.EnvMsg{"TERM=foot", "TMUX=/tmp/x"}, false, "\a"},
		{"auto", tea.EnvMsg{"TERM=xterm-256color"}, false, "\a"},
		{"osc", tea.EnvMsg{"TERM=xterm-256color"}, false, rxvt},
		{"osc", tea.EnvMsg{"TERM=xterm-kitty"}, true, kitty},
		{"bell", tea.EnvMsg{"TERM=xterm-kitty"}, true, "\a"},
		{"off", tea.EnvMsg{"TERM=xterm-kitty"}, true, ""},
	} {
		d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, 80, 24)
		d.a.prefs.Notify = c.way
		asked := rawOf(d.a.update(c.env))
		if want := "\x1b]99;i=hearsay:p=?;\x1b\\"; asked != want {
			t.Errorf("%v: asked %q", c.env, asked)
		}
		if c.answers {
			d.msg(answer)
		}
		m := chat.Message{Contact: "c_1", Direction: chat.In, Text: "psst"}
		if got := notified(t, d, m); got != "" {
			t.Errorf("%s: %q while somebody looks", c.way, got)
		}
		d.msg(tea.BlurMsg{})
		if got := notified(t, d, m); got != c.want {
			t.Errorf("%s, %v: %q, want %q", c.way, c.env, got, c.want)
		}
		if got := notified(t, d, m); got != "" {
			t.Errorf("%s: %q at once again", c.way, got)
		}
		if got := rawOf(d.a.update(notifyMsg{})); got != c.want {
			t.Errorf("%s: %q after the pause, want %q", c.way, got, c.want)
		}
		if got := rawOf(d.a.update(notifyMsg{})); got != "" {
			t.Errorf("%s: %q of nothing new", c.way, got)
		}
	}
	if asked := rawOf(drive(t, &fakeHome{state: readyHome, chat: newFake()}, 80, 24).a.update(tea.EnvMsg{"TERM=linux"})); asked != "" {
		t.Errorf("a console that would print it was asked %q", asked)
	}
}

// TestNotificationShowsNoText unless it was chosen, and then nothing that ends the
// sequence or begins another one; muted conversations and notices are silent.
func TestNotificationShowsNoText(t *testing.T) {
	f := newFake()
	f.contacts[0].Name = "mar\x1b]0;x\x07ta"
	f.contacts[1].Settings = &chat.Conversation{Muted: true}
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.a.prefs.Notify = "osc"
	d.msg(tea.BlurMsg{})
	hostile := chat.Message{Contact: "c_1", Direction: chat.In, Text: "a\x1b\\\x1b]52;c;ZXZpbA==\x07\u009cb;c\x9c" + strings.Repeat("long ", 100)}
	if got := notified(t, d, hostile); got != "\x1b]777;notify;hearsay;new message\x1b\\" {
		t.Errorf("%q", got)
	}
	d.a.update(notifyMsg{})
	d.a.prefs.NotifyContent = true
	got := notified(t, d, hostile)
	body, ok := strings.CutPrefix(got, "\x1b]777;notify;hearsay;")
	body, end := strings.CutSuffix(body, "\x1b\\")
	if !ok || !end || strings.ContainsAny(body, "\x1b\a;\u009c\u009d") || ansi.StringWidth(body) > notifyLength {
		t.Errorf("%q", got)
	}
	d.a.update(notifyMsg{})
	offer := chat.Message{Contact: "c_1", Direction: chat.In, Kind: chat.KindMessageFile, Text: "[file]", File: &chat.File{Name: "../plan\x1b.pdf"}}
	if got := notified(t, d, offer); !strings.HasSuffix(got, ": file plan.pdf\x1b\\") {
		t.Errorf("a file that is offered notifies by %q", got)
	}
	d.a.update(notifyMsg{})
	for what, m := range map[string]chat.Message{
		"muted":  {Contact: "c_2", Direction: chat.In, Text: "x"},
		"our":    {Contact: "c_1", Direction: chat.Out, Text: "x"},
		"notice": {Contact: "c_1", Direction: chat.In, Kind: "notice", Text: "x"},
	} {
		if got := notified(t, d, m); got != "" {
			t.Errorf("a message that is %s notifies: %q", what, got)
		}
	}
}

// TestTitleCountsAndNeverNames: the title holds a number at most, and nothing while
// locked.
func TestTitleCountsAndNeverNames(t *testing.T) {
	f := sealed()
	d := onMarta(t, f)
	if d.a.title() != "hearsay" {
		t.Errorf("%q", d.a.title())
	}
	d.msg(tea.BlurMsg{})
	d.msg(incoming("c_2", "\x1b]0;evil\x07"))
	if d.a.title() != "hearsay (1)" {
		t.Errorf("%q", d.a.title())
	}
	d.run(d.a.lock())
	if d.a.title() != "hearsay" {
		t.Errorf("%q while locked", d.a.title())
	}
}
