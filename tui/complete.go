package tui

import (
	"context"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"hearsay/chat"
)

// suggestion is what a slash command that is being written may become.
type suggestion struct {
	text  string // of the composer, if it is taken
	label string // one line
	note  string // what it does; may be empty
	runs  bool   // it needs no arguments
}

// maxSuggestions bounds lists of names and files.
const maxSuggestions = 200

// cutCommand splits what is written into a command, nil if there is none of that
// name, and its arguments.
func cutCommand(text string) (c *command, args string, hasArgs bool) {
	name, args, hasArgs := strings.Cut(text, " ")
	for _, have := range commandTable() {
		if have.name == name {
			return &have, args, hasArgs
		}
	}
	return nil, args, hasArgs
}

// suggestions lists what the command in the composer may become, the likeliest
// first.
func (a *App) suggestions() []suggestion {
	text := a.composer.value()
	c, args, hasArgs := cutCommand(text)
	if !hasArgs {
		return suggestCommands(text)
	}
	if c == nil {
		return nil
	}
	return a.suggestArgs(*c, strings.TrimLeft(args, " "))
}

// suggestCommands lists the commands whose name begins with what is written, then
// those that it is like, then those that do something like it.
func suggestCommands(text string) []suggestion {
	want := strings.ToLower(strings.TrimPrefix(text, "/"))
	var by [4][]suggestion
	for _, c := range commandTable() {
		s := suggestion{text: c.name, label: strings.TrimSpace(c.name + " " + c.args), note: c.does, runs: c.args == ""}
		if !s.runs {
			s.text += " "
		}
		rank, ok := matches(want, strings.TrimPrefix(c.name, "/"))
		switch {
		case ok && rank == 0:
			by[0] = append(by[0], s)
		case ok && rank < 3:
			by[1] = append(by[1], s)
		case strings.Contains(c.does, want):
			by[2] = append(by[2], s)
		case ok:
			by[3] = append(by[3], s)
		}
	}
	return slices.Concat(by[0], by[1], by[2], by[3])
}

// suggestArgs lists what the arguments of a command may become.
func (a *App) suggestArgs(c command, args string) []suggestion {
	before := c.name + " "
	switch c.completes {
	case "contact":
		return a.suggestNames(before, args, func(e *entry) bool { return e.contact != nil && !e.isNotes() })
	case "group":
		return a.suggestGroup(before, args)
	case "topic":
		return suggestWords(before, args, a.helpTopics())
	case "cover":
		return suggestWords(before, args, chat.Covers())
	case "file":
		return a.suggestFiles(before, args)
	}
	if !strings.Contains(c.args, "|") {
		return nil
	}
	return suggestWords(before, args, strings.Split(c.args, "|"))
}

// suggestGroup lists what /group does, then the contacts that it may do it to.
func (a *App) suggestGroup(before, args string) []suggestion {
	verb, name, hasName := strings.Cut(args, " ")
	if !hasName {
		var verbs []string
		for _, c := range commandTable() {
			if c.completes == "group" {
				verbs = strings.Split(c.args, "|")
			}
		}
		list := suggestWords(before, args, verbs)
		for i := range list {
			if list[i].runs = strings.HasSuffix(list[i].label, "list") || strings.HasSuffix(list[i].label, "leave"); !list[i].runs {
				list[i].text += " "
			}
		}
		return list
	}
	var members []string
	if e := a.selected(); e != nil && e.group != nil {
		members = e.group.Members
	}
	switch verb {
	case "add":
		return a.suggestNames(before+"add ", name, func(e *entry) bool {
			return e.contact != nil && !e.isNotes() && !slices.Contains(members, e.id)
		})
	case "remove":
		return a.suggestNames(before+"remove ", name, func(e *entry) bool { return slices.Contains(members, e.id) })
	}
	return nil
}

// suggestNames lists the entries whose names are like what is written, blanks
// included.
func (a *App) suggestNames(before, want string, of func(*entry) bool) []suggestion {
	var by [4][]suggestion
	for i := range a.entries {
		e := &a.entries[i]
		if !of(e) {
			continue
		}
		if rank, ok := matches(strings.ToLower(want), strings.ToLower(e.name)); ok {
			by[rank] = append(by[rank], suggestion{text: before + e.name, label: e.name, runs: true})
		}
	}
	list := slices.Concat(by[0], by[1], by[2], by[3])
	return list[:min(len(list), maxSuggestions)]
}

// suggestWords lists the words that begin with what is written.
func suggestWords(before, want string, words []string) []suggestion {
	var list []suggestion
	for _, w := range words {
		if strings.HasPrefix(w, strings.ToLower(want)) {
			list = append(list, suggestion{text: before + w, label: w, runs: true})
		}
	}
	return list
}

// suggestFiles lists the files that were found for what is written.
func (a *App) suggestFiles(before, want string) []suggestion {
	p := &a.composer.palette
	if p.filesFor != want {
		return nil // an answer to what was written before
	}
	var list []suggestion
	for _, f := range p.files {
		list = append(list, suggestion{text: before + f, label: f, runs: !strings.HasSuffix(f, "/")})
	}
	return list
}

// suggest brings the palette up to date with what is written: the first row is the
// likeliest again, and files are looked for.
func (a *App) suggest() tea.Cmd {
	c := &a.composer
	c.palette.mark, c.palette.moved = listMark{}, false
	if c.text.empty() {
		c.palette.dismissed = false
	}
	if !c.paletteShown() || a.cfg.Complete == nil {
		return nil
	}
	cmd, args, hasArgs := cutCommand(c.value())
	if cmd == nil || !hasArgs || cmd.completes != "file" {
		return nil
	}
	find, want := a.cfg.Complete, strings.TrimLeft(args, " ")
	return ask(a, nil, func(context.Context) ([]string, error) {
		return showable(find(want)), nil
	}, func(files []string, _ error) tea.Cmd {
		a.composer.palette.files, a.composer.palette.filesFor = files, want
		return nil
	})
}

// showable leaves out file names that a screen cannot show as they are: what
// stands in the composer is what is meant.
func showable(files []string) []string {
	files = slices.DeleteFunc(files, func(f string) bool { return sanitizeLine(f) != f })
	return files[:min(len(files), maxSuggestions)]
}

// complete is what tab does where no palette is shown: it brings the palette back.
func (a *App) complete() tea.Cmd {
	if c := &a.composer; isCommand(c.value()) {
		c.palette.dismissed = false
		return a.suggest()
	}
	a.notice = "commands are completed: they begin with " + a.keys.of("palette")
	return nil
}

// matches tells how well a name fits what was typed, both lower case: 0 if it
// begins with it, 1 if a word of it does, 2 if it holds it, 3 if it holds its
// characters in order.
func matches(want, name string) (rank int, ok bool) {
	switch {
	case strings.HasPrefix(name, want):
		return 0, true
	case strings.Contains(name, " "+want), strings.Contains(name, "-"+want):
		return 1, true
	case strings.Contains(name, want):
		return 2, true
	}
	rest := []rune(want)
	for _, r := range name {
		if len(rest) > 0 && rest[0] == r {
			rest = rest[1:]
		}
	}
	return 3, len(rest) == 0
}

// didYouMean names the candidate that is nearest to a word, as the end of a
// sentence; empty if none is near.
func didYouMean(word string, candidates []string) string {
	best, least := "", 1+max(1, len(word)/3)
	for _, c := range candidates {
		if d := distance(word, c); d < least {
			best, least = c, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is how many characters must be put in, left out, replaced or swapped
// with their neighbour to make one word of another.
func distance(x, y string) int {
	a, b := []rune(x), []rune(y)
	if len(a) > 64 || len(b) > 64 { // neither a command nor a key is as long
		return max(len(a), len(b))
	}
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
