package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hearsay/chat"
)

// plainCommand is a slash command of the plain mode.
type plainCommand struct {
	name, args, does string
	locked           bool // works while the profile is locked
	run              func(p *plain, args string) error
}

// plainCommands lists them: all of commandTable, and what the screens do by keys.
func plainCommands() []plainCommand {
	return []plainCommand{
		{"/to", "NAME", "write to somebody, a group or notes from now on", false, (*plain).to},
		{"/contacts", "", "everybody, and what is unread", false, (*plain).contacts},
		{"/history", "[N] [#NUMBER]", "the last N messages, or those before one", false, (*plain).history},
		{"/show", "", "the whole of a message that was cut", false, (*plain).showFolded},
		{"/compose", "", "write a message of several lines", false, (*plain).compose},
		{"/reply", "[#NUMBER] TEXT", "answer a message", false, (*plain).reply},
		{"/edit", "[#NUMBER] TEXT", "change what you sent", false, (*plain).edit},
		{"/react", "[#NUMBER] EMOJI", "put an emoji under a message", false, (*plain).react},
		{"/delete", "[#NUMBER] [both]", "delete here, or ask for both", false, (*plain).delete},
		{"/why", "[#NUMBER]", "what became of a message", false, (*plain).why},
		{"/retry", "[#NUMBER]", "try again now", false, (*plain).retry},
		{"/search", "TEXT", "search all messages", false, (*plain).search},
		{"/invite", "[NAME]", "make a one-time invite", false, (*plain).invite},
		{"/invites", "[revoke N | address [LABEL]]", "invites and addresses of yours", false, (*plain).invites},
		{"/accept", "LINK NAME", "add who sent you a link", false, (*plain).acceptCommand},
		{"/requests", "[accept N NAME | reject N | block N]", "strangers who ask to be contacts", false, (*plain).requests},
		{"/contact", "[NAME]", "what is known of a contact, and settings", false, (*plain).contact},
		{"/verify", "[NAME]", "compare safety numbers or words", false, (*plain).verify},
		{"/rename", "NAME", "another name for who is selected", false, (*plain).rename},
		{"/mute", "", "tell no more of who is selected, or again", false, (*plain).mute},
		{"/pin", "", "keep on top, or no longer", false, (*plain).pin},
		{"/archive", "", "put away, or bring back", false, (*plain).archive},
		{"/disappear", "off|1|7|28", "days until messages disappear", false, (*plain).disappear},
		{"/block", "[NAME]", "block, or unblock, a contact", false, (*plain).block},
		{"/remove", "[NAME]", "remove a contact and all messages", false, (*plain).remove},
		{"/export", "PATH", "write this conversation to a file", false, (*plain).export},
		{"/group", "new NAME | add NAME | remove NAME | rename NAME | leave | list", "groups", false, (*plain).group},
		{"/file", "PATH", "offer a file", false, (*plain).file},
		{"/files", "[pause N | resume N | stop N]", "files of this conversation", false, (*plain).files},
		{"/save", "[N] [PATH]", "fetch and save a file", false, (*plain).save},
		{"/status", "", "connection and cover, in short", false, (*plain).tellConnection},
		{"/network", "[new]", "circuits, relays, guards; new builds circuits anew", false, (*plain).networkView},
		{"/cover", "[PROFILE]", "traffic that hides when you talk", false, (*plain).cover},
		{"/consent", "", "use an old snapshot of the network", false, (*plain).consent},
		{"/settings", "", "what you have chosen", false, (*plain).settings},
		{"/passphrase", "", "change the passphrase", false, (*plain).passphrase},
		{"/backup", "PATH", "one encrypted file with all of it", false, (*plain).backup},
		{"/lock", "", "lock, on all terminals", true, (*plain).lock},
		{"/unlock", "", "open what was locked", true, (*plain).unlock},
		{"/wipe", "", "destroy this profile for good", true, (*plain).wipe},
		{"/doctor", "", "find out what is wrong", true, (*plain).doctor},
		{"/help", "[COMMAND]", "this list", true, (*plain).help},
		{"/quit", "", "stop; queued messages stay on this disk", true, func(*plain, string) error { return errPlainQuit }},
	}
}

// command runs a slash command. An unknown one is never sent as text.
func (p *plain) command(text string) error {
	name, args, _ := strings.Cut(text, " ")
	for _, c := range plainCommands() {
		if c.name != strings.ToLower(name) {
			continue
		}
		if p.locked && !c.locked {
			p.fail("hearsay is locked. /unlock opens it.")
			return nil
		}
		err := c.run(p, strings.TrimSpace(args))
		if err == nil || errors.Is(err, errPlainQuit) || p.ctx.Err() != nil || p.broken != nil {
			return err
		}
		if errors.Is(err, errPlainEnd) {
			return nil // the end of the input is seen by who asks next
		}
		p.fail("Error: " + errorText(err) + ".")
		return nil
	}
	p.fail("There is no command " + name + ". /help lists them, // sends a slash. Nothing was sent.")
	return nil
}

// help lists the commands, or says one.
func (p *plain) help(topic string) error {
	var lines []string
	topic = strings.TrimPrefix(strings.ToLower(topic), "/")
	for _, c := range plainCommands() {
		if topic == "" || c.name == "/"+topic {
			lines = append(lines, strings.TrimSpace(c.name+" "+c.args)+": "+c.does)
		}
	}
	if len(lines) == 0 {
		return fmt.Errorf("there is no command /%s; /help lists them", topic)
	}
	if topic == "" {
		lines = append([]string{"Every other line is sent to who is selected. // at its beginning sends a slash."}, lines...)
		lines = append(lines,
			"States: queued is on this disk alone. stored, 1 of 2 is what relays signed for. delivered is your contact's own word. failed comes with the reason.",
			"#NUMBER is the number of a message, as /history and /search write it; without one the last message is meant.")
	}
	p.write(lines...)
	return nil
}

// to selects a conversation.
func (p *plain) to(name string) error {
	if name == "" {
		if e := p.selected(); e != nil {
			p.say("You write to " + e.called() + ".")
			return nil
		}
		return errors.New("say whom: /to NAME; /contacts lists everybody")
	}
	e, err := p.lookup(name)
	if err != nil {
		return err
	}
	p.choose(e)
	return p.unread(e)
}

// choose selects a conversation and says what it is.
func (p *plain) choose(e *entry) {
	p.current = e.id
	what := ""
	switch {
	case e.group != nil:
		what = p.groupText(*e.group)
	case e.contact != nil:
		what = plainContact(*e.contact)
	}
	if d := e.settings.DisappearAfter; d > 0 {
		what += "; messages disappear after " + plainDays(d)
	}
	p.note(fmt.Sprintf("You write to %s now: %s.", e.called(), what))
}

// unread writes what has not been shown of a conversation.
func (p *plain) unread(e *entry) error {
	if e.unread == 0 {
		return nil
	}
	c, id, after := p.chat, e.id, e.settings.Displayed
	const most = 100
	list, err := awaited(p, callTimeout, func(ctx context.Context) ([]chat.Message, error) { return c.Messages(ctx, id, after, most) })
	if err != nil {
		return err
	}
	p.sayf("Unread: %d.", e.unread)
	for _, m := range list {
		p.message(m, false, false)
	}
	if len(list) == most {
		p.say("There may be more: /history shows the last ones.")
	}
	if len(list) > 0 {
		p.shownUpto(id, list[len(list)-1].Seq)
	}
	return nil
}

// tellUnread says where something is unread.
func (p *plain) tellUnread() {
	for i := range p.entries {
		if e := &p.entries[i]; e.unread > 0 && !e.settings.Muted {
			p.sayf("%s: %d unread. /to shows them.", e.called(), e.unread)
		}
	}
}

// contacts lists everybody.
func (p *plain) contacts(string) error {
	if err := p.load(); err != nil {
		return err
	}
	p.sayf("Conversations: %d.", len(p.entries))
	for i := range p.entries {
		e := &p.entries[i]
		what := ""
		if e.group != nil {
			what = p.groupText(*e.group)
		} else {
			what = plainContact(*e.contact)
		}
		for _, s := range []struct {
			on   bool
			word string
		}{
			{e.unread > 0, fmt.Sprintf("%d unread", e.unread)},
			{e.settings.Pinned, "pinned"},
			{e.settings.Muted, "muted"},
			{e.settings.Archived, "archived"},
			{e.settings.DisappearAfter > 0, "messages disappear after " + plainDays(e.settings.DisappearAfter)},
			{e.id == p.current, "you write to them now"},
		} {
			if s.on {
				what += ", " + s.word
			}
		}
		p.say(e.called() + ": " + what)
	}
	ctx, cancel := p.within()
	defer cancel()
	rs, err := p.chat.Requests(ctx)
	if err == nil && len(rs) > 0 {
		p.sayf("Strangers who ask to be your contact: %d. /requests shows them.", len(rs))
	}
	return err
}

// Numbers of /history.
const (
	plainHistory    = 20
	plainHistoryMax = 1000
)

// history writes the last messages of the conversation that is selected.
func (p *plain) history(args string) error {
	e, err := p.target("")
	if err != nil {
		return err
	}
	n, before := plainHistory, uint64(0)
	for _, word := range strings.Fields(args) {
		if number, ok := strings.CutPrefix(word, "#"); ok {
			if before, err = strconv.ParseUint(number, 10, 63); err != nil || before == 0 {
				return errors.New("a message is named by its number, such as #12")
			}
		} else if n, err = strconv.Atoi(word); err != nil || n < 1 || n > plainHistoryMax {
			return fmt.Errorf("say how many, 1 to %d", plainHistoryMax)
		}
	}
	c, id := p.chat, e.id
	list, err := awaited(p, callTimeout, func(ctx context.Context) ([]chat.Message, error) {
		return c.MessagesBefore(ctx, id, before, n)
	})
	if err != nil {
		return err
	}
	if len(list) == 0 {
		p.say("There are no messages.")
		return nil
	}
	p.sayf("Messages with %s: %d.", e.called(), len(list))
	for _, m := range list {
		p.message(m, true, false)
	}
	if before == 0 {
		p.shownUpto(id, list[len(list)-1].Seq)
	}
	p.say("End of the messages.")
	return nil
}

// showFolded writes a message in whole that was cut.
func (p *plain) showFolded(string) error {
	if p.folded == nil {
		return errors.New("no message was cut")
	}
	p.message(*p.folded, true, true)
	return nil
}

// compose gathers lines until one that is a dot, and sends them as one message.
func (p *plain) compose(string) error {
	if _, err := p.target(""); err != nil {
		return err
	}
	p.say("Write your lines. A line with a dot alone sends them, one with /cancel drops them.")
	var lines []string
	for {
		text, err := p.next(nil)
		switch {
		case errors.Is(err, errPlainEnd):
			return errors.New("the input ended before the dot: nothing was sent")
		case err != nil:
			return err
		case p.locked:
			return errors.New("hearsay is locked: nothing was sent")
		case text == "/cancel":
			p.say("Dropped.")
			return nil
		case text == ".":
			all := strings.Join(lines, "\n")
			if strings.TrimSpace(all) == "" {
				return errors.New("there is nothing to send")
			}
			return p.send(all, "")
		}
		lines = append(lines, text)
	}
}

// named finds the message that a command is about: the one with the number at the
// beginning of args, else the last one that fits. rest is what follows the number.
func (p *plain) named(args, what string, fits func(m chat.Message) bool) (m chat.Message, rest string, err error) {
	e, err := p.target("")
	if err != nil {
		return m, "", err
	}
	c, id := p.chat, e.id
	word, rest, _ := strings.Cut(args, " ")
	number, ok := strings.CutPrefix(word, "#")
	seq, parsed := strconv.ParseUint(number, 10, 63)
	if ok && parsed == nil && seq > 0 {
		list, err := awaited(p, callTimeout, func(ctx context.Context) ([]chat.Message, error) { return c.Messages(ctx, id, seq-1, 1) })
		if err != nil {
			return m, "", err
		}
		if len(list) == 0 || list[0].Seq != seq {
			return m, "", fmt.Errorf("there is no message #%d here", seq)
		}
		return list[0], strings.TrimSpace(rest), nil
	}
	list, err := awaited(p, callTimeout, func(ctx context.Context) ([]chat.Message, error) { return c.MessagesBefore(ctx, id, 0, 100) })
	if err != nil {
		return m, "", err
	}
	for _, m := range slices.Backward(list) {
		if m.Kind != chat.KindMessageNotice && (fits == nil || fits(m)) {
			return m, args, nil
		}
	}
	return m, "", errors.New("there is no " + what + " among the last ones; name one by its number, such as #12")
}

func sentHere(m chat.Message) bool { return m.Direction == chat.Out }

func receivedHere(m chat.Message) bool { return m.Direction == chat.In }

// reply answers a message.
func (p *plain) reply(args string) error {
	m, text, err := p.named(args, "received message", receivedHere)
	if err != nil {
		return err
	}
	if text == "" {
		return errors.New("say what you answer: /reply TEXT")
	}
	p.remember(m)
	p.say("Answering " + plainQuoted(p.body(m)) + ".")
	return p.send(text, m.ID)
}

// edit changes the text of a message that was sent.
func (p *plain) edit(args string) error {
	m, text, err := p.named(args, "message of yours", sentHere)
	if err != nil {
		return err
	}
	if text == "" {
		return errors.New("say what it says from now on: /edit TEXT")
	}
	return p.do(func(ctx context.Context) error { return p.chat.Edit(ctx, m.ID, text) })
}

// react puts an emoji under a message.
func (p *plain) react(args string) error {
	m, emoji, err := p.named(args, "received message", receivedHere)
	if err != nil {
		return err
	}
	if emoji == "" {
		return errors.New("say which emoji: /react EMOJI; /react none takes it away")
	}
	if emoji == "none" {
		emoji = ""
	}
	return p.do(func(ctx context.Context) error { return p.chat.React(ctx, m.ID, emoji) })
}

// delete deletes a message here, or asks for the other copy too.
func (p *plain) delete(args string) error {
	m, rest, err := p.named(args, "message", nil)
	if err != nil {
		return err
	}
	both := strings.EqualFold(rest, "both")
	question := "Delete " + plainQuoted(p.body(m)) + " on this disk?"
	if both {
		question = "Delete " + plainQuoted(p.body(m)) + " on this disk, and ask the other side to delete its copy? It may have been read, or kept."
	} else if rest != "" {
		return errors.New("write /delete, or /delete both, with a number before both if you mean an earlier message")
	}
	if yes, err := p.confirm(question); !yes || err != nil {
		return err
	}
	return p.do(func(ctx context.Context) error { return p.chat.Delete(ctx, m.ID, both) })
}

// why says what became of a message.
func (p *plain) why(args string) error {
	m, _, err := p.named(args, "message of yours", sentHere)
	if err != nil {
		return err
	}
	w, err := awaited(p, callTimeout, func(ctx context.Context) (chat.Why, error) { return p.chat.Why(ctx, m.ID) })
	if err != nil {
		return err
	}
	p.say("Why " + plainQuoted(p.body(m)) + " is " + plainState(m) + ":")
	for _, h := range w.History {
		p.newDay(h.Time)
		p.say(h.Time.In(p.now().Location()).Format("15:04:05") + " " + string(h.State) + ": " + h.Detail)
	}
	for _, t := range w.Earlier {
		p.at(t.Time, "earlier text", "", t.Text)
	}
	if w.Next != "" {
		p.say(w.Next)
	}
	if w.NextTry != nil {
		p.say("Next try at " + p.clock(*w.NextTry) + ", by itself. /retry tries now.")
	}
	if w.Expires != nil {
		p.say("Relays may delete it after " + w.Expires.In(p.now().Location()).Format("2 January 2006") + ".")
	}
	return nil
}

// retry tries a message again now.
func (p *plain) retry(args string) error {
	m, _, err := p.named(args, "message of yours", sentHere)
	if err != nil {
		return err
	}
	if err := p.do(func(ctx context.Context) error { return p.chat.Retry(ctx, m.ID) }); err != nil {
		return err
	}
	p.say("It is being tried again.")
	return nil
}

// search writes the newest messages that hold a text.
func (p *plain) search(text string) error {
	if text == "" {
		return errors.New("say what to search for: /search TEXT")
	}
	const most = 50
	list, err := awaited(p, callTimeout, func(ctx context.Context) ([]chat.Message, error) { return p.chat.Search(ctx, text, "", most) })
	if err != nil {
		return err
	}
	if len(list) == 0 {
		p.say("Nothing was found.")
		return nil
	}
	p.sayf("Found: %d, the newest first. Numbers count in each conversation.", len(list))
	for _, m := range list {
		p.message(m, true, false)
	}
	if len(list) == most {
		p.say("There may be more.")
	}
	return nil
}
