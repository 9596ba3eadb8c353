package tui

import (
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
)

// unknownEvent is what the library makes of what it does not understand.
type unknownEvent string

// TestTornAnswerIsNoInput: a terminal's answer that a slow link tore apart does not
// become text, nor a part of a passphrase; what is typed after it does.
func TestTornAnswerIsNoInput(t *testing.T) {
	for _, end := range []tea.KeyPressMsg{{Code: '\\', Mod: tea.ModAlt}, {Code: 'g', Mod: tea.ModCtrl}} {
		d := onMarta(t, newFake())
		d.msg(unknownEvent("\x1b]11;rgb:1e1e/"))
		d.typeText("1e1e/2e2e")
		d.msg(end)
		d.typeText("hi")
		if v := d.a.composer.value(); v != "hi" {
			t.Errorf("the composer holds %q", v)
		}
	}
	d := onMarta(t, newFake())
	d.msg(unknownEvent("\x1b]99;i=hearsay:p=?;a=report\x1b\\")) // whole
	d.typeText("a")
	d.msg(unknownEvent("\x1b]11;rgb"))
	d.key("left", "end") // somebody is at the keys
	d.typeText("b")
	d.msg(unknownEvent("\x1b]11;rgb"))
	d.a.now = func() time.Time { return testNow.Add(2 * time.Second) }
	d.typeText("c")
	if v := d.a.composer.value(); v != "abc" {
		t.Errorf("the composer holds %q", v)
	}
}
