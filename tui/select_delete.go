package tui

import (
	"context"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// deleteDialog asks from where a message is to be deleted.
type deleteDialog struct {
	message, text string
	peer          string // who else has it; empty: nobody
	both          bool   // the other side can be asked
	busy          bool
	problem       string
}

func deleteKeys() []binding {
	return []binding{
		{"delete.here", []string{"m"}, "delete it for me"},
		{"delete.both", []string{"b"}, "delete it for both"},
	}
}

// openDelete asks before a message is deleted.
func (a *App) openDelete(m *chat.Message) tea.Cmd {
	d := &deleteDialog{message: m.ID, text: beginning(m.Text, shortWidth)}
	if e := a.selected(); e != nil && !e.isNotes() {
		d.peer = e.name
		d.both = e.contact != nil && m.Direction == chat.Out && m.Kind != chat.KindMessageNotice
	}
	a.push(d)
	return nil
}

func (d *deleteDialog) mode() mode { return modeDelete }

func (d *deleteDialog) update(a *App, msg tea.Msg) tea.Cmd {
	k, ok := msg.(tea.KeyPressMsg)
	if !ok || d.busy {
		return nil
	}
	both := false
	switch a.keys.find(modeDelete, k.String()) {
	case "delete.here":
	case "delete.both":
		if both = true; !d.both {
			return nil
		}
	default:
		return nil
	}
	d.busy, d.problem = true, ""
	backend, id := a.chat, d.message
	return a.do(d, func(ctx context.Context) error { return backend.Delete(ctx, id, both) }, func(err error) tea.Cmd {
		d.busy = false
		if err != nil {
			d.problem = errorText(err)
			return nil
		}
		a.drop(d)
		return nil
	})
}

func (d *deleteDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	t := &a.theme
	bw := min(w, 64)
	lines := []string{" " + t.dim.Render(t.cut(d.text, bw-4))}
	say := func(words string) {
		for _, l := range wrap(words, bw-4) {
			lines = append(lines, " "+l)
		}
	}
	keys := "[" + a.keys.of("delete.here") + "] for me"
	switch {
	case d.both:
		say("For me: its text goes from this computer alone; what is on its way still arrives.")
		say("For both: " + d.peer + "'s copy is asked to delete it, too. Nobody can prove that it does.")
		keys += "   [" + a.keys.of("delete.both") + "] for both"
	case d.peer == "":
		say("Its text goes from this computer.")
	default:
		say("Its text goes from this computer alone; others keep theirs.")
	}
	if d.problem != "" {
		say(t.bad.Render(d.problem))
	}
	foot := keys + "   [" + a.keys.of("close") + "] keep"
	for _, l := range wrap(foot, bw-4) {
		lines = append(lines, " "+l)
	}
	if over := len(lines) - (h - 2); over > 0 { // the question itself matters most
		lines = lines[over:]
	}
	return t.boxed("Delete this message?", "", lines, bw, min(h, len(lines)+2)), nil
}
