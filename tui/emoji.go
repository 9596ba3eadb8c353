package tui

import (
	"context"
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// emojis are offered for reactions. Terminals that have no sign for one show its
// name, which stands beside it.
var emojis = []struct{ sign, name string }{
	{"👍", "yes, good"},
	{"👎", "no, bad"},
	{"❤", "love"},
	{"😂", "laughing"},
	{"😮", "astonished"},
	{"😢", "sad"},
	{"🙏", "thanks"},
	{"🎉", "hooray"},
	{"👀", "looking at it"},
}

// emojiDialog puts a reaction under a message.
type emojiDialog struct {
	message string
	mine    string // the reaction that is there
	at      int
	typed   string // another emoji
	busy    bool
	problem string
}

func emojiKeys() []binding {
	return []binding{
		{"emoji.down", []string{"down"}, "next"},
		{"emoji.up", []string{"up"}, "previous"},
		{"emoji.number", []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"}, "take it by number"},
		{"emoji.take", []string{"enter"}, "take it"},
		{"emoji.none", []string{"0", "backspace"}, "take yours away"},
	}
}

// openEmoji asks for a reaction to a message.
func (a *App) openEmoji(m *chat.Message) tea.Cmd {
	d := &emojiDialog{message: m.ID}
	for _, r := range m.Reactions {
		if r.From == "me" {
			d.mine = r.Emoji
		}
	}
	for i := range emojis {
		if emojis[i].sign == d.mine {
			d.at = i
		}
	}
	a.push(d)
	return nil
}

func (d *emojiDialog) mode() mode { return modeEmoji }

func (d *emojiDialog) update(a *App, msg tea.Msg) tea.Cmd {
	if d.busy {
		return nil
	}
	switch msg := msg.(type) {
	case tea.PasteMsg:
		d.typed = strings.TrimSpace(chat.SanitizeName(msg.Content[:min(len(msg.Content), 64)]))
	case tea.KeyPressMsg:
		key := msg.String()
		switch a.keys.find(modeEmoji, key) {
		case "emoji.down":
			d.at, d.typed = min(d.at+1, len(emojis)-1), ""
		case "emoji.up":
			d.at, d.typed = max(d.at-1, 0), ""
		case "emoji.number":
			if i := a.keys.index("emoji.number", key); i >= 0 && i < len(emojis) {
				return d.react(a, emojis[i].sign)
			}
		case "emoji.take":
			if d.typed != "" {
				return d.react(a, d.typed)
			}
			return d.react(a, emojis[d.at].sign)
		case "emoji.none":
			if d.typed != "" {
				d.typed = ""
				return nil
			}
			return d.react(a, "")
		default:
			if msg.Text != "" && len(d.typed) < 64 {
				d.typed = chat.SanitizeName(d.typed + msg.Text)
			}
		}
	}
	return nil
}

func (d *emojiDialog) react(a *App, sign string) tea.Cmd {
	d.busy, d.problem = true, ""
	backend, id := a.chat, d.message
	return a.do(d, func(ctx context.Context) error { return backend.React(ctx, id, sign) }, func(err error) tea.Cmd {
		d.busy = false
		if err != nil {
			d.problem = errorText(err)
			return nil
		}
		a.drop(d)
		return nil
	})
}

func (d *emojiDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	t := &a.theme
	bw := min(w, 44)
	var lines []string
	for i, e := range emojis {
		mark := " "
		if i == d.at && d.typed == "" {
			mark = t.glyphs.selected
		}
		line := fmt.Sprintf("%s%d %s", mark, i+1, e.name)
		if !a.prefs.ASCII {
			line = fmt.Sprintf("%s%d %s %s", mark, i+1, fit(e.sign, 2), e.name)
		}
		if e.sign == d.mine {
			line += "  (yours)"
		}
		lines = append(lines, line)
	}
	under := []string{" or type, or paste, another one: " + d.typed}
	if d.mine != "" {
		under = append(under, " ["+a.keys.of("emoji.none")+"] takes yours away")
	}
	if d.problem != "" {
		for _, l := range wrap(d.problem, bw-4) {
			under = append(under, " "+t.bad.Render(l))
		}
	}
	room := max(1, h-2-len(under))
	from := max(0, min(d.at-room/2, len(lines)-room))
	lines = append(lines[from:min(len(lines), from+room)], under...)
	foot := "[" + a.keys.of("emoji.take") + "] take   [" + a.keys.of("close") + "] close"
	return t.boxed("React", foot, lines, bw, min(h, len(lines)+2)), nil
}
