package directory

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// srvRig plays signers through rounds of the shared random value.
type srvRig struct {
	t       *testing.T
	chain   *Chain
	file    *NetworkFile
	state   *SRVState
	at      time.Time
	faults  []SRVFault
	signers [][32]byte
	secrets [][32]byte
	// speak returns the share of a signer's vote; nil: what Share says.
	speak func(i int, honest *SRVShare) *SRVShare
	log   []Header // of the snapshots made
	votes [][]*Vote
}

func newSRVRig(t *testing.T, n int) *srvRig {
	f, roots := founders(n)
	f.Lab = true
	f.Bootstraps = testFile(true, JoinToken).Bootstraps
	raw, id, err := Found(f, roots...)
	check(t, err)
	c, err := VerifyChain(id, [][]byte{raw}, testTime)
	check(t, err)
	r := &srvRig{t: t, chain: c, file: c.Current(), at: testTime.Truncate(240 * time.Second).Add(240 * time.Second)}
	r.state = c.NewSRVState(r.at)
	for _, s := range c.Current().Signers {
		r.signers = append(r.signers, s.Public)
		r.secrets = append(r.secrets, sha256.Sum256(s.Public[:]))
	}
	return r
}

// epoch makes the snapshot of the next ten seconds; every signer votes.
func (r *srvRig) epoch() {
	r.t.Helper()
	var votes []*Vote
	for i, id := range r.signers {
		share := r.state.Share(r.at, id, r.secrets[i])
		if r.speak != nil {
			share = r.speak(i, share)
		}
		votes = append(votes, &Vote{Signer: id, Epoch: EpochNumber(true, r.at), Share: share})
	}
	var faults []SRVFault
	var err error
	r.state, faults, err = r.state.Next(r.file, r.at, votes)
	check(r.t, err)
	r.faults = append(r.faults, faults...)
	r.log = append(r.log, Header{Network: r.chain.ID(), Flags: HeaderLab, ValidAfter: r.at, SRVs: r.state.Values()})
	r.votes = append(r.votes, votes)
	r.at = r.at.Add(10 * time.Second)
}

// run makes n snapshots.
func (r *srvRig) run(n int) {
	r.t.Helper()
	for range n {
		r.epoch()
	}
}

// TestSharedRandomValue computes a round by hand, with one signer and with
// three.
func TestSharedRandomValue(t *testing.T) {
	for _, n := range []int{1, 3, 9} {
		r := newSRVRig(t, n)
		round := r.state.Round()
		previous := r.state.Values()[9].Value
		r.run(25) // 24 make the round, one more closes it
		if len(r.faults) != 0 {
			t.Fatalf("%d signers: %v", n, r.faults)
		}
		// By hand, after SPEC.md §20.2.
		ids := slices.Clone(r.signers)
		slices.SortFunc(ids, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
		inner := sha256.New()
		for _, id := range ids {
			number := sha256.New()
			number.Write([]byte("hearsay/1 srv number\x00"))
			secret := sha256.Sum256(id[:])
			network := r.chain.ID()
			number.Write(secret[:])
			number.Write(network[:])
			number.Write(binary.BigEndian.AppendUint64(nil, round))
			inner.Write(id[:])
			inner.Write(number.Sum(nil))
		}
		outer := sha256.New()
		outer.Write([]byte("hearsay/1 srv\x00"))
		outer.Write([]byte{byte(n)})
		outer.Write(inner.Sum(nil))
		outer.Write(previous[:])
		last := r.state.Values()[9]
		if last.Round != round || !bytes.Equal(last.Value[:], outer.Sum(nil)) {
			t.Fatalf("%d signers: round %d is %x, want %x", n, last.Round, last.Value, outer.Sum(nil))
		}
		if r.state.Values()[8].Value != previous {
			t.Error("the value before has changed")
		}
	}
}

// TestFirstAndDisasterValues has signers that never draw a value, then draw
// one, then fail.
func TestFirstAndDisasterValues(t *testing.T) {
	r := newSRVRig(t, 3)
	silent := func(int, *SRVShare) *SRVShare { return nil }
	r.speak = silent
	r.run(25)
	id := r.chain.ID()
	want := sha256.Sum256(slices.Concat([]byte("hearsay/1 srv\x00first"), id[:], u64(r.state.Round()-1)))
	if got := r.state.Values()[9].Value; got != want {
		t.Fatalf("nobody drew: %x, want %x", got, want)
	}
	r.speak = nil
	r.run(24)
	drawn := r.state.Values()[9].Value
	if drawn == firstSRV(id, r.state.Round()-1) {
		t.Fatal("three signers drew nothing")
	}
	// One of three reveals: fewer than the two needed.
	r.speak = func(i int, s *SRVShare) *SRVShare {
		if i > 0 && s != nil && s.Reveal {
			return nil
		}
		return s
	}
	r.run(24)
	want = sha256.Sum256(slices.Concat([]byte("hearsay/1 srv\x00disaster"), drawn[:], u64(r.state.Round()-1)))
	if got := r.state.Values()[9].Value; got != want {
		t.Fatalf("one revealed: %x, want %x", got, want)
	}
	// No snapshot at all for 30 rounds.
	r.at = r.at.Add(30 * 240 * time.Second)
	r.speak = silent
	r.epoch()
	v := r.state.Values()
	for i := 1; i < maxSRVs; i++ {
		want := sha256.Sum256(slices.Concat([]byte("hearsay/1 srv\x00disaster"), v[i-1].Value[:], u64(v[i].Round)))
		if v[i].Round != v[i-1].Round+1 || v[i].Value != want {
			t.Fatalf("round %d: %x", v[i].Round, v[i].Value)
		}
	}
}

// TestSignerThatRevealsNothingIsNamed also checks that it cannot stop the
// others.
func TestSignerThatRevealsNothingIsNamed(t *testing.T) {
	r := newSRVRig(t, 3)
	r.speak = func(i int, s *SRVShare) *SRVShare {
		if i == 1 && s != nil && s.Reveal {
			return nil
		}
		return s
	}
	r.run(24)
	if got := r.state.Withheld(); len(got) != 1 || got[0] != r.signers[1] {
		t.Fatalf("withheld: %x", got)
	}
	before := r.state.Values()[9]
	r.run(1)
	want := SRVFault{r.signers[1], before.Round + 1, SRVWithheld}
	if len(r.faults) != 1 || r.faults[0] != want {
		t.Fatalf("faults: %v", r.faults)
	}
	last := r.state.Values()[9].Value
	if last == firstSRV(r.chain.ID(), before.Round+1) {
		t.Fatal("two of three reveals did not suffice")
	}
}

// TestBrokenSharesAreRefused has signer 0 break each rule.
func TestBrokenSharesAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		kind  SRVFaultKind
		speak func(r *srvRig, s *SRVShare) *SRVShare
	}{
		{"another number", SRVMismatch, func(_ *srvRig, s *SRVShare) *SRVShare {
			if s != nil && s.Reveal {
				s.Value[0] ^= 1
			}
			return s
		}},
		{"the commitment of another signer, copied", SRVMismatch, func(r *srvRig, s *SRVShare) *SRVShare {
			// It copies both shares of signer 1: the number fits that signer's
			// commitment, not its own.
			if _, ok := r.state.part(r.state.round, r.signers[0]); ok && !srvReveals(true, r.at) {
				return nil
			}
			number := srvNumber(r.secrets[1], r.chain.ID(), r.state.round)
			if srvReveals(true, r.at) {
				return &SRVShare{Round: r.state.round, Reveal: true, Value: number}
			}
			return &SRVShare{Round: r.state.round, Value: SRVCommitment(r.chain.ID(), r.state.round, r.signers[1], number)}
		}},
		{"the commitment of another round, repeated", SRVMismatch, func(r *srvRig, s *SRVShare) *SRVShare {
			number := srvNumber(r.secrets[0], r.chain.ID(), 3)
			if srvReveals(true, r.at) {
				return &SRVShare{Round: r.state.round, Reveal: true, Value: number}
			}
			return &SRVShare{Round: r.state.round, Value: SRVCommitment(r.chain.ID(), 3, r.signers[0], number)}
		}},
		{"a second commitment", SRVChanged, func(r *srvRig, s *SRVShare) *SRVShare {
			if s == nil && !srvReveals(true, r.at) {
				return &SRVShare{Round: r.state.round, Value: [32]byte{7}}
			}
			return s
		}},
		{"a number that nothing binds", SRVUnbound, func(r *srvRig, s *SRVShare) *SRVShare {
			if srvReveals(true, r.at) {
				return &SRVShare{Round: r.state.round, Reveal: true, Value: [32]byte{7}}
			}
			return nil
		}},
		{"a number at once", SRVUntimely, func(r *srvRig, s *SRVShare) *SRVShare {
			return &SRVShare{Round: r.state.round, Reveal: true, Value: srvNumber(r.secrets[0], r.chain.ID(), r.state.round)}
		}},
		{"a share of the last round", SRVUntimely, func(r *srvRig, s *SRVShare) *SRVShare {
			if s != nil {
				s.Round--
			}
			return s
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, honest := newSRVRig(t, 3), newSRVRig(t, 3)
			r.speak = func(i int, s *SRVShare) *SRVShare {
				if i == 0 {
					return tt.speak(r, s)
				}
				return s
			}
			// The value must be that of the others alone, or of an honest 0.
			honest.speak = func(i int, s *SRVShare) *SRVShare {
				if i == 0 && tt.kind != SRVChanged {
					return nil
				}
				return s
			}
			for range 24 {
				if r.state.round != srvRound(true, r.at) { // the first snapshot of a round closes the one before
					t.Fatal("round")
				}
				r.epoch()
				honest.epoch()
			}
			broken := r.faults
			r.speak, honest.speak = nil, nil
			r.run(1)
			honest.run(1)
			if len(broken) == 0 || broken[0].Signer != r.signers[0] || broken[0].Kind != tt.kind || broken[0].String() == "" {
				t.Fatalf("faults: %v", broken)
			}
			for _, f := range broken {
				if f.Signer != r.signers[0] {
					t.Errorf("names %v", f)
				}
			}
			if r.state.Values()[9] != honest.state.Values()[9] {
				t.Error("the broken share counted")
			}
		})
	}
}

// TestTwoVotesOfOneSignerInOneSnapshot takes the one of the lower hash and says
// so, whatever their order.
func TestTwoVotesOfOneSignerInOneSnapshot(t *testing.T) {
	r := newSRVRig(t, 1)
	vote := func(h, value byte) *Vote {
		return &Vote{Signer: r.signers[0], Epoch: EpochNumber(true, r.at), Share: &SRVShare{Round: r.state.round, Value: [32]byte{value}}, hash: [32]byte{h}}
	}
	var states [][]byte
	for _, votes := range [][]*Vote{{vote(1, 10), vote(2, 20)}, {vote(2, 20), vote(1, 10)}} {
		s, faults, err := r.state.Next(r.file, r.at, votes)
		check(t, err)
		if len(faults) != 1 || faults[0].Kind != SRVDuplicate || s.parts[0].commit != [32]byte{10} {
			t.Fatalf("%v %v", faults, s.parts)
		}
		states = append(states, s.Append(nil))
	}
	if !bytes.Equal(states[0], states[1]) {
		t.Error("the order of votes counts")
	}
}

// TestVotesOfAnEarlierAttemptCastNoBlame: a snapshot whose first attempt fell
// into the first half is made in the second half from the same votes.
func TestVotesOfAnEarlierAttemptCastNoBlame(t *testing.T) {
	r := newSRVRig(t, 1)
	r.run(11)
	v := &Vote{Signer: r.signers[0], Epoch: EpochNumber(true, r.at), Share: &SRVShare{Round: r.state.round, Value: r.state.parts[0].commit}}
	_, faults, err := r.state.Next(r.file, r.at.Add(10*time.Second), []*Vote{v})
	check(t, err)
	if len(faults) != 0 {
		t.Fatal(faults)
	}
}

// TestRemovedSignerLosesItsShare: founders replace a signer within a round.
func TestRemovedSignerLosesItsShare(t *testing.T) {
	r := newSRVRig(t, 3)
	r.run(20)
	f := *r.file
	f.Signers = slices.Delete(slices.Clone(f.Signers), 2, 3)
	r.file = &f
	r.run(1)
	if len(r.state.parts) != 2 {
		t.Fatalf("%d shares", len(r.state.parts))
	}
	if _, _, err := r.state.Next(&f, r.at.Add(-time.Hour), nil); err == nil {
		t.Error("goes back in time")
	}
}

// TestEverybodyRecomputesTheState starts anew at the first header of any round,
// from headers and votes alone, and from the stored state at any snapshot.
func TestEverybodyRecomputesTheState(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newSRVRig(t, rapid.IntRange(1, 4).Draw(rt, "signers"))
		r.speak = func(i int, s *SRVShare) *SRVShare {
			switch rapid.IntRange(0, 5).Draw(rt, "act") {
			case 0:
				return nil
			case 1:
				if s != nil {
					s.Value[3] ^= 1
				}
			}
			return s
		}
		r.run(rapid.IntRange(30, 60).Draw(rt, "snapshots"))
		var again *SRVState
		for i := range r.log {
			h := &r.log[i]
			if i > 0 && srvRound(true, h.ValidAfter) != srvRound(true, r.log[i-1].ValidAfter) {
				var err error
				if again, err = ResumeSRVState(h); err != nil {
					rt.Fatal(err)
				}
			}
			if again == nil {
				continue
			}
			var err error
			if again, _, err = again.Next(r.file, h.ValidAfter, r.votes[i]); err != nil {
				rt.Fatal(err)
			}
			if !slices.Equal(again.Values(), h.SRVs) {
				rt.Fatalf("snapshot %d holds other values", i)
			}
			if i%2 == 0 {
				if again, err = r.chain.ParseSRVState(again.Append(nil)); err != nil {
					rt.Fatal(err)
				}
			}
		}
		if again == nil || !bytes.Equal(again.Append(nil), r.state.Append(nil)) {
			rt.Fatal("another state")
		}
	})
}

func FuzzParseSRVState(f *testing.F) {
	n := newNetwork(f, true, JoinOpen)
	s := n.chain.NewSRVState(testTime)
	f.Add(s.Append(nil))
	s.parts = []srvPart{
		{signer: [32]byte{1}, commit: [32]byte{2}},
		{signer: [32]byte{2}, commit: SRVCommitment(n.id, s.round, [32]byte{2}, [32]byte{9}), reveal: [32]byte{9}, revealed: true},
	}
	f.Add(s.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := n.chain.ParseSRVState(b)
		if err != nil {
			return
		}
		same(t, b, s.Append(nil), nil)
		at := time.Unix(int64(s.round)*240+120, 0)
		if _, _, err := s.Next(n.chain.Current(), at, nil); err != nil {
			t.Fatal(err)
		}
	})
}

func TestStoredStateOfRandomValues(t *testing.T) {
	r := newSRVRig(t, 3)
	r.run(18)
	good := r.state.Append(nil)
	if _, err := r.chain.ParseSRVState(good); err != nil {
		t.Fatal(err)
	}
	if _, err := r.chain.ParseSRVState(good[:len(good)-1]); err == nil {
		t.Error("truncated state accepted")
	}
	for at, why := range map[int]string{0: "version", srvStateHead - 1: "count", srvStateHead + 64: "flag", srvStateHead + 70: "number", len(good) - 97: "order"} {
		bad := bytes.Clone(good)
		bad[at] ^= 0xff
		if _, err := r.chain.ParseSRVState(bad); err == nil && at != len(good)-97 {
			t.Errorf("%s changed: accepted", why)
		}
	}
	h := Header{Network: r.chain.ID(), Flags: HeaderLab, ValidAfter: r.at, SRVs: r.state.Values()[1:]}
	if _, err := ResumeSRVState(&h); err == nil {
		t.Error("a header of nine values accepted")
	}
}
