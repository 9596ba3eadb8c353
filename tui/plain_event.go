package tui

import (
	"fmt"

	"hearsay/chat"
)

// event tells of one event. It returns an error only if the mode must end.
func (p *plain) event(ev chat.Event) error {
	switch ev.Type {
	case chat.ProfileLocked:
		p.hide()
		return nil
	case chat.ProfileUnlocked:
		return p.gone(p.show())
	}
	if p.locked {
		return nil
	}
	switch ev.Type {
	case chat.MessageReceived:
		if ev.Message != nil {
			return p.received(*ev.Message)
		}
	case chat.MessageStateChanged:
		if ev.Message != nil {
			p.stateChanged(ev)
		}
	case chat.MessageChanged:
		if ev.Message != nil {
			p.changed(*ev.Message)
		}
	case chat.ContactAdded, chat.ContactStateChanged:
		if ev.Contact != nil {
			return p.contactChanged(*ev.Contact)
		}
	case chat.ContactRemoved, chat.ConversationChanged, chat.GroupChanged:
		return p.gone(p.load())
	case chat.InviteUsed:
		if err := p.load(); err != nil {
			return p.gone(err)
		}
		if ev.Contact != nil {
			p.say("Your invite was used: " + p.nameOf(ev.Contact.ID) + " is your contact now. /to NAME writes to them, /verify NAME compares keys.")
		}
	case chat.RequestReceived:
		p.say("A stranger asks to be your contact. /requests shows who; nothing is sent back before you accept.")
	case chat.FileProgress:
		if ev.File != nil {
			p.fileChanged(*ev.File)
		}
	case chat.ContactWords:
		if ev.Contact != nil {
			p.words(*ev.Contact, ev.Words)
		}
	case chat.GuardChanged:
		p.note("Another guard: " + ev.Detail)
	case chat.ErrorEvent:
		p.say("Warning: " + ev.Detail)
	case chat.Resync:
		p.say("Events were lost. /contacts shows what is unread, /history what came.")
		return p.gone(p.load())
	}
	return nil
}

// gone says an error of reading the lists anew, which a lock in between causes too.
func (p *plain) gone(err error) error {
	if err != nil && p.ctx.Err() == nil && chat.KindOf(err) != chat.KindLocked {
		p.say("The list of contacts could not be read: " + errorText(err) + ".")
	}
	return nil
}

// received tells of a message that came.
func (p *plain) received(m chat.Message) error {
	e := p.find(m.Contact)
	if e == nil || m.Author != "" && p.find(m.Author) == nil {
		if err := p.load(); err != nil {
			return p.gone(err)
		}
		e = p.find(m.Contact)
	}
	if m.Kind != chat.KindMessageNotice && m.Direction == chat.In && p.answers > 0 {
		p.answers--
	}
	if e == nil || e.settings.Muted && e.id != p.current {
		if e != nil {
			e.unread++
		}
		return nil
	}
	if p.cfg.Quotes && m.Kind == chat.KindMessageNotice {
		return nil
	}
	p.message(m, false, false)
	p.shownUpto(m.Contact, m.Seq)
	return nil
}

// stateChanged tells of the state of a message that was sent, here or elsewhere.
func (p *plain) stateChanged(ev chat.Event) {
	m := *ev.Message
	_, ours := p.waiting[m.ID]
	if p.sending && !ours {
		p.early = append(p.early, ev)
		return
	}
	if m.Direction != chat.Out {
		return
	}
	p.state(m)
	switch {
	case m.State == chat.Failed:
		if ev.Detail != "" {
			p.write(plainMargin + "It failed: " + ev.Detail + ".")
		}
		if ours {
			p.failed++
			p.answers = max(0, p.answers-1)
			delete(p.waiting, m.ID)
		}
	case m.State == chat.Delivered:
		delete(p.waiting, m.ID)
	}
}

// changed tells what a message says after it was edited, deleted or reacted to.
func (p *plain) changed(m chat.Message) {
	e := p.find(m.Contact)
	if e == nil || m.Deleted == chat.DeletedExpired {
		return
	}
	before, known := p.recent[m.ID]
	text := p.body(m)
	if m.Deleted != "" && known {
		text += " It began " + plainQuoted(before)
	}
	p.at(p.now(), p.whose(m), ", a message changed"+p.about(m), text)
	p.remember(m)
}

// contactChanged tells what a contact is now, if that is news.
func (p *plain) contactChanged(c chat.Contact) error {
	old, invited := "", false
	if e := p.find(c.ID); e != nil && e.contact != nil {
		old, invited = plainContact(*e.contact), e.contact.State == chat.ContactInvited
	}
	if err := p.load(); err != nil {
		return p.gone(err)
	}
	e := p.find(c.ID)
	if e == nil || e.contact == nil {
		return nil
	}
	now := plainContact(*e.contact)
	if now == old {
		return nil
	}
	if old == "" {
		p.note(fmt.Sprintf("New contact: %s, %s.", e.called(), now))
		return nil
	}
	if invited && e.contact.State == chat.ContactActive {
		p.note(fmt.Sprintf("%s has answered: %s.", e.called(), now))
		return nil
	}
	p.note(fmt.Sprintf("%s is now: %s.", e.called(), now))
	return nil
}

// plainContact says what a contact is.
func plainContact(c chat.Contact) string {
	verified := "not verified"
	if c.Verified {
		verified = "verified"
	}
	switch {
	case c.ID == chat.NotesID:
		return "your own notes, which never leave this disk"
	case c.Problem != "" && c.State == chat.ContactInvited:
		return "invite failed, " + c.Problem
	case c.State == chat.ContactBlocked:
		return "blocked, nothing is sent or shown"
	case c.Problem != "":
		return c.Problem + ", what you write does not reach them any more"
	case c.State == chat.ContactInvited && c.Asked != "":
		return "asked, " + c.Asked
	case c.State == chat.ContactInvited:
		return "invited, has not answered yet; what you write waits"
	case c.State == chat.ContactChanged:
		return "key changed, nothing is sent until you compare the safety number with /verify"
	}
	return verified
}

// groupText says what a group is.
func (p *plain) groupText(g chat.Group) string {
	text := fmt.Sprintf("group of %d", len(g.Members)+1)
	if g.Pending > 0 {
		text += fmt.Sprintf(" and %d who cannot be reached yet", g.Pending)
	}
	switch g.State {
	case chat.GroupActive:
	case "left":
		text += ", you left it"
	case "removed":
		text += ", you were removed"
	default:
		text += ", " + g.State
	}
	if g.Admin {
		text += ", you administer it"
	} else if g.Administrator != "" {
		text += ", " + p.nameOf(g.Administrator) + " administers it"
	}
	if g.Warning != "" {
		text += ", warning: " + g.Warning
	}
	return text
}
