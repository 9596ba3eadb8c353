package tui

import (
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

// historyDialog lists what one sent in this conversation, the last first, and
// before that what was refused.
type historyDialog struct {
	filter textinput.Model
	all    []sentBefore
	at     int
}

// sentBefore is a text that was sent, or refused.
type sentBefore struct {
	text string
	line string   // the beginning of it, in one line
	fold string   // the beginning in lower case, in which the filter looks
	held *pending // nil: it was sent
}

func newSentBefore(text string, held *pending) sentBefore {
	line := beginning(text, shortWidth)
	if held != nil {
		line = "! not sent: " + line
	}
	fold := strings.ToLower(strings.ToValidUTF8(text[:min(len(text), foldBytes)], ""))
	return sentBefore{text, ansi.Truncate(line, shortWidth, ""), fold, held}
}

// foldBytes bounds how far into a text the filter looks: it looks at every drawing.
const foldBytes = 4 << 10

// historyLimit bounds the list: what lies further back is found by search.
const historyLimit = 200

func historyKeys() []binding {
	return []binding{
		{"history.older", []string{"down", "ctrl+r"}, "older"},
		{"history.newer", []string{"up"}, "newer"},
		{"history.take", []string{"enter"}, "write it again"},
	}
}

// openHistory shows what was sent before; enter brings it back to be sent again.
func (a *App) openHistory() tea.Cmd {
	c := a.shown()
	if c == nil {
		return nil
	}
	d := &historyDialog{filter: newInput("> ", 40)}
	if o := a.composer.out[a.current]; o != nil {
		for _, p := range o.held {
			d.all = append(d.all, newSentBefore(p.text, &p))
		}
	}
	seen := map[string]bool{}
	for i := len(c.messages) - 1; i >= 0 && len(d.all) < historyLimit; i-- {
		m := &c.messages[i]
		if m.Direction == chat.Out && m.Text != "" && m.Deleted == "" && m.File == nil && m.Kind != chat.KindMessageNotice && !seen[m.Text] {
			seen[m.Text] = true
			d.all = append(d.all, newSentBefore(m.Text, nil))
		}
	}
	if len(d.all) == 0 {
		a.notice = "you sent nothing here yet"
		return nil
	}
	a.push(d)
	return nil
}

func (d *historyDialog) mode() mode { return modeHistory }

// matches returns those that hold what was typed.
func (d *historyDialog) matches() []sentBefore {
	want := strings.ToLower(d.filter.Value())
	var out []sentBefore
	for _, s := range d.all {
		if strings.Contains(s.fold, want) {
			out = append(out, s)
		}
	}
	return out
}

func (d *historyDialog) update(a *App, msg tea.Msg) tea.Cmd {
	k, isKey := msg.(tea.KeyPressMsg)
	if isKey {
		list := d.matches()
		switch a.keys.find(modeHistory, k.String()) {
		case "history.older":
			d.at = min(d.at+1, max(0, len(list)-1))
			return nil
		case "history.newer":
			d.at = max(0, d.at-1)
			return nil
		case "history.take":
			if d.at < len(list) {
				a.drop(d)
				d.take(a, list[d.at])
			}
			return nil
		}
	}
	if _, mouse := msg.(tea.MouseMsg); mouse {
		return nil
	}
	cmd := typeInto(&d.filter, msg)
	d.at = 0
	return cmd
}

// take writes a text into the composer again. What stood there can be had back by
// yank.
func (d *historyDialog) take(a *App, s sentBefore) {
	if s.held != nil {
		a.takeHeld(*s.held)
		return
	}
	c := &a.composer
	reply, about := c.reply, c.about
	c.cancel()
	c.reply, c.about = reply, about
	c.text.insert(asTyped(s.text))
}

func (d *historyDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	bw := min(w, 70)
	d.filter.SetWidth(bw - 6)
	lines := []string{" " + d.filter.View()}
	list := d.matches()
	if len(list) == 0 {
		lines = append(lines, a.theme.dim.Render(" nothing you sent here holds that"))
	}
	from, to := listWindow(len(list), d.at, min(h-3, 12))
	for i := from; i < to; i++ {
		lines = append(lines, a.listRow(list[i].line, i == d.at, bw-2))
	}
	closes := "[" + a.keys.of("close") + "] close"
	foot := firstFit(bw-4, "["+a.keys.of("history.take")+"] write it again  "+closes, closes)
	box := a.theme.boxed("Sent before", foot, lines, bw, min(h, len(lines)+2))
	return box, dialogCursor(d.filter.Cursor(), box, w, h, 1)
}
