package gossip

import (
	"net/netip"
	"time"

	"hearsay/directory"
)

// Specification constants of inbound streams (SPEC.md §8.1).
const (
	maxPerNetwork   = 2  // nodes of one IPv4 /24 or IPv6 /48 that hold streams to this one
	listedPlaces    = 48 // of the places of a bootstrap; the others are for those who join
	unlistedSettled = 30 * time.Second
	fullRetry       = 10 * time.Minute // lab: scaled
)

// RemoteStream is a stream of which the address of the other end is known.
type RemoteStream interface {
	Stream
	// RemoteAddr returns the address, from which inbound streams are counted.
	RemoteAddr() netip.AddrPort
}

// networkOf returns the /24 of an IPv4 and the /48 of an IPv6 address from which a
// stream came; false if that is not known.
func networkOf(s Stream) (netip.Prefix, bool) {
	r, ok := s.(RemoteStream)
	if !ok {
		return netip.Prefix{}, false
	}
	a := r.RemoteAddr().Addr().Unmap()
	if !a.IsValid() {
		return netip.Prefix{}, false
	}
	return narrow(a), true
}

// narrow returns the /24 of an IPv4 and the /48 of an IPv6 address.
func narrow(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return netip.PrefixFrom(a, 24).Masked()
	}
	return netip.PrefixFrom(a, 48).Masked()
}

// inbound are the nodes that hold streams to this one: of each the oldest.
type inbound struct {
	listed, unlisted map[directory.RelayID]*session
}

func (n *Node) inbound(view *directory.View) inbound {
	in := inbound{listed: make(map[directory.RelayID]*session), unlisted: make(map[directory.RelayID]*session)}
	for _, ss := range n.open() {
		if ss.opener {
			continue
		}
		m := in.unlisted
		if isListed(view, ss.peer) {
			m = in.listed
		}
		if old := m[ss.peer]; old == nil || ss.since.Before(old.since) {
			m[ss.peer] = ss
		}
	}
	return in
}

func isListed(view *directory.View, id directory.RelayID) bool {
	if view == nil {
		return false
	}
	_, ok := view.Relay(id)
	return ok
}

// oldest returns the unlisted node that came first, of those for which ok holds
// and without which snapshots come about.
func (in *inbound) oldest(ok func(*session) bool) *session {
	var first *session
	for _, ss := range in.unlisted {
		if ok(ss) && !ss.n.needs(ss.peer) && (first == nil || ss.since.Before(first.since)) {
			first = ss
		}
	}
	return first
}

// admit takes a place for an inbound stream from a network, if that is known.
// Made-up identities cannot keep listed relays out, which displace them, and
// listed relays cannot keep those out who come to a bootstrap to join.
func (n *Node) admit(id directory.RelayID, network netip.Prefix) (ByeCode, time.Duration, bool) {
	now := time.Now()
	view := n.cfg.Views.Current()
	in := n.inbound(view)
	if in.listed[id] == nil && in.unlisted[id] == nil {
		victim, ok := n.roomFor(in, view, id, network, now)
		if !ok && isListed(view, id) {
			return ByeBusy, directory.Scale(n.lab, fullRetry), false // there are others for it
		}
		if !ok {
			return ByeBusy, unlistedSettled, false
		}
		if victim != nil {
			victim.end(ByeBusy, time.Minute)
		}
	}
	return n.limits.open(id, now)
}

// roomFor tells whether there is a place, and who must leave it.
func (n *Node) roomFor(in inbound, view *directory.View, id directory.RelayID, network netip.Prefix, now time.Time) (victim *session, ok bool) {
	listed := isListed(view, id)
	if n.crowded(in, view, network) {
		if !listed {
			return nil, false
		}
		victim = in.oldest(func(ss *session) bool { return ss.network == network })
		return victim, victim != nil
	}
	if listed && n.welcomes() && len(in.listed) >= listedPlaces {
		return nil, false
	}
	if len(in.listed)+len(in.unlisted) < maxInbound {
		return nil, true
	}
	switch {
	case listed:
		victim = in.oldest(func(*session) bool { return true })
	case n.welcomes():
		victim = in.oldest(func(ss *session) bool { return now.Sub(ss.since) >= unlistedSettled })
	}
	return victim, victim != nil
}

// welcomes tells whether this node is there for relays that want to be listed.
func (n *Node) welcomes() bool {
	if n.cfg.Role == RoleDirectory {
		return true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.bootstrapLocked(n.cfg.Self)
	return ok
}

// crowded tells whether a network has its share of places. In small networks, of
// which all relays may stand in one place, and in labs it has no end.
func (n *Node) crowded(in inbound, view *directory.View, network netip.Prefix) bool {
	if n.lab || !network.IsValid() || view == nil || len(view.Relays()) < standingSmall {
		return false
	}
	count := 0
	for _, m := range []map[directory.RelayID]*session{in.listed, in.unlisted} {
		for _, ss := range m {
			if ss.network == network {
				count++
			}
		}
	}
	return count >= maxPerNetwork
}
