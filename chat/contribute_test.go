package chat

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// TestNoQueueOnOurOwnRelay: the relay that the user runs is never drawn, however
// heavy it is, and even if it is the last one left.
func TestNoQueueOnOurOwnRelay(t *testing.T) {
	var list []directory.Relay
	for i := range 6 {
		list = append(list, directory.Relay{
			ID: directory.RelayID{byte(i + 1)}, Flags: directory.FlagMailbox, Mailbox: 1,
			Addrs: []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 1}), 443)},
		})
	}
	own := list[2].ID
	list[2].Mailbox = 1 << 40
	view := directory.InsecureView(directory.NetworkID{1}, true, time.Now(), list)
	m := &Messenger{}
	m.Lend(own, nil)
	if n := m.mailboxRelays(view); n != 5 {
		t.Errorf("%d mailbox relays", n)
	}
	var taken []directory.RelayID
	for range 5 {
		for range 40 {
			if id, ok := m.drawRelay(view, taken, []directory.RelayID{list[0].ID}); !ok || id == own {
				t.Fatalf("drawn: %v, %v", id, ok)
			}
		}
		id, _ := m.drawRelay(view, taken, nil)
		taken = append(taken, id)
	}
	if id, ok := m.drawRelay(view, taken, nil); ok {
		t.Errorf("with all others taken: %v", id)
	}
	m.Lend(directory.RelayID{}, nil)
	if id, ok := m.drawRelay(view, taken, nil); !ok || id != own {
		t.Errorf("another's relay: %v, %v", id, ok)
	}
}

// TestContactsQueueOnOurRelayIsUsed: to refuse it would tell a contact who runs it.
func TestContactsQueueOnOurRelayIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWorld(t, 4)
		alice, bob := w.user(t), w.user(t)
		b, _ := befriend(t, alice, bob)
		<-time.After(time.Minute)
		var theirs directory.RelayID
		alice.must(alice.look(t.Context(), func(t *turn) error { theirs = t.book.contacts[b].slots[0].addr.Relay; return nil }))
		alice.Lend(theirs, func() Lent { return Lent{Address: "192.0.2.7:4443", Bandwidth: 1 << 20} })
		bob.leave()
		m, err := alice.Send(t.Context(), b, "one copy lies on our own relay")
		alice.must(err)
		eventually(t, time.Minute, "stored twice", func() bool { return alice.message(b, m.ID).Copies.Have == 2 })
		v, err := alice.NetworkView(t.Context())
		alice.must(err)
		if v.Lends == nil || !v.Lends.Listed || v.Lends.Address != "192.0.2.7:4443" || v.Lends.Name == "" {
			t.Errorf("%+v", v.Lends)
		}
	})
}
