package tui

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"hearsay/chat"
)

// plainLink is an invite or an address as /invites numbered it.
type plainLink struct {
	id      string
	address bool
}

// invite makes a one-time invite and writes its link.
func (p *plain) invite(name string) error {
	if p.status.Cover != "" && p.status.Cover != "off" {
		p.say("Asking relays to keep the invite. Behind cover traffic that may take some minutes.")
	} else {
		p.say("Asking relays to keep the invite.")
	}
	inv, err := awaited(p, 0, func(ctx context.Context) (chat.Invite, error) { return p.chat.CreateInvite(ctx, name) })
	if err != nil {
		return err
	}
	forWhom := ""
	if inv.Name != "" {
		forWhom = " for " + spokenName(chat.SanitizeName(inv.Name))
	}
	p.sayf("Invite%s, for one person, expires in %s. Whoever gets it first can answer in their name: give it over a channel you trust.", forWhom, untilText(inv.Expires.Sub(p.now())))
	p.link(inv.Link)
	return nil
}

// invites lists invites and addresses, revokes one, or makes an address.
func (p *plain) invites(args string) error {
	verb, rest, _ := strings.Cut(args, " ")
	rest = strings.TrimSpace(rest)
	switch verb {
	case "":
		return p.listInvites()
	case "address":
		a, err := awaited(p, 0, func(ctx context.Context) (chat.Address, error) { return p.chat.CreateAddress(ctx, rest) })
		if err != nil {
			return err
		}
		p.say("An address, which any number of people may use to ask for contact. /invites says when it can be used, /requests who asks.")
		p.link(a.Link)
		return nil
	case "revoke":
		n, err := numbered(rest, len(p.links), "/invites")
		if err != nil {
			return err
		}
		l := p.links[n]
		if yes, err := p.confirm("Revoke number " + rest + "? Its link works no more."); !yes || err != nil {
			return err
		}
		err = p.do(func(ctx context.Context) error {
			if l.address {
				return p.chat.RevokeAddress(ctx, l.id)
			}
			return p.chat.RevokeInvite(ctx, l.id)
		})
		if err == nil {
			p.say("Revoked.")
		}
		return err
	}
	return errors.New("write /invites, /invites revoke N, or /invites address LABEL")
}

func (p *plain) listInvites() error {
	ctx, cancel := p.within()
	defer cancel()
	invites, err := p.chat.Invites(ctx)
	if err != nil {
		return err
	}
	addresses, err := p.chat.Addresses(ctx)
	if err != nil {
		return err
	}
	p.links = nil
	p.sayf("Open invites: %d. Addresses: %d.", len(invites), len(addresses))
	for _, i := range invites {
		p.links = append(p.links, plainLink{id: i.ID})
		what := "invite"
		if i.Name != "" {
			what += " for " + spokenName(chat.SanitizeName(i.Name))
		}
		p.sayf("%d. %s: %s, opened %d times, expires in %s", len(p.links), what, i.State, i.Opened, untilText(i.Expires.Sub(p.now())))
		p.link(i.Link)
	}
	for _, a := range addresses {
		p.links = append(p.links, plainLink{id: a.ID, address: true})
		what := "address"
		if a.Label != "" {
			what += " " + spokenName(chat.SanitizeName(a.Label))
		}
		p.sayf("%d. %s: %s", len(p.links), what, a.State)
		p.link(a.Link)
	}
	return nil
}

// numbered reads a number of a list that was written before.
func numbered(text string, n int, list string) (int, error) {
	i, err := strconv.Atoi(text)
	if err != nil || i < 1 || i > n {
		if n == 0 {
			return 0, fmt.Errorf("write %s first: it numbers them", list)
		}
		return 0, fmt.Errorf("give a number, 1 to %d, as %s writes it", n, list)
	}
	return i - 1, nil
}

// acceptCommand runs /accept LINK NAME.
func (p *plain) acceptCommand(args string) error {
	link, name, _ := strings.Cut(args, " ")
	if !isInvite(link) {
		return errors.New("give the whole link, from HEARSAY: to its end, and a name: /accept LINK NAME")
	}
	return p.accept(readLink(link), strings.TrimSpace(name))
}

// accept makes a contact of a link, asking what is missing.
func (p *plain) accept(link, name string) error {
	if name == "" {
		var err error
		if name, err = p.ask("This is the link of a contact. Type a name for them, which stays on this disk, or nothing to drop the link."); err != nil {
			return err
		}
		if name == "" || p.locked {
			p.say("Dropped.")
			return nil
		}
	}
	as, text := "", ""
	if chat.IsAddressLink(link) && p.cfg.Terminal {
		var err error
		if as, err = p.ask("This is an address: its owner decides whether to answer. Type the name that you give yourself, or nothing."); err != nil {
			return err
		}
		if text, err = p.ask("Type a first text, which the owner sees with the request, or nothing."); err != nil {
			return err
		}
		if p.locked {
			return nil
		}
	}
	c, err := awaited(p, callTimeout, func(ctx context.Context) (chat.Contact, error) {
		if as != "" || text != "" {
			return p.chat.AskContact(ctx, link, name, as, text)
		}
		return p.chat.AcceptInvite(ctx, link, name)
	})
	if err != nil {
		p.fail("Not added: " + errorText(err) + ".")
		return nil
	}
	if err := p.load(); err != nil {
		return err
	}
	if e := p.find(c.ID); e != nil {
		p.choose(e)
	}
	return nil
}

// requests lists who asks to be a contact, or answers one.
func (p *plain) requests(args string) error {
	verb, rest, _ := strings.Cut(args, " ")
	if verb == "" {
		ctx, cancel := p.within()
		defer cancel()
		list, err := p.chat.Requests(ctx)
		if err != nil {
			return err
		}
		p.listed = list
		p.sayf("Requests: %d. Nothing is sent back before you accept.", len(list))
		for i, r := range list {
			whose := "a stranger"
			if name := chat.SanitizeName(r.Name); name != "" {
				whose += " who gives the name " + plainQuoted(name)
			}
			p.newDay(r.Time)
			head := fmt.Sprintf("%d. %s %s", i+1, p.clock(r.Time), whose)
			p.write(p.texts(head, "the stranger", r.Text, true)...)
		}
		if len(list) > 0 {
			p.say("/requests accept N NAME takes one, /requests reject N drops it, /requests block N drops what comes from them later too.")
		}
		return nil
	}
	number, name, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, err := numbered(number, len(p.listed), "/requests")
	if err != nil {
		return err
	}
	r := p.listed[n]
	switch verb {
	case "accept":
		if name = strings.TrimSpace(name); name == "" {
			return errors.New("give them a name: /requests accept N NAME")
		}
		c, err := awaited(p, callTimeout, func(ctx context.Context) (chat.Contact, error) { return p.chat.AcceptRequest(ctx, r.ID, name) })
		if err != nil {
			return err
		}
		if err := p.load(); err != nil {
			return err
		}
		p.listed = nil
		if e := p.find(c.ID); e != nil {
			p.choose(e)
		}
		return nil
	case "reject", "block":
		if err := p.do(func(ctx context.Context) error { return p.chat.RejectRequest(ctx, r.ID, verb == "block") }); err != nil {
			return err
		}
		p.listed = nil
		p.say("Dropped. Nothing was sent back.")
		return nil
	}
	return errors.New("write /requests, or accept, reject or block with a number")
}
