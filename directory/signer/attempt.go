package signer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hearsay/directory"
	"hearsay/directory/gossip"
)

// maxAttempt is the last attempt at agreement within a slot.
const maxAttempt = 4

// distrust is for how long the votes of a signer that voted twice are left out.
const distrust = 24 * time.Hour

// attempt is the work on one slot. It is owned by Run.
type attempt struct {
	slot
	s     *Signer
	chain *directory.Chain // up to the version in force
	jury  jury

	records  []*directory.Record // at the cut-off; nil: before it
	byHash   map[[16]byte]*directory.Record
	refused  map[[16]byte]bool      // records that do not verify
	complete map[[32]byte]bool      // votes whose records are all here
	proven   map[[32]byte]bool      // votes: whether they prove what they call pending
	came     map[[32]byte]time.Time // votes: when they came
	drafts   map[[32]byte]*draft    // by header
	computed map[string][32]byte    // by the votes counted: the header
	own      map[uint8]*directory.Echo
	voted    bool
	round    int       // last attempt of an own echo, -1: none
	roundAt  time.Time // when it was sent
	warned   map[string]bool
}

// attempt works on a slot until its snapshot, or another one, is complete, or the
// next slot begins (SPEC.md §7).
func (s *Signer) attempt(ctx context.Context, sl slot, chain *directory.Chain) error {
	if err := s.renew(chain.ID(), time.Now()); err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	a := &attempt{
		slot: sl, s: s, chain: chain, jury: juryOf(chain.Current()),
		byHash: make(map[[16]byte]*directory.Record), refused: make(map[[16]byte]bool),
		complete: make(map[[32]byte]bool), proven: make(map[[32]byte]bool), came: make(map[[32]byte]time.Time),
		drafts: make(map[[32]byte]*draft), computed: make(map[string][32]byte),
		own: make(map[uint8]*directory.Echo), round: -1, warned: make(map[string]bool),
	}
	if err := a.resume(); err != nil {
		return err
	}
	for {
		views := s.cfg.Node.Views().Changed()
		msgs, more := s.cfg.Board.Messages()
		now := time.Now()
		if !now.Before(a.until) {
			return nil
		}
		done, err := a.step(ctx, now, msgs)
		if done || err != nil {
			return err
		}
		t := time.NewTimer(a.next(now).Sub(now))
		select {
		case <-ctx.Done():
		case <-views:
		case <-more:
		case <-s.fetch.wake:
		case <-t.C:
		}
		t.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// resume sends again what this signer has sent for the slot before a restart: the
// very same, never another.
func (a *attempt) resume() error {
	raws, _, err := a.s.book.said(a.epoch)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotWritten, err)
	}
	for _, raw := range raws {
		m, err := a.chain.ParseSignerMessage(raw, time.Now())
		if err != nil {
			continue // its certificate has ended
		}
		switch {
		case m.Vote != nil:
			a.voted = true
		case m.Echo != nil:
			a.own[m.Echo.Attempt] = m.Echo
			a.round, a.roundAt = max(a.round, int(m.Echo.Attempt)), time.Now()
		}
		a.s.cfg.Board.Post(m)
	}
	return nil
}

// next returns when step must look again even if nothing comes.
func (a *attempt) next(now time.Time) time.Time {
	at := a.until
	for _, t := range []time.Time{a.cutoff, a.vote, a.echo, a.judge, a.at, a.roundAt.Add(a.slot.round)} {
		if t.After(now) && t.Before(at) {
			at = t
		}
	}
	return at
}

// step does what can be done now. It reports true once a snapshot is complete.
func (a *attempt) step(ctx context.Context, now time.Time, msgs []*directory.SignerMessage) (bool, error) {
	before := a.s.base
	inStep, err := a.s.adopt(ctx)
	if err != nil || a.s.base != before {
		return true, err
	}
	t := a.tally(now, msgs)
	if done, err := a.release(now, t); done || err != nil {
		return done, err
	}
	if !inStep || !a.clockGood() {
		return false, nil
	}
	for _, do := range []func(context.Context, time.Time, *tally) error{a.castVote, a.tell, a.agree, a.sign} {
		if err := do(ctx, now, t); err != nil {
			if errors.Is(err, errSaid) || errors.Is(err, errTwice) {
				a.warn("said", "signer keeps to what it said before", err)
				return false, nil
			}
			return false, err
		}
	}
	// The last signature may have been this one.
	return a.release(now, a.tally(now, a.s.messages()))
}

func (s *Signer) messages() []*directory.SignerMessage {
	msgs, _ := s.cfg.Board.Messages()
	return msgs
}

// clockGood tells whether this signer's clock is near enough to the others'.
func (a *attempt) clockGood() bool {
	length := a.at.Sub(a.vote) * 5
	ahead, heard := a.s.cfg.Clock()
	if heard == 0 || ahead.Abs() <= skewLimit(length) {
		return true
	}
	a.warn("clock", "this computer's clock differs from the bootstraps': it signs nothing", fmt.Errorf("by %v", ahead))
	return false
}

// warn logs once per slot and reason.
func (a *attempt) warn(key, what string, err error) {
	if !a.warned[key] {
		a.warned[key] = true
		a.s.log.Warn(what, logEpoch, a.epoch, logReason, err)
	}
}

// tally is what the board holds for a slot.
type tally struct {
	votes   map[[32]byte][]*directory.SignerMessage                 // by signer, different ones
	byHash  map[[32]byte]*directory.SignerMessage                   // votes
	echoes  [maxAttempt + 1]map[[32]byte][]*directory.SignerMessage // by signer, different ones
	cosigns map[[32]byte][]*directory.SignerMessage                 // by header, of any slot
}

// tally sorts the messages, and notes when votes came and who voted twice.
func (a *attempt) tally(now time.Time, msgs []*directory.SignerMessage) *tally {
	t := &tally{
		votes: make(map[[32]byte][]*directory.SignerMessage), byHash: make(map[[32]byte]*directory.SignerMessage),
		cosigns: make(map[[32]byte][]*directory.SignerMessage),
	}
	for i := range t.echoes {
		t.echoes[i] = make(map[[32]byte][]*directory.SignerMessage)
	}
	for _, m := range msgs {
		if m.Cosign != nil {
			t.cosigns[m.Cosign.Header] = append(t.cosigns[m.Cosign.Header], m)
			continue
		}
		if m.Epoch() != a.epoch || !a.jury.has(m.Signer()) {
			continue
		}
		if e := m.Echo; e != nil && int(e.Attempt) <= maxAttempt {
			list := t.echoes[e.Attempt][e.Signer]
			if !slices.ContainsFunc(list, func(o *directory.SignerMessage) bool { return o.Hash() == e.Hash() }) {
				t.echoes[e.Attempt][e.Signer] = append(list, m)
			}
			continue
		}
		if m.Vote == nil || t.byHash[m.Vote.Hash()] != nil {
			continue
		}
		t.byHash[m.Vote.Hash()] = m
		list := append(t.votes[m.Signer()], m)
		t.votes[m.Signer()] = list
		if _, ok := a.came[m.Vote.Hash()]; !ok {
			a.came[m.Vote.Hash()] = now
			if len(list) > 1 {
				a.accuse(list[0], m)
			}
		}
	}
	return t
}

// accuse proves that a signer voted twice, and leaves its votes out for a while.
func (a *attempt) accuse(x, y *directory.SignerMessage) {
	a.s.faulty[x.Signer()] = time.Now().Add(directory.Scale(a.s.lab, distrust))
	e, err := a.s.cfg.Node.Chain().VoteEvidence(x.Vote, x.RawCertificate, y.Vote, y.RawCertificate)
	if err != nil {
		a.warn("evidence", "two votes of a signer prove nothing", err)
		return
	}
	a.s.log.Warn("a signer voted twice", logEpoch, a.epoch, logReason, e.Text())
	a.s.cfg.Evidence(e)
}

// castVote makes the vote at its time, from the records of the cut-off.
func (a *attempt) castVote(_ context.Context, now time.Time, _ *tally) error {
	if a.records == nil && !now.Before(a.cutoff) {
		a.records = make([]*directory.Record, 0)
		for _, r := range a.s.cfg.Node.Store().Records() {
			// Others verify what the vote names at the same time by the same rules.
			if _, err := a.s.cfg.Node.ParseRecord(r.Raw, a.cutoff); err == nil {
				a.records = append(a.records, r)
				a.byHash[[16]byte(r.Hash[:16])] = r
			}
		}
	}
	pending, proofs := pendingList(a.s.pending)
	if a.voted || now.Before(a.vote) || !now.Before(a.end) || slices.ContainsFunc(pending, func(p directory.Pending) bool { return p.Epoch >= a.epoch }) {
		return nil
	}
	m, err := a.s.cast(ballot{
		chain: a.chain, epoch: a.epoch, at: a.at,
		seen: a.s.watcher.candidates(a.records, now, a.length()), pending: pending, proofs: proofs,
	})
	if err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	docs := []gossip.Document{{Hash: m.Vote.Hash(), Raw: m.Raw()}}
	for _, r := range a.records {
		docs = append(docs, gossip.Document{Hash: r.Hash, Raw: r.Raw})
	}
	a.s.keep(a.epoch, docs) // the store may replace them while others ask
	if err := a.s.say(m); err != nil {
		return err
	}
	a.voted = true
	return nil
}

// length is that of the epoch before the slot.
func (a *attempt) length() time.Duration {
	if h := a.s.base.header(); h != nil {
		return h.NextEpoch
	}
	return directory.EpochUnit(a.s.lab)
}

// say persists an own message and sends it.
func (s *Signer) say(m *directory.SignerMessage) error {
	if err := s.book.say(m); err != nil {
		return err
	}
	if err := s.crash(m); err != nil {
		return err
	}
	s.cfg.Board.Post(m)
	return nil
}

func (s *Signer) crash(m *directory.SignerMessage) error {
	if s.testOnlyCrash == nil {
		return nil
	}
	return s.testOnlyCrash(messageKind(sentKey(m)[8]))
}

// tell sends the first echo: the votes that came in time, with all that they name.
func (a *attempt) tell(ctx context.Context, now time.Time, t *tally) error {
	if a.round >= 0 || now.Before(a.vote) {
		return nil
	}
	var here [][32]byte
	for _, signer := range a.byNeed(t) {
		list := t.votes[signer]
		m := list[0]
		switch {
		case len(list) > 1 || now.Before(a.s.faulty[signer]):
		case !a.counts(m) || a.came[m.Vote.Hash()].After(a.end) && signer != a.s.id:
		case !a.hasRecords(ctx, m.Vote, a.s.fetch.try):
		default:
			here = append(here, m.Vote.Hash())
		}
	}
	if len(here) == 0 || now.Before(a.slot.echo) && len(here) < len(a.jury.signers) {
		return nil
	}
	return a.sendEcho(0, here, [32]byte{})
}

// byNeed returns the signers that voted, those first of whose votes least is missing:
// a vote that names what nobody has must not keep others waiting.
func (a *attempt) byNeed(t *tally) [][32]byte {
	missing := make(map[[32]byte]int, len(t.votes))
	list := make([][32]byte, 0, len(t.votes))
	for signer, votes := range t.votes {
		list = append(list, signer)
		if a.complete[votes[0].Vote.Hash()] {
			continue
		}
		for i := range votes[0].Vote.Relays {
			if a.byHash[votes[0].Vote.Relays[i].Descriptor] == nil {
				missing[signer]++
			}
		}
	}
	slices.SortFunc(list, func(x, y [32]byte) int {
		return cmp.Or(cmp.Compare(missing[x], missing[y]), compareHashes(x, y))
	})
	return list
}

// getter is a method of fetcher.
type getter func(ctx context.Context, hash [32]byte) []byte

func (a *attempt) sendEcho(round int, votes [][32]byte, header [32]byte) error {
	slices.SortFunc(votes, compareHashes)
	e := &directory.Echo{Signer: a.s.id, Epoch: a.epoch, Attempt: uint8(round), Votes: votes, Header: header}
	raw, err := e.Sign(a.chain.ID(), a.s.cfg.Online)
	if err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	m, err := a.s.seal(raw)
	if err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	if err := a.s.say(m); err != nil {
		return err
	}
	a.own[e.Attempt], a.round, a.roundAt = m.Echo, round, time.Now()
	return nil
}

// counts tells whether a vote is for this slot, by one of its signers, on the same
// snapshot as this signer's, and proves what it calls pending.
func (a *attempt) counts(m *directory.SignerMessage) bool {
	return m.Vote.Epoch == a.epoch && a.jury.has(m.Signer()) && m.Certificate.Covers(a.at) &&
		m.Vote.Previous == a.s.base.hash() && a.proves(m.Vote)
}

// proves tells whether a vote proves each header that it calls pending.
func (a *attempt) proves(v *directory.Vote) bool {
	for _, p := range v.Pending {
		good, known := a.proven[v.Hash()]
		if !known {
			good = a.chain.Proves(p, v.Proofs)
		}
		if !good {
			a.proven[v.Hash()] = false
			return false
		}
	}
	a.proven[v.Hash()] = true
	return true
}

// hasRecords tells whether all records that a vote names are here, and begins to
// get those that are not.
func (a *attempt) hasRecords(ctx context.Context, v *directory.Vote, get getter) bool {
	if a.complete[v.Hash()] {
		return true
	}
	all := true
	for i := range v.Relays {
		if a.record(ctx, &v.Relays[i], a.cutoff, get) != nil {
			continue
		}
		all = false
		if a.refused[v.Relays[i].Descriptor] {
			break // it never counts here: no more work for it
		}
	}
	a.complete[v.Hash()] = all
	return all
}

// record returns the record that a vote names, nil if it is not here yet, or not
// good.
func (a *attempt) record(ctx context.Context, rv *directory.RelayVote, at time.Time, get getter) *directory.Record {
	if r := a.byHash[rv.Descriptor]; r != nil {
		if key := directory.GossipKey(a.chain.ID(), r.ID); [8]byte(key[:8]) != rv.Key {
			return nil
		}
		return r
	}
	if a.refused[rv.Descriptor] {
		return nil
	}
	var name [32]byte
	copy(name[:], rv.Descriptor[:])
	raw := get(ctx, name)
	if raw == nil {
		return nil
	}
	r, err := a.s.cfg.Node.ParseRecord(raw, at)
	if err != nil {
		a.refused[rv.Descriptor] = true
		return nil
	}
	a.byHash[rv.Descriptor] = r
	return a.record(ctx, rv, at, get)
}

// once returns the echoes of an attempt, of signers that sent one only.
func (t *tally) once(round int) []*directory.SignerMessage {
	var list []*directory.SignerMessage
	for _, l := range t.echoes[round] {
		if len(l) == 1 {
			list = append(list, l[0])
		}
	}
	return list
}
