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

// Errors of New.
var (
	ErrNotSolo   = errors.New("signer: this network has several signers; this program signs for one founder only")
	ErrNotSigner = errors.New("signer: the identity key is not the network's signer")
)

// Config configures a Signer.
type Config struct {
	// Node holds the admitted records; snapshots are released through it.
	Node *gossip.Node
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
	// Dir is the state directory, created if missing. It must survive as long
	// as the network: it guards against signing an epoch twice.
	Dir string
	Log *slog.Logger // nil: discard
}

// Signer signs the snapshots of a network with one founder.
type Signer struct {
	cfg     Config
	lab     bool
	log     *slog.Logger
	book    *book
	watcher *watcher

	// Owned by New and then by Run.
	pages   pages
	certSeq uint64              // highest certificate number that this signer has used
	newest  *directory.Snapshot // nil: none was signed yet
	told    map[directory.RelayID]gossip.VerdictCode

	ready     chan struct{}
	readyOnce sync.Once

	mu       sync.Mutex
	unlisted map[directory.RelayID]directory.Rule
	ledger   *directory.Ledger // after the newest snapshot

	// testOnlyCrash, if set, is called between persisting and releasing; an
	// error ends Run there.
	testOnlyCrash func() error
}

// New opens the state in cfg.Dir and checks keys and certificate. Close
// releases the state.
func New(cfg Config) (*Signer, error) {
	chain := cfg.Node.Chain()
	signers := chain.Current().Signers
	if len(signers) != 1 {
		return nil, ErrNotSolo
	}
	if cfg.Identity != nil && signers[0].Public != [32]byte(cfg.Identity.Public().(ed25519.PublicKey)) {
		return nil, ErrNotSigner
	}
	b, err := openBook(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	s := &Signer{
		cfg: cfg, lab: chain.Current().Lab, log: orDiscard(cfg.Log), book: b,
		told: make(map[directory.RelayID]gossip.VerdictCode), ready: make(chan struct{}),
	}
	if err := s.open(chain, time.Now()); err != nil {
		return nil, errors.Join(fmt.Errorf("signer: %w", err), b.close())
	}
	return s, nil
}

func (s *Signer) open(chain *directory.Chain, now time.Time) (err error) {
	if s.pages, err = s.book.read(); err != nil {
		return err
	}
	if s.pages.snapshot == nil {
		if s.pages.log, err = directory.NewLog(chain); err != nil {
			return err
		}
		s.pages.files = 1
	} else if s.newest, err = directory.ParseSnapshot(s.pages.snapshot); err != nil {
		return err
	}
	s.watcher = newWatcher(s.cfg.Prober, s.lab, s.pages.reached, func(id directory.RelayID, err error) {
		s.log.Debug("relay not reached", logRelay, id.String(), logReason, err)
	})
	s.ledger = s.pages.ledger
	s.cfg.Node.SetAdmitted(func(id directory.RelayID) bool {
		s.mu.Lock()
		l := s.ledger
		s.mu.Unlock()
		return l.Admitted(directory.GossipKey(chain.ID(), id), s.lab, time.Now())
	})
	if err := s.chooseCertificate(chain.ID()); err != nil {
		return err
	}
	return s.renew(chain.ID(), now)
}

// Close releases the state. Call it after Run has returned.
func (s *Signer) Close() error { return s.book.close() }

// Ready is closed once the node holds a snapshot of this signer's.
func (s *Signer) Ready() <-chan struct{} { return s.ready }

// Unlisted returns why the other known relays are not in the newest snapshot.
func (s *Signer) Unlisted() map[directory.RelayID]directory.Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unlisted
}

// Run probes relays and signs and releases one snapshot per epoch until ctx
// ends; it returns ctx.Err, or the error that keeps it from signing safely.
func (s *Signer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	if s.newest != nil {
		// What a crash kept from being released is released now: the very same
		// snapshot, never another one of its number.
		s.release(s.newest, s.pages.snapshot)
	}
	wg.Go(func() { s.watcher.run(ctx, s.cfg.Node.Store()) })
	s.firstProbes(ctx)
	for {
		at := directory.NextEpoch(s.lab, s.header(), time.Now())
		if !sleepUntil(ctx, at) {
			return ctx.Err()
		}
		err := s.sign(at)
		if errors.Is(err, errNotWritten) {
			// Nothing was released, so the same epoch may be tried again.
			s.log.Error("snapshot not signed", logReason, err)
			if !sleepUntil(ctx, time.Now().Add(retryWrite)) {
				return ctx.Err()
			}
		} else if err != nil {
			return err
		}
	}
}

func (s *Signer) header() *directory.Header {
	if s.newest == nil {
		return nil
	}
	return &s.newest.Header
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
	if s.newest != nil {
		expected = int(s.newest.Header.N+1) / 2
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

// sign makes the snapshot of the epoch that begins at the given time: judge,
// sign, persist, and only then release.
func (s *Signer) sign(at time.Time) error {
	now := time.Now()
	chain := s.cfg.Node.Chain()
	if err := s.renew(chain.ID(), now); err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	epoch := directory.EpochUnit(s.lab)
	if h := s.header(); h != nil {
		epoch = h.NextEpoch
	}
	records := s.cfg.Node.Store().Records()
	vote := s.vote(chain, at, s.watcher.candidates(records, now, epoch))
	if _, err := vote.Sign(chain.ID(), s.cfg.Online); err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	j := sybil.Judge(sybil.Input{
		Chain: chain, Ledger: s.pages.ledger, ValidAfter: at, Votes: []*directory.Vote{vote}, Records: records,
	}).Judgement
	// A failed write must not leave leaves behind that no header has.
	log, err := directory.LogOf(s.pages.log.Leaves(0))
	if err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	first, files := log.Size(), s.pages.files
	for v := files + 1; v <= chain.Current().Version; v++ {
		h, _ := chain.Hash(v)
		if err := log.AddFile(h); err != nil {
			return fmt.Errorf("signer: %w", err)
		}
		files = v
	}
	snap, err := directory.NewSnapshot(chain, log, at, j)
	if err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	if err := snap.Sign(s.pages.certificate, s.cfg.Online); err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	raw, err := snap.Encode()
	if err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	if err := log.AddHeader(snap.Hash()); err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	if s.newest == nil {
		first = 0 // version 1 of the network file is not on disk yet
	}
	err = s.book.write(entry{
		snapshot: snap, raw: raw, ledger: j.Ledger, first: first, leaves: log.Leaves(first),
		files: files, certificate: s.pages.certificate, reached: s.watcher.successes(),
	})
	if err != nil {
		return fmt.Errorf("signer: epoch %d: %w", snap.Header.Epoch, err)
	}
	if s.testOnlyCrash != nil {
		if err := s.testOnlyCrash(); err != nil {
			return err
		}
	}
	s.pages.ledger, s.pages.log, s.pages.files, s.pages.snapshot = j.Ledger, log, files, raw
	s.newest = snap
	s.release(snap, raw)
	s.tell(j)
	return nil
}

// release hands a snapshot that is on disk to the node.
func (s *Signer) release(snap *directory.Snapshot, raw []byte) {
	if s.cfg.Node.Status().Epoch < snap.Header.Epoch {
		if err := s.cfg.Node.AddSnapshot(raw, s.pages.log); err != nil {
			s.log.Error("own snapshot refused by the node", logEpoch, snap.Header.Epoch, logReason, err)
			return
		}
		s.log.Info("snapshot released", logEpoch, snap.Header.Epoch, logListed, int(snap.Header.N))
	}
	s.readyOnce.Do(func() { close(s.ready) })
}

// tell says to relays that are connected why they are not listed, once per
// change.
func (s *Signer) tell(j directory.Judgement) {
	s.mu.Lock()
	s.unlisted, s.ledger = j.Unlisted, j.Ledger
	s.mu.Unlock()
	now := make(map[directory.RelayID]gossip.VerdictCode, len(s.told))
	for id, rule := range j.Unlisted {
		if code, ok := verdictOf(rule); ok && (rule != directory.RuleNotRunning || s.watcher.tried(id)) {
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

func verdictOf(r directory.Rule) (gossip.VerdictCode, bool) {
	switch r {
	case directory.RuleNotRunning:
		return gossip.VerdictUnreachable, true
	case directory.RuleAdmission:
		return gossip.VerdictTokenUsed, true
	case directory.RuleLeft:
		return 0, false
	}
	return gossip.VerdictOther, true
}
