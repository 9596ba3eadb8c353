package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"hearsay/chat"
)

// contact says what is known of a contact or group.
func (p *plain) contact(name string) error {
	e, err := p.target(name)
	if err != nil {
		return err
	}
	s := e.settings
	var lines []string
	if g := e.group; g != nil {
		lines = append(lines, e.called()+": "+p.groupText(*g))
		for _, id := range g.Members {
			lines = append(lines, "member: "+p.nameOf(id))
		}
	} else {
		c := e.contact
		lines = append(lines, e.called()+": "+plainContact(*c))
		if c.SafetyNumber != "" {
			lines = append(lines, "safety number: "+c.SafetyNumber)
		}
		if c.Introduced != "" {
			lines = append(lines, "introduced by "+spokenName(chat.SanitizeName(c.Introduced))+" for a group")
		}
		if path, ok := p.chat.Path(e.id); ok {
			lines = append(lines, "last path: "+plainPath(path))
		}
	}
	lines = append(lines,
		"messages disappear: "+plainDays(s.DisappearAfter), "muted: "+yesNo(s.Muted), "pinned: "+yesNo(s.Pinned), "archived: "+yesNo(s.Archived))
	p.write(lines...)
	return nil
}

// plainPath says a circuit in words.
func plainPath(path chat.Path) string {
	s := "you, " + strings.Join(path.Relays, ", ") + ", mailbox relay " + path.Mailbox
	if path.RTT > 0 {
		s += fmt.Sprintf(", %d ms", max(1, path.RTT.Milliseconds()))
	}
	if !path.Open {
		s += ", closed since"
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// verify compares the keys of a contact: by the number, by words, or by saying
// that they differ.
func (p *plain) verify(name string) error {
	e, err := p.target(name)
	if err != nil {
		return err
	}
	if err := p.load(); err != nil {
		return err
	}
	if e, err = p.target(e.name); err != nil {
		return err
	}
	if e.contact == nil || e.isNotes() {
		return errors.New("only contacts have a safety number")
	}
	c := e.contact
	if c.SafetyNumber == "" {
		return errors.New("there is nothing to compare yet: wait until " + e.called() + " has answered")
	}
	p.write(
		"Compare over a channel you trust. Both of you must see the same safety number:",
		c.SafetyNumber,
		"Type the number that "+e.called()+" reads to you, or yes if you compared it. Type words to compare four words in its place, and then the words. Type differ if they are not the same, or nothing for later.",
	)
	for {
		answer, err := p.ask("Safety number of " + e.called() + ":")
		if err != nil {
			return err
		}
		if p.locked {
			return nil
		}
		id, number := e.id, c.SafetyNumber
		switch word := strings.ToLower(answer); {
		case word == "":
			p.say("Not compared.")
			return nil
		case word == "words":
			if err := p.do(func(ctx context.Context) error { return p.chat.CompareWords(ctx, id) }); err != nil {
				return err
			}
			p.say("Asked. The words are written here as soon as both sides have them; then type /verify and the words.")
			return nil
		case word == "differ":
			return p.differ(e)
		case word == "yes":
			err = p.do(func(ctx context.Context) error { return p.chat.VerifyContact(ctx, id, number) })
		case strings.Trim(word, "0123456789 ") == "":
			err = p.do(func(ctx context.Context) error { return p.chat.VerifyContact(ctx, id, answer) })
		default:
			err = p.do(func(ctx context.Context) error { return p.chat.VerifyWords(ctx, id, answer) })
		}
		if err == nil {
			p.say("Verified.")
			return p.load()
		}
		p.fail("Not verified: " + errorText(err) + ".")
		if p.ended {
			return nil
		}
	}
}

// differ ends what can no longer be trusted.
func (p *plain) differ(e *entry) error {
	id, name := e.id, e.called()
	if err := p.do(func(ctx context.Context) error { return p.chat.BlockContact(ctx, id) }); err != nil {
		return err
	}
	p.say("Blocked: nothing is sent to " + name + ", and what comes is dropped. If both of you read the numbers correctly, somebody is between you. Meet another way and make a new invite.")
	if err := p.load(); err != nil {
		return err
	}
	yes, err := p.confirm("Remove " + name + " and all messages with them?")
	if err != nil || !yes {
		return err
	}
	return p.removeContact(id, name)
}

// words writes the words of a comparison.
func (p *plain) words(c chat.Contact, words string) {
	p.say("Words to compare with " + p.nameOf(c.ID) + ": " + words)
	p.say("Read them to each other over a channel you trust. If they are the same on both sides, type /verify with the name, and then the words; if not, /verify and then differ.")
}

func (p *plain) rename(name string) error {
	e, err := p.target("")
	if err != nil {
		return err
	}
	if name == "" {
		return errors.New("say the new name: /rename NAME")
	}
	id := e.id
	if e.group != nil {
		err = p.do(func(ctx context.Context) error { return p.chat.RenameGroup(ctx, id, name) })
	} else {
		err = p.do(func(ctx context.Context) error { return p.chat.RenameContact(ctx, id, name) })
	}
	if err != nil {
		return err
	}
	if err := p.load(); err != nil {
		return err
	}
	if e := p.find(id); e != nil {
		p.say("The name is " + e.called() + " now.")
	}
	return nil
}

func (p *plain) mute(string) error {
	return p.set(func(s chat.Conversation) (chat.ConversationChange, string) {
		on := !s.Muted
		return chat.ConversationChange{Muted: &on}, "muted: " + yesNo(on)
	})
}

func (p *plain) pin(string) error {
	return p.set(func(s chat.Conversation) (chat.ConversationChange, string) {
		on := !s.Pinned
		return chat.ConversationChange{Pinned: &on}, "pinned: " + yesNo(on)
	})
}

func (p *plain) archive(string) error {
	return p.set(func(s chat.Conversation) (chat.ConversationChange, string) {
		on := !s.Archived
		return chat.ConversationChange{Archived: &on}, "archived: " + yesNo(on)
	})
}

func (p *plain) disappear(days string) error {
	n, ok := map[string]int{"off": 0, "1": 1, "7": 7, "28": 28}[days]
	if !ok {
		return errors.New("say off, 1, 7 or 28 days: /disappear 7")
	}
	d := time.Duration(n) * 24 * time.Hour
	return p.set(func(chat.Conversation) (chat.ConversationChange, string) {
		return chat.ConversationChange{DisappearAfter: &d}, "messages from now on disappear: " + plainDays(d) + ", on both sides, and both see who set it"
	})
}

// set changes a setting of the conversation that is selected.
func (p *plain) set(change func(s chat.Conversation) (chat.ConversationChange, string)) error {
	e, err := p.target("")
	if err != nil {
		return err
	}
	id := e.id
	c, words := change(e.settings)
	if err := p.do(func(ctx context.Context) error { return p.chat.SetConversation(ctx, id, c) }); err != nil {
		return err
	}
	if err := p.load(); err != nil {
		return err
	}
	p.say(p.nameOf(id) + ", " + words + ".")
	return nil
}

func (p *plain) block(name string) error {
	e, err := p.target(name)
	if err != nil {
		return err
	}
	if e.contact == nil || e.isNotes() {
		return errors.New("only contacts can be blocked")
	}
	id, called := e.id, e.called()
	if e.contact.State == chat.ContactBlocked {
		if err := p.do(func(ctx context.Context) error { return p.chat.UnblockContact(ctx, id) }); err != nil {
			return err
		}
		p.say(called + " is no longer blocked.")
		return p.load()
	}
	if yes, err := p.confirm("Block " + called + "? Nothing is sent to them, what comes is dropped, and they are not told."); !yes || err != nil {
		return err
	}
	if err := p.do(func(ctx context.Context) error { return p.chat.BlockContact(ctx, id) }); err != nil {
		return err
	}
	p.say(called + " is blocked.")
	return p.load()
}

func (p *plain) remove(name string) error {
	e, err := p.target(name)
	if err != nil {
		return err
	}
	if e.contact == nil || e.isNotes() {
		return errors.New("only contacts can be removed; /group leave leaves a group")
	}
	id, called := e.id, e.called()
	if yes, err := p.confirm("Remove " + called + " and all messages with them from this disk? It cannot be undone."); !yes || err != nil {
		return err
	}
	return p.removeContact(id, called)
}

func (p *plain) removeContact(id, called string) error {
	if err := p.do(func(ctx context.Context) error { return p.chat.RemoveContact(ctx, id) }); err != nil {
		return err
	}
	p.say(called + " was removed.")
	return p.load()
}

func (p *plain) export(path string) error {
	e, err := p.target("")
	if err != nil {
		return err
	}
	if path == "" {
		return errors.New("say where to: /export PATH")
	}
	id := e.id
	if yes, err := p.confirm("Write the messages with " + e.called() + " to this file, where everybody who may read it can? They are not encrypted there."); !yes || err != nil {
		return err
	}
	file, err := p.local(path) // a daemon has another working directory
	if err != nil {
		return err
	}
	n, err := awaited(p, 0, func(ctx context.Context) (int, error) { return p.chat.Export(ctx, id, file.Path) })
	if err != nil {
		return err
	}
	p.sayf("Messages written: %d.", n)
	return nil
}
