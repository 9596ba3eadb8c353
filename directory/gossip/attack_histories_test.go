package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// divided is a lab network whose only founder shows one history to the bootstrap
// and to relay 0, and another to relays 1 to 4. No two nodes talk to each other.
type divided struct {
	f     *founder
	m     *mesh
	a, b  *history
	nodes map[string]*Node
}

func divide(t *testing.T) *divided {
	t.Helper()
	d := &divided{m: newMesh(t), f: found(t, true, directory.JoinOpen, 1), nodes: make(map[string]*Node)}
	d.a = newHistory(d.f)
	for _, name := range []string{"bootstrap", "relay 0", "relay 1", "relay 2", "relay 3", "relay 4"} {
		role := RoleRelay
		if name == "bootstrap" {
			role = RoleDirectory
		}
		d.nodes[name] = d.m.addQuiet(d.f, name, role, t.TempDir())
	}
	first := d.a.publish(listings(5, true, directory.FlagGuard), nil)
	for _, n := range d.nodes {
		check(t, n.AddSnapshot(first, nil))
	}
	d.b = d.a.twin()
	return d
}

// tell has the nodes hold the next snapshots of both histories.
func (d *divided) tell(a, b []byte) {
	for name, n := range d.nodes {
		switch name {
		case "bootstrap", "relay 0":
			if a != nil {
				check(d.f.t, n.AddSnapshot(a, d.a.log))
			}
		default:
			if b != nil {
				check(d.f.t, n.AddSnapshot(b, d.b.log))
			}
		}
	}
}

// TestAttackEquivocatingFounder: the one signer of a network signs two snapshots
// for each epoch and shows one to some and the other to others. Clients of both
// kinds compare heads, are told in plain words who signed what, take no new guards,
// keep their last good snapshot, and have relays spread the proof. A restart
// forgets none of it.
func TestAttackEquivocatingFounder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := divide(t)
		var logs capture
		stores := []*memoryState{{}, {}}
		var clients []*Client
		for i, s := range stores {
			c := clientOf(t, d.f, d.m, fmt.Sprintf("relay %d", i), s, &logs)
			clients = append(clients, c)
			d.m.wg.Go(func() { _ = c.Run(d.m.ctx) })
		}
		for range 40 {
			d.tell(d.a.publish(listings(5, true, directory.FlagGuard), nil), d.b.publish(listings(4, true, directory.FlagGuard), nil))
			time.Sleep(10 * time.Second)
		}
		synctest.Wait()
		for i, c := range clients {
			v := c.cfg.Views
			list := v.Warnings(time.Now())
			if len(list) == 0 || list[0].Kind != directory.WarnEvidence || !v.NoNewGuards() {
				t.Fatalf("client %d: %+v", i, list)
			}
			for _, want := range []string{"signer", "signed two different snapshots for", "people were shown different networks"} {
				if !strings.Contains(list[0].Text, want) {
					t.Errorf("client %d: %q lacks %q", i, list[0].Text, want)
				}
			}
			if age := time.Since(v.Current().ValidAfter()); age < 2*time.Minute {
				t.Errorf("client %d took up a snapshot of the culprit %v ago", i, age)
			}
			again := clientOf(t, d.f, d.m, "relay 0", stores[i], &logs)
			if !warns(again.cfg.Views, directory.WarnEvidence) || !again.cfg.Views.NoNewGuards() {
				t.Errorf("client %d forgot the evidence at a restart", i)
			}
		}
		told := 0
		for _, n := range d.nodes {
			told += len(n.Evidence())
		}
		if told < 2 {
			t.Errorf("%d relays hold the evidence", told)
		}
		d.m.stop()
	})
}

// TestAttackRewrittenHistory: a signer drops a snapshot that was published and
// publishes another one later at its place. Who holds the first is offered the
// other history by its guard.
func TestAttackRewrittenHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := divide(t)
		var logs capture
		d.tell(d.a.publish(listings(5, true, directory.FlagGuard), nil), nil)
		c := clientOf(t, d.f, d.m, "relay 0", &memoryState{}, &logs)
		check(t, c.fetch(t.Context()))
		held := c.cfg.Views.Current()
		d.b.skip()
		for range 3 {
			time.Sleep(10 * time.Second)
			d.tell(nil, d.b.publish(listings(5, true, directory.FlagGuard), nil))
		}
		c.cfg.Guard = func() (Peer, bool) { return Peer{ID: idOf("relay 1")}, true }
		if err := c.fetch(t.Context()); err == nil {
			t.Error("the rewritten history was taken")
		}
		list := c.cfg.Views.Warnings(time.Now())
		if len(list) != 1 || !strings.Contains(list[0].Text, "which deny each other: the history was rewritten") || c.cfg.Views.Current() != held {
			t.Errorf("%+v", list)
		}
		d.m.stop()
	})
}

// TestNodesFindTwoHistories: a relay that sees another head for an epoch in a
// HELLO, and one that is offered a newer snapshot of another history, ask for the
// heads and spread the proof.
func TestNodesFindTwoHistories(t *testing.T) {
	for _, ahead := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d := divide(t)
			d.tell(d.a.publish(listings(5, true, directory.FlagGuard), nil), d.b.publish(listings(4, true, directory.FlagGuard), nil))
			if ahead {
				d.b.skip()
				time.Sleep(20 * time.Second)
				d.tell(nil, d.b.publish(listings(4, true, directory.FlagGuard), nil))
			}
			for _, n := range d.nodes {
				d.m.wg.Go(func() { _ = n.Run(d.m.ctx) })
			}
			time.Sleep(20 * time.Second)
			synctest.Wait()
			for name, n := range d.nodes {
				list := n.Evidence()
				if len(list) != 1 || !list[0].Severe() || !warns(n.Views(), directory.WarnEvidence) {
					t.Errorf("ahead %v: %s holds %d pieces", ahead, name, len(list))
				}
			}
			d.m.stop()
		})
	}
}

// TestAbandonedHeaderIsNoEquivocation: a snapshot that signers gave up was
// completed late. Client and relay go on from the one that took its place and
// names it, and accuse nobody.
func TestAbandonedHeaderIsNoEquivocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := divide(t)
		var logs capture
		d.tell(d.a.publish(listings(5, true, directory.FlagGuard), nil), nil)
		c := clientOf(t, d.f, d.m, "relay 0", &memoryState{}, &logs)
		check(t, c.fetch(t.Context()))
		late := d.a.head().Hash()
		d.b.skip()
		for i := range 2 {
			time.Sleep(10 * time.Second)
			d.tell(nil, d.b.publish(listings(5, true, directory.FlagGuard), func(j *directory.Judgement) {
				if i == 0 {
					j.Abandoned = [][32]byte{late}
				}
			}))
		}
		c.cfg.Guard = func() (Peer, bool) { return Peer{ID: idOf("relay 1")}, true }
		check(t, c.fetch(t.Context()))
		relay := d.nodes["relay 0"]
		if !relay.pull(t.Context(), Peer{ID: idOf("relay 1")}) {
			t.Error("the relay stays behind")
		}
		want := d.b.head().Header.Epoch
		if c.cfg.Views.Current().Epoch() != want || relay.Status().Epoch != want {
			t.Errorf("client at %d, relay at %d, not %d", c.cfg.Views.Current().Epoch(), relay.Status().Epoch, want)
		}
		if len(c.cfg.Views.Warnings(time.Now())) != 0 || len(relay.Evidence()) != 0 {
			t.Errorf("%v, %d", kinds(c.cfg.Views), len(relay.Evidence()))
		}
		// It answers for the new history, over a restart too.
		d.m.stop()
		again, err := NewNode(NodeConfig{Role: RoleRelay, Self: relay.cfg.Self, Link: d.f.link(), Views: &directory.Views{}, Dir: relay.cfg.Dir})
		check(t, err)
		defer again.Close()
		root, err := again.log6962.Root(d.b.log.Size())
		check(t, err)
		if theirs, _ := d.b.log.Root(d.b.log.Size()); root != theirs {
			t.Error("another log after a restart")
		}
	})
}

// TestFoundersEndTwoHistories: a new version of the network file replaces the
// culprit, and the founders go on with one of the histories. Clients and relays of
// the other come over, the warning ends, and guards may be taken again.
func TestFoundersEndTwoHistories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := divide(t)
		var logs capture
		state := &memoryState{}
		c := clientOf(t, d.f, d.m, "relay 1", state, &logs)
		for range 3 {
			d.tell(d.a.publish(listings(5, true, directory.FlagGuard), nil), d.b.publish(listings(4, true, directory.FlagGuard), nil))
			time.Sleep(10 * time.Second)
		}
		check(t, c.fetch(t.Context()))
		e, err := d.f.chain.ForkEvidence(d.nodes["relay 0"].head, d.nodes["relay 1"].head)
		check(t, err)
		early := e // the newest heads are no way back to the fork, their places are
		for _, n := range d.nodes {
			n.AddEvidence(early)
		}
		if err := c.fetch(t.Context()); !errors.Is(err, errNothingNew) || !c.cfg.Views.NoNewGuards() {
			t.Errorf("%v, %v", err, kinds(c.cfg.Views))
		}
		time.Sleep(time.Minute)
		raw := d.a.replaceSigner("anna")
		for range 8 { // the old version counts one epoch more
			d.a.skip()
		}
		next := d.a.publish(listings(5, true, directory.FlagGuard), nil)
		for _, name := range []string{"bootstrap", "relay 0"} {
			check(t, d.nodes[name].extend([][]byte{raw}, time.Now()))
			check(t, d.nodes[name].AddSnapshot(next, d.a.log))
		}
		c.cfg.Guard = func() (Peer, bool) { return Peer{ID: idOf("relay 0")}, true }
		if err := c.fetch(t.Context()); err != nil {
			t.Errorf("the client does not come over: %v", err)
		}
		relay := d.nodes["relay 1"]
		if !relay.pull(t.Context(), Peer{ID: idOf("relay 0")}) {
			t.Error("the relay does not come over")
		}
		want := d.a.head().Header.Epoch
		if c.cfg.Views.Current().Epoch() != want || relay.Status().Epoch != want {
			t.Errorf("client at %d, relay at %d, not %d", c.cfg.Views.Current().Epoch(), relay.Status().Epoch, want)
		}
		if c.cfg.Views.NoNewGuards() {
			t.Errorf("still %v", kinds(c.cfg.Views))
		}
		d.m.stop()
	})
}

// TestAttackForgedEvidence: a peer that passes on evidence that proves nothing is
// refused as one that gives bad records. A client drops the node that gave it.
func TestAttackForgedEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := divide(t)
		d.tell(d.a.publish(listings(5, true, directory.FlagGuard), nil), d.b.publish(listings(4, true, directory.FlagGuard), nil))
		e, err := d.f.chain.ForkEvidence(d.a.head(), d.b.head())
		check(t, err)
		forged := bytes.Clone(e.Raw())
		forged[len(forged)-10] ^= 1
		n := d.nodes["relay 0"]
		ss := &session{n: n, peer: idOf("relay 1")}
		if err := ss.onEvidence(forged); !errors.Is(err, errRefused) || !n.limits.refused(idOf("relay 1"), time.Now()) {
			t.Errorf("%v", err)
		}
		if len(n.Evidence()) != 0 {
			t.Error("kept")
		}
		var k caution
		k.state, k.views, k.log = &memoryState{}, &directory.Views{}, n.log
		if _, err := k.take(d.f.chain, []notice{{noticeEvidence, forged}}, time.Now()); err == nil {
			t.Error("a client believes it")
		}
		if got := n.answerReport(forged); got[0] != reportRefused {
			t.Errorf("handed in: %d", got[0])
		}
		d.m.stop()
	})
}

// TestAttackEvidenceFlood: a signer makes contradictions without end. Each node
// keeps and passes on one, copies cost a hash, and each peer has so many looked at
// and no more.
func TestAttackEvidenceFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := divide(t)
		a := d.a.publish(listings(5, true, directory.FlagGuard), nil)
		d.tell(a, nil)
		one := d.a.head()
		n := d.nodes["relay 0"]
		ss := &session{n: n, peer: idOf("relay 1")}
		watch := newSession(n, idOf("relay 2"), nil, false, false)
		n.mu.Lock()
		n.sessions[watch] = struct{}{}
		n.mu.Unlock()
		before := len(watch.queue)
		for i := range 100 {
			twin := d.b.twin()
			twin.publish(listings(5, true, directory.FlagGuard), func(j *directory.Judgement) { j.Recommended = []string{fmt.Sprint("v", i)} })
			e, err := d.f.chain.ForkEvidence(one, twin.head())
			check(t, err)
			for range 3 {
				check(t, ss.onEvidence(e.Raw()))
			}
		}
		if got := len(n.Evidence()); got != 1 {
			t.Errorf("%d pieces held", got)
		}
		if got := len(watch.queue) - before; got != 1 {
			t.Errorf("%d messages to a peer", got)
		}
		if got := len(n.notices.looked); got != evidenceBurst {
			t.Errorf("%d pieces looked at, not %d", got, evidenceBurst)
		}
		n.mu.Lock()
		delete(n.sessions, watch)
		n.mu.Unlock()
		d.m.stop()
	})
}

// TestAttackWithheldSnapshots: the guard shows an old head for hours. The client
// compares heads at random relays, takes the newest snapshot from one of them, and
// says so.
func TestAttackWithheldSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := divide(t)
		var logs capture
		d.tell(d.a.publish(listings(5, true, directory.FlagGuard), nil), nil)
		c := clientOf(t, d.f, d.m, "relay 0", &memoryState{}, &logs)
		check(t, c.fetch(t.Context()))
		d.m.setDown("bootstrap", true)
		for _, name := range []string{"relay 1", "relay 2", "relay 3", "relay 4"} {
			check(t, d.nodes[name].AddSnapshot(d.nodes["relay 0"].snapshot, d.a.log))
		}
		for range 30 {
			time.Sleep(10 * time.Second)
			next := d.a.publish(listings(5, true, directory.FlagGuard), nil)
			for _, name := range []string{"relay 1", "relay 2", "relay 3", "relay 4"} {
				check(t, d.nodes[name].AddSnapshot(next, d.a.log))
			}
		}
		old := c.cfg.Views.Current().Epoch()
		d.m.wg.Go(func() { _ = c.Run(d.m.ctx) })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := c.cfg.Views.Current().Epoch(); got <= old || !warns(c.cfg.Views, directory.WarnWithheld) {
			t.Errorf("epoch %d after %d, warnings %v\n%s", got, old, kinds(c.cfg.Views), logs.b.String())
		}
		if len(d.nodes["relay 1"].Evidence()) != 0 {
			t.Error("withholding is no equivocation")
		}
		d.m.stop()
	})
}
