package signer

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestSignersChangeAtTheDateOfTheFile: a version dated ahead is not used before its
// date; from then on its signers sign and the others do not. A new signer takes over
// ledger and random values from the network.
func TestSignersChangeAtTheDateOfTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lossy(t, 3)
		at := time.Now().Add(35 * time.Second)
		c.amend(at, 0, 1, 3, 4) // the third goes, two come
		c.add(3)
		c.add(4)
		for _, m := range c.members[:3] {
			check(t, m.kill())
		}
		c.start()
		for {
			s := c.newest(0)
			if s.Header.ValidAfter.Before(at) {
				if s.Header.FileVersion != 1 || s.Signed() > 3 {
					t.Errorf("before its date: version %d, %d signatures", s.Header.FileVersion, s.Signed())
				}
			} else {
				if s.Header.FileVersion != 2 || s.Signed() != 4 || len(s.Header.Votes) != 4 {
					t.Errorf("version %d, %d signatures, %d votes", s.Header.FileVersion, s.Signed(), len(s.Header.Votes))
				}
				break
			}
			if time.Since(at) > time.Minute {
				t.Fatal("no snapshot under the new version")
			}
			time.Sleep(time.Second)
		}
		after := c.epochOf(0)
		c.untilEpoch(after+1, 30*time.Second, 0, 1, 2, 3, 4) // the third still follows
		check(t, c.members[2].kill())
		func() {
			m := c.members[2]
			m.openNode()
			defer m.closeNode()
			_, err := New(Config{Node: m.node, Identity: testKey(signerKey(2)), Online: testKey("online 2"), Prober: c, Dir: m.dir})
			if !errors.Is(err, ErrNotSigner) {
				t.Errorf("a signer that was taken out: %v", err)
			}
		}()
		c.agreed()
		c.stop()
	})
}

// TestOneSignerBecomesThreeAndOne: a founder alone takes in two others, who leave
// again.
func TestOneSignerBecomesThreeAndOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lossy(t, 1)
		for _, signers := range [][]int{{0, 1, 2}, {1}} {
			for len(c.members) < 3 {
				c.add(len(c.members))
			}
			at := time.Now().Add(15 * time.Second)
			c.amend(at, signers...)
			for _, m := range c.members {
				if m.node != nil {
					check(t, m.kill())
				}
			}
			if len(signers) == 3 {
				c.start()
			} else {
				c.start(1) // the others are no signers of the file any more
				c.members[0].openNode()
				c.members[2].openNode()
			}
			time.Sleep(90 * time.Second) // every fifth slot
			s := c.newest(1)
			if s.Signed() != len(signers) || s.Header.ValidAfter.Before(at) || len(s.Header.Abandoned) != 0 {
				t.Errorf("%d signatures of %v, by %v", s.Signed(), s.Header.ValidAfter, signers)
			}
			if len(signers) == 1 {
				c.members[0].closeNode()
				c.members[2].closeNode()
			}
			c.agreed()
		}
		c.stop()
	})
}
