package path

import (
	"net/netip"
	"testing"
	"time"

	"hearsay/directory"
)

// TestHostileSnapshots draws paths from snapshots that repeat a relay, a
// family or a prefix, or leave out what a relay needs: the rules hold, or
// nothing is built.
func TestHostileSnapshots(t *testing.T) {
	snapshots := map[string]func(i int, r *directory.Relay, first directory.Relay){
		"the same relay again": func(i int, r *directory.Relay, first directory.Relay) {
			if i%3 == 1 {
				*r = first
			}
		},
		"the same relay at other addresses": func(i int, r *directory.Relay, first directory.Relay) {
			if i%3 == 1 {
				r.ID = first.ID
			}
		},
		"identities that begin alike": func(i int, r *directory.Relay, first directory.Relay) {
			if i%3 == 1 {
				copy(r.ID[:16], first.ID[:16])
			}
		},
		"one family": func(_ int, r *directory.Relay, _ directory.Relay) { r.Family = 1 },
		"one prefix": func(i int, r *directory.Relay, _ directory.Relay) {
			r.Addrs = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 1)}
		},
		"one address": func(_ int, r *directory.Relay, first directory.Relay) { r.Addrs = first.Addrs },
		"one heavy relay": func(i int, r *directory.Relay, _ directory.Relay) {
			if i == 0 {
				r.Guard, r.Inner = 1<<63, 1<<63
			}
		},
		"no weights":   func(_ int, r *directory.Relay, _ directory.Relay) { r.Guard, r.Inner = 0, 0 },
		"all weights":  func(_ int, r *directory.Relay, _ directory.Relay) { r.Guard, r.Inner = 1<<64-1, 1<<64-1 },
		"no addresses": func(i int, r *directory.Relay, _ directory.Relay) { r.Addrs = r.Addrs[:i%2] },
		"no flags":     func(_ int, r *directory.Relay, _ directory.Relay) { r.Flags = 0 },
		"all flags":    func(_ int, r *directory.Relay, _ directory.Relay) { r.Flags = 0xffff },
		"the zero identity": func(i int, r *directory.Relay, _ directory.Relay) {
			if i == 1 {
				r.ID = directory.RelayID{}
			}
		},
	}
	sizes := []int{1, 3, 4, 5, 8, 20, 21, 60, 200}
	for name, spoil := range snapshots {
		for _, n := range sizes {
			list := relays(n)
			first := list[0]
			for i := range list {
				spoil(i, &list[i], first)
			}
			s := selector(uint64(n), list)
			rnd := newRand(uint64(n) + 1)
			for range manyPaths / len(snapshots) / len(sizes) {
				x := list[rnd.IntN(n)].ID
				p, err := s.Path(t0, x)
				if err != nil {
					if e := new(Error); !asError(err, &e) || e.Why == "" {
						t.Fatalf("%s, N=%d: %v", name, n, err)
					}
					break // the same for every other draw of this destination
				}
				checkPath(t, s, p, x)
			}
			for _, related := range [][]*directory.Relay{s.order, s.layer2} {
				k := newKin(nil)
				for _, r := range related {
					if n > smallNetwork && k.like(r) > sameAS {
						t.Fatalf("%s, N=%d: related relays in one set", name, n)
					}
					k.add(r)
				}
			}
		}
	}
}

// TestRelaysAreCountedOnce: three relays, one of them listed twice, are no network
// of four.
func TestRelaysAreCountedOnce(t *testing.T) {
	list := relays(3)
	s := selector(1, append(list, list[1]))
	if s.reachable != 3 || s.guards != 3 {
		t.Fatalf("%d relays, %d guards", s.reachable, s.guards)
	}
	if _, err := s.Path(t0, none); err == nil {
		t.Fatal("a path in a network of three")
	}
}

// TestHostileViews replaces the view by others all the time: what is drawn stays
// bounded, and a guard that comes back is the guard again.
func TestHostileViews(t *testing.T) {
	rnd := newRand(5)
	all := relays(300)
	s := selector(5, all)
	first := s.primaries[0].ID
	s.GuardConfirmed(first, t0)
	now := t0
	for range 300 {
		now = now.Add(time.Hour)
		var list []directory.Relay
		for _, r := range all {
			if rnd.IntN(3) == 0 && r.ID != first {
				list = append(list, r)
			}
		}
		update(s, list, now)
		if len(s.state.Guards) > maxGuards || len(s.state.Layer2) > maxLayer2 {
			t.Fatal("over the limits")
		}
		if p, err := s.Path(now, none); err == nil {
			checkPath(t, s, p, none)
		}
	}
	update(s, all, now)
	if s.primaries[0].ID != first {
		t.Fatal("the first guard was forgotten")
	}
}
