package gossip

import (
	"errors"
	"sync"
)

// strangerParts bounds the bytes of messages of more than one frame that all
// strangers together have half sent (SPEC.md §9).
const strangerParts = 32 << 20

var errParts = errors.New("gossip: strangers have sent too many long messages in part")

// parts counts what strangers have sent of messages that are not complete, which
// this node must keep until they are. The zero value is ready for use. It is safe
// for concurrent use.
type parts struct {
	mu   sync.Mutex
	held int
}

func (p *parts) take(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held+n > strangerParts {
		return false
	}
	p.held += n
	return true
}

func (p *parts) give(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held -= n
}

// takePart asks for room for a further frame of a message. Listed relays,
// bootstraps, and who brings what signers say need not ask, so that others cannot
// take the room from them.
func (ss *session) takePart(n int) error {
	if ss.n.Known(ss.peer) || ss.n.needs(ss.peer) {
		return nil
	}
	if !ss.n.parts.take(n) {
		return errParts
	}
	ss.parts += n
	return nil
}

// giveParts gives the room back once the message was taken.
func (ss *session) giveParts() {
	ss.n.parts.give(ss.parts)
	ss.parts = 0
}
