package signer

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"hearsay/directory"
	"hearsay/directory/gossip"
	"hearsay/directory/sybil"
)

// Specification constants (SPEC.md §2).
const (
	firstWait    = 30 * time.Second // for probes before the first snapshot after a restart
	labFirstWait = 3 * time.Second
	retryWrite   = 5 * time.Second // after a failed write to disk
)

// ErrNotSigner is returned by New for a key that is no signer's.
var ErrNotSigner = errors.New("signer: the identity key is not that of a signer of this network")

// Config configures a Signer.
type Config struct {
	// Node holds the admitted records; snapshots are released through it.
	Node *gossip.Node
	// Board is where the signers of one network talk. Nil: Node.
	Board Board
	// Library holds what snapshots are computed from. Nil: Node.
	Library Library
	// Clock tells by how much other clocks are ahead of this one, and how many
	// there are. Nil: Node.ClockOffset.
	Clock func() (ahead time.Duration, heard int)
	// Evidence takes the proof that a signer voted twice. Nil: Node.AddEvidence.
	Evidence func(*directory.Evidence)
	// Identity is the signer's identity key, which renews the certificate. Nil
	// if it was moved offline; then Certificate must be valid.
	Identity ed25519.PrivateKey
	// Online signs the snapshots.
	Online ed25519.PrivateKey
	// Certificate is that of Online by Identity. Nil: the one in Dir, or a new
	// one by Identity.
	Certificate []byte
	Prober      Prober
	// Meter measures bandwidth. Nil: nothing is measured.
	Meter Meter
	// Marks returns what the operator says of relays; called for each vote. Nil:
	// nothing.
	Marks func() ([]Mark, error)
	// Recommended is software that votes recommend, at most 16 names of 1 to 24
	// ASCII characters; New fails with directory.ErrBadVote for others.
	Recommended []string
	// AS is the table that the network file names. Nil: none.
	AS *sybil.ASTable
	// Dir is the state directory, created if missing. It must survive as long
	// as the network: it guards against signing an epoch twice.
	Dir string
	// Restored is when keys were put back without the state that belonged to them
	// (SPEC.md §4.1). Zero: never.
	Restored time.Time
	Log      *slog.Logger // nil: discard
}

// Signer is one of the signers of a network. It votes, agrees with the others on
// what counts, and signs the snapshots that follow.
type Signer struct {
	cfg     Config
	lab     bool
	log     *slog.Logger
	book    *book
	watcher *watcher
	speeds  *bandwidths
	fetch   *fetcher

	// Owned by New and then by Run.
	id      [32]byte // identity key
	pages   pages    // as read at the start; certificate and secret are used later on
	certSeq uint64   // highest certificate number that this signer has used
	base    *base
	pending map[[32]byte]*lock // signed and not complete, by header
	faulty  map[[32]byte]time.Time
	ahead   ahead
	told    map[directory.RelayID]gossip.VerdictCode
	opened  time.Time

	ready     chan struct{}
	readyOnce sync.Once

	mu       sync.Mutex
	unlisted map[directory.RelayID]directory.Rule
	ledger   *directory.Ledger // after the newest snapshot
	standing Standing

	// testOnlyCrash, if set, is called between persisting and releasing, with what
	// is about to be released; an error ends Run there.
	testOnlyCrash func(what messageKind) error
}

// lock is a header that this signer has signed and that is not complete.
type lock struct {
	draft   *draft
	epoch   uint64 // of the votes on which it was signed last
	attempt uint8  // of the echoes
	proof   [][]byte
}

// New opens the state in cfg.Dir and checks keys and certificate. Close
// releases the state.
func New(cfg Config) (*Signer, error) {
	chain := cfg.Node.Chain()
	if cfg.Identity != nil && !signs(chain, publicKey(cfg.Identity), time.Now()) {
		return nil, ErrNotSigner
	}
	cfg.Recommended = rising(cfg.Recommended)
	if err := directory.CheckRecommended(cfg.Recommended); err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	if cfg.Board == nil {
		cfg.Board = cfg.Node
	}
	if cfg.Library == nil {
		cfg.Library = cfg.Node
	}
	if cfg.Clock == nil {
		cfg.Clock = cfg.Node.ClockOffset
	}
	if cfg.Evidence == nil {
		cfg.Evidence = cfg.Node.AddEvidence
	}
	b, err := openSound(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	s := &Signer{
		cfg: cfg, lab: chain.Current().Lab, log: orDiscard(cfg.Log), book: b,
		pending: make(map[[32]byte]*lock), faulty: make(map[[32]byte]time.Time),
		told: make(map[directory.RelayID]gossip.VerdictCode), ready: make(chan struct{}), opened: time.Now(),
	}
	s.fetch = newFetcher(cfg.Library, s.lab)
	if s.speeds, err = openBandwidths(cfg.Meter, cfg.Dir, cfg.Log); err != nil {
		return nil, errors.Join(err, b.close())
	}
	if err := s.open(chain, time.Now()); err != nil {
		return nil, errors.Join(fmt.Errorf("signer: %w", err), b.close())
	}
	return s, nil
}

func publicKey(k ed25519.PrivateKey) [32]byte { return [32]byte(k.Public().(ed25519.PublicKey)) }

// signs tells whether the key is a signer's of the version in force or of one to
// come.
func signs(chain *directory.Chain, key [32]byte, now time.Time) bool {
	for v := chain.InForce(now).Current().Version; v <= chain.Current().Version; v++ {
		if f, ok := chain.Version(v); ok && juryOf(f).has(key) {
			return true
		}
	}
	return false
}

func (s *Signer) open(chain *directory.Chain, now time.Time) (err error) {
	if s.pages, err = s.book.read(); err != nil {
		return err
	}
	p := &s.pages
	s.base = &base{ledger: p.ledger, log: p.log, files: p.files}
	if p.snapshot == nil {
		if s.base.log, err = directory.NewLog(chain); err != nil {
			return err
		}
		s.base.files = 1
	} else if s.base.snapshot, err = directory.ParseSnapshot(p.snapshot); err != nil {
		return err
	}
	if p.srv != nil {
		if s.base.srv, err = chain.ParseSRVState(p.srv); err != nil {
			return err
		}
	} else if s.base.snapshot != nil {
		if s.base.srv, err = directory.ResumeSRVState(s.base.header()); err != nil {
			return err
		}
	}
	for _, g := range p.pending {
		d, err := parseDraft(chain, g)
		if err != nil {
			return err
		}
		s.pending[d.snapshot.Hash()] = &lock{draft: d, epoch: g.epoch, attempt: g.attempt, proof: g.proof}
	}
	p.pending = nil
	s.watcher = newWatcher(s.cfg.Prober, s.lab, p.reached, func(id directory.RelayID, err error) {
		s.log.Debug("relay not reached", logRelay, id.String(), logReason, err)
	})
	s.ledger = p.ledger
	s.cfg.Node.SetAdmitted(func(id directory.RelayID) bool {
		s.mu.Lock()
		l := s.ledger
		s.mu.Unlock()
		return l.Admitted(directory.GossipKey(chain.ID(), id), s.lab, time.Now())
	})
	if err := s.chooseCertificate(chain.ID()); err != nil {
		return err
	}
	if err := s.renew(chain.ID(), now); err != nil {
		return err
	}
	c, err := directory.ParseCertificate(chain.ID(), p.certificate)
	if err != nil {
		return err
	}
	if s.id = c.Signer; !signs(chain, s.id, now) {
		return ErrNotSigner
	}
	s.certified(c)
	s.stand(false)
	return nil
}

// Close releases the state. Call it after Run has returned.
func (s *Signer) Close() error { return s.book.close() }

// Ready is closed once the node holds a snapshot that this signer goes on from.
func (s *Signer) Ready() <-chan struct{} { return s.ready }

// Unlisted returns why the other known relays are not in the newest snapshot, by
// this signer's own computation.
func (s *Signer) Unlisted() map[directory.RelayID]directory.Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unlisted
}

// Run probes relays and works on one snapshot per epoch until ctx ends; it returns
// ctx.Err, or the error that keeps it from signing safely.
func (s *Signer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer s.fetch.wg.Wait()
	defer wg.Wait()
	defer cancel()
	if s.base.snapshot != nil {
		// What a crash kept from being released is released now: the very same
		// snapshot, never another one of its number.
		if err := s.release(); err != nil {
			return err
		}
	}
	wg.Go(func() { s.watcher.run(ctx, s.cfg.Node.Store()) })
	wg.Go(func() { s.speeds.run(ctx, s.cfg.Node.Views(), s.cfg.Node.Chain) })
	s.firstProbes(ctx)
	for ctx.Err() == nil {
		if err := s.epoch(ctx); errors.Is(err, errNotWritten) {
			// Nothing was released, so the same may be tried again.
			s.log.Error("signer's state not written", logReason, err)
			sleepUntil(ctx, time.Now().Add(retryWrite))
		} else if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// epoch works on the next snapshot, alone or with the others, or waits while there
// is nothing to do for this signer.
func (s *Signer) epoch(ctx context.Context) error {
	views := s.cfg.Node.Views().Changed()
	now := time.Now()
	inStep, err := s.adopt(ctx)
	if err != nil {
		return err
	}
	chain := s.cfg.Node.Chain()
	prev := s.previous(chain, now)
	if !inStep {
		s.idle(ctx, views, now.Add(time.Second))
		return nil
	}
	if until := s.silent(now); now.Before(until) {
		s.idle(ctx, views, until)
		return nil
	}
	if at := directory.NextEpoch(s.lab, prev, now); s.alone(chain.InForce(at)) {
		if !sleepUntil(ctx, at) || !s.alone(s.cfg.Node.Chain().InForce(at)) {
			return nil
		}
		return s.sign(at)
	}
	sl := nextSlot(s.lab, prev, now)
	if _, last, err := s.book.said(0); err != nil {
		return fmt.Errorf("%w: %w", errNotWritten, err)
	} else if inForce := chain.InForce(sl.at); juryOf(inForce.Current()).has(s.id) && last <= sl.epoch {
		return s.attempt(ctx, sl, inForce)
	}
	s.idle(ctx, views, sl.until)
	return nil
}

// silentEpochs is how long a signer whose state was lost follows the others.
const silentEpochs = 2

// silent returns until when a signer does not know what it has signed, and so signs
// nothing (SPEC.md §4.1).
func (s *Signer) silent(now time.Time) time.Time {
	switch h := s.base.header(); {
	case s.cfg.Restored.IsZero():
		return time.Time{}
	case s.base.snapshot == nil:
		return now.Add(time.Second) // it never begins a history: there is one
	default:
		return s.cfg.Restored.Add(silentEpochs * h.NextEpoch)
	}
}

// HasHistory tells whether the state holds a snapshot. It must not be called once
// Run was.
func (s *Signer) HasHistory() bool { return s.base.snapshot != nil }

// previous returns the header from which the next slot is reckoned: the newest, or
// none if founders have reset the epoch numbers since.
func (s *Signer) previous(chain *directory.Chain, now time.Time) *directory.Header {
	h := s.base.header()
	if h == nil {
		return nil
	}
	for v := h.FileVersion + 1; v <= chain.InForce(now).Current().Version; v++ {
		if f, ok := chain.Version(v); ok && f.EpochFloorReset != 0 && h.ValidAfter.After(now) {
			return nil
		}
	}
	return h
}

// alone tells whether this signer is the only one.
func (s *Signer) alone(chain *directory.Chain) bool {
	j := juryOf(chain.Current())
	return len(j.signers) == 1 && j.has(s.id)
}

// idle waits until the time given, or until a snapshot or a document came.
func (s *Signer) idle(ctx context.Context, views <-chan struct{}, until time.Time) {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-views:
	case <-s.fetch.wake:
	case <-t.C:
	}
}

func sleepUntil(ctx context.Context, at time.Time) bool {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}

// firstProbes waits, after a restart and in lab networks, until the relays that
// are known were probed: a snapshot without them would end the network's paths.
func (s *Signer) firstProbes(ctx context.Context) {
	expected := 0
	if s.base.snapshot != nil {
		expected = int(s.base.snapshot.Header.N+1) / 2
	} else if !s.lab {
		return
	}
	limit := firstWait
	if s.lab {
		limit = labFirstWait
	}
	end := time.NewTimer(limit)
	defer end.Stop()
	for {
		settled := s.watcher.ended()
		open, reached := 0, 0
		all := s.cfg.Node.Store().Records()
		for _, c := range s.watcher.candidates(all, time.Now(), 0) {
			if c.reached != 0 {
				reached++
			} else if c.record.Descriptor != nil && !s.watcher.tried(c.record.ID) {
				open++
			}
		}
		if open == 0 && reached >= expected {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			return
		case <-settled:
		}
	}
}

// tell says to relays that are connected why they are not listed, once per
// change.
func (s *Signer) tell(j *directory.Judgement) {
	s.mu.Lock()
	s.unlisted = j.Unlisted
	s.mu.Unlock()
	now := make(map[directory.RelayID]gossip.VerdictCode, len(s.told))
	for id, rule := range j.Unlisted {
		if code, ok := verdictOf(rule, j.Lacks[id]); ok && (rule != directory.RuleNotRunning || s.watcher.tried(id)) {
			now[id] = code
		}
	}
	for i := range j.Listed {
		now[j.Listed[i].Descriptor.ID] = gossip.VerdictHeld
	}
	for id, code := range now {
		if old, ok := s.told[id]; ok && old == code || !ok && code == gossip.VerdictHeld {
			continue
		}
		s.cfg.Node.Tell(id, code)
	}
	s.told = now
}

// verdictOf returns what a relay is told of a rule that keeps it out; lacks is
// what it lacks for admission.
func verdictOf(r directory.Rule, lacks error) (gossip.VerdictCode, bool) {
	switch r {
	case directory.RuleNotRunning:
		return gossip.VerdictUnreachable, true
	case directory.RuleAdmission:
		return gossip.VerdictOf(lacks), true
	case directory.RuleHost, directory.RuleNet, directory.RuleBlock:
		return gossip.VerdictPrefix, true
	case directory.RuleCycling, directory.RuleScore:
		return gossip.VerdictWaiting, true
	case directory.RuleExcluded:
		return gossip.VerdictExcluded, true
	case directory.RuleProtocol:
		return gossip.VerdictProtocol, true
	case directory.RuleLeft:
		return 0, false
	}
	return gossip.VerdictOther, true
}
