package gossip

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// meshCircuits opens directory streams as if over circuits: the relay does not
// learn who asks.
type meshCircuits struct {
	m      *mesh
	asked  map[directory.RelayID]int // guarded by m.mu
	broken bool                      // none can be built
}

func (c *meshCircuits) RequestOver(_ context.Context, relay directory.RelayID) (Stream, error) {
	c.m.mu.Lock()
	n, down, serve := c.m.nodes[relay], c.m.down[relay], c.m.serve
	c.asked[relay]++
	c.m.mu.Unlock()
	if n == nil || down || c.broken {
		return nil, errNoAnswer
	}
	a, b := net.Pipe()
	c.m.wg.Go(func() {
		if serve == nil || !serve(relay, b) {
			_ = n.ServeRequest(c.m.ctx, b)
		}
	})
	return a, nil
}

// withCircuits gives a node circuits.
func (m *mesh) withCircuits(n *Node) *meshCircuits {
	c := &meshCircuits{m: m, asked: make(map[directory.RelayID]int)}
	n.cfg.Circuits = c
	return c
}

// quietRelays adds relays that serve but do not run, all with the snapshot.
func quietRelays(m *mesh, f *founder, count int, raw []byte) (relays []*Node) {
	f.t.Helper()
	for i := range count {
		n := m.addQuiet(f, fmt.Sprintf("relay %d", i), RoleRelay, f.t.TempDir())
		check(f.t, n.AddSnapshot(raw, f.log))
		relays = append(relays, n)
	}
	return relays
}

// relayRecords describes relays, each ten with a token of their own.
func relayRecords(f *founder, count int) (records []*directory.Record) {
	f.t.Helper()
	for i := range count {
		name := fmt.Sprintf("relay %d", i)
		d := f.describe(name, i)
		token, err := directory.IssueToken(f.id, testKey("signer"), [32]byte{1, byte(i / 10)}, time.Now().Add(time.Hour), 10)
		check(f.t, err)
		d.Admission = token.Admission(f.id, d.ID)
		r, err := directory.ParseRecord(f.chain.Rules(), f.sign(d, name), time.Now())
		check(f.t, err)
		records = append(records, r)
	}
	return records
}

// TestAttackEclipse: all nodes that a relay talks to keep new snapshots from it.
// It says so after two epochs, and has the newest as soon as it compares heads
// with relays that nobody chose for it, of three networks.
func TestAttackEclipse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		m.setDown("bootstrap", true)
		records := relayRecords(f, 7)
		raw := f.snapshot(records...)
		relays := quietRelays(m, f, 7, raw)
		victim := relays[0]
		circuits := m.withCircuits(victim)
		if s := victim.Status(); s.Stalled || !s.ComparedAt.IsZero() {
			t.Fatalf("%+v", s)
		}
		for range 4 {
			time.Sleep(time.Until(directory.NextEpoch(false, f.header, time.Now())))
			raw = f.snapshot(records...)
			for _, n := range relays[1:] {
				check(t, n.AddSnapshot(raw, f.log))
			}
		}
		time.Sleep(10 * time.Second)
		if s := victim.Status(); !s.Stalled || s.Epoch == f.header.Epoch {
			t.Errorf("an eclipsed relay does not see it: %+v", s)
		}
		victim.compareHeads(t.Context())
		s := victim.Status()
		if s.Stalled || s.Epoch != f.header.Epoch || s.Agreed != headPeers || s.ComparedAt.IsZero() {
			t.Errorf("after comparing heads: %+v", s)
		}
		if len(circuits.asked) != headPeers {
			t.Errorf("%d relays asked", len(circuits.asked))
		}
		// Two relays do not answer; others take their place.
		m.setDown("relay 1", true)
		m.setDown("relay 2", true)
		clear(circuits.asked)
		victim.compareHeads(t.Context())
		if s := victim.Status(); s.Agreed != headPeers {
			t.Errorf("with two silent relays: %+v", s)
		}
		// No circuit can be built at all: one relay is asked directly.
		raw = f.snapshot(records...)
		for _, n := range relays[1:] {
			check(t, n.AddSnapshot(raw, f.log))
		}
		circuits.broken = true
		for range 30 { // two of six are silent
			victim.compareHeads(t.Context())
		}
		if s := victim.Status(); s.Epoch != f.header.Epoch {
			t.Errorf("without circuits: %+v", s)
		}
		m.stop()
	})
}

// TestAttackEclipseOfAllRelays: also if no relay says the truth, a founder's node
// does.
func TestAttackEclipseOfAllRelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		boot := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
		records := relayRecords(f, 4)
		victim := quietRelays(m, f, 4, f.snapshot(records...))[0]
		m.withCircuits(victim)
		time.Sleep(time.Minute)
		check(t, boot.AddSnapshot(f.snapshot(records...), f.log))
		victim.compareHeads(t.Context())
		if s := victim.Status(); s.Epoch == f.header.Epoch || s.Agreed != headPeers {
			t.Fatalf("%+v", s)
		}
		victim.compareWithSigner(t.Context())
		if s := victim.Status(); s.Epoch != f.header.Epoch {
			t.Errorf("%+v", s)
		}
		m.stop()
	})
}

// TestHeadsAreComparedOnSchedule: about every ten minutes while epochs are short,
// with three relays, and every six hours the own descriptor is asked for.
func TestHeadsAreComparedOnSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		records := relayRecords(f, 6)
		relays := quietRelays(m, f, 6, f.snapshot(records...))
		for _, n := range relays {
			check(t, n.Publish(records[0].Raw))
		}
		circuits := m.withCircuits(relays[0])
		m.wg.Go(func() { relays[0].watchHeads(m.ctx) })
		time.Sleep(8 * time.Hour)
		synctest.Wait()
		asked := 0
		m.mu.Lock()
		for _, n := range circuits.asked {
			asked += n
		}
		m.mu.Unlock()
		// 48 comparisons, each drawn from 7.5 to 12.5 minutes after the last.
		if asked < 40*headPeers || asked > 60*headPeers+2*ownPeers {
			t.Errorf("%d questions in eight hours", asked)
		}
		if s := relays[0].Status(); s.LookedAt.IsZero() || s.Missing != 0 || s.Agreed != headPeers {
			t.Errorf("%+v", s)
		}
		m.stop()
	})
}

// TestHeadsAreComparedAcrossNetworks: relays of one /16 count once.
func TestHeadsAreComparedAcrossNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		var records []*directory.Record
		for i := range 6 {
			name := fmt.Sprintf("relay %d", i)
			d := f.describe(name, 3) // all of one /16
			d.Addrs[0] = testAddr(3, false)
			ip := d.Addrs[0].Addr().As4()
			ip[2] = byte(i)
			d.Addrs[0] = netipAddrPort(ip, d.Addrs[0].Port())
			r, err := directory.ParseRecord(f.chain.Rules(), f.sign(d, name), time.Now())
			check(t, err)
			records = append(records, r)
		}
		relays := quietRelays(m, f, 6, f.snapshot(records...))
		circuits := m.withCircuits(relays[0])
		relays[0].compareHeads(t.Context())
		if s := relays[0].Status(); len(circuits.asked) != 1 || s.Agreed != 1 {
			t.Errorf("%d relays of one /16 asked: %+v", len(circuits.asked), s)
		}
		m.stop()
	})
}

// otherHistory makes the same network anew, whose founder signs another history.
func otherHistory(t *testing.T, f *founder) *founder {
	t.Helper()
	fork := *f
	var err error
	fork.log, err = directory.NewLog(f.chain)
	check(t, err)
	fork.ledger, fork.header = &directory.Ledger{}, nil
	return &fork
}

// TestAttackSplitHistory: the signer shows one relay a history of its own. The
// relay finds out when it compares heads, over circuits, with others, whichever of
// the two epochs is the later, and holds evidence that names the signer.
func TestAttackSplitHistory(t *testing.T) {
	for name, c := range map[string]struct {
		epochs int // by which the other history is later
		kind   directory.EvidenceKind
	}{"one epoch twice": {0, directory.EvidenceFork}, "one place twice": {1, directory.EvidenceRewrite}} {
		synctest.Test(t, func(t *testing.T) {
			f := found(t, false, directory.JoinToken, 1)
			fork := otherHistory(t, f)
			m := newMesh(t)
			records := relayRecords(f, 5)
			raw := f.snapshot(records...)
			relays := quietRelays(m, f, 4, raw)
			time.Sleep(time.Duration(c.epochs) * time.Minute)
			odd := m.addQuiet(f, "relay 4", RoleRelay, t.TempDir())
			check(t, odd.AddSnapshot(fork.snapshot(records[:4]...), fork.log))
			m.withCircuits(relays[0])
			m.withCircuits(odd)

			odd.compareHeads(t.Context())
			s := odd.Status()
			if s.Differing == 0 || s.Agreed != 0 {
				t.Errorf("%s: the cheated relay sees nothing: %+v", name, s)
			}
			for range 10 { // it is asked sooner or later
				relays[0].compareHeads(t.Context())
			}
			for who, n := range map[string]*Node{"cheated": odd, "other": relays[0]} {
				list := n.Evidence()
				if len(list) != 1 || list[0].Kind() != c.kind || len(list[0].Culprits()) != 1 || list[0].Culprits()[0].Label != "signer" {
					t.Errorf("%s: the %s relay holds %d pieces of evidence", name, who, len(list))
				}
			}
			m.stop()
		})
	}
}

// TestAttackMadeUpHead: a head that nobody signed accuses nobody.
func TestAttackMadeUpHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, other := found(t, false, directory.JoinToken, 1), found(t, false, directory.JoinToken, 2)
		m := newMesh(t)
		relays := quietRelays(m, f, 4, f.snapshot(relayRecords(f, 4)...))
		m.withCircuits(relays[0])
		foreign, err := directory.ParseSnapshot(other.snapshot())
		check(t, err)
		head, err := foreign.Head.Encode()
		check(t, err)
		m.setServe(func(id directory.RelayID, s Stream) bool {
			answerHeads(m.nodes[id], s, head)
			return true
		})
		relays[0].compareHeads(t.Context())
		if s := relays[0].Status(); s.Differing != 0 || !s.ComparedAt.IsZero() || len(relays[0].Evidence()) != 0 {
			t.Errorf("%+v", s)
		}
		m.stop()
	})
}

// answerHeads answers with one head whatever is asked, and names it in HELLO.
func answerHeads(n *Node, s Stream, head []byte) {
	defer s.Close()
	h := n.hello()
	h.headerHash[0] ^= 1
	if _, err := s.Write(appendMessage(nil, TypeHello, h.append(nil))); err != nil {
		return
	}
	r := frameReader{r: s}
	for {
		m, err := r.next()
		if err != nil {
			return
		}
		if _, err := s.Write(appendMessage(nil, m.typ|answerBit, head)); err != nil {
			return
		}
	}
}

// TestAttackWithholding: a relay does not give out another's descriptor. The
// other one finds out by asking, unknown, over a circuit, gives it to that relay
// once more, and tells its operator as long as it stays so.
func TestAttackWithholding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, false, directory.JoinToken, 1)
		m := newMesh(t)
		records := relayRecords(f, 3)
		relays := quietRelays(m, f, 3, f.snapshot(records...))
		for _, n := range relays {
			for _, r := range records {
				check(t, n.Publish(r.Raw))
			}
		}
		victim := relays[0]
		circuits := m.withCircuits(victim)
		forget := func(n *Node) {
			n.store.mu.Lock()
			defer n.store.mu.Unlock()
			n.store.dropLocked(key(directory.GossipKey(f.id, victim.cfg.Self)))
		}
		// Too early: it may not be everywhere yet.
		victim.lookAfterOwn(t.Context())
		if len(circuits.asked) != 0 {
			t.Error("asked at once")
		}
		time.Sleep(10 * time.Minute)
		victim.lookAfterOwn(t.Context())
		if s := victim.Status(); s.Missing != 0 || s.LookedAt.IsZero() || len(circuits.asked) != ownPeers {
			t.Errorf("nothing is withheld: %+v, %d asked", s, len(circuits.asked))
		}
		forget(relays[1])
		victim.lookAfterOwn(t.Context())
		synctest.Wait()
		if s := victim.Status(); s.Missing != 1 {
			t.Errorf("one relay withholds: %+v", s)
		}
		if _, ok := relays[1].Store().Record(victim.cfg.Self); !ok {
			t.Error("the record was not given once more")
		}
		victim.lookAfterOwn(t.Context())
		if s := victim.Status(); s.Missing != 0 {
			t.Errorf("all give it out again: %+v", s)
		}
		// One that holds it and does not give it out.
		m.setServe(func(id directory.RelayID, s Stream) bool {
			if id == idOf("relay 1") {
				answerHeads(m.nodes[id], s, nil)
				return true
			}
			return false
		})
		victim.lookAfterOwn(t.Context())
		if s := victim.Status(); s.Missing != 1 {
			t.Errorf("one relay goes on withholding: %+v", s)
		}
		m.stop()
	})
}
