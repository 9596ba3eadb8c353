package chat

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"hearsay/chat/session"
	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// askRecord is the guest's side of a request to an address.
type askRecord struct {
	Name   string   `cbor:"1,keyasint,omitempty"` // as the guest calls itself there
	Text   string   `cbor:"2,keyasint,omitempty"`
	Chunks [][]byte `cbor:"3,keyasint,omitempty"` // inner blocks of the request
	Times  [2]int   `cbor:"4,keyasint"`           // how often the queue took the request
	Gone   [2]bool  `cbor:"6,keyasint"`           // the relay does not know the queue
	Anew   int      `cbor:"7,keyasint,omitempty"` // how often the request was given up for another one
	Since  int64    `cbor:"8,keyasint,omitempty"` // Unix seconds: no bundle is fetched before
}

// words says how far the request is. Only a relay that took it counts.
func (a *askRecord) words() string {
	taken := 0
	for _, n := range a.Times {
		if n > 0 {
			taken++
		}
	}
	switch {
	case len(a.Chunks) == 0:
		return "the address is being looked up"
	case taken == 0:
		return "this computer works for the request, which no relay has taken yet"
	case taken == 1:
		return "a relay took the request; its owner decides"
	}
	return "two relays took the request; its owner decides"
}

// AskContact is AcceptInvite with what the owner of an address is shown: a name
// of at most 63 bytes and a text of at most 510, which may both be empty. Nobody
// but the owner can read them. With the link of an invite both have to be empty:
// say it in a message.
func (m *Messenger) AskContact(ctx context.Context, link, name, as, text string) (Contact, error) {
	name, refused := checkName(name)
	if refused != nil {
		return Contact{}, refused
	}
	as, text = SanitizeName(as), Sanitize(text)
	switch {
	case len(as) > session.MaxName:
		return Contact{}, &Error{Kind: KindTooLarge, Text: "the name is too long", Hint: "63 bytes at most"}
	case len(text) > session.MaxHello:
		return Contact{}, &Error{Kind: KindTooLarge, Text: "the text is too long", Hint: "510 bytes at most"}
	}
	var c Contact
	err := m.do(ctx, func(t *turn) (err error) {
		c, err = t.askContact(strings.TrimSpace(link), name, askRecord{Name: as, Text: text})
		return err
	})
	return c, err
}

func (t *turn) askContact(text, name string, ask askRecord) (Contact, error) {
	if link, err := session.ParseLink(text, t.m.link.ID); err == nil && !link.Address && (ask.Name != "" || ask.Text != "") {
		return Contact{}, &Error{Kind: KindRefused, Text: "this is an invite, which needs no name and no text", Hint: "accept it, and say it in a message"}
	}
	shape, err := t.acceptInvite(text, name)
	if err != nil {
		return Contact{}, err
	}
	if a := t.book.contacts[shape.ID].rec.Claim.Ask; a != nil {
		*a = ask
	}
	return shape, nil
}

// claimAddress fetches the bundle of an address: from the relays that the link
// names, else from those that hold its record. Nobody is told that it was
// fetched, and nothing is bound to us.
func (s *setup) claimAddress(ctx context.Context, view *directory.View, link session.Link, claim *claimRecord) error {
	if s.m.views.NoNewGuards() { // directory/SPEC.md §25.3
		return errors.New("no new contact is looked up while signers contradict each other")
	}
	if claim.Ask != nil && time.Now().Before(time.Unix(claim.Ask.Since, 0)) {
		return errors.New("the queues of the address were gone a moment ago")
	}
	best, unknown, problem := s.linkedBundles(ctx, view, link)
	if best == nil {
		var found error
		if best, found = s.publicBundle(ctx, view, link); found != nil {
			problem, unknown = found, false
		}
	}
	if best != nil {
		return s.change(ctx, func(_ *turn, c *contact) error {
			if c.rec.Claim != nil {
				c.rec.Claim.Bundle = best.Append(nil)
			}
			return nil
		})
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
	if unknown && time.Since(time.Unix(since, 0)) >= s.m.timing().claimWait {
		return s.failClaim(ctx, &Error{Kind: KindInviteExpired, Text: "the address is not known any more: it was revoked, or its owner was not there for weeks"})
	}
	if problem == nil {
		problem = errors.New("nobody knows the address now")
	}
	return problem
}

// linkedBundles asks the relays of the link and returns the newest bundle.
// unknown: whoever could be asked knew no good one.
func (s *setup) linkedBundles(ctx context.Context, view *directory.View, link session.Link) (best *session.Bundle, unknown bool, problem error) {
	var bundles [2]*session.Bundle
	var errs [2]error
	var wg sync.WaitGroup
	for n, prefix := range link.Relays {
		if relay, ok := view.ByPrefix(prefix); ok && prefix != ([16]byte{}) {
			wg.Go(func() { bundles[n], errs[n] = s.fetchBundle(ctx, relay.ID, n, link, [32]byte{}) })
		}
	}
	wg.Wait()
	unknown = true
	for n := range bundles {
		if b := bundles[n]; b != nil && (best == nil || b.Seq() > best.Seq()) {
			best = b
		}
		if err := errs[n]; err != nil && !badBundle(err) {
			unknown, problem = false, err
		}
	}
	return best, unknown, problem
}

// badBundle tells whether a relay was reached and had no bundle that may be used.
func badBundle(err error) bool {
	return mailboxRefusedWith(err, mailbox.CodeAuth) || errors.Is(err, session.ErrExpired) ||
		errors.Is(err, session.ErrFormat) || errors.Is(err, session.ErrAuth)
}

// publicBundle looks for the record of an address where the directory places it,
// in this period and then in those before it. It returns the newest bundle found
// in the first period that has one, nil if nobody had any, and an error if too
// few could be asked to know.
func (s *setup) publicBundle(ctx context.Context, view *directory.View, link session.Link) (*session.Bundle, error) {
	var failed error
	for _, period := range view.Periods() {
		key, err := link.Blinded(s.m.link.ID, period)
		if err != nil {
			return nil, err
		}
		ranks, err := view.Placement(period, key)
		if err != nil {
			return nil, err
		}
		order := directory.ReadingOrder(ranks, draw)
		asked := 0
		for at := 0; at < len(order); at += directory.PlacementReads {
			best, answered := s.askPlaces(ctx, order[at:min(at+directory.PlacementReads, len(order))], link, key, period)
			if best != nil {
				return best, nil
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			asked += answered
		}
		if asked < min(len(order), directory.PlacementReads) {
			failed = errors.New("too few relays of the directory can be reached")
		}
	}
	return nil, failed
}

// askPlaces asks some relays for a record, at the same time, and returns the
// newest bundle, and how many answered at all.
func (s *setup) askPlaces(ctx context.Context, relays []directory.RelayID, link session.Link, key directory.BlindedKey, period uint64) (best *session.Bundle, answered int) {
	bundles := make([]*session.Bundle, len(relays))
	errs := make([]error, len(relays))
	var wg sync.WaitGroup
	for i, relay := range relays {
		wg.Go(func() {
			r, err := s.fetchRecord(ctx, relay, key, period)
			if err == nil {
				var b session.Bundle
				if b, err = link.OpenRecord(s.m.snapshotTime(time.Now()), s.m.link.ID, r); err == nil {
					bundles[i] = &b
				}
			}
			errs[i] = err
		})
	}
	wg.Wait()
	for i, b := range bundles {
		if errs[i] == nil || badBundle(errs[i]) {
			answered++
		}
		if b != nil && (best == nil || b.Seq() > best.Seq()) {
			best = b
		}
	}
	return best, answered
}

func (s *setup) fetchRecord(ctx context.Context, relay directory.RelayID, key directory.BlindedKey, period uint64) (*directory.AddressRecord, error) {
	p, err := s.m.openPost(ctx, circuit.Request{Front: true, Purpose: circuit.Send, Destination: relay, Isolation: fmt.Sprintf("find/%s/%x", s.contact, relay[:8])})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(ctx, s.m.timing().openMail)
	defer cancel()
	return p.GetRecord(ctx, key, period)
}

// asker brings a request to one queue of an address, and again after some time
// while nobody answers.
type asker struct {
	m       *Messenger
	contact string
	number  int
	fails   int
}

// askWorkers adds what sends requests to addresses to what should run.
func (t *turn) askWorkers(w *wanted) {
	for _, c := range t.book.contacts {
		if c.rec.Claim == nil || c.rec.Claim.Ask == nil || len(c.rec.Claim.Ask.Chunks) == 0 || c.rec.State != ContactInvited {
			continue
		}
		for n := range 2 {
			w.others[fmt.Sprintf("ask/%s/%d", c.id, n)] = (&asker{m: t.m, contact: c.id, number: n}).Run
		}
	}
}

// askPlan is what an asker has to do.
type askPlan struct {
	addr   session.QAddr
	bits   int // of work, at least
	chunks [][]byte
	times  int
	due    time.Time
}

func (a *asker) plan(ctx context.Context) (p askPlan, ok bool) {
	err := a.m.look(ctx, func(t *turn) error {
		c := t.book.contacts[a.contact]
		if c == nil || c.rec.Claim == nil || c.rec.Claim.Ask == nil || len(c.rec.Claim.Ask.Chunks) == 0 || c.rec.State != ContactInvited {
			return nil
		}
		ask := c.rec.Claim.Ask
		bundle, err := session.ParseBundle(c.rec.Claim.Bundle)
		if err != nil || bundle.Queues[a.number].IsZero() || ask.Gone[a.number] {
			return nil //nolint:nilerr // our own row: there is nothing to send
		}
		p = askPlan{addr: bundle.Queues[a.number], bits: bundle.WorkBits(), chunks: ask.Chunks, times: ask.Times[a.number]}
		repeats := t.m.timing().repeats
		switch {
		case p.times == 0:
			p.due = t.now
		case p.times <= len(repeats):
			p.due = time.Unix(c.rec.Claim.Sent, 0).Add(repeats[p.times-1])
		default:
			return nil // it is the owner's turn
		}
		ok = true
		return nil
	})
	return p, ok && err == nil
}

// Run works until the request was sent as often as it may be, somebody answered,
// or ctx ends.
func (a *asker) Run(ctx context.Context) {
	for ctx.Err() == nil {
		p, ok := a.plan(ctx)
		if !ok {
			return
		}
		wait := time.Until(p.due)
		if wait <= 0 {
			err := a.ask(ctx, p)
			if ctx.Err() != nil {
				return
			}
			if err == nil || mailboxRefusedWith(err, mailbox.CodeAuth) {
				a.fails = 0
				a.note(ctx, p, err == nil)
				continue
			}
			a.fails++
			a.m.log.Debug("a request cannot be sent", errorKey, err)
			tm := a.m.timing()
			if wait = backoff(a.fails, tm.retryMin, tm.retryMax); mailboxRefusedWith(err, mailbox.CodeQuota) {
				wait = backoff(a.fails, tm.quotaMin, tm.quotaMax)
			}
		}
		timer := time.NewTimer(min(wait, time.Minute)) // an answer may come meanwhile
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// ask sends the request, paying for it unless the relay still knows it.
func (a *asker) ask(ctx context.Context, plan askPlan) error {
	if !a.m.listed(plan.addr.Relay) {
		return errors.New("a relay of the address is not listed")
	}
	if err := a.m.senders.enter(ctx); err != nil {
		return err
	}
	defer a.m.senders.leave()
	p, err := a.m.openPost(ctx, circuit.Request{Front: plan.times == 0, Purpose: circuit.Send, Destination: plan.addr.Relay, Isolation: outIsolation(a.contact, a.number)})
	if err != nil {
		return err
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(ctx, 6*a.m.timing().openMail) // with the work
	defer cancel()
	sid := mailbox.SID(plan.addr.SID)
	extra := max(0, plan.bits-mailbox.GrantBits)
	paid := 0
	if plan.times == 0 {
		if paid, err = p.PayPrice(ctx, sid, extra); err != nil {
			return err
		}
	}
	for tries := 0; ; tries++ {
		err := a.send(ctx, p, plan)
		switch {
		case err == nil:
			return nil
		case mailboxRefusedWith(err, mailbox.CodeWork) && tries == 0:
		case mailboxRefusedWith(err, mailbox.CodeQuota) && paid < payMost:
			extra++ // the queue is full: outbid the cheapest
		default:
			return err
		}
		if paid, err = p.PayPrice(ctx, sid, extra); err != nil {
			return err
		}
	}
}

// send sends the four blocks.
func (a *asker) send(ctx context.Context, p *post, plan askPlan) error {
	for _, inner := range plan.chunks {
		sealed, id, err := plan.addr.Seal(inner)
		if err != nil {
			return err
		}
		block := [mailbox.BlockSize]byte(sealed)
		if _, err := p.Send(ctx, mailbox.SID(plan.addr.SID), plan.addr.Capability.Bytes(), mailbox.MessageID(id), &block); err != nil {
			return err
		}
	}
	return nil
}

// note records that the queue took the request, or that there is none. If no
// relay knows its queue, the bundle is out of date: the next one is fetched, at
// once the first time. Relays can say so for ever, so it takes longer each time.
func (a *asker) note(ctx context.Context, p askPlan, taken bool) {
	_ = a.m.do(ctx, func(t *turn) error {
		c := t.book.contacts[a.contact]
		if c == nil || c.rec.Claim == nil || c.rec.Claim.Ask == nil {
			return nil
		}
		claim := c.rec.Claim
		t.touch(c)
		if taken {
			if claim.Ask.Times[a.number] = p.times + 1; p.times == 0 {
				t.contactChanged(c)
			}
			return nil
		}
		claim.Ask.Gone[a.number] = true
		bundle, err := session.ParseBundle(claim.Bundle)
		if err != nil {
			return nil //nolint:nilerr // our own row
		}
		for n, q := range bundle.Queues {
			if !q.IsZero() && !claim.Ask.Gone[n] {
				return nil
			}
		}
		c.session, claim.Bundle, claim.Sent = nil, nil, 0
		claim.Ask.Chunks, claim.Ask.Times, claim.Ask.Gone = nil, [2]int{}, [2]bool{}
		if claim.Ask.Anew++; claim.Ask.Anew > 1 {
			claim.Ask.Since = t.now.Add(backoff(claim.Ask.Anew-1, t.m.timing().quotaMin, t.m.timing().quotaMax)).Unix()
		}
		t.roster = true
		return t.tx.Bucket(bucketSession).Delete(c.id)
	})
}

// ask makes the session and keeps the request to an address for the askers.
// Nothing else is sealed before the owner answers, and nothing is written to the
// queues of the address by who writes to contacts.
func (t *turn) ask(c *contact, bundle session.Bundle) error {
	ask := c.rec.Claim.Ask
	own := &c.rec.Own
	r, err := bundle.Request(rand.Reader, t.m.snapshotTime(t.now), session.RequestConfig{
		Config: session.Config{Lab: t.m.isLab()}, Queues: [2]session.QAddr{own[0].addr(), own[1].addr()}, Name: ask.Name, Hello: ask.Text,
	})
	if err != nil {
		return &Error{Kind: KindRefused, Text: err.Error()}
	}
	if ask.Chunks, err = session.SplitContainer(r.Container); err != nil {
		return err
	}
	c.session = r.State
	own[0].InUse, own[1].InUse = own[0].Made, own[1].Made
	c.rec.Claim.Sent, c.rec.Early = t.now.Unix(), earlyBlocks
	t.roster = true
	t.contactChanged(c)
	return nil
}
