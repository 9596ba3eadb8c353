package gossip

import (
	"slices"
	"time"

	"hearsay/directory"
)

// Newest returns the newest verified snapshot as it came, nil if there is none,
// and the leaves of the log up to its own. A signer that was behind goes on from
// there.
func (n *Node) Newest() (raw []byte, leaves [][32]byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.snapshot, slices.Clone(n.log6962.Leaves(0))
}

// ParseRecord verifies a record by the rules by which this node's store would take
// it at the given time.
func (n *Node) ParseRecord(raw []byte, at time.Time) (*directory.Record, error) {
	return directory.ParseRecord(n.rules(), raw, at)
}
