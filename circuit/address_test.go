package circuit

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

// TestAddressOfComputerWithoutIPv6: a guard whose first address cannot be
// reached from here is no sign that the network is gone, and the next guard is
// none that it is back: failed guards would be forgiven at each change.
func TestAddressOfComputerWithoutIPv6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := netip.MustParseAddr("192.0.2.1")
		p, err := NewPool(Config{
			Network: directory.NetworkID{1}, Views: testViews(), Dial: noDial,
			Source: func(to netip.AddrPort) netip.Addr {
				if to.Addr().Is6() {
					return netip.Addr{}
				}
				return own
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		v4, v6 := netip.MustParseAddrPort("198.51.100.1:443"), netip.MustParseAddrPort("[2001:db8::1]:443")
		one := &directory.Relay{ID: directory.RelayID{1}, Addrs: []netip.AddrPort{v4}}
		both := &directory.Relay{ID: directory.RelayID{2}, Addrs: []netip.AddrPort{v6, v4}}
		six := &directory.Relay{ID: directory.RelayID{3}, Addrs: []netip.AddrPort{v6}}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan struct{})
		go func() { defer close(done); p.watchAddress(ctx) }()
		told := func(g *directory.Relay) int {
			p.setGuard(g)
			time.Sleep(2 * addressEvery)
			synctest.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			n := len(p.inbox)
			p.inbox = nil
			return n
		}
		for _, g := range []*directory.Relay{one, both, one, both} {
			if n := told(g); n != 0 {
				t.Errorf("guard with %d addresses: %d signs of a change", len(g.Addrs), n)
			}
		}
		own = netip.MustParseAddr("192.0.2.2")
		if n := told(both); n != 1 {
			t.Errorf("another address: %d signs of a change", n)
		}
		if n := told(six); n != 1 {
			t.Errorf("no way to the guard: %d signs", n)
		}
		if n := told(both); n != 0 {
			t.Errorf("another guard: %d signs of a change", n)
		}
		was := own
		own = netip.Addr{}
		told(both)
		told(six) // guards are tried in turn
		own = was
		if n := told(both); n != 1 {
			t.Errorf("back: %d signs of a change", n)
		}
		cancel()
		<-done
	})
}
