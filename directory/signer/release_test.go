package signer

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
	"hearsay/directory/gossip"
)

// TestNodeCompletesTheSameSnapshot: a signer and its node come to the same snapshot
// at the same time, again and again. Nobody is told of a fault, since there is none.
func TestNodeCompletesTheSameSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, true, directory.JoinToken)
		f := n.openFounder(t.TempDir(), t.TempDir())
		s := f.signer
		var said bytes.Buffer
		s.log = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn}))
		for range 10 {
			time.Sleep(directory.EpochUnit(true))
			var wg sync.WaitGroup
			s.testOnlyCrash = func(messageKind) error { // the snapshot is on disk
				raw, err := s.base.snapshot.Encode()
				check(t, err)
				log := s.base.log
				begun := make(chan struct{})
				wg.Go(func() {
					close(begun)
					_ = f.node.AddSnapshot(raw, log) // one of the two is later
				})
				<-begun
				return nil
			}
			check(t, s.sign(directory.EpochTime(true, directory.EpochNumber(true, time.Now()))))
			wg.Wait()
			if v := f.node.Views().Current(); v == nil || v.HeaderHash() != s.base.hash() {
				t.Fatal("the node does not hold the snapshot")
			}
		}
		if said.Len() > 0 {
			t.Errorf("%s", said.Bytes())
		}
		// What the node refuses for a reason is said.
		other := newNetwork(t, true, directory.JoinToken)
		s.cfg.Node = other.node("bootstrap", gossip.RoleDirectory, t.TempDir())
		check(t, s.release())
		if !bytes.Contains(said.Bytes(), []byte("own snapshot refused")) {
			t.Error("a snapshot that the node refuses is not told of")
		}
		other.stop()
		check(t, s.Close())
		n.stop()
	})
}
