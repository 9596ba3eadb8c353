package gossip

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"hearsay/directory"
)

// AddSuccessor keeps a founders' notice that names another network, and spreads
// it. It fails if no founder of this network signed it.
func (n *Node) AddSuccessor(raw []byte) error {
	s, err := n.Chain().ParseSuccessor(raw)
	if err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	n.takeSuccessor(s, nil)
	return nil
}

// Successors returns the founders' notices that are held.
func (n *Node) Successors() []*directory.Successor {
	n.notices.mu.Lock()
	defer n.notices.mu.Unlock()
	return slices.Clone(n.notices.successors)
}

// onSuccessor takes a founders' notice from a peer. One that does not verify is
// dropped and nobody blamed: a newer network file may have other founders.
func (ss *session) onSuccessor(body []byte) error {
	w := ss.n.notices
	w.mu.Lock()
	known := slices.ContainsFunc(w.successors, func(s *directory.Successor) bool { return bytes.Equal(s.Bytes(), body) })
	looks := known || w.all.Allow()
	w.mu.Unlock()
	if known || !looks {
		return nil
	}
	s, err := ss.n.Chain().ParseSuccessor(body)
	if err != nil {
		ss.n.log.Info("a notice of a successor is not taken", logPeer, ss.peer.String(), logReason, err)
		return nil
	}
	ss.n.takeSuccessor(s, ss)
	return nil
}

// takeSuccessor keeps and spreads a verified notice if it says something new.
func (n *Node) takeSuccessor(s *directory.Successor, from *session) {
	w := n.notices
	w.mu.Lock()
	next, dropped, ok := addSuccessor(w.successors, s)
	w.successors = next
	w.mu.Unlock()
	if !ok {
		return
	}
	if dropped != nil {
		_ = n.archive.dropNotice(noticeSuccessor, dropped.Bytes()) // it only takes room
	}
	if err := n.archive.saveNotice(noticeSuccessor, s.Bytes()); err != nil {
		n.log.Error("the notice of a successor is not saved", logReason, err)
	}
	n.log.Warn("founders name another network as successor", logReason, successorText(n.Chain(), s))
	n.warnOfNotices()
	for _, ss := range n.open() {
		if from == nil || ss.peer != from.peer {
			ss.send(TypeSuccessor, s.Bytes())
		}
	}
}

// addSuccessor adds a notice to a list of at most maxSuccessors. Of two that name
// the same network that with more founders counts, then the newer; a network that
// fewer founders name makes room for one that more do. The bool is false if
// nothing changed.
func addSuccessor(list []*directory.Successor, s *directory.Successor) (next []*directory.Successor, dropped *directory.Successor, added bool) {
	next = slices.Clone(list)
	at := slices.IndexFunc(next, func(o *directory.Successor) bool { return o.Network == s.Network })
	if at < 0 {
		if len(next) < maxSuccessors {
			return append(next, s), nil, true
		}
		for i := range next {
			if at < 0 || weaker(next[i], next[at]) {
				at = i
			}
		}
	}
	if !weaker(next[at], s) {
		return list, nil, false
	}
	dropped = next[at]
	next[at] = s
	return next, dropped, true
}

// weaker tells whether a says less than b.
func weaker(a, b *directory.Successor) bool {
	if len(a.By) != len(b.By) {
		return len(a.By) < len(b.By)
	}
	return a.Made.Before(b.Made)
}

// successorWarnings says what founders propose.
func successorWarnings(chain *directory.Chain, list []*directory.Successor) []directory.Warning {
	var warnings []directory.Warning
	for _, s := range list {
		warnings = append(warnings, directory.Warning{Text: successorText(chain, s), Since: s.Made})
	}
	return warnings
}

// successorText names who signed and how many there are: one of them is enough for
// a notice, and proves no more than that this one asks.
func successorText(chain *directory.Chain, s *directory.Successor) string {
	var names []string
	for _, k := range s.By {
		names = append(names, k.String())
	}
	return fmt.Sprintf("%d of the %d founders (%s) name another network as successor of this one: %s; nothing moves unless you do it",
		len(s.By), len(chain.Current().Roots), strings.Join(names, ", "), s.Link().String())
}
