package gossip

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"hearsay/directory"
)

// placeBit in a HEAD request asks for the head at a place in the log
// (SPEC.md §7.2). No epoch number is so high.
const placeBit = 1 << 63

// Specification constants of looking into peers' heads (SPEC.md §13.1).
const (
	doubtEvery   = 5 * time.Second // heads of one peer
	doubtTimeout = 20 * time.Second
)

// maxDoubted bounds the hashes of peers' heads that were looked at, and the peers.
const maxDoubted = 256

// suspicion is a peer that names a head which is not that of this node's history.
type suspicion struct {
	peer  Peer
	epoch uint64
	hash  [32]byte
}

// suspect notes what a peer's HELLO says of an epoch that this node has seen; it
// does not block.
func (n *Node) suspect(id directory.RelayID, h hello) {
	n.mu.Lock()
	seen := n.head != nil && h.epoch != 0 && h.epoch <= n.head.Header.Epoch && h.headerHash != n.head.Hash()
	n.mu.Unlock()
	if !seen {
		return
	}
	p, ok := n.peer(id)
	if !ok {
		return
	}
	select {
	case n.notices.suspicions <- suspicion{p, h.epoch, h.headerHash}:
	default:
	}
}

// lookInto fetches the head that a peer names, if it is not that of this node's
// history, and keeps the evidence if both were signed.
func (n *Node) lookInto(ctx context.Context, s suspicion) {
	own, err := n.headOf(s.epoch)
	if err != nil || own != nil && own.Hash() == s.hash {
		return
	}
	w := n.notices
	w.mu.Lock()
	_, looked := w.doubted[s.hash]
	if at, ok := w.doubters[s.peer.ID]; ok && time.Since(at) < doubtEvery {
		looked = true // by a later HELLO, if it says the same again
	}
	if !looked {
		if len(w.doubted) >= maxDoubted {
			clear(w.doubted)
		}
		if len(w.doubters) >= maxDoubted {
			clear(w.doubters)
		}
		w.doubted[s.hash], w.doubters[s.peer.ID] = struct{}{}, time.Now()
	}
	w.mu.Unlock()
	if looked {
		return
	}
	n.log.Warn("a peer holds another snapshot of an epoch", logPeer, s.peer.ID.String(), logEpoch, s.epoch)
	ctx, cancel := context.WithTimeout(ctx, doubtTimeout)
	defer cancel()
	a, err := ask(ctx, n.cfg.Dialer, s.peer, n.network)
	if err == nil {
		defer a.close()
		var other *directory.Head
		if other, err = a.headOf(s.epoch); err == nil && other != nil {
			n.accuse(own, other)
			return
		}
	}
	w.mu.Lock()
	delete(w.doubted, s.hash) // its next HELLO asks again
	w.mu.Unlock()
}

// headOf returns this node's head of an epoch, or at a place, nil if there is
// none.
func (n *Node) headOf(epoch uint64) (*directory.Head, error) {
	raw, err := n.answerHead(epoch)
	if err != nil || len(raw) == 0 {
		return nil, err
	}
	return directory.ParseHead(raw)
}

// accuse makes evidence of a head of this node's history and another one. Of
// another epoch's head, that at its place is taken.
func (n *Node) accuse(own, other *directory.Head) {
	if own == nil {
		var err error
		if own, err = n.headOf(placeBit | other.Header.LogSize); err != nil || own == nil {
			return
		}
	}
	n.mu.Lock()
	e, err := evidenceOf(n.chain, own, other, n.log6962)
	n.mu.Unlock()
	if err != nil {
		n.log.Info("two heads prove nothing", logEpoch, other.Header.Epoch, logReason, err)
		return
	}
	n.AddEvidence(e)
}

// accuseRelays makes evidence of the contradicting records of listed relays. Those
// of others are no matter to anybody: who makes up an identity can have it sign
// anything.
func (n *Node) accuseRelays() {
	view := n.cfg.Views.Current()
	for _, pair := range n.store.Conflicts() {
		if view == nil {
			return
		}
		if _, listed := view.Relay(pair[0].ID); !listed || n.accused(pair[0].ID) {
			continue
		}
		if e, err := n.Chain().RecordEvidence(pair[0], pair[1]); err == nil {
			n.AddEvidence(e)
		}
	}
}

// accused tells whether there is evidence against a relay.
func (n *Node) accused(id directory.RelayID) bool {
	return slices.ContainsFunc(n.Evidence(), func(e *directory.Evidence) bool {
		r, ok := e.Relay()
		return ok && r == id
	})
}

// evidenceOf makes evidence of two heads of one epoch or one place. log is that of
// the later one; it may be nil if no versions of the network file lie between.
func evidenceOf(chain *directory.Chain, a, b *directory.Head, log *directory.Log) (*directory.Evidence, error) {
	if a.Header.Epoch == b.Header.Epoch {
		return chain.ForkEvidence(a, b)
	}
	return chain.RewriteEvidence(a, b, log)
}

// contested deals with a snapshot that signers signed and that was refused because
// its log denies what this node has seen: it looks for evidence, and goes on from
// the fork if signers gave up what this node holds or founders have put an end to
// two histories (directory/SPEC.md §29.1). a is the stream that brought it. It
// returns nil if the snapshot was taken up all the same.
func (n *Node) contested(a *asker, raw []byte, s *directory.Snapshot, refused error) error {
	n.mu.Lock()
	own, chain, state := n.head, n.chain, n.state
	n.mu.Unlock()
	if !denies(refused) || own == nil {
		return refused
	}
	var states []directory.State
	if other, err := a.rival(own, &s.Head); err == nil && other != nil {
		n.accuse(own, other)
		if chain.VerifySigned(other, state) == nil {
			if st, ok := state.StepOver(other); ok {
				states = append(states, st)
			}
		}
	}
	for _, e := range n.Evidence() {
		states = append(states, chain.Fork(e, state)...)
	}
	for _, st := range states {
		if n.goOnFrom(a, raw, s, state, st) == nil {
			return nil
		}
	}
	return refused
}

// goOnFrom installs a snapshot on the log up to a fork and the other header there.
// What it changes is undone if the snapshot is refused.
func (n *Node) goOnFrom(a *asker, raw []byte, s *directory.Snapshot, from, to directory.State) error {
	n.installing.Lock()
	n.mu.Lock()
	log, current := n.log6962, n.state
	n.mu.Unlock()
	n.installing.Unlock()
	if current.Header != from.Header || s.Header.LogSize <= to.LogSize {
		return errLeaves
	}
	var before [][32]byte
	if root, err := log.Root(to.LogSize); err == nil && root == to.LogRoot {
		before = slices.Clone(log.Leaves(0)[:to.LogSize])
	} else if before, err = a.leaves(0, to.LogSize); err != nil {
		return err
	}
	other, err := directory.LogOf(append(before, directory.HeaderLeaf(to.Header)))
	if err != nil {
		return err
	}
	if root, err := other.Root(to.LogSize); err != nil || root != to.LogRoot {
		return errors.Join(errLeaves, err)
	}
	var leaves [][32]byte
	if known := other.Size(); s.Header.LogSize > known {
		if leaves, err = a.leaves(known, s.Header.LogSize); err != nil {
			return err
		}
	}
	if !n.swapHistory(from, to, other) {
		return errLeaves
	}
	if err := n.install(raw, s, leaves, time.Now()); err != nil {
		n.swapHistory(to, from, log)
		return err
	}
	n.log.Warn("this node goes on by another history than it was shown", logEpoch, s.Header.Epoch)
	return nil
}

// swapHistory puts another state and log in the place of those of the state from,
// if that is still the one. On disk it is the log alone: after a crash the state of
// before refuses the new history once more, and comes here again.
func (n *Node) swapHistory(from, to directory.State, log *directory.Log) bool {
	n.installing.Lock()
	defer n.installing.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state.Header != from.Header || n.state.LogSize != from.LogSize {
		return false
	}
	first, old := uint64(0), n.log6962.Leaves(0)
	for _, leaf := range log.Leaves(0) {
		if first == uint64(len(old)) || old[first] != leaf {
			break
		}
		first++
	}
	if err := n.archive.saveLeaves(first, log.Leaves(first)); err != nil {
		n.log.Error("log not saved", logReason, err)
		return false
	}
	n.state, n.log6962 = to, log
	return true
}

// denies tells whether a snapshot was refused because of its history.
func denies(refused error) bool {
	return errors.Is(refused, directory.ErrLog) || errors.Is(refused, directory.ErrRollback) || errors.Is(refused, errLeaves)
}

// rival returns the head that stands in the place of own in the log that newest
// belongs to: newest itself, or one that the peer gives. Nil: the peer has none, or
// it is own.
func (a *asker) rival(own, newest *directory.Head) (*directory.Head, error) {
	other := newest
	if newest.Header.Epoch != own.Header.Epoch && newest.Header.LogSize != own.Header.LogSize {
		var err error
		if other, err = a.headOf(own.Header.Epoch); err == nil && other == nil {
			other, err = a.headOf(placeBit | own.Header.LogSize)
		}
		if err != nil || other == nil {
			return nil, err
		}
	}
	if other.Hash() == own.Hash() {
		return nil, nil
	}
	return other, nil
}

// headOf asks for the head of an epoch, or with placeBit at a place in the log.
// Nil: the peer does not have it. Nothing is verified.
func (a *asker) headOf(epoch uint64) (*directory.Head, error) {
	b, err := a.do(TypeHead, binary.BigEndian.AppendUint64(nil, epoch))
	if err != nil || len(b) == 0 {
		return nil, err
	}
	h, err := directory.ParseHead(b)
	if err != nil {
		return nil, err
	}
	switch {
	case epoch&placeBit != 0 && h.Header.LogSize != epoch&^placeBit,
		epoch&placeBit == 0 && epoch != 0 && h.Header.Epoch != epoch:
		return nil, fmt.Errorf("%w: another head than asked for", errAnswer)
	}
	return h, nil
}
