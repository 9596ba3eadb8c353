package tui

import (
	"context"
	"strings"
	"unicode"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
)

// form is some fields of one line, of which one has the keys.
type form struct {
	fields []textinput.Model
	at     int
}

// formKeys are those of every form.
func formKeys() []binding {
	return []binding{
		{"form.next", []string{"enter"}, "next field, or go on"},
		{"form.field", []string{"tab", "down"}, "next field"},
		{"form.back", []string{"shift+tab", "up"}, "field before"},
	}
}

// field is one field of a form; a secret one shows no letters.
func (a *App) field(prompt string, secret bool) textinput.Model {
	in := newInput(prompt, 40)
	if secret {
		in.EchoMode = textinput.EchoPassword
		in.EchoCharacter = a.theme.secret
	}
	return in
}

// update takes a key or a paste and tells whether the last field was entered.
func (f *form) update(a *App, msg tea.Msg) (tea.Cmd, bool) {
	if k, ok := msg.(tea.KeyPressMsg); ok {
		switch a.keys.find(modeForm, k.String()) {
		case "form.next":
			if f.at == len(f.fields)-1 {
				return nil, true
			}
			f.at++
			return nil, false
		case "form.field":
			f.at = (f.at + 1) % len(f.fields)
			return nil, false
		case "form.back":
			f.at = (f.at + len(f.fields) - 1) % len(f.fields)
			return nil, false
		}
	}
	if p, ok := msg.(tea.PasteMsg); ok {
		// The end of the line that was copied would become a blank, which nobody sees
		// in a passphrase, nor types again.
		p.Content = strings.TrimRight(p.Content, "\r\n")
		msg = p
	}
	if f.fields[f.at].EchoMode == textinput.EchoNormal {
		return typeInto(&f.fields[f.at], msg), false
	}
	var cmd tea.Cmd // a passphrase is taken as it is: nobody sees it
	f.fields[f.at], cmd = f.fields[f.at].Update(msg)
	return cmd, false
}

// value is what stands in a field.
func (f *form) value(i int) string { return f.fields[i].Value() }

// forget empties the fields from i on.
func (f *form) forget(from int) {
	for i := from; i < len(f.fields); i++ {
		f.fields[i].Reset()
	}
}

// lines draws the fields for a box of w cells; row is that of the cursor.
func (f *form) lines(w int) (lines []string, cur *tea.Cursor, row int) {
	for i := range f.fields {
		in := &f.fields[i]
		in.SetWidth(max(1, w-5-len([]rune(in.Prompt))))
		in.SetCursor(in.Position()) // or it keeps what another width showed
		lines = append(lines, " "+in.View())
	}
	return lines, f.fields[f.at].Cursor(), f.at
}

// newSecret is what two fields say of a new passphrase: what is wrong, or "".
func newSecret(first, again string) string {
	switch {
	case first == "":
		return "type a passphrase: it protects your contacts and messages on this disk"
	case first != again:
		return "the two differ; type it again"
	}
	return ""
}

// Bits that a passphrase needs, by which it is called. A guess costs about a
// second and 256 MiB, which is worth some twenty more.
const (
	fairBits   = 30
	strongBits = 44
)

// strength says how a passphrase would stand against somebody who has the disk.
// It guesses low: words count as words of a list of two thousand.
func strength(s string) string {
	switch bits := guessBits(s); {
	case s == "":
		return ""
	case bits < fairBits:
		return "weak; four words drawn at random are strong"
	case bits < strongBits:
		return "fair; four words drawn at random are strong"
	default:
		return "strong, if nobody could guess it"
	}
}

// commonSecrets are tried first by everybody.
var commonSecrets = []string{"password", "passwort", "passphrase", "letmein", "qwerty", "qwertz", "asdfgh", "secret", "hearsay", "admin", "iloveyou", "welcome", "monkey", "dragon"}

// guessBits estimates the work of guessing s, in bits.
func guessBits(s string) float64 {
	total := 0.0
	seen := map[string]bool{}
	for _, word := range tokens(s) {
		bits := tokenBits(word)
		if lower := strings.ToLower(word); seen[lower] {
			bits = 1 // said again
		} else {
			seen[lower] = true
		}
		total += bits
	}
	return total
}

// tokens cuts a passphrase into runs of letters, of digits and of others.
func tokens(s string) []string {
	class := func(r rune) int {
		switch {
		case unicode.IsLetter(r):
			return 1
		case unicode.IsDigit(r):
			return 2
		case unicode.IsSpace(r):
			return 0
		}
		return 3
	}
	var out []string
	last := 0
	for _, r := range s {
		c := class(r)
		switch {
		case c == 0:
		case c == last:
			out[len(out)-1] += string(r)
		default:
			out = append(out, string(r))
		}
		last = c
	}
	return out
}

// tokenBits estimates one run of letters, digits or others.
func tokenBits(word string) float64 {
	lower := strings.ToLower(word)
	for _, c := range commonSecrets {
		if strings.HasPrefix(lower, c) {
			return 2 + tokenBits(lower[len(c):])
		}
	}
	bits, letters, n := 0.0, 0, 0
	var last rune
	for _, r := range lower {
		step := r - last
		last = r
		n++
		switch {
		case n > 1 && (step == 0 || step == 1 || step == -1): // aaa, abc, 321
			bits++
		case unicode.IsLetter(r):
			letters++
			bits += 4.7
		case unicode.IsDigit(r):
			bits += 3.3
		default:
			bits += 4
		}
	}
	if letters > 0 { // it may be a word
		bits = min(bits, 11+3*float64(max(0, n-8)))
	}
	if word != lower && strings.ToUpper(word[:1])+lower[1:] != word {
		bits += 3 // capitals within
	}
	return bits
}

// passphraseDialog changes the passphrase of the profile.
type passphraseDialog struct {
	form
	busy    bool
	problem string
	first   bool // there is none yet
}

// openPassphrase asks for the old and a new passphrase.
func (a *App) openPassphrase() tea.Cmd {
	d := &passphraseDialog{first: !a.status.Encrypted}
	if !d.first {
		d.fields = append(d.fields, a.field("  old: ", true))
	}
	d.fields = append(d.fields, a.field("  new: ", true), a.field("again: ", true))
	a.push(d)
	return nil
}

func (d *passphraseDialog) mode() mode { return modeForm }

func (d *passphraseDialog) update(a *App, msg tea.Msg) tea.Cmd {
	if d.busy {
		return nil
	}
	cmd, entered := d.form.update(a, msg)
	if !entered {
		return cmd
	}
	n := len(d.fields)
	if d.problem = newSecret(d.value(n-2), d.value(n-1)); d.problem != "" {
		d.at = n - 2
		d.forget(n - 1)
		return nil
	}
	var old []byte
	if !d.first {
		old = []byte(d.value(0))
	}
	secret := []byte(d.value(n - 1))
	d.busy = true
	c := a.chat
	return a.do(nil, func(ctx context.Context) error {
		defer clear(old)
		defer clear(secret)
		return c.ChangePassphrase(ctx, old, secret)
	}, func(err error) tea.Cmd {
		d.busy = false
		switch open := a.isOpen(d); {
		case err != nil && open:
			d.problem = secretError(err)
			d.at = 0
			return nil
		case err != nil:
			a.notice = "the passphrase is the old one: " + secretError(err)
			return nil
		}
		a.drop(d)
		a.notice = "the passphrase is another one from now on; copies of this home that were made before open with the old one"
		return a.loadStatus()
	})
}

func (d *passphraseDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	bw := min(w, 66)
	head := "It encrypts contacts and messages on this disk. There is no recovery."
	if d.first {
		head = "This profile has no passphrase yet: file mode alone protects it. There is no recovery."
	}
	b := a.newFormBox(bw, head)
	b.form(&d.form)
	b.problem(d.problem)
	b.add("")
	if s := strength(d.value(len(d.fields) - 2)); s != "" {
		b.add("strength: " + s)
		b.add("")
	}
	b.foot("changing …", d.busy, a.offer("form.next", "continue")+"   "+a.offer("form.field", "other field")+"   [esc] close")
	return b.box("Passphrase", w, h)
}

// formBox lays out a form with words around it.
type formBox struct {
	a      *App
	w      int
	lines  []string
	cursor *tea.Cursor
	row    int // of the cursor, from 1
	head   int // lines above the form
}

func (a *App) newFormBox(w int, head string) *formBox {
	b := &formBox{a: a, w: w}
	b.add(head)
	b.add("")
	return b
}

// add appends a text, wrapped.
func (b *formBox) add(s string) {
	for _, l := range wrap(s, b.w-4) {
		b.lines = append(b.lines, " "+l)
	}
}

// form appends the fields of a form.
func (b *formBox) form(f *form) {
	lines, cur, row := f.lines(b.w)
	b.cursor, b.row, b.head = cur, len(b.lines)+row+1, len(b.lines)
	b.lines = append(b.lines, lines...)
}

// problem appends what went wrong, if anything did.
func (b *formBox) problem(text string) {
	if text == "" {
		return
	}
	b.add("")
	for _, l := range wrap(text, b.w-4) {
		b.lines = append(b.lines, " "+b.a.theme.bad.Render(l))
	}
}

// foot appends what goes on, or the keys.
func (b *formBox) foot(doing string, busy bool, keys string) {
	if busy {
		b.add(doing)
		b.cursor = nil
		return
	}
	b.add(keys)
}

// box draws it. Where there is no room for all, blank lines go first, then the
// words above a form, so that its fields and what went wrong stay in sight.
func (b *formBox) box(title string, w, h int) ([]string, *tea.Cursor) {
	room := h - 2
	if len(b.lines) > room {
		b.tighten(room)
	}
	lines, row := b.lines, b.row
	if len(lines) > room && b.cursor != nil && row > room {
		cut := min(row-room, len(lines)-room)
		lines, row = lines[cut:], row-cut
	}
	box := b.a.theme.boxed(title, "", lines, b.w, min(h, len(lines)+2))
	return box, dialogCursor(b.cursor, box, w, h, row)
}

// tighten drops lines until room is enough, as far as may be.
func (b *formBox) tighten(room int) {
	var kept []string
	row, head := b.row, b.head
	for i, l := range b.lines {
		if l == "" || l == " " {
			if i+1 < b.row {
				row--
			}
			if i < b.head {
				head--
			}
			continue
		}
		kept = append(kept, l)
	}
	if over := len(kept) - room; over > 0 && head > 0 {
		cut := min(over, head)
		kept, row = kept[cut:], row-cut
	}
	b.lines, b.row = kept, row
}
