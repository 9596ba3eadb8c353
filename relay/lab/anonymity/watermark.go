package anonymity

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"time"
)

// Implementation constants of the watermark.
const (
	// MarkDelay is how long a marked packet is held back.
	MarkDelay = 200 * time.Millisecond
	// markPeriod is how long the mark stays on or off.
	markPeriod = 5 * time.Second
	// markSlack is how exactly the attacker knows the way between both ends.
	markSlack = 60 * time.Millisecond
)

// Mark is a secret code that says when packets are delayed. Its zero value is
// a code too.
type Mark uint64

// On tells whether packets sent at a time are delayed.
func (m Mark) On(at time.Duration) bool {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(m))
	binary.LittleEndian.PutUint64(seed[8:], uint64(at/markPeriod))
	return rand.NewChaCha8(seed).Uint64()&1 == 1
}

// Code is a Mark over a time, worked out.
type Code []bool

// Code works a mark out.
func (m Mark) Code(length time.Duration) Code {
	c := make(Code, length/markPeriod+1)
	for i := range c {
		c[i] = m.On(time.Duration(i) * markPeriod)
	}
	return c
}

func (c Code) delay(at time.Duration, invert bool) time.Duration {
	i := int(at / markPeriod)
	if i < 0 || i >= len(c) || c[i] == invert {
		return 0
	}
	return MarkDelay
}

// ways are the lengths of the way from one end to the other that the attacker
// tries: 0 to 6 s, finer where links pass cells on at once.
func ways() []time.Duration {
	var w []time.Duration
	for d := time.Duration(0); d < time.Second; d += 2 * arrivalStep {
		w = append(w, d)
	}
	for d := time.Second; d <= 6*time.Second; d += 250 * time.Millisecond {
		w = append(w, d)
	}
	return w
}

// Sent are events as they passed the attacker: when they come out at once, and
// when under the opposite of the code by which he delays them. In steps.
type Sent struct{ marked, inverse []int32 }

// NewSent works out the delays of events.
func NewSent(c Code, times []time.Duration) Sent {
	var s Sent
	for _, t := range times {
		s.marked = append(s.marked, int32((t+c.delay(t, false))/arrivalStep))
		s.inverse = append(s.inverse, int32((t+c.delay(t, true))/arrivalStep))
	}
	return s
}

// FindMark looks for a mark at the other end: it counts the events that come
// out when the code says, less those that would under the opposite code, for
// each length of the way. The score is in standard deviations of chance.
func FindMark(s Sent, got Arrivals, ways []time.Duration) float64 {
	best := math.Inf(-1)
	for _, way := range ways {
		hits, misses := got.hits(s.marked, way), got.hits(s.inverse, way)
		best = math.Max(best, float64(hits-misses)/math.Sqrt(float64(hits+misses+1)))
	}
	return best
}

// Coincide counts the events that come out when what was sent should, for the
// best length of the way, in standard deviations of chance. It knows by which
// code the events were delayed.
func Coincide(s Sent, got Arrivals, ways []time.Duration) float64 {
	best := math.Inf(-1)
	chance := float64(len(s.marked)) * got.mean
	for _, way := range ways {
		best = math.Max(best, (float64(got.hits(s.marked, way))-chance)/math.Sqrt(chance+1))
	}
	return best
}

// Arrivals are events at one end, ready for asking how many came around a time.
type Arrivals struct {
	around []uint8 // events within the slack of each step; more than 255 count as that
	mean   float64
}

const arrivalStep = 20 * time.Millisecond

// NewArrivals counts the events of an observation.
func NewArrivals(times []time.Duration, length time.Duration) Arrivals {
	// Questions reach beyond the end by the longest way and a delay.
	a := Arrivals{around: make([]uint8, (length+7*time.Second)/arrivalStep)}
	const slack = int(markSlack / arrivalStep)
	n := 0
	for _, t := range times {
		i := int(t / arrivalStep)
		for k := max(0, i-slack); k < min(len(a.around), i+slack); k++ {
			if a.around[k] < math.MaxUint8 {
				a.around[k]++
				n++
			}
		}
	}
	a.mean = float64(n) * float64(arrivalStep) / float64(length)
	return a
}

// hits counts the events within the slack of each of some times, a way later.
func (a Arrivals) hits(steps []int32, way time.Duration) (n int) {
	by := int(way / arrivalStep)
	for _, s := range steps {
		if i := int(s) + by; i < len(a.around) {
			n += int(a.around[i])
		}
	}
	return n
}
