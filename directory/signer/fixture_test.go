package signer

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"hearsay/directory"
	"hearsay/directory/gossip"
)

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

func idOf(name string) directory.RelayID { return publicOf(testKey(name)) }

// network is a founder's process, relays, and pipes between them.
type network struct {
	t     *testing.T
	lab   bool
	raw   []byte
	id    directory.NetworkID
	chain *directory.Chain

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	nodes  map[directory.RelayID]*gossip.Node
	down   map[directory.RelayID]bool
	probes map[directory.RelayID]int
	hosts  int
}

func newNetwork(t *testing.T, lab bool, join directory.Join) *network {
	t.Helper()
	now := time.Unix(time.Now().Unix(), 0)
	n := &network{
		t: t, lab: lab, nodes: make(map[directory.RelayID]*gossip.Node),
		down: make(map[directory.RelayID]bool), probes: make(map[directory.RelayID]int),
	}
	var err error
	n.raw, n.id, err = directory.Found(directory.NetworkFile{
		Name: "harbour", Created: now, Expires: now.Add(700 * 24 * time.Hour),
		Roots:      []directory.FounderKey{{Public: publicOf(testKey("root")), Label: "root"}},
		Signers:    []directory.FounderKey{{Public: publicOf(testKey("signer")), Label: "signer"}},
		Bootstraps: []directory.Bootstrap{{ID: idOf("bootstrap").Prefix(), Addr: n.addr()}},
		Join:       join, Lab: lab, MinProtocol: 1,
	}, testKey("root"))
	check(t, err)
	n.chain, err = directory.VerifyChain(n.id, [][]byte{n.raw}, now)
	check(t, err)
	n.ctx, n.cancel = context.WithCancel(context.Background())
	t.Cleanup(n.stop)
	return n
}

func (n *network) stop() {
	n.cancel()
	n.wg.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, g := range n.nodes {
		_ = g.Close()
	}
	n.nodes = nil
}

// addr returns another address each time.
func (n *network) addr() netip.AddrPort {
	n.hosts++
	ip := [4]byte{8, byte(n.hosts), 1, 1}
	if n.lab {
		ip = [4]byte{127, 0, 0, 1}
	}
	return netip.AddrPortFrom(netip.AddrFrom4(ip), uint16(4000+n.hosts))
}

func (n *network) node(name string, role gossip.Role, dir string) *gossip.Node {
	n.t.Helper()
	g, err := gossip.NewNode(gossip.NodeConfig{
		Role: role, Self: idOf(name), Link: n.chain.Link(nil), Files: [][]byte{n.raw},
		Dialer: &dialer{n, idOf(name)}, Views: &directory.Views{}, Dir: dir,
	})
	check(n.t, err)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[idOf(name)] = g
	return g
}

// relay starts a relay and publishes its descriptor.
func (n *network) relay(name string, token directory.Invitation) *gossip.Node {
	n.t.Helper()
	g := n.node(name, gossip.RoleRelay, n.t.TempDir())
	_ = g.Publish(n.describe(name, n.addr(), token))
	n.wg.Go(func() { _ = g.Run(n.ctx) })
	return g
}

func (n *network) describe(name string, addr netip.AddrPort, token directory.Invitation) []byte {
	n.t.Helper()
	now := time.Now()
	d := &directory.Descriptor{
		ID: idOf(name), Seq: uint64(now.Unix()), Life: directory.Scale(n.lab, directory.MaxDescriptorLife),
		Addrs:     []netip.AddrPort{addr},
		OnionKeys: []directory.OnionKey{{NotBefore: uint32(now.Unix()) - 60, Key: sha256.Sum256([]byte(name + " onion"))}},
		LinkKey:   publicOf(testKey(name + " link")),
		Protocols: []uint16{1}, Roles: directory.RoleGuard | directory.RoleInner | directory.RoleMailbox,
		Software: "hearsay 0.1",
	}
	if token != (directory.Invitation{}) {
		d.Admission = token.Admission(n.id, d.ID)
	}
	raw, err := d.Sign(n.id, testKey(name))
	check(n.t, err)
	return raw
}

func (n *network) token(uses int, nonce byte) directory.Invitation {
	n.t.Helper()
	t, err := directory.IssueToken(n.id, testKey("signer"), [32]byte{nonce}, time.Now().Add(20*24*time.Hour), uses)
	check(n.t, err)
	return t
}

func (n *network) setDown(name string, down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down[idOf(name)] = down
}

// Probe implements Prober: a relay answers if it runs and is not down.
func (n *network) Probe(ctx context.Context, d *directory.Descriptor) ([]netip.AddrPort, error) {
	n.mu.Lock()
	n.probes[d.ID]++
	_, runs := n.nodes[d.ID]
	down := n.down[d.ID]
	n.mu.Unlock()
	if !runs || down {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d.Addrs, nil
}

var errNoAnswer = errors.New("no answer")

type dialer struct {
	n    *network
	self directory.RelayID
}

func (d *dialer) find(p gossip.Peer) (*gossip.Node, directory.RelayID, error) {
	d.n.mu.Lock()
	defer d.n.mu.Unlock()
	for id, g := range d.n.nodes {
		if (p.Partial && id.Prefix() == p.ID.Prefix() || id == p.ID) && !d.n.down[id] && !d.n.down[d.self] {
			return g, id, nil
		}
	}
	return nil, directory.RelayID{}, errNoAnswer
}

func (d *dialer) Gossip(_ context.Context, p gossip.Peer) (gossip.Stream, directory.RelayID, error) {
	g, id, err := d.find(p)
	if err != nil {
		return nil, id, err
	}
	a, b := net.Pipe()
	d.n.wg.Go(func() { _ = g.ServeGossip(d.n.ctx, d.self, b) })
	return a, id, nil
}

func (d *dialer) Request(_ context.Context, p gossip.Peer) (gossip.Stream, directory.RelayID, error) {
	g, id, err := d.find(p)
	if err != nil {
		return nil, id, err
	}
	a, b := net.Pipe()
	d.n.wg.Go(func() { _ = g.ServeLinkRequest(d.n.ctx, b, nil) })
	return a, id, nil
}

// founder is the founder's process: a directory node and a signer.
type founder struct {
	node   *gossip.Node
	signer *Signer
	cancel context.CancelFunc
	done   chan error
}

// openFounder opens the process over its two directories.
func (n *network) openFounder(nodeDir, signerDir string) *founder {
	n.t.Helper()
	f := &founder{node: n.node("bootstrap", gossip.RoleDirectory, nodeDir), done: make(chan error, 1)}
	var err error
	f.signer, err = New(Config{
		Node: f.node, Identity: testKey("signer"), Online: testKey("online"), Prober: n, Dir: signerDir,
	})
	check(n.t, err)
	return f
}

func (n *network) start(f *founder) {
	ctx, cancel := context.WithCancel(n.ctx)
	f.cancel = cancel
	n.wg.Go(func() { _ = f.node.Run(ctx) })
	n.wg.Go(func() { f.done <- f.signer.Run(ctx) })
}

// close ends the process as a crash would, but for what Go must tidy up. If
// crashed, the signer ends by itself.
func (n *network) close(f *founder, crashed bool) error {
	var err error
	if crashed {
		err = <-f.done
		f.cancel()
	} else {
		f.cancel()
		err = <-f.done
	}
	check(n.t, f.signer.Close())
	n.mu.Lock()
	delete(n.nodes, idOf("bootstrap"))
	n.mu.Unlock()
	time.Sleep(time.Second) // streams end
	check(n.t, f.node.Close())
	return err
}

func listed(g *gossip.Node) int {
	v := g.Views().Current()
	if v == nil {
		return -1
	}
	return len(v.Relays())
}
