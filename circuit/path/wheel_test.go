package path

import (
	"math"
	"testing"

	"hearsay/directory"
)

// TestClip bounds every share and keeps the order.
func TestClip(t *testing.T) {
	rnd := newRand(1)
	for range 2000 {
		n := 1 + rnd.IntN(100)
		raw := make([]float64, n)
		for i := range raw {
			raw[i] = float64(1 + rnd.Uint64N(1<<rnd.IntN(50)))
		}
		w := clip(raw)
		limit := max(0.05, 1.5/float64(n))
		sum := 0.0
		for _, v := range w {
			sum += float64(v)
		}
		for i, v := range w {
			if n > 1 && float64(v)/sum > limit*1.001 {
				t.Fatalf("N=%d: share %v above %v", n, float64(v)/sum, limit)
			}
			for j := range i {
				if (raw[i] > raw[j]) && v < w[j] {
					t.Fatal("order changed")
				}
			}
		}
	}
	if got := clip([]float64{5, 5, 5, 5}); got[0] != got[3] {
		t.Fatal("equal weights became unequal")
	}
}

// TestDrawFollowsWeights compares frequencies with the clipped weights.
func TestDrawFollowsWeights(t *testing.T) {
	list := relays(20)
	list[0].Inner = 1 << 40 // a liar; the clip stops it
	w := newWheel(view(list), reachable, func(r *directory.Relay) uint64 { return r.Inner })
	var sum uint64
	for _, x := range w.weights {
		sum += x
	}
	counts := map[*directory.Relay]int{}
	rnd := newRand(3)
	const draws = 100_000
	for range draws {
		counts[w.draw(rnd, func(*directory.Relay) bool { return true })]++
	}
	for i, r := range w.relays {
		want := float64(w.weights[i]) / float64(sum) * draws
		if got := float64(counts[r]); got < want*0.9 || got > want*1.1 {
			t.Errorf("relay %d: %v draws, want about %v", i, got, want)
		}
	}
}

// TestDrawBoundaries: of two equal weights each gets half, to the last unit.
func TestDrawBoundaries(t *testing.T) {
	a, b := &directory.Relay{}, &directory.Relay{}
	w := wheel{relays: []*directory.Relay{a, b}, weights: []uint64{1, 1}, sums: []uint64{1, 2}}
	rnd := newRand(1)
	first := 0
	const draws = 10_000
	for range draws {
		if w.draw(rnd, func(*directory.Relay) bool { return true }) == a {
			first++
		}
	}
	if first < draws/2-300 || first > draws/2+300 {
		t.Fatalf("%d of %d draws", first, draws)
	}
}

// TestRejectedDraws: where few relays serve, each keeps its proportion and the
// others are never drawn.
func TestRejectedDraws(t *testing.T) {
	list := relays(1000)
	w := newWheel(view(list), reachable, func(r *directory.Relay) uint64 { return r.Inner })
	few := map[directory.RelayID]int{list[10].ID: 0, list[500].ID: 0, list[990].ID: 0}
	rnd := newRand(1)
	const draws = 3000
	for range draws {
		r := w.draw(rnd, func(r *directory.Relay) bool { _, ok := few[r.ID]; return ok })
		few[r.ID]++
	}
	sum := float64(list[10].Inner + list[500].Inner + list[990].Inner)
	for _, i := range []int{10, 500, 990} {
		want := float64(list[i].Inner) / sum * draws
		if got := float64(few[list[i].ID]); math.Abs(got-want) > 150 {
			t.Errorf("relay %d: %v draws, want about %v", i, got, want)
		}
	}
	if w.draw(rnd, func(*directory.Relay) bool { return false }) != nil {
		t.Fatal("drew a relay that does not serve")
	}
}
