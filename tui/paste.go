package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// Limits of a paste: more lines than the first are asked about, and more bytes
// than the second are not taken at all.
const (
	quietLines = 3
	maxPaste   = 4 * maxText
)

// pasteDialog asks about a paste of many lines before it is put into the composer.
type pasteDialog struct {
	text  string
	lines int
}

func pasteKeys() []binding {
	return []binding{
		{"paste.take", []string{"enter", "y"}, "put it into the text"},
		{"paste.leave", []string{"n"}, "leave it"},
	}
}

// paste takes a bracketed paste. Nothing that is pasted is ever sent by itself.
func (c *composer) paste(a *App, msg tea.PasteMsg) tea.Cmd {
	if len(msg.Content) > maxPaste {
		a.notice = fmt.Sprintf("nothing was pasted: %d KiB are too much, a message holds 64 KiB; /file sends more", len(msg.Content)>>10)
		return nil
	}
	text := typed(msg.Content)
	if s := a.shown(); s != nil {
		s.selected = ""
	}
	if link := findInvite(text); link != "" && c.edit == "" && !isCommand(c.value()) {
		c.text.cut = text
		a.notice = "an invite was found in what you pasted; " + a.keys.of("yank") + " puts the whole paste here"
		return a.openAccept(link)
	}
	if line, _ := strings.CutSuffix(text, "\n"); !strings.Contains(line, "\n") {
		text = line // a line that was copied whole
	}
	if n := strings.Count(strings.TrimRight(text, "\n"), "\n") + 1; n > quietLines {
		a.push(&pasteDialog{text: text, lines: n})
		return nil
	}
	return c.write(a, text)
}

// Lengths of invites: the shortest run of characters that is taken for one in the
// middle of other text, and all that stand behind the colon of a whole one.
const (
	inviteLength = 60
	inviteWhole  = 117
)

// findInvite returns the invite or address link in a pasted text, or "".
func findInvite(text string) string {
	const start = "HEARSAY:"
	upper := strings.ToUpper(text) // links may be written in either case
	for at := 0; len(upper) == len(text); {
		i := strings.Index(upper[at:], start)
		if i < 0 {
			break
		}
		at += i + len(start)
		if code := inviteCode(text[at:]); len(code) >= inviteLength {
			return text[at-len(start):at] + code
		}
	}
	if isInvite(text) {
		return joinLink(text)
	}
	return ""
}

// inviteCode returns what belongs to a link at the beginning of a text. Capitals
// may be broken into lines, as mail and boxes do; small letters could be words.
func inviteCode(text string) string {
	var code strings.Builder
	small := false
	for _, r := range text {
		switch {
		case code.Len() == inviteWhole:
			return code.String()
		case r >= 'A' && r <= 'Z' && !small, r >= '2' && r <= '7':
			code.WriteRune(r)
		case r >= 'a' && r <= 'z' && (small || code.Len() == 0):
			small = true
			code.WriteRune(r)
		case joinLink(string(r)) == "" && !small && code.Len() > 0: // between lines
		default:
			return code.String()
		}
	}
	return code.String()
}

// isInvite tells whether a text is an invite or address link and nothing else,
// though perhaps a mistyped one. Words after "hearsay:" are words.
func isInvite(s string) bool {
	s = strings.TrimSpace(s)
	link := joinLink(s)
	if len(link) > 200 || !strings.HasPrefix(strings.ToUpper(link), "HEARSAY:") || strings.EqualFold(link, "HEARSAY:") {
		return false
	}
	return link == s || len(s) > len("HEARSAY:") && s[len("HEARSAY:")] != ' ' && strings.ToUpper(link) == link
}

// readLink returns the link in what was typed or pasted where one is asked for.
func readLink(s string) string {
	if link := findInvite(s); link != "" {
		return link
	}
	return joinLink(s)
}

func (d *pasteDialog) mode() mode { return modePaste }

func (d *pasteDialog) update(a *App, msg tea.Msg) tea.Cmd {
	k, ok := msg.(tea.KeyPressMsg)
	if !ok {
		return nil
	}
	switch a.keys.find(modePaste, k.String()) {
	case "paste.take":
		a.drop(d)
		return a.composer.write(a, d.text)
	case "paste.leave":
		a.drop(d)
	}
	return nil
}

func (d *pasteDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	bw := min(w, 66)
	size := len(d.text)
	lines := wrapIndent(fmt.Sprintf("%d lines, %d bytes, %s. Nothing is sent before you press %s.",
		d.lines, size, countBlocks(blocks(d.text, false, a.selected())), a.keys.of("send")), bw-3)
	if all := len(a.composer.value()) + size; all > maxText {
		lines = append(lines, wrapIndent(fmt.Sprintf("With it the text is too long by %d bytes.", all-maxText), bw-3)...)
	}
	take, leave := "["+a.keys.of("paste.take")+"] put it in", "["+a.keys.of("paste.leave")+"] leave it"
	keys := []string{" " + take + "   " + leave}
	if ansi.StringWidth(keys[0]) > bw-2 {
		keys = []string{" " + take, " " + leave}
	}
	if room := h - 2 - len(lines) - len(keys); room >= 5 { // what it is, between blank lines
		text := strings.Split(strings.TrimRight(d.text, "\n"), "\n")
		shown := text
		if most := min(room-2, 8); len(text) > most {
			shown = text[:most-1]
		}
		lines = append(lines, "")
		for _, l := range shown {
			lines = append(lines, a.theme.dim.Render(fit("   "+l, bw-3)))
		}
		if n := len(text) - len(shown); n > 0 {
			lines = append(lines, a.theme.dim.Render(fmt.Sprintf("   %s %d more", a.theme.more, n)))
		}
		lines = append(lines, "")
	}
	lines = append(lines, keys...)
	return a.theme.boxed("Paste", "", lines, bw, min(h, len(lines)+2)), nil
}

// wrapIndent breaks a text into lines that begin with a blank.
func wrapIndent(text string, w int) []string {
	lines := wrap(strings.TrimSpace(text), w)
	for i := range lines {
		lines[i] = " " + lines[i]
	}
	return lines
}

// pasteInvite takes an invite that is pasted anywhere but where one is asked for.
func (a *App) pasteInvite(msg tea.Msg) (tea.Cmd, bool) {
	p, ok := msg.(tea.PasteMsg)
	d := a.top()
	if _, asks := d.(*acceptDialog); !ok || asks || d == nil || a.first.step != stepNone || findInvite(p.Content) == "" {
		return nil, false
	}
	return a.openAccept(p.Content), true
}
