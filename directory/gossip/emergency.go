package gossip

import (
	"errors"
	"fmt"
	"time"

	"hearsay/directory"
)

// ErrNoSnapshot is returned by LastSnapshot of a node that never held one.
var ErrNoSnapshot = errors.New("gossip: no snapshot was ever held here")

// LastSnapshot returns the newest snapshot that this node verified, however old
// it is, and the log up to and including it.
func (n *Node) LastSnapshot() (*directory.Snapshot, *directory.Log, error) {
	s, err := n.archive.load()
	if err != nil {
		return nil, nil, fmt.Errorf("gossip: %w", err)
	}
	if s.snapshot == nil {
		return nil, nil, ErrNoSnapshot
	}
	snap, err := directory.ParseSnapshot(s.snapshot)
	if err != nil {
		return nil, nil, fmt.Errorf("gossip: stored snapshot: %w", err)
	}
	log, err := directory.LogOf(s.leaves)
	if err != nil {
		return nil, nil, fmt.Errorf("gossip: %w", err)
	}
	return snap, log, nil
}

// AddEmergency verifies, installs and announces a snapshot that founders signed
// (directory/SPEC.md §28). This node must hold the snapshot that it follows.
func (n *Node) AddEmergency(raw []byte) error {
	s, err := directory.ParseSnapshot(raw)
	if err != nil {
		return err
	}
	h := &s.Header
	n.installing.Lock() // the log is only changed under it
	n.mu.Lock()
	chain, log := n.chain, n.log6962
	n.mu.Unlock()
	var leaves [][32]byte
	// Between the two lie the versions of the network file that came meanwhile.
	for v := h.FileVersion; v > 0 && log.Size()+uint64(len(leaves)) < h.LogSize && len(leaves) < maxVersions; v-- {
		hash, _ := chain.Hash(v)
		leaves = append([][32]byte{directory.FileLeaf(hash)}, leaves...)
	}
	n.installing.Unlock()
	return n.install(raw, s, leaves, time.Now())
}
