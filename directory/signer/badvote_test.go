package signer

import (
	"context"
	"fmt"
	"testing"
	"time"

	"hearsay/directory"
)

// TestAttackVoteOfBadRecords: a signer votes for thousands of records that do not
// verify, which may cost a proof of work each. The first is enough to leave its vote
// out: an honest signer names none.
func TestAttackVoteOfBadRecords(t *testing.T) {
	n := newNetwork(t, true, directory.JoinToken)
	f := n.openFounder(t.TempDir(), t.TempDir())
	a := &attempt{
		s: f.signer, chain: n.chain, slot: slot{cutoff: time.Now()},
		byHash: make(map[[16]byte]*directory.Record), refused: make(map[[16]byte]bool), complete: make(map[[32]byte]bool),
	}
	v := &directory.Vote{}
	for i := range 100 {
		v.Relays = append(v.Relays, directory.RelayVote{Descriptor: [16]byte([]byte(fmt.Sprintf("record %09d", i)))})
	}
	asked := 0
	for range 3 {
		if a.hasRecords(t.Context(), v, func(context.Context, [32]byte) []byte {
			asked++
			return []byte("no record")
		}) {
			t.Error("the vote counts")
		}
	}
	if asked != 1 {
		t.Errorf("%d records were looked at", asked)
	}
	check(t, f.signer.Close())
}
