package directory

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestRelayIDText(t *testing.T) {
	id := RelayID(publicOf(testKey(nameOf(1))))
	if got, err := ParseRelayID(id.String()); err != nil || got != id || len(id.String()) != 52 {
		t.Fatalf("%v %v", got, err)
	}
	for _, s := range []string{"", id.String()[1:], strings.ToUpper(id.String()), id.String() + "a", strings.Repeat("1", 52), id.String()[:51] + "b"} {
		if _, err := ParseRelayID(s); err == nil {
			t.Errorf("%q is read", s)
		}
	}
}

func TestViewFindsRelays(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	v, _, err := n.verify(n.publish(testTime, n.candidates(5, testTime)), n.chain.InitialState(), testTime)
	check(t, err)
	if v.Name() != "harbour" || v.Epoch() != n.header.Epoch || !v.ValidAfter().Equal(testTime) || v.EpochLength() != time.Minute {
		t.Errorf("view %s %d %v %v", v.Name(), v.Epoch(), v.ValidAfter(), v.EpochLength())
	}
	for i := range v.Relays() {
		want := &v.Relays()[i]
		a, _ := v.Relay(want.ID)
		b, _ := v.ByPrefix(want.ID.Prefix())
		c, _ := v.ByLinkKey(want.LinkKey)
		d, _ := v.ByAddr(want.Addrs[0])
		if a != want || b != want || c != want || d != want {
			t.Errorf("relay %d is not found", i)
		}
		id := want.ID
		id[31] ^= 1
		if _, ok := v.Relay(id); ok {
			t.Error("another id with the same prefix is found")
		}
	}
	if _, ok := v.ByLinkKey([32]byte{}); ok {
		t.Error("a link key of nobody is found")
	}
	if _, ok := v.ByAddr(netip.AddrPort{}); ok {
		t.Error("an address of nobody is found")
	}
}

func TestViewsOnlyMoveForward(t *testing.T) {
	n := newNetwork(t, true, JoinOpen)
	first, state, err := n.verify(n.publish(testTime, nil), n.chain.InitialState(), testTime)
	check(t, err)
	second, _, err := n.verify(n.publish(testTime.Add(labEpoch), nil), state, testTime)
	check(t, err)
	var vs Views
	changed := vs.Changed()
	if vs.Current() != nil || !vs.Set(first) {
		t.Fatal("first view")
	}
	<-changed
	if !vs.Set(second) || vs.Set(first) || vs.Set(second) || vs.Current() != second {
		t.Error("an older view replaces a newer one")
	}
	if vs.Set(InsecureView(NetworkID{1}, true, testTime, nil)) {
		t.Error("a view of another network is taken")
	}
}

func TestFamiliesReachTheView(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	list := n.candidates(4, testTime)
	for i, c := range list {
		d := c.Record.Descriptor
		switch i {
		case 0, 1:
			d.Families = []Family{signFamily(n.id, testKey("family"), d.ID, testTime.Add(time.Hour))}
		case 2:
			d.Families = []Family{signFamily(n.id, testKey("family"), d.ID, testTime)}
		}
	}
	v, _, err := n.verify(n.publish(testTime, list), n.chain.InitialState(), testTime)
	check(t, err)
	for i, c := range list {
		r, ok := v.Relay(c.Record.ID)
		if !ok || (r.Family != 0) != (i < 2) {
			t.Errorf("relay %d has family %d", i, r.Family)
		}
	}
}
