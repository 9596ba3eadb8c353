package tui

import (
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// TestStatusBar at every width: health in a word, the path as far as there is
// room, LAB always, what is queued, the clock.
func TestStatusBar(t *testing.T) {
	d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, 100, 28)
	a := d.a
	a.status = chat.Status{Health: chat.Connected, Cover: "normal", Queued: 2}
	bar := func(w int, want string) {
		t.Helper()
		got := a.statusBar(w)
		if ansi.StringWidth(got) != w {
			t.Errorf("%d cells, want %d: %q", ansi.StringWidth(got), w, ansi.Strip(got))
		}
		if s := strings.TrimRight(ansi.Strip(got), " "); s != want {
			t.Errorf("width %d:\n%q\nwant\n%q", w, s, want)
		}
	}
	bar(96, "● connected │ you ▸ otter ▸ plum ▸ wren ▸ mailbox fern 212 ms │ cover normal    2 queued │ 14:05")
	bar(76, "● connected │ otter ▸ plum ▸ wren ▸ fern  │ cover normal    2 queued │ 14:05")
	bar(56, "● connected │ 3 hops    │ cover normal  2 queued │ 14:05")
	bar(48, "● connected · 3 hops · 2 queued          F1 help")
	bar(28, "● connected · 2 queued")
	a.status.Lab = true
	bar(28, "● connected · LAB · 2 queued")
	a.status.Health = chat.Degraded
	bar(76, "◐ degraded │ otter ▸ plum ▸ wren ▸ fern │ LAB cover normal  2 queued │ 14:05")
	a.prefs.PathInBar = "count"
	a.status.Lab = false
	bar(96, "◐ degraded │ 3 hops and a mailbox 212 ms                      │ cover normal    2 queued │ 14:05")
	a.path.Open = false
	bar(96, "◐ degraded │ circuit closed                                   │ cover normal    2 queued │ 14:05")
	a.served, a.status.Queued = false, 0
	bar(96, "◐ degraded │ no circuit has served this conversation yet                  │ cover normal │ 14:05")
	a.status = chat.Status{}
	if !strings.Contains(a.statusBar(40), "starting") {
		t.Error("before the first status nothing is said")
	}
	for _, h := range []chat.Health{chat.Connected, chat.Building, chat.Degraded, chat.StaleView, chat.Offline} {
		a.status.Health = h
		for w := 1; w < 120; w++ {
			if got := a.statusBar(w); ansi.StringWidth(got) != w {
				t.Fatalf("%d cells, want %d", ansi.StringWidth(got), w)
			}
		}
		if !strings.Contains(a.statusBar(28), string(h)) {
			t.Errorf("the word %s is missing", h)
		}
	}
}

// TestStatusInASCII: nothing beyond ASCII where people asked for that.
func TestStatusInASCII(t *testing.T) {
	f := newFake()
	harbour(f)
	f.why = lampWhy
	for _, size := range sizes {
		d := drive(t, &fakeHome{state: readyHome, chat: f}, size[0], size[1])
		d.a.prefs.ASCII = true
		d.a.theme = newTheme(d.a.prefs, true)
		d.key("f3")
		pure(t, d.box())
		d.key("tab")
		pure(t, d.box())
		d.key("esc")
		d.run(d.a.openWhy("m_4", "is the street lamp on?"))
		pure(t, d.box())
		pure(t, d.a.statusBar(size[0]-2))
		pure(t, d.a.banner())
	}
}

func pure(t *testing.T, s string) {
	t.Helper()
	for _, r := range ansi.Strip(s) {
		if r > 126 {
			t.Errorf("%q in\n%s", r, s)
			return
		}
	}
}

// TestLossIsSaidInWords: reconnecting, offline, a clock that is wrong, another
// guard, and that all is well again.
func TestLossIsSaidInWords(t *testing.T) {
	f := newFake()
	f.status.Ready, f.status.Health = false, chat.Building
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 100, 28)
	if b := d.a.banner(); b != "" {
		t.Errorf("while it starts: %q", b)
	}
	set := func(change func(s *chat.Status)) {
		change(&f.status)
		d.run(d.a.loadStatus())
	}
	set(func(s *chat.Status) { s.Ready, s.Health = true, chat.Connected })
	set(func(s *chat.Status) { s.Ready, s.Health = false, chat.Building })
	d.has("! reconnecting: no circuit stands now; what you write waits on this disk")
	set(func(s *chat.Status) { s.Health, s.Why = chat.Offline, "no guard answers" })
	d.has("! offline: no guard answers; what you write waits on this disk")
	set(func(s *chat.Status) { s.Health, s.Why, s.ClockSkew = chat.Degraded, "", 4*time.Minute })
	d.has("connected again; what waited is on its way")
	d.has("! this computer's clock is 4 min ahead of the network")
	set(func(s *chat.Status) { s.ClockSkew = -3 * time.Minute })
	d.has("! this computer's clock is 3 min behind the network: set it")
	set(func(s *chat.Status) {
		s.Warnings = []chat.Warning{{Kind: "clock", Text: "founders signed a snapshot dated ahead"}}
	})
	if b := d.a.banner(); strings.Contains(b, "of 2") {
		t.Errorf("the clock is told twice: %q", b)
	}
	d.msg(eventsMsg{events: []chat.Event{{Type: chat.GuardChanged, Detail: "the guard does not answer; the next one takes over"}}})
	if want := "another guard: the guard does not answer; the next one takes over; F3 shows which"; d.a.notice != want {
		t.Errorf("notice %q", d.a.notice)
	}
}

// TestOldStatusComesLast: what was asked before the connection was lost, and comes
// after that is on the screen, does not say that all is well.
func TestOldStatusComesLast(t *testing.T) {
	f := newFake()
	d := onMarta(t, f)
	old := d.a.loadStatus()()
	f.status.Health = chat.Offline
	d.run(d.a.loadStatus())
	d.msg(old)
	d.has("offline")
}

// TestPathOfAnotherConversation: the path that served one conversation is never shown
// as that of the next one.
func TestPathOfAnotherConversation(t *testing.T) {
	f := newFake()
	d := onMarta(t, f)
	d.has("otter")
	old := d.a.loadStatus()()
	_ = d.a.selectEntry("c_2")
	d.msg(old)
	if s := d.screen(); strings.Contains(s, "otter") {
		t.Errorf("the path of marta's circuit stands under alice:\n%s", s)
	}
}
