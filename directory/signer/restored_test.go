package signer

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestRestoredSignerSignsNothingTwice loses the state of a signer and puts its keys
// back at once: it follows the others for two epochs, takes their history, and signs
// again after that, and nothing speaks against it.
func TestRestoredSignerSignsNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommittee(t, true, 3)
		c.relays(3)
		c.start()
		c.untilEpoch(0, 15*time.Second, 0, 1, 2)
		m := c.members[1]
		check(t, m.kill())
		m.dir, m.nodeDir, m.restored = t.TempDir(), t.TempDir(), time.Now()
		m.open()
		if m.signer.HasHistory() {
			t.Fatal("the state was not lost")
		}
		m.run()
		until := m.restored.Add(silentEpochs * 10 * time.Second)
		for time.Now().Before(until) {
			if _, last, err := m.signer.book.said(0); err != nil || last != 0 {
				t.Fatalf("it spoke in epoch %d, %v before it may: %v", last, time.Until(until), err)
			}
			time.Sleep(time.Second)
		}
		if s := c.newest(1); s == nil || s.Header.LogSize == 0 {
			t.Error("it has not taken the history from the others")
		}
		c.untilEpoch(c.epochOf(0), 35*time.Second, 0, 1, 2)
		time.Sleep(12 * time.Second)
		if s := c.newest(1); s.Signed() != 3 || len(s.Header.Votes) != 3 {
			t.Errorf("%d signatures, %d votes after the two epochs", s.Signed(), len(s.Header.Votes))
		}
		c.agreed()
		if s := m.signer.Standing(); !s.Signed || !s.Voted || s.SignedSince == 0 || s.MissedSince == 0 || !s.SilentUntil.After(m.restored) || s.Epoch != c.newest(1).Header.Epoch {
			t.Errorf("the restored signer tells %+v", s)
		}
		if s := c.members[0].signer.Standing(); !s.Signed || !s.Voted || s.SignedSince == 0 || s.MissedSince != 0 || !s.SilentUntil.IsZero() || !s.CertificateEnds.After(time.Now()) || !s.Renews {
			t.Errorf("another signer tells %+v", s)
		}
		if len(c.proofs) != 0 {
			t.Errorf("evidence against the restored signer: %v", c.proofs)
		}
		c.stop()
	})
}

// TestRestoredSignerBeginsNoHistory runs the only signer of a network with its keys
// and without its state: a second history under one key would prove it a liar.
func TestRestoredSignerBeginsNoHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommittee(t, true, 1)
		c.relays(3)
		m := c.members[0]
		m.restored = time.Now()
		c.start()
		time.Sleep(10 * time.Minute)
		if m.signer.HasHistory() {
			t.Error("it began a history of its own")
		}
		c.stop()
	})
}
