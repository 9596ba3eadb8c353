package signer

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// TestAnybodyComputesTheSnapshotAgain: from what one signer keeps for others, and the
// header before, the next header follows, byte by byte; with one signer and with
// three, also after one was away.
func TestAnybodyComputesTheSnapshotAgain(t *testing.T) {
	for _, n := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			c := lossy(t, n)
			first := c.newest(0)
			if n > 1 {
				c.part(2, true)
				time.Sleep(10 * time.Second)
				c.part(2, false)
			}
			c.relays(2)
			c.untilEpoch(first.Header.Epoch, 30*time.Second, 0)
			prev := c.newest(0)
			c.untilEpoch(prev.Header.Epoch, 30*time.Second, n-1)
			m := c.members[n-1]
			raw, leaves := m.node.Newest()
			next, err := directory.ParseSnapshot(raw)
			check(t, err)
			if next.Header.LogSize != prev.Header.LogSize+1 {
				t.Fatalf("%d leaves after %d", next.Header.LogSize, prev.Header.LogSize)
			}
			c.mu.Lock()
			docs := m.docs
			c.mu.Unlock()
			get := func(hash [32]byte) []byte {
				for h, raw := range docs {
					if h == hash || [16]byte(hash[16:]) == [16]byte{} && [16]byte(h[:16]) == [16]byte(hash[:16]) {
						return raw
					}
				}
				t.Fatalf("%x is not kept", hash[:8])
				return nil
			}
			b := &base{snapshot: prev, files: prev.Header.FileVersion}
			b.ledger, err = directory.ParseLedger(get(prev.Header.LedgerHash))
			check(t, err)
			b.srv, err = c.chain.ParseSRVState(get(prev.Header.SRVHash))
			check(t, err)
			b.log, err = directory.LogOf(leaves[:next.Header.LogSize])
			check(t, err)
			in := source{chain: c.chain.InForce(next.Header.ValidAfter), at: next.Header.ValidAfter, abandoned: next.Header.Abandoned}
			seen := make(map[[32]byte]bool)
			for _, h := range next.Header.Votes {
				v, err := c.chain.ParseSignerMessage(get(h), next.Header.ValidAfter)
				check(t, err)
				in.votes = append(in.votes, v)
				for _, rv := range v.Vote.Relays {
					var name [32]byte
					copy(name[:], rv.Descriptor[:])
					r, err := m.node.ParseRecord(get(name), next.Header.ValidAfter)
					check(t, err)
					if !seen[r.Hash] {
						seen[r.Hash] = true
						in.records = append(in.records, r)
					}
				}
			}
			d, err := b.compute(in)
			check(t, err)
			if d.snapshot.Hash() != next.Hash() {
				t.Errorf("%d signers: another header follows:\n%+v\n%+v", n, d.snapshot.Header, next.Header)
			}
			if next.Header.N != 5 {
				t.Errorf("%d relays", next.Header.N)
			}
			c.agreed()
			c.stop()
		})
	}
}

// TestRandomValuesAreDrawnTogether: after a round in which all committed and
// revealed the headers hold a value that nobody can compute beforehand, the same at
// all signers, though one was away for a part of both halves.
func TestRandomValuesAreDrawnTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommittee(t, true, 3)
		time.Sleep(time.Until(time.Now().Truncate(240 * time.Second).Add(240 * time.Second))) // a round begins
		round := time.Now()
		c.relays(1)
		c.start()
		for _, away := range []time.Duration{40 * time.Second, 150 * time.Second} {
			time.Sleep(time.Until(round.Add(away)))
			check(t, c.members[2].kill())
			time.Sleep(25 * time.Second)
			c.start(2)
		}
		time.Sleep(time.Until(round.Add(265 * time.Second)))
		h := c.newest(0).Header
		known := c.chain.NewSRVState(h.ValidAfter).Values()
		if h.SRVs[9].Value == known[9].Value || h.SRVs[8] != known[8] {
			t.Errorf("values %x, %x", h.SRVs[8].Value[:4], h.SRVs[9].Value[:4])
		}
		c.agreed()
		c.stop()
	})
}

// TestVoteHoldsWhatTheOperatorSays: marks with their reasons, conflicts, recommended
// software and the header before.
func TestVoteHoldsWhatTheOperatorSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommittee(t, true, 1)
		c.relays(3)
		day := time.Now().Truncate(24 * time.Hour).Add(3 * 24 * time.Hour)
		m := c.members[0]
		m.openNode()
		marks := []Mark{
			{Relay: idOf("relay 0"), Flags: directory.VoteWatch, Reason: "it lies", Until: day},
			{Relay: idOf("relay 0"), Flags: directory.VoteExclude, Reason: "it attacks", Until: day.Add(-24 * time.Hour)},
			{Relay: idOf("relay 1"), Flags: directory.VoteApprove, Until: day},
			{Relay: idOf("relay 2"), Flags: directory.VoteWatch, Reason: "long ago", Until: time.Now().Add(-time.Hour).Truncate(24 * time.Hour)},
			{Relay: idOf("nobody"), Flags: directory.VoteWatch, Reason: "not here", Until: day},
		}
		_, err := New(Config{
			Node: m.node, Board: m, Identity: testKey(signerKey(0)), Online: testKey("online 0"), Dir: m.dir,
			Recommended: []string{"a name of twenty-five bytes"},
		})
		if !errors.Is(err, directory.ErrBadVote) {
			t.Errorf("software that no vote can name: %v", err)
		}
		m.signer, err = New(Config{
			Node: m.node, Board: m, Library: m, Identity: testKey(signerKey(0)), Online: testKey("online 0"), Prober: c, Dir: m.dir,
			Marks: func() ([]Mark, error) { return marks, nil }, Recommended: []string{"hearsay 0.2", "hearsay 0.1", "hearsay 0.2"},
		})
		check(t, err)
		// The third signs a second record with the number of the first.
		r, ok := m.node.Store().Record(idOf("relay 2"))
		if !ok {
			t.Fatal("no record")
		}
		d := *r.Descriptor
		d.Software = "hearsay 9"
		raw, err := d.Sign(c.id, testKey("relay 2"))
		check(t, err)
		_ = m.node.Publish(raw)

		var seen []candidate
		for _, r := range m.node.Store().Records() {
			seen = append(seen, candidate{record: r, reached: 1})
		}
		at := time.Now().Add(10 * time.Second).Truncate(10 * time.Second)
		msg, err := m.signer.cast(ballot{chain: c.chain, epoch: directory.EpochNumber(true, at), at: at, seen: seen})
		check(t, err)
		v := msg.Vote
		if len(v.Reasons) != 1 || v.Reasons[0] != "it attacks" || len(v.Recommended) != 2 || v.Share == nil || v.Previous != [32]byte{} {
			t.Errorf("reasons %q, recommended %q, share %v", v.Reasons, v.Recommended, v.Share)
		}
		for _, rv := range v.Relays {
			var want directory.RelayVote
			for _, r := range m.node.Store().Records() {
				key := directory.GossipKey(c.id, r.ID)
				if [8]byte(key[:8]) != rv.Key {
					continue
				}
				want = directory.RelayVote{
					Key: rv.Key, Descriptor: [16]byte(r.Hash[:16]), Tried: 1, Reached: 1, Failures: directory.UnknownFailures,
				}
				switch r.ID {
				case idOf("relay 0"):
					want.Flags, want.Reason = directory.VoteWatch|directory.VoteExclude, 1
					want.Until = uint16(day.Unix()/(24*3600)) - 1
				case idOf("relay 1"):
					want.Flags = directory.VoteApprove
				case idOf("relay 2"):
					want.Flags = directory.VoteConflict
				}
			}
			if rv != want {
				t.Errorf("%+v, not %+v", rv, want)
			}
		}
		if len(v.Relays) != 3 {
			t.Errorf("%d relays", len(v.Relays))
		}
		m.cancel, m.done = func() {}, make(chan error, 1)
		m.done <- nil
		c.stop()
	})
}
