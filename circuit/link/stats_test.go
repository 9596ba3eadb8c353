package link

import (
	"math"
	"slices"
	"testing"
)

// kolmogorov returns the two-sample Kolmogorov–Smirnov statistic and the
// probability of one that large if both samples come from one distribution.
func kolmogorov(a, b []float64) (d, p float64) {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		x := min(a[i], b[j])
		for i < len(a) && a[i] == x {
			i++
		}
		for j < len(b) && b[j] == x {
			j++
		}
		d = max(d, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	n := float64(len(a)) * float64(len(b)) / float64(len(a)+len(b))
	return d, kolmogorovTail(d, n)
}

// kolmogorovAgainst is kolmogorov of one sample and a distribution.
func kolmogorovAgainst(a []float64, cdf func(float64) float64) (d, p float64) {
	a = slices.Sorted(slices.Values(a))
	n := float64(len(a))
	for i, x := range a {
		f := cdf(x)
		d = max(d, f-float64(i)/n, float64(i+1)/n-f)
	}
	return d, kolmogorovTail(d, n)
}

// kolmogorovTail is the asymptotic distribution, with the correction for small
// samples of Stephens (1970).
func kolmogorovTail(d, n float64) float64 {
	x := (math.Sqrt(n) + 0.12 + 0.11/math.Sqrt(n)) * d
	if x < 0.2 {
		return 1 // the series does not converge there
	}
	p := 0.0
	for k := 1; k <= 100; k++ {
		p += 2 * math.Pow(-1, float64(k-1)) * math.Exp(-2*float64(k*k)*x*x)
	}
	return min(max(p, 0), 1)
}

// balancedAccuracy is that of the best classifier that sees nothing but sizes:
// 0.5 is guessing, 1 is certainty.
func balancedAccuracy(a, b map[int]int) float64 {
	total := func(m map[int]int) (n float64) {
		for _, v := range m {
			n += float64(v)
		}
		return n
	}
	na, nb := total(a), total(b)
	sum := 0.0
	seen := map[int]bool{}
	for _, m := range []map[int]int{a, b} {
		for size := range m {
			if !seen[size] {
				seen[size] = true
				sum += max(float64(a[size])/na, float64(b[size])/nb)
			}
		}
	}
	return sum / 2
}

// The tools of the other tests, checked against values from tables.
func TestStatistics(t *testing.T) {
	// The critical value of sqrt(n)·d at 5 % is 1.358, at 1 % 1.628.
	for x, want := range map[float64]float64{1.358: 0.05, 1.628: 0.01} {
		if p := kolmogorovTail(x/math.Sqrt(1e6), 1e6); math.Abs(p-want) > 0.001 {
			t.Errorf("p(%v) = %v, want %v", x, p, want)
		}
	}
	var a, b []float64
	for i := range 1000 {
		a = append(a, float64(i))
		b = append(b, float64(i)*1.2)
	}
	if _, p := kolmogorov(a, a); p < 0.99 {
		t.Errorf("equal samples: p = %v", p)
	}
	if d, p := kolmogorov(a, b); p > 1e-6 || math.Abs(d-1.0/6) > 0.01 {
		t.Errorf("stretched sample: d = %v, p = %v", d, p)
	}
	if _, p := kolmogorovAgainst(a, func(x float64) float64 { return (x + 0.5) / 1000 }); p < 0.99 {
		t.Errorf("sample of the distribution: p = %v", p)
	}
	if got := balancedAccuracy(map[int]int{1: 3, 2: 1}, map[int]int{1: 1, 2: 3}); got != 0.75 {
		t.Errorf("balanced accuracy %v, want 0.75", got)
	}
}
