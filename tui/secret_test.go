package tui

import (
	"testing"

	tea "charm.land/bubbletea/v2"
)

// TestPastedPassphraseHasNoLineEnd: a passphrase that is pasted with the end of its
// line is the one without it. A blank in its place would lock its owner out for
// good.
func TestPastedPassphraseHasNoLineEnd(t *testing.T) {
	for _, end := range []string{"\n", "\r\n", "\r"} {
		h := &fakeHome{state: HomeState{HasNetwork: true}, chat: sealed()}
		d := drive(t, h, 80, 24)
		d.key("enter")
		d.msg(tea.PasteMsg{Content: "correct horse" + end})
		d.key("enter")
		d.msg(tea.PasteMsg{Content: "correct horse" + end})
		d.key("enter")
		if h.pass != "correct horse" {
			t.Errorf("%q: the passphrase is %q", end, h.pass)
		}
		f := sealed()
		d = onMarta(t, f)
		d.key("f9")
		d.msg(tea.PasteMsg{Content: "right" + end})
		d.key("enter")
		if !f.called("Unlock right") || f.called("Unlock right ") {
			t.Errorf("%q: calls %q", end, f.calls)
		}
	}
}
