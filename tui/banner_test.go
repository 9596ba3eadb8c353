package tui

import (
	"strings"
	"testing"

	"hearsay/chat"
)

// TestBannerSaysWhatStandsAgainstTheNetwork on every size of screen, in one line,
// and its whole text once.
func TestBannerSaysWhatStandsAgainstTheNetwork(t *testing.T) {
	text := "anna (signer 0a0b) signed two different snapshots for 2027-01-15 08:01:00 UTC: people were shown different networks"
	for _, size := range [][2]int{{100, 28}, {80, 24}, {58, 20}, {30, 8}} {
		f := newFake()
		f.status.Warnings = []chat.Warning{{Kind: "evidence", Text: text}, {Kind: "stale", Text: "old"}}
		d := drive(t, &fakeHome{state: readyHome, chat: f}, size[0], size[1])
		lines := strings.Split(strings.TrimSuffix(d.screen(), "\n"), "\n")
		if len(lines) != size[1] {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		n := 0
		for _, l := range lines {
			if strings.Contains(l, "! (1 of 2) anna") {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%v: %d banners:\n%s", size, n, d.screen())
		}
		if size[0] == 100 {
			d.has("people were shown")
		}
	}
}
