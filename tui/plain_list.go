package tui

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"hearsay/chat"
)

// load reads who there is.
func (p *plain) load() error {
	ctx, cancel := p.within()
	defer cancel()
	contacts, err := p.chat.Contacts(ctx)
	if err != nil {
		return err
	}
	groups, err := p.chat.Groups(ctx)
	if err != nil {
		return err
	}
	list := people{contacts: contacts, groups: groups}
	p.entries = list.entries()
	if p.current != "" && p.selected() == nil {
		p.current = ""
		p.say("Whom you wrote to is gone: nobody is selected.")
	}
	return nil
}

func (p *plain) selected() *entry { return p.find(p.current) }

func (p *plain) find(id string) *entry {
	for i := range p.entries {
		if p.entries[i].id == id {
			return &p.entries[i]
		}
	}
	return nil
}

// nameOf returns the name of a contact as lines begin with it.
func (p *plain) nameOf(id string) string {
	if e := p.find(id); e != nil {
		return e.called()
	}
	return "somebody"
}

// lookup finds a conversation by its name: as it is, without regard to case, or by a
// beginning that no other has.
func (p *plain) lookup(name string) (*entry, error) {
	name = chat.SanitizeName(name)
	var alike, begins []*entry
	for i := range p.entries {
		switch e := &p.entries[i]; {
		case e.name == name:
			return e, nil
		case strings.EqualFold(e.name, name):
			alike = append(alike, e)
		case name != "" && strings.HasPrefix(strings.ToLower(e.name), strings.ToLower(name)):
			begins = append(begins, e)
		}
	}
	for _, list := range [][]*entry{alike, begins} {
		if len(list) == 1 {
			return list[0], nil
		}
	}
	if len(alike)+len(begins) > 1 {
		return nil, fmt.Errorf("more than one name begins with %s: write all of it", name)
	}
	return nil, fmt.Errorf("nobody is called %s; /contacts lists everybody", name)
}

// target is who a command is about: whom it names, else who is selected.
func (p *plain) target(name string) (*entry, error) {
	if name != "" {
		return p.lookup(name)
	}
	if e := p.selected(); e != nil {
		return e, nil
	}
	return nil, errors.New("nobody is selected: /to NAME selects somebody")
}

// shownUpto remembers that the messages of a conversation were seen, if a person
// sits there.
func (p *plain) shownUpto(conversation string, seq uint64) {
	if !p.cfg.Terminal || p.locked {
		return
	}
	ctx, cancel := p.within()
	defer cancel()
	if err := p.chat.MarkDisplayed(ctx, conversation, seq); err != nil {
		return // it is counted as unread again at the next start
	}
	if e := p.find(conversation); e != nil {
		e.unread = 0
		e.settings.Displayed = max(e.settings.Displayed, seq)
	}
}

// plainDays says a time after which messages disappear.
func plainDays(d time.Duration) string {
	switch n := int(d / (24 * time.Hour)); n {
	case 0:
		return "off"
	case 1:
		return "1 day"
	default:
		return fmt.Sprintf("%d days", n)
	}
}
