package gossip

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net/netip"
	"slices"
	"time"

	"hearsay/directory"
)

// Specification constants of peer choice (SPEC.md §8.1).
const (
	randomPeers  = 4
	anchorPeers  = 2
	redrawPeriod = 10 * time.Minute
)

// bootstrapLocked returns the bootstrap with the identity. n.mu is held.
func (n *Node) bootstrapLocked(id directory.RelayID) (directory.Bootstrap, bool) {
	for _, b := range n.bootstrapsLocked() {
		if b.ID == id.Prefix() {
			return b, true
		}
	}
	return directory.Bootstrap{}, false
}

// bootstrapsLocked returns those of the network file, and those of the link
// that it does not name.
func (n *Node) bootstrapsLocked() []directory.Bootstrap {
	list := slices.Clone(n.chain.Current().Bootstraps)
	for _, b := range n.cfg.Link.Bootstraps {
		if !slices.ContainsFunc(list, func(c directory.Bootstrap) bool { return c.ID == b.ID }) {
			list = append(list, b)
		}
	}
	return list
}

// peer returns how to dial a listed relay or a bootstrap.
func (n *Node) peer(id directory.RelayID) (Peer, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.view != nil {
		if r, ok := n.view.Relay(id); ok {
			return relayPeer(r), true
		}
	}
	if b, ok := n.bootstrapLocked(id); ok {
		return Peer{ID: id, Addrs: []netip.AddrPort{b.Addr}}, true
	}
	return Peer{}, false
}

// bootstrapPeers returns the bootstraps but this node itself.
func (n *Node) bootstrapPeers() []Peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []Peer
	for _, b := range n.bootstrapsLocked() {
		if b.ID == n.cfg.Self.Prefix() {
			continue
		}
		p := bootstrapPeer(b)
		if n.view != nil {
			if r, ok := n.view.ByPrefix(b.ID); ok {
				p = relayPeer(r)
			}
		}
		list = append(list, p)
	}
	return list
}

// others returns the listed relays but this node itself.
func (n *Node) others() []directory.Relay {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.view == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(n.view.Relays()), func(r directory.Relay) bool { return r.ID == n.cfg.Self })
}

// wanted returns the peers to keep streams to, by the first 16 bytes of their
// identities: in a small network every relay, else those that the secret draws.
// The bootstraps are among them while the network is small or this node is not
// listed.
func (n *Node) wanted(now time.Time) map[[16]byte]Peer {
	want := make(map[[16]byte]Peer)
	relays := n.others()
	small := len(relays)+1 < standingSmall
	if small {
		for i := range relays {
			want[relays[i].ID.Prefix()] = relayPeer(&relays[i])
		}
	} else {
		for _, r := range n.draw(relays, now) {
			want[r.ID.Prefix()] = relayPeer(r)
		}
	}
	if small || !n.Status().Listed {
		for _, p := range n.bootstrapPeers() {
			want[p.ID.Prefix()] = p
		}
	}
	return want
}

// draw chooses anchors, which stay as long as they are listed, and random
// peers, redrawn every ten minutes. Nobody who does not know the secret can
// tell or steer the choice, and no two are of one prefix, AS or family.
func (n *Node) draw(relays []directory.Relay, now time.Time) []*directory.Relay {
	period := uint64(now.UnixNano() / int64(directory.Scale(n.lab, redrawPeriod)))
	type ranked struct {
		rank [32]byte
		r    *directory.Relay
	}
	list := make([]ranked, len(relays))
	mac := hmac.New(sha256.New, n.secret)
	var chosen []*directory.Relay
	for _, round := range []struct {
		salt  uint64
		count int
	}{{0, anchorPeers}, {period, anchorPeers + randomPeers}} {
		for i := range relays {
			list[i] = ranked{rank(mac, round.salt, relays[i].ID), &relays[i]}
		}
		slices.SortFunc(list, func(a, b ranked) int { return bytes.Compare(a.rank[:], b.rank[:]) })
		for _, c := range list {
			if len(chosen) >= round.count {
				break
			}
			if !slices.ContainsFunc(chosen, func(o *directory.Relay) bool { return n.akin(o, c.r) }) {
				chosen = append(chosen, c.r)
			}
		}
	}
	return chosen
}

// rank places a relay in the order of a salt. mac has the node's secret.
func rank(mac hash.Hash, salt uint64, id directory.RelayID) (out [32]byte) {
	mac.Reset()
	mac.Write([]byte(labelPeers))
	mac.Write([]byte{0})
	mac.Write(binary.BigEndian.AppendUint64(nil, salt))
	mac.Write(id[:])
	mac.Sum(out[:0])
	return out
}

// akin tells whether one operator or network may be behind two relays.
func (n *Node) akin(a, b *directory.Relay) bool {
	if a.ID == b.ID {
		return true
	}
	if a.Family != 0 && a.Family == b.Family {
		return true
	}
	if n.lab {
		return false
	}
	if a.AS != 0 && a.AS == b.AS {
		return true
	}
	for _, x := range a.Addrs {
		for _, y := range b.Addrs {
			if wide(x.Addr()) == wide(y.Addr()) {
				return true
			}
		}
	}
	return false
}

// wide returns the /16 of an IPv4 and the /32 of an IPv6 address.
func wide(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return netip.PrefixFrom(a, 16).Masked()
	}
	return netip.PrefixFrom(a, 32).Masked()
}

// admit takes a place for an inbound stream. When all places are taken, a
// listed relay displaces an unlisted one, so that made-up identities cannot
// keep relays out.
func (n *Node) admit(id directory.RelayID) (ByeCode, time.Duration, bool) {
	listed := func(id directory.RelayID) bool {
		v := n.cfg.Views.Current()
		if v == nil {
			return false
		}
		_, ok := v.Relay(id)
		return ok
	}
	inbound := make(map[directory.RelayID]*session)
	for _, ss := range n.open() {
		if !ss.opener {
			inbound[ss.peer] = ss
		}
	}
	if _, ok := inbound[id]; !ok && len(inbound) >= maxInbound {
		var victim *session
		for other, ss := range inbound {
			if !listed(other) && (victim == nil || ss.since.Before(victim.since)) {
				victim = ss
			}
		}
		if victim == nil {
			return ByeBusy, time.Minute, false
		}
		victim.end(ByeBusy, time.Minute)
	}
	return n.limits.open(id, time.Now())
}
