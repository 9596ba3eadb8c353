package sybil

import (
	"fmt"
	"math"
	"slices"

	"hearsay/directory"
)

// How users are reckoned (SPEC.md §13.1): they build so many circuits a day, and
// meet a new first guard after so many days in the mean.
const (
	circuitsADay = 10
	guardDays    = 90
)

// usersAfter are the days after which users are counted.
var usersAfter = [3]float64{30, 180, 360}

// seat is a relay on a wheel.
type seat struct {
	weight float64
	bad    bool
	block  string
	kin    [32]byte
	as     uint32
}

// figures are shares in per cent.
type figures struct {
	guard, last, both float64
	product           float64    // both, if guard and mailbox relay were drawn independently
	users             [3]float64 // with at least one circuit both of whose ends are hostile, by then
}

func (f *figures) add(g figures) {
	f.guard, f.last, f.both, f.product = f.guard+g.guard, f.last+g.last, f.both+g.both, f.product+g.product
	for i := range f.users {
		f.users[i] += g.users[i]
	}
}

func (f figures) by(n int) figures {
	x := float64(n)
	f.guard, f.last, f.both, f.product = f.guard/x, f.last/x, f.both/x, f.product/x
	for i := range f.users {
		f.users[i] /= x
	}
	return f
}

func (f figures) String() string {
	return fmt.Sprintf("%.3g/%.3g/%.2f (%.2f)", f.guard, f.last, f.both, f.product)
}

// circuits computes the shares exactly: a guard by its weight, then a mailbox
// relay by its weight among those that share neither /16 nor kin nor AS.
func circuits(guards, last []seat, distinctAS bool) figures {
	var f figures
	sum, bad := 0.0, 0.0
	for _, s := range guards {
		sum += s.weight
		if s.bad {
			bad += s.weight
		}
	}
	if sum == 0 {
		return f
	}
	f.guard = 100 * bad / sum
	total, badLast := 0.0, 0.0
	for _, s := range last {
		total += s.weight
		if s.bad {
			badLast += s.weight
		}
	}
	f.product = f.guard * badLast / total
	blocks, kin, ases := make(map[string][]int), make(map[[32]byte][]int), make(map[uint32][]int)
	for i, s := range last {
		blocks[s.block] = append(blocks[s.block], i)
		kin[s.kin] = append(kin[s.kin], i)
		ases[s.as] = append(ases[s.as], i)
	}
	var met []meeting
	for _, g := range guards {
		t, b := total, badLast
		leave := func(list []int, counted func(s *seat) bool) {
			for _, i := range list {
				if s := &last[i]; !counted(s) {
					t -= s.weight
					if s.bad {
						b -= s.weight
					}
				}
			}
		}
		sameBlock := func(s *seat) bool { return s.block == g.block }
		sameKin := func(s *seat) bool { return sameBlock(s) || g.kin != [32]byte{} && s.kin == g.kin }
		leave(blocks[g.block], func(*seat) bool { return false })
		if g.kin != [32]byte{} {
			leave(kin[g.kin], sameBlock)
		}
		if distinctAS {
			leave(ases[g.as], sameKin)
		}
		if t <= 0 {
			continue
		}
		p := 100 * g.weight / sum * max(b, 0) / t
		f.last += p
		if g.bad {
			f.both += p
			met = append(met, meeting{g.weight / sum, max(b, 0) / t})
		}
	}
	for i, days := range usersAfter {
		f.users[i] = 100 * usersMet(met, days)
	}
	return f
}

// meeting is a hostile guard: how often it is drawn, and the share of its
// circuits whose mailbox relay is hostile, too.
type meeting struct{ drawn, bad float64 }

// usersMet returns the share of users that had a circuit with both ends hostile
// after some days.
func usersMet(met []meeting, days float64) float64 {
	safe := 1.0
	for ; days > 0; days -= guardDays {
		bad := 0.0
		for _, g := range met {
			bad += g.drawn * (1 - math.Pow(1-g.bad, circuitsADay*min(days, guardDays)))
		}
		safe *= 1 - bad
	}
	return 1 - safe
}

// shares returns the figures of the last judgement.
func (m *model) shares() figures {
	seats := func(of wheel) []seat {
		var list []seat
		for _, r := range m.out.d.listed {
			if w := r.weights[of]; w > 0 {
				list = append(list, seat{float64(w), m.bad[r.d.ID], r.nets[levelBlock][0].String(), r.kin, r.ases[0]})
			}
		}
		return list
	}
	return circuits(seats(wheelGuard), seats(wheelMailbox), true)
}

// torLike weighs by bandwidth alone, as measured or as relays declare it. Guards
// are eight days old, up for 98 %, and faster than 2 MiB/s or than three quarters
// of all; paths differ in /16 and family.
func (m *model) torLike(declared bool) figures {
	weigh := func(a *actor) float64 {
		if declared {
			return float64(a.d.Declared)
		}
		return m.rate[a.d.ID] / 1024
	}
	var rates []float64
	for _, a := range m.relays {
		rates = append(rates, weigh(a))
	}
	slices.Sort(rates)
	fast := min(2<<10, rates[len(rates)*3/4])
	var guards, last []seat
	for i, a := range m.relays {
		h := &m.parts.Relays[i]
		s := seat{weight: weigh(a), bad: m.bad[a.d.ID], block: netOf(a.d.Addrs[0].Addr(), levelBlock).String()}
		if len(a.d.Families) > 0 {
			s.kin = a.d.Families[0].Key
		}
		last = append(last, s)
		if h.Listed >= 8*daySeconds && s.weight >= fast && float64(h.WFUUp) >= 0.98*float64(h.WFUKnown) {
			guards = append(guards, s)
		}
	}
	return circuits(guards, last, false)
}

// honestShare returns the part of honest relays that are listed, and the part of
// their weight on the inner wheel that caps take.
func (m *model) honestShare() (listed, lost float64) {
	n := 0
	var base, left float64
	for _, r := range m.out.d.listed {
		if !m.bad[r.d.ID] {
			n++
			base += float64(r.base)
			left += float64(r.weights[wheelInner])
		}
	}
	return 100 * float64(n) / float64(m.honest), 100 * (1 - left/base)
}

// unvouchedCap are the parameters with an un-vouched cap of so many thousandths.
func unvouchedCap(thousandths int64) map[directory.Param]int64 {
	return map[directory.Param]int64{directory.ParamUnvouchedCap: thousandths}
}
