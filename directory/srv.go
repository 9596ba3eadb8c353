package directory

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Specification constants of shared random values (SPEC.md §20).
const (
	maxSRVs     = 10 // values in a header
	srvRoundLen = 24 * time.Hour
	srvHalf     = srvRoundLen / 2 // commitments, then reveals
)

// Sizes of an encoded SRVState, in bytes (SPEC.md §20.4).
const (
	srvStateVersion = 1
	srvStateHead    = 1 + 8 + maxSRVs*32 + 1
	srvPartSize     = 32 + 32 + 1 + 32
)

// ErrBadSRV is returned for a state of the shared random values that does not
// parse or does not fit.
var ErrBadSRV = errors.New("directory: state of the shared random values is not valid")

// SRV is the shared random value of a round.
type SRV struct {
	Round uint64
	Value [32]byte
}

// SRVState is what the counted votes of a round have told so far of its shared
// random value, and the values of the ten rounds before. It follows from the
// headers and the counted votes alone, so that everybody computes the same one
// (SPEC.md §20.3). It is immutable; Next makes a new one.
type SRVState struct {
	network NetworkID
	lab     bool
	round   uint64            // in which commitments and reveals are gathered
	values  [maxSRVs][32]byte // of the rounds before, oldest first
	parts   []srvPart         // rising by signer
}

// srvPart is what one signer has contributed to a round.
type srvPart struct {
	signer   [32]byte
	commit   [32]byte
	reveal   [32]byte
	revealed bool
}

// SRVFaultKind says how a signer broke the rules of a round.
type SRVFaultKind int

// The faults.
const (
	SRVChanged   SRVFaultKind = 1 + iota // a second, different commitment
	SRVMismatch                          // a number that does not match the commitment
	SRVUnbound                           // a number without a counted commitment
	SRVUntimely                          // a share of another round or of the other half
	SRVDuplicate                         // two votes with different shares
	SRVWithheld                          // it committed, but never revealed
)

// SRVFault names a signer that broke a rule of a round.
type SRVFault struct {
	Signer [32]byte
	Round  uint64
	Kind   SRVFaultKind
}

// String says the fault in plain words.
func (f SRVFault) String() string {
	what := "unknown fault"
	switch f.Kind {
	case SRVChanged:
		what = "made a second commitment"
	case SRVMismatch:
		what = "revealed another number than it had committed to"
	case SRVUnbound:
		what = "revealed a number without having committed to it"
	case SRVUntimely:
		what = "sent its share at the wrong time"
	case SRVDuplicate:
		what = "sent two different shares at once"
	case SRVWithheld:
		what = "committed to a number and never revealed it"
	}
	return fmt.Sprintf("signer %v, round %d: it %s", keyID(f.Signer), f.Round, what)
}

// srvRound returns the number of the round that t is in: rounds last a day and
// begin at 00:00 UTC.
func srvRound(lab bool, t time.Time) uint64 {
	return uint64(max(t.Unix(), 0)) / uint64(Scale(lab, srvRoundLen)/time.Second)
}

// srvReveals tells whether t is in the second half of its round.
func srvReveals(lab bool, t time.Time) bool {
	length := int64(Scale(lab, srvRoundLen) / time.Second)
	return max(t.Unix(), 0)%length >= length/2
}

// firstSRV is the value of a round before signers have drawn one together. It
// is predictable (SPEC.md §20.2).
func firstSRV(network NetworkID, round uint64) [32]byte {
	return labelled(labelSRV, []byte("first"), network[:], u64(round))
}

// NewSRVState returns the state before the first snapshot, which is of time t.
func (c *Chain) NewSRVState(t time.Time) *SRVState {
	return newSRVState(c.id, c.Current().Lab, t)
}

func newSRVState(network NetworkID, lab bool, t time.Time) *SRVState {
	s := &SRVState{network: network, lab: lab, round: max(srvRound(lab, t), maxSRVs)}
	for i := range s.values {
		s.values[i] = firstSRV(network, s.round-maxSRVs+uint64(i))
	}
	return s
}

// ResumeSRVState returns the state in which the round of a verified header
// began. Given the first header of a round, and then its votes and those of the
// headers after it, anybody recomputes the state of the signers.
func ResumeSRVState(h *Header) (*SRVState, error) {
	s := &SRVState{network: h.Network, lab: h.Lab(), round: srvRound(h.Lab(), h.ValidAfter)}
	if len(h.SRVs) != maxSRVs || h.SRVs[maxSRVs-1].Round+1 != s.round {
		return nil, fmt.Errorf("%w: the header does not hold the values of the ten rounds before it", ErrBadSRV)
	}
	for i := range s.values {
		s.values[i] = h.SRVs[i].Value
	}
	return s, nil
}

// Values returns what a header made in this state holds: the values of the last
// ten rounds, oldest first.
func (s *SRVState) Values() []SRV {
	list := make([]SRV, maxSRVs)
	for i := range list {
		list[i] = SRV{Round: s.round - maxSRVs + uint64(i), Value: s.values[i]}
	}
	return list
}

// Round returns the round for which shares are gathered.
func (s *SRVState) Round() uint64 { return s.round }

// Next returns the state after the snapshot of time at, whose network file is f
// and whose counted votes are given in any order, and the faults that came to
// light. A header of that time holds the Values of the result. It fails if at
// lies in an earlier round.
func (s *SRVState) Next(f *NetworkFile, at time.Time, counted []*Vote) (*SRVState, []SRVFault, error) {
	round := srvRound(s.lab, at)
	if round < s.round || f.Lab != s.lab {
		return nil, nil, fmt.Errorf("%w: round %d after %d", ErrBadSRV, round, s.round)
	}
	n := *s
	n.parts = nil
	for _, p := range s.parts {
		if hasKey(f.Signers, p.signer) {
			n.parts = append(n.parts, p)
		}
	}
	faults := n.finish(round, SignThreshold(len(f.Signers)))
	votes := slices.Clone(counted)
	slices.SortFunc(votes, func(a, b *Vote) int {
		if c := bytes.Compare(a.Signer[:], b.Signer[:]); c != 0 {
			return c
		}
		return bytes.Compare(a.hash[:], b.hash[:])
	})
	for i, v := range votes {
		if v.Share == nil || !hasKey(f.Signers, v.Signer) {
			continue
		}
		if i > 0 && votes[i-1].Signer == v.Signer && votes[i-1].Share != nil {
			if *votes[i-1].Share != *v.Share {
				faults = append(faults, SRVFault{v.Signer, round, SRVDuplicate})
			}
			continue
		}
		// A vote may have been made for an earlier attempt than the snapshot
		// that counts it: by its own time it is judged.
		made := EpochTime(s.lab, v.Epoch)
		if v.Share.Round != srvRound(s.lab, made) || v.Share.Reveal != srvReveals(s.lab, made) {
			faults = append(faults, SRVFault{v.Signer, round, SRVUntimely})
			continue
		}
		if v.Share.Round != round || v.Share.Reveal != srvReveals(s.lab, at) {
			continue
		}
		if kind := n.take(v.Signer, *v.Share); kind != 0 {
			faults = append(faults, SRVFault{v.Signer, round, kind})
		}
	}
	return &n, faults, nil
}

// finish computes the values of the rounds before the given one.
func (s *SRVState) finish(round uint64, k int) []SRVFault {
	if round == s.round {
		return nil
	}
	var faults []SRVFault
	for _, p := range s.parts {
		if !p.revealed {
			faults = append(faults, SRVFault{p.signer, s.round, SRVWithheld})
		}
	}
	// After a long silence only the rounds that a header holds are computed.
	for r := max(s.round, round-maxSRVs); r < round; r++ {
		previous := s.values[maxSRVs-1]
		value, ok := [32]byte{}, false
		if r == s.round {
			value, ok = drawSRV(s.parts, previous, k)
		}
		switch {
		case ok:
		case previous == firstSRV(s.network, s.round-1):
			value = firstSRV(s.network, r)
		default:
			value = labelled(labelSRV, []byte("disaster"), previous[:], u64(r))
		}
		copy(s.values[:], s.values[1:])
		s.values[maxSRVs-1] = value
		s.round, s.parts = r+1, nil
	}
	return faults
}

// drawSRV computes the value of a round, unless fewer than k signers revealed.
func drawSRV(parts []srvPart, previous [32]byte, k int) ([32]byte, bool) {
	var n int
	var text []byte
	for _, p := range parts {
		if p.revealed {
			n++
			text = append(text, p.signer[:]...)
			text = append(text, p.reveal[:]...)
		}
	}
	if n < k {
		return [32]byte{}, false
	}
	inner := sha256.Sum256(text)
	return labelled(labelSRV, []byte{byte(n)}, inner[:], previous[:]), true
}

// take adds one share, or says why it does not count. A signer repeats its
// share until it was counted, so what is known already is no fault.
func (s *SRVState) take(signer [32]byte, share SRVShare) SRVFaultKind {
	i, found := slices.BinarySearchFunc(s.parts, signer, func(p srvPart, k [32]byte) int { return bytes.Compare(p.signer[:], k[:]) })
	switch {
	case !share.Reveal && !found:
		s.parts = slices.Insert(slices.Clone(s.parts), i, srvPart{signer: signer, commit: share.Value})
	case !share.Reveal && s.parts[i].commit != share.Value:
		return SRVChanged
	case !share.Reveal:
	case !found:
		return SRVUnbound
	case SRVCommitment(s.network, s.round, signer, share.Value) != s.parts[i].commit:
		return SRVMismatch
	default:
		s.parts = slices.Clone(s.parts)
		s.parts[i].reveal, s.parts[i].revealed = share.Value, true
	}
	return 0
}

// Share returns what the signer puts into its vote for the snapshot of time at,
// or nil if there is nothing to say: its commitment until it was counted, then
// its number until that was. The secret is 32 random bytes that the signer keeps
// for ever; a round's number follows from it, so that a signer that restarts
// reveals what it has committed to.
func (s *SRVState) Share(at time.Time, signer, secret [32]byte) *SRVShare {
	round := srvRound(s.lab, at)
	number := srvNumber(secret, s.network, round)
	share := SRVShare{Round: round, Reveal: srvReveals(s.lab, at), Value: SRVCommitment(s.network, round, signer, number)}
	p, found := s.part(round, signer)
	switch {
	case !share.Reveal:
		if found {
			return nil
		}
	case !found || p.revealed || p.commit != share.Value:
		return nil
	default:
		share.Value = number
	}
	return &share
}

// Withheld returns the signers that committed in this round and have not yet
// revealed, rising. Before the second half of a round that is no fault.
func (s *SRVState) Withheld() [][32]byte {
	var list [][32]byte
	for _, p := range s.parts {
		if !p.revealed {
			list = append(list, p.signer)
		}
	}
	return list
}

func (s *SRVState) part(round uint64, signer [32]byte) (srvPart, bool) {
	if round != s.round {
		return srvPart{}, false
	}
	for _, p := range s.parts {
		if p.signer == signer {
			return p, true
		}
	}
	return srvPart{}, false
}

// SRVCommitment binds a signer to its number of a round (SPEC.md §20.1).
func SRVCommitment(network NetworkID, round uint64, signer, number [32]byte) [32]byte {
	return labelled(labelSRVCommit, network[:], u64(round), signer[:], number[:])
}

// srvNumber derives a signer's number of a round from its secret.
func srvNumber(secret [32]byte, network NetworkID, round uint64) [32]byte {
	return labelled(labelSRVNumber, secret[:], network[:], u64(round))
}

// Append appends the encoding of the state (SPEC.md §20.4).
func (s *SRVState) Append(b []byte) []byte {
	b = append(b, srvStateVersion)
	b = binary.BigEndian.AppendUint64(b, s.round)
	for i := range s.values {
		b = append(b, s.values[i][:]...)
	}
	b = append(b, byte(len(s.parts)))
	for _, p := range s.parts {
		b = append(b, p.signer[:]...)
		b = append(b, p.commit[:]...)
		if p.revealed {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
		b = append(b, p.reveal[:]...)
	}
	return b
}

// ParseSRVState reads exactly one state of the chain's network.
func (c *Chain) ParseSRVState(b []byte) (*SRVState, error) {
	if len(b) < srvStateHead || b[0] != srvStateVersion || b[srvStateHead-1] > maxFounders ||
		len(b) != srvStateHead+srvPartSize*int(b[srvStateHead-1]) {
		return nil, fmt.Errorf("%w: size", ErrBadSRV)
	}
	s := &SRVState{network: c.id, lab: c.Current().Lab, round: binary.BigEndian.Uint64(b[1:])}
	if s.round < maxSRVs || s.round > maxUnix {
		return nil, fmt.Errorf("%w: round", ErrBadSRV)
	}
	for i := range s.values {
		s.values[i] = [32]byte(b[9+32*i:])
	}
	for b = b[srvStateHead:]; len(b) > 0; b = b[srvPartSize:] {
		p := srvPart{signer: [32]byte(b), commit: [32]byte(b[32:]), revealed: b[64] == 1, reveal: [32]byte(b[65:])}
		if n := len(s.parts); n > 0 && bytes.Compare(s.parts[n-1].signer[:], p.signer[:]) >= 0 {
			return nil, fmt.Errorf("%w: order of signers", ErrBadSRV)
		}
		bound := SRVCommitment(s.network, s.round, p.signer, p.reveal) == p.commit
		if b[64] > 1 || p.revealed && !bound || !p.revealed && p.reveal != [32]byte{} {
			return nil, fmt.Errorf("%w: reveal", ErrBadSRV)
		}
		s.parts = append(s.parts, p)
	}
	return s, nil
}

// srvsAt returns the values of a header of time t in a network whose signers
// have drawn none.
func srvsAt(c *Chain, t time.Time) []SRV { return c.NewSRVState(t).Values() }

func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
