package signer

import (
	"slices"
	"testing"

	"hearsay/directory"
)

// TestDecide: which of the headers that votes call pending may be complete.
func TestDecide(t *testing.T) {
	id := func(b byte) (h [32]byte) { h[0] = b; return h }
	pend := func(header byte, epoch uint64, attempt uint8) directory.Pending {
		return directory.Pending{Epoch: epoch, Attempt: attempt, Header: id(header)}
	}
	for _, tc := range []struct {
		name      string
		n         int
		votes     map[byte][]directory.Pending
		redo      byte
		abandoned []byte
	}{
		{"nothing pending", 3, map[byte][]directory.Pending{1: nil, 2: nil}, 0, nil},
		{"all named it", 3, map[byte][]directory.Pending{1: {pend(7, 5, 1)}, 2: {pend(7, 5, 1)}}, 7, nil},
		{"one named it, one is missing", 3, map[byte][]directory.Pending{1: {pend(7, 5, 1)}, 2: nil}, 7, nil},
		{"one of three named it", 3, map[byte][]directory.Pending{1: {pend(7, 5, 1)}, 2: nil, 3: nil}, 0, []byte{7}},
		{"one of four, one may lie", 4, map[byte][]directory.Pending{1: {pend(7, 5, 1)}, 2: nil, 3: nil, 4: nil}, 0, []byte{7}},
		{"two of four, one may lie", 4, map[byte][]directory.Pending{1: {pend(7, 5, 1)}, 2: {pend(7, 5, 1)}, 3: nil, 4: nil}, 7, nil},
		{"one of four, one is missing", 4, map[byte][]directory.Pending{1: {pend(7, 5, 1)}, 2: nil, 3: nil}, 7, nil},
		{"two of five, two may lie", 5, map[byte][]directory.Pending{1: {pend(7, 5, 1)}, 2: {pend(7, 5, 1)}, 3: nil, 4: nil, 5: nil}, 7, nil},
		{"one of two", 2, map[byte][]directory.Pending{1: {pend(7, 5, 1)}, 2: nil}, 7, nil},
		{"the later epoch decides", 3, map[byte][]directory.Pending{1: {pend(7, 5, 4)}, 2: {pend(8, 6, 1)}}, 8, nil},
		{"the later attempt decides", 3, map[byte][]directory.Pending{1: {pend(8, 6, 1)}, 2: {pend(7, 6, 2)}}, 7, nil},
		{"signed again later", 3, map[byte][]directory.Pending{1: {pend(8, 6, 1)}, 2: {pend(7, 5, 2), pend(8, 4, 1)}}, 8, nil},
		{"all are given up at once", 3, map[byte][]directory.Pending{1: {pend(7, 5, 1)}, 2: {pend(8, 6, 1)}, 3: nil}, 0, []byte{7, 8}},
	} {
		j := jury{k: directory.SignThreshold(tc.n)}
		for i := range tc.n {
			j.signers = append(j.signers, id(byte(i+1)))
		}
		var votes []*directory.Vote
		for s, p := range tc.votes {
			votes = append(votes, &directory.Vote{Signer: id(s), Epoch: 9, Pending: p})
		}
		v := decide(votes, func(uint64) jury { return j })
		if tc.redo != 0 && (v.redo == nil || v.redo.Header != id(tc.redo)) || tc.redo == 0 && v.redo != nil {
			t.Errorf("%s: %+v", tc.name, v.redo)
		}
		var want [][32]byte
		for _, b := range tc.abandoned {
			want = append(want, id(b))
		}
		if !slices.Equal(v.abandoned, want) {
			t.Errorf("%s: abandoned %x", tc.name, v.abandoned)
		}
	}
}

// TestRemovedSignersPromiseNothing: a header of signers of whom too few are left is
// given up, although it may be complete.
func TestRemovedSignersPromiseNothing(t *testing.T) {
	id := func(b byte) (h [32]byte) { h[0] = b; return h }
	old := jury{k: 2, signers: [][32]byte{id(1), id(2), id(3)}}
	votes := []*directory.Vote{
		{Signer: id(3), Epoch: 9, Pending: []directory.Pending{{Epoch: 5, Attempt: 1, Header: id(7)}}},
		{Signer: id(4), Epoch: 9},
		{Signer: id(5), Epoch: 9},
	}
	v := decide(votes, func(uint64) jury { return old })
	if v.redo != nil || len(v.abandoned) != 1 {
		t.Errorf("%+v", v)
	}
}

// TestAtMostSixteenAreAbandoned: those that most votes name stay.
func TestAtMostSixteenAreAbandoned(t *testing.T) {
	id := func(b byte) (h [32]byte) { h[0] = b; return h }
	j := jury{k: 3, signers: [][32]byte{id(1), id(2), id(3), id(4)}}
	votes := []*directory.Vote{{Signer: id(1), Epoch: 999}, {Signer: id(2), Epoch: 999}, {Signer: id(3), Epoch: 999}, {Signer: id(4), Epoch: 999}}
	for i := range 16 {
		votes[0].Pending = append(votes[0].Pending, directory.Pending{Epoch: 500 + uint64(i), Attempt: 1, Header: id(100 + byte(i))})
	}
	for i := range 3 {
		p := directory.Pending{Epoch: uint64(i + 1), Attempt: 1, Header: id(10 + byte(i))}
		votes[1].Pending, votes[2].Pending = append(votes[1].Pending, p), append(votes[2].Pending, p)
	}
	v := decide(votes, func(uint64) jury { return j })
	if v.redo != nil || len(v.abandoned) != 16 {
		t.Fatalf("%v, %d abandoned", v.redo, len(v.abandoned))
	}
	for i := range 3 {
		if !slices.Contains(v.abandoned, id(10+byte(i))) {
			t.Error("one that two votes name is left out")
		}
	}
}
