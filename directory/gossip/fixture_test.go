package gossip

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"hearsay/directory"
	"hearsay/directory/sybil"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testKey derives a key from its name.
func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicOf(k ed25519.PrivateKey) [32]byte { return [32]byte(k.Public().(ed25519.PublicKey)) }

func idOf(name string) directory.RelayID { return publicOf(testKey(name)) }

// founder is a network and the keys of its only founder.
type founder struct {
	t      testing.TB
	raw    []byte
	id     directory.NetworkID
	chain  *directory.Chain
	cert   []byte
	log    *directory.Log
	ledger *directory.Ledger
	header *directory.Header
}

// found makes a network whose bootstrap is the node "bootstrap".
func found(t testing.TB, lab bool, join directory.Join, salt byte, edits ...func(*directory.NetworkFile)) *founder {
	t.Helper()
	now := time.Unix(time.Now().Unix(), 0)
	f := &founder{t: t, ledger: &directory.Ledger{}}
	var err error
	file := directory.NetworkFile{
		Name: "harbour", Salt: [16]byte{salt}, Created: now, Expires: now.Add(700 * 24 * time.Hour),
		Roots:      []directory.FounderKey{{Public: publicOf(testKey("root")), Label: "root"}},
		Signers:    []directory.FounderKey{{Public: publicOf(testKey("signer")), Label: "signer"}},
		Bootstraps: []directory.Bootstrap{{ID: idOf("bootstrap").Prefix(), Addr: testAddr(99, lab)}},
		Join:       join, Lab: lab, MinProtocol: 1,
	}
	for _, edit := range edits {
		edit(&file)
	}
	f.raw, f.id, err = directory.Found(file, testKey("root"))
	check(t, err)
	f.chain, err = directory.VerifyChain(f.id, [][]byte{f.raw}, now)
	check(t, err)
	f.cert, err = directory.Certificate{
		Online: publicOf(testKey("online")), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(80 * 24 * time.Hour), Seq: 1,
	}.Sign(f.id, testKey("signer"))
	check(t, err)
	f.log, err = directory.NewLog(f.chain)
	check(t, err)
	return f
}

func (f *founder) link() directory.NetworkLink { return f.chain.Link(nil) }

func (f *founder) token(life time.Duration) directory.Invitation {
	f.t.Helper()
	return f.tokenOf(0, life)
}

// tokenOf issues the i-th token.
func (f *founder) tokenOf(i int, life time.Duration) directory.Invitation {
	f.t.Helper()
	t, err := directory.IssueToken(f.id, testKey("signer"), [32]byte{9, byte(i), byte(i >> 8)}, time.Now().Add(life), 10)
	check(f.t, err)
	return t
}

func testAddr(i int, lab bool) netip.AddrPort {
	var ip [4]byte
	binary.BigEndian.PutUint32(ip[:], uint32(i+1)<<16)
	ip[0] = 8 + byte(i>>8)
	if lab {
		ip = [4]byte{127, 0, 0, 1}
	}
	return netip.AddrPortFrom(netip.AddrFrom4(ip), uint16(4000+i))
}

// describe makes the descriptor of the relay at the present time.
func (f *founder) describe(name string, i int) *directory.Descriptor {
	now := time.Now()
	lab := f.chain.Current().Lab
	d := &directory.Descriptor{
		ID: idOf(name), Seq: uint64(now.Unix()), Life: directory.Scale(lab, directory.MaxDescriptorLife),
		Addrs:     []netip.AddrPort{testAddr(i, lab)},
		OnionKeys: []directory.OnionKey{{NotBefore: uint32(now.Unix()) - 60, Key: sha256.Sum256([]byte(name + " onion"))}},
		LinkKey:   publicOf(testKey(name + " link")),
		Protocols: []uint16{1}, Roles: directory.RoleGuard | directory.RoleInner | directory.RoleMailbox,
		Software: "hearsay 0.1",
	}
	if f.chain.Current().Join&directory.JoinToken != 0 {
		d.Admission = f.tokenOf(int(d.ID[0])<<8+int(d.ID[1]), 20*24*time.Hour).Admission(f.id, d.ID)
	}
	return d
}

func (f *founder) sign(d *directory.Descriptor, name string) []byte {
	f.t.Helper()
	raw, err := d.Sign(f.id, testKey(name))
	check(f.t, err)
	return raw
}

func (f *founder) record(name string, i int) *directory.Record {
	f.t.Helper()
	r, err := directory.ParseRecord(f.chain.Rules(), f.sign(f.describe(name, i), name), time.Now())
	check(f.t, err)
	return r
}

// snapshot makes and logs the snapshot of the next epoch, which lists all of
// the records.
func (f *founder) snapshot(records ...*directory.Record) []byte {
	f.t.Helper()
	at := directory.NextEpoch(f.chain.Current().Lab, f.header, time.Now())
	vote := &directory.Vote{Signer: publicOf(testKey("signer")), Epoch: directory.EpochNumber(f.chain.Current().Lab, at)}
	for _, r := range records {
		key := directory.GossipKey(f.id, r.ID)
		v := directory.RelayVote{Key: [8]byte(key[:8]), Descriptor: [16]byte(r.Hash[:16]), Failures: directory.UnknownFailures}
		if r.Descriptor != nil {
			v.Tried = 1<<len(r.Descriptor.Addrs) - 1
			v.Reached = v.Tried
		}
		vote.Relays = append(vote.Relays, v)
	}
	slices.SortFunc(vote.Relays, func(a, b directory.RelayVote) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	_, err := vote.Sign(f.id, testKey("online"))
	check(f.t, err)
	j := sybil.Judge(sybil.Input{
		Chain: f.chain, Ledger: f.ledger, ValidAfter: at, Votes: []*directory.Vote{vote}, Records: records,
	}).Judgement
	s, err := directory.NewSnapshot(f.chain, f.log, at, j)
	check(f.t, err)
	check(f.t, s.Sign(f.cert, testKey("online")))
	raw, err := s.Encode()
	check(f.t, err)
	check(f.t, f.log.AddHeader(s.Hash()))
	f.ledger, f.header = j.Ledger, &s.Header
	return raw
}

// mesh connects nodes by pipes, in place of links.
type mesh struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	nodes   map[directory.RelayID]*Node
	down    map[directory.RelayID]bool // does not answer
	streams int                        // ever opened
	// serve, if set, answers request streams in place of the node.
	serve func(id directory.RelayID, s Stream) bool
}

func newMesh(t testing.TB) *mesh {
	ctx, cancel := context.WithCancel(context.Background())
	m := &mesh{ctx: ctx, cancel: cancel, nodes: make(map[directory.RelayID]*Node), down: make(map[directory.RelayID]bool)}
	t.Cleanup(m.stop)
	return m
}

func (m *mesh) stop() {
	m.cancel()
	m.wg.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.nodes {
		_ = n.Close()
	}
	m.nodes = nil
}

// add starts a node of the network.
func (m *mesh) add(f *founder, name string, role Role) *Node {
	f.t.Helper()
	n := m.addQuiet(f, name, role, f.t.TempDir())
	m.wg.Go(func() { _ = n.Run(m.ctx) })
	return n
}

// addQuiet adds a node that serves but does not run.
func (m *mesh) addQuiet(f *founder, name string, role Role, dir string) *Node {
	f.t.Helper()
	id := idOf(name)
	n, err := NewNode(NodeConfig{
		Role: role, Self: id, Link: f.link(), Files: [][]byte{f.raw}, Dialer: &meshDialer{m, id},
		Views: &directory.Views{}, Dir: dir,
	})
	check(f.t, err)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes[id] = n
	return n
}

// setServe answers request streams in place of the nodes.
func (m *mesh) setServe(serve func(id directory.RelayID, s Stream) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serve = serve
}

func (m *mesh) setDown(name string, down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down[idOf(name)] = down
}

var errNoAnswer = errors.New("no answer")

type meshDialer struct {
	m    *mesh
	self directory.RelayID
}

func (d *meshDialer) find(p Peer) (*Node, directory.RelayID, error) {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	d.m.streams++
	for id, n := range d.m.nodes {
		if (p.Partial && id.Prefix() == p.ID.Prefix() || id == p.ID) && !d.m.down[id] && !d.m.down[d.self] {
			return n, id, nil
		}
	}
	return nil, directory.RelayID{}, errNoAnswer
}

func (d *meshDialer) Gossip(ctx context.Context, p Peer) (Stream, directory.RelayID, error) {
	n, id, err := d.find(p)
	if err != nil {
		return nil, id, err
	}
	a, b := net.Pipe()
	d.m.wg.Go(func() { _ = n.ServeGossip(d.m.ctx, d.self, b) })
	return a, id, nil
}

func (d *meshDialer) Request(ctx context.Context, p Peer) (Stream, directory.RelayID, error) {
	n, id, err := d.find(p)
	if err != nil {
		return nil, id, err
	}
	a, b := net.Pipe()
	d.m.wg.Go(func() {
		d.m.mu.Lock()
		serve := d.m.serve
		d.m.mu.Unlock()
		if serve != nil && serve(id, b) {
			return
		}
		_ = n.ServeLinkRequest(d.m.ctx, b, nil)
	})
	return a, id, nil
}

// sameSet tells whether all nodes hold the same records, count of them.
func sameSet(nodes []*Node, count int) bool {
	_, first := nodes[0].store.set()
	return !slices.ContainsFunc(nodes, func(n *Node) bool {
		_, print := n.store.set()
		return print != first || n.store.Len() != count
	})
}

// memoryState is a State in memory.
type memoryState struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (s *memoryState) Load(name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.m[name]), nil
}

func (s *memoryState) Save(name string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = make(map[string][]byte)
	}
	s.m[name] = slices.Clone(value)
	return nil
}
