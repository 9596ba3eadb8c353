package anonymity

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"hearsay/circuit/link"
)

// synthetic makes the record of a world in which what one client sends comes
// out at the other after a way, or, blind, at any times. Noise is added to
// every link.
func synthetic(seed uint64, pairs int, blind bool) *Record {
	const length, way = time.Hour, 160 * time.Millisecond
	rnd := rand.New(rand.NewPCG(seed, 7))
	r := &Record{Config: WorldConfig{Seed: seed, Pairs: pairs, Length: length, Profile: link.Off}}
	r.Links, r.Insiders = make([]Trace, 2*pairs), make([]Insider, 2*pairs)
	r.Pushes, r.Marks = make([][]time.Duration, 2*pairs), make([]Mark, 2*pairs)
	for i := range r.Marks {
		r.Marks[i] = Mark(rnd.Uint64())
	}
	for p := range pairs {
		for _, l := range Conversation(rnd, length-time.Minute, 0) {
			from, to := 2*p+l.From, 2*p+1-l.From
			sent, got := l.At, l.At+way
			r.Pushes[to] = append(r.Pushes[to], got-way/2)
			if l.From == 0 && r.Marks[from].On(sent) {
				got += MarkDelay // on the link of the first client
			}
			if to == 2*p && (^r.Marks[to]).On(got-way/2) {
				got += MarkDelay // by its mailbox relay
			}
			if blind {
				got = time.Duration(rnd.Int64N(int64(length)))
			}
			r.Links[from] = append(r.Links[from], Packet{At: sent, Size: 1200, Up: true}, Packet{At: sent + way, Size: 40})
			r.Links[to] = append(r.Links[to], Packet{At: got, Size: 1200}, Packet{At: got + 30*time.Millisecond, Size: 40, Up: true})
			r.Insiders[from].Up = append(r.Insiders[from].Up, sent)
			r.Insiders[to].Down = append(r.Insiders[to].Down, got)
		}
	}
	for i := range r.Links {
		for range 500 {
			at := time.Duration(rnd.Int64N(int64(length)))
			r.Links[i] = append(r.Links[i], Packet{At: at, Size: 1200, Up: rnd.IntN(2) == 0})
		}
		slices.SortFunc(r.Links[i], func(a, b Packet) int { return int(a.At - b.At) })
	}
	return r
}

func fight(blind bool) map[string]*Scores {
	arena := NewArena(5)
	for seed := range uint64(3) {
		arena.Add(synthetic(seed+1, syntheticPairs, blind))
	}
	out := make(map[string]*Scores)
	for _, s := range arena.Scores() {
		out[s.Name] = s
	}
	return out
}

// TestAttacksFindPlainFlows: on links that pass on what comes, each attack
// that looks at where the information is finds the pairs.
func TestAttacksFindPlainFlows(t *testing.T) {
	got := fight(false)
	for name, least := range map[string]float64{
		"correlation, cells": 0.95, "correlation to 60 ms, cells": 0.99, "voting, cells": 0.9, "counting, cells": 0.6,
		"correlation, small packets": 0.9, "voting, small packets": 0.9,
		"watermark on the link": 0.95, "watermark by the mailbox relay": 0.95, "correlation, both guards": 0.95,
	} {
		if s := got[name]; s == nil || s.AUC() < least {
			t.Errorf("%s: AUC %.3f, want %v", name, s.AUC(), least)
		}
	}
}

// TestAttacksKnowNothingOfStrangers: where no flow is passed on, no attack does
// better than chance. With 60 pairs chance exceeds the bound once in 10⁵ for
// each attack.
func TestAttacksKnowNothingOfStrangers(t *testing.T) {
	for name, s := range fight(true) {
		if name == "counting, cells" || name == "counting, small packets" {
			continue // how much was said is the same at both ends here, whenever it came out
		}
		if got, most := s.AUC(), 0.5+AUCBound(0.5, len(s.True), 4.3); got > most {
			t.Errorf("%s: AUC %.3f, at most %.3f", name, got, most)
		}
		if s.TPR() > 0.05 {
			t.Errorf("%s: true positives %.3f", name, s.TPR())
		}
	}
}

// TestWatermarkNeedsItsCode: the mark of one client is not found by the code of
// another.
func TestWatermarkNeedsItsCode(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 2))
	var sent, got []time.Duration
	mark := Mark(77)
	for range 200 {
		at := time.Duration(rnd.Int64N(int64(time.Hour)))
		sent = append(sent, at)
		if mark.On(at) {
			at += MarkDelay
		}
		got = append(got, at+100*time.Millisecond)
	}
	arrived := NewArrivals(got, 2*time.Hour)
	if z := FindMark(NewSent(mark.Code(time.Hour), sent), arrived, ways()); z < 10 {
		t.Errorf("its own code: %.1f", z)
	}
	if z := FindMark(NewSent(Mark(78).Code(time.Hour), sent), arrived, ways()); z > 4.5 {
		t.Errorf("another code: %.1f", z)
	}
}

func TestClassify(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3))
	make := func(shift float64) []Sample {
		var s []Sample
		for i := range 2000 {
			positive := i%4 > 0 // classes of different sizes
			x := []float64{rnd.NormFloat64(), rnd.NormFloat64(), 7}
			if positive {
				x[1] += shift
			}
			s = append(s, Sample{x, positive, i})
		}
		return s
	}
	// A shift of two standard deviations is found by a threshold in 84 of 100.
	if got := Classify(make(2)); got < 0.81 || got > 0.87 {
		t.Errorf("shifted: %.3f, want 0.841", got)
	}
	// 500 and 1500 samples: chance deviates by 0.013.
	if got := Classify(make(0)); got < 0.44 || got > 0.56 {
		t.Errorf("equal: %.3f, want 0.5", got)
	}
}

func TestSizeClassifier(t *testing.T) {
	same := []int32{1192, 1192, 1192, 1192, 1200, 1200}
	if got := SizeClassifier(same, slices.Repeat(same, 3)); got < 0.4 || got > 0.6 {
		t.Errorf("equal sizes: %.3f", got)
	}
	if got := SizeClassifier([]int32{1185, 1185, 1185, 1185}, []int32{1181, 1181, 1182, 1182}); got != 1 {
		t.Errorf("different sizes: %.3f", got)
	}
}

// TestConversation: about 35 messages an hour come from each side, in
// stretches.
func TestConversation(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 4))
	var from [2]int
	within := 0 // half a minute of the one before
	const hours = 400
	for range hours {
		last := -time.Hour
		for _, l := range Conversation(rnd, time.Hour, 0) {
			from[l.From]++
			if l.At-last < 30*time.Second {
				within++
			}
			last = l.At
		}
	}
	for _, n := range from {
		if mean := float64(n) / hours; mean < 30 || mean > 42 {
			t.Errorf("%.1f messages an hour", mean)
		}
	}
	if share := float64(within) / float64(from[0]+from[1]); share < 0.6 {
		t.Errorf("%.2f of the messages follow another at once", share)
	}
}

// TestHostileMailboxFindsGuard runs the selection of paths in a network of 8:
// the hostile relay must see six middles. Drawing five relays besides guard,
// itself and the layer-2 guard at random takes at least six circuits; to miss
// the last one of six in forty times eight circuits is out of question.
func TestHostileMailboxFindsGuard(t *testing.T) {
	d := Discover(1, 8, 50)
	if d.Unfinished > 0 || d.P10 < 6 || d.P90 > 100 || d.P50 < 8 {
		t.Errorf("%+v", d)
	}
}
