package circuit

import (
	"testing"
	"time"
)

// ranked is a circuit whose urgency a test sees.
type ranked struct {
	rank
	told []int8
}

func newRanked(r *ranking, bulk bool) *ranked {
	k := &ranked{rank: rank{bulk: bulk}}
	k.set = func(u int8, incremental bool) {
		if !incremental {
			panic("circuits of one urgency must take turns")
		}
		k.told = append(k.told, u)
	}
	r.add(&k.rank)
	return k
}

func (k *ranked) urgency() int8 { return k.told[len(k.told)-1] }

// TestInteractiveGoesBeforeBulk: a chat is ahead of a download, also after the
// chat was loud for a while, and one that is new is ahead of both.
func TestInteractiveGoesBeforeBulk(t *testing.T) {
	var r ranking
	now := time.Unix(1000, 0)
	chat, load := newRanked(&r, false), newRanked(&r, false)
	run := func(d time.Duration, chatCells, loadCells int) {
		for range d / rankEvery {
			now = now.Add(rankEvery)
			r.sent(&chat.rank, chatCells, now)
			r.sent(&load.rank, loadCells, now)
		}
	}
	run(10*time.Second, 4, 100)
	if chat.urgency() != urgencyQuiet || load.urgency() != urgencyBulk {
		t.Fatalf("chat %d, load %d", chat.urgency(), load.urgency())
	}
	run(20*time.Second, 300, 0) // the other way round
	if chat.urgency() <= load.urgency() {
		t.Fatalf("chat %d, load %d", chat.urgency(), load.urgency())
	}
	run(2*time.Minute, 4, 100) // and back
	if chat.urgency() >= load.urgency() {
		t.Fatalf("chat %d, load %d", chat.urgency(), load.urgency())
	}
	fresh := newRanked(&r, false)
	for range firstCells - 1 {
		now = now.Add(rankEvery)
		r.sent(&fresh.rank, 1, now)
		if fresh.urgency() != urgencyFirst {
			t.Fatalf("new: %d", fresh.urgency())
		}
	}
	r.sent(&fresh.rank, 1, now.Add(rankEvery))
	if fresh.urgency() <= urgencyFirst {
		t.Fatal("a circuit stays new for ever")
	}
}

// TestBulkIsLast from its first cell, among many.
func TestBulkIsLast(t *testing.T) {
	var r ranking
	now := time.Unix(1000, 0)
	bulk := newRanked(&r, true)
	var others []*ranked
	for range 9 {
		others = append(others, newRanked(&r, false))
	}
	for range 100 {
		now = now.Add(rankEvery)
		r.sent(&bulk.rank, 1, now)
		for i, k := range others {
			r.sent(&k.rank, 10*(i+1), now)
		}
	}
	for _, u := range bulk.told {
		if u != urgencyBulk {
			t.Fatalf("bulk had %d", u)
		}
	}
	seen := map[int8]bool{}
	for i, k := range others {
		if i > 0 && k.urgency() < others[i-1].urgency() {
			t.Errorf("circuit %d is ahead of one that sent less", i)
		}
		seen[k.urgency()] = true
	}
	if len(seen) != urgencyBulk-urgencyQuiet+1 {
		t.Errorf("only the urgencies %v", seen)
	}
	for _, k := range others {
		r.remove(&k.rank)
	}
	r.remove(&bulk.rank)
	if len(r.list) != 0 {
		t.Errorf("%d are still ranked", len(r.list))
	}
}

// TestRankingIsCheap: an order is told at most every 250 ms, and only if it
// changed.
func TestRankingIsCheap(t *testing.T) {
	var r ranking
	now := time.Unix(1000, 0)
	a, b := newRanked(&r, false), newRanked(&r, false)
	for range 100000 {
		now = now.Add(10 * time.Microsecond)
		r.sent(&a.rank, 32, now)
		r.sent(&b.rank, 1, now)
	}
	if n := len(a.told) + len(b.told); n > 2+2*5 {
		t.Errorf("QUIC was told %d times in a second", n)
	}
}
