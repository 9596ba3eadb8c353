package chat

import (
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"slices"
	"sync"
	"time"

	"hearsay/chat/session"
	"hearsay/circuit"
	"hearsay/directory"
	"hearsay/relay/mailbox"
)

// redrawAfter is after how many failures in a row a queue that was never made
// is drawn at another relay.
const redrawAfter = 2

// drawRelay is as for the function, and never draws the relay that we run
// (circuit/path/SPEC.md §11).
func (m *Messenger) drawRelay(view *directory.View, taken, avoid []directory.RelayID) (directory.RelayID, bool) {
	return drawRelay(view, m.ownRelay(), taken, avoid)
}

// drawRelay draws a mailbox relay by weight. own and taken are never drawn; from the
// relays to be avoided, and from those that share family or network prefix with
// taken, only if there is no other (SPEC.md §5.1).
func drawRelay(view *directory.View, own directory.RelayID, taken, avoid []directory.RelayID) (directory.RelayID, bool) {
	var near []*directory.Relay
	for _, id := range taken {
		if r, ok := view.Relay(id); ok {
			near = append(near, r)
		}
	}
	for relax := range 3 {
		var candidates []*directory.Relay
		for i := range view.Relays() {
			r := &view.Relays()[i]
			switch {
			case r.Flags&directory.FlagMailbox == 0 || r.Mailbox == 0 || r.ID == own || slices.Contains(taken, r.ID):
			case relax < 1 && slices.Contains(avoid, r.ID):
			case relax < 2 && slices.ContainsFunc(near, func(n *directory.Relay) bool { return related(n, r) }):
			default:
				candidates = append(candidates, r)
			}
		}
		if len(candidates) > 0 {
			return drawWeighted(candidates), true
		}
	}
	return directory.RelayID{}, false
}

// related tells whether two relays share a family or a network prefix.
func related(a, b *directory.Relay) bool {
	if a.Family != 0 && a.Family == b.Family {
		return true
	}
	for _, x := range a.Addrs {
		for _, y := range b.Addrs {
			bits := 16
			if x.Addr().Is6() {
				bits = 32
			}
			if p, err := x.Addr().Prefix(bits); err == nil && p.Contains(y.Addr()) {
				return true
			}
		}
	}
	return false
}

func drawWeighted(relays []*directory.Relay) directory.RelayID {
	total := new(big.Int)
	for _, r := range relays {
		total.Add(total, new(big.Int).SetUint64(r.Mailbox))
	}
	n, err := rand.Int(rand.Reader, total)
	if err != nil {
		return relays[0].ID // crypto/rand never fails
	}
	for _, r := range relays {
		w := new(big.Int).SetUint64(r.Mailbox)
		if n.Cmp(w) < 0 {
			return r.ID
		}
		n.Sub(n, w)
	}
	return relays[len(relays)-1].ID
}

// setup makes the queues of a contact and, for an invite that we accepted,
// claims the invite and makes the request. What it learns is on disk before it
// goes on, so it may end at any time.
type setup struct {
	m       *Messenger
	contact string
	wakes   *wakes
	fails   int    // in a row
	queues  [2]int // failures in a row of each queue
}

// Run works until ctx ends, the contact is gone, or nothing is left to do.
func (s *setup) Run(ctx context.Context) {
	for ctx.Err() == nil {
		plan, ok := s.plan(ctx)
		if !ok {
			return
		}
		wait, woken := time.Hour, s.wakes.setup
		if err := s.step(ctx, &plan); errors.Is(err, errNothing) {
			s.fails = 0
		} else if err != nil {
			s.fails++
			if ctx.Err() == nil {
				s.m.log.Debug("setting up a contact", errorKey, err)
			}
			wait, woken = backoff(s.fails, s.m.timing().retryMin, s.m.timing().retryMax), nil
		} else {
			s.fails = 0
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-woken:
		}
		timer.Stop()
	}
}

var errNothing = errors.New("nothing to do")

// setupPlan is what is missing of a contact.
type setupPlan struct {
	queues [2]queueRecord
	claim  *claimRecord // nil: nothing to claim
	peers  []directory.RelayID
	ready  bool // the session exists
}

func (s *setup) plan(ctx context.Context) (plan setupPlan, ok bool) {
	err := s.m.look(ctx, func(t *turn) error {
		c := t.book.contacts[s.contact]
		if c == nil {
			return nil
		}
		ok = true
		plan.queues, plan.ready = c.rec.Own, c.session != nil
		if c.rec.Claim != nil {
			claim := *c.rec.Claim
			if claim.Ask != nil {
				ask := *claim.Ask
				claim.Ask = &ask
			}
			plan.claim = &claim
			if bundle, err := session.ParseBundle(claim.Bundle); err == nil {
				for _, a := range bundle.Queues {
					plan.peers = append(plan.peers, a.Relay)
				}
			}
		}
		for i := range c.slots {
			if !c.slots[i].addr.IsZero() {
				plan.peers = append(plan.peers, c.slots[i].addr.Relay)
			}
		}
		return nil
	})
	return plan, ok && err == nil
}

// step does the next thing that can be done: nil if there may be more.
func (s *setup) step(ctx context.Context, plan *setupPlan) error {
	view := s.m.views.Current()
	if view == nil || plan.claim != nil && plan.claim.Failed != "" {
		return errNothing
	}
	if plan.claim != nil && !plan.ready && plan.claim.Bundle == nil {
		return s.claimAndMake(ctx, view, plan)
	}
	made, failed := s.makeQueues(ctx, view, plan)
	if plan.claim != nil && !plan.ready && made > 0 && (made == len(plan.queues) || s.queues[0]+s.queues[1] > 2*redrawAfter || s.m.mailboxRelays(view) < 2) {
		return s.request(ctx)
	}
	if failed == nil {
		return errNothing
	}
	return failed
}

// mailboxRelays counts the relays at which we may have queues.
func (m *Messenger) mailboxRelays(view *directory.View) int {
	n, own := 0, m.ownRelay()
	for _, r := range view.Relays() {
		if r.ID != own && r.Flags&directory.FlagMailbox != 0 && r.Mailbox > 0 {
			n++
		}
	}
	return n
}

var errNoRelay = errors.New("no further mailbox relay is listed")

// claimAndMake claims the invite and makes our queues at the same time, each over
// a circuit of its own. Whether the queues stand is no matter of the claim.
func (s *setup) claimAndMake(ctx context.Context, view *directory.View, plan *setupPlan) error {
	link, err := session.ParseLink(plan.claim.Link, s.m.link.ID)
	if err != nil {
		return err
	}
	for _, prefix := range link.Relays {
		if r, ok := view.ByPrefix(prefix); ok {
			plan.peers = append(plan.peers, r.ID)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = s.makeQueues(ctx, view, plan) }) // the next step tries again
	err = s.claim(ctx, view, link, plan.claim)
	wg.Wait()
	return err
}

// makeQueues makes those of our queues that are missing, at the same time. It
// returns how many there are then.
func (s *setup) makeQueues(ctx context.Context, view *directory.View, plan *setupPlan) (made int, failed error) {
	var errs [2]error
	var wg sync.WaitGroup
	for n := range plan.queues {
		if plan.queues[n].Made {
			continue
		}
		if errs[n] = s.drawQueue(ctx, view, plan, n); errs[n] == nil {
			q := plan.queues[n]
			wg.Go(func() { errs[n] = s.makeQueue(ctx, q, n) })
		}
	}
	wg.Wait()
	for _, err := range errs {
		if err == nil {
			made++
		} else {
			failed = err
		}
	}
	return made, failed
}

// drawQueue draws a relay for a queue if it has none that may take it.
func (s *setup) drawQueue(ctx context.Context, view *directory.View, plan *setupPlan, n int) error {
	q := plan.queues[n]
	if !q.exists() || s.queues[n] >= redrawAfter && q.Gen == 0 && !q.InUse {
		if err := mayPlace(view); err != nil {
			return err
		}
		taken := []directory.RelayID{plan.queues[1-n].Relay}
		id, ok := s.m.drawRelay(view, taken, plan.peers)
		if !ok {
			return errNoRelay
		}
		q = newQueue(id)
		s.queues[n] = 0
		plan.queues[n] = q
		err := s.change(ctx, func(t *turn, c *contact) error {
			t.discard(c.rec.Own[n]) // its relay may have made it
			c.rec.Own[n] = q
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// makeQueue makes a queue at its relay.
func (s *setup) makeQueue(ctx context.Context, q queueRecord, n int) error {
	ok, err := s.m.makeQueue(ctx, q, mailbox.KindChat, mailbox.LID{}, inIsolation(s.contact, &q))
	if err != nil {
		s.queues[n]++
		return err
	}
	s.queues[n] = 0
	return s.change(ctx, func(t *turn, c *contact) error {
		own := &c.rec.Own[n]
		if own.Seed != q.Seed {
			return nil
		}
		if own.SID != ok.SID {
			own.InUse, own.Gen = false, 0 // the contact has to learn the new name
		}
		own.SID, own.Made = ok.SID, true
		t.roster = true
		return t.fill(c)
	})
}

// change changes the contact, if it is still there.
func (s *setup) change(ctx context.Context, run func(t *turn, c *contact) error) error {
	return s.m.do(ctx, func(t *turn) error {
		c := t.book.contacts[s.contact]
		if c == nil {
			return nil
		}
		t.touch(c)
		return run(t, c)
	})
}

// makeQueue makes one of our queues at its relay, and leaves the mailbox open
// for who reads the queue.
func (m *Messenger) makeQueue(ctx context.Context, q queueRecord, kind mailbox.Kind, lid mailbox.LID, isolation string) (mailbox.OKNew, error) {
	p, err := m.openPost(ctx, circuit.Request{
		Front: kind == mailbox.KindInvite, Purpose: circuit.Subscribe, Destination: q.Relay, Isolation: isolation,
	})
	if err != nil {
		return mailbox.OKNew{}, err
	}
	life := m.timing().openMail
	ctx, cancel := context.WithTimeout(ctx, life)
	defer cancel()
	ok, err := p.New(ctx, mailboxQueue{Kind: kind, Key: q.owner(), Cap: q.Cap, LID: lid})
	if err != nil {
		p.Close()
		return ok, err
	}
	m.left.leave(isolation, p, life)
	return ok, nil
}
