package gossip

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"hearsay/directory"
)

var errLeaves = errors.New("gossip: the peer's log leaves do not lead to the snapshot's log root")

// AddSnapshot verifies and installs a snapshot, as a signer releases it, and
// tells the connected peers. log holds all leaves before the snapshot's own;
// nil: those that this node knows are enough.
func (n *Node) AddSnapshot(raw []byte, log *directory.Log) error {
	s, err := directory.ParseSnapshot(raw)
	if err != nil {
		return err
	}
	n.mu.Lock()
	known := n.log6962.Size()
	n.mu.Unlock()
	var leaves [][32]byte
	if log != nil {
		all := log.Leaves(0)
		upTo := min(s.Header.LogSize, uint64(len(all)))
		leaves = all[min(known, upTo):upTo]
	}
	return n.install(raw, s, leaves, time.Now())
}

// install verifies a snapshot, with the log leaves that this node lacks before
// it, writes it to disk and then shows it. A snapshot that fails changes
// nothing.
func (n *Node) install(raw []byte, s *directory.Snapshot, leaves [][32]byte, now time.Time) error {
	n.installing.Lock()
	defer n.installing.Unlock()
	n.mu.Lock()
	chain, state, log := n.chain, n.state, n.log6962
	n.mu.Unlock()

	// The log is only changed under installing, so it may be read here. Leaves
	// that are not yet proven go into a copy.
	known := log.Size()
	if len(leaves) > 0 {
		var err error
		if log, err = directory.LogOf(slices.Concat(log.Leaves(0), leaves)); err != nil {
			return err
		}
	}
	size := s.Header.LogSize
	proof, err := log.Prove(state.ProofRange(size))
	if err != nil {
		proof = directory.Proof{} // Verify names the rule that fails
	}
	view, next, err := chain.Verify(s, state, proof, now)
	if err != nil {
		return err
	}
	if _, behind := s.Header.Ahead(now); behind {
		return fmt.Errorf("snapshot refused: age: %w", directory.ErrSlowClock)
	}
	if root, err := log.Root(size); err != nil || root != s.Header.LogRoot || size != log.Size() {
		return errors.Join(errLeaves, err)
	}
	if raw, err = n.cleanWitnesses(raw, s, view); err != nil {
		return err
	}
	head, err := s.Head.Encode()
	if err != nil {
		return err
	}
	if state.Epoch == 0 {
		known = 0 // the leaf of version 1 of the network file is not on disk yet
	}
	own := directory.HeaderLeaf(s.Hash())
	added := append(slices.Clone(log.Leaves(known)), own)
	if err := n.archive.saveSnapshot(raw, head, &s.Header, next, known, added); err != nil {
		return fmt.Errorf("gossip: save snapshot: %w", err)
	}
	n.mu.Lock()
	if len(leaves) > 0 {
		n.log6962 = log
	}
	err = n.log6962.AddLeaf(own)
	n.state = next
	n.showLocked(raw, &s.Head, view)
	n.mu.Unlock()
	n.log.Info("new snapshot", logEpoch, s.Header.Epoch, logCount, len(view.Relays()))
	n.addBase(s)
	n.witness(&s.Head)
	for _, ss := range n.open() {
		ss.send(TypeHello, n.hello().append(nil))
	}
	return err
}

// cleanWitnesses leaves in a head only the valid signatures of relays that this
// node's last view or the new one names witnesses: whoever gave the snapshot can
// have put anything there, and this node passes it on.
func (n *Node) cleanWitnesses(raw []byte, s *directory.Snapshot, view *directory.View) ([]byte, error) {
	count := len(s.Witnesses())
	if count == 0 {
		return raw, nil
	}
	n.mu.Lock()
	views := [2]*directory.View{n.view, view}
	n.mu.Unlock()
	s.KeepWitnesses(func(id directory.RelayID) bool {
		for _, v := range views {
			if v == nil {
				continue
			}
			if r, ok := v.Relay(id); ok && r.Flags&directory.FlagWitness != 0 {
				return true
			}
		}
		return false
	})
	if len(s.Witnesses()) == count {
		return raw, nil
	}
	return s.Encode()
}

// showLocked makes a verified snapshot the current one.
func (n *Node) showLocked(raw []byte, head *directory.Head, view *directory.View) {
	n.snapshot, n.head, n.view = raw, head, view
	n.store.setListed(func(id directory.RelayID) bool {
		_, ok := view.Relay(id)
		return ok
	}, len(view.Relays()))
	n.cfg.Views.Set(view)
	close(n.announce)
	n.announce = make(chan struct{})
}

// extend takes up newer versions of the network file.
func (n *Node) extend(raws [][]byte, now time.Time) error {
	n.installing.Lock()
	defer n.installing.Unlock()
	chain, err := n.Chain().Extend(raws, now)
	if err != nil {
		return err
	}
	if err := n.archive.saveFiles(chain); err != nil {
		return fmt.Errorf("gossip: save network file: %w", err)
	}
	n.mu.Lock()
	n.chain = chain
	n.mu.Unlock()
	return nil
}
