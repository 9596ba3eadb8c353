package chat

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/circuit"
	"hearsay/directory"
)

// TestNetworkViewOfQueues counts queues and copies, and names what does not work.
func TestNetworkViewOfQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		<-time.After(time.Minute)
		see := func() NetworkView {
			t.Helper()
			v, err := alice.NetworkView(t.Context())
			alice.must(err)
			return v
		}
		v := see()
		if len(v.Relays) != 4 || v.Guards != 4 || v.Mailboxes != 4 || !v.Lab || v.Epoch == 0 || v.Cover != "off" || v.CoverMB != CoverCost("off") {
			t.Errorf("%+v", v)
		}
		if v.Queues != 1 || v.Single != 0 || len(v.Missing) != 0 || v.NextMove.IsZero() || !v.NextMove.After(time.Now()) {
			t.Errorf("queues %d, single %d, next move %v, missing %q", v.Queues, v.Single, v.NextMove, v.Missing)
		}
		if !slices.IsSortedFunc(v.Relays, func(a, b RelayView) int { return strings.Compare(a.Name, b.Name) }) {
			t.Error("relays are not in the order of their names")
		}
		var own, theirs directory.RelayID
		alice.must(alice.look(t.Context(), func(t *turn) error {
			c := t.book.contacts[b]
			own, theirs = c.rec.Own[0].Relay, c.slots[0].addr.Relay
			return nil
		}))
		name := func(id directory.RelayID) string {
			i := slices.IndexFunc(v.Relays, func(r RelayView) bool { return r.ID == id.String() })
			return v.Relays[i].Name
		}
		bob.stop()
		w.stop(w.relay(own))
		w.stop(w.relay(theirs))
		alice.say(b, "which relay is gone?")
		// A queue rests between two tries: while one is under way it is not missed. All
		// of this is before the queue moves elsewhere.
		text := ""
		lacks := func(want string) bool { return !strings.Contains(text, want) }
		wants := []string{name(own) + " does not let a queue of yours be read", name(theirs) + " takes no messages for bob now: "}
		for end := time.Now().Add(3 * time.Second); slices.ContainsFunc(wants, lacks) && time.Now().Before(end); {
			<-time.After(50 * time.Millisecond)
			v = see()
			text = strings.Join(v.Missing, "\n")
		}
		for _, want := range wants {
			if lacks(want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		if v.Single != 1 {
			t.Errorf("%d queues with one copy", v.Single)
		}
		for _, id := range []directory.RelayID{own, theirs} {
			w.start(w.relay(id))
			if own == theirs {
				break
			}
		}
		eventually(t, time.Minute, "all works again", func() bool { return len(see().Missing) == 0 && see().Single == 0 })
		if err := alice.NewCircuits(t.Context()); KindOf(err) != KindNoNetwork {
			t.Errorf("new circuits without circuits: %v", err)
		}
	})
}

// TestNetworkViewShowsNothingWhenLocked, and nothing before the first snapshot.
func TestNetworkViewShowsNothingWhenLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice := w.user(t)
		<-time.After(time.Second)
		alice.must(alice.ChangePassphrase(t.Context(), nil, []byte("open sesame")))
		alice.must(alice.Lock(t.Context()))
		if _, err := alice.NetworkView(t.Context()); KindOf(err) != KindLocked {
			t.Errorf("locked: %v", err)
		}
		if err := alice.NewCircuits(t.Context()); KindOf(err) != KindLocked {
			t.Errorf("new circuits while locked: %v", err)
		}
		alice.must(alice.Unlock(t.Context(), []byte("open sesame")))
		alice.leave()
		alice.must(alice.do(t.Context(), func(t *turn) error { t.m.views = &directory.Views{}; return nil }))
		if _, err := alice.NetworkView(t.Context()); KindOf(err) != KindNoNetwork {
			t.Errorf("without a snapshot: %v", err)
		}
	})
}

// TestNetworkViewNamesRelays: roles, standing, marks and the part of the largest
// family come from the snapshot and the circuits alone.
func TestNetworkViewNamesRelays(t *testing.T) {
	id := func(n byte) directory.RelayID { return directory.RelayID{n, n, n} }
	relay := func(n byte, flags directory.Flags, family uint16) directory.Relay {
		return directory.Relay{
			ID: id(n), Flags: flags, Family: family, LinkKey: [32]byte{n},
			Addrs: []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 4443)},
		}
	}
	view := directory.InsecureView(directory.NetworkID{1}, false, time.Now(), []directory.Relay{
		relay(1, directory.FlagGuard|directory.FlagStable, 0),
		relay(2, directory.FlagGuard|directory.FlagMiddleOnly|directory.FlagWatched, 7),
		relay(3, directory.FlagMailbox|directory.FlagUnmeasured, 7),
		relay(4, 0, 9),
	})
	gone := id(200) // on a circuit, and listed no more
	infos := []circuit.Info{
		{ID: "1", Purpose: circuit.Send, Path: []directory.RelayID{id(1), id(2), gone}, Destination: id(3), State: "open", RTT: time.Millisecond},
		{ID: "2", Purpose: circuit.Spare, Path: []directory.RelayID{id(1), id(4)}, State: "building"},
	}
	kept := circuit.Kept{Guard: id(1), Since: time.Unix(1000, 0), Layer2: []directory.RelayID{id(2), id(4)}}
	names := relayNames(view, infos, kept)
	var v NetworkView
	v.relays(view, kept, names)
	v.circuits(view, infos, names)
	byID := map[string]RelayView{}
	for _, r := range v.Relays {
		byID[r.ID] = r
	}
	if r := byID[id(1).String()]; r.Role != "guard" || !r.Guard || !slices.Equal(r.Standing, []string{"guard", "stable"}) || r.Family != "" || r.Address != "192.0.2.1" {
		t.Errorf("%+v", r)
	}
	if r := byID[id(2).String()]; r.Role != "layer 2" || r.Guard || !slices.Equal(r.Marks, []string{"watched", "middle only"}) || r.Family != "family 7" || r.Families != 2 {
		t.Errorf("%+v", r)
	}
	if v.Guards != 1 || v.Mailboxes != 1 || v.Guard != names[id(1)] || !v.GuardSince.Equal(kept.Since) || len(v.Layer2) != 2 {
		t.Errorf("%+v", v)
	}
	if want := 2.0 / 6; math.Abs(v.Family-want) > 1e-9 { // relays 2 and 3 of six hops
		t.Errorf("the largest family has %v of the hops, want %v", v.Family, want)
	}
	if c := v.Circuits[0]; len(c.Relays) != 3 || c.Destination != names[id(3)] || c.Relays[2] == "" {
		t.Errorf("%+v", c)
	}
	if c := v.Circuits[1]; len(c.Relays) != 2 || c.Destination != "" || c.State != "building" {
		t.Errorf("%+v", c)
	}
}

// TestGuardChangeIsTold: another guard means another relay that sees this
// computer, so people hear of it.
func TestGuardChangeIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice := newFakeWorld(t, 4).user(t)
		alice.events()
		alice.circuitEvent(circuit.Event{Type: circuit.EventGuardChanged, Detail: "the guard does not answer;\x1b[2J the next one takes over"})
		list := alice.events()
		i := slices.IndexFunc(list, func(ev Event) bool { return ev.Type == GuardChanged })
		if i < 0 || list[i].Detail != "the guard does not answer;[2J the next one takes over" {
			t.Errorf("%+v", list)
		}
		for _, s := range alice.Status().Steps { // whether the next one answers is not known
			if s.Name == "guard" && s.State == "done" {
				t.Errorf("%+v", s)
			}
		}
	})
}
