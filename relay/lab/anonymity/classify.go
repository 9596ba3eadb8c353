package anonymity

import (
	"math"
	"slices"
	"time"
)

// Sample is one thing to classify.
type Sample struct {
	Features []float64
	Positive bool
	Group    int // samples of one world share a group, and a fold
}

// folds of the cross-validation.
const folds = 5

// Classify tells the two classes apart by what it learnt from other groups, and
// returns the balanced accuracy: the mean of both classes' shares of right
// answers, 0.5 being chance, or NaN if there is nothing to learn from. For each fold it takes what did best on the other
// folds: one of the thresholds on a single feature, or naive Bayes over all.
func Classify(samples []Sample) float64 {
	var right, all [2]float64
	for fold := range folds {
		var train, test []Sample
		for _, s := range samples {
			if s.Group%folds == fold {
				test = append(test, s)
			} else {
				train = append(train, s)
			}
		}
		if !bothClasses(train) {
			continue
		}
		positive := learn(train)
		for _, s := range test {
			k := class(s.Positive)
			all[k]++
			if positive(s.Features) == s.Positive {
				right[k]++
			}
		}
	}
	return (right[0]/all[0] + right[1]/all[1]) / 2
}

func class(positive bool) int {
	if positive {
		return 1
	}
	return 0
}

func bothClasses(samples []Sample) bool {
	yes := slices.ContainsFunc(samples, func(s Sample) bool { return s.Positive })
	return yes && slices.ContainsFunc(samples, func(s Sample) bool { return !s.Positive })
}

// learn returns the best rule on the samples.
func learn(train []Sample) func([]float64) bool {
	best, bestRule := balanced(train, bayes(train)), bayes(train)
	for f := range train[0].Features {
		rule := threshold(train, f)
		if b := balanced(train, rule); b > best {
			best, bestRule = b, rule
		}
	}
	return bestRule
}

func balanced(samples []Sample, rule func([]float64) bool) float64 {
	var right, all [2]float64
	for _, s := range samples {
		k := class(s.Positive)
		all[k]++
		if rule(s.Features) == s.Positive {
			right[k]++
		}
	}
	return (right[0]/all[0] + right[1]/all[1]) / 2
}

// threshold returns the best rule on a single feature.
func threshold(train []Sample, f int) func([]float64) bool {
	sorted := slices.SortedFunc(slices.Values(train), func(a, b Sample) int {
		switch {
		case a.Features[f] < b.Features[f]:
			return -1
		case a.Features[f] > b.Features[f]:
			return 1
		}
		return 0
	})
	var all, below [2]float64
	for _, s := range sorted {
		all[class(s.Positive)]++
	}
	best, at, above := 0.5, math.Inf(1), true
	for i, s := range sorted {
		below[class(s.Positive)]++
		if i+1 < len(sorted) && sorted[i+1].Features[f] == s.Features[f] {
			continue
		}
		// The share of negatives below and of positives above.
		b := (below[0]/all[0] + 1 - below[1]/all[1]) / 2
		if b > best {
			best, at, above = b, s.Features[f], true
		}
		if 1-b > best {
			best, at, above = 1-b, s.Features[f], false
		}
	}
	return func(x []float64) bool { return (x[f] > at) == above }
}

// bayes returns the rule of naive Bayes with normal features and equal priors.
func bayes(train []Sample) func([]float64) bool {
	n := len(train[0].Features)
	var count [2]float64
	var mean, dev [2][]float64
	for k := range 2 {
		mean[k], dev[k] = make([]float64, n), make([]float64, n)
	}
	for _, s := range train {
		k := class(s.Positive)
		count[k]++
		for i, x := range s.Features {
			mean[k][i] += x
			dev[k][i] += x * x
		}
	}
	for k := range 2 {
		for i := range n {
			mean[k][i] /= count[k]
			dev[k][i] = math.Sqrt(math.Max(dev[k][i]/count[k]-mean[k][i]*mean[k][i], 0)) + 1e-6*(1+math.Abs(mean[k][i]))
		}
	}
	return func(x []float64) bool {
		var score float64
		for i, v := range x {
			z0, z1 := (v-mean[0][i])/dev[0][i], (v-mean[1][i])/dev[1][i]
			score += (z0*z0-z1*z1)/2 + math.Log(dev[0][i]/dev[1][i])
		}
		return score > 0
	}
}

// Features describes the traffic of a link by what may tell its use: how many
// packets of each kind went each way and how evenly, their sizes, and how many
// small ones came alone.
func (t Trace) Features(length time.Duration) []float64 {
	var x []float64
	for _, k := range []Kind{Cells, Small} {
		for _, up := range []bool{true, false} {
			times := t.Times(k, up)
			perMinute := counts(times, length, time.Minute)
			mean, sq := 0.0, 0.0
			for _, c := range perMinute {
				mean += float64(c)
				sq += float64(c) * float64(c)
			}
			n := float64(len(perMinute))
			mean /= n
			x = append(x, float64(len(times)), sq/n-mean*mean, float64(slices.Max(perMinute)), shortGaps(times))
		}
	}
	var sum, sq [2]float64
	for _, p := range t {
		k := class(p.Size >= cellPacket)
		sum[k] += float64(p.Size)
		sq[k] += float64(p.Size) * float64(p.Size)
	}
	return append(x, sum[0], sum[1], sq[0], sq[1], alone(t))
}

// shortGaps counts the events that follow another within 300 ms.
func shortGaps(times []time.Duration) (n float64) {
	for i := 1; i < len(times); i++ {
		if times[i]-times[i-1] < 300*time.Millisecond {
			n++
		}
	}
	return n
}

// alone counts the small packets that do not come within 150 ms of a cell.
func alone(t Trace) (n float64) {
	last := -time.Hour
	for _, p := range t {
		if p.Size >= cellPacket {
			last = p.At
		} else if p.At-last > 150*time.Millisecond {
			n++
		}
	}
	return n
}

// ClientLinks are the links of clients to their guards in a world: positive are
// those whose owners talk. Clients are the same with all links of a client
// together.
func (r *Record) ClientLinks() (links, clients []Sample) {
	for i, t := range r.Links {
		talks, group := i < 2*r.Config.Pairs, int(r.Config.Seed)
		links = append(links, Sample{t.Main().Features(r.Config.Length), talks, group})
		clients = append(clients, Sample{t.Features(r.Config.Length), talks, group})
	}
	return links, clients
}

// ClassifyBound returns how far the balanced accuracy of a blind classifier lies
// from 0.5 at most, with z standard errors.
func ClassifyBound(positive, negative int, z float64) float64 {
	if positive == 0 || negative == 0 {
		return 1
	}
	return z / 4 * math.Sqrt(1/float64(positive)+1/float64(negative))
}

// RelayLinks are the links between relays: positive are those on which more of
// the cells go between a guard and a layer-2 guard than on the median link.
func (r *Record) RelayLinks() []Sample {
	var shares []float64
	for _, b := range r.Backbone {
		shares = append(shares, b.Guard)
	}
	median := Quantile(shares, 0.5)
	var out []Sample
	for _, b := range r.Backbone {
		out = append(out, Sample{b.Trace.Features(r.Config.Length), b.Guard >= median, int(r.Config.Seed)})
	}
	return out
}

// CellSizes returns the sizes of packets with padding and of packets with data,
// that clients sent whose links nobody marks: what arrived at the guard as a
// circuit cell was data.
func (r *Record) CellSizes() (padding, data []int32) {
	for i := 1; i < len(r.Links); i += 2 {
		seen := r.Insiders[i].Up
		for _, p := range r.Links[i] {
			if !p.Up || p.Size < cellPacket {
				continue
			}
			at := p.At + r.Config.Latency
			for len(seen) > 0 && seen[0] < at-time.Millisecond {
				seen = seen[1:]
			}
			if len(seen) > 0 && seen[0] <= at+time.Millisecond {
				data = append(data, p.Size)
			} else {
				padding = append(padding, p.Size)
			}
		}
	}
	return padding, data
}

// SizeClassifier tells padding from data by the size of the packet. It learns
// the better answer for each size from one half and returns the balanced
// accuracy on the other, or NaN if there is nothing.
func SizeClassifier(padding, data []int32) float64 {
	shares := map[int32]float64{}
	var right, all [2]float64
	for k, sizes := range [2][]int32{padding, data} {
		for i := 0; i < len(sizes); i += 2 {
			d := 1 / float64((len(sizes)+1)/2)
			shares[sizes[i]] += d * float64(2*k-1)
		}
	}
	for k, sizes := range [2][]int32{padding, data} {
		for i := 1; i < len(sizes); i += 2 {
			all[k]++
			if (shares[sizes[i]] > 0) == (k == 1) {
				right[k]++
			}
		}
	}
	return (right[0]/all[0] + right[1]/all[1]) / 2
}

// warmUp is how long a link of a client may send faster after it began.
const warmUp = 25 * time.Second

// SendGaps returns the times in seconds between packets with cells that clients
// sent to one guard, if nobody marks them: those of talking and those of idle
// clients. The beginning of links that began during the observation is left out.
func (r *Record) SendGaps() (talking, idle []float64) {
	for i := 1; i < len(r.Links); i += 2 {
		from, last := make(map[uint16]time.Duration), make(map[uint16]time.Duration)
		for _, p := range r.Links[i] {
			first, known := from[p.Socket]
			if !known {
				if first = p.At; first > 10*time.Second {
					first += warmUp
				}
				from[p.Socket] = first
			}
			if !p.Up || p.Size < cellPacket || p.At < first {
				continue
			}
			before, known := last[p.Socket]
			last[p.Socket] = p.At
			if !known {
				continue
			}
			// To a millisecond: finer differences are those of the simulation.
			gap := (p.At - before).Round(time.Millisecond).Seconds()
			if i < 2*r.Config.Pairs {
				talking = append(talking, gap)
			} else {
				idle = append(idle, gap)
			}
		}
	}
	return talking, idle
}
