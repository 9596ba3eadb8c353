package tui

import (
	"regexp"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"hearsay/chat"
)

// coloured brings a conversation with every state on the screen, in a theme, and
// returns its lines with their sequences.
func coloured(t *testing.T, name string, noColor bool) string {
	t.Helper()
	f := newFake()
	f.status.Warnings = []chat.Warning{{Kind: "stale", Text: "the snapshot is 2 days old"}}
	d := onMarta(t, f)
	d.msg(tea.WindowSizeMsg{Width: 80, Height: 24})
	p := d.a.prefs
	p.Theme, p.NoColor = name, noColor
	d.a.prefer(p)
	d.key("up") // one is selected
	lines, _ := d.a.draw()
	return strings.ReplaceAll(strings.Join(lines, "\n"), "\x1b", "^") + "\n"
}

// TestGoldenColours draws a conversation in two themes, ^ for the escape.
func TestGoldenColours(t *testing.T) {
	for _, name := range []string{"dark", "light"} {
		d := &driver{t: t}
		d.compare("colours-"+name, coloured(t, name, false))
	}
}

// anyColour finds a sequence that sets a colour.
var anyColour = regexp.MustCompile(`\^\[([0-9;]*;)?(3[0-8]|4[0-8]|9[0-7]|10[0-7])(;[0-9;]*)?m`)

// TestNoColour: without colour no theme sets one, and weight alone is left.
func TestNoColour(t *testing.T) {
	for _, name := range Themes() {
		if s := coloured(t, name, true); anyColour.MatchString(s) {
			t.Errorf("%s sets a colour: %q", name, anyColour.FindString(s))
		}
		if s := coloured(t, name, false); name != "contrast" && !anyColour.MatchString(s) {
			t.Errorf("%s sets no colour", name)
		}
	}
}

// TestThemes: every theme tells apart what is good and what is bad, by colour or
// weight, and a code is dark on light in all.
func TestThemes(t *testing.T) {
	for _, name := range Themes() {
		for _, dark := range []bool{true, false} {
			p := DefaultPreferences()
			p.Theme = name
			th := newTheme(p, dark)
			if th.good.Render("x") == th.bad.Render("x") || th.strong.Render("x") == "x" {
				t.Errorf("%s: good and bad look alike", name)
			}
			if !strings.Contains(th.qr.Render("x"), "48;") {
				t.Errorf("%s: a code takes the background of the terminal: %q", name, th.qr.Render("x"))
			}
			p.NoColor = true
			th = newTheme(p, dark)
			for what, s := range map[string]lipgloss.Style{"good": th.good, "warn": th.warn, "bad": th.bad, "dim": th.dim, "accent": th.accent} {
				if anyColour.MatchString(strings.ReplaceAll(s.Render("x"), "\x1b", "^")) {
					t.Errorf("%s without colour draws %s as %q", name, what, s.Render("x"))
				}
			}
			if reversed := strings.Contains(th.qr.Render("x"), "\x1b[7m"); reversed != dark {
				t.Errorf("%s without colour, dark %t: a code is drawn as %q", name, dark, th.qr.Render("x"))
			}
		}
	}
}
