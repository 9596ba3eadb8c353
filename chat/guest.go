package chat

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"hearsay/chat/session"
	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// acceptInvite makes a contact of a link. The rest is the setup's.
func (t *turn) acceptInvite(text, name string) (Contact, error) {
	link, err := session.ParseLink(text, t.m.link.ID)
	if err != nil {
		return Contact{}, linkError(err)
	}
	for _, c := range t.book.contacts {
		if c.rec.Claim == nil {
			continue
		}
		if other, err := session.ParseLink(c.rec.Claim.Link, t.m.link.ID); err == nil && other.LID() == link.LID() {
			return Contact{}, &Error{Kind: KindExists, Text: "this invite was accepted already", Hint: "it is the contact " + c.rec.Name}
		}
	}
	for _, a := range t.book.addresses {
		if a.secret.Link().LID() == link.LID() {
			return Contact{}, &Error{Kind: KindRefused, Text: "this is your own address", Hint: "give it to people who shall be able to ask for contact"}
		}
	}
	for _, i := range t.book.invites {
		if i.secret.Link().LID() == link.LID() {
			return Contact{}, &Error{Kind: KindRefused, Text: "this is your own invite", Hint: "give it to the person whom you invite"}
		}
	}
	if name != "" && t.book.nameTaken(name, "") {
		return Contact{}, &Error{Kind: KindExists, Text: "there is a contact of that name", Hint: "choose another name"}
	}
	c := newContact(newID("c_"))
	c.rec = contactRecord{Name: t.book.freeName(name, ""), State: ContactInvited, Active: t.now.Unix(), Claim: &claimRecord{Link: text}}
	_, _ = rand.Read(c.rec.Claim.Reader[:])
	if link.Address {
		c.rec.Claim.Ask, c.rec.Via = &askRecord{}, &viaRecord{Asked: true}
		t.expectRotation(c)
	}
	if err := t.addContact(c); err != nil {
		return Contact{}, err
	}
	t.roster, t.met = true, true
	shape := shapeContact(c)
	t.publish(Event{Type: ContactAdded, Contact: &shape})
	return shape, nil
}

// linkError says what is wrong with an invite link.
func linkError(err error) *Error {
	switch {
	case errors.Is(err, session.ErrOtherNetwork):
		return &Error{Kind: KindWrongNetwork, Text: "the invite belongs to another network", Hint: "both sides must use the same network link"}
	case errors.Is(err, session.ErrLinkCheck):
		return &Error{Kind: KindRefused, Text: "the invite is mistyped", Hint: "a character is wrong or missing; copy it again"}
	case errors.Is(err, session.ErrExpired):
		return &Error{Kind: KindInviteExpired, Text: "the invite has expired", Hint: "ask for a new one"}
	default:
		return &Error{Kind: KindRefused, Text: "this is not an invite", Hint: "an invite begins with HEARSAY: and has 125 characters"}
	}
}

// claim asks the relays of an invite for the bundle, both before the request is
// sent, so that nobody else can take the invite unseen. A relay that cannot be
// reached holds this up for claimWait at most.
func (s *setup) claim(ctx context.Context, view *directory.View, link session.Link, claim *claimRecord) error {
	if link.Address {
		return s.claimAddress(ctx, view, link, claim)
	}
	var bundle *session.Bundle
	var problem error
	open, used, unknown := 0, 0, 0
	var bundles [2]*session.Bundle
	var errs [2]error
	var wg sync.WaitGroup
	for n, prefix := range link.Relays {
		if prefix == ([16]byte{}) {
			continue
		}
		open++
		relay, ok := view.ByPrefix(prefix)
		if !ok {
			errs[n] = errors.New("a relay of the invite is not listed")
			continue
		}
		wg.Go(func() { bundles[n], errs[n] = s.fetchBundle(ctx, relay.ID, n, link, claim.Reader) })
	}
	wg.Wait()
	for n, prefix := range link.Relays {
		if prefix == ([16]byte{}) {
			continue
		}
		b, err := bundles[n], errs[n]
		switch {
		case err == nil:
			open--
			bundle = b
		case mailboxRefusedWith(err, mailbox.CodeUsed):
			open--
			used++
		case errors.Is(err, session.ErrExpired) || errors.Is(err, session.ErrFormat) || errors.Is(err, session.ErrAuth):
			return s.failClaim(ctx, bundleError(err))
		case mailboxRefusedWith(err, mailbox.CodeAuth):
			unknown++
			problem = err
		default:
			problem = err
		}
	}
	if used > 0 && claim.Since == 0 {
		s.m.feed.Publish(Event{Type: ErrorEvent, Kind: KindInviteUsed, Detail: "somebody else opened the invite; ask who it was before you trust the answer"})
	}
	if bundle == nil && open == 0 {
		return s.failClaim(ctx, &Error{Kind: KindInviteUsed, Text: "the invite was used before, perhaps not by you"})
	}
	since := claim.Since
	if since == 0 {
		since = time.Now().Unix()
		if err := s.change(ctx, func(_ *turn, c *contact) error {
			if c.rec.Claim != nil {
				c.rec.Claim.Since = since
			}
			return nil
		}); err != nil {
			return err
		}
	}
	waited := time.Since(time.Unix(since, 0)) >= s.m.timing().claimWait
	switch {
	case bundle == nil && unknown > 0 && unknown == open && (waited || used > 0):
		return s.failClaim(ctx, &Error{Kind: KindInviteExpired, Text: "the relays do not know this invite: it has expired or was revoked"})
	case bundle == nil, open > 0 && !waited:
		return problem
	case open > 0:
		s.m.feed.Publish(Event{Type: ErrorEvent, Kind: KindNoNetwork, Detail: "one relay of the invite cannot be reached; going on with the other"})
	}
	return s.change(ctx, func(_ *turn, c *contact) error {
		if c.rec.Claim != nil {
			c.rec.Claim.Bundle = bundle.Append(nil)
		}
		return nil
	})
}

func bundleError(err error) *Error {
	if errors.Is(err, session.ErrExpired) {
		return linkError(err)
	}
	return &Error{Kind: KindRefused, Text: "the relay gave something else than the invite", Hint: "ask for a new one"}
}

func (s *setup) fetchBundle(ctx context.Context, relay directory.RelayID, n int, link session.Link, reader [32]byte) (*session.Bundle, error) {
	isolation := outIsolation(s.contact, n) // the request goes to the queue behind the link
	p, err := s.m.openPost(ctx, circuit.Request{Front: true, Purpose: circuit.Send, Destination: relay, Isolation: isolation})
	if err != nil {
		return nil, err
	}
	life := s.m.timing().openMail
	ctx, cancel := context.WithTimeout(ctx, life)
	defer cancel()
	blob, _, err := p.GetLink(ctx, link.LID(), reader)
	if err != nil {
		p.Close()
		return nil, err
	}
	s.m.left.leave(isolation, p, life)
	b, err := link.OpenBlob(s.m.snapshotTime(time.Now()), s.m.link.ID, blob[:])
	if err != nil {
		return nil, err
	}
	return &b, nil
}

// failClaim ends an invite that cannot work: its messages fail.
func (s *setup) failClaim(ctx context.Context, reason *Error) error {
	return s.change(ctx, func(t *turn, c *contact) error {
		if c.rec.Claim == nil || c.rec.Claim.Failed != "" {
			return nil
		}
		c.rec.Claim.Failed = reason.Kind
		t.discard(c.rec.Own[:]...) // nobody was told of them
		c.rec.Own = [2]queueRecord{}
		t.publish(Event{Type: ErrorEvent, Kind: reason.Kind, Detail: c.rec.Name + ": " + reason.Text})
		for len(c.waiting) > 0 {
			w := c.waiting[0]
			if err := t.unwait(c); err != nil {
				return err
			}
			if w.group != "" {
				if err := t.failGroupCopy(c, w.group, w.number, reason.Text); err != nil {
					return err
				}
			}
			if w.number == 0 || w.group != "" {
				continue
			}
			if err := t.finalize(c, w.number, finalFailed, reason.Text); err != nil {
				return err
			}
		}
		return nil
	})
}

// request makes the session and puts the request into the outbox, in one
// transaction, together with the texts that may go with it.
func (s *setup) request(ctx context.Context) error {
	return s.change(ctx, func(t *turn, c *contact) error {
		if c.session != nil || c.rec.Claim == nil || c.rec.Claim.Bundle == nil {
			return nil
		}
		bundle, err := session.ParseBundle(c.rec.Claim.Bundle)
		if err != nil {
			return err
		}
		own := &c.rec.Own
		if !own[0].Made {
			own[0], own[1] = own[1], own[0] // the first slot of a request is never empty
		}
		if !own[0].Made {
			return nil
		}
		if bundle.IsAddress() {
			return t.ask(c, bundle)
		}
		queues := [2]session.QAddr{own[0].addr(), own[1].addr()}
		r, err := bundle.Request(rand.Reader, t.m.snapshotTime(t.now), session.RequestConfig{Config: session.Config{Lab: t.m.isLab()}, Queues: queues})
		if err != nil {
			return &Error{Kind: KindRefused, Text: err.Error()}
		}
		chunks, err := session.SplitContainer(r.Container)
		if err != nil {
			return err
		}
		c.session = r.State
		own[0].InUse, own[1].InUse = own[0].Made, own[1].Made
		for n, a := range bundle.Queues {
			if !a.IsZero() {
				c.rec.Peer[n].Addr = a.Append(nil)
			}
		}
		if err := c.address(); err != nil {
			return err
		}
		c.rec.Claim.Sent = t.now.Unix()
		for n, inner := range chunks {
			o := &outgoing{seq: requestSeq + uint64(n), rec: outRecord{Inner: inner, Sealed: t.now.Unix()}}
			if err := t.putOutgoing(c, o); err != nil {
				return err
			}
		}
		t.roster = true
		return t.fill(c)
	})
}

// repeatRequest sends the request again, the same bytes, while nobody answers.
func (t *turn) repeatRequest(c *contact) error {
	claim := c.rec.Claim
	if claim == nil || claim.Ask != nil || claim.Sent == 0 || claim.Repeats >= len(t.m.timing().repeats) ||
		t.now.Sub(time.Unix(claim.Sent, 0)) < t.m.timing().repeats[claim.Repeats] {
		return nil
	}
	claim.Repeats++
	t.touch(c)
	for n := range uint64(4) {
		o := c.out[requestSeq+n]
		if o == nil {
			continue
		}
		o.rec.Receipts, o.got = [2][]byte{}, [2]*custody{}
		if err := t.putOutgoing(c, o); err != nil {
			return err
		}
	}
	return nil
}
