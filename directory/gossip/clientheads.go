package gossip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"hearsay/directory"
)

// Specification constants of comparing heads (SPEC.md §8.7).
const (
	comparePlaces  = 2                // random relays, beside the one that gave the snapshot
	compareTries   = 4                // circuits after one fetch, failed ones included
	compareSpan    = 10 * time.Minute // the comparisons of a fetch fall into this time, or half an epoch
	compareTimeout = 60 * time.Second
	compareEvery   = 3 // epoch lengths between two rounds while no snapshot comes
	maxStrange     = 4 // heads of peers that are behind, kept until the next fetch
	maxReports     = 4 // pieces of evidence that wait to be handed in
	withheldGrace  = time.Minute
)

// checks are a client's comparisons of its head with those of others. They run
// while it waits for the next fetch, one at a time.
type checks struct {
	head    *directory.Head // of the snapshot in use; nil: none
	by      *directory.View // held before it: its witnesses count; nil: its own
	due     []time.Time     // of comparisons still to be made, rising
	tries   int
	met     map[directory.RelayID]bool     // relays asked since the last fetch
	agree   map[directory.RelayID]struct{} // places that know nothing newer, since the last snapshot
	fetched time.Time                      // of the last fetch; it has a monotonic part
	around  bool                           // a snapshot is fetched from another than those who should give it
	strange []*directory.Head
	reports []report
}

// report is evidence to hand to relays, to each once.
type report struct {
	raw  []byte
	told []directory.RelayID
}

// settle begins the checks of a snapshot that was just taken up; before is the
// view that it replaced.
func (c *Client) settle(h *directory.Head, before *directory.View, now time.Time) {
	k := &c.checks
	k.head, k.by, k.agree = h, before, make(map[directory.RelayID]struct{})
	c.judgeClock(&h.Header, now)
	if !k.around {
		c.cfg.Views.Warn(directory.WarnWithheld)
	}
	c.schedule(now)
}

// schedule draws when heads are compared after a fetch: never at once, and each
// time by itself, so that a watcher of this client's link cannot tell the circuits
// by the fetch before them.
func (c *Client) schedule(now time.Time) {
	k := &c.checks
	k.fetched, k.tries, k.due, k.met = now, 0, nil, make(map[directory.RelayID]bool)
	for range comparePlaces {
		c.compareLater(now)
	}
}

func (c *Client) compareLater(now time.Time) {
	v := c.cfg.Views.Current()
	if v == nil || c.cfg.Circuits == nil || c.checks.tries >= compareTries {
		return
	}
	c.checks.tries++
	c.putOff(v, now)
}

// putOff draws when a comparison is made.
func (c *Client) putOff(v *directory.View, now time.Time) {
	c.checks.due = append(c.checks.due, now.Add(randomDelay(min(v.EpochLength()/2, compareSpan))))
	slices.SortFunc(c.checks.due, time.Time.Compare)
}

// pause waits, and compares heads when that is due. It tells whether ctx is still
// alive.
func (c *Client) pause(ctx context.Context, d time.Duration) bool {
	end := time.Now().Add(d)
	for len(c.checks.due) > 0 && c.checks.due[0].Before(end) {
		if !sleep(ctx, time.Until(c.checks.due[0])) {
			return false
		}
		c.checks.due = c.checks.due[1:]
		c.compare(ctx)
	}
	return sleep(ctx, time.Until(end))
}

// compare asks one random relay that was not asked yet. It never keeps a client
// that can build no path from looking for a snapshot: it is put off then, or given
// up.
func (c *Client) compare(ctx context.Context) {
	if v := c.cfg.Views.Current(); v != nil && c.noPath(v) {
		c.putOff(v, time.Now())
		return
	}
	id, ok := c.place()
	if !ok || c.checks.head == nil {
		return
	}
	c.checks.met[id] = true
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	if err := c.compareWith(ctx, id); err != nil {
		c.log.Debug("heads not compared", logReason, err)
		c.compareLater(time.Now())
	}
}

// place draws a relay that is neither the guard nor was asked since the fetch.
func (c *Client) place() (directory.RelayID, bool) {
	v := c.cfg.Views.Current()
	if v == nil {
		return directory.RelayID{}, false
	}
	var guard directory.RelayID
	if c.cfg.Guard != nil {
		if p, ok := c.cfg.Guard(); ok {
			guard = p.ID
		}
	}
	var list []directory.RelayID
	for i := range v.Relays() {
		if id := v.Relays()[i].ID; id != guard && !c.checks.met[id] {
			list = append(list, id)
		}
	}
	if len(list) == 0 {
		return directory.RelayID{}, false
	}
	return list[rand.N(len(list))], true
}

// compareWith compares heads with one relay, over a circuit of its own.
func (c *Client) compareWith(ctx context.Context, id directory.RelayID) error {
	s, err := c.requestOver(ctx, id)
	if err != nil {
		return err
	}
	a, err := askStream(ctx, s, id, c.cfg.Link.ID)
	if err != nil {
		return err
	}
	defer a.close()
	c.handIn(a)
	if err := c.takeNotices(a); err != nil {
		return err
	}
	own := c.checks.head
	switch h := a.hello; {
	case h.epoch == 0:
		return nil
	case h.epoch < own.Header.Epoch:
		c.agrees(a, time.Now())
		return c.keepStrange(a)
	case h.epoch > own.Header.Epoch:
		delete(c.checks.agree, id)
		if err := c.compareHistory(a, own); err != nil {
			return err
		}
		return c.fetchWithheld(a, time.Now())
	case h.headerHash != own.Hash():
		return c.compareHistory(a, own)
	}
	c.agrees(a, time.Now())
	return c.moreWitnesses(a)
}

// requestOver asks for a circuit, until soon after no path can be built any more.
func (c *Client) requestOver(ctx context.Context, id directory.RelayID) (Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	every := directory.RetryInterval(c.lab())
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		for sleep(ctx, every) {
			if v := c.cfg.Views.Current(); v != nil && c.noPath(v) {
				cancel()
			}
		}
	})
	return c.cfg.Circuits.RequestOver(ctx, id)
}

// compareHistory asks a relay for the head in the place of this client's own.
func (c *Client) compareHistory(a *asker, own *directory.Head) error {
	other, err := a.headOf(own.Header.Epoch)
	if err == nil && other == nil {
		other, err = a.headOf(placeBit | own.Header.LogSize)
	}
	if err != nil || other == nil {
		return err
	}
	if other.Hash() == own.Hash() {
		c.mergeWitnesses(other)
		return nil
	}
	c.accuse(own, other)
	return nil
}

// accuse makes evidence of two heads, warns, and has it handed to relays.
func (c *Client) accuse(own, other *directory.Head) {
	e, err := evidenceOf(c.chain, own, other, nil)
	if err != nil {
		c.log.Info("two heads prove nothing", logEpoch, other.Header.Epoch, logReason, err)
		return
	}
	if !c.caution.add(e) {
		return
	}
	now := time.Now()
	c.caution.warn(c.chain, now)
	if err := c.caution.save(); err != nil {
		c.log.Error("evidence is not saved", logReason, err)
	}
	if len(c.checks.reports) < maxReports && len(e.Raw()) <= maxReport {
		c.checks.reports = append(c.checks.reports, report{raw: e.Raw()})
	}
	// Those that were asked before it was found are to hear of it too: else there may
	// be nobody left to tell in a small network.
	c.checks.tries, c.checks.met = 0, make(map[directory.RelayID]bool)
	for range comparePlaces {
		c.compareLater(now)
	}
}

// handIn gives a relay the evidence that this client found. Who gives it stays
// unknown: it travels over a circuit, and names no reader.
func (c *Client) handIn(a *asker) {
	for i := range c.checks.reports {
		r := &c.checks.reports[i]
		if slices.Contains(r.told, a.peer) {
			continue
		}
		b, err := a.do(TypeReport, r.raw)
		if err != nil {
			return
		}
		if len(b) == 1 && (b[0] == reportKnown || b[0] == reportTaken) {
			r.told = append(r.told, a.peer)
		}
	}
	c.checks.reports = slices.DeleteFunc(c.checks.reports, func(r report) bool { return len(r.told) >= comparePlaces })
}

// keepStrange keeps the newest head of a relay that is behind, to be compared at
// the next fetch: this client has no log of its own.
func (c *Client) keepStrange(a *asker) error {
	h, err := a.headOf(0)
	if err != nil || h == nil || len(c.checks.strange) >= maxStrange {
		return err
	}
	if err := c.chain.VerifySigned(h, directory.State{}); err != nil {
		return err
	}
	c.checks.strange = append(c.checks.strange, h.WithoutWitnesses())
	return nil
}

// checkStrange compares those heads with what the source of a fetch has in their
// place.
func (c *Client) checkStrange(a *asker) error {
	list := c.checks.strange
	c.checks.strange = nil
	for _, h := range list {
		other, err := a.headOf(h.Header.Epoch)
		if err == nil && other == nil {
			other, err = a.headOf(placeBit | h.Header.LogSize)
		}
		if err != nil {
			return err
		}
		if other != nil && other.Hash() != h.Hash() {
			c.accuse(h, other)
		}
	}
	return nil
}

// fetchWithheld takes the snapshot of a relay that has had a newer one for longer
// than since the last fetch: whoever was asked then kept it back. The relay's own
// clock says for how long, so that this computer's may be wrong.
func (c *Client) fetchWithheld(a *asker, now time.Time) error {
	v := c.cfg.Views.Current()
	out := a.hello.time.Sub(directory.EpochTime(v.Lab(), a.hello.epoch))
	if out <= now.Sub(c.checks.fetched)+directory.Scale(v.Lab(), withheldGrace)+v.EpochLength() {
		return nil
	}
	c.checks.around = true
	err := c.fetchOn(a)
	c.checks.around = false
	if err != nil {
		return err
	}
	c.cfg.Views.Warn(directory.WarnWithheld, directory.Warning{
		Text:  "who was asked for the newest snapshot gave an old one; a newer one came another way",
		Since: now,
	})
	return nil
}

// moreWitnesses asks for words of witnesses if too few have signed the head.
func (c *Client) moreWitnesses(a *asker) error {
	if c.caution.few.IsZero() || c.checks.head == nil {
		return nil
	}
	h, err := a.headOf(c.checks.head.Header.Epoch)
	if err == nil && h != nil && h.Hash() == c.checks.head.Hash() {
		c.mergeWitnesses(h)
	}
	return err
}

// mergeWitnesses takes the words of witnesses from another copy of the head.
func (c *Client) mergeWitnesses(other *directory.Head) {
	v := c.cfg.Views.Current()
	if c.caution.few.IsZero() || v == nil {
		return
	}
	by := c.checks.by
	if by == nil {
		by = v
	}
	more := *c.checks.head
	for _, w := range other.Witnesses() {
		if r, ok := by.Relay(w.Relay); ok && r.Flags&directory.FlagWitness != 0 {
			_ = more.AddWitness(w) // one that does not verify does not count
		}
	}
	c.checks.head = &more
	if !c.caution.witnessed(c.chain, &more, c.checks.by, v, time.Now()) {
		return
	}
	if err := c.caution.save(); err != nil {
		c.log.Error("notices are not saved", logReason, err)
	}
	c.caution.warn(c.chain, time.Now())
}

// agrees notes a place that knows nothing newer. Three of them with an old
// snapshot mean that its signers are away, or that this computer's clock is ahead:
// nothing here can tell, so people are asked.
func (c *Client) agrees(a *asker, now time.Time) {
	v := c.cfg.Views.Current()
	if v == nil || c.checks.agree == nil {
		return
	}
	c.checks.agree[a.peer] = struct{}{}
	if v.State(now) < directory.Stale || len(c.checks.agree) < clockDoubt {
		return
	}
	c.cfg.Views.Warn(directory.WarnClock, directory.Warning{
		Text: fmt.Sprintf("%d places know no newer snapshot than that of %s: either the network's founders are away, or this computer's clock is ahead; compare it with another one",
			clockDoubt, v.ValidAfter().UTC().Format("2006-01-02 15:04 UTC")),
		Since: now,
	})
}

// nothingNew is what a source with the same snapshot, or an older one, is still
// good for.
func (c *Client) nothingNew(a *asker) error {
	if h := c.checks.head; h != nil && a.hello.epoch == h.Header.Epoch && a.hello.headerHash != h.Hash() {
		if err := c.compareHistory(a, h); err != nil {
			return err
		}
		return errNothingNew
	}
	c.agrees(a, time.Now())
	if err := c.moreWitnesses(a); err != nil {
		return err
	}
	now := time.Now()
	if v := c.cfg.Views.Current(); v != nil && v.State(now) != directory.Fresh && now.Sub(c.checks.fetched) > compareEvery*v.EpochLength() {
		c.schedule(now)
	}
	return errNothingNew
}

// takeNotices asks what everybody must hear.
func (c *Client) takeNotices(a *asker) error {
	if c.chain == nil {
		return nil
	}
	b, err := a.do(TypeNotices, []byte{0})
	if err != nil {
		return err
	}
	list, err := parseNotices(b)
	if err != nil {
		return err
	}
	if _, err := c.caution.take(c.chain, list, time.Now()); err != nil {
		return err
	}
	c.caution.warn(c.chain, time.Now()) // a newer network file may answer evidence
	return c.checkStrange(a)
}

// inspect looks at a verified snapshot before it is saved and used. While evidence
// stands, a snapshot counts only if enough others than the culprits signed it: the
// last good one is kept to its limit. A client that never had one takes it, and no
// guards by it.
func (c *Client) inspect(s *directory.Snapshot, view *directory.View, now time.Time) error {
	if c.state.Epoch != 0 {
		if err := c.chain.Trusted(&s.Head, c.caution.evidence); err != nil {
			return err
		}
	}
	if err := c.caution.installed(c.chain, &s.Head, c.cfg.Views.Current(), view, now); err != nil {
		return err
	}
	c.caution.warn(c.chain, now)
	return nil
}

// contested deals with a snapshot that was refused: signers may have shown this
// client another history, or given up the snapshot that it holds, or founders may
// have put an end to two histories. It returns nil if the snapshot was taken up
// all the same.
func (c *Client) contested(a *asker, raw []byte, s *directory.Snapshot, refused error) error {
	if errors.Is(refused, directory.ErrSlowClock) {
		now := time.Now()
		ahead, _ := s.Header.Ahead(now)
		c.cfg.Views.Warn(directory.WarnClock, slowClock(ahead, now))
		return refused
	}
	if errors.Is(refused, directory.ErrExpired) && c.cfg.Views.Current() == nil {
		c.cfg.Views.Warn(directory.WarnClock, directory.Warning{
			Text: fmt.Sprintf("the newest snapshot to be had is of %s, too old to be used: either the network's founders are away, or this computer's clock is ahead; compare it with another one",
				s.Header.ValidAfter.UTC().Format("2006-01-02 15:04 UTC")),
			Since: time.Now(),
		})
	}
	own := c.checks.head
	if !denies(refused) || own == nil {
		return refused
	}
	var states []directory.State
	other, err := a.rival(own, &s.Head)
	if err == nil && other != nil {
		c.accuse(own, other)
		if c.chain.VerifySigned(other, c.state) == nil {
			if st, ok := c.state.StepOver(other); ok {
				states = append(states, st)
			}
		}
	}
	for _, e := range c.caution.evidence {
		states = append(states, c.chain.Fork(e, c.state)...)
	}
	for _, st := range states {
		proof, err := a.proof(st, s.Header.LogSize)
		if err != nil {
			continue
		}
		before := c.state
		c.state = st
		if c.install(raw, s, proof, time.Now()) == nil {
			return nil
		}
		c.state = before
	}
	return refused
}
