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
	anchorPeers  = 2                // the same for as long as they are listed
	randomPeers  = 4                // drawn anew each epoch
	feelerPeers  = 1                // drawn anew each period
	redrawPeriod = 10 * time.Minute // of feelers
)

// The first byte of a salt tells what is drawn (SPEC.md §8.1).
const (
	saltAnchor   uint64 = iota << 56
	saltRandom          // | epoch
	saltFeeler          // | number of the period
	saltOverseer        // | epoch
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
// The bootstraps are among them while the network is small, this node is not
// listed, or holds signers' messages.
func (n *Node) wanted(now time.Time) map[[16]byte]Peer {
	want := make(map[[16]byte]Peer)
	relays := n.others()
	small := len(relays)+1 < standingSmall
	if small {
		for i := range relays {
			want[relays[i].ID.Prefix()] = relayPeer(&relays[i])
		}
	} else {
		chosen := n.draw(relays, now)
		for _, r := range chosen {
			want[r.ID.Prefix()] = relayPeer(r)
		}
		if p, ok := n.overseer(relays, chosen); ok {
			want[p.ID.Prefix()] = p
		}
	}
	if small || !n.Status().Listed || n.keepsBoard() {
		for _, p := range n.bootstrapPeers() {
			want[p.ID.Prefix()] = p
		}
	}
	return want
}

// draw chooses anchors, which stay as long as they are listed, random peers of
// this epoch, and a feeler, which meets another relay every ten minutes. Nobody
// who does not know the secret can tell or steer the choice, and no two are of
// one prefix, AS or family.
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
	}{
		{saltAnchor, anchorPeers},
		{saltRandom | n.epoch(), anchorPeers + randomPeers},
		{saltFeeler | period, anchorPeers + randomPeers + feelerPeers},
	} {
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

// overseer chooses a node that looks after the signers, besides the peers chosen
// already: a witness, or a bootstrap, where founders run their signers. One of
// another prefix, AS and family comes first.
func (n *Node) overseer(relays []directory.Relay, chosen []*directory.Relay) (Peer, bool) {
	type candidate struct {
		rank [32]byte
		peer Peer
		kin  bool // akin to one that is chosen
	}
	mac := hmac.New(sha256.New, n.secret)
	salt := saltOverseer | n.epoch()
	var list []candidate
	for i := range relays {
		r := &relays[i]
		if r.Flags&directory.FlagWitness != 0 && !slices.ContainsFunc(chosen, func(o *directory.Relay) bool { return o.ID == r.ID }) {
			kin := slices.ContainsFunc(chosen, func(o *directory.Relay) bool { return n.akin(o, r) })
			list = append(list, candidate{rank(mac, salt, r.ID), relayPeer(r), kin})
		}
	}
	for _, p := range n.bootstrapPeers() {
		if !p.Partial { // a listed relay, which may be a witness, but not because it is a bootstrap
			continue
		}
		kin := !n.lab && slices.ContainsFunc(chosen, func(o *directory.Relay) bool {
			return slices.ContainsFunc(o.Addrs, func(a netip.AddrPort) bool { return wide(a.Addr()) == wide(p.Addrs[0].Addr()) })
		})
		list = append(list, candidate{rank(mac, salt, p.ID), p, kin})
	}
	if len(list) == 0 || !n.turn(rank(mac, salt, n.cfg.Self), len(list), len(relays)+1) {
		return Peer{}, false
	}
	return slices.MinFunc(list, func(a, b candidate) int {
		if a.kin != b.kin {
			if b.kin {
				return -1
			}
			return 1
		}
		return bytes.Compare(a.rank[:], b.rank[:])
	}).peer, true
}

// turn tells whether it is this node's turn to talk to an overseer. There are few
// of them with few places each: in a large network the drawn number lets through,
// in each epoch, as many nodes as half of the places hold.
func (n *Node) turn(drawn [32]byte, overseers, nodes int) bool {
	places := uint64(overseers) * maxInbound / 2
	return uint64(binary.BigEndian.Uint32(drawn[:]))*uint64(nodes) < places<<32
}

// epoch returns the number of the newest snapshot, 0 if there is none.
func (n *Node) epoch() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.view == nil {
		return 0
	}
	return n.view.Epoch()
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
