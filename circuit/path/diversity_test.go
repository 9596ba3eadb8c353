package path

import (
	"errors"
	"net/netip"
	"testing"

	"hearsay/directory"
)

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
					if newKin([]*directory.Relay{a}).like(b) != unrelated {
						t.Fatalf("seed %d: related relays in one set", seed)
					}
				}
			}
		}
		check(s.primaries)
		check(append(s.layer2, s.primaries[0]))
		if len(s.primaries) != 3 || len(s.layer2) != 4 {
			t.Fatalf("seed %d: %d guards, %d layer-2 guards", seed, len(s.primaries), len(s.layer2))
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
	if len(s.primaries) != 3 || len(s.state.Layer2) != 4 {
		t.Fatalf("%d guards, %d layer-2 guards", len(s.primaries), len(s.state.Layer2))
	}
}

// TestFirstGuardIsNoLayer2Guard, even where everything is related.
func TestFirstGuardIsNoLayer2Guard(t *testing.T) {
	list := relays(5)
	for i := range list {
		list[i].Family = 1
	}
	for seed := range uint64(50) {
		if s := selector(seed, list); len(s.layer2) != 4 || s.state.hasLayer2(s.primaries[0].ID) {
			t.Fatal("the first guard is a layer-2 guard")
		}
	}
}

// TestSmallNetworkRelaxesInOrder: AS first, then prefix, then family, and each
// only if there is no other way.
func TestSmallNetworkRelaxesInOrder(t *testing.T) {
	for seed := range uint64(100) {
		// Twelve relays of four families, six prefixes and one AS: three guards
		// of three families are possible, five layer-2 guards are not.
		list := relays(12)
		for i := range list {
			list[i].Family, list[i].AS = uint16(1+i%4), 7
			list[i].Addrs = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i % 6), 0, byte(i)}), 443)}
		}
		s := selector(seed, list)
		families := map[uint16]bool{}
		for _, r := range s.primaries {
			families[r.Family] = true
		}
		if len(families) != 3 {
			t.Fatalf("seed %d: %d families among three guards", seed, len(families))
		}
		if len(s.layer2) != 4 || len(s.Warnings()) == 0 {
			t.Fatalf("seed %d: %d layer-2 guards, warnings %q", seed, len(s.layer2), s.Warnings())
		}
	}
}

// TestLargeNetworkStaysDiverse: above 20 relays only the AS may be disregarded.
func TestLargeNetworkStaysDiverse(t *testing.T) {
	list := relays(60)
	for i := range list {
		list[i].AS = 7
	}
	s := selector(1, list)
	if len(s.primaries) != 3 || len(s.layer2) != 4 {
		t.Fatalf("one AS: %d guards, %d layer-2 guards", len(s.primaries), len(s.layer2))
	}
	for i := range list {
		list[i].Family = 1
	}
	s = selector(1, list)
	var e *Error
	if _, err := s.Path(t0, none); len(s.state.Guards) != 1 || len(s.layer2) != 0 || !errors.As(err, &e) {
		t.Fatalf("one family: %d guards, %d layer-2 guards, %v", len(s.state.Guards), len(s.layer2), err)
	}
}

// TestPrefixes: the /16 of IPv4, also written as IPv6, and the /32 of IPv6.
func TestPrefixes(t *testing.T) {
	at := func(texts ...string) *directory.Relay {
		r := &directory.Relay{}
		for _, a := range texts {
			r.Addrs = append(r.Addrs, netip.MustParseAddrPort(a))
		}
		return r
	}
	for _, c := range []struct {
		a, b *directory.Relay
		like likeness
	}{
		{at("192.0.2.1:1"), at("192.0.77.1:1"), samePrefix},
		{at("192.0.2.1:1"), at("192.1.2.1:1"), unrelated},
		{at("192.0.2.1:1"), at("[::ffff:192.0.3.4]:9"), samePrefix},
		{at("[2001:db8:1::1]:1"), at("[2001:db8:ffff::1]:1"), samePrefix},
		{at("[2001:db8::1]:1"), at("[2001:db9::1]:1"), unrelated},
		{at("[2001:db8::1]:1", "192.0.2.1:1"), at("[2001:db9::1]:1", "192.0.9.9:1"), samePrefix},
	} {
		if got := newKin([]*directory.Relay{c.a}).like(c.b); got != c.like {
			t.Errorf("%v and %v: %v", c.a.Addrs, c.b.Addrs, got)
		}
	}
}
