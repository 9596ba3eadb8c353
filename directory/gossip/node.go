package gossip

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"hearsay/directory"
)

// ErrNoNetwork is returned by NewNode if neither the configuration nor the
// state directory holds the network file.
var ErrNoNetwork = errors.New("gossip: the network file is not known yet; fetch it first")

// RefusedError tells why a record was refused. Its text is fit for operators.
type RefusedError struct{ Verdict VerdictCode }

func (e *RefusedError) Error() string { return "gossip: " + e.Verdict.String() }

// NodeConfig configures a Node.
type NodeConfig struct {
	Role Role              // RoleRelay or RoleDirectory
	Self directory.RelayID // own identity; never dialed
	Link directory.NetworkLink
	// Files are the raw versions of the network file in order, as FetchNetwork
	// returns them. Nil: those in Dir, from an earlier run.
	Files  [][]byte
	Dialer Dialer
	// Views receives each verified snapshot.
	Views *directory.Views
	// Circuits opens directory streams over circuits, to compare heads and to look
	// after the own descriptor. Nil: neither is done.
	Circuits CircuitDialer
	// Identity is the relay's identity key, with which it signs heads while it is
	// a witness. Nil: it is none.
	Identity ed25519.PrivateKey
	// Judged is told what the bootstraps say of this relay's own record, each time
	// that they do. It must not wait. Nil: Status alone tells.
	Judged func(VerdictCode)
	// Dir is the state directory, created if missing, of this Node alone.
	Dir string
	Log *slog.Logger // nil: discard
}

// Node is the gossiping side of a relay or directory node. Its methods are
// safe for concurrent use.
type Node struct {
	cfg     NodeConfig
	network directory.NetworkID
	lab     bool
	log     *slog.Logger
	store   *Store
	limits  *limits
	archive *archive
	secret  []byte
	pulls   chan announced // when full they are dropped: search looks by itself
	board   *board
	notices *notices
	bases   *bases
	works   *works
	told    told
	parts   parts

	clocks clocks
	// What is answered to known nodes, to others on links, and to circuits.
	nodes, clients, circuits *answers

	installing sync.Mutex // held while a snapshot is verified, saved and shown

	mu       sync.Mutex
	chain    *directory.Chain
	state    directory.State
	log6962  *directory.Log // of all headers known, the newest included
	snapshot []byte
	head     *directory.Head
	view     *directory.View
	sessions map[*session]struct{}
	asked    map[have]asking              // rumours for which peers were asked
	swept    time.Time                    // when old ones were last looked for
	admitted func(directory.RelayID) bool // nil: those listed
	verdict  VerdictCode
	judgedAt time.Time
	announce chan struct{} // closed and replaced at each new snapshot
	heads    headWatch
}

// NewNode loads the state in cfg.Dir, verifies it and sets cfg.Views from it.
// Close releases the files again; Run need not have been called.
func NewNode(cfg NodeConfig) (*Node, error) {
	a, err := openSound(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	n := newNode(cfg, a)
	if err := guarded(func() error { return n.restore(time.Now()) }); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return n, nil
}

// newNode makes a node that has restored nothing yet: no network file, no
// records. Nodes of a simulation share an archive.
func newNode(cfg NodeConfig, a *archive) *Node {
	return &Node{
		cfg: cfg, network: cfg.Link.ID, log: orDiscard(cfg.Log), archive: a,
		nodes: newAnswers(), clients: newAnswers(), circuits: newAnswers(),
		pulls:    make(chan announced, 16),
		sessions: make(map[*session]struct{}),
		asked:    make(map[have]asking),
		announce: make(chan struct{}),
		board:    newBoard(), notices: newNotices(), bases: newBases(), works: newWorks(),
	}
}

func (n *Node) restore(now time.Time) error {
	raws, err := n.archive.files()
	if err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	own := len(n.cfg.Files) <= len(raws)
	if !own {
		raws = n.cfg.Files
	}
	if len(raws) == 0 {
		return ErrNoNetwork
	}
	if n.chain, err = directory.VerifyChain(n.network, raws, now); err != nil {
		if own && !errors.Is(err, directory.ErrExpired) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return err
	}
	if err := n.archive.saveFiles(n.chain); err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	n.lab = n.chain.Current().Lab
	n.limits = newLimits(n.lab)
	n.store = newStore(n.network, n.lab)
	s, err := n.archive.load()
	if err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	if n.secret = s.secret; len(n.secret) != 32 {
		n.secret = make([]byte, 32)
		_, _ = rand.Read(n.secret) // never fails
		if err := n.archive.saveSecret(n.secret); err != nil {
			return fmt.Errorf("gossip: %w", err)
		}
	}
	if err := n.restoreSnapshot(s, now); err != nil {
		return err
	}
	if err := n.restoreNotices(); err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	if err := n.store.load(n.recordsPath(), trusting(n.rules()), now); err != nil {
		// Records come back by gossip, so a damaged file costs a minute.
		n.log.Warn("records of the last run are not used", logReason, err)
	}
	return nil
}

// Close closes the state files. Call it after Run and all Serve calls ended.
func (n *Node) Close() error {
	return errors.Join(n.store.save(n.recordsPath()), n.archive.close())
}

func (n *Node) recordsPath() string { return filepath.Join(n.cfg.Dir, recordsName) }

// Store returns the records held.
func (n *Node) Store() *Store { return n.store }

// Views returns the views that this node keeps fresh.
func (n *Node) Views() *directory.Views { return n.cfg.Views }

// Chain returns the verified network file.
func (n *Node) Chain() *directory.Chain {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.chain
}

// rules decide which records are taken.
func (n *Node) rules() directory.Rules {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.chain.Rules()
	view, admitted := n.view, n.admitted
	r.Listed = func(id directory.RelayID) bool {
		if view != nil {
			if _, ok := view.Relay(id); ok {
				return true
			}
		}
		return admitted != nil && admitted(id)
	}
	n.joinRules(&r, view)
	return r
}

// hello describes this node now.
func (n *Node) hello() hello {
	items, print := n.store.set()
	n.mu.Lock()
	defer n.mu.Unlock()
	h := hello{
		role: n.cfg.Role, network: n.network, time: time.Now(),
		fileVersion: uint32(n.chain.Current().Version),
		count:       uint32(len(items)), fingerprint: print,
	}
	if n.head != nil {
		d := &n.head.Header
		h.epoch, h.headerHash, h.logSize, h.logRoot = d.Epoch, n.head.Hash(), d.LogSize, d.LogRoot
	}
	return h
}

// heard notes what a peer said of itself, and queues a pull if it is ahead.
func (n *Node) heard(id directory.RelayID, h hello) {
	n.heardClock(id, h)
	n.mu.Lock()
	ahead := n.behindLocked(h)
	n.mu.Unlock()
	n.suspect(id, h)
	if !ahead {
		return
	}
	p, ok := n.peer(id)
	if !ok && n.needs(id) {
		p, ok = Peer{ID: id}, true // a signer's node without an address: over the link that it made
	}
	if ok {
		select {
		case n.pulls <- announced{p, h}:
		default:
		}
	}
}

// announced is a peer that said it has something newer.
type announced struct {
	peer  Peer
	hello hello
}

// behindLocked tells whether a peer has a newer snapshot or network file.
func (n *Node) behindLocked(h hello) bool {
	return uint64(h.fileVersion) > n.chain.Current().Version || h.epoch > n.state.Epoch
}

func (n *Node) behind(h hello) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.behindLocked(h)
}

// SetAdmitted says which relays need no valid admission any more although they
// are not listed now, as a signer's ledger remembers. f must be safe for
// concurrent use and must not call the node.
func (n *Node) SetAdmitted(f func(directory.RelayID) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.admitted = f
}

// Publish stores this node's own signed descriptor (or, at a directory node,
// one handed over before it runs) and spreads it. It fails with the reason if
// the network's rules refuse it.
func (n *Node) Publish(raw []byte) error {
	now := time.Now()
	r, err := directory.ParseRecord(n.rules(), raw, now)
	if err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	code, fresh := n.store.put(r, now)
	if code != VerdictHeld {
		return &RefusedError{Verdict: code}
	}
	if fresh {
		n.spread(r, nil, 0)
	}
	return nil
}

// take verifies and stores a record that a peer gave. The record is nil if it
// does not verify; errRefused means that the peer must not be served further.
func (n *Node) take(ss *session, raw []byte) (*directory.Record, VerdictCode, error) {
	now := time.Now()
	sum := sha256.Sum256(raw)
	if r, ok := n.store.held(digest(sum[:16])); ok {
		return r, VerdictHeld, nil
	}
	if !n.limits.record(ss.peer, len(raw), n.store.Len()-ss.disputed, n.believed(ss), now) {
		return nil, VerdictRate, nil
	}
	r, err := directory.ParseRecord(n.rulesFor(ss.peer), raw, now)
	if err != nil {
		code := VerdictOf(err)
		n.log.Info("record refused", logPeer, ss.peer.String(), logReason, err)
		if code.convicts(n.isOf(raw, nil, ss.peer)) {
			n.limits.punish(ss.peer, now)
			return nil, code, errRefused
		}
		return nil, code, nil
	}
	code, fresh := n.store.put(r, now)
	if fresh {
		n.spread(r, ss, rumourDelay)
	}
	return r, code, nil
}

// isOf tells whether a record is of the relay. One that does not verify (r is
// nil) is taken for a relay's own if it holds the relay's identity.
func (n *Node) isOf(raw []byte, r *directory.Record, id directory.RelayID) bool {
	if r != nil {
		return r.ID == id
	}
	return bytes.Contains(raw, id[:])
}

// spread announces a record on all streams but the one it came from.
func (n *Node) spread(r *directory.Record, from *session, within time.Duration) {
	k, d := directory.GossipKey(n.network, r.ID), r.Value()
	h := have{key: shortKey(k[:8]), seq: r.Seq, digest: shortDigest(d[:8])}
	for _, ss := range n.open() {
		if ss != from && (from == nil || ss.peer != from.peer) {
			ss.rumour(h, randomDelay(within))
		}
	}
}

func (n *Node) open() []*session {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]*session, 0, len(n.sessions))
	for ss := range n.sessions {
		list = append(list, ss)
	}
	return list
}

// asking tells when a record was last asked for after a rumour, and how often.
type asking struct {
	at    time.Time
	times int
}

// claim tells whether the record may be asked for now: once a second, so that a
// record is fetched from its first announcer, and from the next if that fails. A
// record that so many did not give, or that is refused, is left to
// reconciliation: then it may not be asked for again either.
func (n *Node) claim(h have, now time.Time) (ok, again bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.asked[h]
	if a.times >= maxAsked {
		return false, false
	}
	if a.times > 0 && now.Sub(a.at) < secondAsk {
		return false, true
	}
	if a.times == 0 && len(n.asked) >= maxHave {
		if now.Sub(n.swept) >= secondAsk {
			n.swept = now
			for old, at := range n.asked {
				if now.Sub(at.at) >= 2*secondAsk {
					delete(n.asked, old)
				}
			}
		}
		if len(n.asked) >= maxHave {
			return false, true
		}
	}
	n.asked[h] = asking{now, a.times + 1}
	return true, true
}

// judged notes what a bootstrap says of the own descriptor.
func (n *Node) judged(peer directory.RelayID, code VerdictCode) {
	n.mu.Lock()
	_, ok := n.bootstrapLocked(peer)
	changed := code != n.verdict
	if ok {
		n.verdict, n.judgedAt = code, time.Now()
	}
	n.mu.Unlock()
	switch {
	case !ok:
	case n.cfg.Judged != nil:
		n.cfg.Judged(code)
	case changed && code != VerdictHeld:
		n.log.Warn("the directory does not take this relay's descriptor", logReason, code.String())
	}
}

// Status tells how the node stands.
type Status struct {
	Peers   int         // different nodes with a gossip stream
	Records int         // descriptors and leave notices held
	Epoch   uint64      // of the newest snapshot, 0 none
	Listed  bool        // Self is in the newest snapshot
	Verdict VerdictCode // last word of a bootstrap on the own descriptor
	Heard   bool        // whether a bootstrap gave a verdict

	Stalled    bool      // two epochs went by without a new snapshot
	Agreed     int       // of three relays asked over circuits, how many hold the same history
	ComparedAt time.Time // when they were asked; zero: not yet
	Differing  int       // signed heads seen that deny this node's, since the start
	Missing    int       // of two relays asked, how many lack the own descriptor
	LookedAt   time.Time // when they were asked; zero: not yet
}

// Status returns how the node stands now.
func (n *Node) Status() Status {
	records := n.store.Len()
	n.mu.Lock()
	defer n.mu.Unlock()
	s := Status{Records: records, Verdict: n.verdict, Heard: !n.judgedAt.IsZero()}
	peers := make(map[directory.RelayID]bool)
	for ss := range n.sessions {
		peers[ss.peer] = true
	}
	s.Peers = len(peers)
	if n.view != nil {
		s.Epoch = n.view.Epoch()
		_, s.Listed = n.view.Relay(n.cfg.Self)
		s.Stalled = n.stalledLocked(time.Now())
	}
	w := &n.heads
	s.Agreed, s.ComparedAt, s.Differing = w.agreed, w.comparedAt, w.differing
	s.Missing, s.LookedAt = w.missing, w.lookedAt
	return s
}

// ServeGossip serves a gossip stream (kind 0x20) that the proven peer opened.
// It returns when the stream ended, and has closed it.
func (n *Node) ServeGossip(ctx context.Context, peer directory.RelayID, s Stream) error {
	network, _ := networkOf(s)
	code, retry, ok := n.admit(peer, network)
	if !ok {
		return refuse(ctx, s, code, retry)
	}
	return n.converse(ctx, peer, s, false, false)
}

// converse runs one stream whose place was taken by limits.open.
func (n *Node) converse(ctx context.Context, peer directory.RelayID, s Stream, opener, once bool) error {
	defer n.limits.close(peer)
	ss := newSession(n, peer, s, opener, once)
	n.mu.Lock()
	n.sessions[ss] = struct{}{}
	n.mu.Unlock()
	err := ss.run(ctx)
	n.mu.Lock()
	delete(n.sessions, ss)
	n.mu.Unlock()
	n.log.Debug("gossip stream ended", logPeer, peer.String(), logReason, err)
	return err
}

// refuse answers a stream with BYE alone.
func refuse(ctx context.Context, s Stream, code ByeCode, retry time.Duration) error {
	stop := context.AfterFunc(ctx, func() { _ = s.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = s.SetDeadline(time.Now().Add(frameTimeout))
	_, err := s.Write(appendMessage(nil, TypeBye, appendBye(nil, code, retry)))
	return errors.Join(err, s.Close())
}
