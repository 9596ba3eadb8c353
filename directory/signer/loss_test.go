package signer

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// lossy starts n signers in a lab, waits for the first snapshot, and sets what is
// lost from then on.
func lossy(t *testing.T, n int) *committee {
	c := newCommittee(t, true, n)
	c.relays(3)
	c.start()
	var all []int
	for i := range n {
		all = append(all, i)
	}
	c.untilEpoch(0, 15*time.Second, all...)
	time.Sleep(time.Second)
	return c
}

func (c *committee) losing(f func(from, to int, m *directory.SignerMessage) bool) {
	c.mu.Lock()
	c.lose = f
	c.mu.Unlock()
	c.flow()
}

// TestOnePartitioned: three of four go on; the fourth catches up with ledger and
// random values, and signs again.
func TestOnePartitioned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lossy(t, 4)
		before := c.epochOf(0)
		c.part(3, true)
		c.untilEpoch(before+2, 40*time.Second, 0, 1, 2)
		if c.epochOf(3) > before+1 {
			t.Error("the one cut off has new snapshots")
		}
		if s := c.newest(0); s.Signed() != 3 || len(s.Header.Votes) != 3 {
			t.Errorf("%d signatures, %d votes", s.Signed(), len(s.Header.Votes))
		}
		c.part(3, false)
		time.Sleep(25 * time.Second)
		if s := c.newest(3); s.Signed() != 4 || len(s.Header.Votes) != 4 {
			t.Errorf("%d signatures, %d votes after it came back", s.Signed(), len(s.Header.Votes))
		}
		c.agreed()
		c.stop()
	})
}

// TestTwoHalvesMakeNothing: of four signers cut in two halves neither makes a
// snapshot; afterwards they do, by the slots that both know.
func TestTwoHalvesMakeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lossy(t, 4)
		before := c.epochOf(0)
		c.mu.Lock()
		for _, pair := range [][2]int{{0, 2}, {0, 3}, {1, 2}, {1, 3}} {
			c.cut[pair] = true
		}
		c.mu.Unlock()
		time.Sleep(45 * time.Second)
		for i := range 4 {
			if c.epochOf(i) > before+1 {
				t.Errorf("member %d has a snapshot of a half", i)
			}
		}
		before = c.epochOf(0)
		c.mu.Lock()
		clear(c.cut)
		c.mu.Unlock()
		c.flow()
		c.untilEpoch(before, 60*time.Second, 0, 1, 2, 3) // every fifth slot
		c.agreed()
		c.stop()
	})
}

// TestLateVoteIsRefused: a vote that comes after the end of the exchange does not
// count, although its signer is there.
func TestLateVoteIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lossy(t, 3)
		at := make(map[[32]byte]time.Time)
		c.losing(func(from, to int, m *directory.SignerMessage) bool {
			if from != 2 || m.Vote == nil || m.Signer() != publicOf(testKey(signerKey(2))) {
				return false
			}
			if at[m.Hash()].IsZero() {
				at[m.Hash()] = time.Now()
			}
			return time.Since(at[m.Hash()]) < 1600*time.Millisecond
		})
		before := c.epochOf(0)
		for range 200 { // held back votes go on
			time.Sleep(100 * time.Millisecond)
			c.flow()
		}
		if c.epochOf(0) < before+2 {
			t.Errorf("epoch %d after %d", c.epochOf(0), before)
		}
		s := c.newest(0)
		if len(s.Header.Votes) != 2 || s.Signed() != 3 {
			t.Errorf("%d votes count, %d signed", len(s.Header.Votes), s.Signed())
		}
		c.agreed()
		c.stop()
	})
}

// TestWithheldVote: a vote that one signer never gets counts, if k signers have it;
// that signer fetches it, and the records that it names, from those who keep them.
func TestWithheldVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lossy(t, 4)
		c.losing(func(_, to int, m *directory.SignerMessage) bool {
			return to == 1 && m.Vote != nil && m.Signer() == publicOf(testKey(signerKey(3)))
		})
		before := c.epochOf(0)
		c.untilEpoch(before+2, 40*time.Second, 0, 1, 2, 3)
		s := c.newest(1)
		if len(s.Header.Votes) != 4 || s.Signed() != 4 {
			t.Errorf("%d votes, %d signatures", len(s.Header.Votes), s.Signed())
		}
		c.agreed()
		c.stop()
	})
}

// TestMissingRecordIsFetched: a relay whose record one signer alone holds is listed
// by votes of all once they have it, and keeps nobody from signing before.
func TestMissingRecordIsFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lossy(t, 3)
		c.relays(1, 0)
		before := c.epochOf(0)
		c.untilEpoch(before+1, 30*time.Second, 0, 1, 2)
		s := c.newest(0)
		if len(s.Header.Votes) != 3 || s.Signed() != 3 || s.Header.N != 3 {
			t.Errorf("%d votes, %d signatures, %d relays", len(s.Header.Votes), s.Signed(), s.Header.N)
		}
		c.agreed()
		c.stop()
	})
}

// TestSplitEchoes: echoes that reach some signers only make them count different
// votes at first; within the slot they agree.
func TestSplitEchoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lossy(t, 4)
		late := publicOf(testKey(signerKey(3)))
		// The fourth's vote reaches two of three before the end, its echo one.
		c.losing(func(from, to int, m *directory.SignerMessage) bool {
			switch {
			case m.Vote != nil && m.Signer() == late:
				return to == 2
			case m.Echo != nil && m.Echo.Attempt == 0 && m.Signer() == late:
				return to != 0
			}
			return false
		})
		before := c.epochOf(0)
		c.untilEpoch(before+2, 40*time.Second, 0, 1, 2)
		c.agreed()
		c.stop()
	})
}

// TestPendingHeaderIsCompleted: all sign, and no signature gets through. Once they
// do, this very header is completed, before any other.
func TestPendingHeaderIsCompleted(t *testing.T) {
	for _, back := range []int{0, 1} { // with all, or with k that know of it
		synctest.Test(t, func(t *testing.T) {
			c := lossy(t, 4)
			before := c.epochOf(0)
			c.losing(func(_, _ int, m *directory.SignerMessage) bool { return m.Cosign != nil })
			time.Sleep(12 * time.Second)
			if c.epochOf(0) > before {
				t.Fatal("not lost")
			}
			var signed [][32]byte
			for _, m := range c.members {
				h, ok, err := m.signer.book.signedHead(before + 1)
				check(t, err)
				if ok {
					signed = append(signed, h)
				}
			}
			if len(signed) != 4 || len(slices.Compact(signed)) != 1 {
				t.Fatalf("signed %x", signed)
			}
			if back == 1 {
				c.part(3, true)
			}
			time.Sleep(20 * time.Second) // too late for the board
			c.losing(nil)
			c.relays(1)
			c.untilEpoch(before, 60*time.Second, 0, 1, 2)
			h := c.newest(0)
			if h.Header.Epoch == before+1 && h.Hash() != signed[0] {
				t.Error("another header of that number")
			}
			c.untilEpoch(before+1, 60*time.Second, 0, 1, 2)
			_, leaves := c.members[0].node.Newest()
			if !slices.Contains(leaves, directory.HeaderLeaf(signed[0])) {
				t.Error("the header that all signed is not in the log")
			}
			c.agreed()
			c.stop()
		})
	}
}

// TestAbandonedHeader: one signer alone has signed, and the others have not and
// say so: its header is given up, and the one in its place names it.
func TestAbandonedHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lossy(t, 4)
		before := c.epochOf(0)
		// Only the first hears what follows, so only it signs.
		c.losing(func(_, to int, m *directory.SignerMessage) bool {
			return m.Cosign != nil || m.Echo != nil && m.Echo.Attempt > 0 && to != 0
		})
		time.Sleep(15600 * time.Millisecond) // the next slot has begun
		given, ok, err := c.members[0].signer.book.signedHead(before + 1)
		check(t, err)
		if !ok {
			t.Fatal("the first signer did not sign")
		}
		for i := 1; i < 4; i++ {
			if _, ok, err := c.members[i].signer.book.signedHead(before + 1); ok || err != nil {
				t.Fatalf("member %d signed: %v", i, err)
			}
		}
		c.losing(nil)
		c.untilEpoch(before, 60*time.Second, 0, 1, 2, 3)
		h := c.newest(0)
		if !slices.Contains(h.Header.Abandoned, given) {
			t.Errorf("abandoned %x, not %x", h.Header.Abandoned, given)
		}
		time.Sleep(11 * time.Second)
		if h := c.newest(0); len(h.Header.Abandoned) != 0 || h.Signed() != 4 {
			t.Errorf("the next one: abandoned %x, %d signatures", h.Header.Abandoned, h.Signed())
		}
		c.agreed()
		c.stop()
	})
}

// TestCompleteHeaderIsNeverReplaced: one signer holds k signatures and is cut off
// before anybody else sees them. The others, who cannot know, complete the same
// header, for it may be complete.
func TestCompleteHeaderIsNeverReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lossy(t, 3)
		before := c.epochOf(0)
		c.losing(func(_, to int, m *directory.SignerMessage) bool { return m.Cosign != nil && to != 0 })
		for c.epochOf(0) == before {
			time.Sleep(50 * time.Millisecond)
			c.mu.Lock() // no snapshot leaves it
			for _, m := range c.members[1:] {
				if v := c.members[0].node.Views().Current(); v != nil && v.Epoch() > before {
					c.cut[[2]int{0, m.index}] = true
				}
			}
			c.mu.Unlock()
		}
		c.part(0, true)
		full := c.newest(0).Hash()
		c.losing(func(_, _ int, m *directory.SignerMessage) bool { // nor later
			return m.Cosign != nil && m.Epoch() == before+1
		})
		c.relays(1)
		c.untilEpoch(before+1, 60*time.Second, 1, 2)
		_, leaves := c.members[1].node.Newest()
		if !slices.Contains(leaves, directory.HeaderLeaf(full)) {
			t.Error("a complete header was replaced")
		}
		c.part(0, false)
		time.Sleep(25 * time.Second)
		if s := c.newest(0); s.Signed() != 3 {
			t.Errorf("%d signatures after it came back", s.Signed())
		}
		c.agreed()
		c.stop()
	})
}

// TestSkewedSigner: a signer whose clock differs from the bootstraps' signs
// nothing; the others go on.
func TestSkewedSigner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lossy(t, 3)
		for _, tc := range []struct {
			skew time.Duration
			want int
		}{{-1900 * time.Millisecond, 3}, {2100 * time.Millisecond, 2}, {-time.Hour, 2}, {0, 3}} {
			check(t, c.members[2].kill())
			c.members[2].skew = tc.skew
			c.start(2)
			time.Sleep(25 * time.Second)
			if s := c.newest(0); s.Signed() != tc.want || len(s.Header.Votes) != tc.want {
				t.Errorf("off by %v: %d signatures, %d votes", tc.skew, s.Signed(), len(s.Header.Votes))
			}
		}
		c.agreed()
		c.stop()
	})
}

// TestLateComerSigns: a signer that comes back after the votes counts and signs with
// the others what it had no vote in.
func TestLateComerSigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lossy(t, 4)
		check(t, c.members[3].kill())
		// The others wait for each other's echoes, so that there is time to come.
		c.losing(func(_, _ int, m *directory.SignerMessage) bool { return m.Cosign != nil })
		sl := c.toVote()
		time.Sleep(time.Until(sl.echo.Add(100 * time.Millisecond)))
		c.start(3)
		time.Sleep(time.Until(sl.at.Add(-100 * time.Millisecond)))
		c.losing(nil)
		c.untilEpoch(sl.epoch-1, time.Until(sl.at)+time.Second, 0, 1, 2, 3)
		if s := c.newest(3); s.Header.Epoch != sl.epoch || s.Signed() != 4 || len(s.Header.Votes) != 3 {
			t.Errorf("epoch %d, %d signatures, %d votes", s.Header.Epoch, s.Signed(), len(s.Header.Votes))
		}
		c.agreed()
		c.stop()
	})
}
