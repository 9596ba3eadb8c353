package anonymity

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestAUC(t *testing.T) {
	for _, k := range []struct {
		name     string
		pos, neg []float64
		want     float64
	}{
		{"apart", []float64{3, 4}, []float64{1, 2}, 1},
		{"upside down", []float64{1}, []float64{2, 3}, 0},
		{"ties count half", []float64{1, 1}, []float64{1, 1, 1}, 0.5},
		{"three of four", []float64{2, 4}, []float64{1, 3}, 0.75},
		{"nothing known", nil, []float64{1}, 0.5},
	} {
		if got := AUC(k.pos, k.neg); math.Abs(got-k.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", k.name, got, k.want)
		}
	}
}

// TestTPR takes 2000 decoys, of which a thousandth is two.
func TestTPR(t *testing.T) {
	neg := make([]float64, 2000)
	for i := range neg {
		neg[i] = float64(i)
	}
	// The threshold is 1997: 1998 and 1999 may exceed it.
	if got := TPR([]float64{1997, 1998, 5, 3000}, neg, 1e-3); got != 0.5 {
		t.Errorf("%v, want 0.5", got)
	}
	if got := TPR([]float64{1, 1, 1}, []float64{1, 1, 1, 1}, 1e-3); got != 0 {
		t.Errorf("ties: %v, want 0", got)
	}
}

// TestProportionBounds uses the rule of three and a published interval: 10 of
// 100, 95 %, is 0.0490 to 0.1762.
func TestProportionBounds(t *testing.T) {
	if low, high := ProportionBounds(0, 1000, 0.05); low != 0 || math.Abs(high-(1-math.Pow(0.05, 1e-3))) > 1e-6 {
		t.Errorf("0 of 1000: %v to %v", low, high)
	}
	if low, high := ProportionBounds(10, 100, 0.025); math.Abs(low-0.0490) > 1e-4 || math.Abs(high-0.1762) > 1e-4 {
		t.Errorf("10 of 100: %v to %v", low, high)
	}
	if _, high := ProportionBounds(5, 5, 0.05); high != 1 {
		t.Errorf("5 of 5: up to %v", high)
	}
}

// TestKS compares with tabulated values: the chance of 1.3581 is 0.05.
func TestKS(t *testing.T) {
	if p := kolmogorov(1.3581); math.Abs(p-0.05) > 1e-4 {
		t.Errorf("kolmogorov(1.3581) = %v", p)
	}
	if d, p := KS([]float64{1, 2, 3}, []float64{4, 5, 6}); d != 1 || p > 0.2 {
		t.Errorf("disjoint: %v, %v", d, p)
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	low := 0
	for range 200 {
		a, b := make([]float64, 300), make([]float64, 300)
		for i := range a {
			a[i], b[i] = rnd.Float64(), rnd.Float64()
		}
		if _, p := KS(a, b); p < 0.05 {
			low++
		}
	}
	if low > 25 { // 10 are expected; more than 25 come once in 10⁵ seeds
		t.Errorf("of 200 equal pairs %d differ at 5 %%", low)
	}
	a, b := make([]float64, 2000), make([]float64, 2000)
	for i := range a {
		a[i], b[i] = rnd.Float64(), rnd.Float64()*rnd.Float64()
	}
	if _, p := KS(a, b); p > 1e-9 {
		t.Errorf("different distributions: p = %v", p)
	}
}

func TestQuantile(t *testing.T) {
	s := []float64{5, 1, 4, 2, 3}
	if a, b, c := Quantile(s, 0), Quantile(s, 0.5), Quantile(s, 1); a != 1 || b != 3 || c != 5 {
		t.Error(a, b, c)
	}
	if Quantile(nil, 0.5) != 0 {
		t.Error("of nothing")
	}
}
