package signer

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestRestartInEachPhase: a signer that dies after it has written a message or a
// snapshot, and before anybody saw it, comes back and says the very same; the
// network gets on, and no number has two headers.
func TestRestartInEachPhase(t *testing.T) {
	for name, kind := range map[string]messageKind{"vote": kindVote, "echo": kindEcho, "cosign": kindCosign, "snapshot": kindSnapshot} {
		for _, away := range []time.Duration{200 * time.Millisecond, 15 * time.Second} {
			if raceDetector && away > time.Second && kind != kindCosign {
				continue // a long absence is the same after each message
			}
			t.Run(fmt.Sprintf("%s/%v", name, away), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newCommittee(t, true, 3)
					c.relays(3)
					c.start()
					c.untilEpoch(0, 15*time.Second, 0, 1, 2)
					m := c.members[1]
					check(t, m.kill())
					m.open()
					said := 0
					m.signer.testOnlyCrash = func(k messageKind) error {
						if k == kind {
							return errCrash
						}
						return nil
					}
					m.run()
					if err := <-m.done; !errors.Is(err, errCrash) {
						t.Fatalf("%v", err)
					}
					m.done <- nil
					epoch := uint64(0)
					raws, last, err := m.signer.book.said(0)
					check(t, err)
					if epoch = last; kind != kindSnapshot {
						raws, _, err = m.signer.book.said(epoch)
						check(t, err)
						said = len(raws)
					}
					check(t, m.kill())
					time.Sleep(away)
					m.open()
					m.run()
					again, _, err := m.signer.book.said(epoch)
					check(t, err)
					for i := range said {
						if string(raws[i]) != string(again[i]) {
							t.Error("another message than before the crash")
						}
					}
					c.untilEpoch(epoch, 35*time.Second, 0, 1, 2)
					time.Sleep(12 * time.Second)
					if s := c.newest(1); s.Signed() != 3 || len(s.Header.Votes) != 3 {
						t.Errorf("%d signatures, %d votes after the restart", s.Signed(), len(s.Header.Votes))
					}
					c.agreed()
					c.stop()
				})
			})
		}
	}
}

// TestAllCrashBetweenPersistAndRelease: all signers die after they have signed, and
// before anybody saw a signature. The header is completed after they come back, not
// replaced.
func TestAllCrashBetweenPersistAndRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommittee(t, true, 3)
		c.relays(3)
		for _, m := range c.members {
			m.open()
			m.signer.testOnlyCrash = func(k messageKind) error {
				if k == kindCosign {
					return errCrash
				}
				return nil
			}
		}
		for _, m := range c.members {
			m.run()
		}
		for _, m := range c.members {
			if err := <-m.done; !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			m.done <- nil
		}
		var signed [32]byte
		for i, m := range c.members {
			_, last, err := m.signer.book.said(0)
			check(t, err)
			h, ok, err := m.signer.book.signedHead(last)
			check(t, err)
			if !ok || i > 0 && h != signed {
				t.Errorf("member %d signed %x, not %x", i, h, signed)
			}
			signed = h
			check(t, m.kill())
		}
		c.relays(1) // another header would follow now
		time.Sleep(23 * time.Second)
		c.start()
		c.untilEpoch(0, 25*time.Second, 0, 1, 2)
		if c.newest(0).Hash() != signed {
			t.Error("another header took the place of the signed one")
		}
		c.untilEpoch(c.epochOf(0), time.Minute, 2) // every fifth slot
		if s := c.newest(2); s.Header.N != 4 || len(s.Header.Abandoned) != 0 {
			t.Errorf("%d relays, abandoned %x", s.Header.N, s.Header.Abandoned)
		}
		c.agreed()
		c.stop()
	})
}
