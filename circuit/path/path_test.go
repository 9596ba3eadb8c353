package path

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"hearsay/directory"
)

var (
	testNetwork = directory.NetworkID{1, 2, 3}
	t0          = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	none        directory.RelayID
)

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

func relayID(n int) directory.RelayID {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	return sha256.Sum256(b[:])
}

// relays makes n relays in prefixes of their own, with rising weights.
func relays(n int) []directory.Relay {
	list := make([]directory.Relay, n)
	for i := range list {
		list[i] = directory.Relay{
			ID: relayID(i), Flags: directory.FlagGuard | directory.FlagStable,
			Guard: uint64(1000 + 100*i), Inner: uint64(1000 + 50*i),
			Addrs: []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(1 + i/200), byte(i % 200), 3, 4}), 443)},
		}
	}
	return list
}

func view(list []directory.Relay) *directory.View {
	return directory.InsecureView(testNetwork, false, t0, list)
}

func selector(seed uint64, list []directory.Relay) *Selector {
	s := New(testNetwork, false, newRand(seed))
	s.Update(view(list), directory.Fresh, t0)
	return s
}

// TestPathProperties draws many paths in networks of all sizes: four different
// relays always, the guard one of the first two primaries, the layer-2 guard
// from the set.
func TestPathProperties(t *testing.T) {
	for _, n := range []int{4, 5, 6, 7, 8, 10, 15, 20, 21, 30, 50, 75, 100} {
		list := relays(n)
		for seed := range uint64(10) {
			s := selector(seed, list)
			rnd := newRand(seed + 100)
			primary := s.primary()
			if len(primary) != 3 {
				t.Fatalf("N=%d: %d primaries", n, len(primary))
			}
			for range 1000 {
				x := none
				if rnd.IntN(4) > 0 {
					x = list[rnd.IntN(n)].ID
				}
				p, err := s.Path(t0, x)
				if err != nil {
					t.Fatalf("N=%d seed %d: %v", n, seed, err)
				}
				ids := map[directory.RelayID]bool{p.Guard.ID: true, p.Layer2.ID: true, p.Middle.ID: true}
				if len(ids) != 3 || p.Has(x) {
					t.Fatalf("N=%d seed %d: hops are not different", n, seed)
				}
				want := primary[0]
				if x == want.ID {
					want = primary[1]
				}
				if p.Guard != want {
					t.Fatalf("N=%d seed %d: another guard than expected", n, seed)
				}
				if !s.state.hasLayer2(p.Layer2.ID) {
					t.Fatalf("N=%d seed %d: layer-2 guard outside the set", n, seed)
				}
			}
		}
	}
}

// TestTooFewRelays builds nothing below four and says why.
func TestTooFewRelays(t *testing.T) {
	for n := range 4 {
		s := selector(1, relays(n))
		var e *Error
		if _, err := s.Path(t0, none); !errors.As(err, &e) || e.Why == "" {
			t.Fatalf("N=%d: %v", n, err)
		}
	}
	s := New(testNetwork, false, newRand(1))
	if _, err := s.Path(t0, none); err == nil {
		t.Fatal("a path without a view")
	}
}

// TestUnlistedDestination: a relay that nobody vouches for is no destination.
func TestUnlistedDestination(t *testing.T) {
	if _, err := selector(1, relays(9)).Path(t0, relayID(99)); err == nil {
		t.Fatal("accepted")
	}
}

// TestFreshness follows the state of the view.
func TestFreshness(t *testing.T) {
	list := relays(12)
	for fresh, works := range map[directory.Freshness]bool{
		directory.Fresh: true, directory.Valid: true, directory.Stale: true, directory.Emergency: false, directory.Expired: false,
	} {
		s := selector(1, list)
		s.Update(view(list), fresh, t0)
		if _, err := s.Path(t0, none); (err == nil) != works {
			t.Errorf("%v: %v", fresh, err)
		}
	}
	s := New(testNetwork, false, newRand(1))
	s.Update(view(list), directory.Stale, t0)
	if st, _ := s.State(); len(st.Guards)+len(st.Layer2) != 0 {
		t.Error("a stale view gave new guards")
	}
}

// TestGuardFailsOver uses the next primary and comes back.
func TestGuardFailsOver(t *testing.T) {
	s := selector(3, relays(30))
	first, second := s.primary()[0], s.primary()[1]
	s.GuardFailed(first.ID, t0)
	if p, err := s.Path(t0, none); err != nil || p.Guard != second {
		t.Fatalf("%v %v", p.Guard, err)
	}
	r, at, ok := s.Retry()
	if !ok || r != first || at.Sub(t0) != retryGuard {
		t.Fatalf("retry %v %v %v", r, at, ok)
	}
	// For x the first two primaries are the most that may serve.
	if _, err := s.Path(t0, second.ID); err == nil {
		t.Fatal("x made the client use a third guard")
	}
	s.GuardAnswers(first.ID)
	if p, err := s.Path(t0, none); err != nil || p.Guard != first {
		t.Fatalf("%v %v", p.Guard, err)
	}
	// After six hours of failure it is tried less often.
	s.GuardFailed(first.ID, t0)
	late := t0.Add(7 * time.Hour)
	s.GuardFailed(first.ID, late)
	if _, at, _ := s.Retry(); at.Sub(late) != retryGuardLate {
		t.Fatalf("retry after %v", at.Sub(late))
	}
}

// TestOffline: if no primary answers, all are offered again soon, and the first
// that answers clears the others.
func TestOffline(t *testing.T) {
	s := selector(3, relays(30))
	list := s.primary()
	for _, g := range list {
		s.GuardFailed(g.ID, t0)
	}
	var e *Error
	if _, err := s.Path(t0, none); !errors.As(err, &e) || e.Retry.Before(t0) || e.Retry.Sub(t0) > retryOfflineMax {
		t.Fatalf("%+v", e)
	}
	if _, err := s.Path(t0.Add(retryOfflineMax), none); err != nil {
		t.Fatal(err)
	}
	s.GuardAnswers(list[2].ID)
	if p, err := s.Path(t0, none); err != nil || p.Guard != list[0] {
		t.Fatalf("%v %v", p.Guard, err)
	}
}

// TestGuardKeptAcrossRestart: state out, state in, same guards, same set.
func TestGuardKeptAcrossRestart(t *testing.T) {
	list := relays(40)
	s := selector(5, list)
	s.GuardConfirmed(s.primary()[0].ID, t0)
	st, changed := s.State()
	if !changed {
		t.Fatal("nothing to keep")
	}
	if _, changed := s.State(); changed {
		t.Fatal("kept and still changed")
	}
	raw := st.Append(nil)
	parsed, err := ParseState(raw)
	if err != nil {
		t.Fatal(err)
	}
	again := New(testNetwork, false, newRand(6))
	if err := again.Restore(parsed); err != nil {
		t.Fatal(err)
	}
	again.Update(view(list), directory.Fresh, t0.Add(time.Hour))
	if after, changed := again.State(); changed || !reflect.DeepEqual(after.Append(nil), raw) {
		t.Fatal("a restart changed the guards")
	}
	other := New(directory.NetworkID{9}, false, newRand(6))
	if err := other.Restore(parsed); !errors.Is(err, ErrState) {
		t.Fatalf("another network: %v", err)
	}
}

// TestGuardLifetimes replaces guards by age and by absence, and only then.
func TestGuardLifetimes(t *testing.T) {
	list := relays(40)
	s := selector(5, list)
	first := s.primary()[0].ID
	s.GuardConfirmed(first, t0)
	s.Update(view(list), directory.Fresh, t0.Add(50*day))
	if s.primary()[0].ID != first {
		t.Fatal("replaced too early")
	}
	s.Update(view(list), directory.Fresh, t0.Add(61*day))
	if s.state.guard(first) >= 0 {
		t.Fatal("a confirmed guard lasts 60 days")
	}
	if n := len(s.primary()); n != 3 {
		t.Fatalf("%d primaries", n)
	}

	s = selector(5, list)
	first = s.primary()[0].ID
	var without []directory.Relay
	for _, r := range list {
		if r.ID != first {
			without = append(without, r)
		}
	}
	s.Update(view(without), directory.Fresh, t0.Add(day))
	if s.primary()[0].ID == first || s.state.guard(first) < 0 {
		t.Fatal("an unlisted guard is not used but remembered")
	}
	s.Update(view(list), directory.Fresh, t0.Add(2*day))
	if s.primary()[0].ID != first {
		t.Fatal("listed again, it is the first again")
	}
	s.Update(view(without), directory.Fresh, t0.Add(3*day))
	s.Update(view(without), directory.Fresh, t0.Add(24*day))
	if s.state.guard(first) >= 0 {
		t.Fatal("forgotten after 20 days without listing")
	}
}

// TestLayer2Lifetimes: one to twelve days, the longer of two draws.
func TestLayer2Lifetimes(t *testing.T) {
	list := relays(40)
	var sum time.Duration
	n := 0
	for seed := range uint64(400) {
		s := selector(seed, list)
		if len(s.state.Layer2) != layer2Count {
			t.Fatalf("%d layer-2 guards", len(s.state.Layer2))
		}
		for _, l := range s.state.Layer2 {
			age := l.Until.Sub(t0)
			if age < layer2MinAge-time.Second || age > layer2MaxAge {
				t.Fatalf("age %v", age)
			}
			sum += age
			n++
		}
		s.Update(view(list), directory.Fresh, t0.Add(13*day))
		for _, l := range s.state.Layer2 {
			if l.Until.Before(t0.Add(13 * day)) {
				t.Fatal("kept beyond its time")
			}
		}
	}
	// The mean of the larger of two uniform draws is two thirds up.
	if mean := sum / time.Duration(n); mean < 8*day || mean > 9*day {
		t.Fatalf("mean age %v", mean)
	}
}

// TestFailuresDrawNoNewRelays: whoever makes relays fail must not make the
// client sample more of them.
func TestFailuresDrawNoNewRelays(t *testing.T) {
	list := relays(60)
	s := selector(8, list)
	before, _ := s.State()
	now := t0
	for i := range 200 {
		now = now.Add(time.Minute)
		if p, err := s.Path(now, none); err == nil {
			s.Failed(p.Layer2.ID, now)
			s.Failed(p.Middle.ID, now)
			if i%3 == 0 {
				s.GuardFailed(p.Guard.ID, now)
			}
		}
		s.Update(view(list), directory.Fresh, now)
	}
	after, _ := s.State()
	if !reflect.DeepEqual(before.Guards, after.Guards) || !reflect.DeepEqual(before.Layer2, after.Layer2) {
		t.Fatal("failures changed guards or layer-2 guards")
	}
}

// TestBackoff is between nothing and ten minutes, and ends with a success.
func TestBackoff(t *testing.T) {
	for _, divide := range []time.Duration{1, labDivide} {
		s := New(testNetwork, divide > 1, newRand(2))
		id := relayID(1)
		longest := time.Duration(0)
		now := t0
		for range 1000 {
			s.Failed(id, now) // as soon as it may be tried again
			wait := s.Until(id).Sub(now)
			now = s.Until(id)
			if wait < backoffMin/divide || wait > backoffMax/divide {
				t.Fatalf("wait %v", wait)
			}
			longest = max(longest, wait)
		}
		if longest < 9*time.Minute/divide {
			t.Fatalf("longest %v", longest)
		}
		s.Answers(id)
		if !s.Until(id).IsZero() {
			t.Fatal("still waiting")
		}
		s.Failed(id, t0)
		if wait := s.Until(id).Sub(t0); wait > 2*time.Second/divide {
			t.Fatalf("first wait %v", wait)
		}
	}
}

// TestFailuresTogetherCountOnce lets one relay of five die under many circuits
// at once: each failure blames it and the honest relay before it, and the
// network must not be out of reach for longer than one failure costs.
func TestFailuresTogetherCountOnce(t *testing.T) {
	list := relays(5)
	s := selector(3, list)
	g, err := s.Guard(t0, none)
	if err != nil {
		t.Fatal(err)
	}
	for range 16 {
		for _, r := range list {
			if r.ID != g.ID {
				s.Failed(r.ID, t0)
			}
		}
	}
	if _, err := s.Path(t0, none); err == nil {
		t.Fatal("relays that have just failed are used")
	}
	if _, err := s.Path(t0.Add(2*time.Second), none); err != nil {
		t.Errorf("no path two seconds after failures that came together: %v", err)
	}
}

// TestBackedOffRelaysAreAvoided while others serve.
func TestBackedOffRelaysAreAvoided(t *testing.T) {
	s := selector(4, relays(12))
	bad := relayID(3)
	for range 12 {
		s.Failed(bad, t0)
	}
	for range 2000 {
		p, err := s.Path(t0, none)
		if err != nil {
			t.Fatal(err)
		}
		if p.Layer2.ID == bad || p.Middle.ID == bad {
			t.Fatal("used a relay that has just failed")
		}
	}
}

// TestClip bounds every share and keeps the order.
func TestClip(t *testing.T) {
	rnd := newRand(1)
	for range 2000 {
		n := 1 + rnd.IntN(100)
		raw := make([]float64, n)
		for i := range raw {
			raw[i] = float64(1 + rnd.Uint64N(1<<rnd.IntN(50)))
		}
		w := clip(raw)
		limit := max(0.05, 1.5/float64(n))
		sum := 0.0
		for _, v := range w {
			sum += float64(v)
		}
		for i, v := range w {
			if n > 1 && float64(v)/sum > limit*1.001 {
				t.Fatalf("N=%d: share %v above %v", n, float64(v)/sum, limit)
			}
			for j := range i {
				if (raw[i] > raw[j]) && v < w[j] {
					t.Fatal("order changed")
				}
			}
		}
	}
	if got := clip([]float64{5, 5, 5, 5}); got[0] != got[3] {
		t.Fatal("equal weights became unequal")
	}
}

// TestDrawFollowsWeights compares frequencies with the clipped weights.
func TestDrawFollowsWeights(t *testing.T) {
	list := relays(20)
	list[0].Inner = 1 << 40 // a liar; the clip stops it
	w := newWheel(view(list), reachable, func(r *directory.Relay) uint64 { return r.Inner })
	var sum uint64
	for _, x := range w.weights {
		sum += x
	}
	counts := map[*directory.Relay]int{}
	rnd := newRand(3)
	const draws = 100_000
	for range draws {
		counts[w.draw(rnd, func(*directory.Relay) bool { return true })]++
	}
	for i, r := range w.relays {
		want := float64(w.weights[i]) / float64(sum) * draws
		if got := float64(counts[r]); got < want*0.9 || got > want*1.1 {
			t.Errorf("relay %d: %v draws, want about %v", i, got, want)
		}
	}
}

// TestDiversity: guards and layer-2 guards come from different families and
// prefixes while there are enough, in networks that are not small.
func TestDiversity(t *testing.T) {
	list := relays(60)
	for i := range list {
		list[i].Family = uint16(1 + i%8)
		list[i].Addrs = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i % 9), 0, byte(i)}), 443)}
	}
	for seed := range uint64(300) {
		s := selector(seed, list)
		check := func(group []*directory.Relay) {
			for i, a := range group {
				for _, b := range group[:i] {
					if related(a, b, false) {
						t.Fatalf("seed %d: related relays in one set", seed)
					}
				}
			}
		}
		check(s.primary())
		check(append(s.layer2Relays(), s.primary()[0]))
		if len(s.primary()) != 3 || len(s.layer2Relays()) != 4 {
			t.Fatalf("seed %d: %d guards, %d layer-2 guards", seed, len(s.primary()), len(s.layer2Relays()))
		}
	}
}

// TestSmallNetworkRelaxesDiversity: all relays in one prefix still make paths.
func TestSmallNetworkRelaxesDiversity(t *testing.T) {
	list := relays(8)
	for i := range list {
		list[i].Addrs = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(1000+i))}
	}
	s := selector(1, list)
	if len(s.primary()) != 3 || len(s.state.Layer2) != 4 {
		t.Fatalf("%d guards, %d layer-2 guards", len(s.primary()), len(s.state.Layer2))
	}
}

// TestGuardsNeedTheFlag: eligibility is the snapshot's alone.
func TestGuardsNeedTheFlag(t *testing.T) {
	list := relays(10)
	for i := range list {
		if i > 1 {
			list[i].Flags = directory.FlagStable
		}
	}
	list[1].Flags |= directory.FlagMiddleOnly
	s := selector(1, list)
	if p := s.primary(); len(p) != 1 || p[0].ID != list[0].ID {
		t.Fatalf("%d primaries", len(p))
	}
	if _, err := s.Path(t0, list[0].ID); err == nil {
		t.Fatal("the only guard served a circuit to itself")
	}
}

func FuzzParseState(f *testing.F) {
	s := selector(1, relays(20))
	st, _ := s.State()
	f.Add(st.Append(nil))
	f.Add(State{Network: testNetwork}.Append(nil))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := ParseState(b)
		if err != nil {
			if !errors.Is(err, ErrState) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		if again := st.Append(nil); !reflect.DeepEqual(again, b) {
			t.Fatalf("%x encodes as %x", b, again)
		}
	})
}

// TestStateVector fixes the encoding.
func TestStateVector(t *testing.T) {
	st := State{
		Network: directory.NetworkID{0xaa, 31: 0xbb},
		Guards:  []Guard{{ID: directory.RelayID{1, 31: 2}, Added: time.Unix(0x01020304, 0), Unlisted: time.Unix(0x0a0b0c0d, 0)}},
		Layer2:  []Layer2{{ID: directory.RelayID{3, 31: 4}, Until: time.Unix(0x11121314, 0)}},
	}
	var want []byte
	want = append(want, 1)
	want = append(want, st.Network[:]...)
	want = append(want, 1)
	want = append(want, st.Guards[0].ID[:]...)
	want = append(want, 1, 2, 3, 4, 0, 0, 0, 0, 0x0a, 0x0b, 0x0c, 0x0d)
	want = append(want, 1)
	want = append(want, st.Layer2[0].ID[:]...)
	want = append(want, 0x11, 0x12, 0x13, 0x14)
	if got := st.Append(nil); !reflect.DeepEqual(got, want) {
		t.Fatalf("%x\nwant %x", got, want)
	}
	for i := range want {
		if _, err := ParseState(want[:i]); err == nil {
			t.Fatalf("accepted %d bytes", i)
		}
	}
	for name, b := range map[string][]byte{
		"trailing": append(append([]byte(nil), want...), 0),
		"version":  append([]byte{2}, want[1:]...),
	} {
		if _, err := ParseState(b); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", name, err)
		}
	}
	double := st
	double.Guards = append(double.Guards, double.Guards[0])
	if _, err := ParseState(double.Append(nil)); !errors.Is(err, ErrState) {
		t.Errorf("a guard twice: %v", err)
	}
}
