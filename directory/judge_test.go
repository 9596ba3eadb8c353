package directory

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func (f NetworkFile) bootstrapAddrs() []netip.AddrPort {
	var list []netip.AddrPort
	for _, b := range f.Bootstraps {
		list = append(list, b.Addr)
	}
	return list
}

func TestUptimeDecays(t *testing.T) {
	h := History{WFUUp: 1000, WFUKnown: 2000}
	h.Ups[0] = 0xff
	noon := time.Unix(1_800_014_400, 0).UTC() // 12:00 UTC
	s := Step{Prev: noon.Add(-time.Minute), Now: noon, Elapsed: 60}
	s.Run(&h, false)
	if h.WFUUp != 950 || h.WFUKnown != 1960 {
		t.Fatalf("%+v", h)
	}
	s = Step{Prev: noon, Now: noon.Add(1000 * time.Hour)}
	s.Run(&h, false)
	if h.Ups != [90]byte{} {
		t.Error("old starts stay")
	}
}

func TestEpochLengths(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	lab := newNetwork(t, true, JoinOpen)
	for _, tt := range []struct {
		c    *Chain
		age  time.Duration
		n    int
		want time.Duration
	}{
		{n.chain, 0, 0, time.Minute},
		{n.chain, 48*time.Hour - 1, 19, time.Minute},
		{n.chain, 48 * time.Hour, 19, 5 * time.Minute},
		{n.chain, 0, 20, time.Hour},
		{n.chain, 1000 * time.Hour, 500, time.Hour},
		{lab.chain, 1000 * time.Hour, 500, 10 * time.Second},
	} {
		if got := nextEpochLength(tt.c, testTime.Add(tt.age), tt.n); got != tt.want {
			t.Errorf("%v, %d relays: %v", tt.age, tt.n, got)
		}
	}
	h := &Header{ValidAfter: testTime, NextEpoch: time.Minute}
	for _, tt := range []struct{ now, want time.Duration }{
		{0, time.Minute},
		{59 * time.Second, time.Minute},
		{61 * time.Second, time.Minute},
		{2 * time.Minute, time.Minute},
		{time.Hour + time.Second, time.Hour},
	} {
		if got := NextEpoch(false, h, testTime.Add(tt.now)); got.Sub(testTime) != tt.want {
			t.Errorf("at %v: %v", tt.now, got.Sub(testTime))
		}
	}
	if got := NextEpoch(true, nil, testTime.Add(17*time.Second)); got.Sub(testTime) != 10*time.Second {
		t.Errorf("first epoch %v", got)
	}
	for f := Fresh; f <= Expired; f++ {
		if f.String() == "" {
			t.Error(f)
		}
	}
}

func TestHeaderHoldsTenRounds(t *testing.T) {
	n := newNetwork(t, true, JoinOpen)
	list := srvsAt(n.chain, testTime.Add(3*time.Hour))
	if len(list) != maxSRVs || list[9].Round+1 != srvRound(true, testTime.Add(3*time.Hour)) || list[0] == list[1] {
		t.Fatalf("%v", list)
	}
	if srvRound(false, time.Unix(86399, 0)) != 0 || srvRound(false, time.Unix(86400, 0)) != 1 {
		t.Error("rounds do not begin at midnight")
	}
}

func TestWeightCodes(t *testing.T) {
	for c := byte(1); c <= maxWeightCode; c++ {
		w := Weight(c)
		if w <= Weight(c-1) {
			t.Errorf("W(%d) = %d is not above W(%d)", c, w, c-1)
		}
	}
	if Weight(0) != 0 || Weight(128) != 0 || Weight(81) != 1<<30 {
		t.Error("ends of the scale")
	}
	if Weight(127) != 1448<<31 {
		t.Errorf("W(127) = %d", Weight(127))
	}
}

func TestLogProofs(t *testing.T) {
	n := newNetwork(t, true, JoinOpen)
	l := n.log
	for i := range 40 {
		check(t, l.AddHeader([32]byte{byte(i)}))
	}
	for size := uint64(1); size <= l.Size(); size++ {
		root, err := l.Root(size)
		check(t, err)
		leaves := slices.Clone(l.Leaves(0)[:size])
		if merkleRoot(leaves) != root {
			t.Fatalf("root of %d leaves", size)
		}
		for old := uint64(1); old <= size; old++ {
			oldRoot, err := l.Root(old)
			check(t, err)
			p, err := l.Prove(old, size, old-1)
			check(t, err)
			p, err = ParseProof(p.Append(nil))
			check(t, err)
			if p.checkConsistency(old, oldRoot, size, root) != nil || p.checkInclusion(size, root, old-1, l.Leaves(old - 1)[0]) != nil {
				t.Fatalf("proof from %d to %d", old, size)
			}
			bad := oldRoot
			bad[0] ^= 1
			if p.checkConsistency(old, bad, size, root) == nil || p.checkInclusion(size, root, old-1, bad) == nil {
				t.Fatalf("false proof from %d to %d", old, size)
			}
			if size > old && p.checkInclusion(size, root, old, l.Leaves(old - 1)[0]) == nil {
				t.Fatalf("leaf %d at the place of the next", old-1)
			}
		}
	}
	for _, bad := range [][3]uint64{{0, 1, 0}, {2, 1, 0}, {1, 1, 1}, {1, 1000, 0}} {
		if _, err := l.Prove(bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("proof %v", bad)
		}
	}
	again, err := LogOf(l.Leaves(0))
	check(t, err)
	a, _ := l.Root(l.Size())
	b, _ := again.Root(again.Size())
	if a != b {
		t.Error("rebuilt log differs")
	}
	if again, err := LogOf(nil); err != nil || again.Size() != 0 {
		t.Error("empty log")
	} else if r, _ := again.Root(0); r != sha256.Sum256(nil) {
		t.Error("root of the empty log")
	}
}
