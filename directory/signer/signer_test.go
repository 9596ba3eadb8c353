package signer

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
	"hearsay/directory/gossip"
)

// TestFirstSnapshotAtOnce: the first snapshot is signed at start-up, empty in an
// ordinary network, with the relays handed over in a lab.
func TestFirstSnapshotAtOnce(t *testing.T) {
	for _, lab := range []bool{false, true} {
		t.Run(fmt.Sprintf("lab=%v", lab), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				join := directory.JoinToken
				if lab {
					join = directory.JoinOpen
				}
				n := newNetwork(t, lab, join)
				f := n.openFounder(t.TempDir(), t.TempDir())
				want := 0
				if lab {
					want = 5
					for i := range 5 {
						name := fmt.Sprintf("relay %d", i)
						addr := n.addr()
						n.node(name, gossip.RoleRelay, t.TempDir())
						check(t, f.node.Publish(n.describe(name, addr, directory.Invitation{})))
					}
				}
				began := time.Now()
				n.start(f)
				<-f.signer.Ready()
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("took %v", took)
				}
				if got := listed(f.node); got != want {
					t.Errorf("%d relays in the first snapshot, not %d", got, want)
				}
				_ = n.close(f, false)
				n.stop()
			})
		})
	}
}

// TestFiveRelaysWithinTwoMinutes: an ordinary network with tokens; each relay is
// listed in the epoch after its start.
func TestFiveRelaysWithinTwoMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, false, directory.JoinToken)
		f := n.openFounder(t.TempDir(), t.TempDir())
		n.start(f)
		<-f.signer.Ready()
		token := n.token(10, 1)
		var last *gossip.Node
		for i := range 5 {
			time.Sleep(13 * time.Second)
			last = n.relay(fmt.Sprintf("relay %d", i), token)
		}
		began := time.Now()
		for listed(last) < 5 {
			<-last.Views().Changed()
		}
		if took := time.Since(began); took > 70*time.Second {
			t.Errorf("the fifth relay was listed after %v", took)
		}
		for _, r := range last.Views().Current().Relays() {
			if want := directory.FlagGuard | directory.FlagStable | directory.FlagMailbox | directory.FlagPlacement; r.Flags&want != want {
				t.Errorf("flags %v", r.Flags)
			}
		}
		_ = n.close(f, false)
		n.stop()
	})
}

// TestRelaysComeAndGo: in a lab, a new relay is listed in the next epoch, a dead
// one leaves within three, one that says so at once.
func TestRelaysComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, true, directory.JoinOpen)
		f := n.openFounder(t.TempDir(), t.TempDir())
		n.start(f)
		for i := range 4 {
			n.relay(fmt.Sprintf("relay %d", i), directory.Invitation{})
		}
		until := func(want int) time.Duration {
			began := time.Now()
			for listed(f.node) != want {
				if time.Since(began) > 2*time.Minute {
					t.Fatalf("%d relays listed, not %d", listed(f.node), want)
				}
				<-f.node.Views().Changed()
			}
			return time.Since(began)
		}
		until(4)
		time.Sleep(33 * time.Second)

		fresh := n.relay("relay 4", directory.Invitation{})
		if took := until(5); took > 11*time.Second {
			t.Errorf("a new relay was listed after %v", took)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !fresh.Status().Listed {
			t.Error("the new relay does not know that it is listed")
		}

		n.setDown("relay 2", true)
		if took := until(4); took > 31*time.Second {
			t.Errorf("a dead relay left after %v", took)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if f.signer.Unlisted()[idOf("relay 2")] != directory.RuleNotRunning {
			t.Error("the reason is not told")
		}
		n.setDown("relay 2", false)
		if took := until(5); took > 22*time.Second {
			t.Errorf("it came back after %v", took)
		}

		// One that says that it leaves is gone in the next epoch.
		leave, err := directory.SignLeave(n.id, testKey("relay 3"), uint64(time.Now().Unix()))
		check(t, err)
		check(t, f.node.Publish(leave))
		if took := until(4); took > 11*time.Second {
			t.Errorf("a relay left after %v", took)
		}
		_ = n.close(f, false)
		n.stop()
	})
}

// TestUnreachableRelayLearnsWhy: a relay whose address does not answer is told.
func TestUnreachableRelayLearnsWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, false, directory.JoinToken)
		f := n.openFounder(t.TempDir(), t.TempDir())
		n.start(f)
		<-f.signer.Ready()
		// Its streams work, but the address in its descriptor is not its own.
		g := n.node("relay 0", gossip.RoleRelay, t.TempDir())
		check(t, g.Publish(n.describe("relay 0", n.addr(), n.token(1, 1))))
		n.mu.Lock()
		g0 := n.nodes[idOf("relay 0")]
		delete(n.nodes, idOf("relay 0"))
		n.mu.Unlock()
		n.wg.Go(func() { _ = g0.Run(n.ctx) })
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if s := g.Status(); !s.Heard || s.Verdict != gossip.VerdictUnreachable || s.Listed {
			t.Errorf("%+v", s)
		}
		n.mu.Lock()
		n.nodes[idOf("relay 0")] = g0
		n.mu.Unlock()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if s := g.Status(); s.Verdict != gossip.VerdictHeld || !s.Listed {
			t.Errorf("%+v", s)
		}
		_ = n.close(f, false)
		n.stop()
	})
}

// TestTokenUsesAreCounted: a token for two admits two, also over a restart, and
// the third is told why not.
func TestTokenUsesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, false, directory.JoinToken)
		nodeDir, signerDir := t.TempDir(), t.TempDir()
		f := n.openFounder(nodeDir, signerDir)
		n.start(f)
		token := n.token(2, 1)
		n.relay("relay 0", token)
		n.relay("relay 1", token)
		time.Sleep(2 * time.Minute)
		if got := listed(f.node); got != 2 {
			t.Fatalf("%d listed", got)
		}
		_ = n.close(f, false)
		f = n.openFounder(nodeDir, signerDir)
		n.start(f)
		third := n.relay("relay 2", token)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := listed(f.node); got != 2 {
			t.Errorf("%d listed", got)
		}
		if s := third.Status(); s.Verdict != gossip.VerdictTokenUsed {
			t.Errorf("%+v", s)
		}
		_ = n.close(f, false)
		n.stop()
	})
}

var errCrash = errors.New("crash")

// TestCrashBetweenPersistAndRelease: whatever is on disk is what the epoch gets;
// no epoch number ever has two headers.
func TestCrashBetweenPersistAndRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, true, directory.JoinOpen)
		nodeDir, signerDir := t.TempDir(), t.TempDir()
		headers := make(map[uint64][32]byte)
		see := func(f *founder) {
			h := &f.signer.base.snapshot.Header
			if old, ok := headers[h.Epoch]; ok && old != f.signer.base.snapshot.Hash() {
				t.Fatalf("two headers of epoch %d", h.Epoch)
			}
			headers[h.Epoch] = f.signer.base.snapshot.Hash()
		}
		for round := range 6 {
			f := n.openFounder(nodeDir, signerDir)
			if round > 0 {
				see(f)
				if f.node.Status().Epoch >= f.signer.base.snapshot.Header.Epoch {
					t.Fatal("the snapshot was released before the crash")
				}
			}
			// A new relay each round would make another snapshot of the epoch.
			name := fmt.Sprintf("relay %d", round)
			addr := n.addr()
			n.node(name, gossip.RoleRelay, t.TempDir())
			check(t, f.node.Publish(n.describe(name, addr, directory.Invitation{})))
			f.signer.testOnlyCrash = func(messageKind) error { return errCrash }
			n.start(f)
			if err := n.close(f, true); !errors.Is(err, errCrash) {
				t.Fatalf("%v", err)
			}
			if round%2 == 1 { // else the process is back in the same epoch
				time.Sleep(25 * time.Second)
			}
		}
		f := n.openFounder(nodeDir, signerDir)
		see(f)
		persisted := f.signer.base.snapshot.Hash()
		n.start(f)
		<-f.signer.Ready()
		if f.node.Views().Current().HeaderHash() != persisted {
			t.Error("another snapshot than the persisted one was released")
		}
		time.Sleep(25 * time.Second)
		_ = n.close(f, false)
		see(f)
		n.stop()
	})
}

// TestEpochIsNeverSignedTwice: the book itself refuses, whatever the caller does.
func TestEpochIsNeverSignedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, true, directory.JoinOpen)
		f := n.openFounder(t.TempDir(), t.TempDir())
		at := directory.EpochTime(true, directory.EpochNumber(true, time.Now()))
		check(t, f.signer.sign(at))
		if err := f.signer.sign(at); !errors.Is(err, errTwice) {
			t.Errorf("the same epoch again: %v", err)
		}
		if err := f.signer.sign(at.Add(-10 * time.Second)); !errors.Is(err, errTwice) {
			t.Errorf("an earlier epoch: %v", err)
		}
		check(t, f.signer.Close())
		n.stop()
	})
}

// TestFailedWriteReleasesNothing: with a disk that takes nothing more, nothing is
// released, and signing goes on when it does again.
func TestFailedWriteReleasesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, true, directory.JoinOpen)
		dir := t.TempDir()
		f := n.openFounder(t.TempDir(), dir)
		n.start(f)
		<-f.signer.Ready()
		epoch := f.node.Status().Epoch
		f.signer.book.testOnlyFull.Store(true)
		time.Sleep(45 * time.Second)
		synctest.Wait()
		if f.node.Status().Epoch != epoch {
			t.Error("a snapshot was released that is not on disk")
		}
		f.signer.book.testOnlyFull.Store(false)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if f.node.Status().Epoch <= epoch {
			t.Error("no snapshot after the disk had room again")
		}
		_ = n.close(f, false)
		n.stop()
	})
}

// TestTokenMayExpireAfterAdmission: a relay that was away for hours comes back
// although its token has expired meanwhile.
func TestTokenMayExpireAfterAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, false, directory.JoinToken)
		f := n.openFounder(t.TempDir(), t.TempDir())
		n.start(f)
		token, err := directory.IssueToken(n.id, testKey("signer"), [32]byte{1}, time.Now().Add(time.Hour), 1)
		check(t, err)
		n.relay("relay 0", token)
		time.Sleep(2 * time.Minute)
		if listed(f.node) != 1 {
			t.Fatal("not listed")
		}
		n.setDown("relay 0", true)
		time.Sleep(2 * time.Hour)
		if listed(f.node) != 0 {
			t.Fatal("still listed")
		}
		n.setDown("relay 0", false)
		addr := n.addr()
		check(t, f.node.Publish(n.describe("relay 0", addr, token)))
		if err := f.node.Publish(n.describe("relay 1", n.addr(), token)); err == nil {
			t.Error("an expired token admits another relay")
		}
		time.Sleep(10 * time.Minute)
		if listed(f.node) != 1 {
			t.Error("not listed again")
		}
		_ = n.close(f, false)
		n.stop()
	})
}

// TestRestartKeepsRelays: relays stay listed over a restart of the founder's
// process, however long it was away.
func TestRestartKeepsRelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, false, directory.JoinToken)
		nodeDir, signerDir := t.TempDir(), t.TempDir()
		f := n.openFounder(nodeDir, signerDir)
		n.start(f)
		token := n.token(10, 1)
		for i := range 5 {
			n.relay(fmt.Sprintf("relay %d", i), token)
		}
		time.Sleep(2 * time.Minute)
		for _, away := range []time.Duration{time.Second, time.Minute, 3 * time.Hour} {
			if got := listed(f.node); got != 5 {
				t.Fatalf("%d listed before %v away", got, away)
			}
			_ = n.close(f, false)
			before := f.signer.base.snapshot
			ledger := f.signer.base.ledger.Append(nil)
			time.Sleep(away)
			f = n.openFounder(nodeDir, signerDir)
			if f.signer.base.snapshot.Hash() != before.Hash() && !f.signer.base.snapshot.Header.ValidAfter.After(before.Header.ValidAfter) {
				t.Error("the newest snapshot is lost")
			}
			if f.signer.base.snapshot.Hash() == before.Hash() && !bytes.Equal(f.signer.base.ledger.Append(nil), ledger) {
				t.Error("the ledger is another one")
			}
			n.start(f)
			<-f.signer.Ready()
			fewest := listed(f.node)
			for range 4 {
				time.Sleep(30 * time.Second)
				fewest = min(fewest, listed(f.node))
			}
			if fewest < 5 {
				t.Errorf("only %d relays listed after %v away", fewest, away)
			}
		}
		_ = n.close(f, false)
		n.stop()
	})
}

// TestCertificateIsRenewed: at 60 days, with a higher number, and clients go
// along.
func TestCertificateIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, true, directory.JoinOpen)
		f := n.openFounder(t.TempDir(), t.TempDir())
		sign := func() uint64 {
			check(t, f.signer.sign(directory.EpochTime(true, directory.EpochNumber(true, time.Now()))))
			c, err := directory.ParseCertificate(n.id, f.signer.pages.certificate)
			check(t, err)
			return c.Seq
		}
		if seq := sign(); seq != 1 {
			t.Errorf("number %d", seq)
		}
		time.Sleep(50 * 24 * time.Hour)
		if seq := sign(); seq != 1 {
			t.Errorf("number %d after 50 days", seq)
		}
		time.Sleep(10 * 24 * time.Hour)
		if seq := sign(); seq != 2 {
			t.Errorf("number %d after 60 days", seq)
		}
		if f.node.Status().Epoch != f.signer.base.snapshot.Header.Epoch {
			t.Error("the node refused a snapshot under the new certificate")
		}
		check(t, f.signer.Close())
		n.stop()
	})
}

func TestOfflineIdentityKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, true, directory.JoinOpen)
		node := n.node("bootstrap", gossip.RoleDirectory, t.TempDir())
		_, err := New(Config{Node: node, Online: testKey("online"), Prober: n, Dir: t.TempDir()})
		if !errors.Is(err, ErrNoCertificate) {
			t.Errorf("no certificate: %v", err)
		}
		online := publicOf(testKey("online"))
		cert, err := NewCertificate(n.id, testKey("signer"), online[:], 3, time.Now())
		check(t, err)
		dir := t.TempDir()
		s, err := New(Config{Node: node, Online: testKey("online"), Certificate: cert, Prober: n, Dir: dir})
		check(t, err)
		check(t, s.sign(directory.EpochTime(true, directory.EpochNumber(true, time.Now()))))
		check(t, s.Close())
		// The certificate is in the book.
		s, err = New(Config{Node: node, Online: testKey("online"), Prober: n, Dir: dir})
		check(t, err)
		time.Sleep(90 * 24 * time.Hour)
		if err := s.sign(directory.EpochTime(true, directory.EpochNumber(true, time.Now()))); !errors.Is(err, ErrNoCertificate) {
			t.Errorf("after 90 days: %v", err)
		}
		check(t, s.Close())
		_, err = New(Config{Node: node, Identity: testKey("another"), Online: testKey("online"), Prober: n, Dir: t.TempDir()})
		if !errors.Is(err, ErrNotSigner) {
			t.Errorf("a stranger's identity key: %v", err)
		}
		n.stop()
	})
}

func FuzzParseSuccesses(f *testing.F) {
	f.Add([]byte{})
	f.Add(successes{}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSuccesses(b)
		if err == nil {
			again, err := parseSuccesses(s.append(nil))
			if err != nil || len(again) != len(s) {
				t.Fatal("does not come back")
			}
		}
	})
}
