package gossip

import (
	"sync"

	"hearsay/directory"
)

// told are the verdicts of this node's signer on relays that it does not list, to
// be said again to those that connect later. The zero value is ready for use. It
// is safe for concurrent use.
type told struct {
	mu sync.Mutex
	of map[directory.RelayID]VerdictCode // ≤ storeCeiling
}

// note remembers a verdict; who is listed has none.
func (t *told) note(id directory.RelayID, code VerdictCode) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if code == VerdictHeld {
		delete(t.of, id)
		return
	}
	if t.of == nil {
		t.of = make(map[directory.RelayID]VerdictCode)
	}
	if _, ok := t.of[id]; ok || len(t.of) < storeCeiling {
		t.of[id] = code
	}
}

func (t *told) get(id directory.RelayID) (VerdictCode, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	code, ok := t.of[id]
	return code, ok
}

// Tell sends a verdict to a relay that has a stream open: why a directory does
// not list it. It is said again to a relay that connects later, until it is
// VerdictHeld.
func (n *Node) Tell(id directory.RelayID, code VerdictCode) {
	n.told.note(id, code)
	for _, ss := range n.open() {
		if ss.peer == id {
			ss.verdict(code)
			return
		}
	}
}

// repeatVerdict says to a relay that has just connected why it is not listed, if
// its record is here.
func (ss *session) repeatVerdict() {
	code, ok := ss.n.told.get(ss.peer)
	if _, held := ss.n.store.Record(ss.peer); ok && held {
		ss.verdict(code)
	}
}

func (ss *session) verdict(code VerdictCode) {
	k := key(directory.GossipKey(ss.n.network, ss.peer))
	ss.send(TypeVerdict, verdict{key: k, code: code}.append(nil))
}
