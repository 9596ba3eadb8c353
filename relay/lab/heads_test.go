package lab

import (
	"testing"
	"time"
)

// TestRelaysCompareHeads: relays of a network compare heads over circuits of their
// own, and look there for their own descriptors; all agree and nothing is missing.
func TestRelaysCompareHeads(t *testing.T) {
	simulated(t, Config{Relays: 6, Lab: true}, SimConfig{Latency: 20 * time.Millisecond}, func(t *testing.T, n *Network) {
		began := time.Now()
		for _, r := range n.Relays() {
			for {
				s := r.Node().Status()
				if !s.ComparedAt.IsZero() && !s.LookedAt.IsZero() && s.Agreed == 3 {
					if s.Differing != 0 || s.Missing != 0 || s.Stalled {
						t.Errorf("%+v", s)
					}
					break
				}
				if time.Since(began) > 5*time.Minute {
					t.Fatalf("after five minutes: %+v", s)
				}
				time.Sleep(time.Second)
			}
		}
		t.Logf("all have compared and looked after %v", time.Since(began))
	})
}
