package directory

import (
	"testing"
	"time"
)

func TestSnapshotsOfANetwork(t *testing.T) {
	for _, lab := range []bool{true, false} {
		n := newNetwork(t, lab, JoinToken)
		state := n.chain.InitialState()
		now := testTime
		for i := range 5 {
			raw := n.publish(now, n.candidates(i, now))
			v, next, err := n.verify(raw, state, now)
			check(t, err)
			if len(v.Relays()) != i || v.State(now) != Fresh || v.Network() != n.id {
				t.Fatalf("view of %d relays, %v", len(v.Relays()), v.State(now))
			}
			state = next
			now = now.Add(n.header.NextEpoch)
		}
		if n.log.Size() != 6 {
			t.Fatalf("log of %d leaves", n.log.Size())
		}
	}
}

var _ = time.Second
