package path

import (
	"math"
	"net/netip"
	"strings"
	"testing"

	"hearsay/directory"
)

// equal makes n relays of equal weight.
func equal(n int) []directory.Relay {
	list := relays(n)
	for i := range list {
		list[i].Guard, list[i].Inner = 1000, 1000
	}
	return list
}

// TestLargestShare: five of twenty equal relays belong to one operator. It has
// the guard of a quarter of all circuits, and then 4 of the other 19.
func TestLargestShare(t *testing.T) {
	list := equal(20)
	for i := range 5 {
		list[i].Family = 3
	}
	list[7].Family, list[8].Family = 4, 4
	s := LargestShare(view(list), ByOperator)
	want := 0.25 * 4 / 19
	if s.Relays != 5 || s.Name != "family 3" || math.Abs(s.Guard-0.25) > 1e-6 || math.Abs(s.Last-0.25) > 1e-6 || math.Abs(s.Both-want) > 1e-6 {
		t.Fatalf("%+v, want both %v", s, want)
	}
	for i := range list {
		list[i].AS = uint16(1 + i%2)
		list[i].Addrs = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i / 10), 0, byte(i)}), 1)}
	}
	for _, by := range []Group{ByAS, ByPrefix} {
		if s := LargestShare(view(list), by); s.Relays != 10 || math.Abs(s.Both-0.5*9/19) > 1e-6 {
			t.Fatalf("%v: %+v", by, s)
		}
	}
	if s := LargestShare(view(equal(10)), ByOperator); s.Both != 0 || s.Relays != 1 {
		t.Fatalf("relays without families: %+v", s)
	}
	if s := LargestShare(view(nil), ByOperator); s != (Share{}) {
		t.Fatalf("no relays: %+v", s)
	}
}

// TestOneOperator compares the computed share of a client's circuits with
// circuits drawn.
func TestOneOperator(t *testing.T) {
	for seed := range uint64(6) {
		n := []int{6, 30}[seed%2]
		list := relays(n)
		for i := range list {
			list[i].Family = uint16(1 + i%(n/3))
		}
		s := selector(seed, list)
		same := 0
		const draws = 50_000
		for range draws {
			p, err := s.Path(t0, none)
			if err != nil {
				t.Fatal(err)
			}
			if p.Guard.Family == p.Middle.Family {
				same++
			}
		}
		if got, want := s.OneOperator(), float64(same)/draws; math.Abs(got-want) > 0.01 {
			t.Fatalf("computed %v, drawn %v", got, want)
		}
	}
	if New(testNetwork, false, newRand(1)).OneOperator() != 0 {
		t.Fatal("a share without a view")
	}
}

// TestWarnings: what a small network lacks is named.
func TestWarnings(t *testing.T) {
	if list := selector(1, relays(4)).Warnings(); len(list) != 1 {
		t.Errorf("four relays: %q", list)
	}
	if list := selector(1, relays(30)).Warnings(); len(list) != 0 {
		t.Errorf("thirty relays: %q", list)
	}
	list := relays(9)
	for i := range list {
		if i > 0 {
			list[i].Flags = 0
		}
	}
	if w := selector(1, list).Warnings(); len(w) != 1 {
		t.Errorf("one guard: %q", w)
	}
	list = relays(15)
	for i := range list {
		list[i].Family = 1
	}
	if w := strings.Join(selector(1, list).Warnings(), "; "); !strings.Contains(w, "one operator has both ends of 100 %") {
		t.Errorf("one operator: %q", w)
	}
}
