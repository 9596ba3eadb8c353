package tui

import (
	"strings"
	"testing"

	"hearsay/chat"
)

// TestLentRelayIsShown: who lends a relay sees where, how it stands, and what it may
// take; and that it does not run.
func TestLentRelayIsShown(t *testing.T) {
	for _, c := range []struct {
		lent chat.LentView
		want []string
	}{
		{chat.LentView{Lent: chat.Lent{Address: "192.0.2.7:4443", Bandwidth: 1 << 20}, Name: "plum", Listed: true}, []string{"192.0.2.7:4443", "listed as plum", "1024 KiB/s"}},
		{chat.LentView{Lent: chat.Lent{Address: "192.0.2.7:4443", Bandwidth: 1 << 20}}, []string{"not listed yet"}},
		{chat.LentView{Lent: chat.Lent{Address: "192.0.2.7:4443", Bandwidth: 1 << 20, Waits: "the directory\x1b[31m could not reach it"}}, []string{"not listed:", "could not reach it"}},
		{chat.LentView{Lent: chat.Lent{Problem: "the port\x1b[31m is taken"}}, []string{"does not run", "is taken"}},
	} {
		f := newFake()
		harbour(f)
		f.view.Lends = &c.lent
		d := drive(t, &fakeHome{state: readyHome, chat: f}, 120, 30)
		d.key("f3")
		screen := d.screen()
		flat := strings.Join(strings.Fields(strings.ReplaceAll(screen, "│", " ")), " ")
		for _, want := range c.want {
			found := true
			for _, w := range strings.Fields(want) { // lines may break between words
				found = found && strings.Contains(flat, w)
			}
			if !found || strings.Contains(screen, "\x1b") {
				t.Errorf("%q is not on screen:\n%s", want, screen)
			}
		}
	}
}
