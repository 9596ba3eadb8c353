package tui

import (
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// helpDialog lists keys, commands and signs, from the tables in force.
type helpDialog struct {
	topic  string // what was asked for; empty: what is in force, then the rest
	here   []mode // the modes in force where it was opened
	scroll int
	most   int // what scroll may be, as last drawn
	page   int
}

// helpSection is one part of the help: pairs of a key, or a sign, and what it
// does.
type helpSection struct {
	title string
	pairs [][2]string
}

func helpKeys() []binding {
	return []binding{
		{"help.down", []string{"down", "j"}, "scroll on"},
		{"help.up", []string{"up", "k"}, "scroll back"},
		{"help.next", []string{"pgdown", "space"}, "next page"},
		{"help.back", []string{"pgup", "b"}, "page before"},
	}
}

// openHelp shows the help; topic is a mode, a command or empty.
func (a *App) openHelp(topic string) {
	topic = strings.ToLower(strings.TrimSpace(topic))
	if topic != "" && len(a.helpAbout(topic)) == 0 {
		a.notice = "no help on " + sanitizeLine(topic) + didYouMean(topic, a.helpTopics())
		return
	}
	a.push(&helpDialog{topic: topic, here: a.modesHere()})
}

// modesHere returns the modes whose keys are in force, those first that take a key
// before the others.
func (a *App) modesHere() []mode {
	if d := a.top(); d != nil {
		return []mode{d.mode(), modeEverywhere}
	}
	if m := a.stepMode(); m != "" {
		return []mode{m, modeEverywhere}
	}
	modes := slices.Clone(conversationModes)
	slices.Reverse(modes)
	if a.composer.paletteShown() {
		modes = slices.Insert(modes, 0, modePalette)
	}
	if c := a.shown(); c != nil && c.selected != "" {
		modes = slices.Insert(modes, 0, modeMessage)
	}
	return modes
}

// stepMode is the mode of a step of the first run; empty on the conversation screen,
// and where a passphrase opens the profile, which shows nothing else.
func (a *App) stepMode() mode {
	switch a.first.step {
	case stepIntro:
		return modeIntro
	case stepPassphrase, stepRestore:
		return modeForm
	case stepNetwork:
		return modeLink
	case stepStarting:
		return modeStarting
	case stepContact:
		return modeFirst
	}
	return ""
}

// helpTopics are what /help takes.
func (a *App) helpTopics() []string {
	topics := []string{"keys", "commands", "signs"}
	for _, g := range a.keys.groups {
		topics = append(topics, string(g.mode))
	}
	for _, c := range commandTable() {
		topics = append(topics, strings.TrimPrefix(c.name, "/"))
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}

// sections is what the help says.
func (d *helpDialog) sections(a *App) []helpSection {
	if d.topic != "" {
		return a.helpAbout(d.topic)
	}
	var out []helpSection
	inChat := slices.Contains(d.here, modeComposer)
	if d.here[0] == modeComposer {
		out = append(out, a.helpMost(), a.helpSigns())
	}
	for _, m := range d.here {
		out = append(out, a.helpMode(m, false))
	}
	if inChat && d.here[0] != modeMessage {
		out = append(out, a.helpMode(modeMessage, false))
	}
	if a.stepMode() != "" {
		return out // there is nothing yet to send or to command
	}
	if d.here[0] != modeComposer {
		out = append(out, a.helpSigns())
	}
	return append(out, helpCommands())
}

// helpMost lists the keys that one lives with, on the screen where one writes.
func (a *App) helpMost() helpSection {
	s := helpSection{title: "most used"}
	for _, most := range []struct {
		act  action
		does string
	}{
		{"send", "send"},
		{"newline", "new line"},
		{"palette", "commands"},
		{"switch", "switch contact"},
		{"contact.unread", "next unread"},
		{"first.unread", "first unread"},
		{"cursor.up", "select a message"},
		{"message.why", "on it: why"},
		{"message.retry", "on it: retry"},
		{"message.reply", "on it: reply"},
		{"message.copy", "on it: copy"},
		{"message.delete", "on it: delete"},
		{"scroll.back", "scroll back"},
		{"search", "search"},
		{"invite", "invite"},
		{"network", "network"},
		{"lock", "lock"},
		{"close", "close the top"},
	} {
		s.pairs = append(s.pairs, [2]string{a.keys.of(most.act), most.does})
	}
	return s
}

// helpAbout is all that is known of a topic.
func (a *App) helpAbout(topic string) []helpSection {
	topic = strings.TrimPrefix(topic, "/")
	var out []helpSection
	switch topic {
	case "signs":
		return []helpSection{a.helpSigns()}
	case "commands":
		return []helpSection{helpCommands()}
	case "keys":
		for _, g := range a.keys.groups {
			out = append(out, a.helpMode(g.mode, true))
		}
		return out
	}
	for _, c := range commandTable() {
		if c.name == "/"+topic {
			out = append(out, helpSection{"command", [][2]string{{strings.TrimSpace(c.name + " " + c.args), c.does}}})
		}
	}
	for _, g := range a.keys.groups {
		if string(g.mode) == topic || g.title == topic {
			out = append(out, a.helpMode(g.mode, true))
		}
	}
	return out
}

// helpMode lists the keys of a mode: the first of each, or all of them and the name
// by which people bind them.
func (a *App) helpMode(m mode, whole bool) helpSection {
	for _, g := range a.keys.groups {
		if g.mode != m {
			continue
		}
		s := helpSection{title: g.title}
		for _, b := range g.bindings {
			key, does := a.keys.of(b.act), b.does
			if len(b.keys) > 4 { // by number
				key += ".." + b.keys[len(b.keys)-1][strings.LastIndex(b.keys[len(b.keys)-1], "+")+1:]
			} else if whole {
				key = a.keys.allOf(b.act)
			}
			if whole {
				does += " (" + string(b.act) + ")"
			}
			s.pairs = append(s.pairs, [2]string{key, does})
		}
		return s
	}
	return helpSection{}
}

// helpCommands lists the slash commands.
func helpCommands() helpSection {
	s := helpSection{title: "commands"}
	for _, c := range commandTable() {
		s.pairs = append(s.pairs, [2]string{strings.TrimSpace(c.name + " " + c.args), c.does})
	}
	return s
}

// helpSigns says what the signs mean.
func (a *App) helpSigns() helpSection {
	t := &a.theme
	return helpSection{"signs", [][2]string{
		{t.queued, "queued: on this disk only"},
		{t.some, "stored by some of its relays"},
		{t.all, "stored by all its relays"},
		{t.delivered, "delivered: your contact has it"},
		{t.failed, "failed: " + a.keys.of("message.why") + " says why"},
		{t.verified, "verified: you compared keys"},
		{t.unverified, "unverified: keys not compared"},
		{t.changed, "key changed: compare it anew"},
		{t.group, "group"},
		{t.connected, "connected"},
		{t.partly, "works, with something missing"},
		{t.offline, "offline"},
	}}
}

func (d *helpDialog) mode() mode { return modeHelp }

func (d *helpDialog) update(a *App, msg tea.Msg) tea.Cmd {
	k, ok := msg.(tea.KeyPressMsg)
	if !ok {
		return nil
	}
	by := 0
	switch a.keys.find(modeHelp, k.String()) {
	case "help.down":
		by = 1
	case "help.up":
		by = -1
	case "help.next":
		by = max(1, d.page-1)
	case "help.back":
		by = -max(1, d.page-1)
	}
	d.scroll = max(0, min(d.scroll+by, d.most))
	return nil
}

func (d *helpDialog) view(a *App, w, h int) ([]string, *tea.Cursor) {
	bw := min(w, 92)
	var lines []string
	for i, s := range d.sections(a) {
		if i > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, " "+a.theme.strong.Render(s.title))
		lines = append(lines, a.columns(s.pairs, bw-2)...)
	}
	d.page = max(1, h-2)
	d.most = max(0, len(lines)-d.page)
	d.scroll = min(d.scroll, d.most)
	end := min(len(lines), d.scroll+d.page)
	foot := "[" + a.keys.of("close") + "] close"
	if d.most > 0 {
		at := fmt.Sprintf("%d of %d", end, len(lines))
		foot = firstFit(bw-4, at+"  ["+a.keys.of("help.next")+"] next page  "+foot, at+"  "+foot, foot)
	}
	return a.theme.boxed("Help "+a.theme.dot+" "+d.name(a), foot, lines[d.scroll:end], bw, min(h, len(lines)+2)), nil
}

// name is what the help is about.
func (d *helpDialog) name(a *App) string {
	switch {
	case d.topic != "":
		return d.topic
	case slices.Contains(d.here, modeComposer):
		return "conversation"
	}
	return a.helpMode(d.here[0], false).title
}

// columns lays pairs out beside each other, in lines of at most w cells, to be read
// downwards.
func (a *App) columns(pairs [][2]string, w int) []string {
	key, does := 0, 0
	for _, p := range pairs {
		key, does = max(key, ansi.StringWidth(p[0])), max(does, ansi.StringWidth(p[1]))
	}
	width := 1 + key + 1 + does + 1
	n := max(1, w/width)
	if n == 1 && width > w { // long keys: what they do goes below
		return stacked(pairs, w)
	}
	rows := (len(pairs) + n - 1) / n
	lines := make([]string, rows)
	for i, p := range pairs {
		lines[i%rows] += fit(" "+a.theme.accent.Render(fit(p[0], key))+" "+p[1], width)
	}
	return lines
}

// stacked writes what a key does beside it in several lines, or below it if the key
// is long.
func stacked(pairs [][2]string, w int) []string {
	var lines []string
	for _, p := range pairs {
		key, indent := " "+p[0]+"  ", ansi.StringWidth(p[0])+3
		if indent > w/3 && ansi.StringWidth(key+p[1]) > w {
			lines = append(lines, key)
			key, indent = "   ", 3
		}
		for _, l := range wrap(p[1], w-indent) {
			lines = append(lines, key+l)
			key = strings.Repeat(" ", indent)
		}
	}
	return lines
}
