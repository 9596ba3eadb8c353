package gossip

import (
	"context"

	"hearsay/directory"
)

// notices are what everybody must hear: evidence against signers and relays, and
// the network that founders name as successor (SPEC.md §13).
type notices struct{}

func newNotices() *notices { return &notices{} }

// onEvidence takes a piece of evidence from a peer.
func (ss *session) onEvidence(body []byte) error { return nil }

// onWitness takes a witness's signature from a peer.
func (ss *session) onWitness(body []byte) error { return nil }

// offerNotices gives a peer that has just greeted what is held.
func (ss *session) offerNotices() {}

// answerNotices answers a client's request for them.
func (n *Node) answerNotices() []byte { return nil }

// witness signs the head that was just installed, if this node is a witness.
func (n *Node) witness(h *directory.Head) {}

// watchNotices runs what notices need until ctx ends.
func (n *Node) watchNotices(ctx context.Context) {}
