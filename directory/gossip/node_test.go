package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// TestNodesConverge: descriptors published at different nodes reach all of
// them, by rumour within seconds.
func TestNodesConverge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 12
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		boot := m.add(f, "bootstrap", RoleDirectory)
		nodes := []*Node{boot}
		var records []*directory.Record
		for i := range count {
			name := fmt.Sprintf("relay %d", i)
			n := m.add(f, name, RoleRelay)
			r := f.record(name, i)
			records = append(records, r)
			check(t, n.Publish(r.Raw))
			nodes = append(nodes, n)
		}
		// Unlisted relays know the bootstrap alone.
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if got := boot.Store().Len(); got != count {
			t.Fatalf("the bootstrap holds %d of %d descriptors", got, count)
		}
		check(t, boot.AddSnapshot(f.snapshot(records...), f.log))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		for i, n := range nodes {
			if v := n.cfg.Views.Current(); v == nil || len(v.Relays()) != count {
				t.Fatalf("node %d has no view of %d relays", i, count)
			}
			if s := n.Status(); i > 0 && (!s.Listed || !s.Heard || s.Verdict != VerdictHeld) {
				t.Fatalf("node %d: %+v", i, s)
			}
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if !sameSet(nodes, count) {
			t.Fatal("the nodes hold different records")
		}
		for i, n := range nodes {
			if got := n.Status().Peers; got < count {
				t.Errorf("node %d talks to %d others of %d", i, got, count)
			}
		}
		// A change is known everywhere soon.
		check(t, nodes[3].Publish(f.record("relay 2", 2).Raw))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if !sameSet(nodes, count) {
			t.Fatal("a new descriptor did not reach every node in 3 s")
		}
		m.stop()
	})
}

// TestSilentNodesDoNotStopOthers: with 40 % of the nodes unreachable the others
// converge all the same.
func TestSilentNodesDoNotStopOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 10
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		boot := m.add(f, "bootstrap", RoleDirectory)
		nodes := []*Node{boot}
		var records []*directory.Record
		for i := range count {
			name := fmt.Sprintf("relay %d", i)
			r := f.record(name, i)
			records = append(records, r)
			check(t, boot.Publish(r.Raw))
			if i < count*4/10 {
				m.setDown(name, true)
			}
			n := m.add(f, name, RoleRelay)
			if i >= count*4/10 {
				nodes = append(nodes, n)
			}
		}
		check(t, boot.AddSnapshot(f.snapshot(records...), f.log))
		time.Sleep(15 * time.Second)
		check(t, nodes[2].Publish(f.record("relay 9", 9).Raw))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !sameSet(nodes, count) {
			t.Fatal("the nodes hold different records")
		}
		m.stop()
	})
}

// TestNodesFollowSnapshots: each new snapshot reaches all nodes within a second,
// also those that missed some, whose log stays the same as the signer's.
func TestNodesFollowSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		boot := m.add(f, "bootstrap", RoleDirectory)
		var nodes []*Node
		var records []*directory.Record
		for i := range 4 {
			name := fmt.Sprintf("relay %d", i)
			records = append(records, f.record(name, i))
			nodes = append(nodes, m.add(f, name, RoleRelay))
		}
		for epoch := range 8 {
			m.setDown("relay 3", epoch >= 2 && epoch < 6)
			check(t, boot.AddSnapshot(f.snapshot(records...), f.log))
			time.Sleep(9 * time.Second)
			synctest.Wait()
			for i, n := range nodes {
				if i == 3 && epoch >= 2 && epoch < 6 {
					continue
				}
				if n.cfg.Views.Current() == nil || n.cfg.Views.Current().Epoch() != f.header.Epoch {
					t.Fatalf("epoch %d: node %d does not have it", epoch, i)
				}
				root, err := n.log6962.Root(f.log.Size())
				check(t, err)
				if want, _ := f.log.Root(f.log.Size()); root != want {
					t.Fatalf("epoch %d: node %d has another log", epoch, i)
				}
			}
			time.Sleep(time.Second)
		}
		m.stop()
	})
}

// TestNodeRestart: everything is there again after a restart, without network.
func TestNodeRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := found(t, true, directory.JoinOpen, 1)
		m := newMesh(t)
		dir := t.TempDir()
		n := m.addQuiet(f, "relay 0", RoleRelay, dir)
		a, b := f.record("relay 0", 0), f.record("relay 1", 1)
		check(t, n.Publish(a.Raw))
		check(t, n.Publish(b.Raw))
		check(t, n.AddSnapshot(f.snapshot(a, b), f.log))
		old := f.snapshot(a, b)
		time.Sleep(directory.EpochUnit(true))
		check(t, n.AddSnapshot(old, f.log))
		secret, print := n.secret, n.hello().fingerprint
		check(t, n.Close())

		again, err := NewNode(NodeConfig{Role: RoleRelay, Self: idOf("relay 0"), Link: f.link(), Views: &directory.Views{}, Dir: dir})
		check(t, err)
		if again.Store().Len() != 2 || again.hello().fingerprint != print || !bytes.Equal(again.secret, secret) {
			t.Error("the records or the secret are lost")
		}
		if v := again.cfg.Views.Current(); v == nil || v.Epoch() != f.header.Epoch {
			t.Error("the snapshot is lost")
		}
		if again.log6962.Size() != f.log.Size() {
			t.Errorf("the log has %d leaves, not %d", again.log6962.Size(), f.log.Size())
		}
		// What forbids older snapshots is remembered as well.
		if err := again.AddSnapshot(old, f.log); !errors.Is(err, directory.ErrRollback) {
			t.Errorf("an old snapshot after the restart: %v", err)
		}
		check(t, again.Close())
		m.mu.Lock()
		m.nodes = nil
		m.mu.Unlock()
		m.stop()
	})
}

func TestNewNodeWithoutNetworkFile(t *testing.T) {
	f := found(t, true, directory.JoinOpen, 1)
	_, err := NewNode(NodeConfig{Role: RoleRelay, Link: f.link(), Views: &directory.Views{}, Dir: t.TempDir()})
	if !errors.Is(err, ErrNoNetwork) {
		t.Fatal(err)
	}
	g := found(t, true, directory.JoinOpen, 2)
	_, err = NewNode(NodeConfig{Role: RoleRelay, Link: f.link(), Files: [][]byte{g.raw}, Views: &directory.Views{}, Dir: t.TempDir()})
	if !errors.Is(err, directory.ErrOtherNetwork) {
		t.Fatal(err)
	}
}
