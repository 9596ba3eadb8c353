package signer

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"hearsay/directory"
	"hearsay/directory/gossip"
)

// committee is a network with several signers, whose messages and snapshots the
// test carries between them: it can lose, hold back and show some of them only.
type committee struct {
	t     *testing.T
	lab   bool
	id    directory.NetworkID
	files [][]byte
	chain *directory.Chain

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	members []*member
	cut     map[[2]int]bool
	delay   time.Duration
	// lose tells whether a message does not get from one member to another now.
	lose    func(from, to int, m *directory.SignerMessage) bool
	records [][]byte
	down    map[directory.RelayID]bool
	proofs  []*directory.Evidence
	liars   int // signers that sign everything
}

// member is one signer's process.
type member struct {
	c       *committee
	index   int
	nodeDir string
	dir     string
	node    *gossip.Node
	signer  *Signer
	cancel  context.CancelFunc
	done    chan error
	skew    time.Duration
	// restored is when the keys were put back without dir.
	restored time.Time
	docs     map[[32]byte][]byte
	held     []*directory.SignerMessage
	ids      map[[32]byte]bool
	changed  chan struct{}
}

func signerKey(i int) string { return fmt.Sprintf("signer %d", i) }

// founderFile is version 1 for the given signers.
func founderFile(lab bool, signers []int) directory.NetworkFile {
	now := time.Unix(time.Now().Unix(), 0)
	f := directory.NetworkFile{
		Name: "harbour", Created: now, Expires: now.Add(700 * 24 * time.Hour), Join: directory.JoinOpen, Lab: lab, MinProtocol: 1,
		Params: map[directory.Param]int64{directory.ParamPoWBits: 0, directory.ParamEpoch: 1800},
	}
	for _, i := range signers {
		f.Roots = append(f.Roots, directory.FounderKey{Public: publicOf(testKey(fmt.Sprintf("root %d", i))), Label: fmt.Sprintf("root %d", i)})
		f.Signers = append(f.Signers, directory.FounderKey{Public: publicOf(testKey(signerKey(i))), Label: signerKey(i)})
	}
	f.Bootstraps = []directory.Bootstrap{{ID: idOf("bootstrap").Prefix(), Addr: netip.MustParseAddrPort("8.8.8.8:4000")}}
	return f
}

func newCommittee(t *testing.T, lab bool, n int) *committee {
	t.Helper()
	c := &committee{t: t, lab: lab, cut: make(map[[2]int]bool), down: make(map[directory.RelayID]bool)}
	var signers []int
	var roots []ed25519.PrivateKey
	for i := range n {
		signers = append(signers, i)
		roots = append(roots, testKey(fmt.Sprintf("root %d", i)))
	}
	raw, id, err := directory.Found(founderFile(lab, signers), roots...)
	check(t, err)
	c.id, c.files = id, [][]byte{raw}
	c.chain, err = directory.VerifyChain(id, c.files, time.Now())
	check(t, err)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	t.Cleanup(c.stop)
	for i := range n {
		c.add(i)
	}
	return c
}

// add makes the home of another signer.
func (c *committee) add(i int) *member {
	m := &member{
		c: c, index: i, nodeDir: c.t.TempDir(), dir: c.t.TempDir(), docs: make(map[[32]byte][]byte),
		ids: make(map[[32]byte]bool), changed: make(chan struct{}),
	}
	c.mu.Lock()
	c.members = append(c.members, m)
	c.mu.Unlock()
	return m
}

func (c *committee) stop() {
	c.cancel()
	for _, m := range c.members {
		if m.node != nil {
			<-m.done
			m.shut()
		}
	}
	c.wg.Wait()
}

// open opens a member's process over its directories.
func (m *member) open() {
	t := m.c.t
	t.Helper()
	m.openNode()
	var err error
	m.signer, err = New(Config{
		Node: m.node, Board: m, Library: m, Identity: testKey(signerKey(m.index)), Online: testKey(fmt.Sprintf("online %d", m.index)),
		Prober: m.c, Dir: m.dir, Restored: m.restored, Clock: func() (time.Duration, int) { return m.skew, 2 },
		Evidence: func(e *directory.Evidence) {
			m.c.mu.Lock()
			defer m.c.mu.Unlock()
			m.c.proofs = append(m.c.proofs, e)
		},
	})
	check(t, err)
}

// openNode opens the node alone.
func (m *member) openNode() {
	t := m.c.t
	t.Helper()
	node, err := gossip.NewNode(gossip.NodeConfig{
		Role: gossip.RoleDirectory, Self: idOf(fmt.Sprintf("node %d", m.index)), Link: m.c.chain.Link(nil), Files: m.c.files,
		Views: &directory.Views{}, Dir: m.nodeDir,
	})
	check(t, err)
	m.c.mu.Lock()
	m.node = node
	m.c.mu.Unlock()
	for _, r := range m.c.records {
		_ = m.node.Publish(r)
	}
}

// closeNode closes a node that openNode opened.
func (m *member) closeNode() {
	m.c.mu.Lock()
	node := m.node
	m.node = nil
	m.c.mu.Unlock()
	check(m.c.t, node.Close())
}

func (m *member) run() {
	ctx, cancel := context.WithCancel(m.c.ctx)
	m.cancel, m.done = cancel, make(chan error, 1)
	s, done := m.signer, m.done
	m.c.wg.Go(func() { done <- s.Run(ctx) })
	m.c.wg.Go(func() { m.c.carry(ctx) })
}

// start opens and runs the given members, all without arguments.
func (c *committee) start(which ...int) {
	for _, m := range c.members {
		if len(which) == 0 || slices.Contains(which, m.index) {
			m.open()
			m.run()
		}
	}
}

// kill ends a member's process; what its board held is lost.
func (m *member) kill() error {
	m.cancel()
	err := <-m.done
	m.shut()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (m *member) shut() {
	m.cancel()
	if err := errors.Join(m.signer.Close(), m.node.Close()); err != nil && !m.c.t.Failed() {
		m.c.t.Error(err)
	}
	m.c.mu.Lock()
	m.node, m.held = nil, nil
	clear(m.ids)
	m.c.mu.Unlock()
}

// linked tells whether two members reach each other.
func (c *committee) linked(a, b int) bool { return !c.cut[[2]int{min(a, b), max(a, b)}] }

// part cuts a member off from the others, or joins it again.
func (c *committee) part(i int, off bool) {
	c.mu.Lock()
	for _, m := range c.members {
		if m.index != i {
			c.cut[[2]int{min(i, m.index), max(i, m.index)}] = off
		}
	}
	c.mu.Unlock()
	c.flow()
}

// Post implements Board.
func (m *member) Post(s *directory.SignerMessage) {
	m.c.mu.Lock()
	m.put(s)
	delay := m.c.delay
	m.c.mu.Unlock()
	m.c.wg.Go(func() {
		if delay > 0 && !sleepUntil(m.c.ctx, time.Now().Add(delay)) {
			return
		}
		m.c.flow()
	})
}

func (m *member) put(s *directory.SignerMessage) bool {
	id := sha256.Sum256(s.Raw())
	if m.ids[id] {
		return false
	}
	m.ids[id] = true
	m.held = append(m.held, s)
	close(m.changed)
	m.changed = make(chan struct{})
	return true
}

// Messages implements Board.
func (m *member) Messages() ([]*directory.SignerMessage, <-chan struct{}) {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	old := time.Now().Add(-2 * directory.EpochUnit(m.c.lab))
	m.held = slices.DeleteFunc(m.held, func(s *directory.SignerMessage) bool {
		return directory.EpochTime(m.c.lab, s.Epoch()).Before(old)
	})
	return slices.Clone(m.held), m.changed
}

// flow passes messages on until all have what they can get.
func (c *committee) flow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for again := true; again; {
		again = false
		for _, a := range c.members {
			for _, b := range c.members {
				if a == b || a.node == nil || b.node == nil || !c.linked(a.index, b.index) {
					continue
				}
				for _, s := range slices.Clone(a.held) {
					if c.lose == nil || !c.lose(a.index, b.index, s) {
						again = b.put(s) || again
					}
				}
			}
		}
	}
}

// Keep implements Library.
func (m *member) Keep(_ uint64, docs []gossip.Document) error {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	for _, d := range docs {
		if !directory.NamedBy(d.Hash, d.Raw) {
			m.c.t.Errorf("a document that its hash does not name")
		}
		m.docs[d.Hash] = d.Raw
	}
	return nil
}

// Fetch implements Library: from those who are linked.
func (m *member) Fetch(_ context.Context, hash [32]byte) ([]byte, error) {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	for _, o := range m.c.members {
		if o != m && (!m.c.linked(m.index, o.index) || o.node == nil) {
			continue
		}
		for h, raw := range o.docs {
			if h == hash || [16]byte(hash[16:]) == [16]byte{} && [16]byte(h[:16]) == [16]byte(hash[:16]) {
				return raw, nil
			}
		}
	}
	return nil, errors.New("not here")
}

// carry takes snapshots from node to node, as gossip does.
func (c *committee) carry(ctx context.Context) {
	for sleepUntil(ctx, time.Now().Add(500*time.Millisecond)) {
		c.mu.Lock()
		members := slices.Clone(c.members)
		c.mu.Unlock()
		for _, a := range members {
			for _, b := range members {
				c.mu.Lock()
				from, to, ok := a.node, b.node, a != b && c.linked(a.index, b.index)
				c.mu.Unlock()
				if !ok || from == nil || to == nil || ctx.Err() != nil {
					continue
				}
				raw, leaves := from.Newest()
				if _, own := to.Newest(); raw == nil || len(leaves) <= len(own) {
					continue
				}
				log, err := directory.LogOf(leaves)
				check(c.t, err)
				_ = to.AddSnapshot(raw, log) // another was faster
			}
		}
	}
}

// Probe implements Prober.
func (c *committee) Probe(ctx context.Context, d *directory.Descriptor) ([]netip.AddrPort, error) {
	c.mu.Lock()
	down := c.down[d.ID]
	c.mu.Unlock()
	if down {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d.Addrs, nil
}

// relays publishes relays on all nodes, or on those given, and on those that start
// later.
func (c *committee) relays(n int, on ...int) {
	c.t.Helper()
	for range n {
		i := len(c.records)
		ip := [4]byte{8, byte(i), 1, 1}
		if c.lab {
			ip = [4]byte{127, 0, 0, 1}
		}
		now := time.Now()
		name := fmt.Sprintf("relay %d", i)
		d := &directory.Descriptor{
			ID: idOf(name), Seq: uint64(now.Unix()), Life: directory.Scale(c.lab, directory.MaxDescriptorLife),
			Addrs:     []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4(ip), uint16(4000+i))},
			OnionKeys: []directory.OnionKey{{NotBefore: uint32(now.Unix()) - 60, Key: sha256.Sum256([]byte(name + " onion"))}},
			LinkKey:   publicOf(testKey(name + " link")), Protocols: []uint16{1},
			Roles: directory.RoleGuard | directory.RoleInner | directory.RoleMailbox, Software: "hearsay 0.1",
		}
		raw, err := d.Sign(c.id, testKey(name))
		check(c.t, err)
		c.records = append(c.records, raw)
		for _, m := range c.members {
			if m.node != nil && (len(on) == 0 || slices.Contains(on, m.index)) {
				check(c.t, m.node.Publish(raw))
			}
		}
	}
}

// amend makes the next version of the network file, with other signers, in force
// from the time given on. Members know it from their next start on.
func (c *committee) amend(at time.Time, signers ...int) {
	c.t.Helper()
	f := c.chain.Next(at)
	f.Signers = nil
	for _, i := range signers {
		f.Signers = append(f.Signers, directory.FounderKey{Public: publicOf(testKey(signerKey(i))), Label: signerKey(i)})
	}
	d, err := directory.DraftAmendment(c.chain, f)
	check(c.t, err)
	for i := range f.Roots {
		check(c.t, d.Sign(testKey(fmt.Sprintf("root %d", i))))
	}
	c.chain, err = d.Assemble(time.Now())
	check(c.t, err)
	c.files = c.chain.Raw(1)
}

// epochOf returns the epoch of what a member's node holds, 0 for nothing.
func (c *committee) epochOf(i int) uint64 {
	v := c.members[i].node.Views().Current()
	if v == nil {
		return 0
	}
	return v.Epoch()
}

// newest returns the newest header of a member's node.
func (c *committee) newest(i int) *directory.Snapshot {
	raw, _ := c.members[i].node.Newest()
	if raw == nil {
		c.t.Fatal("no snapshot")
	}
	s, err := directory.ParseSnapshot(raw)
	check(c.t, err)
	return s
}

// untilEpoch waits until the members' nodes hold a snapshot after the epoch.
func (c *committee) untilEpoch(after uint64, limit time.Duration, which ...int) {
	c.t.Helper()
	end := time.Now().Add(limit)
	for _, i := range which {
		for c.epochOf(i) <= after {
			if !time.Now().Before(end) {
				c.t.Fatalf("member %d has no snapshot after %d within %v", i, after, limit)
			}
			sleepUntil(c.ctx, time.Now().Add(100*time.Millisecond))
		}
	}
}

// agreed checks that the members hold one history, and that no book signed two
// headers of one number, nor k books two different ones.
func (c *committee) agreed() {
	c.t.Helper()
	var logs [][][32]byte
	signers := make(map[uint64]map[[32]byte]int) // by place in the log
	for _, m := range c.members {
		if m.node == nil || m.signer == nil {
			continue
		}
		raw, leaves := m.node.Newest()
		if raw != nil {
			logs = append(logs, leaves)
		}
		check(c.t, m.signer.book.db.View(func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketHeads).ForEach(func(k, v []byte) error {
				h, err := directory.ParseHead(v)
				if err != nil {
					return err
				}
				n := binary.BigEndian.Uint64(k)
				if h.Header.Epoch != n {
					c.t.Errorf("header of epoch %d under %d", h.Header.Epoch, n)
				}
				place := h.Header.LogSize
				if signers[place] == nil {
					signers[place] = make(map[[32]byte]int)
				}
				signers[place][h.Hash()]++
				return nil
			})
		}))
	}
	for i := range logs {
		for j := range logs[:i] {
			n := min(len(logs[i]), len(logs[j]))
			if !slices.Equal(logs[i][:n], logs[j][:n]) {
				c.t.Errorf("two histories")
			}
		}
	}
	k := directory.SignThreshold(len(c.chain.Current().Signers)) - c.liars
	for place, of := range signers {
		full := 0
		for _, count := range of {
			if count >= k {
				full++
			}
		}
		if full > 1 {
			c.t.Errorf("two headers that may be complete at place %d", place)
		}
	}
}
