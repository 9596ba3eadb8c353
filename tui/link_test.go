package tui

import (
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
)

// TestLinkInAMail finds a link in what people copy around it, in the dialog that
// asks for one as well: the words stay outside.
func TestLinkInAMail(t *testing.T) {
	link := newFake().invite.Link
	broken := link[:40] + "\n" + link[40:90] + " │\n│ " + link[90:]
	for _, text := range []string{
		"hi, take this: " + link + " and call me",
		link + " see you",
		broken,
		"hi,\n" + broken + "\nsee you\n",
		"> " + link + ".",
	} {
		for _, open := range []bool{false, true} {
			f := newFake()
			d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
			if open {
				d.run(d.a.openAccept(""))
			}
			d.msg(tea.PasteMsg{Content: text})
			d.typeText("carol")
			dialog, ok := d.a.top().(*acceptDialog)
			if !ok {
				t.Errorf("%q opens no dialog", text)
				continue
			}
			if got, name := dialog.typedLink(), dialog.name.Value(); got != link || name != "carol" {
				t.Errorf("open %v, %q: the link is %q, the name %q", open, text, got, name)
			}
		}
	}
}

// TestWordsAreNoInvite: a text that begins like a link is sent as what it is.
func TestWordsAreNoInvite(t *testing.T) {
	for _, text := range []string{
		"hearsay: did you hear it too",
		"Hearsay: " + strings.Repeat("nothing but words ", 8),
		"HEARSAY: YES",
	} {
		f := newFake()
		d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
		d.msg(tea.PasteMsg{Content: text})
		d.key("enter")
		if got := f.sent(); len(got) != 1 || got[0] != strings.TrimSpace(text) {
			t.Errorf("%q is sent as %q", text, got)
		}
	}
	f := newFake()
	d := drive(t, &fakeHome{state: readyHome, chat: f}, 80, 24)
	d.typeText("hearsay:AEAQ")
	d.key("enter", "esc", "ctrl+y")
	if got := d.a.composer.value(); got != "hearsay:AEAQ" {
		t.Errorf("ctrl+y brings %q back", got)
	}
}
