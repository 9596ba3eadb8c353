package gossip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hearsay/directory"
)

// history is what a founder publishes. Twins of it deny each other.
type history struct {
	t      testing.TB
	chain  *directory.Chain
	cert   []byte
	online string
	log    *directory.Log
	at     time.Time // of the next snapshot
	ends   *directory.Snapshot
}

func newHistory(f *founder) *history {
	h := &history{t: f.t, chain: f.chain, cert: f.cert, online: "online", log: f.log}
	h.at = directory.NextEpoch(f.chain.Current().Lab, nil, time.Now())
	return h
}

// twin returns a history that is the same so far.
func (h *history) twin() *history {
	c := *h
	var err error
	c.log, err = directory.LogOf(slices.Clone(h.log.Leaves(0)))
	check(h.t, err)
	return &c
}

// listing is what a snapshot says of the i-th relay.
func listing(i int, lab bool, flags directory.Flags) directory.Listing {
	name := fmt.Sprintf("relay %d", i)
	d := &directory.Descriptor{
		ID: idOf(name), LinkKey: publicOf(testKey(name + " link")), Protocols: []uint16{1}, Software: "hearsay 0.1",
	}
	l := directory.Listing{
		Descriptor: d, Onion: directory.OnionKey{NotBefore: uint32(time.Now().Unix()) - 60, Key: publicOf(testKey(name + " onion"))},
		Addrs: []netip.AddrPort{testAddr(i, lab)}, Flags: flags, Guard: 60, Inner: 60, Mailbox: 60,
	}
	return l
}

func listings(n int, lab bool, flags directory.Flags) []directory.Listing {
	var list []directory.Listing
	for i := range n {
		list = append(list, listing(i, lab, flags))
	}
	return list
}

// publish makes the next snapshot; edit, which may be nil, changes what it says.
func (h *history) publish(listed []directory.Listing, edit func(*directory.Judgement)) []byte {
	h.t.Helper()
	listed = slices.Clone(listed)
	slices.SortFunc(listed, func(a, b directory.Listing) int { return slices.Compare(a.Descriptor.ID[:], b.Descriptor.ID[:]) })
	j := directory.Judgement{Listed: listed, Ledger: &directory.Ledger{}, Epoch: directory.EpochLength(h.chain, h.at, len(listed))}
	if edit != nil {
		edit(&j)
	}
	s, err := directory.NewSnapshot(h.chain, h.log, h.at, j)
	check(h.t, err)
	check(h.t, s.Sign(h.cert, testKey(h.online)))
	raw, err := s.Encode()
	check(h.t, err)
	check(h.t, h.log.AddHeader(s.Hash()))
	h.at, h.ends = h.at.Add(j.Epoch), s
	return raw
}

// skip lets an epoch go by without a snapshot.
func (h *history) skip() {
	h.at = h.at.Add(directory.EpochLength(h.chain, h.at, 0))
}

// head returns the newest head.
func (h *history) head() *directory.Head { return &h.ends.Head }

// replaceSigner publishes a version of the network file in which another key
// signs, and returns it.
func (h *history) replaceSigner(name string) []byte {
	h.t.Helper()
	next := h.chain.Next(time.Now())
	next.Signers = []directory.FounderKey{{Public: publicOf(testKey(name)), Label: name}}
	d, err := directory.DraftAmendment(h.chain, next)
	check(h.t, err)
	check(h.t, d.Sign(testKey("root")))
	h.chain, err = d.Assemble(time.Now())
	check(h.t, err)
	now := time.Unix(time.Now().Unix(), 0)
	h.online = name + " online"
	h.cert, err = directory.Certificate{
		Online: publicOf(testKey(h.online)), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(80 * 24 * time.Hour), Seq: 1,
	}.Sign(h.chain.ID(), testKey(name))
	check(h.t, err)
	version := h.chain.Current().Version
	hash, _ := h.chain.Hash(version)
	check(h.t, h.log.AddFile(hash))
	return h.chain.Raw(version)[0]
}

// hiddenDialer opens directory streams that do not tell who asks.
type hiddenDialer struct {
	m *mesh
	// asked is told of each circuit; nil: nobody.
	asked func(relay directory.RelayID)
}

func (c hiddenDialer) RequestOver(_ context.Context, relay directory.RelayID) (Stream, error) {
	d := &meshDialer{m: c.m}
	n, _, err := d.find(Peer{ID: relay})
	if err != nil {
		return nil, err
	}
	if c.asked != nil {
		c.asked(relay)
	}
	a, b := net.Pipe()
	c.m.wg.Go(func() { _ = n.ServeRequest(c.m.ctx, b) })
	return a, nil
}

// clientOf makes a client whose guard is the relay.
func clientOf(t testing.TB, f *founder, m *mesh, guard string, s State, logs *capture) *Client {
	t.Helper()
	c, err := NewClient(ClientConfig{
		Link: f.link(), Dialer: &meshDialer{m: m}, Views: &directory.Views{}, State: s, Log: logs.logger(),
		Guard: func() (Peer, bool) { return Peer{ID: idOf(guard)}, true }, Circuits: hiddenDialer{m: m},
	})
	check(t, err)
	return c
}

// kinds are those of the warnings that stand.
func kinds(v *directory.Views) []directory.WarningKind {
	var list []directory.WarningKind
	for _, w := range v.Warnings(time.Now()) {
		list = append(list, w.Kind)
	}
	return list
}

func warns(v *directory.Views, kind directory.WarningKind) bool {
	return slices.Contains(kinds(v), kind)
}
