package tui

import (
	"context"
	"strings"

	"charm.land/bubbles/v2/textarea"
	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// Composer limits: rows on screen, and bytes of one message.
const (
	composerRows = 6
	maxText      = 64 << 10
)

// composer is where people write: the text of the conversation on screen.
type composer struct {
	input textarea.Model
	reply string // id of the message that is replied to; empty: none
	edit  string // id of the message that is edited; empty: none
}

func newComposer() composer {
	c := textarea.New()
	c.ShowLineNumbers = false
	c.Prompt = ""
	c.CharLimit = maxText
	c.DynamicHeight = true
	c.MinHeight = 1
	c.MaxHeight = composerRows
	c.MaxContentHeight = 10000
	c.EndOfBufferCharacter = ' '
	c.SetVirtualCursor(false)
	c.SetStyles(textarea.Styles{})
	c.SetHeight(1)
	c.Focus()
	return composer{input: c}
}

// value is what stands in it.
func (c *composer) value() string { return c.input.Value() }

// load replaces what stands in it by a draft.
func (c *composer) load(draft string) {
	c.clear()
	c.input.SetValue(draft)
}

// clear empties it, and ends a reply or an edit.
func (c *composer) clear() {
	c.input.Reset()
	c.reply, c.edit = "", ""
}

// close is what esc does here: it ends a reply or an edit.
func (c *composer) close() { c.reply, c.edit = "", "" }

// height is how many rows it takes.
func (c *composer) height() int { return c.input.Height() }

// key takes a key that is not bound elsewhere.
func (c *composer) key(a *App, k tea.KeyPressMsg) tea.Cmd {
	switch a.keys.find(modeComposer, k.String()) {
	case "send":
		return a.submit()
	case "newline":
		c.input.InsertString("\n")
		return nil
	}
	var cmd tea.Cmd
	c.input, cmd = c.input.Update(k)
	return cmd
}

// paste takes a bracketed paste.
func (c *composer) paste(a *App, msg tea.PasteMsg) tea.Cmd {
	var cmd tea.Cmd
	c.input, cmd = c.input.Update(msg)
	return cmd
}

// submit sends what stands in the composer, or runs it as a command.
func (a *App) submit() tea.Cmd {
	text := strings.TrimRight(a.composer.value(), " \n\t")
	if strings.TrimSpace(text) == "" {
		return nil
	}
	if isInvite(text) {
		a.composer.clear()
		return a.openAccept(text)
	}
	if strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//") {
		return a.command(text)
	}
	text = strings.TrimPrefix(text, "/") // "//x" sends "/x"
	e := a.selected()
	if e == nil {
		a.notice = "no contact yet: " + a.keys.of("invite") + " makes an invite, or paste one"
		return nil
	}
	if len(text) > maxText {
		a.notice = "too long: a message holds 64 KiB"
		return nil
	}
	o := chat.SendOptions{Reply: a.composer.reply}
	a.composer.clear()
	return tea.Batch(a.send(e.id, text, o), a.saveDrafts())
}

// send hands a text to the profile.
func (a *App) send(conversation, text string, o chat.SendOptions) tea.Cmd {
	c := a.chat
	return ask(a, nil, func(ctx context.Context) (chat.Message, error) {
		return c.StartSend(ctx, conversation, text, o)()
	}, func(m chat.Message, err error) tea.Cmd {
		if err != nil {
			// Nothing typed is lost: it comes back, unless something new stands there.
			a.notice = errorText(err)
			if a.current == conversation && a.composer.value() == "" {
				a.composer.load(text)
			}
			return nil
		}
		return a.conversation(conversation).sent(m)
	})
}
