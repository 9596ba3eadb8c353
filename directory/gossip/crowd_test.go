package gossip

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hearsay/directory"
)

// crowd is a network of many relays that changes by the hour. Its snapshots are
// signed, but no relay behind them has keys or ever signed a descriptor.
type crowd struct {
	f      *founder
	rng    *rand.Rand
	listed []directory.Listing
	made   uint32
}

func newCrowd(t testing.TB, relays int) *crowd {
	c := &crowd{f: found(t, false, directory.JoinToken, 1), rng: rand.New(rand.NewPCG(uint64(relays), 1))}
	for range relays {
		c.join()
	}
	return c
}

func (c *crowd) fresh(what string) [32]byte {
	c.made++
	return sha256.Sum256(binary.BigEndian.AppendUint32([]byte(what), c.made))
}

// zipf draws one of n groups, the k-th being k times rarer than the first.
func (c *crowd) zipf(n int) int { return int(math.Pow(float64(n), c.rng.Float64())) - 1 }

// join adds a relay: 85 % have a family, half an IPv6 address too.
func (c *crowd) join() {
	now := uint32(time.Now().Unix())
	d := &directory.Descriptor{
		ID: c.fresh("id"), LinkKey: c.fresh("link"), Protocols: []uint16{1, uint16(2 + c.zipf(3))},
		Software: fmt.Sprintf("hearsay 0.%d", c.zipf(6)),
	}
	c.made++
	ip := [4]byte{byte(11 + c.made>>24), byte(c.made), byte(c.made >> 8), byte(c.made >> 16)}
	l := directory.Listing{
		Descriptor: d, Onion: directory.OnionKey{NotBefore: now, Key: c.fresh("onion")},
		Addrs: []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4(ip), 4443)},
		Flags: directory.FlagStable | directory.Flags(c.rng.IntN(16)), AS: 1000 + uint32(c.zipf(900)),
		Guard: byte(60 + c.rng.IntN(30)), Inner: byte(60 + c.rng.IntN(30)), Mailbox: byte(60 + c.rng.IntN(30)),
	}
	if c.rng.IntN(100) < 85 {
		l.Kin = sha256.Sum256([]byte{byte(c.zipf(3000) >> 8), byte(c.zipf(3000))})
	}
	if c.rng.IntN(2) == 0 {
		v6 := netip.AddrFrom16([16]byte{0x2a, 0, 0x14, 0x50, 12: ip[0], 13: ip[1], 14: ip[2], 15: ip[3]})
		l.Addrs = append(l.Addrs, netip.AddrPortFrom(v6, 443))
	}
	c.listed = append(c.listed, l)
}

// some calls f for a share of the relays.
func (c *crowd) some(share float64, f func(l *directory.Listing)) {
	for i := range c.listed {
		if c.rng.Float64() < share {
			f(&c.listed[i])
		}
	}
}

// hour lets an hour go by. In six of them 2.5 % leave and as many join; 6 %
// change: 3.5 % rotate the onion key (every seven days), 0.8 % the link key
// (every thirty), 1.5 % get another weight and 0.2 % other flags.
func (c *crowd) hour() {
	count := len(c.listed)
	c.listed = slices.DeleteFunc(c.listed, func(directory.Listing) bool { return c.rng.Float64() < 0.025/6 })
	c.some(0.035/6, func(l *directory.Listing) {
		l.Onion = directory.OnionKey{NotBefore: uint32(time.Now().Unix()), Key: c.fresh("onion")}
	})
	c.some(0.008/6, func(l *directory.Listing) { d := *l.Descriptor; d.LinkKey = c.fresh("link"); l.Descriptor = &d })
	c.some(0.015/6, func(l *directory.Listing) { l.Guard, l.Inner = byte(60+c.rng.IntN(30)), byte(60+c.rng.IntN(30)) })
	c.some(0.002/6, func(l *directory.Listing) { l.Flags ^= directory.FlagGuard })
	for len(c.listed) < count {
		c.join()
	}
}

// snapshot makes, signs and logs the snapshot of the next epoch.
func (c *crowd) snapshot() []byte {
	f := c.f
	f.t.Helper()
	at := directory.NextEpoch(false, f.header, time.Now())
	slices.SortFunc(c.listed, func(a, b directory.Listing) int {
		return bytes.Compare(a.Descriptor.ID[:], b.Descriptor.ID[:])
	})
	s, err := directory.NewSnapshot(f.chain, f.log, at, directory.Judgement{
		Listed: c.listed, Ledger: &directory.Ledger{}, Epoch: directory.EpochLength(f.chain, at, len(c.listed)),
	})
	check(f.t, err)
	check(f.t, s.Sign(f.cert, testKey("online")))
	raw, err := s.Encode()
	check(f.t, err)
	check(f.t, f.log.AddHeader(s.Hash()))
	f.header = &s.Header
	return raw
}

// publish lets the node of a mesh have the snapshot of the next hour.
func (c *crowd) publish(n *Node) []byte {
	c.f.t.Helper()
	raw := c.snapshot()
	time.Sleep(time.Until(c.f.header.ValidAfter))
	check(c.f.t, n.AddSnapshot(raw, c.f.log))
	return raw
}

func netipAddrPort(ip [4]byte, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4(ip), port)
}
