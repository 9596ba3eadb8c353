package tui

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

var update = flag.Bool("update", false, "write testdata again")

func newFake() *fakeChat {
	at := func(h, m int) time.Time { return time.Date(2026, 11, 21, h, m, 0, 0, time.UTC) }
	return &fakeChat{
		feed: chat.NewFeed(0),
		status: chat.Status{
			Network: "harbour", Lab: true, Ready: true, Relays: 8, Health: chat.Connected, Cover: "off", Queued: 1,
			Steps: []chat.Step{
				{Name: "network file", State: "done", Took: 400 * time.Millisecond, Detail: `"harbour", version 1`},
				{Name: "snapshot", State: "done", Took: 300 * time.Millisecond, Detail: "epoch 412"},
				{Name: "guard", State: "running", Took: 200 * time.Millisecond},
				{Name: "circuit", State: "waiting"},
				{Name: "mailboxes", State: "waiting"},
			},
		},
		path: chat.Path{Relays: []string{"otter", "plum", "wren"}, Mailbox: "fern", RTT: 212 * time.Millisecond, Open: true},
		contacts: []chat.Contact{
			{ID: "c_1", Name: "marta", State: chat.ContactActive, Verified: true},
			{ID: "c_2", Name: "alice", State: chat.ContactActive},
			{ID: "c_3", Name: "bob", State: chat.ContactInvited},
		},
		messages: map[string][]chat.Message{"c_1": {
			{ID: "m_1", Contact: "c_1", Direction: chat.In, Text: "pick up after six", Seq: 1, Time: at(14, 1).AddDate(0, 0, -1), State: chat.Received},
			{ID: "m_2", Contact: "c_1", Direction: chat.In, Text: "the back door, not the shop", Seq: 2, Time: at(14, 1), State: chat.Received},
			{ID: "m_3", Contact: "c_1", Direction: chat.Out, Text: "thanks, on my way", Seq: 3, Time: at(14, 2), State: chat.Delivered},
			{ID: "m_4", Contact: "c_1", Direction: chat.Out, Text: "is the street lamp on?", Seq: 4, Time: at(14, 3), State: chat.Stored, Copies: &chat.Copies{Have: 1, Want: 2}},
			{ID: "m_5", Contact: "c_1", Direction: chat.Out, Text: "and does anybody have the key to the little door beside the stairs, or must I ask again?", Seq: 5, Time: at(14, 3), State: chat.Stored, Copies: &chat.Copies{Have: 2, Want: 2}},
			{ID: "m_6", Contact: "c_1", Direction: chat.In, Text: "yes", Seq: 6, Time: at(14, 4), State: chat.Received, Late: true},
			{ID: "m_7", Contact: "c_1", Direction: chat.Out, Text: "good", Seq: 7, Time: at(14, 5), State: chat.Queued},
			{ID: "m_8", Contact: "c_1", Direction: chat.Out, Text: "lost", Seq: 8, Time: at(14, 5), State: chat.Failed},
		}},
		invite: chat.Invite{ID: "i_1", Link: "HEARSAY:" + strings.Repeat("AEAQ2", 23) + "AB", Expires: testNow.Add(6*24*time.Hour + 23*time.Hour)},
	}
}

// driver runs an App without a program: commands run at once, but for the ones
// that wait.
type driver struct {
	t *testing.T
	a *App
}

func drive(t *testing.T, h Home, w, hh int) *driver {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	a, err := New(ctx, Config{Home: h, Now: func() time.Time { return testNow }})
	if err != nil {
		t.Fatal(err)
	}
	a.noWaiting = true
	d := &driver{t, a}
	d.msg(tea.WindowSizeMsg{Width: w, Height: hh})
	if a.first.step == stepStarting {
		d.run(a.open())
	}
	return d
}

// run executes a command at once and applies what it returns.
func (d *driver) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch m := cmd().(type) {
	case nil:
	case tea.BatchMsg:
		for _, c := range m {
			d.run(c)
		}
	default:
		d.msg(m)
	}
}

func (d *driver) msg(m tea.Msg) {
	_, cmd := d.a.Update(m)
	d.run(cmd)
}

func (d *driver) key(keys ...string) {
	for _, k := range keys {
		d.msg(keyPress(k))
	}
}

func (d *driver) typeText(s string) {
	for _, r := range s {
		d.msg(tea.KeyPressMsg{Code: r, Text: string(r)})
	}
}

// keyPress makes the message of a key by its name.
func keyPress(name string) tea.KeyPressMsg {
	special := map[string]rune{
		"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown,
		"home": tea.KeyHome, "end": tea.KeyEnd, "f1": tea.KeyF1, "f3": tea.KeyF3, "f7": tea.KeyF7, "f9": tea.KeyF9, "backspace": tea.KeyBackspace, "up": tea.KeyUp, "down": tea.KeyDown, "left": tea.KeyLeft, "right": tea.KeyRight, "delete": tea.KeyDelete, "space": tea.KeySpace,
	}
	k := tea.Key{}
	for {
		if rest, ok := strings.CutPrefix(name, "ctrl+"); ok {
			k.Mod |= tea.ModCtrl
			name = rest
		} else if rest, ok := strings.CutPrefix(name, "alt+"); ok {
			k.Mod |= tea.ModAlt
			name = rest
		} else if rest, ok := strings.CutPrefix(name, "shift+"); ok {
			k.Mod |= tea.ModShift
			name = rest
		} else {
			break
		}
	}
	if c, ok := special[name]; ok {
		k.Code = c
	} else {
		k.Code = []rune(name)[0]
		if k.Mod == 0 {
			k.Text = name
		}
	}
	return tea.KeyPressMsg(k)
}

// screen returns the text on screen and checks that it fills it exactly.
func (d *driver) screen() string {
	d.t.Helper()
	lines, _ := d.a.draw()
	if len(lines) != d.a.height {
		d.t.Errorf("%d lines on a screen of %d", len(lines), d.a.height)
	}
	for i, l := range lines {
		if n := ansi.StringWidth(l); n != d.a.width {
			d.t.Errorf("line %d has %d cells, want %d: %q", i, n, d.a.width, ansi.Strip(l))
		}
		lines[i] = strings.TrimRight(ansi.Strip(l), " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

func (d *driver) golden(name string) {
	d.t.Helper()
	got := d.screen()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			d.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		d.t.Fatal(err)
	}
	if got != string(want) {
		d.t.Errorf("%s differs:\n%s", name, got)
	}
}

func (d *driver) has(want string) {
	d.t.Helper()
	if s := d.screen(); !strings.Contains(s, want) {
		d.t.Errorf("%q is not on screen:\n%s", want, s)
	}
}

var readyHome = HomeState{Exists: true, HasNetwork: true}

// sizes are those at which every screen has a golden.
var sizes = [][2]int{{100, 28}, {80, 24}, {58, 20}, {30, 8}}

// goldens brings a screen up at every size, on a profile as newFake makes it and
// setup (nil: nothing) changes it, and compares it with testdata/NAME-WxH.txt.
func goldens(t *testing.T, name string, setup func(f *fakeChat), steps func(d *driver)) {
	t.Helper()
	for _, size := range sizes {
		f := newFake()
		if setup != nil {
			setup(f)
		}
		d := drive(t, &fakeHome{state: readyHome, chat: f}, size[0], size[1])
		steps(d)
		d.golden(fmt.Sprintf("%s-%dx%d", name, size[0], size[1]))
	}
}
