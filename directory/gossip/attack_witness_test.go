package gossip

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// watched is an ordinary network of 22 relays of which the first seven are
// witnesses; their nodes hold its first two snapshots and do not talk to each
// other.
type watched struct {
	f     *founder
	m     *mesh
	h     *history
	nodes []*Node
	first []byte
}

func watch(t *testing.T) *watched {
	t.Helper()
	w := &watched{m: newMesh(t), f: found(t, false, directory.JoinOpen, 1)}
	w.h = newHistory(w.f)
	w.first = w.h.publish(w.listed(), nil)
	time.Sleep(time.Until(w.h.at))
	second := w.h.publish(w.listed(), nil)
	for i := range 7 {
		n := w.node(t, i, t.TempDir())
		check(t, n.AddSnapshot(w.first, nil))
		check(t, n.AddSnapshot(second, w.h.log))
		w.nodes = append(w.nodes, n)
		w.m.mu.Lock()
		w.m.nodes[n.cfg.Self] = n
		w.m.mu.Unlock()
	}
	return w
}

func (w *watched) node(t *testing.T, i int, dir string) *Node {
	t.Helper()
	name := fmt.Sprintf("relay %d", i)
	n, err := NewNode(NodeConfig{
		Role: RoleRelay, Self: idOf(name), Link: w.f.link(), Files: [][]byte{w.f.raw}, Dialer: &meshDialer{w.m, idOf(name)},
		Views: &directory.Views{}, Identity: testKey(name), Dir: dir,
	})
	check(t, err)
	return n
}

func (w *watched) listed() []directory.Listing {
	list := listings(22, false, directory.FlagGuard|directory.FlagStable)
	for i := range 7 {
		list[i].Flags |= directory.FlagWitness
	}
	return list
}

// word is that of the i-th relay for the newest snapshot.
func (w *watched) word(t *testing.T, i int) directory.Witness {
	t.Helper()
	for _, x := range w.nodes[i].head.Witnesses() {
		if x.Relay == w.nodes[i].cfg.Self {
			return x
		}
	}
	t.Fatalf("relay %d did not sign", i)
	return directory.Witness{}
}

// share gives a node the words of others.
func (w *watched) share(t *testing.T, to int, from ...int) {
	t.Helper()
	n := w.nodes[to]
	for _, i := range from {
		ss := &session{n: n, peer: w.nodes[i].cfg.Self}
		check(t, ss.onWitness(appendWitness(nil, n.head.Hash(), w.word(t, i))))
	}
}

// TestWitnessesSignAndSpread: each witness signs the head that it installs; words
// of others are added to it, served with head and snapshot, and kept.
func TestWitnessesSignAndSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		n := w.nodes[0]
		w.share(t, 0, 1, 2, 3, 1)
		if got := len(n.head.Witnesses()); got != 4 {
			t.Errorf("%d words", got)
		}
		s, err := directory.ParseSnapshot(n.snapshot)
		check(t, err)
		raw, err := n.answerHead(0)
		check(t, err)
		h, err := directory.ParseHead(raw)
		check(t, err)
		if len(s.Witnesses()) != 4 || len(h.Witnesses()) != 4 {
			t.Errorf("%d in the snapshot, %d in the head", len(s.Witnesses()), len(h.Witnesses()))
		}
		n.saveWitnessed()
		check(t, n.Close())
		again := w.node(t, 0, n.cfg.Dir)
		w.nodes[0] = again
		w.m.mu.Lock()
		w.m.nodes[n.cfg.Self] = again
		w.m.mu.Unlock()
		if got := len(again.head.Witnesses()); got != 4 {
			t.Errorf("%d words after a restart", got)
		}
		// A word that is there before its head counts when that comes.
		early := w.node(t, 7, t.TempDir())
		defer early.Close()
		check(t, early.AddSnapshot(w.first, nil))
		ss := &session{n: early, peer: n.cfg.Self}
		check(t, ss.onWitness(appendWitness(nil, again.head.Hash(), w.word(t, 2))))
		check(t, early.AddSnapshot(w.nodes[6].snapshot, w.h.log))
		if got := len(early.head.Witnesses()); got != 2 { // relay 6's came with the snapshot
			t.Errorf("%d words where one was early", got)
		}
		w.m.stop()
	})
}

// TestAttackWitnessOfTwoHistories: nothing makes a witness sign a head of another
// history, not even a restart in between.
func TestAttackWitnessOfTwoHistories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		n := w.nodes[0]
		twin := w.h.twin()
		log, err := directory.LogOf(w.h.log.Leaves(0)[:w.h.log.Size()-1])
		check(t, err)
		twin.log, twin.at = log, w.h.at.Add(-time.Hour)
		same := twin.publish(w.listed(), func(j *directory.Judgement) { j.Recommended = []string{"other"} })
		fork := twin.head()
		later := twin.publish(w.listed(), nil)
		time.Sleep(time.Until(twin.at.Add(-time.Hour)))
		for range 2 {
			before := n.head.Hash()
			for _, raw := range [][]byte{same, later} {
				if err := n.AddSnapshot(raw, twin.log); err == nil {
					t.Error("another history was installed")
				}
			}
			if n.head.Hash() != before {
				t.Error("another head")
			}
			for _, h := range []*directory.Head{fork, twin.head()} {
				if x, err := n.state.Witness(h, testKey("relay 0"), time.Now()); err == nil {
					t.Errorf("it signed: %v", x.Time)
				}
			}
			check(t, n.Close())
			n = w.node(t, 0, n.cfg.Dir)
		}
		check(t, n.Close())
		w.m.mu.Lock()
		delete(w.m.nodes, n.cfg.Self)
		w.m.mu.Unlock()
		w.m.stop()
	})
}

// TestAttackForgedWitness: a word that a witness never gave costs the peer; one of
// a relay that is no witness here is dropped and costs nothing.
func TestAttackForgedWitness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		n := w.nodes[0]
		ss := &session{n: n, peer: idOf("relay 3")}
		word := w.word(t, 1)
		word.Time = word.Time.Add(time.Second)
		stranger, err := n.state.Witness(n.head, testKey("relay 20"), time.Now())
		check(t, err)
		check(t, ss.onWitness(appendWitness(nil, n.head.Hash(), stranger)))
		if err := ss.onWitness(appendWitness(nil, n.head.Hash(), word)); !errors.Is(err, errRefused) || !n.limits.refused(ss.peer, time.Now()) {
			t.Errorf("%v", err)
		}
		if got := len(n.head.Witnesses()); got != 1 {
			t.Errorf("%d words", got)
		}
		w.m.stop()
	})
}

// TestAttackStrippedWitnesses: a guard gives a snapshot without the words of
// witnesses, as one would that nobody else sees. The client uses it, warns, takes no
// new guards, also after a restart, and finds the words when it compares heads.
func TestAttackStrippedWitnesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		w.share(t, 1, 0, 2, 3)
		w.share(t, 2, 0, 1, 3)
		for i := 3; i < 7; i++ {
			w.share(t, i, 0, 1, 2)
		}
		w.share(t, 3, 4)
		var logs capture
		state := &memoryState{}
		c := clientOf(t, w.f, w.m, "relay 0", state, &logs) // which has its own word alone
		check(t, c.fetch(t.Context()))
		if c.cfg.Views.Current() == nil || !warns(c.cfg.Views, directory.WarnWitnesses) || !c.cfg.Views.NoNewGuards() {
			t.Fatalf("%v", kinds(c.cfg.Views))
		}
		c = clientOf(t, w.f, w.m, "relay 0", state, &logs)
		if !c.cfg.Views.NoNewGuards() {
			t.Error("forgotten at a restart")
		}
		// The other listed relays are not there, so it is asked until one answers.
		for range 40 {
			c.schedule(time.Now())
			for c.pause(t.Context(), time.Hour); len(c.checks.due) > 0; {
				c.pause(t.Context(), time.Hour)
			}
		}
		if c.cfg.Views.NoNewGuards() {
			t.Errorf("still %v", kinds(c.cfg.Views))
		}
		if again := clientOf(t, w.f, w.m, "relay 0", state, &logs); again.cfg.Views.NoNewGuards() {
			t.Error("warned again after a restart")
		}
		w.m.stop()
	})
}
