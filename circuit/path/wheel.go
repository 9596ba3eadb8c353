package path

import (
	"math/rand/v2"
	"slices"

	"hearsay/directory"
)

// wheel holds the weights of relays for one position, clipped (SPEC.md §4).
type wheel struct {
	relays  []*directory.Relay
	weights []uint64 // sum below 2^41
	sums    []uint64 // of the weights up to and including each
}

// drawTries is how often a draw is repeated before all relays are looked at.
const drawTries = 32

// newWheel takes the relays with a weight. If the snapshot gives no relay of
// the position a weight, all of them count alike.
func newWheel(view *directory.View, eligible func(*directory.Relay) bool, weight func(*directory.Relay) uint64) wheel {
	var w wheel
	var raw []float64
	all := view.Relays()
	weighted := false
	for i := range all {
		if eligible(&all[i]) && weight(&all[i]) > 0 {
			weighted = true
			break
		}
	}
	for i := range all {
		r := &all[i]
		if !eligible(r) || weighted && weight(r) == 0 || !single(view, r) {
			continue
		}
		w.relays = append(w.relays, r)
		if weighted {
			raw = append(raw, float64(weight(r)))
		} else {
			raw = append(raw, 1)
		}
	}
	w.weights = clip(raw)
	w.sums = make([]uint64, len(w.weights))
	sum := uint64(0)
	for i, weight := range w.weights {
		sum += weight
		w.sums[i] = sum
	}
	return w
}

// single tells whether an entry is the one that its identity finds. A snapshot
// that lists a relay twice gains it nothing.
func single(view *directory.View, r *directory.Relay) bool {
	found, ok := view.Relay(r.ID)
	return ok && found == r
}

// clip turns weights into shares of 2^40 so that no relay has more than
// max(5 %, 1.5/N) of the sum after clipping.
func clip(raw []float64) []uint64 {
	n := len(raw)
	if n == 0 {
		return nil
	}
	limit := max(0.05, 1.5/float64(n))
	order := make([]int, n)
	rest := 0.0
	for i := range raw {
		order[i] = i
		rest += raw[i]
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case raw[a] > raw[b]:
			return -1
		case raw[a] < raw[b]:
			return 1
		}
		return a - b
	})
	// The k heaviest get exactly the limit. With k clipped relays, the others
	// keep their proportions within what is left, 1 - k*limit. k stays below
	// 1/limit, since the limit is above 1/N.
	k := 0
	for k < n && float64(k+1)*limit < 1 && raw[order[k]]*(1-float64(k)*limit) > limit*rest {
		rest -= raw[order[k]]
		k++
	}
	const whole = 1 << 40
	out := make([]uint64, n)
	for pos, i := range order {
		share := limit
		if pos >= k {
			share = min(limit, raw[i]/rest*(1-float64(k)*limit))
		}
		out[i] = max(1, uint64(share*whole))
	}
	return out
}

// share returns the part of all draws that falls to the relay of an index.
func (w wheel) share(i int) float64 {
	return float64(w.weights[i]) / float64(w.sums[len(w.sums)-1])
}

// draw picks a relay by weight among those that ok accepts, or nil. ok is asked
// of every relay before nil is returned.
func (w wheel) draw(rnd *rand.Rand, ok func(*directory.Relay) bool) *directory.Relay {
	if len(w.relays) == 0 {
		return nil
	}
	// Drawing again until one is accepted gives each its share, and nearly all
	// are: the relays left out are a handful.
	for range drawTries {
		at := rnd.Uint64N(w.sums[len(w.sums)-1])
		i, found := slices.BinarySearch(w.sums, at)
		if found { // sums are exclusive upper ends
			i++
		}
		if ok(w.relays[i]) {
			return w.relays[i]
		}
	}
	return w.drawExact(rnd, ok)
}

// drawExact does the same, asking ok of every relay once.
func (w wheel) drawExact(rnd *rand.Rand, ok func(*directory.Relay) bool) *directory.Relay {
	var accepted []int
	var sum uint64
	for i, r := range w.relays {
		if ok(r) {
			accepted = append(accepted, i)
			sum += w.weights[i]
		}
	}
	if sum == 0 {
		return nil
	}
	at := rnd.Uint64N(sum)
	for _, i := range accepted {
		if at < w.weights[i] {
			return w.relays[i]
		}
		at -= w.weights[i]
	}
	return nil
}
