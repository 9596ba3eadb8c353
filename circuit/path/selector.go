package path

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"hearsay/directory"
)

// minRelays is the number of usable relays below which nothing is built: three
// hops and a destination, all different.
const minRelays = 4

// labDivide shortens the waits for relays in lab networks.
const labDivide = 10

// manyLittle is how many small changes are kept together.
const manyLittle = 16

// Path are the three hops of a circuit, as the view lists them.
type Path struct {
	Guard, Layer2, Middle *directory.Relay
}

// Has reports whether a relay is one of the three hops.
func (p Path) Has(id directory.RelayID) bool {
	return p.Guard.ID == id || p.Layer2.ID == id || p.Middle.ID == id
}

// Error says why no path can be chosen. Waiting may help: for a new view, or
// until Retry, if that is not zero.
type Error struct {
	Why     string    // in words, for people
	Retry   time.Time // when waiting may help; zero: with a new view
	Consent bool      // the user may allow it, see Selector.Consent
}

func (e *Error) Error() string { return "path: " + e.Why }

// Selector keeps guards and layer-2 guards and draws paths. It is not safe for
// concurrent use: one goroutine owns it.
type Selector struct {
	rnd    *rand.Rand
	lab    bool
	divide time.Duration
	state  State // without Times, which are in times
	kept   State // what State returned last
	dirty  bool
	little int // changes that need not be kept at once

	own        directory.RelayID // see Exclude
	view       *directory.View
	fresh      directory.Freshness
	held       bool // see HoldGuards
	consent    bool
	reachable  int // relays with an address
	guards     int // relays eligible as guards
	guardWheel wheel
	innerWheel wheel

	// Chosen from state and view by arrange.
	order     []*directory.Relay // usable guards, best first
	primaries []*directory.Relay // the first of order
	layer2    []*directory.Relay

	down      map[directory.RelayID]guardFault
	answered  map[directory.RelayID]bool // guards beyond the primaries that serve
	allDown   time.Time                  // since when no primary is up; zero: one is
	chance    time.Time                  // until when the primaries go first
	offlineAt time.Time                  // the last sign that the client has no network
	backoff   backoff

	building map[directory.RelayID]int // circuits past their first hop, by guard
	warned   map[directory.RelayID]int // the threshold of path bias that was told
	notices  []Notice
	times    [profiles]buildTimes
}

// New makes a Selector for a network. rnd must be unpredictable in earnest: it
// decides who sees the user. lab shortens all waits for relays to a tenth.
func New(network directory.NetworkID, lab bool, rnd *rand.Rand) *Selector {
	s := &Selector{
		rnd: rnd, lab: lab, divide: 1,
		state:    State{Network: network},
		kept:     State{Network: network},
		fresh:    directory.Expired,
		down:     map[directory.RelayID]guardFault{},
		answered: map[directory.RelayID]bool{},
		backoff:  backoff{},
		building: map[directory.RelayID]int{},
		warned:   map[directory.RelayID]int{},
	}
	if lab {
		s.divide = labDivide
	}
	return s
}

// Restore takes the state of an earlier run. It must be called before Update.
// A state of another network is refused with ErrState.
func (s *Selector) Restore(st State) error {
	if st.Network != s.state.Network {
		return malformed("another network")
	}
	s.kept = st
	s.state = st.clone()
	for i := range s.times {
		s.times[i].restore(st.Times[i], s.rnd)
	}
	s.state.Times = [profiles]Times{}
	return nil
}

// State returns what must be kept, and whether it changed since the last call.
// What it points to must not be changed.
func (s *Selector) State() (st State, changed bool) {
	if !s.dirty {
		return s.kept, false
	}
	s.dirty, s.little = false, 0
	s.kept = s.state.clone()
	for i := range s.times {
		s.kept.Times[i] = s.times[i].history()
	}
	return s.kept, true
}

// Settle makes the next State report the counts and times of the last circuits
// as a change, too. It is called once at the end of a run.
func (s *Selector) Settle() { s.dirty = s.dirty || s.little > 0 }

// changedALittle counts changes that are worth keeping only in numbers, so that
// the state is not written for each circuit.
func (s *Selector) changedALittle() {
	s.little++
	s.dirty = s.dirty || s.little >= manyLittle
}

// Update takes the current view and its freshness and lets guards and layer-2
// guards age. It must be called for each new view and about once an hour; a
// nil view or one of another network is ignored.
func (s *Selector) Update(view *directory.View, fresh directory.Freshness, now time.Time) {
	if view == nil || view.Network() != s.state.Network {
		return
	}
	s.fresh = fresh
	s.consent = s.consent && fresh == directory.Emergency
	if s.view != view {
		s.setView(view)
	}
	if at := view.ValidAfter(); now.Before(at) {
		now = at // a clock that is behind must not date guards
	}
	s.keepGuards(now)
	s.arrange()
	s.keepLayer2(now)
	s.arrange()
}

func (s *Selector) setView(view *directory.View) {
	s.view = view
	s.guardWheel = newWheel(view, s.mayGuard, func(r *directory.Relay) uint64 { return r.Guard })
	s.innerWheel = newWheel(view, s.mayServe, func(r *directory.Relay) uint64 { return r.Inner })
	s.reachable, s.guards = 0, 0
	all := view.Relays()
	for i := range all {
		if !single(view, &all[i]) {
			continue
		}
		if s.mayServe(&all[i]) {
			s.reachable++
		}
		if s.mayGuard(&all[i]) {
			s.guards++
		}
	}
	for id := range s.backoff {
		if _, listed := view.Relay(id); !listed {
			delete(s.backoff, id)
		}
	}
}

// arrange looks up what the state names in the view.
func (s *Selector) arrange() {
	s.order, s.layer2 = s.order[:0], s.layer2[:0]
	for i := range s.state.Guards {
		g := &s.state.Guards[i]
		if r := s.guardRelay(g.ID); r != nil && !g.Disabled {
			s.order = append(s.order, r)
		}
	}
	s.primaries = s.order[:min(len(s.order), primaries)]
	beyond := s.order[len(s.primaries):]
	for id := range s.answered { // those that are primaries now speak for themselves
		if !slices.ContainsFunc(beyond, func(r *directory.Relay) bool { return r.ID == id }) {
			delete(s.answered, id)
		}
	}
	for _, l := range s.state.Layer2 {
		if r, ok := s.view.Relay(l.ID); ok && s.mayServe(r) {
			s.layer2 = append(s.layer2, r)
		}
	}
}

// Exclude names the relay that the user runs: it is never a hop (SPEC.md §11). It
// must be called before Update.
func (s *Selector) Exclude(own directory.RelayID) { s.own = own }

// mayServe tells whether a relay may be a hop.
func (s *Selector) mayServe(r *directory.Relay) bool { return reachable(r) && r.ID != s.own }

// mayGuard tells whether a relay may be a guard.
func (s *Selector) mayGuard(r *directory.Relay) bool { return eligibleGuard(r) && r.ID != s.own }

// Consent gives or takes back the user's consent to build circuits from a
// snapshot that is in the state Emergency, with the guards there are. It ends
// with that state.
func (s *Selector) Consent(given bool) {
	s.consent = given && s.fresh == directory.Emergency
}

// Path draws the hops of a circuit. x is the destination that the circuit will
// be extended to, zero if there is none or it is not known yet; it is never
// among the hops. The error is an *Error.
func (s *Selector) Path(now time.Time, x directory.RelayID) (Path, error) {
	if err := s.usable(); err != nil {
		return Path{}, err
	}
	if _, ok := s.view.Relay(x); !ok && x != (directory.RelayID{}) {
		return Path{}, &Error{Why: "the mailbox relay is not listed in the snapshot"}
	}
	g, err := s.pickGuard(now, x)
	if err != nil {
		return Path{}, err
	}
	// A guard that does not answer is hardly a better hop, but in a tiny
	// network there may be no other.
	p, retry := s.inner(now, g, x, true)
	if p.Guard == nil && len(s.down) > 0 {
		p, retry = s.inner(now, g, x, false)
	}
	if p.Guard == nil {
		return Path{}, &Error{Why: s.noInner(retry), Retry: retry}
	}
	return p, nil
}

// inner draws the layer-2 guard and the middle. If none serve, the path is
// empty and retry says when a relay may be tried again.
func (s *Selector) inner(now time.Time, g *directory.Relay, x directory.RelayID, avoidDown bool) (p Path, retry time.Time) {
	serves := func(r *directory.Relay) bool {
		if _, down := s.down[r.ID]; r.ID == g.ID || r.ID == x || avoidDown && down {
			return false
		}
		if s.backoff.waits(r.ID, now) {
			retry = earlier(retry, s.backoff.until(r.ID))
			return false
		}
		return true
	}
	// Uniform over the set: the order is random, and the first layer-2 guard
	// that leaves a middle is taken.
	var buf [maxLayer2]*directory.Relay
	set := buf[:copy(buf[:], s.layer2)]
	s.rnd.Shuffle(len(set), func(i, j int) { set[i], set[j] = set[j], set[i] })
	for _, l := range set {
		if !serves(l) {
			continue
		}
		m := s.innerWheel.draw(s.rnd, func(r *directory.Relay) bool { return r.ID != l.ID && serves(r) })
		if m != nil {
			return Path{Guard: g, Layer2: l, Middle: m}, retry
		}
	}
	return Path{}, retry
}

// noInner says why there is no layer-2 guard or no middle.
func (s *Selector) noInner(retry time.Time) string {
	switch {
	case !retry.IsZero() && s.reachable == minRelays:
		return "a relay of this network does not answer, and with four relays there is no spare"
	case !retry.IsZero():
		return "too few relays answer for three different hops"
	case len(s.layer2) == 0 && !s.mayDraw():
		return "the snapshot is too old to choose new relays, and none of those chosen earlier is listed"
	case len(s.layer2) == 0:
		return "all relays of this network are related to the guard"
	}
	return "too few relays are left over for three different hops"
}

// Failed notes that a relay could not be reached as a hop; it is left alone
// for a while.
func (s *Selector) Failed(id directory.RelayID, now time.Time) {
	if s.view != nil {
		if _, listed := s.view.Relay(id); !listed {
			return
		}
	}
	s.backoff.fail(s.rnd, id, now, s.divide)
}

// Answers notes that a relay served as a hop.
func (s *Selector) Answers(id directory.RelayID) { delete(s.backoff, id) }

// Until returns when a relay that failed may be tried again; a time in the
// past or zero means now.
func (s *Selector) Until(id directory.RelayID) time.Time { return s.backoff.until(id) }

// usable says why nothing at all can be built (SPEC.md §1).
func (s *Selector) usable() error {
	switch {
	case s.view == nil:
		return &Error{Why: "there is no snapshot of the network yet"}
	case s.fresh >= directory.Expired:
		return &Error{Why: "the snapshot of the network is more than 7 days old"}
	case s.fresh >= directory.Emergency && !s.consent:
		return &Error{Why: "the snapshot of the network is more than 3 days old; using it needs your consent", Consent: true}
	case s.reachable < minRelays:
		return &Error{Why: fmt.Sprintf("the network has %d usable relays; four different ones are needed", s.reachable)}
	}
	return nil
}

// HoldGuards says whether a warning stands against the directory for which no
// relay may become a guard that was none before. It counts from the next Update.
func (s *Selector) HoldGuards(held bool) { s.held = held }

// mayDraw tells whether new layer-2 guards may be drawn.
func (s *Selector) mayDraw() bool { return s.fresh <= directory.Valid }

// mayDrawGuards tells whether new guards may be drawn, or met.
func (s *Selector) mayDrawGuards() bool { return s.mayDraw() && !s.held }

func reachable(r *directory.Relay) bool { return len(r.Addrs) > 0 }

func eligibleGuard(r *directory.Relay) bool {
	return reachable(r) && r.Flags&directory.FlagGuard != 0 && r.Flags&directory.FlagMiddleOnly == 0
}
