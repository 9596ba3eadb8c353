package tui

import (
	"context"
	"errors"
	"fmt"
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
