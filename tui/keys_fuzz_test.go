package tui

import (
	"fmt"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// FuzzKeys presses keys, pastes, resizes and lets events come, in any order: the
// program neither panics nor draws a line that does not fit or holds a control.
func FuzzKeys(f *testing.F) {
	f.Add([]byte("\x00\x01\x02hello\x10\x20\x30"), "see you", byte(0))
	f.Add([]byte("\x80\x81\x82\x83\x84\x85\xc0\xc1\xd0\xd1\xe0\xe1\xf0\xf1"), "a\x1b[2Jb\r\n14:05 you c", byte(1))
	f.Add([]byte("\xf0\x00\x00\xf0\x1d\x07\xf0\x3b\x0f\xf0\xff\xff\xe0\xe1\xe2\xe3\xe4\xe5\xe6\xe7\xe8"), "漢字 👩‍👧 ❤️ 🇩 ำ", byte(2))
	f.Add([]byte("/group new x\x80/settings\x80\x85\x86/network\x80\x81/verify\x80"), hostileTexts[0].text, byte(3))
	f.Fuzz(func(t *testing.T, script []byte, text string, flags byte) {
		if len(script) > 300 || len(text) > 4000 {
			return
		}
		d := fuzzed(t, text, flags)
		for i, op := range fuzzSteps(d, script, text) {
			op()
			harmless(d, fmt.Sprint("step ", i))
			if t.Failed() {
				return
			}
		}
	})
}

// FuzzRenderer does so on the real program and renderer: what stands on the
// terminal in the end is what was drawn, and it was told nothing else.
func FuzzRenderer(f *testing.F) {
	f.Add([]byte("hi\x80\x85\xe0\xe1"), "see you", byte(0))
	f.Add([]byte("/help\x80\x83\xe2\xe3\xe8"), hostileTexts[11].text, byte(4))
	f.Add([]byte("\xe0\xe1\xe2\x85\x86\x87"), "漢字かな\n漢 x\u0301 ﷽", byte(6))
	f.Fuzz(func(t *testing.T, script []byte, text string, flags byte) {
		if len(script) > 40 || len(text) > 2000 {
			return
		}
		d := fuzzed(t, text, flags)
		size := sizes[int(flags)%len(sizes)]
		d.msg(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		var steps []func()
		for _, op := range fuzzSteps(d, script, text) {
			steps = append(steps, func() {
				op()
				d.msg(tea.WindowSizeMsg{Width: size[0], Height: size[1]}) // the terminal keeps its size
			})
		}
		method := ansi.WcWidth
		if flags&4 != 0 {
			method = ansi.GraphemeWidth
		}
		term := rendered(t, d, method, steps...)
		sameScreen(t, d, term)
		if len(term.notified) > 0 {
			t.Errorf("notified %q", term.notified)
		}
	})
}

// fuzzed returns a driver on a profile that may be hostile, or not there yet.
func fuzzed(t *testing.T, text string, flags byte) *driver {
	h := &fakeHome{state: readyHome, chat: newFake()}
	if flags&1 != 0 {
		h.chat = hostileFake(text)
	}
	if flags&8 != 0 {
		h.state = HomeState{}
	}
	d := drive(t, h, 80, 24)
	if flags&16 != 0 {
		p := d.a.prefs
		p.ASCII = true
		d.a.prefs, d.a.theme = p, newTheme(p, true)
	}
	return d
}

// fuzzSteps reads a script: below 0x80 a character is typed, then come keys of the
// table, events, and changes of the size, which take two bytes more.
func fuzzSteps(d *driver, script []byte, text string) []func() {
	var names []string
	for _, g := range keyTable() {
		for _, b := range g.bindings {
			names = append(names, b.keys...)
		}
	}
	names = append([]string{"enter", "tab", "esc", "up", "down", "left", "right", "home", "end", "backspace", "delete", "ctrl+w", "ctrl+u"}, names...)
	events := hostileEvents(d.a.home.(*fakeHome).chat)
	event := func(ev chat.Event) {
		if d.a.chat != nil { // before a profile is open nothing happens in it
			d.msg(eventsMsg{events: []chat.Event{ev}})
		}
	}
	var steps []func()
	for i := 0; i < len(script); i++ {
		op := script[i]
		switch {
		case op < 0x80:
			r := rune(max(op, ' '))
			steps = append(steps, func() { d.msg(tea.KeyPressMsg{Code: r, Text: string(r)}) })
		case op < 0xe0:
			name := names[int(op-0x80)%len(names)]
			if op >= 0xc0 && i+1 < len(script) {
				i++
				name = names[(int(op-0xc0)*256+int(script[i]))%len(names)]
			}
			steps = append(steps, func() { d.key(name) })
		case op < 0xe8:
			ev := events[int(op-0xe0)%len(events)]
			steps = append(steps, func() { event(ev) })
		case op == 0xe8:
			steps = append(steps, func() { d.msg(tea.PasteMsg{Content: text}) })
		case op == 0xe9:
			steps = append(steps, func() { d.msg(tea.BlurMsg{}) })
		case op == 0xea:
			steps = append(steps, func() { d.msg(tea.FocusMsg{}) })
		case op == 0xeb:
			steps = append(steps, func() { event(chat.Event{Type: chat.ProfileLocked}) })
		case op == 0xec:
			steps = append(steps, func() { event(chat.Event{Type: chat.ProfileUnlocked}) })
		case op == 0xed:
			steps = append(steps, func() { d.msg(tea.MouseWheelMsg{X: 40, Y: 5, Button: tea.MouseWheelUp}) })
		case op == 0xee:
			steps = append(steps, func() { d.msg(tea.MouseClickMsg{X: 40, Y: 5, Button: tea.MouseLeft}) })
		default:
			if i+2 < len(script) {
				w, h := int(script[i+1])*300/255+1, int(script[i+2])*100/255+1
				i += 2
				steps = append(steps, func() { d.msg(tea.WindowSizeMsg{Width: min(w, 300), Height: min(h, 100)}) })
			}
		}
	}
	return steps
}
