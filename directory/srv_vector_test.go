package directory

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"testing"
)

// makeSRVVectors builds what section 20 of the specification defines, and the
// ranks of section 23, from fixed numbers. An input stands before its output.
func makeSRVVectors(t testing.TB) (*Chain, []vector) {
	n := newNetwork(t, false, JoinToken)
	signer, secret := publicOf(n.signer), [32]byte{1, 2, 3}
	round := uint64(20000)
	number := srvNumber(secret, n.id, round)
	commitment := SRVCommitment(n.id, round, signer, number)
	first := firstSRV(n.id, round)
	s := n.chain.NewSRVState(testTime)
	empty := s.Append(nil)
	s.parts = []srvPart{{signer: [32]byte{1}, commit: [32]byte{2}}, {signer: [32]byte{3}, reveal: [32]byte{9}, revealed: true}}
	s.parts[1].commit = SRVCommitment(n.id, s.round, [32]byte{3}, [32]byte{9})
	two := s.Append(nil)
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	value, _ := drawSRV(s.parts, s.values[maxSRVs-1], 1)
	var places []byte
	var relays []Relay
	for i := range 14 {
		relays = append(relays, Relay{ID: RelayID{byte(i), 77}, Flags: FlagPlacement})
		places = append(places, relays[i].ID[:]...)
	}
	places = slices.Concat(first[:], u64(round), number[:], places)
	for _, id := range placeOn(relays, first, round, BlindedKey(number)) {
		places = append(places, id[:]...)
	}
	return n.chain, []vector{
		{"number", "of-a-round", "ok", slices.Concat(secret[:], n.id[:], u64(round), number[:])},
		{"commitment", "of-a-signer", "ok", slices.Concat(n.id[:], u64(round), signer[:], number[:], commitment[:])},
		{"first", "of-a-round", "ok", slices.Concat(n.id[:], u64(round), first[:])},
		{"state", "no-shares", "ok", empty},
		{"state", "two-shares", "ok", two},
		{"state", "changed-number", "malformed", flip(two, len(two)-1)},
		{"state", "unknown-version", "malformed", flip(empty, 0)},
		{"state", "truncated", "malformed", two[:len(two)-1]},
		{"value", "of-the-state-two-shares", "ok", value[:]},
		{"ranks", "twelve-of-fourteen", "ok", places},
	}
}

func TestSRVVectors(t *testing.T) {
	chain, made := makeSRVVectors(t)
	two := made[4].data
	testVectorFile(t, "testdata/srv.txt", made, func(v vector) ([]byte, string) {
		d := v.data
		at32 := func(i int) [32]byte { return [32]byte(d[i:]) }
		out := func(n int, h [32]byte) ([]byte, string) { return append(bytes.Clone(d[:n]), h[:]...), "ok" }
		switch v.kind {
		case "number":
			return out(72, labelled("hearsay/1 srv number", d[:72]))
		case "commitment":
			return out(104, labelled("hearsay/1 srv commit", d[:104]))
		case "first":
			return out(40, labelled("hearsay/1 srv", []byte("first"), d[:40]))
		case "state":
			s, err := chain.ParseSRVState(d)
			if err != nil {
				return nil, "malformed"
			}
			return s.Append(nil), "ok"
		case "value":
			// One signer of the second vector revealed.
			s, err := chain.ParseSRVState(two)
			check(t, err)
			last := s.parts[1]
			inner := sha256.Sum256(slices.Concat(last.signer[:], last.reveal[:]))
			return out(0, labelled("hearsay/1 srv", []byte{1}, inner[:], s.values[9][:]))
		}
		var relays []Relay
		ids := d[72 : len(d)-12*32]
		for i := 0; i < len(ids); i += 32 {
			relays = append(relays, Relay{ID: RelayID(ids[i:]), Flags: FlagPlacement})
		}
		b := bytes.Clone(d[:len(d)-12*32])
		for _, id := range slowPlacement(relays, at32(0), 20000, BlindedKey(at32(40))) {
			b = append(b, id[:]...)
		}
		return b, "ok"
	})
}

// TestDiffVectors holds a base, the head after it and the diff between them.
func TestDiffVectors(t *testing.T) {
	y := newSynthetic(t, 4, 9)
	base := y.snapshot()
	y.pass(1)
	y.relays = y.relays[1:]
	y.join()
	y.relays[0].OnionKey, y.relays[0].OnionEpoch = [32]byte{5}, 5
	y.relays[1].software = "hearsay 0.9"
	y.relays[2].Flags ^= FlagGuard
	next := y.snapshot()
	diff, err := MakeDiff(base, next)
	check(t, err)
	encode := func(b []byte, err error) []byte {
		check(t, err)
		return b
	}
	changed := bytes.Clone(diff)
	changed[40] ^= 1
	made := []vector{
		{"base", "four-relays", "ok", encode(base.Encode())},
		{"head", "four-relays-later", "ok", encode(next.Head.Encode())},
		{"diff", "first", "ok", diff},
		{"diff", "changed", "bad-diff", changed},
	}
	var from *Snapshot
	var head *Head
	testVectorFile(t, "testdata/diff.txt", made, func(v vector) ([]byte, string) {
		switch v.kind {
		case "base":
			from, err = ParseSnapshot(v.data)
			check(t, err)
			check(t, from.open())
			return encode(from.Encode()), "ok"
		case "head":
			head, err = ParseHead(v.data)
			check(t, err)
			return encode(head.Encode()), "ok"
		}
		s, err := ApplyDiff(from, head, v.data)
		if err != nil {
			return nil, "bad-diff"
		}
		if !bytes.Equal(encode(s.Encode()), encode(next.Encode())) {
			t.Error("another snapshot")
		}
		return encode(MakeDiff(from, s)), "ok"
	})
}
