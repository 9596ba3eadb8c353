package signer

import (
	"bytes"
	"slices"
	"time"

	"hearsay/directory"
)

// ballot is what a signer votes on.
type ballot struct {
	chain   *directory.Chain // up to the version in force
	epoch   uint64
	at      time.Time
	seen    []candidate
	pending []directory.Pending
	proofs  [][]byte
}

// vote says what this signer saw of the relays before an epoch (SPEC.md §7.1).
func (s *Signer) vote(b ballot) *directory.Vote {
	v := &directory.Vote{
		Signer: s.id, Epoch: b.epoch, Previous: s.base.hash(), Pending: b.pending, Proofs: b.proofs,
		Recommended: s.cfg.Recommended,
	}
	srv := s.base.srv
	if srv == nil {
		srv = b.chain.NewSRVState(b.at)
	}
	v.Share = srv.Share(b.at, s.id, s.pages.secret)
	conflicts := make(map[directory.RelayID]bool)
	for _, c := range s.cfg.Node.Store().Conflicts() {
		conflicts[c[0].ID] = true
	}
	marks := s.marks(b.at)
	v.Reasons = reasonsOf(marks, b.seen)
	for _, c := range b.seen {
		key := directory.GossipKey(b.chain.ID(), c.record.ID)
		r := directory.RelayVote{
			Key: [8]byte(key[:8]), Descriptor: [16]byte(c.record.Hash[:16]), Bandwidth: s.speeds.code(c.record.ID),
			Reached: c.reached, Failures: directory.UnknownFailures,
		}
		if d := c.record.Descriptor; d != nil {
			r.Tried = 1<<len(d.Addrs) - 1
		}
		if conflicts[c.record.ID] {
			r.Flags |= directory.VoteConflict
		}
		if m, ok := marks[c.record.ID]; ok {
			r.Flags |= m.Flags
			if i, found := slices.BinarySearch(v.Reasons, m.Reason); found && m.Flags&^directory.VoteApprove != 0 {
				r.Reason, r.Until = uint16(i+1), dayOf(m.Until)
			} else {
				r.Flags &= directory.VoteConflict | directory.VoteApprove
			}
		}
		v.Relays = append(v.Relays, r)
	}
	// Of two relays whose keys agree in eight bytes the vote names the first.
	slices.SortStableFunc(v.Relays, func(a, b directory.RelayVote) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	v.Relays = slices.CompactFunc(v.Relays, func(a, b directory.RelayVote) bool { return a.Key == b.Key })
	return v
}

// rising returns names in the order of votes, none twice.
func rising(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// maxReasons is how many reasons a vote holds.
const maxReasons = 64

// marks returns the operator's marks that are in force at t, one of each relay:
// several are joined, and end when the first of them does.
func (s *Signer) marks(t time.Time) map[directory.RelayID]Mark {
	out := make(map[directory.RelayID]Mark)
	if s.cfg.Marks == nil {
		return out
	}
	list, err := s.cfg.Marks()
	if err != nil {
		s.log.Error("marks not read", logReason, err)
		return out
	}
	for _, m := range list {
		if !t.Before(time.Unix(int64(dayOf(m.Until))*24*3600, 0)) {
			continue
		}
		old, ok := out[m.Relay]
		if ok {
			m.Flags |= old.Flags
			if m.Reason == "" || old.Reason != "" && old.Until.Before(m.Until) {
				m.Reason, m.Until = old.Reason, old.Until
			}
		}
		out[m.Relay] = m
	}
	return out
}

// reasonsOf returns the reasons of the marks of relays that the vote names,
// rising.
func reasonsOf(marks map[directory.RelayID]Mark, seen []candidate) []string {
	var list []string
	for _, c := range seen {
		if m, ok := marks[c.record.ID]; ok && m.Reason != "" {
			list = append(list, m.Reason)
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	return list[:min(len(list), maxReasons)]
}

func dayOf(t time.Time) uint16 { return uint16(min(max(t.Unix(), 0)/(24*3600), 1<<16-1)) }

// pendingList returns what a vote says of headers that were signed and not
// completed, and what proves it.
func pendingList(pending map[[32]byte]*lock) (list []directory.Pending, proofs [][]byte) {
	for h, l := range pending {
		list = append(list, directory.Pending{Epoch: l.epoch, Attempt: l.attempt, Header: h})
	}
	// The latest decide; nobody signs so many in vain.
	slices.SortFunc(list, func(a, b directory.Pending) int { return comparePending(b, a) })
	list = list[:min(len(list), directory.MaxPending)]
	slices.SortFunc(list, func(a, b directory.Pending) int { return bytes.Compare(a.Header[:], b.Header[:]) })
	for _, p := range list {
		proofs = append(proofs, pending[p.Header].proof...)
	}
	slices.SortFunc(proofs, bytes.Compare)
	return list, slices.CompactFunc(proofs, bytes.Equal)
}
