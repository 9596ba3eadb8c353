package signer

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestSignersAgree: signers that see the same come to the same headers, signed by
// all of them, from the first slot on.
func TestSignersAgree(t *testing.T) {
	for _, n := range []int{2, 3, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCommittee(t, true, n)
				c.relays(5)
				began := time.Now()
				c.start()
				var all []int
				for i := range n {
					all = append(all, i)
				}
				c.untilEpoch(0, 15*time.Second, all...)
				if took := time.Since(began); took > 12*time.Second {
					t.Errorf("the first snapshot took %v", took)
				}
				first := c.epochOf(0)
				time.Sleep(21 * time.Second)
				for i := range n {
					s := c.newest(i)
					if s.Header.Epoch != first+2 {
						t.Errorf("member %d is at %d after %d", i, s.Header.Epoch, first)
					}
					if s.Header.N != 5 || s.Signed() != n || len(s.Header.Votes) != n || len(s.Header.Abandoned) != 0 {
						t.Errorf("%d relays, %d signatures, %d votes, abandoned %x", s.Header.N, s.Signed(), len(s.Header.Votes), s.Header.Abandoned)
					}
					if s.Header.SRVHash == [32]byte{} {
						t.Error("no state of the random values")
					}
				}
				c.agreed()
				c.stop()
			})
		})
	}
}
