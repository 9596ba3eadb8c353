package anonymity

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// decoys is how many second links each first link is held against.
const decoys = 40

// Scores are what one attack gave to true pairs and to decoys.
type Scores struct {
	Name    string
	Insider bool // made by relays of the circuit: what cover cannot hide from
	True    []float64
	Not     []float64
}

// AUC returns the area under the curve of the scores.
func (s *Scores) AUC() float64 { return AUC(s.True, s.Not) }

// TPR returns the true-positive rate at a thousandth false positives.
func (s *Scores) TPR() float64 { return TPR(s.True, s.Not, 1e-3) }

// Found returns how many true pairs that are.
func (s *Scores) Found() int { return int(s.TPR()*float64(len(s.True)) + 0.5) }

// attacks are the attacks on pairs: what each takes for a sign that the second
// link q belongs to the first link p.
var attacks = []struct {
	name    string
	insider bool
	score   func(p, q *pairEnds, ways []time.Duration) float64
}{
	{"correlation, cells", false, func(p, q *pairEnds, _ []time.Duration) float64 {
		return Correlate(p.a.kinds[Cells].bins, q.b.kinds[Cells].bins)
	}},
	{"correlation, small packets", false, func(p, q *pairEnds, _ []time.Duration) float64 {
		return Correlate(p.a.kinds[Small].bins, q.b.kinds[Small].bins)
	}},
	{"correlation, all packets", false, func(p, q *pairEnds, _ []time.Duration) float64 {
		return Correlate(p.a.kinds[All].bins, q.b.kinds[All].bins)
	}},
	{"correlation to 60 ms, cells", false, func(p, q *pairEnds, ways []time.Duration) float64 {
		return Coincide(p.a.sent, q.b.arrived, ways) + Coincide(q.b.sent, p.a.arrived, ways)
	}},
	{"voting, cells", false, func(p, q *pairEnds, _ []time.Duration) float64 {
		return Vote(p.a.kinds[Cells].ballot, q.b.kinds[Cells].ballot)
	}},
	{"voting, small packets", false, func(p, q *pairEnds, _ []time.Duration) float64 {
		return Vote(p.a.kinds[Small].ballot, q.b.kinds[Small].ballot)
	}},
	{"counting, cells", false, func(p, q *pairEnds, _ []time.Duration) float64 {
		return Count(p.a.kinds[Cells].tally, q.b.kinds[Cells].tally)
	}},
	{"counting, small packets", false, func(p, q *pairEnds, _ []time.Duration) float64 {
		return Count(p.a.kinds[Small].tally, q.b.kinds[Small].tally)
	}},
	{"watermark on the link", false, func(p, q *pairEnds, ways []time.Duration) float64 {
		return FindMark(p.a.sent, q.b.arrived, ways)
	}},
	// Whose link shows what the mailbox relay of p's first client pushed?
	{"watermark by the mailbox relay", false, func(p, q *pairEnds, ways []time.Duration) float64 {
		return FindMark(p.a.pushes, q.a.arrived, ways)
	}},
	{"correlation, mailbox relay and link", false, func(p, q *pairEnds, _ []time.Duration) float64 {
		return Correlate(p.b.mailbox, q.b.kinds[Cells].bins)
	}},
	{"correlation, one guard and link", false, func(p, q *pairEnds, _ []time.Duration) float64 {
		return Correlate(p.a.inside, q.b.kinds[Cells].bins)
	}},
	{"correlation, both guards", true, func(p, q *pairEnds, _ []time.Duration) float64 {
		return Correlate(p.a.inside, q.b.inside)
	}},
	{"correlation, mailbox relay and guard", true, func(p, q *pairEnds, _ []time.Duration) float64 {
		return Correlate(p.b.mailbox, q.b.inside)
	}},
}

// end is one client as the attacks see it.
type end struct {
	kinds   [3]view  // of its link, by Kind
	inside  Binned   // at its guard
	mailbox Binned   // at its mailbox relay
	arrived Arrivals // cells towards it
	sent    Sent     // cells from it, by the code of whoever delays them
	pushes  Sent     // to it, at its mailbox relay, by the code of that
}

// view is the flow of a link made ready for the correlators.
type view struct {
	bins   Binned
	ballot Ballot
	tally  Tally
}

// pairEnds are both ends of a pair that talks.
type pairEnds struct{ a, b *end }

func newEnd(r *Record, i int) *end {
	length, t := r.Config.Length, r.Links[i]
	e := &end{
		inside:  r.Insiders[i].Bin(length),
		mailbox: Flow{Up: r.Pushes[i]}.Bin(length),
		arrived: NewArrivals(t.Times(Cells, false), length),
		pushes:  NewSent((^r.Marks[i]).Code(length), r.Pushes[i]),
	}
	// What the second client sends is delayed on its way to the first.
	code := (^r.Marks[i&^1]).Code(length)
	if i%2 == 0 {
		code = r.Marks[i].Code(length)
	}
	if r.Config.NoMarks {
		code = nil
	}
	e.sent = NewSent(code, t.Times(Cells, true))
	for k := range e.kinds {
		f := t.Flow(Kind(k))
		e.kinds[k] = view{f.Bin(length), f.Ballot(length), f.Tally(length)}
	}
	return e
}

// attackBlock is how many pairs are compared among each other. Decoys come from
// the own world and from others.
const attackBlock = 120

// Arena holds pairs of many worlds against each other. It is safe for
// concurrent use.
type Arena struct {
	mu      sync.Mutex
	rnd     *rand.Rand
	waiting []*pairEnds
	scores  []*Scores
}

// NewArena makes an arena whose draw of decoys depends on the seed alone.
func NewArena(seed uint64) *Arena {
	x := &Arena{rnd: rand.New(rand.NewPCG(seed, 3))}
	for _, a := range attacks {
		x.scores = append(x.scores, &Scores{Name: a.name, Insider: a.insider})
	}
	return x
}

// Add takes the talking pairs of a world. Of the record it keeps nothing.
func (x *Arena) Add(r *Record) {
	var pairs []*pairEnds
	for i := range r.Config.Pairs {
		pairs = append(pairs, &pairEnds{newEnd(r, 2*i), newEnd(r, 2*i+1)})
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.waiting = append(x.waiting, pairs...)
	if len(x.waiting) >= 2*attackBlock {
		x.fight(x.waiting[:attackBlock])
		x.waiting = append([]*pairEnds(nil), x.waiting[attackBlock:]...)
	}
}

// Scores compares what is left and returns the scores of all attacks.
func (x *Arena) Scores() []*Scores {
	x.mu.Lock()
	x.fight(x.waiting)
	x.waiting = nil
	x.mu.Unlock()
	return x.SoFar()
}

// SoFar returns a copy of the scores of the pairs that were compared already,
// and lets the others wait.
func (x *Arena) SoFar() []*Scores {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []*Scores
	for _, s := range x.scores {
		out = append(out, &Scores{Name: s.Name, Insider: s.Insider, True: slices.Clone(s.True), Not: slices.Clone(s.Not)})
	}
	return out
}

// fight holds each pair of a block against its own second link and against
// decoys.
func (x *Arena) fight(pairs []*pairEnds) {
	ways := ways()
	for i, p := range pairs {
		n := 0
		for _, j := range x.rnd.Perm(len(pairs)) {
			if j == i || n == decoys {
				continue
			}
			n++
			for k, a := range attacks {
				x.scores[k].Not = append(x.scores[k].Not, a.score(p, pairs[j], ways))
			}
		}
		for k, a := range attacks {
			x.scores[k].True = append(x.scores[k].True, a.score(p, p, ways))
		}
	}
}
