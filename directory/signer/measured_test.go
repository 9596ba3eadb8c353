package signer

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
	"hearsay/directory/gossip"
)

// TestSnapshotsHoldWhatWasMeasured: what the meter finds is in the votes, and
// weights follow it; before, all relays count as unmeasured.
func TestSnapshotsHoldWhatWasMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, false, directory.JoinToken)
		slow := idOf("relay 0")
		f := &founder{node: n.node("bootstrap", gossip.RoleDirectory, t.TempDir()), done: make(chan error, 1)}
		var err error
		f.signer, err = New(Config{
			Node: f.node, Identity: testKey("signer"), Online: testKey("online"), Prober: n, Dir: t.TempDir(),
			Meter: &fakeMeter{speed: func(id directory.RelayID, _ int, rate uint64) (uint64, error) {
				if id == slow {
					return 100 << 10, nil
				}
				return min(rate, 400<<10), nil
			}},
		})
		check(t, err)
		n.start(f)
		token := n.token(10, 1)
		for i := range 5 {
			n.relay(fmt.Sprint("relay ", i), token)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Hour)
		defer cancel()
		measured := func() (done int) {
			for _, r := range f.node.Views().Current().Relays() {
				if r.Flags&directory.FlagUnmeasured == 0 {
					done++
				}
			}
			return done
		}
		<-f.signer.Ready()
		if measured() != 0 {
			t.Error("measured before anything was sent")
		}
		for measured() < 5 {
			select {
			case <-f.node.Views().Changed():
			case <-ctx.Done():
				t.Fatalf("%d relays measured after 8 h", measured())
			}
		}
		for _, r := range f.node.Views().Current().Relays() {
			want := directory.Weight(weightCode(400 << 10))
			if r.ID == slow {
				want = directory.Weight(weightCode(100 << 10))
			}
			if r.Inner != want {
				t.Errorf("relay %v: inner weight %d, not %d", r.ID, r.Inner, want)
			}
		}
		_ = n.close(f, false)
		n.stop()
	})
}
