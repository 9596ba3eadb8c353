package directory

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"
)

func TestSnapshotsOfANetwork(t *testing.T) {
	for _, lab := range []bool{true, false} {
		n := newNetwork(t, lab, JoinToken)
		state := n.chain.InitialState()
		now := testTime
		for i := range 5 {
			raw := n.publish(now, n.candidates(i, now))
			v, next, err := n.verify(raw, state, now)
			check(t, err)
			if len(v.Relays()) != i || v.State(now) != Fresh || v.Network() != n.id || v.Lab() != lab {
				t.Fatalf("view of %d relays, %v", len(v.Relays()), v.State(now))
			}
			if have, of, need := v.Signed(); have != 1 || of != 1 || need != 1 {
				t.Fatalf("signed by %d of %d, %d needed", have, of, need)
			}
			for _, r := range v.Relays() {
				want := FlagGuard | FlagStable | FlagMailbox | FlagPlacement | FlagCache | FlagVouched | FlagUnmeasured
				if r.Flags != want || r.Guard != 1<<30 || r.Inner != 1<<30 || r.Mailbox != 1<<30 {
					t.Fatalf("relay %+v", r)
				}
			}
			s, err := ParseState(next.Append(nil))
			if err != nil || !bytes.Equal(s.Append(nil), next.Append(nil)) {
				t.Fatalf("state: %v", err)
			}
			state = s
			now = now.Add(n.header.NextEpoch)
		}
		if n.log.Size() != 6 || n.header.LogSize != 5 {
			t.Fatalf("log of %d leaves", n.log.Size())
		}
	}
}

// TestAReturningClientSkipsEpochs verifies one log proof over many epochs.
func TestAReturningClientSkipsEpochs(t *testing.T) {
	n := newNetwork(t, true, JoinOpen)
	now := testTime
	_, state, err := n.verify(n.publish(now, nil), n.chain.InitialState(), now)
	check(t, err)
	var raw []byte
	for range 40 {
		now = now.Add(labEpoch)
		raw = n.publish(now, nil)
	}
	if _, _, err := n.verify(raw, state, now); err != nil {
		t.Fatal(err)
	}
	if _, _, err := n.verify(raw, n.chain.InitialState(), now); err != nil {
		t.Fatal(err)
	}
}

func TestSnapshotOfAnOlderEpochIsRefused(t *testing.T) {
	n := newNetwork(t, true, JoinOpen)
	older := n.publish(testTime, nil)
	newer := n.publish(testTime.Add(labEpoch), nil)
	_, state, err := n.verify(newer, n.chain.InitialState(), testTime)
	check(t, err)
	for _, raw := range [][]byte{older, newer} {
		if _, _, err := n.verify(raw, state, testTime); !errors.Is(err, ErrRollback) {
			t.Fatal(err)
		}
	}
}

func TestSnapshotOfAnotherNetworkIsRefused(t *testing.T) {
	f := testFile(true, JoinOpen)
	f.Salt[0]++ // the same founder, name and keys
	n, other := newNetwork(t, true, JoinOpen), foundNetwork(t, f)
	if _, _, err := n.verify(other.publish(testTime, nil), n.chain.InitialState(), testTime); !errors.Is(err, ErrOtherNetwork) {
		t.Fatal(err)
	}
	// The other network's signed body under this network's name does not help.
	s, err := ParseSnapshot(other.publish(testTime.Add(labEpoch), nil))
	check(t, err)
	s.Header.Network = n.id
	s.doc.Body, err = s.Header.encode()
	check(t, err)
	s.certs = [][]byte{n.cert}
	raw, err := s.Encode()
	check(t, err)
	if _, _, err := n.verify(raw, n.chain.InitialState(), testTime); !errors.Is(err, ErrSignature) {
		t.Fatal(err)
	}
}

func TestSnapshotWithOneChangedByteIsRefused(t *testing.T) {
	n := newNetwork(t, true, JoinOpen)
	raw := n.publish(testTime, n.candidates(3, testTime))
	if _, _, err := n.verify(raw, n.chain.InitialState(), testTime); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(raw); i += flipStep {
		for _, bit := range []byte{1 << (i % 8), 0xff} {
			raw[i] ^= bit
			if v, _, err := n.verify(raw, n.chain.InitialState(), testTime); err == nil || v != nil {
				t.Fatalf("byte %d changed: accepted", i)
			}
			raw[i] ^= bit
		}
	}
	for i := range raw {
		if _, _, err := n.verify(raw[:i], n.chain.InitialState(), testTime); err == nil {
			t.Fatalf("truncated to %d bytes: accepted", i)
		}
	}
}

// TestForkedHistoryIsRefused gives a client, by the true signer's key, a
// history that is not the one it has seen.
func TestForkedHistoryIsRefused(t *testing.T) {
	n, fork := newNetwork(t, true, JoinOpen), newNetwork(t, true, JoinOpen)
	_, state, err := n.verify(n.publish(testTime, nil), n.chain.InitialState(), testTime)
	check(t, err)
	fork.publish(testTime, fork.candidates(1, testTime))
	raw := fork.publish(testTime.Add(labEpoch), nil)
	for _, proofs := range []*network{n, fork} {
		s, err := ParseSnapshot(raw)
		check(t, err)
		p, err := proofs.log.Prove(1, proofs.log.Size(), 0)
		if proofs == fork {
			p, err = fork.log.Prove(state.ProofRange(s.Header.LogSize))
		}
		check(t, err)
		if _, _, err := n.chain.Verify(s, state, p, testTime); !errors.Is(err, ErrLog) {
			t.Fatal(err)
		}
	}
	// A log that shrinks.
	s, err := ParseSnapshot(raw)
	check(t, err)
	state.LogSize, state.Epoch = s.Header.LogSize+1, 1
	if _, _, err := n.chain.Verify(s, state, Proof{}, testTime); !errors.Is(err, ErrLog) {
		t.Fatal(err)
	}
}

func TestSnapshotAges(t *testing.T) {
	for _, lab := range []bool{true, false} {
		n := newNetwork(t, lab, JoinToken)
		raw := n.publish(testTime, nil)
		e := n.header.NextEpoch
		made := n.header.ValidAfter
		v, state, err := n.verify(raw, n.chain.InitialState(), testTime)
		check(t, err)
		for _, tt := range []struct {
			age  time.Duration
			want Freshness
		}{
			{-slowestClock, Fresh},
			{3 * e, Fresh},
			{3*e + 1, Valid},
			{Scale(lab, 24*time.Hour), Valid},
			{Scale(lab, 24*time.Hour) + 1, Stale},
			{Scale(lab, 72*time.Hour), Stale},
			{Scale(lab, 72*time.Hour) + 1, Emergency},
			{Scale(lab, 7*24*time.Hour), Emergency},
			{Scale(lab, 7*24*time.Hour) + 1, Expired},
		} {
			now := made.Add(tt.age)
			if got := v.State(now); got != tt.want {
				t.Errorf("lab %t, age %v: %v, want %v", lab, tt.age, got, tt.want)
			}
			_, _, err := n.verify(raw, n.chain.InitialState(), now)
			if (err == nil) != (tt.want != Expired) || err != nil && !errors.Is(err, ErrExpired) {
				t.Errorf("lab %t, age %v: %v", lab, tt.age, err)
			}
		}
		if _, _, err := n.verify(raw, n.chain.InitialState(), made.Add(-slowestClock-1)); !errors.Is(err, ErrSlowClock) {
			t.Errorf("slow clock: %v", err)
		}
		from, until := v.FetchWindow()
		if from.Sub(made) != 15*e/4 || until.Sub(made) != 33*e/4 {
			t.Errorf("fetch window %v to %v", from.Sub(made), until.Sub(made))
		}
		s, err := ParseSnapshot(raw)
		check(t, err)
		if got, err := n.chain.Restore(s, state, testTime); err != nil || got.HeaderHash() != v.HeaderHash() {
			t.Errorf("restore: %v", err)
		}
		if _, err := n.chain.Restore(s, n.chain.InitialState(), testTime); !errors.Is(err, ErrRollback) {
			t.Errorf("restore of what was never seen: %v", err)
		}
	}
}

func TestSnapshotSignatures(t *testing.T) {
	f, roots := founders(4)
	raw, id, err := Found(f, roots...)
	check(t, err)
	chain, err := VerifyChain(id, [][]byte{raw}, testTime)
	check(t, err)
	l, err := NewLog(chain)
	check(t, err)
	cert := func(signer, online string, seq uint64) []byte {
		c, err := Certificate{
			Online: publicOf(testKey(online)), NotBefore: testTime.Add(-time.Hour), NotAfter: testTime.Add(time.Hour), Seq: seq,
		}.Sign(id, testKey(signer))
		check(t, err)
		return c
	}
	type pair struct{ signer, online string }
	build := func(at time.Time, pairs ...pair) (*Snapshot, error) {
		s, err := NewSnapshot(chain, l, at, Judge(JudgeInput{Chain: chain, ValidAfter: at}))
		check(t, err)
		for _, p := range pairs {
			if err := s.Sign(cert(p.signer, p.online, 3), testKey(p.online)); err != nil {
				return nil, err
			}
		}
		return s, nil
	}
	three := []pair{{"signer 0", "a"}, {"signer 2", "b"}, {"signer 3", "c"}}
	good, err := build(testTime, three...)
	check(t, err)
	p, err := l.Prove(1, 1, 0)
	check(t, err)
	verify := func(s *Snapshot, prev State) error {
		raw, err := s.Encode()
		check(t, err)
		s, err = ParseSnapshot(raw)
		if err != nil {
			return err
		}
		_, next, err := chain.Verify(s, prev, p, testTime)
		if err == nil && len(next.Certs) != len(s.certs) {
			t.Errorf("remembers %v", next.Certs)
		}
		return err
	}
	initial := chain.InitialState()
	check(t, verify(good, initial))
	tests := []struct {
		name string
		make func() *Snapshot
		prev State
		err  error
	}{
		{"two of three needed", func() *Snapshot { s, _ := build(testTime, three[:2]...); return s }, initial, ErrThreshold},
		{"a stranger signs", func() *Snapshot { s, _ := build(testTime, three[0], three[1], pair{"x", "d"}); return s }, initial, ErrBadCertificate},
		{"one key for two signers", func() *Snapshot {
			s, _ := build(testTime, three[0], three[1], pair{"signer 3", "a"})
			return s
		}, initial, ErrSignature},
		{"a certificate too many", func() *Snapshot {
			s, _ := build(testTime, three...)
			s.certs = append(s.certs, cert("signer 1", "e", 3))
			slices.SortFunc(s.certs, func(a, b []byte) int {
				x, _ := ParseCertificate(id, a)
				y, _ := ParseCertificate(id, b)
				return bytes.Compare(x.Signer[:], y.Signer[:])
			})
			return s
		}, initial, ErrSignature},
		{"certificates not in order", func() *Snapshot { s, _ := build(testTime, three...); slices.Reverse(s.certs); return s }, initial, ErrBadCertificate},
		{
			"a replaced certificate", func() *Snapshot { return good },
			State{LogSize: 1, LogRoot: initial.LogRoot, FileVersion: 1, Certs: []CertSeq{{keyID(publicOf(testKey("signer 2"))), 4}}},
			ErrBadCertificate,
		},
		{
			"an older network file", func() *Snapshot { return good },
			State{LogSize: 1, LogRoot: initial.LogRoot, FileVersion: 2},
			ErrRollback,
		},
		{"unsigned", func() *Snapshot {
			s, _ := build(testTime, three...)
			s.doc.Signatures[1].Sig = [64]byte{}
			return s
		}, initial, ErrSignature},
	}
	for _, tt := range tests {
		if err := verify(tt.make(), tt.prev); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
	}
	if _, err := build(testTime.Add(2*time.Hour), three...); !errors.Is(err, ErrBadCertificate) {
		t.Errorf("expired certificate: %v", err)
	}
	if _, err := build(testTime, three[0], pair{"signer 0", "d"}); !errors.Is(err, ErrBadCertificate) {
		t.Errorf("signer signs twice: %v", err)
	}
	s, _ := build(testTime)
	if err := s.Sign(cert("signer 0", "a", 3), testKey("b")); !errors.Is(err, ErrBadCertificate) {
		t.Errorf("certificate of another key: %v", err)
	}
	if _, err := s.Encode(); !errors.Is(err, ErrUnsigned) {
		t.Errorf("unsigned: %v", err)
	}
}

// TestNewSignersTakeOver amends the network file and shows that the old
// signer's snapshots end and the new one's begin.
func TestNewSignersTakeOver(t *testing.T) {
	n := newNetwork(t, true, JoinOpen)
	_, state, err := n.verify(n.publish(testTime, nil), n.chain.InitialState(), testTime)
	check(t, err)
	stolen := *n
	second := amend(t, n.chain, func(f *NetworkFile) {
		f.Created, f.Expires = testTime.Add(5*time.Second), testTime.Add(maxFileLife)
		f.Signers = []FounderKey{{Public: publicOf(testKey("signer 2"))}}
		f.EpochFloorReset = EpochNumber(true, testTime)
	}, n.root)
	chain, err := n.chain.Extend([][]byte{second}, testTime)
	check(t, err)
	h, _ := chain.Hash(2)
	check(t, n.log.AddFile(h))
	at := testTime.Add(6 * labEpoch)
	cert, err := Certificate{
		Online: publicOf(testKey("online 2")), NotBefore: testTime, NotAfter: testTime.Add(time.Hour), Seq: 1,
	}.Sign(n.id, testKey("signer 2"))
	check(t, err)
	old := n.chain
	n.chain, n.cert, n.online = chain, cert, testKey("online 2")
	fresh := n.publish(at, nil)
	if _, _, err := n.verify(fresh, state, at); err != nil {
		t.Fatal(err)
	}
	n.chain = old
	if _, _, err := n.verify(fresh, state, at); !errors.Is(err, ErrFileBehind) {
		t.Fatalf("a client without the second version: %v", err)
	}
	n.chain = chain
	// A client whose store an attacker's signer ran ahead follows the reset.
	ahead := state
	ahead.Epoch += 1 << 20
	if _, _, err := n.verify(fresh, ahead, at); err != nil {
		t.Fatal(err)
	}
	raw := stolen.publish(at, nil)
	if _, _, err := n.verify(raw, state, at); !errors.Is(err, ErrRollback) {
		t.Fatalf("the old signer's snapshot: %v", err)
	}
}

func TestHeadOfASnapshot(t *testing.T) {
	n := newNetwork(t, true, JoinOpen)
	s, err := ParseSnapshot(n.publish(testTime, n.candidates(2, testTime)))
	check(t, err)
	raw, err := s.Head.Encode()
	check(t, err)
	h, err := ParseHead(raw)
	check(t, err)
	if h.Hash() != s.Hash() || h.Header.Epoch != s.Header.Epoch {
		t.Fatalf("%+v", h.Header)
	}
	again, err := h.Encode()
	if err != nil || !bytes.Equal(again, raw) {
		t.Fatal(err)
	}
}

// TestEntriesObeyTheirRules signs entries that no honest signer makes.
func TestEntriesObeyTheirRules(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	at := testTime
	j := Judge(JudgeInput{Chain: n.chain, ValidAfter: at, Candidates: n.candidates(3, at)})
	edits := map[string]func([]Entry) []Entry{
		"not in order":     func(e []Entry) []Entry { slices.Reverse(e); return e },
		"a relay twice":    func(e []Entry) []Entry { e[1] = e[0]; return e },
		"a link key twice": func(e []Entry) []Entry { e[1].LinkKey = e[0].LinkKey; return e },
		"an address twice": func(e []Entry) []Entry { e[1].Addrs = e[0].Addrs; return e },
		"a loopback":       func(e []Entry) []Entry { e[1].Addrs = testFile(true, 1).bootstrapAddrs(); return e },
		"no address":       func(e []Entry) []Entry { e[1].Addrs = nil; return e },
		"unknown flag":     func(e []Entry) []Entry { e[1].Flags = 1 << 10; return e },
		"weight code 128":  func(e []Entry) []Entry { e[1].Inner = 128; return e },
		"no such software": func(e []Entry) []Entry { e[1].Software = 2; return e },
		"no such family":   func(e []Entry) []Entry { e[1].Family = 1; return e },
		"one fewer":        func(e []Entry) []Entry { return e[:2] },
	}
	for name, edit := range edits {
		s, err := NewSnapshot(n.chain, n.log, at, j)
		check(t, err)
		s.Entries = edit(s.Entries)
		s.entries = nil
		for i := range s.Entries {
			s.entries = appendEntry(s.entries, &s.Entries[i])
		}
		s.Header.EntriesRoot, s.Header.Totals = entriesRoot(s.Entries)
		s.doc.Body, err = s.Header.encode()
		check(t, err)
		check(t, s.Sign(n.cert, n.online))
		raw, err := s.Encode()
		check(t, err)
		if _, _, err := n.verify(raw, n.chain.InitialState(), at); !errors.Is(err, ErrBadEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
