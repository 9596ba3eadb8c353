package tui

import (
	"fmt"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// TestKeyTable checks what the help and the configuration rely on.
func TestKeyTable(t *testing.T) {
	names, modes := map[action]bool{}, map[mode]bool{}
	for _, g := range keyTable() {
		if modes[g.mode] || g.title == "" {
			t.Errorf("mode %q stands twice, or has no title", g.mode)
		}
		modes[g.mode] = true
		for _, b := range g.bindings {
			if names[b.act] {
				t.Errorf("action %q stands twice", b.act)
			}
			names[b.act] = true
			if n := ansi.StringWidth(b.does); n == 0 || n > 30 || strings.ToLower(b.does[:2]) != b.does[:2] && strings.ToUpper(b.does[:2]) != b.does[:2] {
				t.Errorf("%q does %q", b.act, b.does)
			}
			for _, key := range b.keys {
				if same, err := canonicalKey(key); err != nil || same != key {
					t.Errorf("%q is bound to %q, which is written %q (%v)", b.act, key, same, err)
				}
			}
			if _, err := checkBinding(g.mode, b.act, b.keys); err != nil {
				t.Errorf("a default could not be bound by a person: %v", err)
			}
		}
	}
	if _, err := newKeys(nil); err != nil {
		t.Error(err)
	}
	for _, c := range commandTable() {
		if ansi.StringWidth(c.does) > 40 || c.does == "" || !strings.HasPrefix(c.name, "/") || c.run == nil {
			t.Errorf("command %q: %q", c.name, c.does)
		}
	}
}

// TestForbiddenKeys refuses what would lock a person out, or could not be told
// from another key.
func TestForbiddenKeys(t *testing.T) {
	for _, c := range []struct{ act, key, says string }{
		{"help", "ctrl+i", "terminals do not tell it from tab"},
		{"help", "ctrl+m", "from enter"},
		{"help", "CTRL+H", "from backspace"},
		{"help", "ctrl+[", "from esc"},
		{"help", "ctrl+shift+x", "do not tell ctrl+shift"},
		{"help", "shift+ctrl+x", "do not tell ctrl+shift"},
		{"send", "esc", "it closes the top thing, always"},
		{"help", "x", "could not be typed any more"},
		{"send", "space", "could not be typed any more"},
		{"info", "X", "could not be typed any more"},
		{"switcher.down", "j", "could not be typed any more"},
		{"palette", "f5", "begin with what is typed"},
		{"help", "f3", `bound to both`},
		{"help", "ctrl+n", `bound to both`},
		{"help", "pgdown", `bound to both`},
		{"send", "f1", `bound to both`},
		{"why.retry", "f9", `bound to both`},
		{"helpp", "f5", "did you mean help?"},
		{"help", "", "no key is called"},
		{"help", "ctrl+", "no key is called"},
		{"help", "ctrl+ctrl+x", "no key is called"},
		{"help", "f21", "no key is called"},
		{"help", "f01", "no key is called"},
		{"help", "shift+/", "no key is called"},
		{"help", "pagey", "no key is called"},
		{"help", "alt+ab", "no key is called"},
	} {
		err := CheckKeys(map[string][]string{c.act: {c.key}})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s on %q: %v", c.act, c.key, err)
		}
	}
	if err := CheckKeys(map[string][]string{"help": {}}); err == nil {
		t.Error("no key at all is taken")
	}
	if err := CheckKeys(map[string][]string{"help": {"f3"}, "network": {"f1"}}); err != nil {
		t.Errorf("two keys cannot change places: %v", err)
	}
	for name, want := range map[string]string{
		"Alt+Ctrl+X": "ctrl+alt+x", "ctrl+PageDown": "ctrl+pgdown", "F5": "f5", "escape": "esc", "alt++": "alt++", "+": "+",
		"shift+a": "A", "alt+A": "alt+shift+a", "Return": "enter", "del": "delete", "alt+ü": "alt+ü",
	} {
		if got, err := canonicalKey(name); got != want {
			t.Errorf("%q is %q, want %q (%v)", name, got, want, err)
		}
	}
}

// TestRebinding gives every action another key: it acts on that one, screens name
// it, and the old key does nothing.
func TestRebinding(t *testing.T) {
	for _, g := range keyTable() {
		for i, b := range g.bindings {
			if b.act == "palette" {
				continue
			}
			key := fmt.Sprintf("alt+shift+f%d", i%20+1)
			if i >= 20 {
				key = fmt.Sprintf("alt+f%d", i%20+1)
			}
			k, err := newKeys(map[string][]string{string(b.act): {key}})
			if err != nil {
				t.Errorf("%s: %v", b.act, err)
				continue
			}
			if k.find(g.mode, key) != b.act || b.keys[0] != "esc" && k.find(g.mode, b.keys[0]) == b.act || k.of(b.act) != keyName(key) {
				t.Errorf("%s is not on %s", b.act, key)
			}
		}
	}
	f := newFake()
	withLatest(f)
	prefs := DefaultPreferences()
	prefs.Keys = map[string][]string{
		"help": {"f5"}, "close": {"f6"}, "send": {"alt+x"}, "message.why": {"v"}, "contact.number": {"alt+7", "alt+8"},
		"help.down": {"n"}, "switcher.take": {"f8"}, "palette.complete": {"f8"}, "complete": {"alt+f8"},
	}
	d := driveWith(t, f, prefs, 80, 24)
	d.key("f1")
	if len(d.a.dialogs) > 0 {
		t.Error("the old key still opens the help")
	}
	d.key("f5")
	d.has("[F6] close")
	d.key("n")
	if d.a.top().(*helpDialog).scroll != 1 {
		t.Error("the help does not scroll with its new key")
	}
	d.key("f6")
	if len(d.a.dialogs) > 0 {
		t.Error("the new key does not close")
	}
	d.key("f5", "esc")
	if len(d.a.dialogs) > 0 {
		t.Error("esc does not close any more")
	}
	d.typeText("text")
	d.key("enter")
	if len(f.sent()) > 0 {
		t.Error("enter still sends")
	}
	d.has("alt+x send")
	d.key("alt+x")
	if len(f.sent()) != 1 {
		t.Error("alt+x does not send")
	}
	d.key("alt+8")
	if d.a.current != d.a.entries[1].id {
		t.Errorf("alt+8 goes to %s", d.a.current)
	}
	d.typeText("/ver")
	d.key("f8")
	if d.a.composer.value() != "/verify " {
		t.Errorf("f8 completes to %q", d.a.composer.value())
	}
	d.key("ctrl+c", "ctrl+k", "f8")
	if len(d.a.dialogs) > 0 {
		t.Error("f8 does not take a name")
	}
	prefs.Keys = map[string][]string{"helpp": {"f5"}}
	if _, err := New(t.Context(), Config{Home: &fakeHome{state: readyHome, chat: f}, Preferences: &prefs}); err == nil {
		t.Error("bindings that cannot be used are taken")
	}
}

// TestKeysOfOtherLayouts: a key is what its layout says, and what stands in its
// place where the layout has no Latin letters.
func TestKeysOfOtherLayouts(t *testing.T) {
	for _, c := range []struct {
		key  tea.Key
		want string
	}{
		{tea.Key{Code: 'a', BaseCode: 'q', Mod: tea.ModCtrl}, "ctrl+a"}, // AZERTY
		{tea.Key{Code: 'k', BaseCode: 'v', Mod: tea.ModAlt}, "alt+k"},   // Dvorak
		{tea.Key{Code: 'л', BaseCode: 'k', Mod: tea.ModCtrl}, "ctrl+k"}, // Cyrillic
		{tea.Key{Code: tea.KeyF1}, "f1"},
	} {
		if got := byLayout(tea.KeyPressMsg(c.key)).String(); got != c.want {
			t.Errorf("%+v is %q, want %q", c.key, got, c.want)
		}
	}
	d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, 80, 24)
	d.msg(tea.KeyPressMsg{Code: 'л', BaseCode: 'k', Mod: tea.ModCtrl})
	if _, open := d.a.top().(*switcherDialog); !open {
		t.Error("ctrl and the key of k do not switch on a Cyrillic keyboard")
	}
}
