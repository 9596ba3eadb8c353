package gossip

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"hearsay/directory"
)

// Specification constants: what a node keeps of notices (SPEC.md §13.1). Each is
// far above what honest people cause.
const (
	maxSevere     = 64  // pieces of evidence of two histories
	maxVotePairs  = 16  // of two votes, of up to 3.7 MB each
	maxRecordPair = 128 // of two records of a relay
	maxSuccessors = 4   // networks that founders name

	evidenceEvery = 10 * time.Second // a peer may have one piece looked at
	evidenceBurst = 32               // and so many at once
	allEvidence   = 2                // a second, of all peers
	allBurst      = 128
	reportEvery   = 2 * time.Second // evidence handed in over circuits, of all askers
	reportBurst   = 8

	offerAgain = 6 * time.Hour // then a peer is given anew what it was given
	offerMost  = 64            // pieces at once on a stream
)

// Implementation constants: memory.
const (
	maxLooked     = 4096 // hashes of evidence that was looked at
	maxAwaited    = 4    // pieces that wait for a newer network file
	maxSuspicions = 16   // peers whose head is to be looked at
)

// notices are what everybody must hear: evidence against signers and relays, the
// network that founders name as successor, and the words of witnesses
// (SPEC.md §13). It is safe for concurrent use.
type notices struct {
	suspicions chan suspicion // when full they are dropped: the next HELLO says it again
	changed    chan struct{}  // capacity 1: something is to be written or looked at again

	mu         sync.Mutex
	evidence   []*directory.Evidence // only grows
	looked     map[[32]byte]struct{} // by SHA-256 of the evidence
	awaited    [][]byte
	successors []*directory.Successor
	peers      map[directory.RelayID]*listener
	all        *rate.Limiter
	reports    *rate.Limiter
	doubted    map[[32]byte]struct{}           // heads of peers that were looked at, by hash
	doubters   map[directory.RelayID]time.Time // when a head of a peer was looked at last

	witnessing
}

// listener is what is remembered of a peer across its streams.
type listener struct {
	given  int // pieces of evidence that it has
	at     time.Time
	looked *rate.Limiter
}

func newNotices() *notices {
	return &notices{
		suspicions: make(chan suspicion, maxSuspicions), changed: make(chan struct{}, 1),
		looked: make(map[[32]byte]struct{}), peers: make(map[directory.RelayID]*listener),
		doubted: make(map[[32]byte]struct{}), doubters: make(map[directory.RelayID]time.Time),
		all: rate.NewLimiter(allEvidence, allBurst), reports: rate.NewLimiter(rate.Every(reportEvery), reportBurst),
	}
}

// restoreNotices takes up what the last run kept.
func (n *Node) restoreNotices() error {
	raws, err := n.archive.notices(noticeEvidence)
	if err != nil {
		return err
	}
	for _, raw := range raws {
		e, err := n.chain.ParseEvidence(raw)
		if err != nil {
			n.log.Warn("stored evidence is not used", logReason, err)
			continue
		}
		n.notices.evidence = append(n.notices.evidence, e)
		n.notices.looked[sha256.Sum256(raw)] = struct{}{}
	}
	if raws, err = n.archive.notices(noticeSuccessor); err != nil {
		return err
	}
	for _, raw := range raws {
		s, err := n.chain.ParseSuccessor(raw)
		if err != nil {
			n.log.Warn("a stored notice of a successor is not used", logReason, err)
			continue
		}
		n.notices.successors = append(n.notices.successors, s)
	}
	n.notices.by = n.view
	n.warnOfNotices()
	return nil
}

// Evidence returns what is held against signers and relays.
func (n *Node) Evidence() []*directory.Evidence {
	n.notices.mu.Lock()
	defer n.notices.mu.Unlock()
	return slices.Clone(n.notices.evidence)
}

// AddEvidence keeps evidence that this node found itself and spreads it before
// all else. What blames nobody new is dropped.
func (n *Node) AddEvidence(e *directory.Evidence) { n.takeEvidence(e, nil) }

// takeEvidence keeps, logs and spreads verified evidence; from is the stream that
// brought it, nil for this node. It tells whether the evidence was new.
func (n *Node) takeEvidence(e *directory.Evidence, from *session) bool {
	listed := true
	if id, ok := e.Relay(); ok {
		view := n.cfg.Views.Current()
		listed = view != nil
		if listed {
			_, listed = view.Relay(id)
		}
	}
	w := n.notices
	w.mu.Lock()
	w.lookedLocked(e.Raw())
	if !listed || !e.News(w.evidence) || !w.roomLocked(e) {
		w.mu.Unlock()
		return false
	}
	w.evidence = append(w.evidence, e)
	w.mu.Unlock()
	if err := n.archive.saveNotice(noticeEvidence, e.Raw()); err != nil {
		n.log.Error("evidence is not saved", logReason, err)
	}
	if e.Severe() {
		n.log.Error("EVIDENCE: people were shown two histories of the network; its founders must replace these signers", logReason, e.Text())
	} else {
		n.log.Warn("evidence", logReason, e.Text())
	}
	n.warnOfNotices()
	frames := splitMessage(TypeEvidence, e.Raw())
	for _, ss := range n.open() {
		if from == nil || ss.peer != from.peer {
			ss.sendFrames(frames)
		}
	}
	return true
}

// roomLocked tells whether a piece of this kind may be kept. w.mu is held.
func (w *notices) roomLocked(e *directory.Evidence) bool {
	most, have := maxRecordPair, 0
	for _, o := range w.evidence {
		if o.Kind() == e.Kind() || o.Severe() && e.Severe() {
			have++
		}
	}
	switch {
	case e.Severe():
		most = maxSevere
	case e.Kind() == directory.EvidenceVotes:
		most = maxVotePairs
	}
	return have < most
}

// lookedLocked notes that evidence was looked at, so that its copies cost a hash.
func (w *notices) lookedLocked(raw []byte) {
	if len(w.looked) >= maxLooked {
		clear(w.looked)
		for _, e := range w.evidence {
			w.looked[sha256.Sum256(e.Raw())] = struct{}{}
		}
	}
	w.looked[sha256.Sum256(raw)] = struct{}{}
}

// listenerLocked returns the entry of a peer; when there are too many, all start
// anew.
func (w *notices) listenerLocked(id directory.RelayID, now time.Time, lab bool) *listener {
	l := w.peers[id]
	if l == nil {
		if len(w.peers) >= maxPeersKnown {
			clear(w.peers)
		}
		l = &listener{at: now, looked: rate.NewLimiter(rate.Every(evidenceEvery), evidenceBurst)}
		w.peers[id] = l
	}
	if now.Sub(l.at) > directory.Scale(lab, offerAgain) {
		l.given, l.at = 0, now
	}
	return l
}

// mayLook tells whether evidence of a peer is worth looking at: it is no copy, and
// the peer has not had more than its share looked at.
func (w *notices) mayLook(id directory.RelayID, raw []byte, lab bool, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.looked[sha256.Sum256(raw)]; ok {
		return false
	}
	return w.listenerLocked(id, now, lab).looked.AllowN(now, 1) && w.all.AllowN(now, 1)
}

// onEvidence takes a piece of evidence from a peer. Peers pass on only what they
// verified: one that proves nothing costs the peer what a bad record does.
func (ss *session) onEvidence(body []byte) error {
	n, now := ss.n, time.Now()
	if !n.notices.mayLook(ss.peer, body, n.lab, now) {
		return nil
	}
	e, err := n.Chain().ParseEvidence(body)
	switch {
	case errors.Is(err, directory.ErrFileBehind):
		n.notices.await(body)
	case err != nil:
		n.log.Warn("evidence of a peer proves nothing", logPeer, ss.peer.String(), logReason, err)
		n.limits.punish(ss.peer, now)
		return errRefused
	default:
		n.takeEvidence(e, ss)
	}
	return nil
}

// await keeps evidence against signers of a newer version of the network file
// until that is there.
func (w *notices) await(raw []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := slices.ContainsFunc(w.awaited, func(o []byte) bool { return bytes.Equal(o, raw) })
	if len(w.awaited) < maxAwaited && len(raw) <= maxReport && !known {
		w.awaited = append(w.awaited, bytes.Clone(raw))
	}
}

// retryAwaited looks at evidence that waited for the network file.
func (n *Node) retryAwaited() {
	w := n.notices
	w.mu.Lock()
	list := w.awaited
	w.awaited = nil
	w.mu.Unlock()
	for _, raw := range list {
		e, err := n.Chain().ParseEvidence(raw)
		if errors.Is(err, directory.ErrFileBehind) {
			w.await(raw)
		} else if err == nil {
			n.takeEvidence(e, nil)
		}
	}
}

// offerNotices gives a peer that has just greeted what is held.
func (ss *session) offerNotices() {
	ss.offerEvidence()
	w := ss.n.notices
	w.mu.Lock()
	successors := slices.Clone(w.successors)
	w.mu.Unlock()
	for _, s := range successors {
		ss.send(TypeSuccessor, s.Bytes())
	}
	ss.n.mu.Lock()
	head := ss.n.head
	ss.n.mu.Unlock()
	if head == nil {
		return
	}
	for _, x := range head.Witnesses() {
		ss.send(TypeWitness, appendWitness(nil, head.Hash(), x))
	}
}

// offerEvidence gives a peer the evidence that it was not given yet, the severe
// first, a part of it at a time.
func (ss *session) offerEvidence() {
	w := ss.n.notices
	w.mu.Lock()
	l := w.listenerLocked(ss.peer, time.Now(), ss.n.lab)
	part := slices.Clone(w.evidence[min(l.given, len(w.evidence)):])
	part = part[:min(len(part), offerMost)]
	l.given += len(part)
	w.mu.Unlock()
	sortEvidence(part)
	for _, e := range part {
		ss.sendFrames(splitMessage(TypeEvidence, e.Raw()))
	}
}

// sortEvidence puts the severe first and votes last.
func sortEvidence(list []*directory.Evidence) {
	rank := func(e *directory.Evidence) int {
		switch {
		case e.Severe():
			return 0
		case e.Kind() == directory.EvidenceVotes:
			return 2
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b *directory.Evidence) int { return rank(a) - rank(b) })
}

// splitMessage returns the frames of one message, each by itself.
func splitMessage(t Type, body []byte) [][]byte {
	b := appendMessage(nil, t, body)
	var frames [][]byte
	for len(b) > 0 {
		n := min(len(b), frameHeaderSize+maxFrameBody)
		frames = append(frames, b[:n:n])
		b = b[n:]
	}
	return frames
}

// sendFrames queues the frames of one message, which all streams share. Each is
// written by itself, so that a slow peer has its time for each.
func (ss *session) sendFrames(frames [][]byte) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	switch {
	case ss.ended:
		return
	case len(ss.queue)+len(frames) > maxQueue:
		ss.ended, ss.bye, ss.queue, ss.owed = true, nil, nil, nil
	default:
		ss.queue = append(ss.queue, frames...)
	}
	ss.wakeLocked()
}

// answerNotices answers the request for notices: evidence of two histories, then
// what founders say, then what else fits.
func (n *Node) answerNotices() []byte {
	w := n.notices
	w.mu.Lock()
	evidence, successors := slices.Clone(w.evidence), slices.Clone(w.successors)
	w.mu.Unlock()
	sortEvidence(evidence)
	var b []byte
	add := func(kind noticeKind, raw []byte) {
		if len(b)+5+len(raw) <= maxNoticesAnswer {
			b = appendNotice(b, notice{kind, raw})
		}
	}
	for _, severe := range []bool{true, false} {
		for _, e := range evidence {
			if e.Severe() == severe {
				add(noticeEvidence, e.Raw())
			}
		}
		if severe {
			for _, s := range successors {
				add(noticeSuccessor, s.Bytes())
			}
		}
	}
	return b
}

// What became of evidence that was handed in (SPEC.md §13.4).
const (
	reportRefused byte = iota // it proves nothing
	reportKnown               // or blames nobody new
	reportTaken
	reportBusy
)

// answerReport takes evidence of two histories from a client.
func (n *Node) answerReport(body []byte) []byte {
	w := n.notices
	w.mu.Lock()
	_, known := w.looked[sha256.Sum256(body)]
	busy := !known && !w.reports.Allow()
	w.mu.Unlock()
	switch {
	case known:
		return []byte{reportKnown}
	case busy:
		return []byte{reportBusy}
	}
	e, err := n.Chain().ParseEvidence(body)
	switch {
	case errors.Is(err, directory.ErrFileBehind):
		w.await(body)
		return []byte{reportKnown}
	case err != nil || !e.Severe():
		return []byte{reportRefused}
	case n.takeEvidence(e, nil):
		return []byte{reportTaken}
	}
	return []byte{reportKnown}
}

// warnOfNotices tells who uses this node's views what is held.
func (n *Node) warnOfNotices() {
	w := n.notices
	w.mu.Lock()
	evidence, successors := slices.Clone(w.evidence), slices.Clone(w.successors)
	w.mu.Unlock()
	if n.cfg.Views == nil {
		return
	}
	chain := n.Chain()
	n.cfg.Views.Warn(directory.WarnEvidence, evidenceWarnings(chain, evidence, time.Now())...)
	n.cfg.Views.Warn(directory.WarnSuccessor, successorWarnings(chain, successors)...)
}

// evidenceWarnings says in plain words what evidence means that founders have not
// answered.
func evidenceWarnings(chain *directory.Chain, held []*directory.Evidence, now time.Time) []directory.Warning {
	var list []directory.Warning
	for _, e := range held {
		if e.Severe() && !chain.Answered(e) {
			list = append(list, directory.Warning{Text: e.Text(), Since: now})
		}
	}
	return list
}

// watchNotices runs what notices need until ctx ends.
func (n *Node) watchNotices(ctx context.Context) {
	save := time.NewTimer(time.Hour)
	defer save.Stop()
	for {
		changed := n.snapshotChanged()
		select {
		case <-ctx.Done():
			n.saveWitnessed()
			return
		case s := <-n.notices.suspicions:
			n.lookInto(ctx, s)
		case <-n.notices.changed:
			save.Reset(witnessSave)
		case <-save.C:
			n.saveWitnessed()
		case <-changed:
			n.retryAwaited()
			n.accuseRelays()
			n.warnOfNotices()
			for _, ss := range n.open() {
				ss.offerEvidence()
			}
		}
	}
}
