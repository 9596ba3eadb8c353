package credit

import (
	"container/heap"
	"fmt"
	"math"
	"testing"
	"time"
)

// simPath is a bottleneck that serves cells in order, shared by flows that
// always have something to send. SENDMEs come back over a free path.
type simPath struct {
	t      *testing.T
	now    time.Duration
	rate   float64       // cells a second
	busy   time.Duration // until when the bottleneck is
	queued float64       // the longest queue since it was last looked at, in cells
	events events
	made   int
	flows  []*flow
}

func (p *simPath) at(at time.Duration, do func()) {
	p.made++
	heap.Push(&p.events, event{at, p.made, do})
}

// flow is one sender and its receiver.
type flow struct {
	p     *simPath
	s     Sender
	r     Receiver
	rtt   time.Duration // without queues
	clock time.Duration // what its clock is off by
	seq   uint64
	there time.Duration                                // when the last cell arrives: streams keep their order
	back  time.Duration                                // and the last SENDME
	got   int                                          // cells delivered since it was last looked at
	hold  func(rtt time.Duration) (late time.Duration) // a receiver that is late; nil: none
}

type event struct {
	at time.Duration
	n  int // in order of their making, if at the same time
	do func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].n < e[j].n
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

func (p *simPath) add(rtt time.Duration) *flow {
	f := &flow{p: p, s: NewSender(Initial, Max), r: NewReceiver(Max), rtt: rtt}
	p.flows = append(p.flows, f)
	return f
}

// run lets d pass.
func (p *simPath) run(d time.Duration) {
	p.t.Helper()
	end := p.now + d
	for {
		for _, f := range p.flows {
			f.fill()
		}
		if len(p.events) == 0 || p.events[0].at > end {
			p.now = end
			return
		}
		e := heap.Pop(&p.events).(event)
		p.now = e.at
		e.do()
	}
}

// fill sends while there is credit.
func (f *flow) fill() {
	p := f.p
	for f.s.Take() {
		f.seq++
		tag := tagOf(f.seq)
		f.s.Sealed(tag, p.now+f.clock)
		p.busy = max(p.busy, p.now) + time.Duration(float64(time.Second)/p.rate)
		p.queued = max(p.queued, (p.busy-p.now).Seconds()*p.rate)
		f.there = max(f.there, p.busy+f.rtt/2)
		p.at(f.there, func() { f.receive(tag) })
	}
	if w := f.s.Window(); w < Min || w > Max {
		p.t.Fatalf("window of %d", w)
	}
}

func (f *flow) receive(tag Tag) {
	f.got++
	if err := f.r.Receive(tag); err != nil {
		f.p.t.Fatal(err)
	}
	for _, due := range f.r.Consume(1, nil) {
		f.r.Acknowledged()
		at := f.p.now + f.rtt/2
		if f.hold != nil {
			at += f.hold(f.rtt)
		}
		f.back = max(f.back, at)
		f.p.at(f.back, func() {
			if err := f.s.Acknowledge(due, f.p.now+f.clock); err != nil {
				f.p.t.Fatal(err)
			}
		})
	}
}

// share lets d pass and returns the cells a second that each flow delivered.
func (p *simPath) share(d time.Duration) []float64 {
	p.t.Helper()
	for _, f := range p.flows {
		f.got = 0
	}
	p.queued = 0
	p.run(d)
	var list []float64
	for _, f := range p.flows {
		list = append(list, float64(f.got)/d.Seconds())
	}
	return list
}

func tagOf(n uint64) (t Tag) {
	for i := range 8 {
		t[i] = byte(n >> (8 * i))
	}
	t[15] = 1
	return t
}

// TestThroughputOfPaths: a flow alone uses what the path carries, or its
// largest window, and keeps the queue short: below what the rules cut at.
func TestThroughputOfPaths(t *testing.T) {
	for _, rtt := range []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond} {
		for _, rate := range []float64{100, 500, 2256, 10000, 40000} {
			t.Run(fmt.Sprintf("%v at %v", rtt, rate), func(t *testing.T) {
				p := &simPath{t: t, rate: rate}
				p.add(rtt)
				p.run(12 * time.Second)
				got := p.share(10 * time.Second)[0]
				if want := min(rate, Max/(rtt.Seconds()+Step/rate)); got < 0.9*want {
					t.Errorf("%.0f cells/s of %.0f, window %d", got, want, p.flows[0].s.Window())
				}
				if p.queued > longestQueue(rate, rtt)+2*Step {
					t.Errorf("a queue of %.0f cells", p.queued)
				}
			})
		}
	}
}

// TestSlowStartIsFast: a new circuit reaches nine tenths of a path of 2.6 MB/s
// within two seconds.
func TestSlowStartIsFast(t *testing.T) {
	for _, rtt := range []time.Duration{50 * time.Millisecond, 200 * time.Millisecond} {
		p := &simPath{t: t, rate: 2256}
		p.add(rtt)
		p.run(2 * time.Second)
		if got := p.share(time.Second)[0]; got < 0.9*2256 {
			t.Errorf("%v: %.0f cells/s after 2 s, window %d", rtt, got, p.flows[0].s.Window())
		}
	}
}

// TestFairnessOfTwo: a flow that comes later gets its share, and no more.
func TestFairnessOfTwo(t *testing.T) {
	for _, rtts := range [][2]time.Duration{
		{50 * time.Millisecond, 50 * time.Millisecond},
		{200 * time.Millisecond, 200 * time.Millisecond},
		{50 * time.Millisecond, 200 * time.Millisecond},
		{200 * time.Millisecond, 50 * time.Millisecond},
	} {
		t.Run(fmt.Sprint(rtts), func(t *testing.T) {
			p := &simPath{t: t, rate: 2256}
			p.add(rtts[0])
			p.run(20 * time.Second)
			p.add(rtts[1])
			p.run(20 * time.Second)
			s := p.share(60 * time.Second)
			jain := (s[0] + s[1]) * (s[0] + s[1]) / (2 * (s[0]*s[0] + s[1]*s[1]))
			t.Logf("%.0f and %.0f cells/s, fairness %.3f, queue %.0f", s[0], s[1], jain, p.queued)
			if jain < 0.9 {
				t.Errorf("%.0f and %.0f cells/s: fairness %.2f", s[0], s[1], jain)
			}
			if s[0]+s[1] < 0.9*p.rate {
				t.Errorf("%.0f cells/s in all", s[0]+s[1])
			}
			if p.queued > 4*mostGrow*dropAbove/2 {
				t.Errorf("a queue of %.0f cells", p.queued)
			}
		})
	}
}

// TestPathThatChanges: within 10 s a flow follows a path that became longer,
// slower or faster.
func TestPathThatChanges(t *testing.T) {
	const rate, rtt = 2256, 50 * time.Millisecond
	for name, change := range map[string]func(p *simPath){
		"longer":  func(p *simPath) { p.flows[0].rtt = 200 * time.Millisecond },
		"slower":  func(p *simPath) { p.rate = rate / 10 },
		"faster":  func(p *simPath) { p.rate = 3 * rate },
		"shorter": func(p *simPath) { p.flows[0].rtt = 5 * time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			p := &simPath{t: t, rate: rate}
			p.add(rtt)
			p.run(30 * time.Second)
			change(p)
			p.run(10 * time.Second)
			got := p.share(20 * time.Second)[0]
			if want := min(p.rate, Max/(p.flows[0].rtt.Seconds()+Step/p.rate)); got < 0.9*want {
				t.Errorf("%.0f cells/s of %.0f, window %d", got, want, p.flows[0].s.Window())
			}
			if p.queued > mostGrow*dropAbove/2+2*Step {
				t.Errorf("a queue of %.0f cells", p.queued)
			}
		})
	}
}

// TestCrowd: flows that begin while others fill the path, and measure their
// queues, do not let the queue grow without end: half a minute after the last one
// came each keeps what it would if it knew the path, and they share it.
func TestCrowd(t *testing.T) {
	const rate, rtt = 15000, 5 * time.Millisecond
	for _, n := range []int{4, 16} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			p := &simPath{t: t, rate: rate}
			for i := range n {
				f := p.add(rtt)
				f.s.AtMost(2*rtt, p.now) // as the building of a circuit tells
				p.run(time.Duration(37*i%50) * time.Millisecond)
			}
			p.run(30 * time.Second)
			for range 2 {
				var sum, squares float64
				for _, got := range p.share(5 * time.Second) {
					sum += got
					squares += got * got
				}
				if sum < 0.98*rate {
					t.Errorf("%.0f cells/s in all", sum)
				}
				if jain := sum * sum / (float64(n) * squares); jain < 0.6 {
					t.Errorf("fairness %.2f", jain)
				}
				most := float64(n) * (longestQueue(rate/float64(n), rtt) + 2*Step)
				if p.queued > most {
					t.Errorf("a queue of %.0f cells, more than %.0f", p.queued, most)
				}
			}
		})
	}
}

// longestQueue is the queue above which the window of a flow falls, at a rate in
// cells/s, on a path that takes rtt, and longer for a 32nd cell: those before it
// are sent at the same time.
func longestQueue(rate float64, rtt time.Duration) float64 {
	grow := min(max(rate*rtt.Seconds()+Step, leastGrow), mostGrow)
	return max(grow, min(math.Sqrt(mostGrow*rate*settle.Seconds()), mostSettle)) * dropAbove / 2
}
