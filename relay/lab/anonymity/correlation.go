package anonymity

import (
	"math"
	"slices"
	"time"
)

// Flow is what an attacker holds against what: events that leave one end and
// events that reach the other, both ways.
type Flow struct {
	Up, Down []time.Duration
}

// Flow returns the packets of a kind of a client link.
func (t Trace) Flow(k Kind) Flow { return Flow{Up: t.Times(k, true), Down: t.Times(k, false)} }

// Implementation constants of the correlator.
var (
	// widths of windows, and how many windows later the other end may follow.
	// What is finer, Coincide looks at.
	windowWidths = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 20 * time.Second, time.Minute}
	windowLags   = []int{6, 4, 2, 1, 1}
)

// binned is a flow in windows of one width, centred and scaled to length one.
type binned struct{ up, down []float32 }

// Binned are the windows of a flow at all widths; making them once for each
// link makes many comparisons cheap.
type Binned []binned

// Bin counts a flow in windows.
func (f Flow) Bin(length time.Duration) Binned {
	b := make(Binned, len(windowWidths))
	for i, w := range windowWidths {
		b[i] = binned{normalise(counts(f.Up, length, w)), normalise(counts(f.Down, length, w))}
	}
	return b
}

func counts(times []time.Duration, length, width time.Duration) []float32 {
	c := make([]float32, (length+width-1)/width)
	for _, t := range times {
		if i := int(t / width); i >= 0 && i < len(c) {
			c[i]++
		}
	}
	return c
}

// normalise subtracts the mean and divides by the length; what is constant
// becomes zero.
func normalise(c []float32) []float32 {
	var mean, sq float64
	for _, x := range c {
		mean += float64(x)
	}
	mean /= float64(max(1, len(c)))
	for _, x := range c {
		d := float64(x) - mean
		sq += d * d
	}
	scale := 0.0
	if sq > 1e-9 {
		scale = 1 / math.Sqrt(sq)
	}
	for i := range c {
		c[i] = float32((float64(c[i]) - mean) * scale)
	}
	return c
}

// dot returns the correlation of y, lag windows later, with x.
func dot(x, y []float32, lag int) float64 {
	n := min(len(x), len(y)-lag)
	if n <= 0 {
		return 0
	}
	x, y = x[:n], y[lag:lag+n]
	var s0, s1, s2, s3 float32 // four sums, so that none waits for another
	for len(x) >= 4 && len(y) >= 4 {
		s0 += x[0] * y[0]
		s1 += x[1] * y[1]
		s2 += x[2] * y[2]
		s3 += x[3] * y[3]
		x, y = x[4:], y[4:]
	}
	for i, v := range x {
		s0 += v * y[i]
	}
	return float64(s0 + s1 + s2 + s3)
}

// Correlate is the windowed correlation of two flows: at each width, the best
// lag in each direction, in standard errors; the best width counts. A sender's
// events come before the receiver's, so only later windows are looked at.
func Correlate(a, b Binned) float64 {
	best := math.Inf(-1)
	for i := range a {
		n := math.Sqrt(float64(len(a[i].up)))
		ab, ba := math.Inf(-1), math.Inf(-1)
		for lag := range windowLags[i] + 1 {
			ab = math.Max(ab, dot(a[i].up, b[i].down, lag))
			ba = math.Max(ba, dot(b[i].up, a[i].down, lag))
		}
		best = math.Max(best, n*(ab+ba))
	}
	return best
}

// Implementation constants of voting.
const (
	voteWindow = 3 * time.Minute
	voteStep   = 90 * time.Second
	voteWidth  = time.Second
	voteLag    = 4
	// voteAbove is the correlation from which a window votes for the pair. In a
	// window of 180 counts chance alone exceeds it once in some thousand.
	voteAbove = 0.25
)

// Ballot is a flow cut into sliding windows, for Vote.
type Ballot struct{ up, down [][]float32 }

// Ballot cuts a flow.
func (f Flow) Ballot(length time.Duration) Ballot {
	up, down := counts(f.Up, length, voteWidth), counts(f.Down, length, voteWidth)
	n, step := int(voteWindow/voteWidth), int(voteStep/voteWidth)
	var b Ballot
	for at := 0; at+n <= len(up); at += step {
		b.up = append(b.up, normalise(slices.Clone(up[at:at+n])))
		b.down = append(b.down, normalise(slices.Clone(down[at:at+n])))
	}
	return b
}

// Vote lets sliding windows vote whether two flows belong together: a window
// votes for it if what one end sends comes out at the other, in either
// direction. Among equal votes the sum of the correlations decides.
func Vote(a, b Ballot) float64 {
	votes, sum := 0.0, 0.0
	for i := range min(len(a.up), len(b.up)) {
		ab, ba := 0.0, 0.0
		for lag := range voteLag + 1 {
			ab = math.Max(ab, dot(a.up[i], b.down[i], lag))
			ba = math.Max(ba, dot(b.up[i], a.down[i], lag))
		}
		for _, r := range [2]float64{ab, ba} {
			if r > voteAbove {
				votes++
			}
			sum += r
		}
	}
	return votes + sum/float64(2*len(a.up)+1)
}

// countWindows are the windows in which cells are counted.
var countWindows = []time.Duration{time.Minute, 10 * time.Minute, time.Hour}

// Tally are the counts of a flow.
type Tally [][2][]float32

// Tally counts a flow.
func (f Flow) Tally(length time.Duration) Tally {
	var t Tally
	for _, w := range countWindows {
		w = min(w, length)
		t = append(t, [2][]float32{counts(f.Up, length, w), counts(f.Down, length, w)})
	}
	return t
}

// Count compares how much one end sent with how much the other got, by the
// deviations that counts have by chance. The closer, the higher.
func Count(a, b Tally) float64 {
	var s float64
	for i := range min(len(a), len(b)) {
		s -= apart(a[i][0], b[i][1]) + apart(b[i][0], a[i][1])
	}
	return s
}

// apart is the mean over windows, so that each width counts alike.
func apart(x, y []float32) (s float64) {
	for i := range min(len(x), len(y)) {
		d := float64(x[i] - y[i])
		s += d * d / (float64(x[i]+y[i]) + 1)
	}
	return s / float64(max(1, len(x)))
}
