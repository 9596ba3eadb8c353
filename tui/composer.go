package tui

import (
	"strings"

	"charm.land/bubbles/v2/textarea"
	tea "charm.land/bubbletea/v2"
)

// Composer limits: rows on screen, and bytes of one message.
const (
	composerRows = 6
	maxText      = 64 << 10
)

func newComposer() textarea.Model {
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
	return c
}

// submit sends what stands in the composer, or runs it as a command.
func (a *App) submit() tea.Cmd {
	text := strings.TrimRight(a.composer.Value(), " \n\t")
	if strings.TrimSpace(text) == "" {
		return nil
	}
	if isInvite(text) {
		a.composer.Reset()
		return a.openAccept(text)
	}
	if strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//") {
		return a.command(text)
	}
	text = strings.TrimPrefix(text, "/") // "//x" sends "/x"
	c := a.selected()
	if c == nil {
		a.notice = "no contact yet: alt+n makes an invite, or paste one"
		return nil
	}
	if len(text) > maxText {
		a.notice = "too long: a message holds 64 KiB"
		return nil
	}
	a.composer.Reset()
	return tea.Batch(a.send(c.ID, text), a.saveDrafts())
}

// command runs a slash command. An unknown one is never sent as text.
func (a *App) command(text string) tea.Cmd {
	name, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	switch name {
	case "/invite":
		a.composer.Reset()
		return a.openInvite(rest)
	case "/accept":
		link, contact, _ := strings.Cut(rest, " ")
		a.composer.Reset()
		cmd := a.openAccept(link)
		if d, ok := a.dialog.(*acceptDialog); ok {
			d.name.SetValue(strings.TrimSpace(contact))
		}
		return cmd
	case "/cover":
		return a.setCover(rest)
	case "/consent":
		return a.consent()
	case "/help":
		a.composer.Reset()
		a.dialog = &helpDialog{}
		return nil
	case "/quit":
		return a.quit()
	}
	a.notice = "no command " + sanitizeLine(name) + "; /help lists them, // sends a slash"
	return nil
}

// helpDialog lists keys, commands and glyphs.
type helpDialog struct{ scroll int }

func (d *helpDialog) update(_ *App, msg tea.Msg) tea.Cmd {
	if k, ok := msg.(tea.KeyPressMsg); ok {
		switch k.String() {
		case "down", "pgdown", "j":
			d.scroll++
		case "up", "pgup", "k":
			d.scroll = max(0, d.scroll-1)
		}
	}
	return nil
}

func (d *helpDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	var lines []string
	for _, g := range keyTable() {
		lines = append(lines, " "+a.theme.strong.Render(g.title))
		for _, b := range g.bindings {
			lines = append(lines, "   "+fit(b.keys, 18)+" "+b.does)
		}
	}
	lines = append(lines, " "+a.theme.strong.Render("commands"))
	for _, b := range commandTable() {
		lines = append(lines, "   "+fit(b.keys, 18)+" "+b.does)
	}
	lines = append(lines, " "+a.theme.strong.Render("states"),
		"   · queued here   › one copy stored   » all copies stored",
		"   ✓ delivered to your contact   ! failed")
	room := h - 2
	d.scroll = min(d.scroll, max(0, len(lines)-room))
	foot := "[esc] close"
	if len(lines) > room {
		foot = "[up] [down] scroll   [esc] close"
	}
	lines = lines[d.scroll:]
	return boxed("Help", foot, lines, min(w, 66), min(h, len(lines)+2)), nil
}
