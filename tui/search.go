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

// searchHits bounds what a search shows; the newest come first.
const searchHits = 100

// searchDialog finds messages while one types. One search runs at a time; what is
// typed meanwhile ends it and starts the next one.
type searchDialog struct {
	text    textinput.Model
	here    string // id of the conversation that is searched; empty: all
	scope   string // what here was when the dialog opened
	hits    []chat.Message
	at      int
	done    string // the text and place that hits belong to
	running string // what is being searched for; empty: nothing
	stop    context.CancelFunc
	problem string
}

func searchKeys() []binding {
	return []binding{
		{"search.down", []string{"down"}, "next hit"},
		{"search.up", []string{"up"}, "previous hit"},
		{"search.take", []string{"enter"}, "go there"},
		{"search.here", []string{"tab"}, "here or everywhere"},
	}
}

// openSearch searches messages; text may be empty.
func (a *App) openSearch(text string) tea.Cmd {
	if a.chat == nil {
		return nil
	}
	d := &searchDialog{text: newInput("> ", 40), scope: a.current}
	d.text.SetValue(sanitizeLine(text))
	d.text.CursorEnd()
	a.push(d)
	return d.search(a)
}

func (d *searchDialog) mode() mode { return modeSearch }

// closed ends the search that runs.
func (d *searchDialog) closed() {
	if d.running != "" {
		d.stop()
	}
}

// wants names what is to be searched, and where.
func (d *searchDialog) wants() string {
	text := strings.TrimSpace(d.text.Value())
	if text == "" {
		return ""
	}
	return d.here + "\n" + text
}

// search runs a search, unless it is done or running.
func (d *searchDialog) search(a *App) tea.Cmd {
	wants := d.wants()
	switch {
	case d.running != "":
		if d.running != wants {
			d.stop() // its result starts the next one
		}
		return nil
	case wants == "":
		d.hits, d.done, d.problem, d.at = nil, "", "", 0
		return nil
	case wants == d.done:
		return nil
	}
	stopped, stop := context.WithCancel(a.ctx)
	d.running, d.stop = wants, stop
	backend, where, text := a.chat, d.here, strings.TrimSpace(d.text.Value())
	return ask(a, nil, func(ctx context.Context) ([]chat.Message, error) {
		defer stop()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(stopped, cancel)()
		hits, err := backend.Search(ctx, text, where, searchHits)
		for i := range hits {
			hits[i].Text = around(hits[i].Text, text)
		}
		return hits, err
	}, func(hits []chat.Message, err error) tea.Cmd {
		d.running = ""
		if !a.isOpen(d) {
			return nil
		}
		if d.wants() != wants {
			return d.search(a)
		}
		d.hits, d.done, d.problem, d.at = hits, wants, "", 0
		if err != nil {
			d.problem = errorText(err)
		}
		return nil
	})
}

func (d *searchDialog) update(a *App, msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.MouseMsg:
		return nil
	case tea.KeyPressMsg:
		switch a.keys.find(modeSearch, msg.String()) {
		case "search.down":
			d.at = max(0, min(d.at+1, len(d.hits)-1))
			return nil
		case "search.up":
			d.at = max(0, d.at-1)
			return nil
		case "search.here":
			if d.here == "" {
				d.here = d.scope
			} else {
				d.here = ""
			}
			return d.search(a)
		case "search.take":
			if d.done != d.wants() || d.at >= len(d.hits) {
				return d.search(a)
			}
			m := d.hits[d.at]
			a.drop(d)
			return a.jumpTo(m)
		}
	}
	return tea.Batch(typeInto(&d.text, msg), d.search(a))
}

func (d *searchDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	t := &a.theme
	bw := min(w, 96)
	d.text.SetWidth(max(1, bw-6))
	where := "everywhere"
	if d.here != "" {
		where = "in " + a.nameOf(d.here)
	}
	lines := []string{" " + d.text.View(), " " + t.dim.Render(d.word(t)+where)}
	rows := max(1, h-2-len(lines))
	from := max(0, min(d.at-rows/2, len(d.hits)-rows))
	for i := from; i < min(len(d.hits), from+rows); i++ {
		lines = append(lines, d.hitLine(a, i, bw-2))
	}
	if d.problem != "" {
		for _, l := range wrap(d.problem, bw-4) {
			lines = append(lines, " "+t.bad.Render(l))
		}
	}
	foot := fmt.Sprintf("[%s] go there  [%s] here or everywhere", a.keys.of("search.take"), a.keys.of("search.here"))
	box := t.boxed("Search", foot, lines, bw, min(h, max(len(lines)+2, min(12, h))))
	return box, dialogCursor(d.text.Cursor(), box, w, h, 1)
}

// word says how the search stands.
func (d *searchDialog) word(t *theme) string {
	switch n := len(d.hits); {
	case d.wants() == "":
		return "type what to look for, "
	case d.running != "" || d.done != d.wants():
		return "searching " + t.more + " "
	case d.problem != "":
		return "not searched "
	case n == 0:
		return "nothing found "
	case n == 1:
		return "1 message "
	case n >= searchHits:
		return fmt.Sprintf("the newest %d messages ", n)
	default:
		return fmt.Sprintf("%d messages ", n)
	}
}

// hitLine draws one hit: when, who and where, and the text around what was found.
func (d *searchDialog) hitLine(a *App, i, w int) string {
	t, m := &a.theme, &d.hits[i]
	now := a.now()
	local := m.Time.In(now.Location())
	when := local.Format("2 Jan 15:04")
	switch {
	case sameDay(local, now):
		when = local.Format("15:04")
	case local.Year() != now.Year():
		when = local.Format("2 Jan 2006")
	}
	c := conversation{}
	l := newLayouter(a, &c, w)
	who := l.author(m)
	if d.here == "" && (m.Direction == chat.Out || m.Author != "") {
		who += " " + t.hop + " " + a.nameOf(m.Contact)
	}
	mark := " "
	if i == d.at {
		mark = t.glyphs.selected
	}
	nameCells := min(20, max(6, w/4))
	head := mark + fit(when, 12) + " " + fit(t.cut(who, nameCells), nameCells) + " "
	if w < 50 {
		head = mark + t.cut(who, nameCells) + ": "
	}
	_, text, _ := strings.Cut(d.done, "\n")
	line := fit(head+t.excerpt(m.Text, text, w-ansi.StringWidth(head)), w)
	if i == d.at {
		return t.strong.Render(line)
	}
	return line
}

// aroundBytes is how much of a text is kept on either side of what was found: more
// than a line shows.
const aroundBytes = 400

// around returns the part of a text, in one line, in which something was found:
// hits are drawn again and again, and each may have 64 KiB.
func around(text, sought string) string {
	text = sanitizeLine(text)
	at := strings.Index(strings.ToLower(text), strings.ToLower(sought))
	if at < 0 || at > len(text) {
		at = 0
	}
	from, to := max(0, at-aroundBytes), min(len(text), at+len(sought)+aroundBytes)
	return strings.ToValidUTF8(text[from:to], "")
}

// excerpt cuts a text to w cells around the first place where it holds what was
// sought.
func (t *theme) excerpt(text, sought string, w int) string {
	at := strings.Index(strings.ToLower(text), strings.ToLower(sought))
	if at < 0 || at > len(text) {
		return t.cut(text, w)
	}
	before := ansi.StringWidth(strings.ToValidUTF8(text[:at], ""))
	if from := before - w/3; from > 0 && before+ansi.StringWidth(sought) > w {
		text = t.more + ansi.TruncateLeft(text, from, "")
	}
	return t.cut(text, w)
}
