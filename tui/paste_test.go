package tui

import (
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// TestPasteIntoInputs pastes signs that turn the order of what is read, or hide,
// into every input that is no passphrase: pastes are other people's words.
func TestPasteIntoInputs(t *testing.T) {
	ready := func(steps ...string) func(t *testing.T) *driver {
		return func(t *testing.T) *driver {
			d := drive(t, &fakeHome{state: readyHome, chat: newFake()}, 80, 24)
			d.key(steps...)
			return d
		}
	}
	for name, at := range map[string]func(t *testing.T) *driver{
		"composer": ready(),
		"switcher": ready("ctrl+k"),
		"search":   ready("alt+/"),
		"history":  ready("ctrl+r"),
		"filter":   ready("alt+f7"),
		"invite":   ready("alt+n"),
		"find":     ready("f3", "/"),
		"network link": func(t *testing.T) *driver {
			return drive(t, &fakeHome{state: HomeState{Exists: true}, chat: newFake()}, 80, 24)
		},
		"backup file": func(t *testing.T) *driver {
			d := drive(t, &fakeHome{}, 80, 24)
			d.key("r")
			return d
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := at(t)
			d.msg(tea.PasteMsg{Content: "zu\u202eza\u200bh\x1b[2Jl"})
			s := d.screen()
			if !strings.Contains(s, "zuzah") {
				t.Errorf("the paste did not come:\n%s", s)
			}
			if clean := chat.Sanitize(s); clean != s {
				t.Errorf("the paste holds signs that turn or hide text:\n%q", s)
			}
		})
	}
}
