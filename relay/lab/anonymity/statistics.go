package anonymity

import (
	"math"
	"slices"
)

// AUC returns the chance that a score of pos is higher than one of neg, ties
// counting half. Without scores of both kinds it is 0.5: nothing is known.
func AUC(pos, neg []float64) float64 {
	if len(pos) == 0 || len(neg) == 0 {
		return 0.5
	}
	neg = slices.Sorted(slices.Values(neg))
	var sum float64
	for _, p := range pos {
		below, _ := slices.BinarySearch(neg, p)
		upto := below
		for upto < len(neg) && neg[upto] == p {
			upto++
		}
		sum += float64(below) + float64(upto-below)/2
	}
	return sum / float64(len(pos)) / float64(len(neg))
}

// AUCBound returns how far the AUC of n true pairs lies from the true one at
// most, with z standard errors. Decoys are far more than pairs, so the pairs
// alone count; the variance of one pair's rank is at most a(1−a), and a twelfth
// where the attack is blind.
func AUCBound(auc float64, n int, z float64) float64 {
	if n == 0 {
		return 1
	}
	v := math.Max(auc*(1-auc), 0.25/float64(n))
	if auc > 0.4 && auc < 0.6 {
		v = 1.0 / 12 // ranks of a blind attack are uniform
	}
	return z * math.Sqrt(v/float64(n))
}

// TPR returns the share of pos above the lowest threshold that at most the
// share fpr of neg exceeds.
func TPR(pos, neg []float64, fpr float64) float64 {
	if len(pos) == 0 || len(neg) == 0 {
		return 0
	}
	neg = slices.Sorted(slices.Values(neg))
	allowed := int(fpr * float64(len(neg)))
	threshold := neg[len(neg)-1-allowed]
	above := 0
	for _, p := range pos {
		if p > threshold {
			above++
		}
	}
	return float64(above) / float64(len(pos))
}

// ProportionBounds returns the Clopper–Pearson bounds of a share of which k of n
// were seen, each missed with the chance alpha.
func ProportionBounds(k, n int, alpha float64) (low, high float64) {
	high = 1
	if k < n {
		high = solve(func(p float64) bool { return binomialCDF(k, n, p) > alpha })
	}
	if k > 0 {
		low = solve(func(p float64) bool { return 1-binomialCDF(k-1, n, p) < alpha })
	}
	return low, high
}

// solve returns the p from which on a condition no longer holds.
func solve(holds func(p float64) bool) float64 {
	low, high := 0.0, 1.0
	for range 60 {
		if mid := (low + high) / 2; holds(mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return (low + high) / 2
}

// binomialCDF returns the chance of at most k of n.
func binomialCDF(k, n int, p float64) float64 {
	switch {
	case k >= n || p <= 0:
		return 1
	case p >= 1:
		return 0
	}
	all, _ := math.Lgamma(float64(n + 1))
	var sum float64
	for i := range k + 1 {
		a, _ := math.Lgamma(float64(i + 1))
		b, _ := math.Lgamma(float64(n - i + 1))
		sum += math.Exp(all - a - b + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return math.Min(sum, 1)
}

// KS compares two samples by the test of Kolmogorov and Smirnov. It returns the
// greatest distance of their distributions and the chance of a greater one if
// both come from one distribution.
func KS(a, b []float64) (d, p float64) {
	if len(a) == 0 || len(b) == 0 {
		return 0, 1
	}
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	for i, j := 0, 0; i < len(a) && j < len(b); {
		x := math.Min(a[i], b[j])
		for i < len(a) && a[i] == x {
			i++
		}
		for j < len(b) && b[j] == x {
			j++
		}
		d = math.Max(d, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	n := math.Sqrt(float64(len(a)) * float64(len(b)) / float64(len(a)+len(b)))
	return d, kolmogorov((n + 0.12 + 0.11/n) * d)
}

// kolmogorov returns the chance that the limit distribution exceeds x.
func kolmogorov(x float64) float64 {
	if x < 0.2 {
		return 1 // the series does not converge, and the chance is above 1−10⁻¹²
	}
	var sum float64
	sign := 1.0
	for k := 1.0; k <= 100; k++ {
		term := math.Exp(-2 * k * k * x * x)
		sum += sign * term
		sign = -sign
		if term < 1e-12 {
			break
		}
	}
	return math.Max(0, math.Min(1, 2*sum))
}

// Quantile returns the value below which the share q of a sample lies, 0 of an
// empty one.
func Quantile(sample []float64, q float64) float64 {
	if len(sample) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(sample))
	return s[min(len(s)-1, int(q*float64(len(s))))]
}
