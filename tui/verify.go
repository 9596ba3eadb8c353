package tui

import (
	"context"
	"fmt"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

func verifyKeys() []binding {
	return []binding{
		{"verify.match", []string{"y"}, "they match"},
		{"verify.differ", []string{"n"}, "they differ"},
		{"verify.words", []string{"w"}, "compare words in place"},
		{"verify.code", []string{"q"}, "QR of the number"},
		{"verify.take", []string{"enter"}, "confirm what was typed"},
		{"verify.unblock", []string{"u"}, "they match after all: unblock"},
		{"verify.remove", []string{"x"}, "remove the contact"},
	}
}

// verifyDialog compares keys with one contact: by the safety number, which people
// read to each other, scan or paste, or by four words made for this comparison.
type verifyDialog struct {
	id      string
	stage   verifyStage
	number  string // that is on the screen: what a yes confirms
	words   string // that are on the screen: what a yes confirms
	typed   textinput.Model
	code    []string
	busy    bool
	problem string
}

type verifyStage byte

const (
	verifyNumber verifyStage = iota
	verifyWaits              // for the words: the other program has to answer
	verifyWords              // they are on the screen
	verifyDiffer             // the contact is blocked
)

// verifyCommand runs /verify for the contact on screen or the one that is named.
func (a *App) verifyCommand(name string) tea.Cmd {
	e := a.named(name)
	if e == nil {
		return nil
	}
	return a.openVerify(e)
}

// openVerify compares keys with a contact.
func (a *App) openVerify(e *entry) tea.Cmd {
	switch {
	case e.group != nil:
		a.notice = "a group has no safety number: verify its members, /verify NAME"
		return nil
	case e.contact == nil || e.isNotes():
		a.notice = "there is nothing to compare"
		return nil
	}
	d := &verifyDialog{id: e.id, typed: newInput("typed or pasted: ", 40)}
	d.show(a, comparableNumber(*e.contact))
	if words := a.contacts.words[e.id]; words != "" {
		d.stage, d.words = verifyWords, words
	}
	a.push(d)
	return nil
}

// comparableNumber is the number that may be compared: that of a contact who has
// answered, since the answer may bring another key.
func comparableNumber(c chat.Contact) string {
	if c.State == chat.ContactInvited {
		return ""
	}
	return c.SafetyNumber
}

// show puts a safety number on the screen.
func (d *verifyDialog) show(a *App, number string) {
	d.number, d.code = number, nil
	d.typed.Reset()
}

// wordsKnown takes the words of a comparison, which either side may have begun.
func (a *App) wordsKnown(contact, words string) tea.Cmd {
	if a.contacts.words == nil {
		a.contacts.words = map[string]string{}
	}
	a.contacts.words[contact] = words
	for _, d := range a.dialogs {
		if v, ok := d.(*verifyDialog); ok && v.id == contact && v.stage != verifyDiffer {
			v.stage, v.words, v.problem = verifyWords, words, ""
			return nil
		}
	}
	name := a.nameOf(contact)
	a.notice = name + " compares words with you: /verify " + name + " shows them"
	return nil
}

// event follows the contact: another key makes what is on the screen worthless.
func (d *verifyDialog) event(a *App, ev chat.Event) tea.Cmd {
	if ev.Contact == nil || ev.Contact.ID != d.id || ev.Type != chat.ContactStateChanged {
		return nil
	}
	if n := comparableNumber(*ev.Contact); n != d.number {
		first := d.number == ""
		d.show(a, n)
		d.words = ""
		delete(a.contacts.words, d.id)
		if d.stage != verifyDiffer {
			d.stage = verifyNumber
		}
		if !first {
			d.problem = "The key changed just now. Compare from the beginning."
		}
	}
	return nil
}

func (d *verifyDialog) mode() mode { return modeVerify }

func (d *verifyDialog) update(a *App, msg tea.Msg) tea.Cmd {
	e := a.find(d.id)
	if e == nil || e.contact == nil || d.busy {
		return nil
	}
	if p, ok := msg.(tea.PasteMsg); ok {
		if d.stage == verifyNumber {
			return typeInto(&d.typed, p)
		}
		return nil
	}
	k, ok := msg.(tea.KeyPressMsg)
	if !ok {
		return nil
	}
	if d.stage == verifyNumber && d.number != "" && (isDigits(k.Text) || d.typed.Value() != "" && a.pressed(modeVerify, k) == "") {
		d.problem = ""
		return typeInto(&d.typed, k)
	}
	switch a.keys.find(modeVerify, k.String()) {
	case "verify.match":
		return d.match(a, e)
	case "verify.differ":
		if d.stage == verifyNumber && d.number != "" || d.stage == verifyWords {
			return d.differ(a, e)
		}
	case "verify.words":
		if d.stage == verifyNumber && d.number != "" {
			return d.beginWords(a)
		}
	case "verify.code":
		if d.stage == verifyNumber && d.number != "" {
			if d.code != nil {
				d.code = nil
			} else {
				d.code = a.qrLines(strings.Join(strings.Fields(d.number), ""))
			}
		}
	case "verify.take":
		if d.stage == verifyNumber && d.typed.Value() != "" {
			return d.confirm(a, e, d.typed.Value())
		}
	case "verify.unblock":
		if d.stage == verifyDiffer {
			return d.unblock(a, e)
		}
	case "verify.remove":
		if d.stage == verifyDiffer {
			return a.askRemove(e)
		}
	}
	return nil
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// match confirms what is on the screen, and nothing that came since.
func (d *verifyDialog) match(a *App, e *entry) tea.Cmd {
	switch {
	case d.stage == verifyNumber && d.number != "":
		return d.confirm(a, e, d.number)
	case d.stage == verifyWords:
		c, id, words := a.chat, d.id, d.words
		d.busy, d.problem = true, ""
		return a.do(d, func(ctx context.Context) error { return c.VerifyWords(ctx, id, words) }, func(err error) tea.Cmd {
			return d.confirmed(a, err)
		})
	}
	return nil
}

func (d *verifyDialog) confirm(a *App, _ *entry, number string) tea.Cmd {
	c, id := a.chat, d.id
	d.busy, d.problem = true, ""
	return a.do(d, func(ctx context.Context) error { return c.VerifyContact(ctx, id, number) }, func(err error) tea.Cmd {
		return d.confirmed(a, err)
	})
}

func (d *verifyDialog) confirmed(a *App, err error) tea.Cmd {
	d.busy = false
	if err != nil {
		d.problem = errorText(err)
		d.typed.Reset()
		return nil
	}
	delete(a.contacts.words, d.id)
	a.notice = a.nameOf(d.id) + " is verified"
	a.drop(d)
	return a.loadPeople()
}

// differ blocks sending at once: whoever sits in between reads all that follows.
func (d *verifyDialog) differ(a *App, e *entry) tea.Cmd {
	c, id := a.chat, e.id
	d.busy, d.problem = true, ""
	return a.do(d, func(ctx context.Context) error { return c.BlockContact(ctx, id) }, func(err error) tea.Cmd {
		d.busy = false
		if err != nil {
			d.problem = errorText(err)
			return nil
		}
		delete(a.contacts.words, id)
		d.stage, d.words = verifyDiffer, ""
		return a.loadPeople()
	})
}

func (d *verifyDialog) unblock(a *App, e *entry) tea.Cmd {
	c, id := a.chat, e.id
	d.busy, d.problem = true, ""
	return a.do(d, func(ctx context.Context) error { return c.UnblockContact(ctx, id) }, func(err error) tea.Cmd {
		d.busy = false
		if err != nil {
			d.problem = errorText(err)
			return nil
		}
		d.stage = verifyNumber
		return a.loadPeople()
	})
}

// beginWords asks the other program for the words; they come as an event.
func (d *verifyDialog) beginWords(a *App) tea.Cmd {
	c, id := a.chat, d.id
	d.stage, d.problem = verifyWaits, ""
	return a.do(d, func(ctx context.Context) error { return c.CompareWords(ctx, id) }, func(err error) tea.Cmd {
		if err != nil {
			d.problem = errorText(err)
			if d.stage == verifyWaits {
				d.stage = verifyNumber
			}
		}
		return nil
	})
}

func (d *verifyDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	e := a.find(d.id)
	if e == nil || e.contact == nil {
		s := newSheet("Verify", w, 50)
		s.kept("The contact is gone.")
		s.offers(a.closeOffer("close"))
		return s.draw(&a.theme, w, h)
	}
	s := newSheet("Verify "+e.name, w, 76)
	switch d.stage {
	case verifyDiffer:
		d.viewDiffer(a, s, e)
	case verifyWaits:
		s.kept("Waiting for the program of " + e.name + ".")
		s.blank()
		s.text("Both screens will show the same four words. Read them to each other where you know the voice or see the face. If " + e.name + " is away now, they come when both are there; you may close this.")
		s.offers(a.closeOffer("close; the words come as a notice"))
	case verifyWords:
		s.text("Read these words to each other over a channel you trust, one begins, the other goes on. Both screens must show the same.")
		s.blank()
		for _, l := range wrap(sanitizeLine(d.words), s.inner) {
			s.must(a.theme.strong.Render(l))
		}
		s.problem(&a.theme, d.problem)
		s.offers(a.offer("verify.match", "they match"), a.offer("verify.differ", "they differ"), a.closeOffer("later"))
	default:
		d.viewNumber(a, s, e, h)
	}
	if d.busy {
		s.foot = nil
		s.offers("a moment "+a.theme.more, a.closeOffer("close"))
	}
	return s.draw(&a.theme, w, h)
}

func (d *verifyDialog) viewNumber(a *App, s *sheet, e *entry, h int) {
	number := numberRows(d.number, s.inner)
	if len(number) == 0 {
		s.kept("There is nothing to compare yet: " + e.name + " has not answered.")
		s.offers(a.closeOffer("close"))
		return
	}
	if e.contact.State == chat.ContactChanged {
		s.must(a.theme.bad.Render(ansi.Truncate("The key of "+e.name+" changed.", s.inner, a.theme.more)))
		s.text("Nothing is sent until you have compared the number again. " + e.name + " may have a new device, or somebody took their place: ask them, over a channel you trust.")
	} else {
		s.text("Compare over a channel you trust. Both screens must show the same.")
	}
	s.blank()
	indent := strings.Repeat(" ", max(0, min(5, s.inner-len(number[0]))))
	for _, l := range number {
		s.must(indent + a.theme.strong.Render(l))
	}
	if d.code != nil {
		s.blank()
		s.code(d.code, h-len(number)-6)
	}
	if d.typed.Value() != "" {
		s.blank()
		s.input(&d.typed, !d.busy)
	}
	s.blank()
	if e.contact.Verified {
		s.text("You have compared it before: " + e.name + " is verified.")
	}
	if e.contact.Introduced != "" {
		s.text("You know this key from " + plainName(e.contact.Introduced) + ", who introduced " + e.name + " for a group.")
	}
	s.problem(&a.theme, d.problem)
	if d.typed.Value() != "" {
		s.offers(a.offer("verify.take", "compare what was typed"), a.closeOffer("close"))
		return
	}
	s.text("Or paste, or type, the number that they gave you: this program compares it.")
	s.offers(a.offer("verify.match", "they match"), a.offer("verify.differ", "they differ"), a.offer("verify.code", "QR of the number"),
		a.offer("verify.words", "words"), a.closeOffer("later"))
}

func (d *verifyDialog) viewDiffer(a *App, s *sheet, e *entry) {
	s.kept(a.theme.bad.Render(e.name + " is blocked: nothing is sent to this key."))
	s.blank()
	s.text(fmt.Sprintf("Different numbers mean that this program does not talk to the program of %s, but to somebody in between, who can read and change everything since. Or one of you read it wrong, or looked at another contact.", e.name))
	s.blank()
	s.text("Meet, and make a new contact by an invite that you show face to face. Nothing written here so far was secret from whoever sits in between.")
	s.problem(&a.theme, d.problem)
	s.offers(a.offer("verify.remove", "remove "+e.name), a.offer("verify.unblock", "we read it wrong: unblock"), a.closeOffer("stay blocked"))
}
