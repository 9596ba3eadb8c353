package lab

import (
	"context"
	"sync"
	"testing"
	"time"

	"hearsay/directory"
)

// witnessed is what all nodes of a network hold of each epoch.
type witnessed struct {
	t      *testing.T
	mu     sync.Mutex
	hashes map[uint64][32]byte
	newest uint64
}

// follow notes every snapshot that a node shows, until the network ends.
func (w *witnessed) follow(ctx context.Context, views *directory.Views) {
	for ctx.Err() == nil {
		changed := views.Changed()
		if v := views.Current(); v != nil {
			w.mu.Lock()
			if old, ok := w.hashes[v.Epoch()]; ok && old != v.HeaderHash() {
				w.t.Errorf("two headers of epoch %d", v.Epoch())
			}
			w.hashes[v.Epoch()] = v.HeaderHash()
			w.newest = max(w.newest, v.Epoch())
			w.mu.Unlock()
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

func (w *witnessed) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.hashes)
}

// TestFourSigners runs a network of four founders, three of whom must sign. One
// is killed and comes back, one is cut off and comes back, two are lost: epochs go
// on while three are there, stop with two, and no epoch ever has two headers.
func TestFourSigners(t *testing.T) {
	simulated(t, Config{Signers: 4, Relays: 4, Lab: true}, SimConfig{}, func(t *testing.T, n *Network) {
		w := &witnessed{t: t, hashes: make(map[uint64][32]byte)}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		follow := func(views *directory.Views) { wg.Go(func() { w.follow(ctx, views) }) }
		for _, s := range n.Signers() {
			follow(s.Node().Views())
		}
		for _, r := range n.Relays() {
			follow(r.Node().Views())
			waitListed(t, r.Node().Views(), 4, time.Minute)
		}
		// rises waits and demands snapshots of so many epochs.
		rises := func(what string, d time.Duration, least, most int) {
			t.Helper()
			before := w.count()
			time.Sleep(d)
			if got := w.count() - before; got < least || got > most {
				t.Errorf("%s: %d snapshots in %v", what, got, d)
			}
		}
		rises("all four", 30*time.Second, 3, 4)

		signers := n.Signers()
		signers[1].Kill()
		rises("one is killed", 30*time.Second, 2, 4)
		if err := signers[1].Start(ctx); err != nil {
			t.Fatal(err)
		}
		follow(signers[1].Node().Views())

		signers[2].Part(true)
		rises("one is cut off", 30*time.Second, 2, 4)
		behind := signers[2].Node().Views().Current().Epoch()
		signers[2].Part(false)
		rises("it is back", 30*time.Second, 2, 4)
		if now := signers[2].Node().Views().Current().Epoch(); now <= behind+3 || now+1 < w.newest {
			t.Errorf("the one that was cut off holds epoch %d, others %d", now, w.newest)
		}

		signers[0].Kill()
		rises("another one is killed", 30*time.Second, 2, 4)
		signers[3].Kill()
		rises("two are lost", 30*time.Second, 0, 1)
		if err := signers[0].Start(ctx); err != nil {
			t.Fatal(err)
		}
		follow(signers[0].Node().Views())
		rises("three again", time.Minute, 2, 7)
		for _, r := range n.Relays() {
			if v := r.Node().Views().Current(); len(v.Relays()) != 4 || v.Epoch()+1 < w.newest {
				t.Errorf("a relay holds epoch %d with %d relays", v.Epoch(), len(v.Relays()))
			}
		}
	})
}
