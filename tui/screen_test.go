package tui

import (
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// TestEverySizeFits draws the screen at all sizes around those where it changes,
// with everything on it that takes room.
func TestEverySizeFits(t *testing.T) {
	f := newFake()
	withLatest(f)
	f.contacts[0].State = chat.ContactChanged
	f.status.Warnings = []chat.Warning{{Kind: "clock", Text: "the clock of this computer is wrong"}}
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.a.composer.load(strings.Repeat("long text ", 100))
	d.a.composer.reply, d.a.composer.about = "m_1", "pick up after six"
	for _, set := range []func(){
		func() {}, func() { d.a.info = true }, func() { d.a.contacts.hidden = true }, func() { d.a.bare = true },
		func() { d.a.bare = false; d.a.composer.load("/") },
	} {
		set()
		for _, w := range []int{1, 29, 30, 31, 59, 60, 61, 99, 100, 101, 200} {
			for _, h := range []int{1, 7, 8, 9, 15, 16, 17, 28, 60} {
				d.msg(tea.WindowSizeMsg{Width: w, Height: h})
				d.screen()
				if l := d.a.layout(); w >= minWidth && h >= minHeight && l.rows < 1 {
					t.Errorf("no row is left for the conversation at %dx%d", w, h)
				}
				if _, cur := d.a.draw(); cur != nil && (cur.X < 0 || cur.X >= w || cur.Y < 0 || cur.Y >= h) {
					t.Errorf("the cursor is at %d,%d on a screen of %dx%d", cur.X, cur.Y, w, h)
				}
			}
		}
	}
}

// TestASCIIScreen: with --ascii nothing but ASCII is drawn.
func TestASCIIScreen(t *testing.T) {
	for _, size := range sizes {
		p := DefaultPreferences()
		p.ASCII = true
		f := newFake()
		withLatest(f)
		d := driveWith(t, f, p, size[0], size[1])
		for _, keys := range [][]string{{}, {"f1"}, {"esc", "ctrl+k"}, {"esc", "ctrl+r"}, {"esc", "alt+l"}, {"alt+l", "f7"}, {"f7", "/"}} {
			d.key(keys...)
			for i, l := range strings.Split(d.screen(), "\n") {
				for _, r := range l {
					if r > 0x7e {
						t.Errorf("%v after %v: line %d: %q", size, keys, i, l)
						break
					}
				}
			}
		}
	}
}

// TestBareHasNoBorders: what a terminal selects there is the conversation alone.
func TestBareHasNoBorders(t *testing.T) {
	f := newFake()
	withLatest(f)
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
	d.key("alt+l")
	for _, l := range strings.Split(d.screen(), "\n")[:20] {
		if strings.ContainsAny(l, "│┌┐└┘├┤┬┴┼") {
			t.Errorf("a border: %q", l)
		}
	}
	if s := d.screen(); strings.Contains(s, "alice") {
		t.Errorf("the contacts are there:\n%s", s)
	}
}

// TestNoticeThatDoesNotFit says that it goes on.
func TestNoticeThatDoesNotFit(t *testing.T) {
	d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, 30, 8)
	d.a.notice = "there is no file of alice to save in this conversation, nor in any other one that there is"
	s := d.screen()
	for line := range strings.Lines(s) {
		if strings.Contains(line, "there is no file") {
			if !strings.Contains(line, "…") {
				t.Errorf("a notice ends in the middle:\n%s", s)
			}
			return
		}
	}
	t.Errorf("no notice:\n%s", s)
}

// TestQuitNeedsTwoPressesInARow: who clears the input much later clears it.
func TestQuitNeedsTwoPressesInARow(t *testing.T) {
	d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, 80, 24)
	now := testNow
	d.a.now = func() time.Time { return now }
	press := func() tea.Cmd {
		cmd, _ := d.a.globalKey(keyPress("ctrl+c"))
		return cmd
	}
	press()
	now = now.Add(time.Minute)
	if press() != nil {
		t.Error("a press a minute after the first one quits")
	}
	if press() == nil {
		t.Error("two presses do not quit")
	}
}
