package tui

import (
	"context"
	"regexp"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"hearsay/chat"
)

func whyKeys() []binding {
	return []binding{
		{"why.retry", []string{"r"}, "retry now"},
		{"why.down", []string{"down", "j", "pgdown"}, "scroll on"},
		{"why.up", []string{"up", "k", "pgup"}, "scroll back"},
	}
}

// whyDialog shows the history of a message, and what comes next.
type whyDialog struct {
	message, title string
	why            chat.Why
	known          bool
	asking, stale  bool
	said           string // what came of a key, or why nothing is shown
	scroll         int

	reads int // how often it was read
	rows  []string
	laid  laidWhy // what rows were made for
}

// laidWhy is what the rows of a panel depend on.
type laidWhy struct {
	reads  int
	said   string
	width  int
	minute int64
	theme  string
	dark   bool
}

// openWhy shows the history of a message; title is the beginning of its text.
func (a *App) openWhy(message, title string) tea.Cmd {
	if a.chat == nil || message == "" {
		return nil
	}
	d := &whyDialog{message: message, title: beginning(title, shortWidth)}
	a.push(d)
	return d.load(a)
}

// whyLooks is how far back openWhyLast looks for a message of our own.
const whyLooks = 200

// openWhyLast shows the history of the selected message, or else of the last one
// of our own in the conversation on screen.
func (a *App) openWhyLast() tea.Cmd {
	if m := a.selectedMessage(); m != nil {
		return a.openWhy(m.ID, m.Text)
	}
	c, id := a.chat, a.current
	if c == nil || id == "" {
		return nil
	}
	return ask(a, nil, func(ctx context.Context) (*chat.Message, error) {
		list, err := c.MessagesBefore(ctx, id, 0, whyLooks)
		for i := len(list) - 1; i >= 0; i-- {
			if list[i].Direction == chat.Out {
				return &list[i], err
			}
		}
		return nil, err
	}, func(m *chat.Message, err error) tea.Cmd {
		switch {
		case err != nil:
			a.notice = errorText(err)
		case m == nil:
			a.notice = "you wrote nothing here lately; select a message to ask why"
		case id == a.current:
			return a.openWhy(m.ID, m.Text)
		}
		return nil
	})
}

// retry tries at once what waits of a message.
func (a *App) retry(message string) tea.Cmd {
	c := a.chat
	return a.do(nil, func(ctx context.Context) error { return c.Retry(ctx, message) }, func(err error) tea.Cmd {
		if err != nil {
			a.notice = "not tried: " + errorText(err)
			return nil
		}
		a.notice = "tried again now; " + a.keys.of("message.why") + " shows what comes of it"
		return nil
	})
}

func (d *whyDialog) mode() mode { return modeWhy }

// load reads the history, once at a time.
func (d *whyDialog) load(a *App) tea.Cmd {
	if d.asking {
		d.stale = true
		return nil
	}
	d.asking, d.stale = true, false
	c, message := a.chat, d.message
	return ask(a, d, func(ctx context.Context) (chat.Why, error) { return c.Why(ctx, message) }, func(w chat.Why, err error) tea.Cmd {
		d.asking = false
		if err != nil {
			d.said = errorText(err)
			return nil
		}
		d.why, d.known = w, true
		d.reads++
		if d.stale {
			return d.load(a)
		}
		return nil
	})
}

// event reads the history anew when something happened to the message.
func (d *whyDialog) event(a *App, ev chat.Event) tea.Cmd {
	switch ev.Type {
	case chat.MessageStateChanged, chat.MessageChanged:
		if ev.Message != nil && ev.Message.ID == d.message {
			return d.load(a)
		}
	}
	return nil
}

func (d *whyDialog) update(a *App, msg tea.Msg) tea.Cmd {
	k, ok := msg.(tea.KeyPressMsg)
	if !ok {
		return nil
	}
	switch a.keys.find(modeWhy, k.String()) {
	case "why.retry":
		c, message := a.chat, d.message
		d.said = ""
		return a.do(d, func(ctx context.Context) error { return c.Retry(ctx, message) }, func(err error) tea.Cmd {
			d.said = "tried again now"
			if err != nil {
				d.said = "not tried: " + errorText(err)
			}
			return d.load(a)
		})
	case "why.down":
		d.scroll++
	case "why.up":
		d.scroll = max(0, d.scroll-1)
	}
	return nil
}

// lay lays the panel out for w cells.
func (d *whyDialog) lay(a *App, w int) (rows []string) {
	in := w - 2
	if !d.known && d.said == "" {
		rows = append(rows, " reading "+a.theme.more)
	}
	leads := make([]string, len(d.why.History))
	column := 0 // of the words; a narrow panel has them below time and state
	times := 0
	for _, e := range d.why.History {
		times = max(times, len(a.moment(e.Time)))
	}
	for i, e := range d.why.History {
		leads[i] = " " + fit(a.moment(e.Time), times) + "  " + stateStyle(a, e.State).Render(fit(sanitizeLine(string(e.State)), 9)) + " "
		column = max(column, ansi.StringWidth(leads[i]))
	}
	below := in-column < 24
	for i, e := range d.why.History {
		in, lead := strings.Repeat(" ", column), fit(leads[i], column)
		if below {
			rows, in, lead = append(rows, leads[i]), "  ", "  "
		}
		for _, l := range wrap(a.localTimes(sanitizeLine(e.Detail)), w-3-len(in)) {
			rows, lead = append(rows, lead+l), in
		}
	}
	para := func(s string) {
		for _, l := range wrap(s, in-2) {
			rows = append(rows, " "+l)
		}
	}
	if d.known {
		rows = append(rows, "")
		for _, s := range d.next(a) {
			para(s)
		}
	}
	for _, e := range d.why.Earlier {
		rows = append(rows, "", a.fitted(" before the edit, "+a.moment(e.Time)+":", in))
		for _, l := range wrap(chat.Sanitize(e.Text), in-4) {
			rows = append(rows, "   "+l)
		}
	}
	if d.said != "" {
		rows = append(rows, "")
		for _, l := range wrap(d.said, in-2) {
			rows = append(rows, a.theme.warn.Render(" "+l))
		}
	}
	return rows
}

func (d *whyDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	w = min(w, max(57, w*3/4), 84)
	// Texts before edits may be long, and this runs after every event.
	key := laidWhy{d.reads, d.said, w, a.now().Unix() / 60, a.theme.name, a.dark}
	if d.rows == nil || d.laid != key {
		d.rows, d.laid = d.lay(a, w), key
	}
	rows := d.rows
	room := max(1, h-2)
	foot := "[" + a.keys.of("close") + "] close"
	if d.waits() {
		foot = "[" + a.keys.of("why.retry") + "] retry now  " + foot
	}
	if len(rows) > room {
		foot = "[" + a.keys.of("why.down") + "] on  " + foot
	}
	d.scroll = min(d.scroll, max(0, len(rows)-room))
	rows = rows[d.scroll:min(len(rows), d.scroll+room)]
	if ansi.StringWidth(foot) > w-6 {
		foot = "[" + a.keys.of("close") + "] close"
	}
	return a.theme.boxed(a.cut("why: "+d.title, w-6), foot, rows, w, len(rows)+2), nil
}

// waits tells whether anything is waited for, which a retry could hurry.
func (d *whyDialog) waits() bool {
	return d.known && (d.why.Next != "" || d.why.NextTry != nil || d.why.Expires != nil)
}

// next says what is waited for.
func (d *whyDialog) next(a *App) []string {
	w, out := d.why, []string(nil)
	if w.Next != "" {
		out = append(out, "Now: "+sanitizeLine(w.Next)+".")
	}
	if w.NextTry != nil {
		when := a.moment(*w.NextTry)
		if !w.NextTry.After(a.now()) {
			when = "now"
		}
		out = append(out, "Next try: "+when+", by itself.")
	}
	if w.Expires != nil {
		out = append(out, "Relays keep it until "+a.moment(*w.Expires)+".")
	}
	if len(out) == 0 {
		out = append(out, "Nothing is waited for.")
	}
	return out
}

// utcTimes finds the times of ledgers, which are in UTC.
var utcTimes = regexp.MustCompile(`\b\d{4}-\d\d-\d\d \d\d:\d\d UTC\b`)

// localTimes writes the times of a ledger as the clock beside it shows them.
func (a *App) localTimes(s string) string {
	return utcTimes.ReplaceAllStringFunc(s, func(utc string) string {
		t, err := time.Parse("2006-01-02 15:04 MST", utc)
		if err != nil {
			return utc
		}
		now := a.now()
		t = t.In(now.Location())
		switch {
		case t.YearDay() == now.YearDay() && t.Year() == now.Year():
			return t.Format("15:04")
		case t.Year() == now.Year():
			return t.Format("2 Jan 15:04")
		}
		return t.Format("2 Jan 2006 15:04")
	})
}

// moment writes a time as people need it: of today to the second, else with the
// day.
func (a *App) moment(t time.Time) string {
	now := a.now()
	t = t.In(now.Location())
	switch {
	case t.YearDay() == now.YearDay() && t.Year() == now.Year():
		return t.Format("15:04:05")
	case t.Year() == now.Year():
		return t.Format("2 Jan 15:04")
	}
	return t.Format("2 Jan 2006")
}
