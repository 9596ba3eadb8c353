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
}

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
		if !eligible(r) || weighted && weight(r) == 0 {
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
	return w
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

// draw picks a relay by weight among those that ok accepts, or nil.
func (w wheel) draw(rnd *rand.Rand, ok func(*directory.Relay) bool) *directory.Relay {
	var sum uint64
	for i, r := range w.relays {
		if ok(r) {
			sum += w.weights[i]
		}
	}
	if sum == 0 {
		return nil
	}
	at := rnd.Uint64N(sum)
	for i, r := range w.relays {
		if !ok(r) {
			continue
		}
		if at < w.weights[i] {
			return r
		}
		at -= w.weights[i]
	}
	return nil
}

// related reports whether two relays may belong to one operator: the same
// family, IPv4 /16 or IPv6 /32, and the same AS unless the network is small.
func related(a, b *directory.Relay, small bool) bool {
	if a.Family != 0 && a.Family == b.Family {
		return true
	}
	if !small && a.AS != 0 && a.AS == b.AS {
		return true
	}
	for _, x := range a.Addrs {
		for _, y := range b.Addrs {
			xa, ya := x.Addr().Unmap(), y.Addr().Unmap()
			bits := 16
			if xa.Is6() {
				bits = 32
			}
			if xa.Is4() != ya.Is4() {
				continue
			}
			if p, err := xa.Prefix(bits); err == nil && p.Contains(ya) {
				return true
			}
		}
	}
	return false
}
