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

// update looks at a view once more.
func update(s *Selector, list []directory.Relay, now time.Time) {
	s.Update(view(list), directory.Fresh, now)
}

// failer is a test, or one run of a model.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// checkPath fails unless four different relays are used, all listed, and the
// layer-2 guard is one of the set.
func checkPath(t failer, s *Selector, p Path, x directory.RelayID) {
	t.Helper()
	if p.Guard.ID == p.Layer2.ID || p.Guard.ID == p.Middle.ID || p.Layer2.ID == p.Middle.ID || p.Has(x) {
		t.Fatalf("hops and destination are not four different relays: %v", p)
	}
	if !s.state.hasLayer2(p.Layer2.ID) {
		t.Fatal("layer-2 guard outside the set")
	}
	if s.state.guard(p.Guard.ID) < 0 {
		t.Fatal("guard outside the sample")
	}
	for _, r := range []*directory.Relay{p.Guard, p.Layer2, p.Middle} {
		if listed, ok := s.view.Relay(r.ID); !ok || listed != r || len(r.Addrs) == 0 {
			t.Fatal("a hop is not listed")
		}
	}
	if !eligibleGuard(p.Guard) {
		t.Fatal("the guard is not eligible")
	}
}

// TestPathProperties draws a million paths in networks of all sizes: four
// different relays always, the guard one of the first two primaries, the
// layer-2 guard from the set.
func TestPathProperties(t *testing.T) {
	sizes := []int{4, 5, 6, 7, 8, 10, 15, 20, 21, 30, 50, 75, 100, 200, 500, 1000}
	for _, n := range sizes {
		list := relays(n)
		for seed := range uint64(10) {
			s := selector(seed, list)
			rnd := newRand(seed + 100)
			if len(s.primaries) != 3 {
				t.Fatalf("N=%d: %d primaries", n, len(s.primaries))
			}
			if len(s.layer2) != min(4, n-1) {
				t.Fatalf("N=%d: %d layer-2 guards", n, len(s.layer2))
			}
			for range manyPaths / len(sizes) / 10 {
				x := none
				if rnd.IntN(4) > 0 {
					x = list[rnd.IntN(n)].ID
				}
				p, err := s.Path(t0, x)
				if err != nil {
					t.Fatalf("N=%d seed %d: %v", n, seed, err)
				}
				checkPath(t, s, p, x)
				want := s.primaries[0]
				if x == want.ID {
					want = s.primaries[1]
				}
				if p.Guard != want {
					t.Fatalf("N=%d seed %d: another guard than expected", n, seed)
				}
			}
		}
	}
}

// TestEveryRelayServes: in a network of four, each of the three relays that are
// not the destination serves, and each order of layer-2 guard and middle.
func TestEveryRelayServes(t *testing.T) {
	list := relays(4)
	s := selector(1, list)
	for _, x := range list {
		inner := map[[2]directory.RelayID]int{}
		for range 400 {
			p, err := s.Path(t0, x.ID)
			if err != nil {
				t.Fatal(err)
			}
			checkPath(t, s, p, x.ID)
			inner[[2]directory.RelayID{p.Layer2.ID, p.Middle.ID}]++
		}
		if x.ID != s.primaries[0].ID && len(inner) != 2 {
			t.Fatalf("%d orders of the two inner relays", len(inner))
		}
	}
}

// TestMiddleFollowsWeights compares the middles drawn with the clipped weights.
func TestMiddleFollowsWeights(t *testing.T) {
	list := relays(50)
	s := selector(2, list)
	counts := map[directory.RelayID]float64{}
	expected := map[directory.RelayID]float64{}
	const draws = 100_000
	for range draws {
		p, err := s.Path(t0, none)
		if err != nil {
			t.Fatal(err)
		}
		counts[p.Middle.ID]++
		all := 0.0
		for i, r := range s.innerWheel.relays {
			if r != p.Guard && r != p.Layer2 {
				all += s.innerWheel.share(i)
			}
		}
		for i, r := range s.innerWheel.relays {
			if r != p.Guard && r != p.Layer2 {
				expected[r.ID] += s.innerWheel.share(i) / all
			}
		}
	}
	chi := 0.0
	for id, want := range expected {
		chi += (counts[id] - want) * (counts[id] - want) / want
	}
	// 48 degrees of freedom: 99.9 % of runs are below 85.
	if chi > 85 {
		t.Fatalf("chi squared %v", chi)
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

// TestConsent: a snapshot of three days is used only if the user said so, with
// the guards there are, and no longer than that state lasts.
func TestConsent(t *testing.T) {
	list := relays(12)
	s := selector(1, list)
	s.Consent(true)
	s.Update(view(list), directory.Emergency, t0)
	var e *Error
	if _, err := s.Path(t0, none); !errors.As(err, &e) || !e.Consent {
		t.Fatalf("consent before there was a question: %v", err)
	}
	before, _ := s.State()
	s.Consent(true)
	s.Update(view(list), directory.Emergency, t0.Add(200*day))
	if p, err := s.Path(t0, none); err != nil || p.Guard != s.primaries[0] {
		t.Fatal(err)
	}
	if len(s.Warnings()) == 0 {
		t.Error("no warning")
	}
	if after, _ := s.State(); !reflect.DeepEqual(before.Guards, after.Guards) || !reflect.DeepEqual(before.Layer2, after.Layer2) {
		t.Fatal("an old snapshot changed guards")
	}
	s.Consent(false)
	if _, err := s.Path(t0, none); err == nil {
		t.Fatal("a path after consent was taken back")
	}
	s.Consent(true)
	s.Update(view(list), directory.Expired, t0)
	if _, err := s.Path(t0, none); !errors.As(err, &e) || e.Consent {
		t.Fatalf("consent to a snapshot that has expired: %v", err)
	}
	s.Update(view(list), directory.Emergency, t0)
	if _, err := s.Path(t0, none); err == nil {
		t.Fatal("consent outlived its state")
	}
	// With consent but without guards of its own, a client builds nothing.
	s = New(testNetwork, false, newRand(1))
	s.Update(view(list), directory.Emergency, t0)
	s.Consent(true)
	if _, err := s.Path(t0, none); err == nil {
		t.Fatal("guards were drawn from an old snapshot")
	}
}

// asError is errors.As for an *Error.
func asError(err error, e **Error) bool { return errors.As(err, e) }
