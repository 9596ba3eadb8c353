package signer

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// forge makes a message of a signer, as whoever holds its keys can.
func (c *committee) forge(i int, sign func(cert directory.Certificate) ([]byte, error)) *directory.SignerMessage {
	c.t.Helper()
	online := publicOf(testKey("forged online"))
	raw, err := NewCertificate(c.id, testKey(signerKey(i)), online[:], 9, time.Now())
	check(c.t, err)
	cert, err := directory.ParseCertificate(c.id, raw)
	check(c.t, err)
	doc, err := sign(cert)
	check(c.t, err)
	m, err := c.chain.ParseSignerMessage(directory.SealSignerMessage(raw, doc), time.Now())
	check(c.t, err)
	return m
}

// forgeVote makes a vote of a signer for a slot.
func (c *committee) forgeVote(i int, epoch uint64, previous [32]byte, relays ...directory.RelayVote) *directory.SignerMessage {
	return c.forge(i, func(directory.Certificate) ([]byte, error) {
		v := &directory.Vote{Signer: publicOf(testKey(signerKey(i))), Epoch: epoch, Previous: previous, Relays: relays}
		return v.Sign(c.id, testKey("forged online"))
	})
}

// show puts a message on the boards of some members.
func (c *committee) show(m *directory.SignerMessage, to ...int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range to {
		c.members[i].put(m)
	}
}

// toVote sleeps until the time at which the next slot's votes are made.
func (c *committee) toVote() slot {
	sl := nextSlot(c.lab, &c.newest(0).Header, time.Now())
	time.Sleep(time.Until(sl.vote))
	return sl
}

// TestEquivocatingSigner: a signer that shows two votes to different signers. None of
// them counts, or one; never both; the others go on with one history, and the proof
// is out.
func TestEquivocatingSigner(t *testing.T) {
	for _, late := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := lossy(t, 4)
			check(t, c.members[3].kill())
			liar := publicOf(testKey(signerKey(3)))
			for range 3 {
				previous := c.newest(0).Hash()
				sl := c.toVote()
				x := c.forgeVote(3, sl.epoch, previous)
				y := c.forgeVote(3, sl.epoch, previous, directory.RelayVote{Failures: directory.UnknownFailures})
				if late { // the second at the end of the exchange, to one
					c.show(x, 0, 1, 2)
					time.Sleep(time.Until(sl.end) - time.Millisecond)
					c.show(y, 2)
				} else {
					c.show(x, 0, 1)
					c.show(y, 2)
				}
				c.flow()
				c.untilEpoch(sl.epoch-1, 40*time.Second, 0, 1, 2)
				h := c.newest(0).Header
				if slices.Contains(h.Votes, x.Hash()) && slices.Contains(h.Votes, y.Hash()) {
					t.Error("both votes count")
				}
				if len(h.Votes) < 3 {
					t.Errorf("%d votes", len(h.Votes))
				}
			}
			c.mu.Lock()
			proofs := slices.Clone(c.proofs)
			c.mu.Unlock()
			if len(proofs) == 0 || proofs[0].Kind() != directory.EvidenceVotes || proofs[0].Culprits()[0].Public != liar {
				t.Errorf("proofs %v", proofs)
			}
			c.agreed()
			c.stop()
		})
	}
}

// TestVoteForRecordsThatNobodyHas: a signer names records that do not exist. Its
// vote is left out, and the others' snapshot is on time.
func TestVoteForRecordsThatNobodyHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lossy(t, 4)
		check(t, c.members[3].kill())
		previous := c.newest(0).Hash()
		sl := c.toVote()
		var made []directory.RelayVote
		for i := range 200 {
			made = append(made, directory.RelayVote{Key: [8]byte{byte(i), 1}, Descriptor: [16]byte{byte(i), 7}, Failures: directory.UnknownFailures})
		}
		c.show(c.forgeVote(3, sl.epoch, previous, made...), 0, 1, 2)
		c.untilEpoch(sl.epoch-1, time.Until(sl.at)+time.Second, 0, 1, 2)
		if h := c.newest(0).Header; len(h.Votes) != 3 {
			t.Errorf("%d votes", len(h.Votes))
		}
		c.agreed()
		c.stop()
	})
}

// TestInventedPendingHeader: a signer calls a header pending that nobody has signed,
// to have it completed or the true one given up. Its vote does not count.
func TestInventedPendingHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lossy(t, 4)
		check(t, c.members[3].kill())
		previous := c.newest(0).Hash()
		sl := c.toVote()
		c.show(c.forge(3, func(directory.Certificate) ([]byte, error) {
			v := &directory.Vote{
				Signer: publicOf(testKey(signerKey(3))), Epoch: sl.epoch, Previous: previous,
				Pending: []directory.Pending{{Epoch: sl.epoch - 1, Attempt: 1, Header: [32]byte{1, 2, 3}}},
			}
			return v.Sign(c.id, testKey("forged online"))
		}), 0, 1, 2)
		c.untilEpoch(sl.epoch-1, time.Until(sl.at)+time.Second, 0, 1, 2)
		if h := c.newest(0).Header; len(h.Votes) != 3 || len(h.Abandoned) != 0 {
			t.Errorf("%d votes, abandoned %x", len(h.Votes), h.Abandoned)
		}
		c.agreed()
		c.stop()
	})
}

// TestForgedEchoes: echoes that contradict each other count for nothing, and one
// liar's echoes do not make signers sign different headers.
func TestForgedEchoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := lossy(t, 4)
		check(t, c.members[3].kill())
		sl := c.toVote()
		echo := func(attempt uint8, header [32]byte, votes ...[32]byte) *directory.SignerMessage {
			return c.forge(3, func(directory.Certificate) ([]byte, error) {
				e := &directory.Echo{Signer: publicOf(testKey(signerKey(3))), Epoch: sl.epoch, Attempt: attempt, Votes: votes, Header: header}
				return e.Sign(c.id, testKey("forged online"))
			})
		}
		for a := range uint8(maxAttempt + 1) {
			h := [32]byte{}
			if a > 0 {
				h[0] = a
			}
			c.show(echo(a, h, [32]byte{1}), 0, 1)
			c.show(echo(a, h, [32]byte{2}), 1, 2)
		}
		before := sl.epoch - 1
		c.untilEpoch(before+1, 40*time.Second, 0, 1, 2)
		c.agreed()
		c.stop()
	})
}
