package signer

import (
	"bytes"
	"slices"
	"time"

	"hearsay/directory"
)

// vote says what this signer saw of the relays, before the epoch that begins at
// the given time.
func (s *Signer) vote(chain *directory.Chain, at time.Time, seen []candidate) *directory.Vote {
	v := &directory.Vote{Signer: chain.Current().Signers[0].Public, Epoch: directory.EpochNumber(s.lab, at)}
	if s.newest != nil {
		v.Previous = s.newest.Hash()
	}
	for _, c := range seen {
		key := directory.GossipKey(chain.ID(), c.record.ID)
		r := directory.RelayVote{
			Key: [8]byte(key[:8]), Descriptor: [16]byte(c.record.Hash[:16]),
			Reached: c.reached, Failures: directory.UnknownFailures,
		}
		if d := c.record.Descriptor; d != nil {
			r.Tried = 1<<len(d.Addrs) - 1
		}
		v.Relays = append(v.Relays, r)
	}
	// Of two relays whose keys agree in eight bytes the vote names the first.
	slices.SortStableFunc(v.Relays, func(a, b directory.RelayVote) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	v.Relays = slices.CompactFunc(v.Relays, func(a, b directory.RelayVote) bool { return a.Key == b.Key })
	return v
}
