package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hearsay/directory"
	"hearsay/directory/gossip"
	"hearsay/directory/sybil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicOf(k ed25519.PrivateKey) [32]byte { return [32]byte(k.Public().(ed25519.PublicKey)) }

const signers = 3

// network is a lab network of three signers whose directory node serves what they
// publish, whatever they agree to publish.
type network struct {
	t       *testing.T
	chain   *directory.Chain
	certs   [signers][]byte
	log     *directory.Log
	ledger  *directory.Ledger
	head    *directory.Head
	at      time.Time
	records []*directory.Record
	node    *gossip.Node
	reader  *gossip.Reader
	srv     *directory.SRVState
}

func newNetwork(t *testing.T, relays int) *network {
	t.Helper()
	n := &network{t: t, at: time.Now().Truncate(10 * time.Second).Add(-5 * time.Minute), ledger: &directory.Ledger{}}
	f := directory.NetworkFile{
		Name: "harbour", Created: n.at, Expires: n.at.Add(700 * 24 * time.Hour), Lab: true, Join: directory.JoinOpen, MinProtocol: 1,
		Roots:      []directory.FounderKey{{Public: publicOf(testKey("root")), Label: "root"}},
		Bootstraps: []directory.Bootstrap{{ID: directory.RelayID(publicOf(testKey("bootstrap"))).Prefix(), Addr: netip.MustParseAddrPort("127.0.0.1:4443")}},
	}
	for i := range signers {
		f.Signers = append(f.Signers, directory.FounderKey{Public: publicOf(signerKey(i)), Label: fmt.Sprint("signer ", i)})
	}
	raw, id, err := directory.Found(f, testKey("root"))
	check(t, err)
	n.chain, err = directory.VerifyChain(id, [][]byte{raw}, n.at)
	check(t, err)
	for i := range signers {
		n.certs[i], err = directory.Certificate{
			Online: publicOf(onlineKey(i)), NotBefore: n.at.Add(-time.Hour), NotAfter: n.at.Add(80 * 24 * time.Hour), Seq: 1,
		}.Sign(id, signerKey(i))
		check(t, err)
	}
	n.log, err = directory.NewLog(n.chain)
	check(t, err)
	n.srv = n.chain.NewSRVState(n.at)
	for i := range relays {
		n.records = append(n.records, n.record(i))
	}
	n.node, err = gossip.NewNode(gossip.NodeConfig{
		Role: gossip.RoleDirectory, Self: publicOf(testKey("bootstrap")), Link: n.chain.Link(nil), Files: [][]byte{raw},
		Dialer: &pipes{}, Views: &directory.Views{}, Dir: t.TempDir(),
	})
	check(t, err)
	d := &pipes{node: n.node}
	n.reader = gossip.NewReader(gossip.ReaderConfig{Link: n.chain.Link(nil), Dialer: d})
	t.Cleanup(func() {
		n.reader.Close()
		d.wg.Wait()
		check(t, n.node.Close())
	})
	return n
}

func signerKey(i int) ed25519.PrivateKey { return testKey(fmt.Sprint("signer ", i)) }
func onlineKey(i int) ed25519.PrivateKey { return testKey(fmt.Sprint("online ", i)) }

func (n *network) record(i int) *directory.Record {
	n.t.Helper()
	key := testKey(fmt.Sprint("relay ", i))
	d := &directory.Descriptor{
		ID: publicOf(key), Seq: uint64(n.at.Unix()) - 60, Life: 8 * time.Minute,
		Addrs:     []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(5000+i))},
		OnionKeys: []directory.OnionKey{{NotBefore: uint32(n.at.Unix()) - 60, Key: sha256.Sum256([]byte(fmt.Sprint("onion ", i)))}},
		LinkKey:   publicOf(testKey(fmt.Sprint("link ", i))), Protocols: []uint16{1},
		Roles: directory.RoleGuard | directory.RoleInner | directory.RoleMailbox, Nick: fmt.Sprint("nick", i),
	}
	raw, err := d.Sign(n.chain.ID(), key)
	check(n.t, err)
	r, err := directory.ParseRecord(n.chain.Rules(), raw, n.at)
	check(n.t, err)
	return r
}

// epoch is what the signers agree on for one snapshot.
type epoch struct {
	vote func(signer int, v *directory.Vote) // before it is signed
	edit func(j *directory.Judgement)        // what judgement gave
	keep func(docs []gossip.Document) []gossip.Document
}

// publish makes the next snapshot and gives it, with its documents, to the node.
func (n *network) publish(e epoch) *directory.Head {
	n.t.Helper()
	at := n.at
	var votes []*directory.Vote
	var docs []gossip.Document
	for i := range signers {
		v := &directory.Vote{Signer: publicOf(signerKey(i)), Epoch: directory.EpochNumber(true, at)}
		if n.head != nil {
			v.Previous = n.head.Hash()
		}
		for _, r := range n.records {
			key := directory.GossipKey(n.chain.ID(), r.ID)
			v.Relays = append(v.Relays, directory.RelayVote{
				Key: [8]byte(key[:8]), Descriptor: r.Value(), Tried: 1, Reached: 1, Failures: directory.UnknownFailures,
			})
		}
		slices.SortFunc(v.Relays, func(a, b directory.RelayVote) int { return bytes.Compare(a.Key[:], b.Key[:]) })
		v.Share = n.srv.Share(at, v.Signer, sha256.Sum256(v.Signer[:]))
		if e.vote != nil {
			e.vote(i, v)
		}
		raw, err := v.Sign(n.chain.ID(), onlineKey(i))
		check(n.t, err)
		votes = append(votes, v)
		docs = append(docs, gossip.Document{Hash: v.Hash(), Raw: directory.SealSignerMessage(n.certs[i], raw)})
	}
	j := sybil.Judge(sybil.Input{Chain: n.chain, Ledger: n.ledger, ValidAfter: at, Votes: votes, Records: n.records}).Judgement
	next, _, err := n.srv.Next(n.chain.Current(), at, votes)
	check(n.t, err)
	state := next.Append(nil)
	n.srv, j.SRVs, j.SRVHash = next, next.Values(), sha256.Sum256(state)
	docs = append(docs, gossip.Document{Hash: j.SRVHash, Raw: state})
	if e.edit != nil {
		e.edit(&j)
	}
	s, err := directory.NewSnapshot(n.chain, n.log, at, j)
	check(n.t, err)
	for i := range signers - 1 {
		check(n.t, s.Sign(n.certs[i], onlineKey(i)))
	}
	raw, err := s.Encode()
	check(n.t, err)
	check(n.t, n.node.AddSnapshot(raw, n.log))
	check(n.t, n.log.AddHeader(s.Hash()))
	ledger := j.Ledger.Append(nil)
	docs = append(docs, gossip.Document{Hash: sha256.Sum256(ledger), Raw: ledger})
	for _, r := range n.records {
		docs = append(docs, gossip.Document{Hash: r.Hash, Raw: r.Raw})
	}
	if e.keep != nil {
		docs = e.keep(docs)
	}
	check(n.t, n.node.Keep(s.Header.Epoch, docs))
	n.ledger, n.head, n.at = j.Ledger, &s.Head, at.Add(10*time.Second)
	return &s.Head
}

// walk audits the last snapshots.
func (n *network) walk(src Source, last int) (list []*Report, gone error) {
	n.t.Helper()
	chain, err := n.reader.Chain(n.t.Context())
	check(n.t, err)
	gone, err = Walk(n.t.Context(), src, chain, nil, last, 0, func(r *Report) error {
		list = append(list, r)
		return nil
	})
	check(n.t, err)
	return list, gone
}

// pipes connect a reader to the node.
type pipes struct {
	node *gossip.Node
	wg   sync.WaitGroup
}

func (d *pipes) Gossip(context.Context, gossip.Peer) (gossip.Stream, directory.RelayID, error) {
	return nil, directory.RelayID{}, net.ErrClosed
}

func (d *pipes) Request(ctx context.Context, _ gossip.Peer) (gossip.Stream, directory.RelayID, error) {
	a, b := net.Pipe()
	d.wg.Go(func() { _ = d.node.ServeLinkRequest(ctx, b, &gossip.Quota{}) })
	return a, publicOf(testKey("bootstrap")), nil
}
