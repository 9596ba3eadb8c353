package sybil

import (
	"math"
	"math/bits"
	"sort"

	"hearsay/directory"
)

// unit is 1 in shares and in logarithms: 16 bits stand behind the point
// (SPEC.md §1.2).
const (
	unitBits = 16
	unit     = 1 << unitBits
)

// log2 returns the binary logarithm of x ≥ 1 in units, rounded down. Squaring
// the mantissa gives one bit after the other.
func log2(x uint64) uint64 {
	whole := bits.Len64(x) - 1
	m := x << (63 - whole) // in [1, 2), 63 bits behind the point
	r := uint64(whole)
	for range unitBits {
		hi, lo := bits.Mul64(m, m)
		r <<= 1
		if hi>>63 != 0 {
			r |= 1
			m = hi
		} else {
			m = hi<<1 | lo>>63
		}
	}
	return r
}

// mulDiv returns a·b/c, rounded down, or the highest number if that does not
// fit. c is not 0.
func mulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi >= c {
		return math.MaxUint64
	}
	q, _ := bits.Div64(hi, lo, c)
	return q
}

// less tells whether a·b < c·d.
func less(a, b, c, d uint64) bool {
	h1, l1 := bits.Mul64(a, b)
	h2, l2 := bits.Mul64(c, d)
	return h1 < h2 || h1 == h2 && l1 < l2
}

// share returns a/b in units, at most 1; 1 if b is 0.
func share(a, b uint64) uint64 {
	if b == 0 || a >= b {
		return unit
	}
	return mulDiv(a, unit, b)
}

// maxCode is the highest weight code.
const maxCode = 127

// codeOf returns the highest code whose weight is not above w; at least 1 if
// the relay has any weight.
func codeOf(w uint64) byte {
	if w == 0 {
		return 0
	}
	c := sort.Search(maxCode, func(i int) bool { return directory.Weight(byte(i+1)) > w })
	return byte(max(c, 1))
}

// rank returns the value below which the given part, in hundredths, of a rising
// list lies; the list is not empty.
func rank(rising []uint64, percent int) uint64 { return rising[(len(rising)-1)*percent/100] }
